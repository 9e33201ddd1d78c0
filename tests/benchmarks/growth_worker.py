"""The process of one size of our GPT: its training step, and the memory that it takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import count
from typing import Any

from tests.benchmarks import gpt
from tests.benchmarks.environment import facts, peak_memory
from tests.benchmarks.worker import seconds, serve


def main(sizes: str) -> None:
    """sizes: a JSON list of what `gpt.Sizes` holds."""
    serve(lambda: _tasks(gpt.Sizes(*json.loads(sizes))))


def _tasks(sizes: gpt.Sizes) -> dict[str, Callable[[Any], Any]]:
    facts("ours")  # imports the library, whose own memory is not counted
    level = peak_memory()
    step, numbers = gpt.ours(sizes, gpt.start(sizes)), count()
    return {
        "seconds": lambda steps: seconds(step, numbers, steps),
        "mib": lambda _: None if level is None else peak_memory() - level,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
