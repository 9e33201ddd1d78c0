"""What `detect_anomaly` checks: NaN that an op makes, and saved values that somebody overwrote."""

from __future__ import annotations

import traceback
from os.path import dirname, join
from typing import Any, NamedTuple
from zlib import crc32

from tinygrad_llm.backend.devices import is_array, to_host

_PACKAGE = join(dirname(__file__), "")


class Trace(NamedTuple):
    """What anomaly mode remembers of an op: where it was called, and sums over what it saved."""

    place: str
    checksums: list[int]


def trace_of(saved: tuple) -> Trace:
    """The trace of the op that is being recorded."""
    return Trace(_caller(), [_checksum(value) for value in saved])


def check_output(name: str, trace: Trace, inputs: list, outputs: Any) -> None:
    """FloatingPointError when an op made a NaN from inputs that hold none."""
    if any(map(has_nan, outputs)) and not any(map(has_nan, inputs)):
        raise FloatingPointError(f"{name} made a NaN, called at {trace.place}")


def check_gradient(name: str, trace: Trace | None, dx: Any, position: int) -> None:
    """FloatingPointError when the backward of an op made a NaN."""
    if bool((dx != dx).any()):
        place = trace.place if trace else "an unknown place (it ran outside detect_anomaly)"
        raise FloatingPointError(
            f"backward of {name} made a NaN for input {position}; the op was called at {place}"
        )


def overwritten(trace: Trace, saved: tuple) -> list[int]:
    """Which of the saved arrays are not what they were when the op ran."""
    return [i for i, value in enumerate(saved) if _checksum(value) != trace.checksums[i]]


def has_nan(value: Any) -> bool:
    """True for a floating array with a NaN in it."""
    return is_array(value) and value.dtype.kind == "f" and bool((value != value).any())


def _caller() -> str:
    """The innermost line outside this package: where the user called the op."""
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(_PACKAGE)]
    frame = frames[-1] if frames else traceback.extract_stack()[-1]
    return f"{frame.filename}:{frame.lineno} in {frame.name}"


def _checksum(value: Any) -> int:
    return crc32(to_host(value).tobytes()) if is_array(value) else 0
