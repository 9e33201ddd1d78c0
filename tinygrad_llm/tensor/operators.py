"""The operators and methods of a Tensor: each hands over to `functional`, which explains it.

`functional` stands on a higher floor and registers itself here when it is imported. It is also the
namespace in which a backward pass runs when it must record a tape of its own.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, TypeVar

F: Any = None
"""The functional namespace, once it has registered itself."""


def register(functional: ModuleType) -> None:
    """Called by `functional`, once, at its end."""
    global F
    F = functional


def namespace() -> Any:
    """The functional namespace."""
    return F


Self = TypeVar("Self", bound="Operators")


class Operators:
    """Arithmetic and methods with NumPy's names; `Tensor` is this and an array."""

    __slots__ = ()
    _in_place: Any

    # Arithmetic

    def __add__(self: Self, other: Any) -> Self:
        return F.add(self, other)

    def __radd__(self: Self, other: Any) -> Self:
        return F.add(other, self)

    def __sub__(self: Self, other: Any) -> Self:
        return F.subtract(self, other)

    def __rsub__(self: Self, other: Any) -> Self:
        return F.subtract(other, self)

    def __mul__(self: Self, other: Any) -> Self:
        return F.multiply(self, other)

    def __rmul__(self: Self, other: Any) -> Self:
        return F.multiply(other, self)

    def __truediv__(self: Self, other: Any) -> Self:
        return F.divide(self, other)

    def __rtruediv__(self: Self, other: Any) -> Self:
        return F.divide(other, self)

    def __pow__(self: Self, other: Any) -> Self:
        return F.power(self, other)

    def __rpow__(self: Self, other: Any) -> Self:
        return F.power(other, self)

    def __matmul__(self: Self, other: Any) -> Self:
        return F.matmul(self, other)

    def __rmatmul__(self: Self, other: Any) -> Self:
        return F.matmul(other, self)

    def __neg__(self: Self) -> Self:
        return F.negative(self)

    def __abs__(self: Self) -> Self:
        return F.abs(self)

    def __getitem__(self: Self, index: Any) -> Self:
        return F.getitem(self, index)

    # In place: see Tensor._in_place

    def __iadd__(self: Self, other: Any) -> Self:
        return self._in_place("+", F.add, other)

    def __isub__(self: Self, other: Any) -> Self:
        return self._in_place("-", F.subtract, other)

    def __imul__(self: Self, other: Any) -> Self:
        return self._in_place("*", F.multiply, other)

    def __itruediv__(self: Self, other: Any) -> Self:
        return self._in_place("/", F.divide, other)

    def __ipow__(self: Self, other: Any) -> Self:
        return self._in_place("**", F.power, other)

    # Comparisons and logic give boolean tensors and record nothing

    def __lt__(self: Self, other: Any) -> Self:
        return F.less(self, other)

    def __le__(self: Self, other: Any) -> Self:
        return F.less_equal(self, other)

    def __gt__(self: Self, other: Any) -> Self:
        return F.greater(self, other)

    def __ge__(self: Self, other: Any) -> Self:
        return F.greater_equal(self, other)

    def __eq__(self: Self, other: Any) -> Self:  # type: ignore[override]
        if other is None or isinstance(other, str):
            return NotImplemented
        return F.equal(self, other)

    def __ne__(self: Self, other: Any) -> Self:  # type: ignore[override]
        if other is None or isinstance(other, str):
            return NotImplemented
        return F.not_equal(self, other)

    def __and__(self: Self, other: Any) -> Self:
        return F.logical_and(self, other)

    def __or__(self: Self, other: Any) -> Self:
        return F.logical_or(self, other)

    def __invert__(self: Self) -> Self:
        return F.logical_not(self)

    __hash__ = object.__hash__

    # Methods, NumPy's by name: see functional

    @property
    def T(self: Self) -> Self:
        """All axes in reverse order."""
        return F.transpose(self)

    def reshape(self: Self, *shape: Any) -> Self:
        return F.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self: Self, *axes: Any) -> Self:
        return F.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self: Self, axis1: int, axis2: int) -> Self:
        return F.swapaxes(self, axis1, axis2)

    def squeeze(self: Self, axis: Any = None) -> Self:
        return F.squeeze(self, axis)

    def flatten(self: Self) -> Self:
        return F.reshape(self, -1)

    def sum(self: Self, axis: Any = None, keepdims: bool = False) -> Self:
        return F.sum(self, axis, keepdims)

    def mean(self: Self, axis: Any = None, keepdims: bool = False) -> Self:
        return F.mean(self, axis, keepdims)

    def var(self: Self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Self:
        return F.var(self, axis, ddof, keepdims)

    def std(self: Self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Self:
        return F.std(self, axis, ddof, keepdims)

    def prod(self: Self, axis: Any = None, keepdims: bool = False) -> Self:
        return F.prod(self, axis, keepdims)

    def max(self: Self, axis: Any = None, keepdims: bool = False) -> Self:
        return F.max(self, axis, keepdims)

    def min(self: Self, axis: Any = None, keepdims: bool = False) -> Self:
        return F.min(self, axis, keepdims)

    def cumsum(self: Self, axis: int | None = None) -> Self:
        return F.cumsum(self, axis)

    def argmax(self: Self, axis: int | None = None, keepdims: bool = False) -> Self:
        return F.argmax(self, axis, keepdims)

    def argmin(self: Self, axis: int | None = None, keepdims: bool = False) -> Self:
        return F.argmin(self, axis, keepdims)

    def argsort(self: Self, axis: int = -1) -> Self:
        return F.argsort(self, axis)

    def any(self: Self, axis: Any = None) -> Self:
        return F.any(self, axis)

    def all(self: Self, axis: Any = None) -> Self:
        return F.all(self, axis)

    def clip(self: Self, low: float | None = None, high: float | None = None) -> Self:
        return F.clip(self, low, high)

    def astype(self: Self, dtype: Any) -> Self:
        return F.astype(self, dtype)

    def to(self: Self, device: str) -> Self:
        return F.to(self, device)

    def copy(self: Self) -> Self:
        """A new tensor with its own memory, on the same tape."""
        return F.copy(self)
