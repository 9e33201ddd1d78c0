"""Ops that read or write at given places: indexing, gathering, scattering, embedding."""

from __future__ import annotations

from tinygrad_llm.ops.base import Op, Piece
from tinygrad_llm.ops.reductions import along_axis


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
        return f"getitem: a tensor of shape {shapes[0]} has no such place: {error}"


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
        y = x.copy()
        xp.add.at(y, along_axis(xp, index, axis), source)
        return y, (index, axis)

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
