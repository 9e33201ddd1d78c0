"""The process of one side of a tokenizer's measure: it trains or encodes when asked.

    python -m tests.benchmarks.subwords_worker encode-bpe-english SIDE START.jsonl

The first line of START.jsonl has the vocabulary and the merges, each further line is a text.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any
from zlib import crc32

from tests.benchmarks.environment import peak_memory
from tests.benchmarks.subwords_sides import ENCODERS, TRAINERS
from tests.benchmarks.worker import serve

PASSES = ("first", "new", "again")
"""Half of the texts by an encoder that has seen none, the other half, and that once more."""


def main(work: str, side: str, start: str) -> None:
    serve(lambda: _tasks(work, side, start))


def _tasks(work: str, side: str, start: str) -> dict[str, Callable[[Any], Any]]:
    action, model, _ = work.split("-")
    with open(start, encoding="utf-8") as file:
        learnt = json.loads(file.readline())
        texts = [json.loads(line) for line in file]
    import_module("tinygrad_llm.tokenizers" if side.startswith("ours") else side)
    level = peak_memory()
    if action == "train":
        tasks = {
            "seconds": lambda _: {"train": _seconds(TRAINERS[side], model, texts)},
            "result": lambda _: TRAINERS[side](model, texts),
        }
    else:
        tasks = {
            "seconds": lambda _: _encode(ENCODERS[side](model, **learnt), texts),
            "result": lambda _: _digest(ENCODERS[side](model, **learnt).ids, texts),
        }
    return {**tasks, "mib": lambda _: None if level is None else peak_memory() - level}


def _encode(encoder: Any, texts: list[str]) -> dict[str, float]:
    """Seconds of each pass over half of the texts."""
    halves = (texts[::2], texts[1::2], texts[1::2])
    return {name: _seconds(encoder.encode, half) for name, half in zip(PASSES, halves)}


def _seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Of processor time, all threads together: what else runs on the machine counts little."""
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


def _digest(ids: Callable[[str], list[int]], texts: list[str]) -> list[int]:
    """For each text a number that other ids would change."""
    return [crc32(json.dumps(ids(text)).encode()) for text in texts]


if __name__ == "__main__":
    main(*sys.argv[1:])
