"""Access files: all that is needed to reach a coordinator (the same rules as the C++ library's common/access)."""
from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib

import grpc

from .errors import InvalidArgument, NotFound

DEFAULT_COORDINATOR = "127.0.0.1:7641"
_ROLES = ("admin", "operator", "viewer")


@dataclasses.dataclass(frozen=True)
class Access:
    """What an access file says; `path` is None for an address alone."""

    address: str
    path: str | None = None
    tls: bool = False
    ca: str | None = None  # PEM; None with tls: whom the machine trusts
    server_name: str | None = None  # in the coordinator's certificate; None: the host of the address
    certificate: str | None = None
    key: str | None = None
    token: str | None = None

    def channel(self, options: list[tuple[str, int | str]]) -> grpc.Channel:
        """A channel whose calls carry the token."""
        if self.tls:
            if self.server_name:
                options = [*options, ("grpc.ssl_target_name_override", self.server_name)]
            pem = [None if text is None else text.encode() for text in (self.ca, self.key, self.certificate)]
            channel = grpc.secure_channel(self.address, grpc.ssl_channel_credentials(*pem), options)
        else:
            channel = grpc.insecure_channel(self.address, options)
        return grpc.intercept_channel(channel, _WithToken(self.token)) if self.token else channel


def choose(access: str | os.PathLike[str] | None, address: str | None, insecure: bool) -> Access:
    """The file that was named (or RETORT_ACCESS); else the one that the coordinator of this address left for this user on
    this machine; else the address in clear, which another machine's must be allowed by `insecure`."""
    path = os.fspath(access) if access else os.environ.get("RETORT_ACCESS")
    address = address or os.environ.get("RETORT_COORDINATOR")
    if path is None:
        address = address or DEFAULT_COORDINATOR
        path = _left(address)
    if address is not None and ":" not in address:
        raise InvalidArgument(f"address: {address!r}; must be HOST:PORT")
    found = Access(address) if path is None else _read(path, address)
    if not found.tls and not insecure and not _is_loopback(found.address):
        raise InvalidArgument(f"address: {found.address!r} is another machine, and what is said would go in clear; name an "
                              "access file of the coordinator with access=..., or allow it with insecure=True")
    return found


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    dotted = host.replace(".", "").isdigit() and host.startswith("127.")
    return dotted or host in ("localhost", "[::1]") or address.startswith("unix:")


def _left(address: str) -> str | None:
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    for role in _ROLES:
        path = os.path.join(state, "retort", "access", address, f"{role}.access")
        if os.access(path, os.R_OK):
            return path
    return None


def _read(path: str, address: str | None) -> Access:
    try:
        said = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"access: {path}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidArgument(f"access: {path} is no access file: {error}") from error
    if not isinstance(said, dict) or said.get("retort_access") != 1 or not said.get("addresses"):
        raise InvalidArgument(f"access: {path} is no access file of version 1, as retort-server makes it")
    texts = {key: said.get(key) for key in ("ca", "server_name", "certificate", "key", "token")}
    return Access(address or str(said["addresses"][0]), path, bool(said.get("tls")), **texts)


class _Details(collections.namedtuple("_Details", ("method", "timeout", "metadata", "credentials", "wait_for_ready",
                                                   "compression")), grpc.ClientCallDetails):
    pass


class _WithToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor,
                 grpc.StreamStreamClientInterceptor):
    """Puts the token on each call: call credentials are not sent on a plain channel, and on loopback calls are in clear."""

    def __init__(self, token: str):
        self._header = ("authorization", f"Bearer {token}")

    def _call(self, continuation, details, request):
        return continuation(_Details(details.method, details.timeout, [*(details.metadata or ()), self._header],
                                     details.credentials, getattr(details, "wait_for_ready", None),
                                     getattr(details, "compression", None)), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_unary = intercept_stream_stream = _call
