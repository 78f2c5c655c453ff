"""Reads weights and a dataset with NumPy alone and prints the heart rates of an MLP.

Usage: numpy_predict.py WEIGHTS DATASET. A JSON list, one entry per window and channel: [median, arg max, expectation].
"""
import json
import sys

import numpy as np

TYPES = {"F32": "<f4", "I32": "<i4"}


def load(path):
    """Tensors and metadata of a safetensors file."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def main():
    weights, metadata = load(sys.argv[1])
    x = load(sys.argv[2])[0]["windows"]
    x = x.reshape(-1, x.shape[2]).astype(np.float64)
    for layer in range(json.loads(metadata["model"])["mlp"]["depth"]):
        x = np.maximum(x @ weights[f"hidden{layer}.weight"].T + weights[f"hidden{layer}.bias"], 0)
    logits = x @ weights["head.weight"].T + weights["head.bias"]
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    median = 30 + (np.cumsum(p, 1) < 0.5).sum(1)
    expectation = p @ (30 + np.arange(180))
    print(json.dumps(np.stack([median, 30 + p.argmax(1), expectation], 1).tolist()))


main()
