"""Elementwise functions: CuPy's choice of loop, then NumPy's arithmetic in that loop's dtypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.testing.strict_cupy import _indexing
from tinygrad_llm.testing.strict_cupy._api import API
from tinygrad_llm.testing.strict_cupy._array import ndarray, new
from tinygrad_llm.testing.strict_cupy._memory import PYTHON_SCALARS, Memory, host_operand
from tinygrad_llm.testing.strict_cupy._operators import FUNCTIONS

Dtypes = tuple[np.dtype, ...]


class Loop(NamedTuple):
    """One compiled variant of a ufunc: the dtypes that go in and come out."""

    inputs: Dtypes
    outputs: Dtypes


class Operand(NamedTuple):
    """What the choice of a loop sees of an argument; `weak` is the type of a Python number."""

    dtype: np.dtype
    weak: type | None


def loops(types: str) -> list[Loop]:
    """The loops of a line of the record: `"ee->e ff->f"`."""
    sides = [word.split("->") for word in types.split()]
    return [Loop(*(tuple(np.dtype(char) for char in side) for side in pair)) for pair in sides]


MIXED_SIGNS = loops("qQ->?")[0]
"""The loop by which comparisons are known."""


def operand(value: Any) -> Operand:
    """A Python int, float or complex is weak: it takes the dtype of the arrays beside it."""
    if type(value) not in PYTHON_SCALARS:
        return Operand(value.dtype, None)
    weak = None if type(value) is bool else type(value)
    return Operand(np.dtype(np.uint64 if weak is int and value >= 1 << 63 else type(value)), weak)


def choose_loop(candidates: list[Loop], operands: Sequence[Operand]) -> Loop | None:
    """The first loop to which every operand casts safely, as CuPy searches it."""
    if MIXED_SIGNS in candidates and all(o.dtype.kind in "iu" for o in operands):
        operands = [o._replace(weak=None) for o in operands]  # uint64 < -1 compares, no overflow
    ranks = [_rank(o.weak or o.dtype.type) for o in operands]
    strong = [rank for rank, o in zip(ranks, operands) if o.weak is None]
    weak = [rank for rank, o in zip(ranks, operands) if o.weak is not None]
    weak_counts = bool(strong and weak) and max(strong) >= max(weak)
    for loop in candidates:
        if all(_fits(o, to, weak_counts) for o, to in zip(operands, loop.inputs)):
            return loop
    return None


def _rank(kind: type) -> int:
    """Booleans below integers below the rest: a weak number of higher rank is weak no more."""
    if issubclass(kind, (bool, np.bool_)):
        return 0
    return 1 if issubclass(kind, (int, np.integer)) else 2


def _fits(o: Operand, to: np.dtype, weak_counts: bool) -> bool:
    if np.can_cast(o.dtype, to):
        return True
    return weak_counts and o.weak is not None and np.result_type(o.weak(0), to) == to


class Ufunc:
    """cupy.ufunc: `f(x, y, out=None, dtype=None, casting="same_kind")`, and no other keyword.

    Operands are device arrays and numbers. Raises TypeError for anything else, for dtypes that no
    loop takes and for an `out` that the result does not cast to; ValueError for an `out` of another
    shape.
    """

    def __init__(self, name: str, record: dict[str, Any], compute: Callable[..., Any]):
        self.name, self.__name__ = f"cupy_{name}", name
        self.nin, self.nout = record["nin"], record["nout"]
        self.nargs = self.nin + self.nout
        self.types = record["types"].split()
        self._loops = loops(record["types"])
        self._at = record.get("at")
        self._compute = compute

    def __repr__(self) -> str:
        return f"<ufunc '{self.name}'>"

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        out, dtype = keywords.pop("out", None), keywords.pop("dtype", None)
        casting = keywords.pop("casting", "same_kind")
        if keywords:
            raise TypeError(f"cupy.{self.__name__} takes no keyword {next(iter(keywords))!r}")
        inputs, outs = self._split(args, out)
        hosts = [host_operand(value, f"cupy.{self.__name__}") for value in inputs]
        loop = self._loop(hosts, dtype)
        for target, produced in zip(outs, loop.outputs):
            _check_cast(produced, target, casting, self.__name__)
        results = self._run(loop, hosts)
        shape = np.broadcast_shapes(*(np.shape(h) for h in hosts), *_shapes(outs))
        finished = [_deliver(host, t, shape) for host, t in zip(results, outs)]
        return finished[0] if self.nout == 1 else tuple(finished)

    def _split(self, args: tuple[Any, ...], out: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The inputs, and one array or None for each output."""
        if not self.nin <= len(args) <= self.nargs:
            raise TypeError(f"cupy.{self.__name__}: {self.nin} arguments, {len(args)} given")
        inputs, outs = args[: self.nin], args[self.nin :]
        if out is not None:
            if outs:
                raise ValueError(f"cupy.{self.__name__}: out is given twice")
            outs = out if isinstance(out, tuple) else (out,)
            if len(outs) != self.nout:
                raise ValueError(f"cupy.{self.__name__}: out must be {self.nout} arrays")
        return inputs, (*outs, *[None] * (self.nout - len(outs)))

    def _loop(self, hosts: list[Any], dtype: Any) -> Loop:
        if dtype is not None:
            wanted = np.dtype(dtype)
            fitting = [loop for loop in self._loops if set(loop.outputs) == {wanted}]
            found = fitting[0] if fitting else None
        else:
            found = choose_loop(self._loops, [operand(host) for host in hosts])
        if found is None:
            kinds = dtype or ", ".join(str(operand(host).dtype) for host in hosts)
            raise TypeError(f"cupy.{self.__name__} has no loop for {kinds}")
        return found

    def _run(self, loop: Loop, hosts: list[Any]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            cast = [_cast(host, dtype) for host, dtype in zip(hosts, loop.inputs)]
            results = self._compute(*cast)
            results = results if isinstance(results, tuple) else (results,)
            return [np.asarray(r).astype(d, copy=False) for r, d in zip(results, loop.outputs)]

    def at(self, a: Any, indices: Any, b: Any = None) -> None:
        """Unbuffered a[indices] op= b, where an index may come twice (the order is undefined)."""
        if self._at is None:
            raise NotImplementedError(f"cupy.{self.__name__}.at does not exist in CuPy")
        if not isinstance(a, ndarray):
            raise TypeError(f"cupy.{self.__name__}.at: the target must be a device array")
        key, picks = _indexing.host_key(a, indices)
        value = _indexing.host_value(b, a.dtype, f"cupy.{self.__name__}.at")
        if not picks:
            self(a[indices], b, a[indices])
        elif a.dtype.name not in self._at:
            raise TypeError(f"cupy.{self.__name__}.at takes {', '.join(self._at)}, not {a.dtype}")
        else:
            getattr(np, self.__name__).at(a._host, key, value.astype(a.dtype, copy=False))

    def outer(self, A: Any, B: Any, **keywords: Any) -> Any:
        """The ufunc on all pairs of an element of A and one of B."""
        return self(A.reshape(A.shape + (1,) * B.ndim), B, **keywords)

    def reduce(
        self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False
    ) -> ndarray:
        """Sums of `add`, products of `multiply`."""
        name = {"add": "sum", "multiply": "prod"}.get(self.__name__)
        if name is None:
            raise NotImplementedError(f"cupy.{self.__name__}.reduce does not exist in CuPy")
        return FUNCTIONS[name](array, axis, dtype, out, keepdims)

    def accumulate(self, array: Any, axis: int = 0, dtype: Any = None, out: Any = None) -> ndarray:
        """Running sums of `add`, running products of `multiply`."""
        name = {"add": "cumsum", "multiply": "cumprod"}.get(self.__name__)
        if name is None:
            raise NotImplementedError(f"cupy.{self.__name__}.accumulate does not exist in CuPy")
        return FUNCTIONS[name](array, axis, dtype, out)


def _shapes(outs: Sequence[Any]) -> list[tuple[int, ...]]:
    return [out.shape for out in outs if out is not None]


def _cast(host: Any, dtype: np.dtype) -> np.ndarray:
    """An operand in the loop's dtype; OverflowError for a Python integer that does not fit."""
    if isinstance(host, (np.ndarray, np.generic)):
        return np.asarray(host).astype(dtype, copy=False)
    return np.asarray(host, dtype)


def _check_cast(produced: np.dtype, target: Any, casting: Any, name: str) -> None:
    if target is None:
        return
    if not isinstance(target, Memory):
        raise TypeError(f"cupy.{name}: out must be a device array, not {type(target).__name__}")
    if not np.can_cast(produced, target.dtype, casting):
        raise TypeError(
            f"cupy.{name}: a result of {produced} does not cast to an out of {target.dtype} by the "
            f"rule {casting!r}"
        )


def _deliver(host: np.ndarray, target: Any, shape: tuple[int, ...]) -> Any:
    """The result in new memory, or in `target`."""
    if target is None:
        return new(np.broadcast_to(host, shape))
    if target.shape != shape:
        raise ValueError(f"out has shape {target.shape}, the result {shape}")
    with np.errstate(all="ignore"):
        target._host[...] = host
    return target


FUNCTIONS.update(
    {name: Ufunc(name, record, getattr(np, name)) for name, record in API["ufuncs"].items()}
)
choose = Ufunc("where", API["inner_ufuncs"]["where"], np.where)
limit = Ufunc("clip", API["inner_ufuncs"]["clip"], np.clip)
