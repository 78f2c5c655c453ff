"""Writes signal_reference.json: what SciPy computes for client/data/signal.h.

    python3 tests/golden/signal_reference.py     # needs NumPy and SciPy; the numbers here are from SciPy 1.10.1
"""
import json
import pathlib

import numpy as np
import scipy.interpolate
import scipy.signal as ss


def test_signal(n, rate):
    """The same formula stands in tests/unit/data/signal_test.cc."""
    t = np.arange(n) / rate
    return (np.sin(2 * np.pi * 1.3 * t) + 0.4 * np.sin(2 * np.pi * 2.6 * t + 0.5) + 0.7 * np.sin(2 * np.pi * 7.0 * t)
            + 0.2 * np.sin(2 * np.pi * 30.0 * t) + 3.0 + 0.05 * t * t)


def resample(x, up, down):
    """resample_poly of the signal continued by odd reflection instead of zeros."""
    pad = down * (1 + 10 * max(up, down) // up // down)  # at least half the filter, and a whole number of outputs
    extended = ss._arraytools.odd_ext(x, pad)
    start = pad * up // down
    return ss.resample_poly(extended, up, down)[start:start + -(-len(x) * up // down)]


designs = [dict(order=order, low_hz=low, high_hz=high, rate_hz=rate,
                sos=ss.butter(order, [low, high], "bandpass", fs=rate, output="sos").tolist())
           for order, low, high, rate in [(4, 0.5, 4.0, 125), (4, 0.5, 4.0, 50), (4, 0.4, 8.0, 30), (2, 0.5, 4.0, 64)]]

x = test_signal(1500, 125)
sos = ss.butter(4, [0.5, 4.0], "bandpass", fs=125, output="sos")
causal, _ = ss.sosfilt(sos, x, zi=ss.sosfilt_zi(sos) * x[0])
zero_phase = ss.sosfiltfilt(sos, x)
out = dict(
    designs=designs,
    zero_phase=zero_phase.tolist(),
    causal=causal.tolist(),
    resampled=[dict(up=up, down=down, values=resample(x, up, down).tolist())
               for up, down in [(1, 5), (25, 128), (25, 64)]],
)
# 30 frames a second at irregular times, seen on a grid of 100 Hz.
frames = np.arange(90)
irregular_t = frames / 30 + 0.012 * np.sin(frames * 1.7)
irregular_t -= irregular_t[0]
irregular_x = np.sin(2 * np.pi * 1.3 * irregular_t) + 0.4 * np.sin(2 * np.pi * 3.1 * irregular_t)
grid = np.arange(int(np.floor(irregular_t[-1] * 100)) + 1) / 100
out["irregular"] = dict(time_s=irregular_t.tolist(), x=irregular_x.tolist(),
                        values=scipy.interpolate.PchipInterpolator(irregular_t, irregular_x)(grid).tolist())
path = pathlib.Path(__file__).with_name("signal_reference.json")
path.write_text(json.dumps(out) + "\n")
