"""What the converters share: folders that appear whole or not at all, and one clear error.

A recording is a folder with signal.npy [C, N], rate.npy (Hz) and bpm.npy [L], which
`retort data prepare npy` reads: reference i is of seconds [2i, 2i + 8), NaN where there is none.
"""
import argparse
import os
import shutil
import sys
import tempfile

import numpy as np

WINDOW_S, STRIDE_S = 8, 2


class Refused(Exception):
    """An input that is not what it should be: says which file, what it holds, what would be right."""


def windows_in(samples, rate_hz):
    return max(0, (samples - WINDOW_S * rate_hz) // (STRIDE_S * rate_hz) + 1)


def write_recording(out, name, signal, rate_hz, bpm):
    """Writes OUT/NAME under a temporary name and renames it."""
    target = os.path.join(out, name)
    if os.path.exists(target):
        raise Refused(f"{target}: exists; remove it or choose another --out")
    os.makedirs(out, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=".convert-", dir=out)
    try:
        np.save(os.path.join(temporary, "signal.npy"), np.ascontiguousarray(signal, dtype="<f8"))
        np.save(os.path.join(temporary, "rate.npy"), np.array(rate_hz, dtype="<f8"))
        np.save(os.path.join(temporary, "bpm.npy"), np.ascontiguousarray(bpm, dtype="<f8"))
        os.chmod(temporary, 0o755)
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    known = int(np.isfinite(bpm).sum())
    print(f"{target}: {signal.shape[0]} channels, {signal.shape[1]} samples at {rate_hz} Hz, "
          f"{known} of {len(bpm)} windows with a heart rate")


def run(description, convert, add_options=lambda parser: None):
    """Converts every file that is named; the exit code of the program."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--out", required=True, help="folder for `retort data prepare npy --from`")
    add_options(parser)
    options = parser.parse_args()
    try:
        for path in options.files:
            convert(path, options)
    except (Refused, OSError) as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return 2
    return 0
