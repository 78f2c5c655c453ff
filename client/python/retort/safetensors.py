"""The safetensors format: a JSON header that names types, shapes and byte ranges, then raw little-endian numbers."""
from __future__ import annotations

import json
import struct
from typing import Mapping

import numpy as np

from .errors import InvalidArgument

_TYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1",
          "BOOL": "?"}
_NAMES = {np.dtype(text): name for name, text in _TYPES.items()}


def dumps(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The bytes of a file; the same content gives the same bytes."""
    header: dict[str, object] = {"__metadata__": {key: metadata[key] for key in sorted(metadata)}}
    parts: list[bytes] = []
    end = 0
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        part = array.tobytes()
        header[name] = {"dtype": _NAMES[array.dtype.newbyteorder("<")], "shape": list(array.shape),
                        "data_offsets": [end, end + len(part)]}
        parts.append(part)
        end += len(part)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def loads(data: bytes, what: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors and metadata of a file's bytes; `what` names it in errors. Runs no code of the file."""
    try:
        (length,) = struct.unpack_from("<Q", data)
        if length > len(data) - 8:
            raise ValueError("its header is longer than the file")
        header = json.loads(data[8:8 + length])
        metadata = header.pop("__metadata__", {})
        body = memoryview(data)[8 + length:]
        tensors = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            if not 0 <= begin <= end <= len(body):
                raise ValueError(f"tensor '{name}' lies outside of the file")
            array = np.frombuffer(body[begin:end], dtype=_TYPES[entry["dtype"]])
            tensors[name] = array.reshape(entry["shape"]).copy()
        return tensors, metadata
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise InvalidArgument(f"{what}: not a safetensors file: {error}") from error
