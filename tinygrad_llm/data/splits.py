"""How labelled data is split into parts that share no row, each class in its proportion."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tinygrad_llm.backend import Stream


def stratified_split(labels: Any, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, test) int64 of a random split, both shuffled; every row is in one of them.

    The test part has round(N · test_fraction) of the N rows, and of each class the share
    size · test_fraction, less or more than it by under one row (the largest remainders are
    rounded up); so a class whose share is under one row may have none there.
    labels: (N,), of any dtype that can be sorted. The same seed gives the same split.
    Raises ValueError for labels that are empty or not a vector, a fraction outside (0, 1), a class
    with one row, and a part that would be empty; TypeError for a seed that is no integer.
    """
    labels = _checked_labels(labels)
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"stratified_split: test_fraction is above 0 and below 1, not {test_fraction}"
        )
    classes, codes, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _check_sizes(classes, sizes)
    in_test = _test_counts(sizes, test_fraction)
    generator = Stream("split", operator.index(seed)).next().generator()
    order = generator.permutation(len(labels))
    chosen = _first_of_each_class(codes[order], sizes, in_test)
    # Once more, for the test part has taken the early rows: the train part would begin without
    # the classes that it took last.
    return generator.permutation(order[~chosen]), generator.permutation(order[chosen])


def _checked_labels(labels: Any) -> np.ndarray:
    """`labels` as a vector with at least one entry."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(
            f"stratified_split: labels have shape {labels.shape}; give one for each row"
        )
    if not len(labels):
        raise ValueError("stratified_split: there are no labels; give at least two for each class")
    return labels


def _check_sizes(classes: np.ndarray, sizes: np.ndarray) -> None:
    """Refuse a class that cannot be in both parts."""
    if sizes.min() < 2:
        alone = classes[sizes.argmin()].item()
        raise ValueError(
            f"stratified_split: class {alone!r} has one row, too few for two parts; add rows or "
            "leave the class out"
        )


def _test_counts(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """Rows of each class in the test part: the shares rounded by their largest remainders."""
    rows = int(sizes.sum())
    total = round(rows * fraction)
    if total in (0, rows):
        raise ValueError(
            f"stratified_split: test_fraction {fraction} of {rows} rows leaves one part empty; "
            "give more rows or a fraction nearer to 0.5"
        )
    shares = sizes * fraction
    counts = np.floor(shares).astype(np.int64)
    by_remainder = np.argsort(counts - shares, kind="stable")
    counts[by_remainder[: total - counts.sum()]] += 1
    return counts


def _first_of_each_class(codes: np.ndarray, sizes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """True at the first `counts[c]` places where `codes`, with `sizes[c]` entries c, holds c."""
    grouped = np.argsort(codes, kind="stable")
    rank = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    chosen = np.empty(len(codes), dtype=bool)
    chosen[grouped] = rank < np.repeat(counts, sizes)
    return chosen
