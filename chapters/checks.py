"""What the property tests of exercises are written with.

An exercise is a function `check(ask, **drawn)`, decorated with its signature and strategies for
what is drawn. `ask(...)` calls the reader's function; `ask.expect` compares. The first failure
raises `Failure`, and hypothesis then looks for the smallest input that fails too.
"""

from __future__ import annotations

import copy
import linecache
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

EXAMPLES = 200
"""Inputs that are drawn for each exercise; the same ones in every run."""


class Failure(Exception):
    """What a reader's function did wrong, and the call that shows it, to be pasted."""

    def __init__(self, call: str, complaint: str):
        super().__init__(complaint)
        self.call, self.complaint = call, complaint


class Source(str):
    """An input that is shown as this Python expression, and handed over as its value."""

    def value(self) -> Any:
        return eval(self, {"np": np})


@dataclass(frozen=True)
class Exercise:
    """One exercise: the name that the reader's file must define, and how it is tested."""

    name: str
    signature: str
    draws: dict[str, Any]
    check: Callable[..., None]

    def run(self, answer: Any, file: Path, started: Callable[[str], None]) -> None:
        """Draw inputs and check; raises Failure, with the smallest failing input.

        started: called with the text of each call before it is made.
        """
        from hypothesis import HealthCheck, Phase, Verbosity, given, settings

        if not callable(answer):
            raise Failure("", f"it is of type {type(answer).__name__}; write {self.signature}")

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            verbosity=Verbosity.quiet,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(**self.draws)
        def test(**drawn: Any) -> None:
            self.check(Ask(self.name, answer, file, started), **drawn)

        with np.errstate(all="ignore"):
            test()


def exercise(signature: str, **draws: Any) -> Callable[[Callable[..., None]], Exercise]:
    """Make an Exercise of the decorated function `check(ask, **drawn)`, of the same name."""

    def make(check: Callable[..., None]) -> Exercise:
        return Exercise(check.__name__, signature, draws, check)

    return make


class Ask:
    """The reader's function, with the call that is being made and what can be said against it."""

    def __init__(self, name: str, answer: Any, file: Path, started: Callable[[str], None]):
        self.name, self.answer, self.file, self.started = name, answer, file, started
        self.call = name

    def __call__(self, *inputs: Any) -> Any:
        """answer(*inputs), which must raise nothing, change no input and return something."""
        arguments = ", ".join(map(show, inputs))
        given = [x.value() if isinstance(x, Source) else x for x in inputs]
        kept = copy.deepcopy([x for x in given if not callable(x)])
        result = self.run(f"{self.name}({arguments})", lambda: self.answer(*given))
        for before, after in zip(kept, [x for x in given if not callable(x)]):
            if not _same(before, after):
                self.fail(f"it changes its input: {show(before)} has become {show(after)}")
        if result is None:
            self.fail("it returns None: is a return missing?")
        return result

    def run(self, call: str, thunk: Callable[[], Any]) -> Any:
        """What `thunk` returns; an exception in it is a failure of `call`."""
        self.call = call
        self.started(call)
        try:
            return thunk()
        except (Exception, SystemExit) as error:
            raise Failure(call, f"it raises {describe(error, self.file)}") from error

    def expect(
        self,
        what: str,
        got: Any,
        truth: Any,
        tolerance: float = 1e-9,
        mistakes: Mapping[str, Any] | None = None,
    ) -> None:
        """`got` must have the shape of `truth` and its values, to a relative `tolerance`.

        mistakes: what is done wrong → what then comes out; said in the complaint when it fits.
        """
        truth = np.asarray(truth)
        try:
            array = np.asarray(got, dtype=float)
        except (TypeError, ValueError):
            self.fail(f"{what} is a {type(got).__name__}, expected {show(truth)}")
        hint = _hint(array, truth, mistakes or {}, tolerance)
        if array.shape != truth.shape:
            self.fail(f"{what} has shape {array.shape}, expected {truth.shape}{hint}")
        if not np.allclose(array, truth, rtol=tolerance, atol=tolerance):
            like_answer = show if isinstance(got, np.ndarray) else lambda a: repr(a.tolist())
            said = like_answer(np.asarray(got)), like_answer(truth)
            self.fail(f"{what} is {said[0]}, expected {said[1]}{hint}")

    def parts(self, result: Any, *names: str) -> tuple:
        """A result that must be a tuple with these parts."""
        if not isinstance(result, tuple):
            self.fail(f"it returns {type(result).__name__}, expected ({', '.join(names)})")
        if len(result) != len(names):
            self.fail(f"it returns {len(result)} values, expected ({', '.join(names)})")
        for name, part in zip(names, result):
            if part is None:
                self.fail(f"{name} is None")
        return result

    def fail(self, complaint: str) -> None:
        raise Failure(self.call, complaint)


def show(value: Any) -> str:
    """An input as Python that a reader can paste."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r})" if value.size else f"np.zeros({value.shape})"
    return str(value) if isinstance(value, Source) else repr(value)


def describe(error: BaseException, file: Path) -> str:
    """An exception in one line: type, message, and the line in the reader's file."""
    message = " ".join(str(error).split())
    sizes = re.search(r"matmul: .*\(size (\d+) is different from (\d+)\)", message)
    if sizes:
        message = f"A @ B with inner sizes {sizes[2]} and {sizes[1]}: is a transpose missing?"
    named = f"{type(error).__name__}: {message}" if message else type(error).__name__
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f"{named}, in {place(file, lines[-1])}" if lines else named


def place(file: Path, line: int) -> str:
    """A line of the reader's file, with its text."""
    return f"{file.name}, line {line}: {linecache.getline(str(file), line).strip()}"


def assume_told_apart(truth: Any, mistakes: Mapping[str, Any]) -> None:
    """Draw again where two mistakes give the same: the wrong one of them would be named."""
    from hypothesis import assume

    right = _key(truth)
    wrong = [key for each in mistakes.values() if (key := _key(each)) != right]
    assume(len(set(wrong)) == len(wrong))


def _key(value: Any) -> tuple[Any, ...]:
    """The same for arrays that are the same up to rounding."""
    array = np.asarray(value, dtype=float)
    rounded = np.round(array.ravel(), 6) + 0.0  # −0 + 0 = 0
    rounded[np.isnan(rounded)] = np.nan  # a NaN may have a sign
    return array.shape, rounded.tobytes()


CLEARLY = 100.0
"""How many times nearer than the truth a mistake must lie to what came out, to be named."""


def _hint(array: np.ndarray, truth: Any, mistakes: Mapping[str, Any], tolerance: float) -> str:
    """The first of the mistakes that gives this array, as the end of a complaint.

    One that lies about as far off as the truth says nothing: any small error would fit it.
    """
    for mistake, value in mistakes.items():
        wrong = np.asarray(value, dtype=float)
        close = {"rtol": tolerance, "atol": tolerance, "equal_nan": True}
        fits = wrong.shape == array.shape and np.allclose(array, wrong, **close)
        if fits and CLEARLY * _gap(array, wrong) <= _gap(array, truth):
            return f". That is what comes out {mistake}"
    return ""


def _gap(array: np.ndarray, other: Any) -> float:
    """The largest difference; NaN and infinities equal themselves and are far from all else."""
    if array.shape != np.shape(other):
        return np.inf
    same = (array == other) | (np.isnan(array) & np.isnan(other))
    with np.errstate(invalid="ignore"):
        apart = np.abs(array - other)
    return float(np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)).max(initial=0.0))


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, np.ndarray):
        return before.shape == after.shape and np.array_equal(before, after, equal_nan=True)
    return bool(before == after)
