"""The process of one side of a race: it builds its training step and runs it when asked.

    python -m tests.benchmarks.worker MODULE SIDE START.npz

A request is a line of JSON on stdin, its answer a line of JSON on stdout; it ends with stdin.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from itertools import count
from typing import Any

import numpy as np

from tests.benchmarks.environment import facts, peak_memory

Step = Callable[[int], Any]
"""Trains on batch number n, and returns its loss, which nobody has read yet."""


def main(module: str, side: str, start: str) -> None:
    serve(lambda: _tasks(module, side, start))


def serve(prepare: Callable[[], dict[str, Callable[[Any], Any]]]) -> None:
    """Answer each request by the task of its name among those that `prepare` gives."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    sys.stdout.reconfigure(line_buffering=True)  # nor come after the traceback that ended it
    tasks = prepare()
    for line in sys.stdin:
        task, argument = json.loads(line)
        print(json.dumps(tasks[task](argument)), file=answers, flush=True)


def _tasks(module: str, side: str, start: str) -> dict[str, Callable[[Any], Any]]:
    with np.load(start) as arrays:
        step: Step = import_module(module).SIDES[side](dict(arrays))
    numbers = count()
    return {
        "losses": lambda steps: [float(step(next(numbers))) for _ in range(steps)],
        "seconds": lambda steps: seconds(step, numbers, steps),
        "facts": lambda library: facts(library) | {"peak_mib": peak_memory()},
    }


def seconds(step: Step, numbers: count, steps: int) -> float:
    """Seconds a step, over `steps` steps after a few that bring caches and clock back."""
    _train(step, numbers, 1 + steps // 10)
    start = time.perf_counter()
    _train(step, numbers, steps)
    return (time.perf_counter() - start) / steps


def _train(step: Step, numbers: count, steps: int) -> None:
    """The last loss is read: libraries that work on while Python goes ahead are waited for."""
    for _ in range(steps):
        loss = step(next(numbers))
    float(loss)


if __name__ == "__main__":
    main(*sys.argv[1:])
