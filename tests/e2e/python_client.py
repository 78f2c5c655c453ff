"""The Python package against a real coordinator: python_client.py HOST:PORT PROGRAM DATASET"""
import pathlib
import sys
import tempfile
import unittest

import numpy as np
import pandas as pd

import retort
from retort import safetensors

ADDRESS, PROGRAM, DATASET = sys.argv[1:4]
SWEEP = {"name": "py", "datasets": {"d": {"path": DATASET}}, "split": {"kfold": 2}, "teachers": [{"resnet1d": "8/4"}],
         "students": [{"resnet1d": ["4/4", "16/4"]}], "methods": ["scratch", "soft"], "train": {"epochs": 4}, "seeds": [0, 1]}


def new_client(**options):
    return retort.Client(ADDRESS, **({"program": PROGRAM} | options))


class Results(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client = new_client()
        cls.seen = []
        cls.sweep = cls.client.submit(SWEEP)
        cls.ended = cls.client.wait(cls.sweep, timeout_s=60, progress=cls.seen.append)

    def test_a_sweep_is_submitted_and_waited_for(self):
        self.assertEqual(self.sweep.name, "py")
        self.assertEqual((self.ended.state, self.ended.jobs, self.ended.succeeded), ("done", 20, 20))
        self.assertTrue(self.seen[-1].ended)
        self.assertIn("py", set(self.client.sweeps().name))
        jobs = self.client.jobs("py")
        self.assertEqual(len(jobs), 20)
        self.assertEqual(set(jobs.state), {"succeeded"})
        again = self.client.submit(SWEEP | {"name": "again"}, dry_run=True)
        self.assertEqual((again.jobs, again.known_jobs), (20, 20))

    def test_a_file_is_submitted_with_paths_relative_to_it(self):
        with tempfile.TemporaryDirectory() as folder:
            data = pathlib.Path(folder) / "mine.safetensors"
            data.write_bytes(pathlib.Path(DATASET).read_bytes())
            file = pathlib.Path(folder) / "sweep.yaml"
            file.write_text("name: file\ndatasets: {d: {path: mine.safetensors}}\nsplit: {kfold: 2}\n"
                            "students: [{resnet1d: 4/4}]\nmethods: [scratch]\ntrain: {epochs: 4}\nseeds: [0, 1]\n")
            sweep = self.client.submit(file)
        self.assertEqual((sweep.jobs, sweep.known_jobs), (4, 4))

    def test_results_are_a_table(self):
        results = self.client.results(self.sweep)
        self.assertEqual(len(results), 20)
        self.assertEqual(results.mae_bpm.dtype, "float64")
        self.assertEqual(results.params.dtype, "int64")
        self.assertTrue(results.selected.all())
        means = results[results.kind == "student"].groupby(["student", "method"]).mae_bpm.mean()
        self.assertEqual(len(means), 4)
        asked = self.client.query("SELECT job, mae_bpm, params FROM results WHERE sweep = 'py'").set_index("job")
        mine = results.set_index("job")
        pd.testing.assert_series_equal(asked.mae_bpm.sort_index(), mine.mae_bpm.sort_index())
        subjects = self.client.results(self.sweep, per_subject=True)
        self.assertEqual(len(subjects), 20 * 3)  # six subjects, half of them in each fold
        mean = subjects.groupby("job").mae_bpm.mean()
        np.testing.assert_allclose(mean, mine.mae_bpm.loc[mean.index], rtol=1e-9)

    def test_queries_are_typed(self):
        table = self.client.query("SELECT 9007199254740993 AS big, 0.5 AS half, 'a' AS text, NULL AS none, x'ff' AS bytes "
                                  "UNION ALL SELECT NULL, 1, 'b', NULL, NULL")
        self.assertEqual(list(table.columns), ["big", "half", "text", "none", "bytes"])
        self.assertEqual(table.big.dtype, "Int64")
        self.assertEqual(table.big[0], 9007199254740993)
        self.assertEqual(table.half.dtype, "float64")
        self.assertEqual(table.bytes[0], b"\xff")
        self.assertEqual(self.client.query("SELECT 9007199254740993 AS n").n.dtype, "int64")
        self.assertEqual(list(self.client.query("SELECT 1, 1").iloc[0]), [1, 1])
        cut = self.client.query("SELECT job FROM jobs", max_rows=3)
        self.assertEqual((len(cut), cut.attrs["truncated"]), (3, True))
        none = self.client.query("SELECT job, seed FROM jobs WHERE 0")
        self.assertEqual((len(none), list(none.columns)), (0, ["job", "seed"]))
        self.assertEqual(list(self.client.workers().worker), ["w1"])

    def test_metrics_and_weights_are_arrays(self):
        job = self.client.results(self.sweep).job[0]
        metrics = self.client.metrics(job[:12], "train.loss")
        self.assertEqual(list(metrics.step), [0, 1, 2, 3])
        self.assertEqual(str(metrics.time.dtype), "datetime64[ns, UTC]")
        self.assertGreater(len(set(self.client.metrics(job).series)), 1)
        self.assertEqual(len(self.client.metrics(job, "train.loss", max_points=2)), 2)
        weights = self.client.weights(job)
        self.assertTrue(all(isinstance(array, np.ndarray) for array in weights.values()))
        self.assertIn("model", weights.metadata)
        with self.assertRaisesRegex(retort.NotFound, "has no train.los; it has: .*train.loss"):
            self.client.metrics(job, "train.los")

    def test_a_dataset_of_arrays_is_trained_on(self):
        rng = np.random.default_rng(3)
        bpm = rng.uniform(60, 120, 120)
        phase = 2 * np.pi * np.outer(bpm / 60, np.arange(200) / 25)
        dataset = retort.Dataset.from_arrays(np.sin(phase), bpm, [f"s{i % 6}" for i in range(120)])
        sweep = self.client.submit(SWEEP | {"name": "arrays", "datasets": {"d": dataset}})
        self.assertEqual((sweep.jobs, sweep.known_jobs), (20, 0))
        self.assertEqual(self.client.wait(sweep, timeout_s=60, progress=False).state, "done")
        np.testing.assert_allclose(dataset.fft_bpm[:, 0], bpm, atol=3)


class Datasets(unittest.TestCase):
    def test_the_floor_is_that_of_the_other_tools(self):
        made = retort.Dataset.load(DATASET)
        mine = retort.Dataset.from_arrays(made.windows, made.bpm, [made.subjects[i] for i in made.subject], normalize=False)
        # Sums of floats in another order may choose another of two equal peaks.
        self.assertGreater(np.mean(mine.fft_bpm == made.fft_bpm), 0.99)
        self.assertEqual(mine.subjects, made.subjects)

    def test_what_is_saved_is_read_again(self):
        made = retort.Dataset.from_arrays(np.random.default_rng(0).normal(size=(6, 2, 200)), [60] * 6, [3, 3, 1, 1, 2, 2],
                                          channels=["green", "red"], metadata={"source": "test"})
        np.testing.assert_allclose(made.windows.mean(axis=2), 0, atol=1e-5)
        np.testing.assert_allclose(made.windows.std(axis=2), 1, atol=1e-4)
        self.assertEqual(list(made.start_s), [0, 2, 0, 2, 0, 2])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "d.safetensors"
            made.save(path)
            read = retort.Dataset.load(path)
        np.testing.assert_array_equal(read.windows, made.windows)
        self.assertEqual((read.subjects, read.channels, read.metadata), (["3", "1", "2"], ["green", "red"], made.metadata))

    def test_wrong_arrays_are_refused_with_what_would_be_right(self):
        windows, bpm, subject = np.ones((4, 200)), np.full(4, 60.0), ["a", "a", "b", "b"]
        bad = windows.copy()
        bad[2, 7] = np.nan
        for arguments, words in [
                ((bad, bpm, subject), r"windows: nan at \(2, 7\); must be finite"),
                ((windows[0], bpm, subject), r"windows: shape \(200,\); must be an array \[windows, samples\]"),
                (([[1, 2], [3]], bpm, subject), "windows: not numbers of one shape"),
                ((windows, bpm[:3], subject), "bpm: 3 entries; must be one for each of the 4 windows"),
                ((windows, [60, 60, 300, 60], subject), "bpm: 300 at window 2; must be 20 to 250"),
                ((windows, bpm, subject[:2]), "subject: 2 entries; must be one for each of the 4 windows"),
                ((np.ones((0, 200)), [], []), r"windows: shape \(0, 200\); must be not empty")]:
            with self.assertRaisesRegex(retort.InvalidArgument, words):
                retort.Dataset.from_arrays(*arguments)
        with self.assertRaisesRegex(retort.InvalidArgument, "channels: 2 names"):
            retort.Dataset.from_arrays(windows, bpm, subject, channels=["a", "b"])

    def test_damaged_files_are_refused(self):
        whole = safetensors.dumps({"a": np.arange(3, dtype=np.float32)}, {"k": "v"})
        tensors, metadata = safetensors.loads(whole, "x")
        self.assertEqual((list(tensors["a"]), metadata), ([0, 1, 2], {"k": "v"}))
        for damaged in (b"", whole[:7], whole[:20], whole[:-4], b"\xff" * 40, whole.replace(b"F32", b"F99")):
            with self.assertRaisesRegex(retort.InvalidArgument, "x: not a safetensors file"):
                safetensors.loads(damaged, "x")
        with self.assertRaisesRegex(retort.InvalidArgument, "not a safetensors file"):
            retort.Dataset.load(__file__)
        with self.assertRaises(retort.NotFound):
            retort.Dataset.load("/nonexistent")


class Errors(unittest.TestCase):
    def test_wrong_input_is_refused_with_what_would_be_right(self):
        client = new_client()
        for call, kind, words in [
                (lambda: client.query("DELETE FROM jobs"), retort.InvalidArgument, "sql: "),
                (lambda: client.query("SELECT * FROM nowhere"), retort.InvalidArgument, "no such table: nowhere"),
                (lambda: client.sweep("nosuch"), retort.NotFound, "sweeps/nosuch: no such sweep"),
                (lambda: client.wait("nosuch"), retort.NotFound, "no such sweep"),
                (lambda: client.results("nosuch"), retort.NotFound, "no such sweep"),
                (lambda: client.sweep(""), retort.InvalidArgument, "must be the name of a sweep"),
                (lambda: client.job("xyz"), retort.InvalidArgument, "at least its first 6 digits"),
                (lambda: client.job("f" * 64), retort.NotFound, "no such job"),
                (lambda: client.submit("/nonexistent.yaml"), retort.NotFound, "/nonexistent.yaml: no such file"),
                (lambda: client.submit(SWEEP | {"trian": {}}), retort.InvalidArgument, "trian.*did you mean 'train'"),
                (lambda: client.submit(SWEEP | {"seeds": [object()]}), retort.InvalidArgument, "is a object; must be what YAML"),
                (lambda: retort.Client("nowhere"), retort.InvalidArgument, "must be HOST:PORT"),
                (lambda: retort.Client("10.0.0.1:7641"), retort.InvalidArgument, "allow it with insecure=True"),
                (lambda: new_client(program="/nonexistent").submit(SWEEP), retort.NotFound, "RETORT_PROGRAM"),
                (lambda: retort.Client("127.0.0.1:1", patience_s=0.2).sweeps(), retort.Unavailable,
                 "no coordinator answers at 127.0.0.1:1")]:
            with self.assertRaisesRegex(kind, words):
                call()

    def test_sweeps_that_fail_or_take_long_say_so(self):
        with new_client() as client:
            sweep = client.submit(SWEEP | {"name": "long", "train": {"epochs": 5000}, "seeds": [7]})
            with self.assertRaisesRegex(retort.TimedOut, "has not ended within 0.5 s; it goes on"):
                client.wait(sweep, timeout_s=0.5, progress=False)
            self.assertEqual(client.pause(sweep).state, "paused")
            self.assertEqual(client.resume(sweep).state, "active")
            self.assertEqual(client.cancel(sweep).state, "cancelled")
            with self.assertRaisesRegex(retort.SweepFailed, "cancelled jobs of 10; `retort job list"):
                client.wait(sweep, progress=False)
            job = client.jobs(sweep).job[0]
            with self.assertRaisesRegex(retort.NotFound, "has no weights: it is "):
                client.weights(job)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
