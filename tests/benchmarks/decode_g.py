"""Benchmark g: GPT-2 with 124 million parameters writes a text, token by token, with a cache.

A step is one text; it gives a checksum of its tokens, which must be those of the other sides.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks import libraries
from tests.benchmarks.gpt import Sizes, filled, network, weights
from tests.benchmarks.worker import Step

SIZES = Sizes(layers=12, heads=12, width=768, context=1024, batch=1, vocabulary=50257)
PROMPT = 16
TOKENS = 64
"""New tokens in a step."""

PROMPTS = 8
TITLE = f"GPT-2 124M writes {TOKENS} tokens after a prompt of {PROMPT}: greedy, batch 1, float32"
STEPS = 1
FEWER_CHECKED = dict.fromkeys(("ours", "torch", "jax"), 4)
COMPARED = "checksums of the texts"
TOLERANCE = 0.0


def start(sizes: Sizes = SIZES) -> dict[str, np.ndarray]:
    """Weights by the names of our model, and prompts (N, 1, T) of ids."""
    rng = np.random.default_rng(0)
    arrays = weights(rng, lambda: network(sizes))
    return arrays | {"prompts": rng.integers(0, sizes.vocabulary, (PROMPTS, 1, PROMPT))}


def ours(sizes: Sizes, arrays: dict[str, np.ndarray], tokens: int = TOKENS) -> Step:
    from tinygrad_llm.generation import generate

    prompts = arrays.pop("prompts")
    model = filled(lambda: network(sizes), arrays)

    def step(number: int) -> Any:
        prompt = prompts[number % len(prompts)]
        return checksum(generate(model, prompt, max_new_tokens=tokens)[0])

    return step


def checksum(tokens: Any) -> int:
    """Six digits, which another token changes all but surely."""
    return zlib.crc32(np.asarray(tokens, np.int64).tobytes()) % 10**6


SIDES: dict[str, Callable[[dict[str, np.ndarray]], Step]] = {
    "ours": partial(ours, SIZES),
    **libraries.sides("decode", SIZES.heads, torch=("", "concatenated"), others=("jax",)),
}
"""PyTorch has two forms of the cache: rooms made once, or arrays that grow by each token."""
