"""How labelled data is split into parts that share no row, each class in its proportion."""

from __future__ import annotations

import math
import operator
import reprlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import Stream
from tinygrad_llm.data.hashing import row_hash


class Split(NamedTuple):
    """Indices (int64) of the rows to learn from, to choose settings by, and to judge by at last."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def stratified_split(labels: Any, test_fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices (train, test) int64 of a random split, both shuffled; every row is in one of them.

    The test part has round(N · test_fraction) of the N rows, and of each class the share
    size · test_fraction, less or more than it by under one row (the largest remainders are
    rounded up); so a class whose share is under one row may have none there.
    labels: (N,), of any dtype that can be sorted. The same seed gives the same split.
    Raises ValueError for labels that are empty or not a vector, a fraction outside (0, 1), a class
    with one row, and a part that would be empty; TypeError for a seed that is no integer and for
    labels that cannot be sorted.
    """
    labels = _checked_labels(labels, "stratified_split")
    if not 0.0 < test_fraction < 1.0:
        raise ValueError(
            f"stratified_split: test_fraction is above 0 and below 1, not {test_fraction}"
        )
    classes, codes = _classes(labels, "stratified_split")
    sizes = np.bincount(codes)
    if sizes.min() < 2:
        alone = classes.tolist()[sizes.argmin()]
        raise ValueError(
            f"stratified_split: class {alone!r} has one row, too few for two parts; add rows or "
            "leave the class out"
        )
    in_test = _test_counts(sizes, test_fraction)
    generator = Stream("split", operator.index(seed)).next().generator()
    order = generator.permutation(len(labels))
    chosen = _first_of_each_class(codes[order], sizes, in_test)
    # Once more, for the test part has taken the early rows: the train part would begin without
    # the classes that it took last.
    return generator.permutation(order[~chosen]), generator.permutation(order[chosen])


def three_way_split(
    labels: Any,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    contents: Sequence[Any] | None = None,
) -> Split:
    """A random split into train, validation and test, all shuffled; every row is in one of them.

    A part has of each class the share size · fraction, less or more than it by under one row; so
    a class whose share is under one row may have none there.
    contents: what row i is, for rows that may be there twice: anything that `row_hash` takes. Equal
    contents stay together, the most frequent placed first; then a part is off its share of a class
    by less than twice the rows of one content, where equal contents have equal labels. Which
    contents are in which part then hangs on the seed, the labels and the contents, not on the order
    of the rows.
    labels: (N,), of any dtype that can be sorted. The same seed gives the same split.
    Raises ValueError for labels that are empty or not a vector, fractions that are not three above
    0 with sum 1, another number of contents than labels, a class with under three different rows,
    and a part that would be empty; TypeError for a seed that is no integer and for labels that
    cannot be sorted.
    """
    labels = _checked_labels(labels, "three_way_split")
    normalised = _checked_fractions(fractions)
    classes, codes = _classes(labels, "three_way_split")
    groups = _equal_rows(len(labels), contents)
    _check_distinct(classes, codes, groups)
    generator = Stream("split", operator.index(seed)).next().generator()
    parts = _placed(codes, groups, normalised, generator)
    rows = [generator.permutation(np.flatnonzero(parts == part)) for part in range(3)]
    for name, part in zip(Split._fields, rows):
        if not len(part):
            raise ValueError(
                f"three_way_split: {len(labels)} rows leave the {name} part empty; "
                "give more different rows or a larger fraction for it"
            )
    return Split(*rows)


def check_disjoint(*parts_of_contents: Sequence[Any]) -> None:
    """Refuse parts that share a row: learnt by heart in one, it would be counted in another.

    Each part is a sequence of rows, of anything that `row_hash` takes; they are compared by it.
    Raises ValueError that names the first row that is in two parts, both places counted from 0.
    """
    places: dict[str, tuple[int, int]] = {}
    for part, contents in enumerate(parts_of_contents):
        for row, content in enumerate(contents):
            earlier, place = places.setdefault(row_hash(content), (part, row))
            if earlier != part:
                raise ValueError(
                    f"check_disjoint: row {row} of part {part} is row {place} of part {earlier}: "
                    f"{reprlib.repr(content)}; split with contents=, or remove it from one"
                )


