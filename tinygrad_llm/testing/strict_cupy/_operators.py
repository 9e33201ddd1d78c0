"""Operators: `x + y`, `-x`, `x < y`, `float(x)` and the like on device arrays.

What they compute stands in the functions of the namespace, which register themselves in FUNCTIONS
when their module is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_llm.testing.strict_cupy._api import API, signature
from tinygrad_llm.testing.strict_cupy._memory import Memory
from tinygrad_llm.testing.strict_cupy._sync import synchronize

FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""The functions of the namespace by name."""

Method = Callable[..., Any]


def forward(name: str) -> Method:
    """`x + y` for a device array x."""

    def operator(self: Memory, other: Any) -> Any:
        return NotImplemented if _takes_over(other) else FUNCTIONS[name](self, other)

    return operator


def reflected(name: str) -> Method:
    """`y + x` for a device array x and a y that cannot."""
    return lambda self, other: FUNCTIONS[name](other, self)


def in_place(name: str) -> Method:
    """`x += y`."""
    return lambda self, other: FUNCTIONS[name](self, other, self)


def unary(name: str) -> Method:
    """`-x`."""
    return lambda self: FUNCTIONS[name](self)


def equality(name: str) -> Method:
    """`x == y`, where nothing equals None or an object that only equals itself."""
    compare = forward(name)

    def operator(self: Memory, other: Any) -> Any:
        if other is None or type(other).__eq__ is object.__eq__:
            return FUNCTIONS["full"](self.shape, name == "not_equal", dtype=bool)
        return compare(self, other)

    return operator


def conversion(kind: Callable[[Any], Any]) -> Method:
    """`float(x)`: waits for the device."""

    def convert(self: Memory) -> Any:
        synchronize(kind.__name__)
        return kind(self._host[()])

    return convert


def recorded(name: str) -> Method:
    """The method that passes its arguments, which CuPy's record names, to a function."""
    parameters = signature("self " + API["ndarray_methods"][name])

    def method(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = parameters.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"ndarray.{name}: {error}; it takes {parameters}") from None
        return FUNCTIONS[name](bound.pop("self"), **bound)

    method.__name__ = name
    method.__signature__ = parameters  # type: ignore[attr-defined]
    return method


def _takes_over(other: Any) -> bool:
    """True for an operand that does the operator itself, as a Tensor does."""
    opted_out = getattr(type(other), "__array_ufunc__", True) is None
    return opted_out and not isinstance(other, Memory)


class Operators(Memory):
    """Device arrays with operators; all of them are the functions of the namespace."""

    __slots__ = ()

    __add__, __radd__, __iadd__ = forward("add"), reflected("add"), in_place("add")
    __sub__, __rsub__ = forward("subtract"), reflected("subtract")
    __isub__ = in_place("subtract")
    __mul__, __rmul__ = forward("multiply"), reflected("multiply")
    __imul__ = in_place("multiply")
    __truediv__, __rtruediv__ = forward("true_divide"), reflected("true_divide")
    __itruediv__ = in_place("true_divide")
    __floordiv__, __rfloordiv__ = forward("floor_divide"), reflected("floor_divide")
    __ifloordiv__ = in_place("floor_divide")
    __mod__, __rmod__, __imod__ = (
        forward("remainder"),
        reflected("remainder"),
        in_place("remainder"),
    )
    __divmod__, __rdivmod__ = forward("divmod"), reflected("divmod")
    __rpow__, __ipow__ = reflected("power"), in_place("power")
    __matmul__, __rmatmul__ = forward("matmul"), reflected("matmul")
    __and__, __rand__ = forward("bitwise_and"), reflected("bitwise_and")
    __iand__ = in_place("bitwise_and")
    __or__, __ror__ = forward("bitwise_or"), reflected("bitwise_or")
    __ior__ = in_place("bitwise_or")
    __xor__, __rxor__ = forward("bitwise_xor"), reflected("bitwise_xor")
    __ixor__ = in_place("bitwise_xor")
    __lshift__, __rlshift__ = forward("left_shift"), reflected("left_shift")
    __ilshift__ = in_place("left_shift")
    __rshift__, __rrshift__ = forward("right_shift"), reflected("right_shift")
    __irshift__ = in_place("right_shift")

    __eq__, __ne__ = equality("equal"), equality("not_equal")
    __lt__, __le__ = forward("less"), forward("less_equal")
    __gt__, __ge__ = forward("greater"), forward("greater_equal")
    __hash__ = None  # type: ignore[assignment]

    __neg__, __pos__ = unary("negative"), unary("positive")
    __abs__, __invert__ = unary("absolute"), unary("invert")

    __float__, __int__ = conversion(float), conversion(int)
    __complex__, __repr__, __str__ = conversion(complex), conversion(repr), conversion(str)

    def __pow__(self, other: Any) -> Any:
        """x ** y; squares, roots and reciprocals have functions of their own, as in CuPy."""
        name = {2: "square", 0.5: "sqrt", -1.0: "reciprocal"}.get(self._exponent(other))
        if name is None:
            return forward("power")(self, other)
        kinds = "ifc" if type(other) is int else "fc"
        dtype = None if self.dtype.kind in kinds else FUNCTIONS["result_type"](self, other)
        return FUNCTIONS[name](self, dtype=dtype)

    @staticmethod
    def _exponent(other: Any) -> Any:
        """The exponent if it is one of 2, 2.0, 0.5 and -1.0 (but not the integer -1)."""
        special = type(other) is float or (type(other) is int and other == 2)
        return other if special else None

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(f"the truth of an array of shape {self.shape}: use .any() or .all()")
        synchronize("bool")
        return bool(self._host.item())

    def __format__(self, specification: str) -> str:
        synchronize("format")
        return format(self._host[()], specification)
