"""Tensor: an array, its gradient, and its place on the tape."""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_llm import graph
from tinygrad_llm.backend.devices import Array, device_of, namespace, put, to_host
from tinygrad_llm.tensor import operators
from tinygrad_llm.tensor.convert import DEFAULT_DTYPE, as_array


class Tensor(operators.Operators):
    """An array that can remember how it was computed.

    data: an array (kept as it is, not copied), a number, or nested sequences of numbers; Python
        floats become float32, NumPy arrays keep their dtype.
    requires_grad: collect the gradient of this tensor in `.grad` (floating dtypes only).
    device: `"cpu"`, `"cuda"`, `"cuda:<n>"`; where the data is when None.

    Raises TypeError for data that holds no numbers, for tensors computed on the tape (detach()
    them, stack() them), and for an integer tensor with requires_grad.
    """

    __slots__ = ("__weakref__", "_data", "_edge", "_retains", "_version", "grad")
    __array_ufunc__ = None  # NumPy leaves `array + tensor` to Tensor.__radd__

    def __init__(
        self, data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None
    ):
        version = [0]
        if isinstance(data, Tensor):
            if not data.is_leaf:
                raise TypeError("Tensor(x) of a computed x would lose its tape: use x.detach()")
            data, version = data._data, data._version
        array = as_array(data, dtype)
        array = array if device is None else put(array, device)
        shared = array is data
        self._data: Array = array.view() if shared else array  # see detach
        self._version = version if shared else [0]
        self._edge: Any = None  # graph.Edge, None off the tape
        self._retains = False
        self.grad: Tensor | None = None
        if requires_grad:
            self.requires_grad = True

    # What it is

    @property
    def data(self) -> Array:
        """The raw array. What is written into it in place is seen by `detect_anomaly` alone."""
        return self._data

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._data:  # x.data -= y has written into it already
            self._version[0] += 1
            return
        array = as_array(value)
        moved = type(array) is not type(self._data)
        if self._edge is not None:
            if array.shape != self.shape or array.dtype != self.dtype:
                raise ValueError(
                    f"x.data = v: x requires a gradient and stays {self.dtype}{self.shape}, "
                    f"v is {array.dtype}{array.shape}: make a new Tensor"
                )
            if moved and not self.is_leaf:
                raise RuntimeError(
                    "x.data = v: a computed tensor keeps its device: use .to(device)"
                )
        self._data, self._version = array.view(), [0]
        if moved and self._edge is not None:
            self._edge = graph.leaf(self)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def ndim(self) -> int:
        return self._data.ndim

    @property
    def size(self) -> int:
        return self._data.size

    @property
    def dtype(self) -> np.dtype:
        return self._data.dtype

    @property
    def device(self) -> str:
        return device_of(self._data)

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
        if value and self._data.dtype.kind != "f":
            raise TypeError(
                f"a tensor of dtype {self.dtype} can have no gradient: use .astype('float32') first"
            )
        if value != self.requires_grad:
            self._edge = graph.leaf(self) if value else None

    def __repr__(self) -> str:
        text = np.array2string(to_host(self._data), separator=", ", prefix="Tensor(")
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
        return to_host(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The only element, as a Python number."""
        return self._data.item()

    def tolist(self) -> Any:
        return self._data.tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.size == 1 else str(self), spec)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __index__(self) -> int:
        return self._data.__index__()

    def detach(self) -> Tensor:
        """The same memory, off the tape."""
        # An array object of its own: of two inputs that are one object, the tape could not tell
        # which one an op saved, and x·detach(x) would have the second derivative of x·x.
        return wrap(self._data.view(), None, self._version)

    def __reduce__(self) -> tuple:
        if not self.is_leaf:
            raise RuntimeError("a computed tensor cannot be copied or pickled: detach() it first")
        return type(self), (self._data, self.requires_grad)

    def __copy__(self) -> Tensor:
        return copy.deepcopy(self)  # sharing memory would need to share the version counter too

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
        root = self._require_edge("backward"), cotangent(self, gradient, create_graph)
        totals = graph.walk_back([root], None, retain_graph or create_graph, lift(create_graph))
        for (node, _), total in totals.items():
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

    def _add_to_grad(self, total: graph.Accumulator) -> None:
        """Our own array for the first gradient; in place after, unless a tape holds the old."""
        value = total.value
        if value.dtype != self.dtype or device_of(value) != self.device:
            was, now = f"{value.dtype} on {device_of(value)}", f"{self.dtype} on {self.device}"
            raise RuntimeError(
                f"backward: a leaf that was {was} in the forward pass is {now} now: "
                "run the forward pass again"
            )
        if isinstance(total.value, Tensor):
            with graph.enable_grad():
                g = total.take(operators.namespace().copy)
                self.grad = g if self.grad is None else self.grad + g
        elif self.grad is None:
            self.grad = wrap(total.take(lambda g: namespace(self._data).array(g)), None, None)
        elif self.grad.requires_grad:
            self.grad = self.grad + Tensor(total.value)
        else:
            self.grad._data += total.value
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
            answer = hook(operators.namespace().copy(g) if taped else Tensor(xp.array(g)))
            if answer is None:
                return g
            answer = operators.namespace().astype(answer, dtype)
            if answer.shape != shape:
                raise ValueError(f"hook: returned shape {answer.shape}, the gradient {shape}")
            return answer if taped else xp.array(answer.data)

        def remove() -> None:
            if on_gradient in hooks:
                hooks.remove(on_gradient)

        node.hooks = node.hooks or {}
        hooks = node.hooks.setdefault(i, [])
        hooks.append(on_gradient)
        return remove

    def retain_grad(self) -> None:
        """Collect the gradient of this computed tensor in its `.grad` too."""
        if self.is_leaf or self._retains:
            return
        self._retains = True
        this = weakref.ref(self)

        def collect(g: Tensor) -> None:
            tensor = this()
            if tensor is not None:
                tensor.grad = g if tensor.grad is None else tensor.grad + g

        self.register_hook(collect)

    # Changes in place

    def touched(self) -> None:
        """Say that its array was written into: a backward that needs the old values will raise."""
        self._version[0] += 1

    def __setitem__(self, index: Any, value: Any) -> None:
        self._check_in_place("x[...] = v", value)
        index, _ = operators.namespace().plain_index(self, index)
        value = raw_beside(self, value)
        try:
            self._data[index] = value
        except (ValueError, IndexError) as error:
            shapes = f"x {self.shape}, v {getattr(value, 'shape', ())}"
            raise type(error)(f"x[...] = v: {shapes}: {error}") from error
        self._version[0] += 1

    def _check_in_place(self, what: str, value: Any) -> None:
        asks = self.requires_grad or (isinstance(value, Tensor) and value.requires_grad)
        if asks and graph.current_mode().grad:
            raise RuntimeError(
                f"{what} would change a value on the tape (it requires a gradient): use where() or "
                "concatenate() for a new tensor, or no_grad() for a change outside the tape"
            )

    def _in_place(self, name: str, operator: Callable, other: Any) -> Tensor:
        """`x += y` writes into x outside the tape. On the tape it is `x = x + y`, which leaves
        other names and views of x as they are; of a leaf it raises, whose gradient would be lost.
        """
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
        self._data[...] = result.data
        self._version[0] += 1
        return self


def wrap(data: Array, edge: graph.Edge | None, version: list[int] | None) -> Tensor:
    """A Tensor around an array that is known to be one; `apply` makes all its results so."""
    tensor = Tensor.__new__(Tensor)
    tensor._data = data
    tensor.grad = None
    tensor._edge = edge
    tensor._retains = False
    tensor._version = [0] if version is None else version
    return tensor


def lift(create_graph: bool) -> graph.Lift | None:
    """Backward runs on raw arrays, or on Tensors when it must record a tape."""
    return graph.Lift(operators.namespace(), wrap) if create_graph else None


def cotangent(output: Tensor, gradient: Any, create_graph: bool) -> Any:
    """The gradient that backward starts with at `output`: an array, or a Tensor for a tape."""
    if gradient is None:
        if output.size != 1:
            raise RuntimeError(
                f"backward of a tensor of shape {output.shape} needs a gradient of that shape; "
                "for a loss, take the sum or the mean first"
            )
        gradient = wrap(namespace(output.data).ones(output.shape, output.dtype), None, None)
        return gradient if create_graph else gradient.data
    if not isinstance(gradient, Tensor):
        gradient = Tensor(raw_beside(output, gradient), dtype=output.dtype)
    if gradient.shape != output.shape:
        raise ValueError(f"backward: gradient {gradient.shape} for a tensor {output.shape}")
    if type(gradient.data) is not type(output.data):
        raise ValueError(devices_differ("backward", (output, gradient)))
    if gradient.dtype != output.dtype:
        with graph.mode(grad=create_graph):
            gradient = gradient.astype(output.dtype)
    return gradient if create_graph else gradient.data.copy(order="K")  # a .grad is nobody else's


def raw_beside(tensor: Tensor, value: Any) -> Any:
    """`value` as something that NumPy or CuPy takes beside `tensor`'s array."""
    if isinstance(value, Tensor):
        return value.data
    if type(value) in (bool, int, float):
        return value
    array = as_array(value, floats=tensor.dtype if tensor.dtype.kind == "f" else DEFAULT_DTYPE)
    if array.dtype.kind == "f" and tensor.dtype.kind == "f":
        array = array.astype(tensor.dtype, copy=False)
    return put(array, tensor.device) if type(array) is np.ndarray else array


def devices_differ(name: str, inputs: tuple) -> str:
    """The message for tensors that live apart."""
    devices = [x.device for x in inputs if isinstance(x, Tensor)]
    return f"{name}: tensors on {' and '.join(devices)}: bring them together with .to(device)"
