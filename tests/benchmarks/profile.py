"""Where the time of a race's step of ours goes: ops forward and backward, optimizer, the rest.

    python -m tests.benchmarks.profile [c] [--repeats 10] [--threads 1] [--json FILE]

Times are a step's, from `tinygrad_llm.profile` around the race's own steps, in a process like those
of the races. MB are those of the arrays that an op reads and writes, so GB/s are what memory would
have to give if none of them were in a cache. The last rows are not ops: the walk back is what
backward takes beside its ops, for sums of gradients and Python.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.__main__ import BENCHMARKS
from tests.benchmarks.environment import fresh_process, machine
from tests.benchmarks.worker import Step
from tinygrad_llm.files import write_json

WARM = 2
"""Steps before the first that counts."""

OPTIMIZER, WALK, REST = "optimizer's step", "the walk back", "all else, Python"


def measure(step: Step, repeats: int) -> dict[str, Any]:
    """Milliseconds and MB a step: of each op, of the parts that are no ops, and of all."""
    from tinygrad_llm import Tensor, profile
    from tinygrad_llm.optim.base import Optimizer

    for number in range(WARM):
        step(number)
    seconds = {OPTIMIZER: 0.0, WALK: 0.0}
    with (
        _timed(Optimizer, "step", seconds, OPTIMIZER),
        _timed(Tensor, "backward", seconds, WALK),
        profile(None) as table,
    ):
        for number in range(WARM, WARM + repeats):
            step(number)
    seconds[WALK] -= sum(row.seconds for row in table.rows if row.direction == "backward")
    parts = seconds | {REST: table.outside - sum(seconds.values())}
    scale = 1e3 / repeats
    rows = [
        (f"{row.op} {row.direction}", row.calls / repeats, row.seconds * scale,
         row.bytes / 1e6 / repeats)
        for row in table.rows
    ]  # fmt: skip
    rows += [(name, None, value * scale, None) for name, value in parts.items() if value]
    return {"rows": rows, "ms": table.seconds * scale, "steps": repeats}


@contextmanager
def _timed(owner: type, name: str, seconds: dict[str, float], key: str) -> Iterator[None]:
    """Within the block the seconds of the method's calls are added up."""
    original: Callable = getattr(owner, name)

    def run(*given: Any, **options: Any) -> Any:
        start = time.perf_counter()
        try:
            return original(*given, **options)
        finally:
            seconds[key] += time.perf_counter() - start

    setattr(owner, name, run)
    try:
        yield
    finally:
        setattr(owner, name, original)


def show(letter: str, title: str, found: dict[str, Any]) -> None:
    """The table, the longest first."""
    print(f"\n{letter}: {title}\n  {found['ms']:.2f} ms a step, the mean of {found['steps']}\n")
    cells = []
    for name, calls, ms, megabytes in sorted(found["rows"], key=lambda row: -row[2]):
        share = f"{ms / found['ms']:.1%}"
        of_op = ("", "", "")
        if calls is not None:
            of_op = (f"{calls:.0f}", f"{megabytes:.1f}", f"{megabytes / ms:.0f}" if ms else "")
        cells.append((name, f"{ms:.2f}", share, *of_op))
    print(text.table(("where", "ms", "share", "calls", "MB", "GB/s"), cells))


def main(arguments: list[str]) -> int:
    """0; wrong usage exits with 2."""
    text.use_utf8()
    given = _options(arguments)
    letters = list(dict.fromkeys(given.letters)) or list(BENCHMARKS)
    if given.here:
        module = import_module(BENCHMARKS[letters[0]])
        print(json.dumps(measure(module.SIDES["ours"](module.start()), given.repeats)))
        return 0
    threads = {} if given.threads is None else {"OPENBLAS_NUM_THREADS": str(given.threads)}
    print(machine(**threads))
    results = {}
    for letter in letters:
        words = ["-m", "tests.benchmarks.profile", letter, "--here", "--repeats"]
        results[letter] = json.loads(fresh_process([*words, str(given.repeats)], **threads))
        if given.json:
            write_json(given.json, results)
        show(letter, import_module(BENCHMARKS[letter]).TITLE, results[letter])
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    """What was asked for; wrong usage ends here, before anything is measured."""
    parser = options.Parser(
        prog="python -m tests.benchmarks.profile", description=__doc__.splitlines()[0]
    )
    parser.add_argument("letters", nargs="*", metavar="c", help="benchmarks; all if none is given")
    commands.add_options(parser, repeats=10)
    parser.add_argument("--threads", type=int, metavar="N", help="of OpenBLAS (default: its own)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    for letter in given.letters:
        if letter not in BENCHMARKS:
            parser.refuse(f"there is no benchmark {letter}; there are: {', '.join(BENCHMARKS)}")
    commands.check(parser, given)
    if given.threads is not None and given.threads < 1:
        parser.refuse(f"--threads: {given.threads}; give 1 or more")
    return given


if __name__ == "__main__":
    commands.run(main)
