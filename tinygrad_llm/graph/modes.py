"""The modes under which nodes are made: with or without a tape, checked, kept, checkpointed."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any, NamedTuple, Protocol


class Frame(Protocol):
    """An activation checkpoint that is being run: it sees every op, and keeps what nodes save."""

    def see(self, read: list, made: list) -> None:
        """The version counters of an op's inputs (None where there is none) and outputs."""

    def keep(self, node: Any) -> Any:
        """What the node shall hold in the place of what its op saved."""


class Watch(Protocol):
    """Somebody who times ops: told before and after each forward and backward."""

    def begin(self) -> Any:
        """What `end` shall be given."""

    def end(self, begun: Any, op: str, direction: str, arrays: Iterable[Any]) -> None:
        """direction: "forward" or "backward"; arrays: what went in and came out."""


class Mode(NamedTuple):
    """What `apply` does beside computing: record a tape, check for NaN, keep values to look at,
    checkpoint activations, let ops be timed."""

    grad: bool = True
    anomaly: bool = False
    keep: bool = False
    frame: Frame | None = None
    profile: Watch | None = None


_mode: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039 (it is a tuple)
current_mode = _mode.get


class mode(ContextDecorator):
    """Context or decorator: the mode is changed within; other threads keep their own."""

    def __init__(self, **changes: Any):
        self._changes = changes
        self._tokens: list[Token] = []

    def _recreate_cm(self) -> mode:
        return mode(**self._changes)  # each call of a decorated function has tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(_mode.set(_mode.get()._replace(**self._changes)))

    def __exit__(self, *error: Any) -> None:
        _mode.reset(self._tokens.pop())


def no_grad() -> mode:
    """Context or decorator: ops record no tape, and results require no gradient."""
    return mode(grad=False)


def enable_grad() -> mode:
    """Context or decorator: ops record a tape again, inside a `no_grad`."""
    return mode(grad=True)


def detect_anomaly() -> mode:
    """Context: an op on the tape that makes a NaN raises and says where it was called; so does a
    backward that makes one, and a backward whose saved values were overwritten through `.data`.
    Several times slower.
    """
    return mode(anomaly=True)


def keep_values() -> mode:
    """Context: ops on the tape keep their outputs, and backward their gradients, in `node.kept`,
    to be looked at (`plot.graph` shows them). The tape then holds far more memory.
    """
    return mode(keep=True)
