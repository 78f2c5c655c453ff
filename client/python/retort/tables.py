"""Messages of the coordinator as pandas DataFrames."""
from __future__ import annotations

from typing import Any, Iterable

import numpy as np
import pandas as pd

from .v1 import resources_pb2, result_pb2, sweep_service_pb2

ERRORS = [field.name for field in result_pb2.HeartRateMetrics.DESCRIPTOR.fields if field.name != "windows"]
COSTS = [field.name for field in result_pb2.ModelCost.DESCRIPTOR.fields]


def short(name: str) -> str:
    """`sweeps/ieee` is `ieee`."""
    return name.rpartition("/")[2]


def job_state(state: int) -> str:
    return resources_pb2.JobState.Name(state).removeprefix("JOB_STATE_").lower()


def sweep_state(state: int) -> str:
    return resources_pb2.SweepState.Name(state).removeprefix("SWEEP_STATE_").lower()


def cell(value: sweep_service_pb2.QueryValue) -> Any:
    """A value of a query: int, float, str, bytes or None."""
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def column(values: list[Any]) -> pd.Series:
    """A typed column: integers stay exact, with or without nulls; null among real numbers is NaN."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {int}:
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if kinds <= {int, float} and kinds:
        return pd.Series([np.nan if value is None else value for value in values], dtype="float64")
    return pd.Series(values, dtype="object")


def frame(columns: list[str], rows: list[list[Any]]) -> pd.DataFrame:
    """A table of values of a query; columns of one name are all kept."""
    series = [column([row[i] for row in rows]) for i in range(len(columns))]
    table = pd.concat(series, axis=1) if series else pd.DataFrame()
    table.columns = columns
    return table


def _job(job: resources_pb2.Job) -> dict[str, Any]:
    return {"job": short(job.name), "state": job_state(job.state),
            "kind": resources_pb2.JobKind.Name(job.kind).removeprefix("JOB_KIND_").lower(), "student": job.model,
            "method": job.method, "teacher": job.teacher or None, "seed": job.seed, "fold": job.fold}


def jobs(messages: Iterable[resources_pb2.Job]) -> pd.DataFrame:
    """A row per job."""
    names = ["job", "state", "kind", "student", "method", "teacher", "seed", "fold", "attempt", "epochs_done", "epochs",
             "worker", "failure", "failure_message"]
    rows = []
    for job in messages:
        cause = result_pb2.FailureCause.Name(job.failure.cause).removeprefix("FAILURE_CAUSE_")
        rows.append(_job(job) | {
            "attempt": job.attempt, "epochs_done": job.epochs_done, "epochs": job.epochs,
            "worker": short(job.worker) or None, "failure": cause.lower() if job.failure.cause else None,
            "failure_message": job.failure.message or None})
    return pd.DataFrame(rows, columns=names)


def results(messages: Iterable[resources_pb2.Job], select: bool, per_subject: bool) -> pd.DataFrame:
    """A row per job with a result, or per such job and subject."""
    rows = []
    for job in messages:
        if not job.result.evaluations:
            continue
        result, headline = job.result, job.result.evaluations[0]
        row = _job(job) | {"batch": job.spec.train.batch, "peak_lr": job.spec.train.peak_lr}
        parts = headline.subjects if per_subject else [headline.overall]
        val = result.validation.mae_bpm if result.HasField("validation") else np.nan
        for part in parts:
            metrics = part.metrics if per_subject else part
            own = {"subject": part.subject} if per_subject else {}
            rows.append(row | own | {name: getattr(metrics, name) for name in ERRORS}
                        | {"windows": metrics.windows, "val_mae_bpm": val}
                        | {name: getattr(result.cost, name) for name in COSTS}
                        | {"epochs": result.epochs, "kept_epoch": result.kept_epoch, "train_s": result.train_s,
                           "dataset": job.spec.dataset.sha256, "weights": result.weights.sha256})
    names = (["job", "state", "kind", "student", "method", "teacher", "seed", "fold", "batch", "peak_lr"]
             + ["subject"] * per_subject + ERRORS + ["windows", "val_mae_bpm"] + COSTS
             + ["epochs", "kept_epoch", "train_s", "dataset", "weights"])
    table = pd.DataFrame(rows, columns=names)
    table["selected"] = True
    if select and len(table):
        # Of what was trained with several values, the best on validation; the first of equals.
        choice = ["dataset", "teacher", "student", "method", "seed", "fold"]
        each = table.drop_duplicates("job")
        best = each.assign(val_mae_bpm=each.val_mae_bpm.fillna(np.inf)).sort_values("val_mae_bpm", kind="stable")
        table["selected"] = table.job.isin(best.drop_duplicates(choice).job)
    return table
