"""Samples of the ops that move elements or change the dtype or device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.testing.samples.drawing import Drawer
from tinygrad_llm.testing.samples.reductions import from_zero
from tinygrad_llm.testing.samples.registry import Call, exact, sample


@sample("reshape", draws=4)
def _to_a_vector_and_back(d: Drawer) -> Call:
    x = d.array(d.shape((2, 3, 2), (4, 4), (), (0, 3)))
    shape = d.choice(x.shape[::-1], (x.size,), (1, x.size, 1), x.shape)
    asked = (-1,) if shape == (x.size,) and x.size else shape
    return Call((x,), lambda x: F.reshape(x, asked), {"shape": shape})


def rearranged(op: str, function: Callable) -> Callable:
    """A sample of another way to say reshape or transpose."""

    def draw(d: Drawer) -> Call:
        return Call((d.array(d.choice((2, 1, 3), (3, 1, 3))),), function)

    draw.__name__ = "another_name"
    return sample(op, draws=2, composite=True)(draw)


rearranged("reshape", lambda x: F.squeeze(x, 1) * F.squeeze(F.expand_dims(x, (0, -1))))
rearranged("reshape", lambda x: F.expand_dims(x[:, 0], 1) * x)
rearranged("transpose", lambda x: F.swapaxes(x, 0, -1) * x.T)
rearranged("astype", lambda x: F.copy(x) * x)

ORDERS = ((1, 0), (2, 0, 1), (1, 2, 0), (0, 2, 1), (), (0,), (0, 1))


@sample("transpose", draws=len(ORDERS))
def _order(d: Drawer) -> Call:
    axes = d.choice(*ORDERS)
    x = d.array(d.choice((3, 3, 3), (3, 3, 3), (2, 3, 4), (3, 3, 3))[: len(axes)])
    asked = tuple(i - len(axes) for i in axes)
    return Call((x,), lambda x: F.transpose(x, asked), {"axes": axes})


WIDER = (((3, 1), (3, 3)), ((3,), (3, 3)), ((), (2, 3)), ((2, 1, 3), (2, 4, 3)), ((1, 1), (0, 2)))


@sample("broadcastto", draws=len(WIDER))
def _wider(d: Drawer) -> Call:
    before, after = d.choice(*WIDER)
    return Call((d.array(before),), lambda x: F.broadcast_to(x, after), {"shape": after})


@sample("concatenate", draws=4)
def _several(d: Drawer) -> Call:
    axis = d.choice(0, 1, -1, -2)
    sizes = d.choice((2, 2), (1, 3, 2), (3,), (2, 0, 1))
    shapes = [(n, 3) if axis % 2 == 0 else (3, n) for n in sizes]
    xs = tuple(d.array(s) for s in shapes)
    return Call(xs, lambda *xs: F.concatenate(xs, axis), {"axis": axis % 2})


@sample("concatenate", draws=3)
def _in_three_dimensions(d: Drawer) -> Call:
    axis = d.choice(2, 1, -3)
    xs = tuple(d.array((2, 2, 2)) for _ in range(2))
    return Call(xs, lambda *xs: F.concatenate(xs, axis), {"axis": axis % 3})


@sample("concatenate", draws=1, composite=True)
def _one_tensor_twice(d: Drawer) -> Call:
    return Call((d.array((2, 3)),), lambda x: F.concatenate([x, 2.0 * x, x], 1))


@sample("stack", draws=5)
def _new_axis(d: Drawer) -> Call:
    shape = d.shape((2, 2), (2, 3), (3,), (), (0, 2), max_ndim=2)
    count = d.choice(2, 3, 1)
    axis = d.choice(0, -1, *range(len(shape) + 1))
    xs = tuple(d.array(shape) for _ in range(count))
    return Call(xs, lambda *xs: F.stack(xs, axis), {"axis": axis % (len(shape) + 1)})


CUTS = ((2,), (1, 3), (0, 2, 2), (4,), ())


@sample("split", draws=len(CUTS))
def _before_indices(d: Drawer) -> Call:
    at, axis = d.choice(*CUTS), d.choice(0, -1, 1)
    x = d.array((4, 4))
    return Call((x,), lambda x: F.split(x, list(at), axis), {"at": at, "axis": axis % 2})


@sample("split", draws=2, composite=True)
def _equal_parts(d: Drawer) -> Call:
    parts = d.choice(2, 3)

    def crossed(x: Any) -> Any:
        first, *_, last = F.split(x, parts, 1)
        return first * last[::-1]

    return Call((d.array((2, 6)),), crossed)


@sample("split", draws=1, composite=True)
def _a_part_unused(d: Drawer) -> Call:
    return Call((d.array((2, 3)),), lambda x: F.split(x * x, [1, 2], 1)[1])


WIDTHS = (((1, 1), (1, 1)), ((2, 1), (0, 3)), ((0, 0), (2, 0)))


@sample("pad", draws=3)
def _constant(d: Drawer) -> Call:
    widths, value = d.choice(*WIDTHS), d.choice(0.0, -1.5)
    x = d.array(d.shape((3, 3), (2, 3), (0, 2), min_ndim=2, max_ndim=2))
    constants = {"widths": widths, "value": value}
    return Call((x,), lambda x: F.pad(x, widths, constant_values=value), constants)


@sample("pad", draws=2, composite=True)
def _one_width_for_all_axes(d: Drawer) -> Call:
    width = d.choice(1, (0, 2))
    return Call((d.array((2, 3)),), lambda x: F.pad(x, width))


@sample("flip", draws=8)
def _axes(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 4), (3, 3, 3), (4,), (), (0, 2)))
    axis = d.axes(x.ndim)
    return Call((x,), lambda x: F.flip(x, axis), {"axis": from_zero(axis, x.ndim)})


SHIFTS = (((1,), (0,)), ((1, -2), (1, 0)), ((4,), (-1,)))


@sample("roll", draws=3)
def _along_axes(d: Drawer) -> Call:
    shift, axis = d.choice(*SHIFTS)
    x = d.array(d.shape((3, 3), (2, 3), (3, 4), min_ndim=2, max_ndim=2))
    constants = {"shift": shift, "axis": from_zero(axis, 2)}
    return Call((x,), lambda x: F.roll(x, shift, axis), constants)


@sample("roll", draws=2, composite=True)
def _flattened(d: Drawer) -> Call:
    shift = d.choice(2, -1)
    return Call((d.array((2, 3)),), lambda x: F.roll(x, shift) + F.roll(x, shift, (0, 1)))


def triangle(op: str, function: Callable) -> None:
    """A sample of tril or triu."""

    def diagonal(d: Drawer) -> Call:
        x = d.array(d.shape((3, 3), (2, 3, 4), (4, 2), (3, 3), min_ndim=2))
        k = d.choice(0, 1, -1, -2)
        return Call((x,), lambda x: function(x, k), {"k": k})

    sample(op, draws=4)(diagonal)


triangle("tril", lambda x, k: F.tril(x, k))
triangle("triu", lambda x, k: F.triu(x, k))


@sample("repeat", draws=5)
def _each_so_often(d: Drawer) -> Call:
    x = d.array(d.shape((3, 3), (2, 3, 4), (4,), (3, 3, 3), (0, 2), min_ndim=1))
    axis, repeats = d.axis(x.ndim), d.choice(3, 2, 1, 3, 0)
    constants = {"repeats": repeats, "axis": axis % x.ndim}
    return Call((x,), lambda x: F.repeat(x, repeats, axis), constants)


@sample("repeat", draws=2, composite=True)
def _its_own_number_each(d: Drawer) -> Call:
    counts, axis = d.choice(((2, 0, 3), 1), ((1, 3), 0))
    return Call((d.array((2, 3)),), lambda x: F.repeat(x, counts, axis))


@sample("repeat", draws=1, composite=True)
def _flat(d: Drawer) -> Call:
    return Call((d.array((2, 3)),), lambda x: F.repeat(x, 2))


@sample("astype", draws=2, smooth=False)
def _a_copy(d: Drawer) -> Call:
    x = d.array(d.shape((2, 3), ()))
    return Call((x,), lambda x: F.copy(x), {"dtype": np.dtype(np.float64)})


exact(
    "astype",
    "the gradient comes back in the old dtype",
    lambda x: F.astype(x, "float32"),
    ([1.0, 2.5],),
    [3.0, 5.0],
    [3.0, 5.0],
)


@sample("to", draws=2)
def _where_it_is(d: Drawer) -> Call:
    return Call((d.array(d.shape((2, 3), ())),), None, {"device": "cpu"})


@sample("to", draws=1, composite=True, device=True)
def _there_and_back(d: Drawer) -> Call:
    def function(x: Any) -> Any:
        there = F.to(x, "cuda")
        return F.to(there * there, "cpu") * F.to(x, "cpu")

    return Call((d.array((2, 3), size=10),), function)
