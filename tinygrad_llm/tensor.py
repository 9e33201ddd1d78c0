"""Tensor: an array, its gradient, and the operators that record a tape; `apply` runs an op.

The methods are NumPy's by name and argument. What each one computes stands in `functional`, which
registers itself here when it is imported: it is also the namespace in which a backward pass runs
when it must record a tape of its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_llm import graph
from tinygrad_llm.backend.devices import (
    NAMESPACES,
    Array,
    device_of,
    is_array,
    namespace,
    put,
    to_host,
)
from tinygrad_llm.ops.base import Op

F: Any = None
"""The functional namespace, once it has registered itself."""

DEFAULT_DTYPE = np.dtype(np.float32)


def register(functional: ModuleType) -> None:
    """Called by `functional`, once, at its end."""
    global F
    F = functional


class Tensor:
    """An array that can remember how it was computed.

    data: an array (kept as it is, not copied), a number, or nested sequences of numbers; Python
        floats become float32, NumPy arrays keep their dtype.
    requires_grad: collect the gradient of this tensor in `.grad` (floating dtypes only).
    device: `"cpu"`, `"cuda"`, `"cuda:<n>"`; where the data is when None.

    Raises TypeError for data that holds no numbers and for an integer tensor with requires_grad.
    """

    __slots__ = ("__weakref__", "_edge", "_retains", "_version", "data", "grad")
    __array_ufunc__ = None  # NumPy leaves `array + tensor` to Tensor.__radd__

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None
    ):
        given = data.data if isinstance(data, Tensor) else data
        array = as_array(given, dtype)
        array = array if device is None else put(array, device)
        self.data: Array = array.view() if array is given else array  # see detach
        self.grad: Tensor | None = None
        self._version = data._version if array is given is not data else [0]
        self._edge: Any = None  # graph.Edge, None off the tape
        if requires_grad:
            self.requires_grad = True

    # What it is

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def device(self) -> str:
        return device_of(self.data)

    @property
    def is_leaf(self) -> bool:
        """True unless an op on the tape made this tensor."""
        return self._edge is None or self._edge[0].op is None

    @property
    def requires_grad(self) -> bool:
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise RuntimeError("requires_grad of a computed tensor is fixed: detach() it instead")
        if value and self.data.dtype.kind != "f":
            raise TypeError(
                f"a tensor of dtype {self.dtype} can have no gradient: use .astype('float32') first"
            )
        if value != self.requires_grad:
            self._edge = graph.leaf(self) if value else None

    def __repr__(self) -> str:
        text = np.array2string(to_host(self.data), separator=", ", prefix="Tensor(")
        made_by = "" if self.is_leaf else f", op={self._edge[0].op.name}"
        tail = ", requires_grad=True" if self.requires_grad and self.is_leaf else made_by
        dtype = "" if self.dtype == DEFAULT_DTYPE else f", dtype={self.dtype}"
        device = "" if self.device == "cpu" else f", device={self.device}"
        return f"Tensor({text}{tail}{dtype}{device})"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    # Out of the tape

    def numpy(self) -> np.ndarray:
        """The data as a NumPy array: the same memory on the CPU, a copy from a GPU."""
        return to_host(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self.data.item()

    def tolist(self) -> Any:
        return self.data.tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        return self.data.__index__()

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        # An array object of its own: of two inputs that are one object, the tape could not tell
        # which one an op saved, and x·detach(x) would have the second derivative of x·x.
        return _wrap(self.data.view(), None, self._version)

    def __reduce__(self) -> tuple:
        if not self.is_leaf:
            raise RuntimeError("a computed tensor cannot be copied or pickled: detach() it first")
        return type(self), (self.data, self.requires_grad)

    # Gradients

    def backward(
        self,
        gradient: Any = None,
        retain_graph: bool = False,
        create_graph: bool = False,
    ) -> None:
        """Add d(self)/d(leaf), weighted by `gradient`, to the `.grad` of every leaf of the tape.

        gradient: same shape as this tensor; 1 for a scalar when None.
        retain_graph: keep what the ops saved, for another backward through the same tape.
        create_graph: record a tape of the gradients too, for derivatives of higher order.
        Raises RuntimeError without a tape, for a non-scalar without `gradient`, and for a second
        pass through a freed tape; ValueError for a gradient of another shape.
        """
        root = (self._require_edge("backward"), cotangent(self, gradient, create_graph))
        sums = graph.walk_back([root], None, retain_graph or create_graph, lift(create_graph))
        for (node, _), total in sums.items():
            tensor = node.tensor()
            if tensor is not None:
                tensor._add_to_grad(total)

    def _require_edge(self, what: str) -> graph.Edge:
        if self._edge is None:
            raise RuntimeError(
                f"{what}: this tensor was computed from nothing that requires a gradient "
                "(or under no_grad): set requires_grad=True on its inputs first"
            )
        return self._edge

    def _add_to_grad(self, total: graph.Sum) -> None:
        """Our own array for the first gradient; in place after, unless a tape holds the old."""
        g = total.value
        if isinstance(g, Tensor):
            with graph.enable_grad():
                self.grad = g if self.grad is None else self.grad + g
        elif self.grad is None:
            xp = self._edge[0].xp if self._edge else namespace(self.data)
            self.grad = Tensor(g if total.owned and is_array(g) else xp.array(g))
        elif self.grad.requires_grad:
            self.grad = self.grad + Tensor(g)
        else:
            self.grad.data += g
            self.grad._version[0] += 1

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Callable[[], None]:
        """Call `hook(gradient)` once in each backward, on the whole gradient of this tensor.

        What it returns, unless None, takes the gradient's place. Returns a function that takes the
        hook off again.
        """
        node, i = self._require_edge("register_hook")
        (shape, dtype), xp = node.outputs[i], node.xp  # not the node: it would hold itself

        def on_gradient(g: Any) -> Any:
            taped = isinstance(g, Tensor)
            answer = hook(F.copy(g) if taped else Tensor(xp.array(g)))
            if answer is None:
                return g
            answer = F.astype(answer, dtype)
            if answer.shape != shape:
                raise ValueError(f"hook: returned shape {answer.shape}, the gradient {shape}")
            return answer if taped else answer.data

        node.hooks = node.hooks or {}
        hooks = node.hooks.setdefault(i, [])
        hooks.append(on_gradient)
        return lambda: hooks.remove(on_gradient) if on_gradient in hooks else None

    def retain_grad(self) -> None:
        """Collect the gradient of this computed tensor in its `.grad` too."""
        if self.is_leaf or getattr(self, "_retains", False):
            return
        self._retains = True
        this = graph.weakref.ref(self)

        def collect(g: Tensor) -> None:
            tensor = this()
            if tensor is not None:
                tensor.grad = g if tensor.grad is None else tensor.grad + g

        self.register_hook(collect)

    # Changes in place

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_in_place("x[...] = v", value)
        index, _ = F.plain_index(self, index)
        value = raw_like(self, value)
        try:
            self.data[index] = value
        except (ValueError, IndexError) as error:
            shapes = f"x {self.shape}, v {getattr(value, 'shape', ())}"
            raise type(error)(f"x[...] = v: {shapes}: {error}") from error
        self._version[0] += 1

    def _check_in_place(self, what: str, value: Any) -> None:
        asks = self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
        if asks and graph.current_mode().grad:
            raise RuntimeError(
                f"{what} would change a value that the tape needs: use where() or concatenate() "
                "for a new tensor, or no_grad() for a change outside the tape"
            )

    def _in_place(self, name: str, operator: Callable, other: Any) -> Tensor:
        """`x += y` writes into x outside the tape; on the tape it makes a new x, but not of a
        leaf, whose gradient would then be lost."""
        taped = self.requires_grad or (isinstance(other, Tensor) and other.requires_grad)
        if taped and graph.current_mode().grad:
            if self.requires_grad and self.is_leaf:
                self._check_in_place(f"x {name}= y on a leaf", other)
            return operator(self, other)
        with graph.no_grad():
            result = operator(self, other)
        if result.shape != self.shape or result.dtype != self.dtype:
            raise ValueError(
                f"x {name}= y: the result is {result.dtype}{result.shape}, "
                f"x stays {self.dtype}{self.shape}"
            )
        self.data[...] = result.data
        self._version[0] += 1
        return self

    def __iadd__(self, other: Any) -> Tensor:
        return self._in_place("+", F.add, other)

    def __isub__(self, other: Any) -> Tensor:
        return self._in_place("-", F.subtract, other)

    def __imul__(self, other: Any) -> Tensor:
        return self._in_place("*", F.multiply, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._in_place("/", F.divide, other)

    # Operators

    def __add__(self, other: Any) -> Tensor:
        return F.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return F.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return F.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return F.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return F.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return F.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return F.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return F.divide(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return F.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return F.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return F.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return F.matmul(other, self)

    def __neg__(self) -> Tensor:
        return F.negative(self)

    def __abs__(self) -> Tensor:
        return F.abs(self)

    def __getitem__(self, index: Any) -> Tensor:
        return F.getitem(self, index)

    # Comparisons give boolean tensors and record nothing

    def __lt__(self, other: Any) -> Tensor:
        return _compare(operator.lt, self, other)

    def __le__(self, other: Any) -> Tensor:
        return _compare(operator.le, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _compare(operator.gt, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _compare(operator.ge, self, other)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _compare(operator.eq, self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _compare(operator.ne, self, other)

    def __and__(self, other: Any) -> Tensor:
        return Tensor(self.data & raw_like(self, other))

    def __or__(self, other: Any) -> Tensor:
        return Tensor(self.data | raw_like(self, other))

    def __invert__(self) -> Tensor:
        return Tensor(~self.data)

    __hash__ = object.__hash__

    # Methods, NumPy's by name: see functional

    @property
    def T(self) -> Tensor:
        """All axes in reverse order."""
        return F.transpose(self)

    def reshape(self, *shape: Any) -> Tensor:
        return F.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        return F.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        return F.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        return F.squeeze(self, axis)

    def flatten(self) -> Tensor:
        return F.reshape(self, -1)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return F.sum(self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return F.mean(self, axis, keepdims)

    def var(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return F.var(self, axis, ddof, keepdims)

    def std(self, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return F.std(self, axis, ddof, keepdims)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return F.prod(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return F.max(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        return F.min(self, axis, keepdims)

    def cumsum(self, axis: int = -1) -> Tensor:
        return F.cumsum(self, axis)

    def argmax(self, axis: int | None = None) -> Tensor:
        return F.argmax(self, axis)

    def argmin(self, axis: int | None = None) -> Tensor:
        return F.argmin(self, axis)

    def argsort(self, axis: int = -1) -> Tensor:
        return F.argsort(self, axis)

    def any(self, axis: Any = None) -> Tensor:
        return Tensor(namespace(self.data).any(self.data, axis=axis))

    def all(self, axis: Any = None) -> Tensor:
        return Tensor(namespace(self.data).all(self.data, axis=axis))

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        return F.clip(self, low, high)

    def astype(self, dtype: Any) -> Tensor:
        return F.astype(self, dtype)

    def to(self, device: str) -> Tensor:
        return F.to(self, device)

    def copy(self) -> Tensor:
        """A new tensor with its own memory, on the same tape."""
        return F.copy(self)


def apply(op: type[Op], *inputs: Any, **constants: Any) -> Any:
    """Run an op on Tensors (and Python numbers); record it if one of them asks for a gradient.

    Returns a Tensor, or a tuple of them for an op with several outputs.
    Raises ValueError for shapes that do not fit, IndexError for places that do not exist.
    """
    arrays: list = []
    edges: list = []
    counters: list = []
    xp: Any = None
    taped = False
    for x in inputs:
        if isinstance(x, Tensor):
            module = NAMESPACES.get(type(x.data)) or _mend_data(x)
            arrays.append(x.data)
            edges.append(x._edge)
            counters.append(x._version)
            taped = taped or x._edge is not None
            if xp is not None and xp is not module:
                raise ValueError(_devices_differ(op.name, inputs))
            xp = module
        else:
            arrays.append(x)
            edges.append(None)
            counters.append(None)
    try:
        y, saved = op.forward(xp, *arrays, **constants)
    except (ValueError, IndexError) as error:
        raise _explained(op, error, arrays, constants) from error
    ys = y if type(y) is tuple else (y,)
    if ys is not y and not is_array(y):  # NumPy reduces to scalars, not to 0-d arrays
        ys = (xp.asarray(y),)
        saved = tuple([ys[0] if value is y else value for value in saved])
    versions = [_version_of(v, arrays[0], counters[0]) if op.views else [0] for v in ys]
    node = None
    if taped and graph.current_mode().grad:
        node = graph.record(op, edges, arrays, counters, ys, versions, saved)
    if ys is not y:
        return _wrap(ys[0], _edge_to(node, 0, ys[0]), versions[0])
    return tuple([_wrap(v, _edge_to(node, i, v), versions[i]) for i, v in enumerate(ys)])


def _mend_data(x: Tensor) -> ModuleType:
    """An array again where somebody has set `.data` to a number: 0-d NumPy results are numbers."""
    if not isinstance(x.data, (np.generic, bool, int, float)):
        raise TypeError(f"the .data of a tensor is an array, not {type(x.data).__name__}")
    x.data = as_array(x.data)
    return namespace(x.data)


def _edge_to(node: graph.Node | None, i: int, y: Array) -> graph.Edge | None:
    """Where the gradient of an output goes; integers and booleans have none."""
    return None if node is None or y.dtype.kind != "f" else (node, i)


def _version_of(y: Array, x: Array, counter: list[int]) -> list[int]:
    """A view shares the version counter of the memory that it looks at."""
    return counter if y.base is not None and (y.base is x or y.base is x.base) else [0]


def _wrap(data: Array, edge: graph.Edge | None, version: list[int] | None) -> Tensor:
    """A Tensor around an array that is known to be one; `apply` makes all its results so."""
    tensor = Tensor.__new__(Tensor)
    tensor.data = data
    tensor.grad = None
    tensor._edge = edge
    tensor._version = [0] if version is None else version
    return tensor


def lift(create_graph: bool) -> graph.Lift | None:
    """Backward runs on raw arrays, or on Tensors when it must record a tape."""
    return graph.Lift(F, _wrap) if create_graph else None


def cotangent(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient that backward starts with at `output`: an array, or a Tensor for a tape."""
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"backward of a tensor of shape {output.shape} needs a gradient of that shape; "
                "for a loss, take the sum or the mean first"
            )
        gradient = Tensor(namespace(output.data).ones(output.shape, output.dtype))
    elif not isinstance(gradient, Tensor):
        gradient = Tensor(raw_like(output, gradient), dtype=output.dtype)
    if gradient.shape != output.shape:
        raise ValueError(f"backward: gradient {gradient.shape} for a tensor {output.shape}")
    if type(gradient.data) is not type(output.data):
        raise ValueError(_devices_differ("backward", (output, gradient)))
    if gradient.dtype != output.dtype:
        gradient = gradient.astype(output.dtype)
    return gradient if create_graph else gradient.data


