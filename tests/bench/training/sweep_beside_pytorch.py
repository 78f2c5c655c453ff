#!/usr/bin/env python3
"""A sweep by Retort, and the same work as a sequential PyTorch script that calls the teacher online.

    sweep_beside_pytorch.py DATASET.safetensors [--retort build/release/bin/retort] [--epochs 10] [--only ours|theirs]

One hold-out split; a teacher of 32/8; students 4/4, 8/4 and 16/4; scratch, hard, soft, dkd and feature; two seeds: 32 networks. Prints one line of
JSON: seconds of both, their ratio, and the mean error of the students. The script trains on as many threads as there are cores, Retort in as many
slots. Both train on the same subjects with the same sizes, optimiser, schedule and losses; PyTorch draws its own random numbers.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pytorch_training import BATCH, CLASSES, ResNet

STUDENTS = [(4, 4), (8, 4), (16, 4)]
METHODS = ["scratch", "hard", "soft", "dkd", "feature"]
SWEEP = """
name: beside-pytorch
datasets: {{data: {{path: {dataset}}}}}
split: {{holdout: 0.25, by: subject, validation: 0}}
evaluate: [data]
teachers: [{{resnet1d: 32/8}}]
students: [{{resnet1d: [4/4, 8/4, 16/4]}}]
methods: [scratch, hard, soft, dkd, feature]
train: {{epochs: {epochs}, peak_lr: 5.0e-3}}
seeds: [0, 1]
"""


def run_retort(args):
    """Seconds, and the results as the command prints them."""
    with tempfile.TemporaryDirectory() as folder:
        sweep = os.path.join(folder, "sweep.yaml")
        with open(sweep, "w") as file:
            file.write(SWEEP.format(dataset=os.path.abspath(args.dataset), epochs=args.epochs))
        begin = time.perf_counter()
        out = subprocess.run([args.retort, "-o", "jsonl", "local", sweep, "--folder", os.path.join(folder, "state")],
                             check=True, stdout=subprocess.PIPE).stdout
        seconds = time.perf_counter() - begin
    return seconds, [json.loads(line) for line in out.splitlines() if line.startswith(b"{")]


def read_dataset(path):
    """Windows [W, C, L], BPM [W], subject index [W] and names of subjects (safetensors: a length, a JSON header, raw numbers)."""
    blob = open(path, "rb").read()
    size = int.from_bytes(blob[:8], "little")
    header = json.loads(blob[8:8 + size])
    types = {"F32": np.float32, "I32": np.int32, "I64": np.int64}

    def tensor(name):
        entry = header[name]
        begin, end = entry["data_offsets"]
        return np.frombuffer(blob[8 + size + begin:8 + size + end], types[entry["dtype"]]).reshape(entry["shape"])

    return tensor("windows"), tensor("bpm"), tensor("subject"), json.loads(header["__metadata__"]["subjects"])


def loss_of(method, out, y, teacher, projector, norm):
    logits, features = out
    ce = F.cross_entropy(logits, y)
    if method == "scratch":
        return ce
    t_logits, t_features = teacher
    if method == "hard":
        return 0.5 * ce + 0.5 * F.cross_entropy(logits, t_logits.argmax(1))
    if method == "feature":
        return ce + F.mse_loss(projector(features), (t_features - norm[0]) / norm[1])
    if method == "soft":
        return 0.1 * ce + 0.9 * 4 * F.kl_div((logits / 2).log_softmax(1), (t_logits / 2).log_softmax(1), reduction="batchmean", log_target=True)
    one_hot = F.one_hot(y, CLASSES).bool()

    def parts(z):
        others = z.masked_select(~one_hot).view(-1, CLASSES - 1)
        u = z[one_hot] - others.logsumexp(1)
        return torch.stack([F.logsigmoid(u), F.logsigmoid(-u)], 1), others.log_softmax(1)

    (s2, so), (t2, to) = parts(logits / 2), parts(t_logits / 2)
    tckd = F.kl_div(s2, t2, reduction="batchmean", log_target=True)
    nckd = F.kl_div(so, to, reduction="batchmean", log_target=True)
    return 0.1 * ce + 0.9 * 4 * (tckd + 8 * nckd)


def train(model, method, teacher, windows, classes, epochs, seed):
    torch.manual_seed(seed)
    projector, norm, parameters = None, None, list(model.parameters())
    if method == "feature":
        with torch.no_grad():
            seen = torch.cat([teacher(windows[i:i + 512, :1])[1] for i in range(0, len(windows), 512)])
        norm = seen.mean(0), seen.std(0).clamp_min(1e-5)
        projector = nn.Linear(model.head.in_features, teacher.head.in_features)
        parameters += list(projector.parameters())
    optimizer = torch.optim.Adam(parameters, 5e-3)
    steps = -(-len(windows) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps * epochs + 1)
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(windows))
        channel = torch.randint(0, windows.shape[1], (len(windows),))
        for at in range(0, len(order), BATCH):
            batch = order[at:at + BATCH]
            x = windows[batch, channel[batch]].unsqueeze(1)
            with torch.no_grad():
                taught = teacher(x) if teacher is not None else None
            optimizer.zero_grad()
            loss = loss_of(method, model(x), classes[batch], taught, projector, norm)
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            loss.item()
    return model.eval()


def error_of(model, windows, bpm, subjects):
    """MAE with the median of each channel's distribution, mean over subjects."""
    with torch.no_grad():
        p = torch.cat([model(windows[i:i + 128].flatten(0, 1).unsqueeze(1))[0].softmax(1) for i in range(0, len(windows), 128)])
    median = (p.cumsum(1) < 0.5).sum(1).float() + 30
    error = (median.view(len(windows), -1) - bpm.unsqueeze(1)).abs().mean(1)
    return np.mean([error[subjects == s].mean().item() for s in np.unique(subjects)])


