"""Benchmark a: one training step of a GPT with 4 layers of width 256 on texts of 256 tokens."""

from functools import partial

from tests.benchmarks import gpt

SIZES = gpt.Sizes(layers=4, heads=4, width=256, context=256, batch=8, vocabulary=5000)
TITLE = SIZES.title()
STEPS = 2
CHECKED = {"autograd": 10, "tinygrad": 5}
start = partial(gpt.start, SIZES)
SIDES = gpt.sides(SIZES)
