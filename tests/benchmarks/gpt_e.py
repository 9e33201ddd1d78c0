"""Benchmark e: one training step of GPT-2 with 124 million parameters on one text of 256 tokens."""

from functools import partial

from tests.benchmarks import gpt

SIZES = gpt.Sizes(layers=12, heads=12, width=768, context=256, batch=1, vocabulary=50257)
TITLE = SIZES.title()
STEPS = 1
FEWER_CHECKED = {"ours": 10, "torch": 10, "jax": 10, "autograd": 3, "tinygrad": 3}
"""A step takes a second, and of the last two many."""
start = partial(gpt.start, SIZES)
SIDES = gpt.sides(SIZES)
