"""Which rows make which batch of an epoch, and in which order the batches come."""

from __future__ import annotations

import numpy as np

MIXING = 0.1
"""Lengths that differ by up to about twice this share may change places when buckets are made, so
that rows meet others in each epoch."""


def plain(
    rows: int, size: int, drop_last: bool, generator: np.random.Generator | None
) -> list[np.ndarray]:
    """Batches of `size` row indices, in a random order, or from first to last without generator."""
    order = np.arange(rows) if generator is None else generator.permutation(rows)
    return _cut(order, size, drop_last)


def by_length(
    lengths: np.ndarray, size: int, drop_last: bool, generator: np.random.Generator | None
) -> list[np.ndarray]:
    """Batches of rows of like length; lengths: (N,) integers.

    With a generator the batches come in a random order, a smaller one last; which rows drop_last
    leaves out is chance and not length. Without one the longest rows come first.
    """
    if generator is None:
        return _cut(np.argsort(-lengths, kind="stable"), size, drop_last)
    rows = generator.permutation(len(lengths))
    if drop_last:
        rows = rows[: len(rows) - len(rows) % size]
    near = lengths[rows] * generator.uniform(1 - MIXING, 1 + MIXING, len(rows))
    return _shuffled_buckets(rows[np.argsort(near, kind="stable")], size, generator)


def _shuffled_buckets(
    rows: np.ndarray, size: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Neighbours in `rows` as batches in a random order; a smaller one last.

    It is cut out at a random place, so that it is not always made of the shortest rows.
    """
    full, short = divmod(len(rows), size)
    start = size * generator.integers(0, full, endpoint=True)
    smaller = rows[start : start + short]
    rest = np.delete(rows, slice(start, start + short)).reshape(full, size)
    return [*generator.permutation(rest), *([smaller] if short else [])]


def _cut(order: np.ndarray, size: int, drop_last: bool) -> list[np.ndarray]:
    """`order` in pieces of `size`."""
    end = len(order) - len(order) % size if drop_last else len(order)
    return [order[start : start + size] for start in range(0, end, size)]
