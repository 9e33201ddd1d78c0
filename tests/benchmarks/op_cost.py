"""What an op costs beside its arithmetic: µs forward and backward on four elements.

    python -m tests.benchmarks.op_cost [--against torch] [--repeats 25] [--json FILE]

A chain of 200 equal ops is run forward and back; the medians over the repeats are printed, with
the quartiles of both together. With `--against torch` the two run in turn, in one process, and the
last column is the median of the ratios, pair by pair (above 1: ours is faster).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from chapters import options
from tests.benchmarks import commands
from tests.benchmarks.environment import fresh_process, machine
from tinygrad_llm.files import write_json

CHAIN = 200
Timed = Callable[[], tuple[float, float]]


def ours() -> dict[str, Timed]:
    from tinygrad_llm import Tensor
    from tinygrad_llm import functional as F

    x = Tensor(np.full((1, 4), 0.5, np.float32), requires_grad=True)
    w = Tensor(np.full((1, 4), 0.9, np.float32), requires_grad=True)
    m = Tensor(np.eye(4, dtype=np.float32), requires_grad=True)
    one = Tensor(np.ones((1, 4), np.float32))
    steps = {
        "add": lambda y: y + w,
        "multiply": lambda y: y * w,
        "multiply by a number": lambda y: y * 0.9,
        "divide": lambda y: y / w,
        "tanh": F.tanh,
        "sigmoid": F.sigmoid,
        "relu": F.relu,
        "reshape": lambda y: y.reshape(1, 4),
        "getitem": lambda y: y[:1],
        "softmax": F.softmax,
        "matmul": lambda y: y @ m,
    }
    return {name: _timed(step, x, lambda y: y.backward(one)) for name, step in steps.items()}


def theirs() -> dict[str, Timed]:
    import torch

    torch.set_num_threads(1)
    x = torch.full((1, 4), 0.5, requires_grad=True)
    w = torch.full((1, 4), 0.9, requires_grad=True)
    m = torch.eye(4, requires_grad=True)
    one = torch.ones(1, 4)
    steps = {
        "add": lambda y: y + w,
        "multiply": lambda y: y * w,
        "multiply by a number": lambda y: y * 0.9,
        "divide": lambda y: y / w,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": torch.relu,
        "reshape": lambda y: y.reshape(1, 4),
        "getitem": lambda y: y[:1],
        "softmax": lambda y: torch.softmax(y, -1),
        "matmul": lambda y: y @ m,
    }
    return {name: _timed(step, x, lambda y: y.backward(one)) for name, step in steps.items()}


def _timed(step: Callable, x, backward: Callable) -> Timed:
    def run() -> tuple[float, float]:
        x.grad = None
        start = time.perf_counter()
        y = x
        for _ in range(CHAIN):
            y = step(y)
        middle = time.perf_counter()
        backward(y)
        scale = 1e6 / CHAIN
        return (middle - start) * scale, (time.perf_counter() - middle) * scale

    return run


def measure(against: str | None, repeats: int) -> dict[str, dict[str, float]]:
    """Op → medians in µs, quartiles of forward and backward together, ratio to the other side."""
    mine, other = ours(), theirs() if against else {}
    rows = {}
    for name, run in mine.items():
        run()
        pairs = []
        for _ in range(repeats):
            mine_now = run()
            pairs.append((mine_now, other[name]() if name in other else None))
        both = sorted(sum(a) for a, _ in pairs)
        rows[name] = {
            "forward": statistics.median(a[0] for a, _ in pairs),
            "backward": statistics.median(a[1] for a, _ in pairs),
            "both": statistics.median(both),
            "low": both[len(both) // 4],
            "high": both[3 * len(both) // 4],
        }
        if against:
            rows[name]["ratio"] = statistics.median(sum(b) / sum(a) for a, b in pairs)
    return rows


def show(rows: dict[str, dict[str, float]], against: str | None) -> None:
    last = f"  {against} / ours" if against else ""
    print(f"{'µs an op, 4 elements':<22}{'forward':>9}{'backward':>10}{'both':>7}  quartiles{last}")
    for name, row in rows.items():
        ratio = f"{row['ratio']:>14.2f}" if against else ""
        print(
            f"{name:<22}{row['forward']:>9.2f}{row['backward']:>10.2f}{row['both']:>7.2f}"
            f"  {row['low']:>4.1f}-{row['high']:<4.1f}{ratio}"
        )


def main(arguments: list[str]) -> int:
    """0; wrong usage exits with 2."""
    parser = options.Parser(
        prog="python -m tests.benchmarks.op_cost", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--against", choices=["torch"])
    commands.add_options(parser, repeats=25)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    commands.check(parser, args)
    if args.here:
        print(json.dumps(measure(args.against, args.repeats)))
        return 0
    chosen = ["--against", args.against] if args.against else []
    module = ["-m", "tests.benchmarks.op_cost", "--here", "--repeats", str(args.repeats)]
    rows = json.loads(fresh_process([*module, *chosen], OPENBLAS_NUM_THREADS="1"))
    if args.json:
        write_json(args.json, rows)
    print(machine(OPENBLAS_NUM_THREADS="1"))
    show(rows, args.against)
    return 0


if __name__ == "__main__":
    commands.run(main)
