"""Benchmark b: one training step of a character GPT of the size that nanoGPT proposes for a CPU."""

from functools import partial

from tests.benchmarks import gpt

SIZES = gpt.Sizes(layers=4, heads=4, width=128, context=64, batch=12, vocabulary=65)
TITLE = SIZES.title()
STEPS = 20
start = partial(gpt.start, SIZES)
SIDES = gpt.sides(SIZES)
