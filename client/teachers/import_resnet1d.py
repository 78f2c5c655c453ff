#!/usr/bin/env python3
"""Turns a PyTorch checkpoint of a 1-D ResNet into weights that a sweep can be given as a teacher.

    import_resnet1d.py CHECKPOINT.pt --base 32 --blocks 8 --out teacher.safetensors

The networks are those of the `resnet1d` family, in the layout of the published implementations
(github.com/hsd1503/resnet1d, which PaPaGei and Pulse-PPG build on):

    first_block_conv, first_block_bn                        the stem
    basicblock_list.N.bn1, .conv1, .bn2, .conv2             blocks; the first has a bn1 that it never uses: dropped
    final_bn, dense                                         the end

Convolutions may be wrapped for same padding (`conv1.conv.weight`). `--map OLD=NEW` renames a prefix of another layout
first; `--prefix model.` takes one off. The head must have 180 outputs, class k for 30 + k BPM. Every tensor must be used:
what is left over or missing is an error, and nothing is written then.

Needs NumPy and PyTorch, here only: Retort itself runs no Python. The checkpoint is read by torch.load, which runs code
of its file: import only what you trust.
"""
import argparse
import json
import re
import sys

import numpy as np

CLASSES = 180
NORM = ("weight", "bias", "running_mean", "running_var")


def fail(message):
    sys.exit(f"import_resnet1d.py: {message}")


def block_channels(args):
    """(in, out) of every block."""
    channels = args.base
    for i in range(args.blocks):
        out = 2 * channels if i > 0 and i % args.widen_every == 0 else channels
        yield channels, out
        channels = out


def wanted(args):
    """Our tensors with their shapes, and the names that each may have in the checkpoint."""
    out = {}

    def conv(ours, theirs, n_in, n_out):
        for part, shape in (("weight", (n_out, n_in, args.kernel)), ("bias", (n_out,))):
            out[f"{ours}.{part}"] = (shape, [f"{theirs}.{part}", f"{theirs}.conv.{part}"])

    def norm(ours, theirs, n):
        for part in NORM:
            out[f"{ours}.{part}"] = ((n,), [f"{theirs}.{part}"])

    conv("stem", "first_block_conv", 1, args.base)
    norm("stem_norm", "first_block_bn", args.base)
    for i, (n_in, n_out) in enumerate(block_channels(args)):
        theirs = f"basicblock_list.{i}"
        if i > 0:
            norm(f"block{i}.norm1", f"{theirs}.bn1", n_in)
        conv(f"block{i}.conv1", f"{theirs}.conv1", n_in, n_out)
        norm(f"block{i}.norm2", f"{theirs}.bn2", n_out)
        conv(f"block{i}.conv2", f"{theirs}.conv2", n_out, n_out)
        last = n_out
    norm("last_norm", "final_bn", last)
    out["head.weight"] = ((CLASSES, last), ["dense.weight"])
    out["head.bias"] = ((CLASSES,), ["dense.bias"])
    return out


def read_state(args):
    """The checkpoint as {name: array}, renamed as asked."""
    import torch

    try:
        state = torch.load(args.checkpoint, map_location="cpu")
    except Exception as error:  # whatever a file that is no checkpoint makes of torch.load
        fail(f"{args.checkpoint}: torch.load: {error}")
    for key in ("state_dict", "model_state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if hasattr(state, "state_dict"):
        state = state.state_dict()
    if not isinstance(state, dict):
        fail(f"{args.checkpoint}: holds a {type(state).__name__}; expected a state dict")
    out = {}
    for name, tensor in state.items():
        if not hasattr(tensor, "numpy"):
            continue
        name = name[len(args.prefix):] if name.startswith(args.prefix) else name
        for rule in args.map:
            old, _, new = rule.partition("=")
            if name.startswith(old):
                name = new + name[len(old):]
        out[name] = tensor.detach().numpy()
    return out


def convert(state, args):
    """Our tensors from theirs."""
    out = {}
    for ours, (shape, names) in wanted(args).items():
        found = [name for name in names if name in state]
        if not found:
            fail(f"{args.checkpoint}: has no '{names[0]}', which {args.base}/{args.blocks} needs for '{ours}'; see --map")
        array = state.pop(found[0])
        if array.shape != shape:
            hint = ", a row for each heart rate from 30 to 209 BPM" if ours.startswith("head") else ""
            fail(f"{args.checkpoint}: '{found[0]}' is {list(array.shape)}; expected {list(shape)}{hint}")
        out[ours] = np.ascontiguousarray(array, dtype="<f4")
        if not np.isfinite(out[ours]).all():
            fail(f"{args.checkpoint}: '{found[0]}' holds a number that is not finite")
    # A norm that the first block registers and never uses, and counters of batches that norms keep.
    unused = re.compile(r"basicblock_list\.0\.bn1\.|.*num_batches_tracked$")
    left = [name for name in state if not unused.match(name)]
    if left:
        fail(f"{args.checkpoint}: '{left[0]}' and {len(left) - 1} more have no place in {args.base}/{args.blocks}")
    return out


def save(path, tensors, metadata):
    """A safetensors file."""
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(array.tobytes())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoint")
    parser.add_argument("--out", required=True)
    parser.add_argument("--base", type=int, required=True, help="channels of the stem")
    parser.add_argument("--blocks", type=int, required=True)
    parser.add_argument("--kernel", type=int, default=5)
    parser.add_argument("--stride", type=int, default=2)
    parser.add_argument("--downsample-every", type=int, default=2)
    parser.add_argument("--widen-every", type=int, default=4)
    parser.add_argument("--samples", type=int, default=200, help="of a window")
    parser.add_argument("--rate-hz", default="25", help="samples in a second of the input")
    parser.add_argument("--prefix", default="", help="taken off every name")
    parser.add_argument("--map", action="append", default=[], metavar="OLD=NEW", help="renames a prefix")
    args = parser.parse_args()
    tensors = convert(read_state(args), args)
    model = {"resnet1d": {"base": args.base, "blocks": args.blocks, "kernel": args.kernel, "stride": args.stride,
                          "downsample_every": args.downsample_every, "widen_every": args.widen_every, "dropout": 0}}
    save(args.out, tensors, {"format": "retort.model.v1", "model": json.dumps(model), "samples": str(args.samples),
                             "rate_hz": args.rate_hz, "first_bpm": "30", "source": "import_resnet1d.py"})
    print(f"{args.out}: {sum(a.size for n, a in tensors.items() if 'running' not in n)} parameters")


if __name__ == "__main__":
    main()
