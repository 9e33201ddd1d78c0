"""Ops that read or write at given places: indexing, gathering, scattering, embedding, sorting."""

from __future__ import annotations

from tinygrad_llm.ops.base import Op, Piece
from tinygrad_llm.ops.precision import narrow, wide


class GetItem(Op):
    """y = x[index];  dx = 0 with g added at `index`, once for every time that a place is read.

    Assigning in place of adding loses all but one of the gradients of a place read twice (G04).
    """

    views = True

    @staticmethod
    def forward(xp, x, *, index, repeats):
        return x[index], (index, repeats)

    @staticmethod
    def backward(xp, g, saved, needs):
        index, repeats = saved
        dx = Piece(g, index, repeats)
        return dx

    @classmethod
    def explain(cls, error, shapes, constants):
        return f"getitem: index out of range for shape {shapes[0]}: {error}"


class Scatter(Op):
    """y = 0 of `shape` with x added at `index`;  dx = g[index].  The transpose of GetItem."""

    @staticmethod
    def forward(xp, x, *, index, shape):
        y = xp.zeros(shape, x.dtype)
        Piece(x, index, repeats=True).add_to(xp, y)
        return y, (index,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (index,) = saved
        dx = g[index]
        return dx


class TakeAlongAxis(Op):
    """y = x at `index` along one axis, all others in step;  dx = 0 with g added at `index`."""

    no_gradient = ("index",)

    @staticmethod
    def forward(xp, x, index, *, axis):
        y = xp.take_along_axis(x, index, axis)
        # index stands in the grid already; saved by itself, its version is checked before backward
        return y, (along_axis(xp, index, axis), index)

    @staticmethod
    def backward(xp, g, saved, needs):
        grid, _ = saved
        dx = Piece(g, grid, repeats=True)
        return dx, None


class ScatterAdd(Op):
    """y = x with `source` added at `index` along one axis;  dx = g,  dsource = g at `index`."""

    no_gradient = ("index",)

    @staticmethod
    def forward(xp, x, index, source, *, axis):
        y = wide(x.copy())
        xp.add.at(y, along_axis(xp, index, axis), source)
        return narrow(y, x), (index, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        index, axis = saved
        dx = g if needs[0] else None
        dsource = xp.take_along_axis(g, index, axis) if needs[2] else None
        return dx, None, dsource


class Embedding(Op):
    """y = W[ids], a row for every id;  dW = 0 with each g added to its row  (G04).

    The row of `padding_idx` is read like any other, but gets no gradient.
    """

    no_gradient = ("ids",)

    @staticmethod
    def forward(xp, weight, ids, *, padding_idx=None):
        return weight[ids], (ids, padding_idx)

    @staticmethod
    def backward(xp, g, saved, needs):
        ids, padding_idx = saved
        if padding_idx is not None:
            g = xp.where((ids != padding_idx)[..., None], g, 0.0)
        dweight = Piece(g, (ids,), repeats=True)
        return dweight, None


class Sort(Op):
    """y = x in ascending order, equal values in their old order;  dx = g, put back in place."""

    @staticmethod
    def forward(xp, x, *, axis):
        order = x.argsort(axis=axis, kind="stable")
        return xp.take_along_axis(x, order, axis), (order, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        order, axis = saved
        back = order.argsort(axis=axis)  # the argsort of a permutation is its inverse
        dx = xp.take_along_axis(g, back, axis)
        return dx


class TopK(Op):
    """(y, i) = the k largest along an axis, descending, and where they stood;  dx[i] = g.

    Of equal values the first comes first; NaN counts as larger than any number.
    """

    @staticmethod
    def forward(xp, x, *, k, axis):
        chosen = (slice(None),) * axis + (slice(k),)
        # Sorting −x fails where it wraps (uint8, the least int8) or does not exist (bool). Sorting
        # x reversed and reading the result backwards keeps the first of equal values first.
        backwards = xp.flip(x, axis).argsort(axis=axis, kind="stable")
        order = (x.shape[axis] - 1 - xp.flip(backwards, axis))[chosen]
        grid = along_axis(xp, order, axis)
        # order stands in grid already; saved by itself, its version is checked before backward
        return (xp.take_along_axis(x, order, axis), order), (grid, order)

    @staticmethod
    def backward(xp, g, saved, needs):
        grid, _ = saved
        dx = Piece(g[0], grid, repeats=False)
        return dx


def along_axis(xp, index, axis: int) -> tuple:
    """The index tuple that makes `x[...]` equal `take_along_axis(x, index, axis)`."""
    grid = []
    for i, n in enumerate(index.shape):
        open_axis = tuple(n if j == i else 1 for j in range(index.ndim))
        grid.append(index if i == axis else xp.arange(n).reshape(open_axis))
    return tuple(grid)
