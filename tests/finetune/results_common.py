"""What the tests of measures, tables and cards share: answers to rows, beside baselines."""

from __future__ import annotations

import numpy as np

from tinygrad_llm.finetune.measures import BAG, MAJORITY, MEAN, Result

TRUE = np.array([0, 0, 0, 0, 1, 1, 1, 2])
SAID = np.array([0, 0, 0, 1, 1, 1, 2, 2])
NAMES = ("a", "b", "c", "d")


def noisy(share, rows=400, classes=4, seed=0):
    """Classes, and answers of which about so many are right."""
    rng = np.random.default_rng([seed, rows, classes])
    true = rng.integers(classes, size=rows)
    return true, np.where(rng.random(rows) < share, true, rng.integers(classes, size=rows))


def classes(share=0.8, **options):
    """A result with both baselines."""
    true, said = noisy(share, **options)
    names = tuple(f"class {i}" for i in range(true.max() + 1))
    bag = np.where(np.arange(len(true)) % 3 == 0, 0, said)
    return Result(true, said, names, {BAG: bag, MAJORITY: np.zeros_like(true)})


def numbers(rows=500, scale=1.0):
    rng = np.random.default_rng(rows)
    true = rng.normal(size=rows)
    said, bag = (true + noise * rng.normal(size=rows) for noise in (0.3, 0.6))
    baselines = {BAG: scale * bag, MEAN: np.full(rows, scale * true.mean())}
    return Result(scale * true, scale * said, (), baselines)
