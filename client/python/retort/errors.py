"""What can go wrong. Every message says which field or file, what value, and what would be right."""
from __future__ import annotations

import grpc


class RetortError(Exception):
    """Any error of this package."""


class InvalidArgument(RetortError, ValueError):
    """Something that was given is wrong; asking again changes nothing."""


class NotFound(RetortError, LookupError):
    """There is no such sweep, job or file."""


class Unavailable(RetortError, ConnectionError):
    """No coordinator answers, or it takes on no more."""


class TimedOut(RetortError, TimeoutError):
    """It took longer than was allowed."""


class SweepFailed(RetortError):
    """A sweep ended, and some of its jobs have no result."""


class CoordinatorError(RetortError):
    """Any other error that the coordinator told."""


_KINDS: dict[grpc.StatusCode, type[RetortError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: TimedOut,
}


def from_grpc(error: grpc.RpcError, address: str) -> RetortError:
    """The error of a call as one of this package."""
    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.UNAVAILABLE and not details.startswith("overloaded"):
        return Unavailable(f"no coordinator answers at {address} ({details}); start one with retort-server, "
                           "or name another: Client('HOST:PORT')")
    return _KINDS.get(code, CoordinatorError)(details or code.name)
