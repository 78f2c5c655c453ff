#!/usr/bin/env python3
"""WildPPG's recordings (a MAT file per participant) to folders for `retort data prepare npy`.

    python3 wildppg.py WildPPG_Part_*.mat --site wrist --out wildppg
    retort data prepare npy --from wildppg --out wildppg.safetensors

The set has no heart rates: they come from R peaks (Pan-Tompkins) of the sternum's ECG in windows of
8 s, and are left out where these are not clear. Channels: green, infrared, red. Needs NumPy and SciPy.
"""
import os
import sys

import numpy as np
import scipy.io

from common import Refused, run, write_recording
from pan_tompkins import heart_rates

SITES = ("wrist", "ankle", "head", "sternum")
CHANNELS = ("ppg_g", "ppg_ir", "ppg_r")


def load(path):
    try:
        return scipy.io.loadmat(path, simplify_cells=True)
    except OSError:
        raise
    except Exception as error:  # SciPy raises almost anything on a damaged file
        raise Refused(f"{path}: damaged or no MAT file of version 5: {error}") from error


def signal_of(path, content, site, name):
    """Samples and rate of one signal, a structure with `v` and `fs`."""
    try:
        entry = content[site][name]
        values, rate_hz = np.asarray(entry["v"]), float(entry["fs"])
    except (KeyError, TypeError, ValueError, IndexError):
        raise Refused(f"{path}: no {site}.{name} with v and fs; must be a participant's file of WildPPG") from None
    if values.dtype.kind not in "fiu" or values.size == 0 or values.size != max(values.shape):
        raise Refused(f"{path}: {site}.{name}.v has shape {values.shape}; must be one row of numbers")
    if rate_hz != int(rate_hz) or not 25 <= rate_hz <= 100000:
        raise Refused(f"{path}: {site}.{name}.fs is {rate_hz}; must be a whole number from 25 Hz")
    return values.astype(np.float64).ravel(), int(rate_hz)


def convert(path, options):
    content = load(path)
    signals = [signal_of(path, content, options.site, name) for name in CHANNELS]
    ecg, ecg_hz = signal_of(path, content, "sternum", "ecg")
    rate_hz = signals[0][1]
    if any(rate != rate_hz for _, rate in signals):
        raise Refused(f"{path}: rates of {options.site} are {[rate for _, rate in signals]} Hz; must be one")
    # Signals of a device end within some samples of each other.
    seconds = min(min(len(x) for x, _ in signals) / rate_hz, len(ecg) / ecg_hz)
    if seconds < 10:
        raise Refused(f"{path}: {seconds:.1f} s; must be at least 10 s")
    signal = np.stack([x[:int(seconds * rate_hz)] for x, _ in signals])
    bpm = heart_rates(ecg[:int(seconds * ecg_hz)], ecg_hz)
    name = os.path.splitext(os.path.basename(path))[0]
    write_recording(options.out, name, signal, rate_hz, bpm)


if __name__ == "__main__":
    sys.exit(run(__doc__.split("\n")[0], convert,
                 lambda parser: parser.add_argument("--site", choices=SITES, default="wrist")))
