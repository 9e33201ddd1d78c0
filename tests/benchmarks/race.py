"""Two or more sides that do the same steps, in processes of their own, timed in turn."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks.environment import ROOT, variables

CHECKED = 50
"""Steps whose losses must agree before anything is timed. A benchmark's FEWER_CHECKED says of which
libraries it is fewer."""

TOLERANCE = 1e-4
"""How far losses may lie apart, relative to ours: rounding, and no more. A benchmark may have a
TOLERANCE of its own, and say in COMPARED what it is that its steps give if not losses."""

PAUSE = 0.05
"""Seconds before a turn: threads of the side before spin on for up to 30 ms (OpenBLAS)."""


class RaceError(RuntimeError):
    """Why a race has no result, in one line."""


class Spread(NamedTuple):
    """The middle half of some measurements."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles (with linear interpolation) of two or more values."""
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Theirs over ours, round by round: above 1, ours is faster."""
    return spread([b / a for a, b in zip(ours, theirs, strict=True)])


class Worker:
    """The process of one side, which runs `program` with `words`; `ask` it, and `close` it.

    folder: where it writes what it says of its errors.
    """

    def __init__(
        self,
        side: str,
        words: Sequence[str],
        folder: Path,
        environment: dict[str, str],
        *,
        program: str = "tests.benchmarks.worker",
    ):
        self.side = side
        # A pipe could fill, and a process that waits for room there answers no more.
        self._errors = folder / f"{uuid.uuid4().hex}.txt"
        with open(self._errors, "wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", program, *words],
                cwd=ROOT, env=environment, encoding="utf-8",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip

    def ask(self, task: str, argument: Any) -> Any:
        """Its answer to one of the program's tasks. Raises RaceError when the process has ended."""
        try:
            self._process.stdin.write(json.dumps([task, argument]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:  # it takes no more requests
            answer = ""
        if not answer:
            raise RaceError(self._obituary())
        return json.loads(answer)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
        with suppress(OSError):  # a request that it did not live to read
            self._process.stdin.close()

    def _obituary(self) -> str:
        code = self._process.wait()
        said = self._errors.read_text("utf-8", errors="replace").strip().splitlines()
        how = f"exit code {code}" if code >= 0 else f"killed by signal {-code}"
        return f"the process of {self.side!r} ended ({how}): {said[-1] if said else 'no word'}"


def race(
    module: str,
    sides: Sequence[str],
    rounds: int,
    *,
    steps: int | None = None,
    core: str | None = None,
    tick: Callable[[int], None] = lambda done: None,
) -> dict[str, Any]:
    """Race `sides` of the benchmark `module`; the first is the one that ratios are taken to.

    Each round runs `steps` steps on every side (default: the benchmark's), and the side that
    begins changes from round to round. `core` holds OpenBLAS to a core type on all sides; `tick`
    is called with the rounds done.

    Returns what there is to report, as JSON can hold it; times are in seconds a step.
    Raises RaceError when losses disagree or a process ends.
    """
    benchmark = import_module(module)
    steps = steps or benchmark.STEPS
    with ExitStack() as stack:
        workers = _start(stack, module, benchmark, sides, core)
        checked = [_checked(benchmark, side) for side in sides]
        losses = [worker.ask("losses", n) for worker, n in zip(workers, checked)]
        difference = disagreement(sides, losses, **_comparison(benchmark))
        times = take_turns(workers, rounds, steps, tick)
        last = [worker.ask("losses", 1)[0] for worker in workers]
        facts = [worker.ask("facts", worker.side.split()[0]) for worker in workers]
    if not all(map(math.isfinite, last)):
        raise RaceError(f"a side has diverged: the last losses are {dict(zip(sides, last))}")
    rows = zip(sides, checked, times, last, facts)
    return {
        "title": benchmark.TITLE,
        "rounds": rounds,
        "steps": steps,
        "tokens": getattr(benchmark, "TOKENS", None),
        "compared": _comparison(benchmark)["compared"],
        "losses": {"checked": max(checked[1:], default=checked[0]), "difference": difference},
        "sides": [_row(*row, ours=times[0]) for row in rows],
    }


def _checked(benchmark: ModuleType, side: str) -> int:
    return getattr(benchmark, "FEWER_CHECKED", {}).get(side.split()[0], CHECKED)


def _comparison(benchmark: ModuleType) -> dict[str, Any]:
    """How what the sides' steps give is compared, and what it is."""
    tolerance = getattr(benchmark, "TOLERANCE", TOLERANCE)
    return {"tolerance": tolerance, "compared": getattr(benchmark, "COMPARED", "losses")}


def disagreement(
    sides: Sequence[str],
    losses: Sequence[Sequence[float]],
    tolerance: float = TOLERANCE,
    compared: str = "losses",
) -> float:
    """The greatest relative distance of a loss to the first side's; RaceError above `tolerance`.

    A side may have fewer losses than the first. compared: what the losses are, if something else.
    """
    worst = 0.0
    for side, theirs in zip(sides[1:], losses[1:]):
        for step, (a, b) in enumerate(zip(losses[0][: len(theirs)], theirs, strict=True), 1):
            distance = abs(a - b) / abs(a) if a else abs(b)
            if not distance <= tolerance:
                both = f"{a:.7g} ({sides[0]}) and {b:.7g} ({side})"
                raise RaceError(
                    "the sides do not do the same work: "
                    f"after step {step} the {compared} are {both}"
                )
            worst = max(worst, distance)
    return worst


def _start(
    stack: ExitStack, module: str, benchmark: ModuleType, sides: Sequence[str], core: str | None
) -> list[Worker]:
    """Workers that all begin with the same arrays and end with `stack`."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    start = folder / "start.npz"
    np.savez(start, **benchmark.start())
    environment = variables(**({"OPENBLAS_CORETYPE": core} if core else {}))
    workers = []
    for side in sides:
        workers.append(Worker(side, [module, side, str(start)], folder, environment))
        stack.callback(workers[-1].close)
    return workers


def take_turns(
    workers: list[Worker], rounds: int, steps: int, tick: Callable[[int], None]
) -> list[list[float]]:
    """Seconds a step: for each worker, of each round. A round before them warms all up."""
    times: list[list[float]] = [[] for _ in workers]
    for done in range(rounds + 1):
        tick(done)
        for place in range(len(workers)):
            turn = (done + place) % len(workers)
            time.sleep(PAUSE)
            seconds = workers[turn].ask("seconds", steps)
            if done:
                times[turn].append(seconds)
    return times


def _row(
    side: str,
    checked: int,
    seconds: list[float],
    last: float,
    facts: dict[str, Any],
    ours: list[float],
) -> dict[str, Any]:
    return {
        "side": side,
        "checked": checked,
        "seconds": seconds,
        **spread(seconds)._asdict(),
        "ratio": ratio(ours, seconds)._asdict(),
        "last_loss": last,
        **facts,
    }
