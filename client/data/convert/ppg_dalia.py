#!/usr/bin/env python3
"""PPG-DaLiA's recordings (PPG_FieldStudy/Sn/Sn.pkl) to folders for `retort data prepare npy`.

    python3 ppg_dalia.py PPG_FieldStudy/S*/S*.pkl --out dalia
    retort data prepare npy --from dalia --out dalia.safetensors

The files are pickles of Python 2, and a pickle can run any program. This reads them with an
unpickler that knows NumPy's arrays and nothing else; whatever else a file asks for is refused by
name and not run. Needs NumPy.
"""
import os
import pickle
import sys

import numpy as np

from common import Refused, run, windows_in, write_recording

RATE_HZ = 64  # of the wrist's blood volume pulse

_ALLOWED = {
    ("numpy", "ndarray"), ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "scalar"),
}


class NumpyUnpickler(pickle.Unpickler):
    """Finds what arrays are made of; raises Refused for any other name."""

    def __init__(self, file, path):
        super().__init__(file, encoding="latin1")
        self._path = path

    def find_class(self, module, name):
        if (module, name) not in _ALLOWED:
            raise Refused(f"{self._path}: asks for {module}.{name}, which is no NumPy array; refused "
                          "and not run. A file of PPG-DaLiA holds arrays only")
        return super().find_class(module, name)

    def persistent_load(self, pid):
        raise Refused(f"{self._path}: refers to an object outside of it; refused")


def load(path):
    with open(path, "rb") as file:
        try:
            return NumpyUnpickler(file, path).load()
        except Refused:
            raise
        except Exception as error:  # a damaged pickle raises almost anything
            raise Refused(f"{path}: damaged or no pickle: {error}") from error


def numbers(path, content, *keys):
    """The array under these keys, as doubles in one dimension."""
    for depth, key in enumerate(keys):
        if not isinstance(content, dict) or key not in content:
            holds = ", ".join(sorted(map(str, content))) if isinstance(content, dict) else type(content).__name__
            raise Refused(f"{path}: no '{key}' in {'.'.join(keys[:depth]) or 'it'}; it holds: {holds}")
        content = content[key]
    if not isinstance(content, np.ndarray) or content.dtype.kind not in "fiu" or content.size == 0:
        raise Refused(f"{path}: {'.'.join(keys)} must be an array of numbers")
    if content.size != max(content.shape):
        raise Refused(f"{path}: {'.'.join(keys)} has shape {content.shape}; must be one column")
    return content.astype(np.float64).ravel()


def convert(path, options):
    content = load(path)
    bvp = numbers(path, content, "signal", "wrist", "BVP")
    bpm = numbers(path, content, "label")
    windows = windows_in(len(bvp), RATE_HZ)
    if len(bpm) > windows:
        raise Refused(f"{path}: label has {len(bpm)} heart rates; the {len(bvp)} samples of BVP at "
                      f"{RATE_HZ} Hz have {windows} windows of 8 s every 2 s")
    name = os.path.splitext(os.path.basename(path))[0]
    write_recording(options.out, name, bvp[np.newaxis], RATE_HZ, bpm)


if __name__ == "__main__":
    sys.exit(run(__doc__.split("\n")[0], convert))
