"""What an op is: its formula in the docstring, its forward and its backward side by side.

The life of one op: `y = a * b` calls `apply(Multiply, a, b)`, which takes the arrays out of the
Tensors a and b and runs `Multiply.forward(xp, a, b)`. That returns the product and what backward
will need, here (a, b). When a or b requires a gradient, a Node joins the tape, the graph of all ops
that ran: its parents are the nodes that a and b came from, and it keeps what was saved. Then
`y.backward()` starts with g = 1, the gradient of y in itself, and walks the tape from the newest
node to the oldest: `Multiply.backward(xp, g, (a, b), needs)` returns g·b and g·a, and these are
added into `a.grad` and `b.grad`, or go on to the parents.

An op is a class with two static methods in array language and no instance.

`forward(xp, *arrays, **constants)` returns `(output, saved)`, or `((output, ...), saved)` for an op
with several outputs. `xp` is NumPy or CuPy. Arrays are positional, constants are keywords.

`backward(xp, g, saved, needs)` gets the gradient `g` of the output (a tuple for several outputs)
and returns the gradient of each input, one value or a tuple; None where `needs` is False. It is
called only when some input requires a gradient, so an op with one input ignores `needs`. Each
gradient is a line with a name (`dx = ...`, then `return dx`), so that a reader finds it and the
mutation tool can break it.

Backward uses operators, array methods and `xp` alone. Then the same lines run on raw arrays, or on
Tensors with `xp = functional`, where they record a tape of their own: that is how second
derivatives come. (`To`, and what drops by chance, are the exceptions: they also call the backend's
`put` and `scaled_mask`.)

`saved` may hold inputs, outputs and constants (Python values, integer and boolean arrays). Each
array has a version counter, a number that rises with every change in place; backward refuses an
array whose number has risen since it was saved. An intermediate would be cut off from the tape and
make second derivatives silently wrong; it may be kept only as `Cached`, which is None on Tensors,
so that the line computes it again. What follows `if ... is None` therefore runs on Tensors only,
and may call names that only functional has, such as `xp.sigmoid`.

Ids such as (G02) name formulas of the course: `python -m tinygrad_llm.formulas` lists them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from tinygrad_llm.backend.cpu import OVERRIDES
from tinygrad_llm.backend.devices import Array, is_array
from tinygrad_llm.backend.overrides import Cached, Override
from tinygrad_llm.ops.precision import wide
from tinygrad_llm.ops.rowsums import add_rows

__all__ = ["OPS", "Cached", "Op", "Piece", "broadcast_clash", "count_of", "kept_shape"]

OPS: dict[str, type[Op]] = {}
"""Every op by its name; a test holds this list against the gradient tests."""


class Op:
    """Base of all ops; a subclass is registered in OPS under its lower-case name.

    An op defined outside this package does not displace one of ours: a `class Tanh(Op)` of your own
    gets its `name` and works, but `OPS["tanh"]` stays the Tanh that is defined here.
    """

    name: ClassVar[str]
    broadcasts: ClassVar[bool] = False
    """Inputs broadcast: the engine sums each gradient back to its input's shape."""
    views: ClassVar[bool] = False
    """The output may share memory with the first input, and then shares its version counter."""
    spares_zeros: ClassVar[tuple[int, ...]] = ()
    """Outputs that are often left unused: backward then gets None for g, in place of zeros."""
    no_gradient: ClassVar[tuple[str, ...]] = ()
    """Names of array inputs that never get a gradient: indices, conditions, class weights."""
    override: ClassVar[Override | None] = None
    """The op's faster form on the CPU, where there is one: see backend.overrides."""

    def __init_subclass__(cls) -> None:
        cls.name = cls.__name__.lower()
        cls.override = OVERRIDES.get(cls.name) if _is_ours(cls) else None
        registered = OPS.get(cls.name)
        if registered is None or _is_ours(cls) or not _is_ours(registered):
            OPS[cls.name] = cls

    @staticmethod
    def forward(xp: Any, *arrays: Array, **constants: Any) -> tuple[Any, tuple]:
        raise TypeError("Op is a base class: an op writes its own forward")

    @staticmethod
    def backward(xp: Any, g: Any, saved: tuple, needs: tuple[bool, ...]) -> Any:
        raise TypeError("Op is a base class: an op writes its own backward")

    @classmethod
    def explain(cls, error: Exception, shapes: list[tuple[int, ...]], constants: dict) -> str:
        """One line for the user when `forward` refused these inputs: op, shapes, what to mend."""
        given = " and ".join(map(str, shapes))
        clash = broadcast_clash(shapes) if cls.broadcasts else ""
        return f"{cls.name}: {given}{clash or f': {error}'}"


def _is_ours(op: type[Op]) -> bool:
    return op.__module__.startswith("tinygrad_llm.")


class Piece:
    """A gradient that is zero but at `x[index]`; it is added into a buffer, never made dense.

    A dense zero array for each `x[:, t]` would make a loop over T cost T**2.
    """

    __slots__ = ("g", "index", "repeats")

    def __init__(self, g: Array, index: Any, repeats: bool):
        self.g = g
        self.index = index
        self.repeats = repeats

    def add_to(self, xp: Any, buffer: Array) -> None:
        """buffer[index] += g, adding once for every time that an index repeats (raw arrays)."""
        if not self.repeats:
            buffer[self.index] += self.g
        elif self._is_of_rows(buffer):
            (ids,) = self.index
            add_rows(xp, buffer, ids.ravel(), self.g.reshape(ids.size, *buffer.shape[1:]))
        else:
            sums = wide(buffer)
            xp.add.at(sums, self.index, self.g)
            if sums is not buffer:
                buffer[...] = sums

    def _is_of_rows(self, buffer: Array) -> bool:
        """Whole rows at the places of one array of integers, where `add.at` is slow."""
        ids = self.index[0]
        alone = len(self.index) == 1 and buffer.ndim > 1
        return alone and is_array(ids) and ids.dtype.kind in "iu"

    def dense(self, xp: Any, shape: tuple[int, ...]) -> Any:
        """The whole gradient, as a Tensor whose tape goes on through `g` (`xp` is functional)."""
        return xp.scatter(self.g, self.index, shape)


def kept_shape(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """`shape` with a 1 at every reduced axis: what `keepdims=True` gives."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def count_of(shape: tuple[int, ...], axis: tuple[int, ...]) -> int:
    """How many elements a reduction of `shape` over `axis` puts into one."""
    count = 1
    for i in axis:
        count *= shape[i]
    return count


def broadcast_clash(shapes: list[tuple[int, ...]]) -> str:
    """Which axis keeps `shapes` from broadcasting, in words; empty when they do broadcast."""
    for i in range(1, max(map(len, shapes), default=0) + 1):
        sizes = sorted({s[-i] for s in shapes if len(s) >= i} - {1})
        if len(sizes) > 1:
            return f" do not broadcast: axis -{i} has sizes {' and '.join(map(str, sizes))}"
    return ""
