"""One mutant in force, its checks run, everything put back: killed, crashed or survived."""

from __future__ import annotations
import __future__

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from types import CodeType
from typing import Any

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.testing.gradcheck import GradientError
from tinygrad_llm.testing.mutants.generator import Function, Mutant
from tinygrad_llm.testing.mutants.limits import OutOfTime, time_limit
from tinygrad_llm.testing.mutants.targets import Target

KILLED, CRASHED, SURVIVED = "killed", "crashed", "survived"

SECONDS = 2.0
"""What one check of a mutant may take: a loop that a mutant made endless ends here."""

Check = Callable[[str], Any]
"""Checks the op of that name; raises GradientError for a wrong value."""


def outcome(mutant: Mutant, target: Target, check: Check, seconds: float = SECONDS) -> str:
    """KILLED by a wrong value in one of the target's checks, else CRASHED in one, else SURVIVED.

    The first kill ends it, and so does the first check that runs out of time.
    """
    crashed = False
    with in_force(target, compiled(mutant.source, target.function)):
        for name in target.checks:
            try:
                quietly(check, name, seconds)
            except GradientError:
                return KILLED
            except OutOfTime:
                return CRASHED
            except Exception:
                crashed = True
    return CRASHED if crashed else SURVIVED


def quietly(check: Check, name: str, seconds: float = SECONDS) -> None:
    """Run one check without warnings, in its own context, with the random streams put back."""
    positions = random.state()
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"), time_limit(seconds):
            warnings.simplefilter("ignore")
            copy_context().run(check, name)
    finally:
        random.restore(positions)


def compiled(source: str, function: Function) -> CodeType:
    """The code of a mutated function, to stand in the place of the original's."""
    flags = __future__.annotations.compiler_flag
    module = compile(source, function.__code__.co_filename, "exec", flags, dont_inherit=True)
    return next(c for c in module.co_consts if isinstance(c, CodeType))


@contextmanager
def in_force(target: Target, code: CodeType) -> Iterator[None]:
    """Within the block the target's function runs `code`, or does so in some ops' backward only.

    The function object stays: every module and class that holds it sees the change.
    """
    if not target.within:
        with _running(target.function, code):
            yield
        return
    owners: list[Any] = [op for op in target.within if "backward" in vars(op)]
    before = [vars(op)["backward"] for op in owners]
    try:
        for op in owners:
            op.backward = staticmethod(_changed_within(op.backward, target.function, code))
        yield
    finally:
        for op, backward in zip(owners, before):
            op.backward = backward


def _changed_within(backward: Callable, function: Function, code: CodeType) -> Callable:
    def changed(*arguments: Any) -> Any:
        with _running(function, code):
            return backward(*arguments)

    return changed


@contextmanager
def _running(function: Function, code: CodeType) -> Iterator[None]:
    before = function.__code__
    function.__code__ = code
    try:
        yield
    finally:
        function.__code__ = before
