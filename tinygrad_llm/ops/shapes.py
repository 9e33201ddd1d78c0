"""Ops that move elements or change the dtype or device, and compute nothing."""

from __future__ import annotations

from itertools import pairwise

from tinygrad_llm.backend.devices import device_of, put
from tinygrad_llm.ops.base import Op
from tinygrad_llm.ops.precision import total


class Reshape(Op):
    """The same elements in another shape;  dx = g in the old shape."""

    views = True

    @staticmethod
    def forward(xp, x, *, shape):
        return x.reshape(shape), (x.shape,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (shape,) = saved
        dx = g.reshape(shape)
        return dx

    @classmethod
    def explain(cls, error, shapes, constants):
        return f"reshape: {shapes[0]} does not fit into {constants['shape']}: {error}"


class Transpose(Op):
    """Axes in another order;  dx = g with the order undone."""

    views = True

    @staticmethod
    def forward(xp, x, *, axes):
        return x.transpose(axes), (axes,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (axes,) = saved
        back = [0] * len(axes)
        for new, old in enumerate(axes):
            back[old] = new
        dx = g.transpose(tuple(back))
        return dx


class BroadcastTo(Op):
    """x repeated along axes of size 1 and new leading ones;  dx = g, which the engine sums back."""

    broadcasts = True
    views = True

    @staticmethod
    def forward(xp, x, *, shape):
        return xp.broadcast_to(x, shape), ()

    @staticmethod
    def backward(xp, g, saved, needs):
        dx = g
        return dx

    @classmethod
    def explain(cls, error, shapes, constants):
        return f"broadcast_to: {shapes[0]} does not broadcast to {constants['shape']}"


class Concatenate(Op):
    """Arrays one after another along an axis;  each gets its stretch of g."""

    @staticmethod
    def forward(xp, *xs, axis):
        return xp.concatenate(xs, axis=axis), ([x.shape[axis] for x in xs], axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        sizes, axis = saved
        before = (slice(None),) * axis
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        stretches = [before + (slice(end - n, end),) for n, end in zip(sizes, ends)]
        dxs = [g[stretch] if need else None for stretch, need in zip(stretches, needs)]
        return tuple(dxs)

    @classmethod
    def explain(cls, error, shapes, constants):
        given = " and ".join(map(str, shapes))
        return f"concatenate: {given}: all sizes but that of axis {constants['axis']} must be equal"


class Stack(Op):
    """Arrays of one shape along a new axis;  each gets its slice of g."""

    @staticmethod
    def forward(xp, *xs, axis):
        return xp.stack(xs, axis=axis), (len(xs), axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        count, axis = saved
        before = (slice(None),) * axis
        dxs = [g[before + (i,)] if needs[i] else None for i in range(count)]
        return tuple(dxs)

    @classmethod
    def explain(cls, error, shapes, constants):
        return f"stack: {' and '.join(map(str, shapes))}: all shapes must be equal"


class Split(Op):
    """x cut along an axis at the given places;  dx = the gradients of the parts, joined."""

    views = True

    @staticmethod
    def forward(xp, x, *, at, axis):
        before = (slice(None),) * axis
        edges = [0, *at, x.shape[axis]]
        parts = [x[before + (slice(a, b),)] for a, b in pairwise(edges)]
        return tuple(parts), (axis,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (axis,) = saved
        dx = xp.concatenate(g, axis=axis) if type(g) is tuple else g  # one part is x itself
        return dx


class Pad(Op):
    """x with `widths[i] = (before, after)` constant elements on axis i;  dx = the middle of g."""

    @staticmethod
    def forward(xp, x, *, widths, value):
        middle = tuple(slice(a, a + n) for (a, _), n in zip(widths, x.shape))
        return xp.pad(x, widths, mode="constant", constant_values=value), (middle,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (middle,) = saved
        dx = g[middle]
        return dx


class Flip(Op):
    """Elements in reverse order along the axes;  dx = g reversed again."""

    views = True

    @staticmethod
    def forward(xp, x, *, axis):
        return xp.flip(x, axis), (axis,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (axis,) = saved
        dx = xp.flip(g, axis)
        return dx


class Roll(Op):
    """Elements shifted cyclically by `shift` along `axis`;  dx = g shifted back."""

    @staticmethod
    def forward(xp, x, *, shift, axis):
        return xp.roll(x, shift, axis), (shift, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shift, axis = saved
        dx = xp.roll(g, tuple(-s for s in shift), axis)
        return dx


class Tril(Op):
    """Zero above diagonal k of the last two axes;  dx = g, zero there too."""

    @staticmethod
    def forward(xp, x, *, k):
        return xp.tril(x, k), (k,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (k,) = saved
        dx = xp.tril(g, k)
        return dx


class Triu(Op):
    """Zero below diagonal k of the last two axes;  dx = g, zero there too."""

    @staticmethod
    def forward(xp, x, *, k):
        return xp.triu(x, k), (k,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (k,) = saved
        dx = xp.triu(g, k)
        return dx


class Repeat(Op):
    """Every element `repeats` times in a row along `axis`;  dx = g summed over each row."""

    @staticmethod
    def forward(xp, x, *, repeats, axis):
        return xp.repeat(x, repeats, axis), (x.shape, repeats, axis)

    @staticmethod
    def backward(xp, g, saved, needs):
        shape, repeats, axis = saved
        rows = (*shape[: axis + 1], repeats, *shape[axis + 1 :])
        dx = total(g.reshape(rows), axis + 1)
        return dx


class AsType(Op):
    """The same values in another dtype;  dx = g in the old one."""

    @staticmethod
    def forward(xp, x, *, dtype):
        return x.astype(dtype), (x.dtype,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (dtype,) = saved
        dx = g.astype(dtype)
        return dx


class To(Op):
    """The same values on another device;  dx = g on the old one."""

    @staticmethod
    def forward(xp, x, *, device):
        return put(x, device), (device_of(x),)

    @staticmethod
    def backward(xp, g, saved, needs):
        (device,) = saved
        dx = g.to(device) if hasattr(g, "to") else put(g, device)
        return dx

    @classmethod
    def explain(cls, error, shapes, constants):
        return str(error)
