"""Running all mutants of some targets, and saying what came of them."""

from __future__ import annotations

import ast
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from tinygrad_llm.testing.mutants.equivalents import EQUIVALENTS
from tinygrad_llm.testing.mutants.generator import (
    Mutant,
    file_of,
    gradient_lines,
    mutants_of,
    raising,
)
from tinygrad_llm.testing.mutants.runner import (
    CRASHED,
    KILLED,
    SECONDS,
    SURVIVED,
    Check,
    outcome,
)
from tinygrad_llm.testing.mutants.targets import Target

EQUIVALENT = "equivalent"
OUTCOMES = (KILLED, CRASHED, EQUIVALENT, SURVIVED)


class Row(NamedTuple):
    """What came of one target's mutants."""

    target: Target
    mutants: list[Mutant]
    outcomes: list[str]
    """Beside `mutants`; what is listed as equivalent and survived is EQUIVALENT."""
    seconds: float

    def of(self, outcome: str) -> list[Mutant]:
        """The mutants with this outcome."""
        return [m for m, found in zip(self.mutants, self.outcomes) if found == outcome]

    def line(self) -> str:
        """Label, number of mutants, how many of each outcome, seconds."""
        counts = "".join(f"{len(self.of(outcome)):>11}" for outcome in OUTCOMES)
        return f"{self.target.label:<26}{len(self.mutants):>8}{counts}{self.seconds:>9.3f}"


HEADING = f"{'':<26}{'mutants':>8}{''.join(f'{o:>11}' for o in OUTCOMES)}{'seconds':>9}"


def run(
    targets: Iterable[Target], check: Check, jobs: int = 1, seconds: float = SECONDS
) -> Iterator[Row]:
    """The targets one after another, or `jobs` at a time in processes of their own, in order."""
    one = partial(run_target, check=check, seconds=seconds)
    if jobs == 1:
        yield from map(one, targets)
    else:
        with ProcessPoolExecutor(jobs, get_context("spawn"), _end_silently) as pool:
            yield from pool.map(one, targets)


def _end_silently() -> None:
    """Let Ctrl-C end a worker without a traceback: the command itself says the one line."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_target(target: Target, check: Check, seconds: float = SECONDS) -> Row:
    """Run every mutant of one function."""
    start = time.perf_counter()
    mutants = candidates(target)
    if target.group == "tensors":
        reached = _lines_reached(target, check, seconds)
        mutants = [mutant for mutant in mutants if mutant.line in reached]
    found = [outcome(mutant, target, check, seconds) for mutant in mutants]
    named = [
        EQUIVALENT if each == SURVIVED and mutant.key in EQUIVALENTS else each
        for mutant, each in zip(mutants, found)
    ]
    return Row(target, mutants, named, time.perf_counter() - start)


def candidates(target: Target) -> list[Mutant]:
    """The mutants of a target; of an operation on Tensors, those of the lines that answer."""
    return mutants_of(target.function, target.label, _kind(target))


def _kind(target: Target) -> type[ast.stmt]:
    return ast.Return if target.group == "tensors" else ast.stmt


def _lines_reached(target: Target, check: Check, seconds: float) -> set[int]:
    """Lines that some backward runs: an operation on Tensors serves other callers too."""
    probes = raising(target.function, target.label, _kind(target))
    return {p.line for p in probes if outcome(p, target, check, seconds) != SURVIVED}


def faults(rows: list[Row]) -> list[str]:
    """What is wrong beside survivors: gradient lines without a value kill, a list grown old."""
    return [*_lines_without_kill(rows), *_listed_wrongly(rows)]


def _lines_without_kill(rows: list[Row]) -> list[str]:
    found = []
    for row in rows:
        if row.target.function.__name__ == "backward":
            killed = {mutant.line for mutant in row.of(KILLED)}
            lines = [n for n in gradient_lines(row.target.function) if n not in killed]
            found += [f"no value kill: {file_of(row.target.function)}:{n}" for n in lines]
    return found


def _listed_wrongly(rows: list[Row]) -> list[str]:
    """Entries of EQUIVALENTS that fit no mutant of their function, or one that was noticed."""
    functions = {row.target.function.__qualname__ for row in rows}
    outcomes = {m.key: found for row in rows for m, found in zip(row.mutants, row.outcomes)}
    wrong = []
    for key in EQUIVALENTS:
        found = outcomes.get(key, "no mutant any more")
        if key[0] in functions and found != EQUIVALENT:
            wrong.append(f"listed as equivalent, but {found}: {key[0]}: {key[2]}")
    return wrong


def difference(mutant: Mutant) -> str:
    """Where a mutant is, what was done, and the line before and after."""
    return (
        f"{mutant.place} {mutant.function} ({mutant.operator})\n"
        f"- {mutant.original}\n+ {mutant.mutated}"
    )


def score(rows: list[Row]) -> tuple[int, int]:
    """(killed, counted): neither crashes nor equivalents are counted."""
    killed = sum(len(row.of(KILLED)) for row in rows)
    return killed, killed + sum(len(row.of(SURVIVED)) for row in rows)
