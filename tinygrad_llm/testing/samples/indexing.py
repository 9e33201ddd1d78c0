"""Samples of the ops that read or write at given places."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.registry import Call, exact, sample

INDICES: tuple[Any, ...] = (
    (slice(1, 3), 2),
    np.array([2, 0, 2, 2]),
    np.array([[2, -1, 0, 2], [2, 2, 1, -1]]),
    (slice(None), np.array([[1, 1], [0, 2]])),
    (np.array([0, 2, 0]), np.array([1, 1, 1])),
    np.array([[True, False, True], [False, True, True], [True, True, False]]),
    (Ellipsis, -1),
    (None, slice(None, None, -1), 1),
    (np.array([True, False, True]), slice(0, 2)),
    (1, np.array([2, 2, 0])),
    1,
    (slice(2, 2), slice(None)),
    np.zeros(0, int),
)
"""Of a square of 3 × 3: slices, integers, None, Ellipsis, repeated places, masks, nothing."""


@sample("getitem", draws=len(INDICES))
def _places(d: Drawer) -> Call:
    index, x = d.choice(*INDICES), d.array((3, 3))
    plain, repeats = F.plain_index(Tensor(x), index)
    constants = {"index": plain, "repeats": repeats}
    return Call((x,), lambda x: F.getitem(x, index), constants)


@sample("getitem", draws=1, composite=True)
def _pieces_that_overlap(d: Drawer) -> Call:
    """Slices, repeated places and a dense gradient meet in one buffer, in every order."""

    def function(x: Any) -> Any:
        first = x[:2] * x[1:] + x[[0, 2]] * x[[1, 1]]
        return first * x[1] + F.sin(x)[2] + x[0]

    return Call((d.array((3, 3), size=10),), function)


@sample("getitem", draws=1, composite=True)
def _a_piece_after_a_whole(d: Drawer) -> Call:
    """The sum of a gets b's own gradient first, and may not write into it."""

    def function(a: Any, b: Any) -> Any:
        first = a[1] * a[0]
        return (a + b) * first

    return Call((d.array((3, 3), size=10), d.array((3, 3), size=10)), function)


@sample("getitem", draws=1, composite=True)
def _a_piece_of_a_number(d: Drawer) -> Call:
    """NumPy's sums of 0-d arrays are scalars, into which nothing can be written."""

    def function(x: Any) -> Any:
        first = x[...]
        return x * x + F.sin(x) + first * x[None]

    return Call((d.array((), size=10),), function)


@sample("getitem", draws=1, composite=True)
def _tensors_and_lists(d: Drawer) -> Call:
    places = Tensor(np.array([2, 0, 2]))
    return Call((d.array((3, 3)),), lambda x: x[places.to(x.device)] * x[[0, 1, 0]] * x[0][1])


@sample("scatter", draws=4)
def _added_at(d: Drawer) -> Call:
    given, index, shape = d.choice(
        ((3,), (np.array([2, 0, 2]),), (4,)),
        ((2, 3), (slice(1, 3),), (3, 3)),
        ((3, 2), (slice(None), np.array([1, 1])), (3, 3)),
        ((2,), (np.array([0, 0]), np.array([1, 1])), (2, 2)),
    )
    constants = {"index": index, "shape": shape}
    return Call((d.array(given),), lambda x: F.scatter(x, index, shape), constants)


@sample("takealongaxis", draws=5)
def _in_step(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 4), (4,), (3, 3, 3), (3, 3), min_ndim=1, min_side=1))
    axis = d.axis(x.ndim)
    shape = list(x.shape)
    shape[axis] = d.choice(3, 5, 1)
    index = d.integers(tuple(shape), x.shape[axis])
    constants = {"axis": axis % x.ndim}
    return Call((x, index), lambda x, i: F.take_along_axis(x, i, axis), constants)


@sample("scatteradd", draws=5)
def _repeated_places(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 4), (4,), (3, 3, 3), (3, 3), min_ndim=1, min_side=1))
    axis = d.axis(x.ndim)
    shape = list(x.shape)
    shape[axis] = d.choice(3, 5, 1)
    index, source = d.integers(tuple(shape), x.shape[axis]), d.array(tuple(shape))
    constants = {"axis": axis % x.ndim}
    return Call(
        (x, index, source), lambda x, i, source: F.scatter_add(x, i, source, axis), constants
    )


@sample("embedding", draws=4)
def _rows(d: Drawer) -> Call:
    """No id is `padding_idx` here: what happens there is a rule, not a derivative."""
    shape = d.choice((4,), (2, 3), (), (0,))
    weight, padding = d.array((4, 3)), d.choice(None, 3)
    ids = d.integers(shape, 3)
    constants = {"padding_idx": padding}
    return Call((weight, ids), lambda weight, ids: F.embedding(ids, weight, padding), constants)


exact(
    "embedding",
    "the padding row is read and gets no gradient, a repeated row gets all of its own",
    lambda weight, ids: F.embedding(ids, weight, padding_idx=1),
    ([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [[0, 1], [2, 0]]),
    [[[10.0, 20.0], [30.0, 40.0]], [[50.0, 60.0], [70.0, 80.0]]],
    [[80.0, 100.0], [0.0, 0.0], [50.0, 60.0]],
    None,
    value=[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [1.0, 2.0]]],
)
exact(
    "embedding",
    "row 0 can be the padding row",
    lambda weight, ids: F.embedding(ids, weight, padding_idx=0),
    ([[1.0], [3.0]], [0, 1, 0]),
    [[10.0], [20.0], [30.0]],
    [[0.0], [20.0]],
    None,
)


@sample("sort", draws=5)
def _without_ties(d: Drawer) -> Call:
    x = d.distinct(d.shape((3, 3), (2, 3, 4), (4,), (0, 2), (3, 3, 3), min_ndim=1))
    axis = d.axis(x.ndim)
    return Call((x,), lambda x: F.sort(x, axis), {"axis": axis % x.ndim})


exact(
    "sort",
    "equal values keep their order",
    lambda x: F.sort(x),
    ([2.0, 1.0, 2.0, 1.0],),
    [3.0, 5.0, 7.0, 11.0],
    [7.0, 3.0, 11.0, 5.0],
)


@sample("topk", draws=5)
def _values_of_the_largest(d: Drawer) -> Call:
    x = d.distinct(d.shape((3, 3), (2, 3, 4), (4,), (3, 3, 3), (3, 1), min_ndim=1, min_side=1))
    axis = d.axis(x.ndim)
    k = d.choice(*range(1, x.shape[axis] + 1), 0)
    return Call((x,), lambda x: F.topk(x, k, axis), {"k": k, "axis": axis % x.ndim})


exact(
    "topk",
    "of equal values the first",
    lambda x: F.topk(x, 2)[0],
    ([1.0, 3.0, 3.0, 3.0],),
    [5.0, 7.0],
    [0.0, 5.0, 7.0, 0.0],
)
exact(
    "topk",
    "NaN counts as larger than any number",
    lambda x: F.topk(x, 2)[0],
    ([1.0, np.nan, np.inf],),
    [5.0, 7.0],
    [0.0, 5.0, 7.0],
    constant=True,
)
exact(
    "getitem",
    "a place read more often than float16 can count",
    lambda x: x.astype("float16")[np.zeros(4096, np.int64)],
    ([0.0, 0.0],),
    np.ones(4096),
    [4096.0, 0.0],
    constant=True,
)
