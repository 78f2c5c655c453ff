"""A study from arrays to a table, cell by cell: python3 study.py [HOST:PORT]"""
# %% A dataset of arrays. Here made up: a pulse at a known rate, with noise that hides it more or less.
import sys

import numpy as np

import retort

rng = np.random.default_rng(0)
count, samples, rate_hz = 240, 200, 25.0
bpm = rng.uniform(50, 150, count)
subject = [f"s{i % 6}" for i in range(count)]
time_s = np.arange(samples) / rate_hz
pulse = np.sin(2 * np.pi * np.outer(bpm, time_s) / 60 + rng.uniform(0, 6, (count, 1)))
windows = pulse + rng.normal(0, 0.7, (count, samples))
dataset = retort.Dataset.from_arrays(windows, bpm, subject, rate_hz=rate_hz)
print(dataset)

# %% A sweep, as a sweep file would say it.
client = retort.Client(*sys.argv[1:])
sweep = client.submit({
    "name": "study",
    "datasets": {"made-up": dataset},
    "split": {"kfold": 2},
    "teachers": [{"resnet1d": "8/4"}],
    "students": [{"resnet1d": ["2/4", "4/4"]}],
    "methods": ["scratch", "soft"],
    "train": {"epochs": 3},
})
client.wait(sweep, progress=lambda now: print(f"{now.succeeded} of {now.jobs} jobs are done"))

# %% What came of it.
results = client.results(sweep)
students = results[results.kind == "student"]
print(students.groupby(["student", "method"]).mae_bpm.mean().round(2))
print(client.query(f"SELECT method, count(*) AS jobs, avg(mae_bpm) AS mae FROM results WHERE sweep = '{sweep}' GROUP BY 1"))

# %% The best network: how it learnt, and its weights.
best = students.sort_values("mae_bpm").iloc[0]
print(client.metrics(best.job, "train.loss")[["step", "value"]])
for name, array in client.weights(best.job).items():
    print(name, array.shape)
