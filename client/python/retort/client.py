"""Calls a coordinator."""
from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from typing import Any, Callable, Iterator, Mapping, Sequence

import grpc
import pandas as pd

from . import safetensors, tables
from .access import choose
from .dataset import Dataset
from .errors import (CoordinatorError, InvalidArgument, NotFound, RetortError, SweepFailed, TimedOut, Unavailable,
                     from_grpc)
from .v1 import artifact_service_pb2, artifact_service_pb2_grpc, resources_pb2, sweep_service_pb2
from .v1 import sweep_service_pb2_grpc
from .weights import Weights

_PAGE = 200
_OPTIONS = [("grpc.max_receive_message_length", 64 << 20), ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000), ("grpc.max_reconnect_backoff_ms", 1000)]
_EXITS: dict[int, type[RetortError]] = {2: InvalidArgument, 3: NotFound, 4: Unavailable, 5: TimedOut}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """A sweep, as it was when it was asked for. `str(sweep)` is its name."""

    name: str
    state: str  # expanding, active, paused, done, cancelled
    jobs: int
    succeeded: int
    failed: int
    skipped: int
    cancelled: int
    running: int
    known_jobs: int  # that had succeeded before it was submitted
    eta_s: float | None  # expected seconds to its end

    @property
    def ended(self) -> bool:
        return self.state in ("done", "cancelled")

    def __str__(self) -> str:
        return self.name


def _sweep(message: resources_pb2.Sweep) -> Sweep:
    counts = message.counts
    jobs = sum(getattr(counts, field.name) for field in counts.DESCRIPTOR.fields)
    return Sweep(tables.short(message.name), tables.sweep_state(message.state), jobs, counts.succeeded, counts.failed,
                 counts.skipped, counts.cancelled, counts.running, message.known_jobs,
                 message.eta_s if message.eta_s >= 0 else None)


def _print_progress(sweep: Sweep) -> None:
    eta = "" if sweep.eta_s is None else f", about {sweep.eta_s:.0f} s to go"
    line = f"{sweep.name}: {sweep.succeeded} of {sweep.jobs} done, {sweep.running} running, {sweep.failed} failed{eta}"
    end = "\n" if sweep.ended or not sys.stderr.isatty() else ""
    print(("\r\x1b[K" if sys.stderr.isatty() else "") + line, end=end, file=sys.stderr, flush=True)


def _name(sweep: str | Sweep) -> str:
    name = str(sweep)
    if not name or "/" in name:
        raise InvalidArgument(f"sweep: {name!r}; must be the name of a sweep, such as 'demo'")
    return f"sweeps/{name}"


def _job(job: str) -> str:
    if not isinstance(job, str) or not 6 <= len(job) <= 64 or set(job) - set("0123456789abcdef"):
        raise InvalidArgument(f"job: {job!r}; must be an id (64 hexadecimal digits), or at least its first 6 digits")
    return f"jobs/{job}"