def run_pytorch(args, test_subjects):
    torch.set_num_threads(os.cpu_count())
    windows, bpm, subject, names = read_dataset(args.dataset)
    test = np.isin(subject, [names.index(name) for name in test_subjects])
    begin = time.perf_counter()
    x, classes = torch.tensor(windows[~test]), torch.tensor(np.clip(np.rint(bpm[~test]) - 30, 0, CLASSES - 1)).long()
    errors = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        teacher = train(ResNet(32, 8, dropout=0.1), "scratch", None, x, classes, args.epochs, seed)
        for base, blocks in STUDENTS:
            for method in METHODS:
                torch.manual_seed(seed)
                student = train(ResNet(base, blocks), method, teacher if method != "scratch" else None, x, classes, args.epochs, seed)
                errors.setdefault((base, blocks), []).append(
                    error_of(student, torch.tensor(windows[test]), torch.tensor(bpm[test]), subject[test]))
    return time.perf_counter() - begin, errors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--retort", default="build/release/bin/retort")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    ours_s, rows = run_retort(args)
    students = [row for row in rows if row.get("kind") == "student"]
    if len(students) != 30:
        sys.exit(f"sweep_beside_pytorch.py: {len(students)} results of students; expected 30")
    theirs_s, errors = run_pytorch(args, [s["subject"] for s in students[0]["subjects"]])
    ours = {f"{b}/{n}": float(np.mean([r["mae_bpm"] for r in students if r["student"] == f"resnet1d-{b}/{n}"])) for b, n in STUDENTS}
    theirs = {f"{b}/{n}": float(np.mean(v)) for (b, n), v in errors.items()}
    spread = float(np.mean([np.std([r["mae_bpm"] for r in students if r["student"] == f"resnet1d-{b}/{n}"]) for b, n in STUDENTS]))
    print(json.dumps({"row": "sweep", "ratio": theirs_s / ours_s, "ours_s": ours_s, "pytorch_s": theirs_s, "epochs": args.epochs,
                      "mae_bpm": ours, "pytorch_mae_bpm": theirs, "spread_of_methods_and_seeds_bpm": spread}))


if __name__ == "__main__":
    main()