def as_array(data: Any, dtype: Any = None, floats: np.dtype = DEFAULT_DTYPE) -> Array:
    """`data` as a raw array: Python floats as `floats`, arrays with the dtype that they have."""
    if isinstance(data, Tensor):
        data = data.data
    if isinstance(data, (list, tuple)) and any(isinstance(each, Tensor) for each in data):
        raise TypeError("a list of tensors would lose their tapes: use stack() or concatenate()")
    known = is_array(data) or isinstance(data, (np.ndarray, np.generic))
    try:
        array = data if is_array(data) else np.asarray(data)
    except ValueError as error:
        raise ValueError(f"a tensor needs nested lists of equal lengths: {error}") from error
    if dtype is None and not known and array.dtype.kind == "f":
        dtype = floats
    dtype = array.dtype.newbyteorder("=") if dtype is None else np.dtype(dtype)
    for kind in (array.dtype, dtype):
        if kind.kind not in "fiub":
            raise TypeError(f"a tensor holds numbers; {type(data).__name__} gives dtype {kind}")
    return array.astype(dtype, copy=False)


def raw_like(tensor: Tensor, value: Any) -> Any:
    """`value` as something that NumPy or CuPy takes beside `tensor`'s array."""
    if isinstance(value, Tensor):
        return value.data
    if type(value) in (bool, int, float):
        return value
    array = value if is_array(value) else np.asarray(value)
    if array.dtype.kind == "f" == tensor.dtype.kind:
        array = array.astype(tensor.dtype, copy=False)
    return put(array, tensor.device) if type(array) is np.ndarray else array


def _compare(operation: Callable, x: Tensor, other: Any) -> Tensor:
    """Booleans, off the tape; what is no Tensor takes x's dtype, as in arithmetic."""
    value = raw_like(x, other)
    if isinstance(other, Tensor) and type(value) is not type(x.data):
        raise ValueError(_devices_differ(operation.__name__, (x, other)))
    try:
        return Tensor(operation(x.data, value))
    except ValueError as error:
        shapes = f"{x.shape} and {getattr(value, 'shape', ())}"
        raise ValueError(f"{operation.__name__}: {shapes} do not broadcast") from error


def _devices_differ(name: str, inputs: tuple) -> str:
    devices = [x.device for x in inputs if isinstance(x, Tensor)]
    return f"{name}: tensors on {' and '.join(devices)}: bring them together with .to(device)"


def _explained(op: type[Op], error: Exception, arrays: list, constants: dict) -> Exception:
    shapes = [x.shape for x in arrays if is_array(x)]
    kind = IndexError if isinstance(error, IndexError) else ValueError
    return kind(op.explain(error, shapes, constants))
