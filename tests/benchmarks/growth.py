"""How time and memory of our GPT's training step grow with its sizes.

    python -m tests.benchmarks.growth [T D layers batch V] [--repeats 5] [--json FILE]

One size takes five values, the others stay: 2 layers, 4 heads, D 128, T 128, batch 8, V 1,000. Each
value has a process of its own, and the five run in turn. The exponent p is that of the straight
line through the logarithms, y ~ xᵖ, and beside it stands the same of two counts: multiplications
of the matrix products, and floats that must be held. Powers such as T² are seen only where their
term outgrows the others; small sizes also cost calls, which do not grow. Memory is the peak of the
process less what it held before there was a model.
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.environment import machine, variables
from tests.benchmarks.gpt import Sizes
from tests.benchmarks.race import RaceError, Worker, spread, take_turns
from tinygrad_llm.files import write_json

BASE = Sizes(layers=2, heads=4, width=128, context=128, batch=8, vocabulary=1000)

AXES = {
    "T": ("context", (32, 64, 128, 256, 512)),
    "D": ("width", (32, 64, 128, 256, 512)),
    "layers": ("layers", (1, 2, 4, 8, 16)),
    "batch": ("batch", (2, 4, 8, 16, 32)),
    "V": ("vocabulary", (500, 1000, 2000, 4000, 8000)),
}
"""Of each axis the field of `Sizes` and its values."""

STEPS = 3
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
"""Threads that wait for a busy core would count as growth."""

KEPT = 16
"""Floats that a layer keeps for backward beside its scores, in arrays (B, T, D): about so many."""


def main(arguments: list[str]) -> int:
    """0 when all is measured, 1 when a process ended; wrong usage exits with 2."""
    text.use_utf8()
    given = _options(arguments)
    about = machine(**ONE_THREAD)
    print(about)
    found = {}
    try:
        for axis in list(dict.fromkeys(given.axes)) or list(AXES):
            found[axis] = measure(axis, given.repeats)
            if given.json:  # before it is shown: printing may end the command
                write_json(given.json, {"machine": about, "base": BASE._asdict(), "axes": found})
            show(axis, found[axis])
    except RaceError as error:
        print(f"{axis}: {error}", file=sys.stderr)
        return 1
    print(
        f"\nmedians of {given.repeats} rounds of {STEPS} steps (quartiles), peak memory above the"
    )
    print("library's own; exponents by a line through the logarithms, beside those of the counts.")
    print("Indicative: of this machine, in this run, with whatever else it had to do")
    return 0


def multiplications(sizes: Sizes) -> int:
    """Of all matrix products of a step: 3 times those forward, as backward has two for each."""
    layers, _, width, context, batch, vocabulary = sizes
    weights = 12 * layers * width**2 + vocabulary * width
    scores = 2 * layers * context * width
    return 3 * batch * context * (weights + scores)


def floats(sizes: Sizes) -> int:
    """Weights, gradients and AdamW's two moments; what layers keep for backward, and as much as one
    keeps for the layer that backward is in."""
    layers, heads, width, context, batch, vocabulary = sizes
    parameters = 12 * layers * width**2 + (vocabulary + context) * width
    kept = KEPT * batch * context * width + batch * heads * context**2
    return 4 * parameters + (layers + 1) * kept


def exponent(values: Sequence[float], results: Sequence[float]) -> float:
    """p of results ~ valuesᵖ, by least squares on the logarithms."""
    return float(np.polyfit(np.log(values), np.log(results), 1)[0])


def measure(axis: str, repeats: int) -> dict[str, Any]:
    """What there is to report of an axis, as JSON can hold it; times are in seconds a step."""
    field, values = AXES[axis]
    every = [BASE._replace(**{field: value}) for value in values]
    with ExitStack() as stack:
        workers = _start(stack, every)
        times = take_turns(workers, repeats, STEPS, lambda done: None)
        memory = [worker.ask("mib", None) for worker in workers]
    medians = [spread(each).median for each in times]
    return {
        "field": field,
        "values": list(values),
        "seconds": [{"all": each, **spread(each)._asdict()} for each in times],
        "mib": memory,
        "time": _exponents(values, medians, every, multiplications),
        "memory": None if None in memory else _exponents(values, memory, every, floats),
    }


def _exponents(
    values: Sequence[int], found: list[float], every: list[Sizes], counted: Callable[[Sizes], int]
) -> dict[str, float]:
    expected = exponent(values, [counted(sizes) for sizes in every])
    return {"exponent": exponent(values, found), "expected": expected}


def _start(stack: ExitStack, every: list[Sizes]) -> list[Worker]:
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    environment, workers = variables(**ONE_THREAD), []
    for sizes in every:
        words, program = [json.dumps(sizes)], "tests.benchmarks.growth_worker"
        workers.append(Worker("ours", words, folder, environment, program=program))
        stack.callback(workers[-1].close)
    return workers


def show(axis: str, found: dict[str, Any]) -> None:
    """A table of an axis: one row a value, then the exponents."""
    rows = []
    for value, times, mib in zip(found["values"], found["seconds"], found["mib"]):
        median, low, high = (f"{times[key] * 1e3:.1f}" for key in ("median", "low", "high"))
        rows.append((str(value), f"{median} ({low}–{high})", "" if mib is None else f"{mib:.0f}"))
    print("\n" + text.table((axis, "ms a step", "peak MiB"), rows))
    for name in ("time", "memory"):
        if found[name]:
            measured, expected = found[name].values()
            print(f"  {name} ~ {axis}^{measured:.2f}, by its count {axis}^{expected:.2f}")


def _options(arguments: list[str]) -> Namespace:
    """What was asked for; wrong usage ends here, before anything is measured."""
    parser = options.Parser(
        prog="python -m tests.benchmarks.growth",
        description="How time and memory of our GPT's training step grow with its sizes.",
    )
    parser.add_argument("axes", nargs="*", metavar="AXIS", help=f"all, or of: {', '.join(AXES)}")
    commands.add_options(parser, repeats=5)
    given = parser.parse_args(arguments)
    for axis in given.axes:
        if axis not in AXES:
            parser.refuse(f"there is no axis {axis}; there are: {', '.join(AXES)}")
    commands.check(parser, given)
    return given


if __name__ == "__main__":
    commands.run(main)