def _checked_labels(labels: Any, owner: str) -> np.ndarray:
    """`labels` as a vector with at least one entry."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise ValueError(f"{owner}: labels have shape {labels.shape}; give one for each row")
    if not len(labels):
        raise ValueError(f"{owner}: there are no labels; give one for each row")
    return labels


def _classes(labels: np.ndarray, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """The different labels, sorted, and for each row the number of its own."""
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError:
        kinds = ", ".join(sorted({type(label).__name__ for label in labels.tolist()}))
        raise TypeError(
            f"{owner}: labels of the types {kinds} have no order; give labels of one type, "
            "and leave out the rows that have none"
        ) from None


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


def _checked_fractions(fractions: Any) -> np.ndarray:
    """Three fractions above 0, with sum 1."""
    values = [float(fraction) for fraction in fractions]
    if len(values) != 3 or not all(value > 0.0 for value in values):
        raise ValueError(
            f"three_way_split: fractions {fractions} are not three above 0; give "
            "(train, validation, test) such as (0.8, 0.1, 0.1)"
        )
    if not math.isclose(sum(values), 1.0, abs_tol=1e-6):
        raise ValueError(
            f"three_way_split: fractions {fractions} have sum {sum(values):g}; make it 1"
        )
    return np.array(values) / sum(values)


def _equal_rows(rows: int, contents: Sequence[Any] | None) -> np.ndarray:
    """For each row the number of its content; equal rows have the same."""
    if contents is None:
        return np.arange(rows)
    if len(contents) != rows:
        raise ValueError(
            f"three_way_split: {rows} labels have {len(contents)} contents; give one for each row"
        )
    # Sorted by hash, so that a content has its number whatever row it stands in.
    return np.unique([row_hash(content) for content in contents], return_inverse=True)[1]


def _check_distinct(classes: np.ndarray, codes: np.ndarray, groups: np.ndarray) -> None:
    """Refuse a class that cannot be in all three parts."""
    pairs = np.unique(np.stack([codes, groups]), axis=1)
    counts = np.bincount(pairs[0])
    if counts.min() < 3:
        small = classes.tolist()[counts.argmin()]
        raise ValueError(
            f"three_way_split: class {small!r} has {counts.min()} different rows, too few for "
            "three parts; add rows, join it with another class or leave it out"
        )


def _placed(
    codes: np.ndarray, groups: np.ndarray, fractions: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The part (0, 1 or 2) of each row; each group goes where its classes lack most rows."""
    lacking = _shares(np.bincount(codes), fractions)
    sizes = np.bincount(groups)
    order = generator.permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    by_group = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    part_of = np.empty(len(sizes), np.int64)
    for group in order:
        classes = codes[by_group[group]].tolist()
        lack = [sum(lacking[c][part] for c in classes) for part in range(3)]
        part_of[group] = best = lack.index(max(lack))
        for c in classes:
            lacking[c][best] -= 1
    return part_of[groups]


def _shares(sizes: np.ndarray, fractions: np.ndarray) -> list[list[int]]:
    """Rows of each class in each part: every share rounded up or down, so that the class is used
    up and the parts keep as near as they can to their fractions of all rows."""
    ahead = np.zeros(len(fractions))
    counts = []
    for size in sizes:
        share = np.round(size * fractions, 9)  # 0.1 · 30 is above 3 by a rounding error
        count = np.floor(share)
        # The rows that are left go to the parts that are furthest behind.
        behind = np.where(count < share, ahead + count - share, np.inf)
        count[np.argsort(behind, kind="stable")[: round(size - count.sum())]] += 1
        ahead += count - share
        counts.append(count.astype(int).tolist())
    return counts
