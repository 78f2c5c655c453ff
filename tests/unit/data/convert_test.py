"""Tests of client/data/convert on files of the sets' structure that they make themselves.

    python3 tests/unit/data/convert_test.py [path of the retort program]
"""
import io
import os
import pickle
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import scipy.io
except ImportError as missing:
    print(f"SKIPPED: the converters need NumPy and SciPy (python3-numpy, python3-scipy): {missing}")
    sys.exit(77)

CONVERT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../client/data/convert")
RETORT = None
sys.path.insert(0, CONVERT)
from pan_tompkins import heart_rates, r_peaks  # noqa: E402


class Python2Pickler(pickle._Pickler):
    """Writes bytes and texts as Python 2 wrote its strings."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, obj):
        data = obj if isinstance(obj, bytes) else obj.encode("latin1")
        self.write(b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(obj)

    dispatch[bytes] = save_string
    dispatch[str] = save_string


def python2_pickle(content):
    out = io.BytesIO()
    Python2Pickler(out, protocol=2).dump(content)
    return out.getvalue()


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def ecg_of(bpm, seconds, rate_hz=128):
    """R waves at a slowly varying rate, with T waves and noise; and the times of the R waves."""
    rng = np.random.default_rng(1)
    beats, t = [], 0.3
    while t < seconds:
        beats.append(t)
        t += 60 / bpm(t)
    time = np.arange(int(seconds * rate_hz)) / rate_hz
    x = 0.03 * rng.standard_normal(len(time)) + 0.3 * np.sin(2 * np.pi * 0.2 * time)
    for beat in beats:
        for at, width, height in ((0, 0.012, 1.0), (-0.03, 0.012, -0.2), (0.25, 0.05, 0.3)):
            x += height * np.exp(-0.5 * ((time - beat - at) / width) ** 2)
    return x, np.array(beats)


class Converting(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.out = os.path.join(self.folder.name, "out")

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def convert(self, script, *args):
        return subprocess.run([sys.executable, os.path.join(CONVERT, script), *args, "--out", self.out],
                              capture_output=True, text=True)

    def refuses(self, script, path, *words):
        ran = self.convert(script, path)
        self.assertEqual(ran.returncode, 2, ran.stderr)
        for word in (path, *words):
            self.assertIn(word, ran.stderr)
        self.assertNotIn("Traceback", ran.stderr)
        self.assertFalse(os.path.exists(self.out) and os.listdir(self.out))

    def loaded(self, name):
        folder = os.path.join(self.out, name)
        return [np.load(os.path.join(folder, f"{part}.npy")) for part in ("signal", "rate", "bpm")]

    def prepares(self, windows):
        if RETORT is None:
            return
        target = self.path("prepared.safetensors")
        ran = subprocess.run([RETORT, "data", "prepare", "npy", "--from", self.out, "--out", target, "-o", "json"],
                             capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn(f'"windows": {windows}', ran.stdout.replace('":', '": ').replace(":  ", ": "))


class PpgDalia(Converting):
    def content(self):
        n = 64 * 60
        bvp = np.sin(np.arange(n) / 64 * 2 * np.pi * 1.5).reshape(n, 1)
        return {"signal": {"wrist": {"BVP": bvp, "ACC": np.zeros((32 * 60, 3))}, "chest": {}},
                "label": np.full(27, 90.0), "activity": np.zeros((240, 1)), "subject": "S7"}

    def test_converts_a_python_2_pickle(self):
        path = self.write("S7.pkl", python2_pickle(self.content()))
        ran = self.convert("ppg_dalia.py", path)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        signal, rate, bpm = self.loaded("S7")
        np.testing.assert_array_equal(signal[0], self.content()["signal"]["wrist"]["BVP"][:, 0])
        self.assertEqual(rate, 64)
        np.testing.assert_array_equal(bpm, np.full(27, 90.0))
        self.prepares(27)

    def test_runs_no_code(self):
        mark = self.path("ran")
        evil = self.content()
        evil["activity"] = Evil(f"touch {mark}")
        for data in (python2_pickle(evil), pickle.dumps(Evil(f"touch {mark}"), 4)):
            self.refuses("ppg_dalia.py", self.write("S1.pkl", data), f"{os.system.__module__}.system")
            self.assertFalse(os.path.exists(mark))

    def test_says_what_is_wrong(self):
        content = self.content()
        del content["signal"]["wrist"]["BVP"]
        self.refuses("ppg_dalia.py", self.write("a.pkl", python2_pickle(content)), "no 'BVP' in signal.wrist", "ACC")
        content = self.content()
        content["label"] = np.full(28, 90.0)
        self.refuses("ppg_dalia.py", self.write("b.pkl", python2_pickle(content)), "28", "27 windows")
        whole = python2_pickle(self.content())
        self.refuses("ppg_dalia.py", self.write("c.pkl", whole[:len(whole) // 2]), "damaged")


class WildPpg(Converting):
    def content(self, seconds=60):
        ecg, _ = ecg_of(lambda t: 80 + 20 * np.sin(t / 10), seconds)
        entry = lambda v: {"fs": 128.0, "descr": "x", "v": v.reshape(1, -1)}
        site = lambda: {k: entry(np.sin(np.arange(seconds * 128) / 20 + i))
                        for i, k in enumerate(("ppg_g", "ppg_ir", "ppg_r", "acc_x", "acc_y", "acc_z"))}
        return {"sternum": dict(site(), ecg=entry(ecg)), "head": site(), "wrist": site(), "ankle": site()}

    def test_converts_structures_with_heart_rates_from_the_ecg(self):
        path = self.path("WildPPG_Part_a.mat")
        scipy.io.savemat(path, self.content(), do_compression=True)
        ran = self.convert("wildppg.py", path)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        signal, rate, bpm = self.loaded("WildPPG_Part_a")
        self.assertEqual(signal.shape, (3, 60 * 128))
        self.assertEqual(rate, 128)
        wanted = [np.mean(80 + 20 * np.sin(np.linspace(2 * i, 2 * i + 8, 200) / 10)) for i in range(27)]
        np.testing.assert_allclose(bpm, wanted, atol=2.5)
        self.prepares(27)

    def test_says_what_is_wrong(self):
        content = self.content()
        del content["sternum"]["ecg"]
        scipy.io.savemat(self.path("a.mat"), content)
        self.refuses("wildppg.py", self.path("a.mat"), "no sternum.ecg")
        self.refuses("wildppg.py", self.write("b.mat", b"MATLAB 5.0 MAT-file, cut short"), "damaged")


class PanTompkins(unittest.TestCase):
    def test_finds_the_beats(self):
        for bpm in (45, 75, 120, 180):
            ecg, beats = ecg_of(lambda t: bpm, 60)
            found = r_peaks(ecg, 128) / 128
            # Missed beats, and beats that are none, at 50 ms; the first second teaches the levels.
            near = lambda a, b: sum(np.abs(b - x).min() > 0.05 for x in a if 1 < x < 59)
            self.assertLessEqual(near(beats, found), 1, bpm)
            self.assertLessEqual(near(found, beats), 1, bpm)

    def test_gives_no_heart_rate_where_there_is_no_ecg(self):
        ecg, _ = ecg_of(lambda t: 75, 60)
        ecg[20 * 128:40 * 128] = np.nan
        bpm = heart_rates(ecg, 128)
        self.assertTrue(np.isnan(bpm[7:20]).all())
        self.assertTrue(np.isfinite(bpm[:6]).all())
        self.assertTrue(np.isnan(heart_rates(np.zeros(128 * 20), 128)).all())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        RETORT = sys.argv.pop(1)
    unittest.main()
