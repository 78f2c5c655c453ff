#!/usr/bin/env python3
"""Writes what a teacher of any framework says about a prepared dataset, for students to learn from.

    write_outputs.py DATASET.safetensors --out outputs.safetensors

As it stands the teacher is a toy, in NumPy: the spectrum of the window at 30 to 209 BPM. Put yours into `teacher`; the
rest is the format (common/spec/outputs_file.h): `logits` F32 [windows, channels, 180], `features` F32 [windows, channels, F]
where there are any, the metadata `format`, and `dataset`, the SHA-256 of the dataset's file: outputs belong to the very
bytes that they were made from.
"""
import argparse
import hashlib
import json

import numpy as np

TYPES = {"F32": "<f4", "I32": "<i4", "I64": "<i8", "F64": "<f8"}


def load(path):
    """Tensors, metadata and SHA-256 of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata, hashlib.sha256(data).hexdigest()


def save(path, tensors, metadata):
    """A safetensors file of float32 tensors."""
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + 4 * array.size]}
        offset += 4 * array.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array, "<f4").tobytes())


def teacher(windows, rate_hz):
    """Logits [N, 180] and features [N, F] of windows [N, samples]. Yours goes here."""
    bpm = 30 + np.arange(180)
    turns = 2j * np.pi * np.outer(np.arange(windows.shape[1]) / rate_hz, bpm / 60)
    power = np.abs((windows * np.hanning(windows.shape[1])) @ np.exp(-turns)) ** 2
    logits = np.log(power / power.sum(1, keepdims=True) + 1e-6)
    return logits, np.sqrt(power.reshape(len(power), 18, 10).mean(2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset")
    parser.add_argument("--out", required=True)
    parser.add_argument("--no-features", action="store_true")
    args = parser.parse_args()
    tensors, metadata, sha256 = load(args.dataset)
    windows = tensors["windows"]
    count, channels, samples = windows.shape
    logits, features = teacher(windows.reshape(-1, samples), float(metadata["rate_hz"]))
    out = {"logits": logits.reshape(count, channels, 180)}
    if not args.no_features:
        out["features"] = features.reshape(count, channels, -1)
    save(args.out, out, {"format": "retort.outputs.v1", "dataset": sha256})


if __name__ == "__main__":
    main()