class Client:
    """A connection to a coordinator. May be used from several threads; close it, or use it in `with`.

    address: HOST:PORT, or the environment's RETORT_COORDINATOR, or the access file's, or 127.0.0.1:7641.
    access: the coordinator's access file, or the environment's RETORT_ACCESS; that of a coordinator of the same user on this
      machine is found without. Without one what is said goes in clear: another machine's needs `insecure=True`.
    timeout_s: of one call. patience_s: how long calls are repeated while the coordinator is away.
    program: the `retort` command, which reads sweep files; by default RETORT_PROGRAM, or the one on the PATH.
    """

    def __init__(self, address: str | None = None, *, access: str | os.PathLike[str] | None = None, insecure: bool = False,
                 timeout_s: float = 60, patience_s: float = 15, program: str | os.PathLike[str] | None = None):
        self._access = choose(access, address, insecure)
        self.address = self._access.address
        self._insecure, self._timeout_s, self._patience_s = insecure, timeout_s, patience_s
        self._program = program or os.environ.get("RETORT_PROGRAM")
        self._channel = self._access.channel(_OPTIONS)
        self._sweeps = sweep_service_pb2_grpc.SweepServiceStub(self._channel)
        self._artifacts = artifact_service_pb2_grpc.ArtifactServiceStub(self._channel)

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------ sweeps

    def submit(self, sweep: str | os.PathLike[str] | Mapping[str, Any], *, dry_run: bool = False) -> Sweep:
        """Submits a sweep file, or the same as a dict, uploading what the coordinator lacks.

        In a dict a dataset may be a `Dataset`: {"datasets": {"lab": dataset}, ...}. Paths in a dict are relative to the
        working folder, those in a file to the file. `dry_run`: nothing is submitted; the answer tells how many jobs it
        would have.
        """
        with contextlib.ExitStack() as stack:
            text = None
            if isinstance(sweep, Mapping):
                folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="retort-")))
                text = json.dumps(self._with_files(sweep, folder), default=self._unknown)
            elif not pathlib.Path(sweep).is_file():
                raise NotFound(f"{sweep}: no such file")
            source = "-" if text is not None else os.fspath(sweep)  # type: ignore[arg-type]
            created = self._run(["sweep", "submit", source] + ["--dry-run"] * dry_run, text)
        if dry_run:
            return Sweep(created["sweep"], "expanding", created["jobs"], 0, 0, 0, 0, 0, created["known_jobs"], None)
        return self.sweep(created["sweep"])

    @staticmethod
    def _with_files(sweep: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
        out = dict(sweep)
        datasets = out.get("datasets")
        if isinstance(datasets, Mapping):
            out["datasets"] = dict(datasets)
            for name, entry in datasets.items():
                data = entry.get("path") if isinstance(entry, Mapping) else entry
                if isinstance(data, Dataset):
                    path = folder / f"{len(list(folder.iterdir()))}.safetensors"
                    data.save(path)
                    out["datasets"][name] = {"path": str(path)}
        return out

    @staticmethod
    def _unknown(value: object) -> Any:
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        if hasattr(value, "item"):  # a NumPy number
            return value.item()
        raise InvalidArgument(f"sweep: {value!r} is a {type(value).__name__}; must be what YAML can say: dicts, lists, "
                              "texts, numbers, booleans; and Dataset among the datasets")

    def _run(self, arguments: list[str], text: str | None) -> dict[str, Any]:
        program = self._program or shutil.which("retort")
        if program is None or not pathlib.Path(program).exists():
            raise NotFound(f"program: {program or 'retort'} is not there; sweeps are read by the `retort` command: put it on "
                           "the PATH, or name it in RETORT_PROGRAM or Client(program=...)")
        command = [os.fspath(program), *arguments, "-o", "json", "--coordinator", self.address]
        if self._access.path is not None:
            command += ["--access", self._access.path]
        done = subprocess.run(command + ["--insecure"] * self._insecure, input=text, capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            message = done.stderr.strip().removeprefix("retort: ") or f"retort ended with {done.returncode}"
            raise _EXITS.get(done.returncode, CoordinatorError)(message)
        return json.loads(done.stdout)

    def sweep(self, name: str | Sweep) -> Sweep:
        """One sweep as it is now."""
        return _sweep(self._call(self._sweeps.GetSweep, sweep_service_pb2.GetSweepRequest(name=_name(name))))

    def sweeps(self) -> pd.DataFrame:
        """All sweeps, newest first."""
        pages = self._pages(self._sweeps.ListSweeps, sweep_service_pb2.ListSweepsRequest(page_size=_PAGE))
        rows = [dataclasses.asdict(_sweep(message)) for page in pages for message in page.sweeps]
        return pd.DataFrame(rows, columns=[field.name for field in dataclasses.fields(Sweep)])

    def pause(self, sweep: str | Sweep) -> Sweep:
        """Places no more of its jobs."""
        return self._change(self._sweeps.PauseSweep, sweep)

    def resume(self, sweep: str | Sweep) -> Sweep:
        """Goes on with a paused sweep."""
        return self._change(self._sweeps.ResumeSweep, sweep)

    def cancel(self, sweep: str | Sweep) -> Sweep:
        """Gives up the jobs that no other sweep wants."""
        return self._change(self._sweeps.CancelSweep, sweep)

    def wait(self, sweep: str | Sweep, *, timeout_s: float | None = None,
             progress: bool | Callable[[Sweep], None] = True, check: bool = True) -> Sweep:
        """Waits until the sweep has ended, and shows how far it is on standard error.

        progress: False shows nothing; a function is called with each change. check: raise SweepFailed if some job has
        no result. A coordinator that goes away is waited for.
        """
        show = _print_progress if progress is True else progress or (lambda _: None)
        end = None if timeout_s is None else time.monotonic() + timeout_s
        last: Sweep | None = None
        self.sweep(sweep)  # a wrong name is an error at once
        while last is None or not last.ended:
            left = 20.0 if end is None else min(20.0, end - time.monotonic())
            if left <= 0:
                raise TimedOut(f"sweep {sweep} has not ended within {timeout_s:g} s; it goes on")
            request = sweep_service_pb2.GetSweepRequest(name=_name(sweep))
            try:
                for message in self._sweeps.WatchSweep(request, timeout=left):
                    now = _sweep(message)
                    if now != last:
                        show(now)
                    last = now
            except grpc.RpcError as error:
                waits = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
                if error.code() not in waits:
                    raise from_grpc(error, self.address) from None
                if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                    self._pause(0.3)
        if check and last.succeeded < last.jobs:
            raise SweepFailed(f"sweep {last.name} ended with {last.failed} failed, {last.skipped} skipped and "
                              f"{last.cancelled} cancelled jobs of {last.jobs}; `retort job list --sweep {last.name} --state "
                              "failed` says why")
        return last

    # -------------------------------------------------------------------------------------- what came of them

    def jobs(self, sweep: str | Sweep | None = None) -> pd.DataFrame:
        """Jobs of a sweep, in the order of expansion; of all sweeps if none is named."""
        return tables.jobs(self._jobs(sweep, full=False))

    def job(self, job: str) -> resources_pb2.Job:
        """One job with everything that is known of it, by its id or the first 6 digits or more of it."""
        return self._call(self._sweeps.GetJob, sweep_service_pb2.GetJobRequest(name=_job(job)))

    def results(self, sweep: str | Sweep, *, per_subject: bool = False) -> pd.DataFrame:
        """A row per job with a result, or per such job and subject; columns as server/store/views.md explains them.

        `selected` is false for jobs that the sweep's `select` left out.
        """
        request = sweep_service_pb2.GetSweepRequest(name=_name(sweep))
        select = self._call(self._sweeps.GetSweep, request).spec.HasField("select")
        return tables.results(self._jobs(sweep, full=True), select, per_subject)

    def query(self, sql: str, *, max_rows: int = 0) -> pd.DataFrame:
        """One SELECT over the views of server/store/views.md.

        Integers are exact (int64, or Int64 where there are nulls), other numbers float64. `attrs["truncated"]` tells
        whether rows were left out because of `max_rows` (0: 100,000).
        """
        request = sweep_service_pb2.QueryRequest(sql=sql, max_rows=max_rows)

        def ask() -> pd.DataFrame:
            columns: list[str] = []
            rows: list[list[Any]] = []
            truncated = False
            for part in self._sweeps.Query(request, timeout=self._timeout_s):
                columns.extend(part.columns)
                rows.extend([tables.cell(value) for value in row.values] for row in part.rows)
                truncated = truncated or part.truncated
            table = tables.frame(columns, rows)
            table.attrs["truncated"] = truncated
            return table

        return self._patiently(ask)

    def metrics(self, job: str, series: str | Sequence[str] = (), *, max_points: int = 1000) -> pd.DataFrame:
        """Points of a job's series: `series`, `step`, `value`, `time`; of each at most `max_points`, thinned evenly."""
        wanted = [series] if isinstance(series, str) else list(series)
        name = self.job(job).name
        request = sweep_service_pb2.ReadMetricsRequest(job=name, series=wanted, max_points=max_points)
        points = self._call(self._sweeps.ReadMetrics, request).points
        table = pd.DataFrame([(point.series, point.step, point.value, point.unix_ms) for point in points],
                             columns=["series", "step", "value", "time"])
        missing = set(wanted) - set(table.series)
        if missing:
            known = sorted(point.series for point in self.job(job).latest_metrics)
            raise NotFound(f"series: job {job} has no {', '.join(sorted(missing))}; it has: {', '.join(known) or 'none yet'}")
        table["time"] = pd.to_datetime(table["time"], unit="ms", utc=True)
        return table

    def weights(self, job: str) -> Weights:
        """The weights of a job that succeeded, as arrays by name."""
        message = self.job(job)
        if not message.HasField("result"):
            raise NotFound(f"job {job} has no weights: it is {tables.job_state(message.state)}")
        sha256 = message.result.weights.sha256
        tensors, metadata = safetensors.loads(self.artifact(sha256), f"weights of job {job}")
        return Weights(tensors, metadata)

    def artifact(self, sha256: str) -> bytes:
        """The bytes of an artifact, checked against its hash."""
        request = artifact_service_pb2.DownloadRequest(sha256=sha256)
        data = self._patiently(lambda: b"".join(part.data for part in self._artifacts.Download(request)))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise CoordinatorError(f"artifact {sha256[:12]}: its bytes have another hash")
        return data

    def workers(self) -> pd.DataFrame:
        """The workers that were ever heard of."""
        return self.query("SELECT * FROM workers ORDER BY worker")

    # ------------------------------------------------------------------------------------------------- calls

    def _jobs(self, sweep: str | Sweep | None, full: bool) -> Iterator[resources_pb2.Job]:
        request = sweep_service_pb2.ListJobsRequest(sweep="" if sweep is None else _name(sweep), full=full,
                                                    page_size=_PAGE)
        for page in self._pages(self._sweeps.ListJobs, request):
            yield from page.jobs

    def _change(self, method: Any, sweep: str | Sweep) -> Sweep:
        request = sweep_service_pb2.ChangeSweepRequest(request_id=str(uuid.uuid4()), name=_name(sweep))
        return _sweep(self._call(method, request))

    def _pages(self, method: Any, request: Any) -> Iterator[Any]:
        while True:
            page = self._call(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def _call(self, method: Any, request: Any) -> Any:
        return self._patiently(lambda: method(request, timeout=self._timeout_s))

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Repeats a call while the coordinator is away, after a capped, jittered wait."""
        end = time.monotonic() + self._patience_s
        for failures in range(1000):
            try:
                return call()
            except grpc.RpcError as error:
                delay = random.random() * min(1.0, 0.1 * 2 ** min(failures, 10))
                if error.code() != grpc.StatusCode.UNAVAILABLE or time.monotonic() + delay > end:
                    raise from_grpc(error, self.address) from None
                self._pause(delay)
        raise AssertionError("not reached")

    def _pause(self, seconds: float) -> None:
        """Waits, less long if the channel connects meanwhile.

        Somebody has to wait for it: gRPC looks only every five seconds at a connection that is being made and that no call
        waits for.
        """
        begin = time.monotonic()
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=seconds)
            if time.monotonic() - begin < 0.01:  # it is not the connection that is wanting
                time.sleep(seconds)
        except grpc.FutureTimeoutError:
            pass
        finally:
            ready.cancel()
