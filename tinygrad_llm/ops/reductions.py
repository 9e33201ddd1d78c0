"""Ops that reduce or order along axes: sums, moments, extremes, norms, cumulative sums, sorting.

`axis` is a tuple of non-negative axes (one int for the ordered ops); functional normalizes it.
"""

from __future__ import annotations

from tinygrad_llm.ops.base import Op, Piece, count_of, kept_shape


class Sum(Op):
    """y = Σ x over the axes;  dx = g, repeated along them."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        return x.sum(axis=axis, keepdims=keepdims), (x.shape, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shape, axis = saved
        dx = xp.broadcast_to(g.reshape(kept_shape(shape, axis)), shape)
        return dx


class Mean(Op):
    """y = Σ x / n;  dx = g / n, repeated along the axes."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        return x.mean(axis=axis, keepdims=keepdims), (x.shape, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shape, axis = saved
        g = g.reshape(kept_shape(shape, axis))
        dx = xp.broadcast_to(g / count_of(shape, axis), shape)
        return dx


class Var(Op):
    """y = Σ (x − x̄)² / (n − ddof);  dx = g·2·(x − x̄) / (n − ddof)."""

    @staticmethod
    def forward(xp, x, *, axis, ddof=0, keepdims=False):
        return _variance(x, axis, ddof, keepdims), (x, axis, ddof)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, axis, ddof = saved
        g = g.reshape(kept_shape(x.shape, axis))
        scale = 2.0 / (count_of(x.shape, axis) - ddof)
        dx = g * scale * (x - x.mean(axis=axis, keepdims=True))
        return dx


class Std(Op):
    """y = √(Σ (x − x̄)² / (n − ddof));  dx = g·(x − x̄) / ((n − ddof)·y), and 0 where y = 0."""

    @staticmethod
    def forward(xp, x, *, axis, ddof=0, keepdims=False):
        y = xp.sqrt(_variance(x, axis, ddof, keepdims))
        return y, (x, y, axis, ddof)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis, ddof = saved
        kept = kept_shape(x.shape, axis)
        g, y = g.reshape(kept), y.reshape(kept)
        per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))
        scale = 1.0 / (count_of(x.shape, axis) - ddof)
        dx = per_y * scale * (x - x.mean(axis=axis, keepdims=True))
        return dx


class Prod(Op):
    """y = Π x over the last axis;  dxᵢ = g·Πⱼ≠ᵢ xⱼ, exact where x has zeros."""

    @staticmethod
    def forward(xp, x):
        return x.prod(axis=-1), (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        before = _products_before(xp, x)
        after = xp.flip(_products_before(xp, xp.flip(x, -1)), -1)
        dx = g[..., None] * before * after
        return dx


class Max(Op):
    """y = max x;  dx = g at the largest, in equal parts where several tie."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        y = x.max(axis=axis, keepdims=keepdims)
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        ties = x == y.reshape(kept)
        share = g.reshape(kept) / ties.sum(axis=axis, keepdims=True).astype(g.dtype)
        dx = xp.where(ties, share, 0.0)
        return dx


class Min(Max):
    """y = min x;  dx = g at the smallest, in equal parts where several tie (as Max)."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        y = x.min(axis=axis, keepdims=keepdims)
        return y, (x, y, axis)


class LogSumExp(Op):
    """y = ln Σ eˣ, shifted by the maximum;  dx = g·eˣ⁻ʸ (the softmax; 0 for a row of −∞)."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        top = x.max(axis=axis, keepdims=True)
        top = xp.where(xp.isfinite(top), top, 0.0)
        total = xp.exp(x - top).sum(axis=axis, keepdims=True)
        y = xp.log(total) + top
        if not keepdims:
            y = y.reshape([n for i, n in enumerate(x.shape) if i not in axis])
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        y = xp.where(xp.isfinite(y), y, 0.0).reshape(kept)
        dx = g.reshape(kept) * xp.exp(x - y)
        return dx


class Norm(Op):
    """y = √(Σ x²);  dx = g·x / y, and 0 where y = 0."""

    @staticmethod
    def forward(xp, x, *, axis, keepdims=False):
        y = xp.sqrt((x * x).sum(axis=axis, keepdims=keepdims))
        return y, (x, y, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        x, y, axis = saved
        kept = kept_shape(x.shape, axis)
        g, y = g.reshape(kept), y.reshape(kept)
        per_y = xp.where(y == 0, 0.0, g / xp.where(y == 0, 1.0, y))
        dx = per_y * x
        return dx


class Cumsum(Op):
    """yᵢ = Σⱼ≤ᵢ xⱼ;  dxⱼ = Σᵢ≥ⱼ gᵢ: the cumulative sum from the other end."""

    @staticmethod
    def forward(xp, x, *, axis):
        return x.cumsum(axis=axis), (axis,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (axis,) = saved
        dx = xp.flip(xp.flip(g, axis).cumsum(axis=axis), axis)
        return dx


class Sort(Op):
    """y = x in ascending order, equal values in their old order;  dx = g, put back in place."""

    @staticmethod
    def forward(xp, x, *, axis):
        order = x.argsort(axis=axis, kind="stable")
        return xp.take_along_axis(x, order, axis), (order, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        order, axis = saved
        dx = xp.take_along_axis(g, order.argsort(axis=axis), axis)
        return dx


class TopK(Op):
    """(y, i) = the k largest along an axis, descending, and where they stood;  dx[i] = g."""

    @staticmethod
    def forward(xp, x, *, k, axis):
        chosen = (slice(None),) * axis + (slice(k),)
        order = (-x).argsort(axis=axis, kind="stable")[chosen]
        grid = along_axis(xp, order, axis)
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


def _variance(x, axis: tuple[int, ...], ddof: int, keepdims: bool):
    centred = x - x.mean(axis=axis, keepdims=True)
    return (centred * centred).sum(axis=axis, keepdims=keepdims) / (count_of(x.shape, axis) - ddof)


def _products_before(xp, x):
    """Product of all entries before each one on the last axis, in log₂ n doubling steps."""
    ones = xp.ones_like(x[..., :1])
    p = xp.concatenate([ones, x[..., :-1]], axis=-1)
    step = 1
    while step < x.shape[-1]:
        p = xp.concatenate([p[..., :step], p[..., step:] * p[..., :-step]], axis=-1)
        step *= 2
    return p
