"""Datasets made of NumPy arrays."""
from __future__ import annotations

import dataclasses
import json
import os
import pathlib
from typing import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from . import safetensors
from .errors import InvalidArgument, NotFound

_FORMAT = "retort.dataset.v1"
_BPM = np.arange(30, 210)  # the classes, and the grid of the spectral floor


def _peak_bpm(windows_NL: npt.NDArray[np.float32], rate_hz: float) -> npt.NDArray[np.float32]:
    """Heart rate of the strongest peak of the Hann-windowed power spectrum, on the grid of classes."""
    samples = windows_NL.shape[1]
    i = np.arange(samples)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * i / samples)
    basis_LK = (hann * np.exp(-2j * np.pi * np.outer(_BPM, i) / 60 / rate_hz)).T.astype(np.complex64)
    best = np.empty(len(windows_NL), np.float32)
    for begin in range(0, len(windows_NL), 4096):  # bounds the memory of the spectra
        powers = np.abs(windows_NL[begin:begin + 4096] @ basis_LK) ** 2
        best[begin:begin + 4096] = _BPM[powers.argmax(axis=1)]
    return best


def _wrong(field: str, value: object, right: str) -> InvalidArgument:
    return InvalidArgument(f"{field}: {value}; must be {right}")


def _array(field: str, values: npt.ArrayLike, dims: str, shapes: tuple[int, ...]) -> npt.NDArray[np.float32]:
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise _wrong(field, f"not numbers of one shape ({error})", f"an array {dims}") from error
    if array.ndim not in shapes:
        raise _wrong(field, f"shape {array.shape}", f"an array {dims}")
    if array.size == 0:
        raise _wrong(field, f"shape {array.shape}", "not empty")
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        raise _wrong(field, f"{array[tuple(bad[0])]} at {tuple(int(n) for n in bad[0])}", "finite everywhere")
    return array


def _names(field: str, values: Sequence[object] | np.ndarray, windows: int) -> tuple[npt.NDArray[np.int32], list[str]]:
    """Indices into the distinct names, in the order in which they come."""
    names = [str(value) for value in np.asarray(values).reshape(-1)]
    if len(names) != windows:
        raise _wrong(field, f"{len(names)} entries", f"one for each of the {windows} windows")
    order = list(dict.fromkeys(names))
    index = {name: i for i, name in enumerate(order)}
    return np.array([index[name] for name in names], np.int32), order


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Windows of PPG with reference heart rates and subjects.

    W windows, C channels, L samples; subjects are split, never windows.
    """

    windows: npt.NDArray[np.float32]  # [W, C, L], z-scored
    bpm: npt.NDArray[np.float32]  # [W], beats per minute
    subject: npt.NDArray[np.int32]  # [W], index into `subjects`
    fft_bpm: npt.NDArray[np.float32]  # [W, C], the floor that needs no learning
    start_s: npt.NDArray[np.float32]  # [W], start in the recording, seconds
    recording: npt.NDArray[np.int32]  # [W], index into `recordings`
    subjects: list[str]
    recordings: list[str]
    channels: list[str]
    metadata: dict[str, str]

    @classmethod
    def from_arrays(cls, windows: npt.ArrayLike, bpm: npt.ArrayLike, subject: Sequence[object] | np.ndarray, *,
                    rate_hz: float = 25.0, stride_s: float = 2.0, normalize: bool = True,
                    channels: Sequence[str] | None = None, recording: Sequence[object] | np.ndarray | None = None,
                    start_s: npt.ArrayLike | None = None, metadata: Mapping[str, str] | None = None) -> Dataset:
        """A dataset of arrays.

        windows: [W, L] or [W, C, L], filtered PPG at `rate_hz`; z-scored here per window and channel unless
          `normalize` is false. A window without any change becomes zeros.
        bpm: [W], 20 to 250.
        subject: [W], a name or number of the person; subjects are what is split.
        recording, start_s: where windows come from; without them each subject is one recording, its windows
          `stride_s` apart.
        """
        array = _array("windows", windows, "[windows, samples] or [windows, channels, samples]", (2, 3))
        array = array[:, None, :] if array.ndim == 2 else array
        count, channel_count, _ = array.shape
        rates = _array("bpm", bpm, "[windows]", (1,))
        if len(rates) != count:
            raise _wrong("bpm", f"{len(rates)} entries", f"one for each of the {count} windows")
        beyond = np.flatnonzero((rates < 20) | (rates > 250))
        if len(beyond):
            raise _wrong("bpm", f"{rates[beyond[0]]:g} at window {beyond[0]}", "20 to 250 beats per minute")
        if not rate_hz > 0:
            raise _wrong("rate_hz", rate_hz, "above 0")
        index, subjects = _names("subject", subject, count)
        where, recordings = (index, list(subjects)) if recording is None else _names("recording", recording, count)
        names = [f"ppg{i + 1}" for i in range(channel_count)] if channels is None else [str(name) for name in channels]
        if len(names) != channel_count:
            raise _wrong("channels", f"{len(names)} names", f"one for each of the {channel_count} channels")
        if start_s is None:
            starts = np.empty(count, np.float32)
            for i in range(len(recordings)):
                mine = np.flatnonzero(where == i)
                starts[mine] = np.arange(len(mine)) * stride_s
        else:
            starts = _array("start_s", start_s, "[windows]", (1,))
            if len(starts) != count:
                raise _wrong("start_s", f"{len(starts)} entries", f"one for each of the {count} windows")
        if normalize:
            centred = array - array.mean(axis=2, keepdims=True)
            spread = centred.std(axis=2, keepdims=True)
            array = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
        peaks = _peak_bpm(array.reshape(count * channel_count, -1), rate_hz).reshape(count, channel_count)
        notes = {"name": "arrays", "source": "arrays", "rate_hz": f"{rate_hz:g}",
                 "window_s": f"{array.shape[2] / rate_hz:g}", "stride_s": f"{stride_s:g}"} | dict(metadata or {})
        return cls(array, rates, index, peaks, starts, where, subjects, recordings, names, notes)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file that sweep files name; `retort data show` describes it."""
        lists = {"subjects": self.subjects, "recordings": self.recordings, "channels": self.channels}
        metadata = self.metadata | {"format": _FORMAT} | {key: json.dumps(names) for key, names in lists.items()}
        tensors = {"windows": self.windows, "bpm": self.bpm, "subject": self.subject, "fft_bpm": self.fft_bpm,
                   "start_s": self.start_s, "recording": self.recording}
        pathlib.Path(path).write_bytes(safetensors.dumps(tensors, metadata))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Dataset:
        """Reads a prepared dataset, as `retort data prepare` and `save` write them."""
        if not pathlib.Path(path).is_file():
            raise NotFound(f"{path}: no such file")
        tensors, metadata = safetensors.loads(pathlib.Path(path).read_bytes(), str(path))
        if metadata.pop("format", None) != _FORMAT:
            raise InvalidArgument(f"{path}: not a prepared dataset; `retort data prepare` and Dataset.save make one")
        lists = [json.loads(metadata.pop(key)) for key in ("subjects", "recordings", "channels")]
        fields = [tensors[key] for key in ("windows", "bpm", "subject", "fft_bpm", "start_s", "recording")]
        return cls(*fields, *lists, metadata)

    def __len__(self) -> int:
        return len(self.bpm)

    def __repr__(self) -> str:
        return (f"<retort.Dataset of {len(self)} windows, {len(self.channels)} channels, {self.windows.shape[2]} samples, "
                f"{len(self.subjects)} subjects>")
