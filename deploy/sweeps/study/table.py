#!/usr/bin/env python3
"""One row for each job and test subject, from `retort results study -o jsonl` on standard input, as CSV."""
import csv
import json
import sys

JOB = ["job", "kind", "method", "teacher", "student", "seed", "fold", "epochs", "params", "params_body", "macs",
       "latency_ms", "val_mae_bpm", "mae_bpm"]
SUBJECT = ["subject", "windows", "mae_bpm", "mae_argmax_bpm", "mae_expectation_bpm", "mae_all_channels_bpm",
           "floor_mean_bpm", "floor_fft_bpm"]


def text(value):
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


out = csv.writer(sys.stdout, lineterminator="\n")
out.writerow(JOB[:-1] + ["job_mae_bpm"] + SUBJECT)
for line in sys.stdin:
    job = json.loads(line)
    if job["state"] != "succeeded":
        sys.exit(f"table.py: job {job['job']} is {job['state']}; the table needs all of them")
    job["job"] = job["job"][:16]
    for subject in job["subjects"]:
        out.writerow([text(job[key]) for key in JOB] + [text(subject[key]) for key in SUBJECT])
