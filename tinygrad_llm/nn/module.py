"""Module and Parameter: named weights, and what is done with all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np

from tinygrad_llm.backend.devices import is_array, put, to_host
from tinygrad_llm.backend.storage import NoStorage
from tinygrad_llm.graph import begin_call, end_call
from tinygrad_llm.nn.storage import stored
from tinygrad_llm.nn.summary import summary, tensors_in
from tinygrad_llm.tensor import Tensor

M = TypeVar("M", bound="Module")


class Parameter(Tensor):
    """A tensor that a module learns: an attribute of this type is found by `Module.parameters`."""

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True, dtype: Any = None):
        super().__init__(stored(data, dtype), requires_grad, dtype)

    def __repr__(self) -> str:
        if isinstance(self.data, NoStorage):
            return f"Parameter({self.shape}, no storage)"
        return f"Parameter{super().__repr__().removeprefix('Tensor')}"


STAND_INS: dict[int, Parameter] = {}
"""id of a Tensor that holds the place of a Parameter for a while → that Parameter (`in_dtype`)."""


class Module:
    """A part of a network: a function, `forward`, with parameters and other modules as attributes.

        class Neuron(Module):
            def __init__(self, inputs):
                self.w = Parameter(F.zeros(inputs))
                self.b = Parameter(0.0)

            def forward(self, x):
                return F.tanh((self.w * x).sum(axis=-1) + self.b)

    Nothing has to be declared: whatever attribute is a Parameter or a Module belongs to it, under
    its name, in the order in which they were set. Modules in a list go into a `ModuleList`.
    """

    training: bool = True
    """Whether dropout and the like are at work; `train` and `eval` set it."""

    transposed: tuple[str, ...] = ()
    """Names of own parameters that files of layout "torch" hold the other way round, (out, in)."""

    _forward_hooks: tuple[tuple[object, Callable], ...] = ()

    def __setattr__(self, name: str, value: Any) -> None:
        """Raises TypeError for a plain Tensor in the place of a Parameter, which would be lost."""
        taken = isinstance(vars(self).get(name), Parameter)
        if taken and isinstance(value, Tensor) and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter, and a Tensor in its place would not "
                "be learned: set Parameter(value), or change it in place under no_grad()"
            )
        super().__setattr__(name, value)

    def forward(self, *inputs: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward: write one")

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """forward, then the hooks."""
        begin = begin_call()
        output = self.forward(*inputs, **options)
        for _, hook in self._forward_hooks:
            answer = hook(self, inputs, output)
            output = output if answer is None else answer
        end_call(self, begin, output._edge if isinstance(output, Tensor) else _last_edge(output))
        return output

    def register_forward_hook(self, hook: Callable) -> Callable[[], None]:
        """Call `hook(module, inputs, output)` after each forward; what it returns, unless None,
        takes the output's place. Returns a function that takes the hook off again."""
        registered = object(), hook  # the same hook may be registered twice
        self._forward_hooks = (*self._forward_hooks, registered)

        def remove() -> None:
            self._forward_hooks = tuple(h for h in self._forward_hooks if h is not registered)

        return remove

    # What belongs to it

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules that are its own attributes."""
        for name, value in self._own():
            if isinstance(value, Module):
                yield name, value

    def children(self) -> Iterator[Module]:
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(dotted path, module) of this module ("") and all below it, each module once."""
        return _each_once(self._all_modules(prefix))

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """(dotted path, parameter), here and in all modules below; a shared one under its first
        name. Raises TypeError for an attribute that hides modules in a plain list or dict."""
        return _each_once(self._all_parameters(prefix))

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def _own(self) -> Iterator[tuple[str, Any]]:
        """Attributes that are Parameters or Modules."""
        for name, value in vars(self).items():
            value = STAND_INS.get(id(value), value)
            if isinstance(value, (Module, Parameter)):
                yield name, value
            elif isinstance(value, (list, tuple, dict, set)) and name != "_forward_hooks":
                _refuse_hidden(self, name, value)

    def _all_modules(self, prefix: str, above: Path = ()) -> Iterator[tuple[str, Module]]:
        """Every path to every module, shared ones too."""
        _refuse_cycle(prefix, self, above)
        yield prefix, self
        for name, child in self.named_children():
            yield from child._all_modules(_joined(prefix, name), (*above, self))

    def _all_parameters(
        self, prefix: str = "", above: Path = ()
    ) -> Iterator[tuple[str, Parameter]]:
        """Every name of every parameter, shared ones too."""
        _refuse_cycle(prefix, self, above)
        for name, value in self._own():
            if isinstance(value, Parameter):
                yield _joined(prefix, name), value
            else:
                yield from value._all_parameters(_joined(prefix, name), (*above, self))

    # States

    def train(self: M, mode: bool = True) -> M:
        """Dropout and the like work from now on, here and in all modules below; returns self."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Dropout and the like are the identity from now on; returns self."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget all gradients: `.grad` is None again."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Freeze all parameters (False) or let them learn; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self: M, device: str) -> M:
        """Move all parameters, and their gradients, to "cpu" or "cuda"; returns self.

        The Parameter objects stay the same. Make the optimizer afterwards: its moments do not move.
        """
        for parameter in self.parameters():
            moved = put(parameter.data, device)
            if moved is not parameter.data:
                parameter.data = moved
            if parameter.grad is not None:
                parameter.grad = parameter.grad.to(device)
        return self

    def astype(self: M, dtype: Any) -> M:
        """Convert all parameters, in place, to a floating dtype; gradients go. Returns self."""
        dtype = np.dtype(dtype)
        if dtype.kind != "f":
            raise TypeError(f"astype: parameters are floating point numbers, not {dtype}")
        for parameter in self.parameters():
            learns, parameter.requires_grad, parameter.grad = parameter.requires_grad, False, None
            parameter.data = parameter.data.astype(dtype)
            parameter.requires_grad = learns
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of every parameter by name, on its device; training on does not change it.

        A parameter that is shared stands under its first name.
        """
        return {name: Tensor(p.data.copy()) for name, p in self.named_parameters()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays or Tensors into the parameters of the same names; dtypes and devices stay.

        A shared parameter may stand there under any of its names; under several, with one value.
        Raises ValueError, before anything is changed, that lists all names that are missing, are
        unexpected, or have another shape; and for shared parameters with different values.
        """
        names: dict[str, Parameter] = dict(self._all_parameters())
        given = {name: _array_of(name, value) for name, value in state.items()}
        found = {id(names[name]) for name in given if name in names}
        missing = [name for name, p in self.named_parameters() if id(p) not in found]
        unexpected = [name for name in given if name not in names]
        misshapen = [
            f"{name} {array.shape}, expected {names[name].shape}"
            for name, array in given.items()
            if name in names and array.shape != names[name].shape
        ]
        _refuse_mismatch(type(self).__name__, missing, unexpected, misshapen)
        _refuse_contradiction(names, given)
        for name, array in given.items():
            parameter = names[name]
            value = put(array.astype(parameter.dtype, copy=False), parameter.device)
            parameter.data[...] = value
            parameter.touched()

    def summary(self, *inputs: Any, **options: Any) -> str:
        """A table of its modules: outputs, parameters, memory; with example inputs the time of a
        step too. See `tinygrad_llm.nn.summary`."""
        return summary(self, *inputs, **options)

    # How it is shown

    def extra_repr(self) -> str:
        """What `repr` shows in the brackets of a module without modules below it."""
        return ""

    def __repr__(self) -> str:
        children = [(n, v) for n, v in vars(self).items() if isinstance(v, Module)]
        rows = [f"({name}): {child!r}" for name, child in children]
        if not rows:
            return f"{type(self).__name__}({self.extra_repr()})"
        inside = "\n".join(rows).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {inside}\n)"


Path = tuple["Module", ...]
"""The modules that lead to one, from the top."""


def _refuse_cycle(prefix: str, module: Module, above: Path) -> None:
    if any(module is each for each in above):
        raise ValueError(
            f"{prefix} leads back to a {type(module).__name__} above it, without end: "
            "keep a reference upwards as a weakref"
        )


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


T = TypeVar("T")


def _each_once(named: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    seen: set[int] = set()
    for name, value in named:
        if id(value) not in seen:
            seen.add(id(value))
            yield name, value


def _last_edge(output: Any) -> Any:
    """The edge of the Tensor made last among those in a tuple, list or dict; None without any."""
    edges = [y._edge for y in tensors_in(output) if y._edge is not None]
    return max(edges, key=lambda edge: edge[0].order, default=None)


def _refuse_hidden(module: Module, name: str, value: Any) -> None:
    if _hides(value):
        raise TypeError(
            f"{type(module).__name__}.{name} is a {type(value).__name__} with modules or "
            "parameters in it, which would not be found: use ModuleList, or attributes"
        )


def _hides(value: Any, depth: int = 4) -> bool:
    """Whether there are modules or parameters in it, down to lists in lists in lists."""
    if isinstance(value, (list, tuple, set, dict)) and depth:
        inside = value.values() if isinstance(value, dict) else value
        return any(_hides(each, depth - 1) for each in inside)
    return isinstance(value, (Module, Parameter))


def _array_of(name: str, value: Any) -> Any:
    array = value.data if isinstance(value, Tensor) else value
    array = array if is_array(array) else np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"load_state_dict: {name} holds {array.dtype}, not numbers")
    return array


def _refuse_mismatch(owner: str, missing: list, unexpected: list, misshapen: list) -> None:
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    parts = [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]
    if parts:
        raise ValueError(f"load_state_dict: the weights do not fit {owner}: {'; '.join(parts)}")


MOST_NAMES = 20
"""Of each kind, in one message."""


def _listed(names: list[str]) -> str:
    """Names from a file may hold anything; a terminal gets what can be printed."""
    shown = [name if name.isprintable() else repr(name) for name in names[:MOST_NAMES]]
    more = [f"and {len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join(shown + more)


def _refuse_contradiction(names: dict[str, Parameter], given: dict[str, Any]) -> None:
    """Two names of one parameter must not bring two values."""
    first: dict[int, str] = {}
    for name in given:
        other = first.setdefault(id(names[name]), name)
        if other != name and not _same(given[other], given[name]):
            raise ValueError(
                f"load_state_dict: {other} and {name} are one parameter here, but the weights "
                "hold two values: give one of them"
            )


def _same(a: Any, b: Any) -> bool:
    """Equal arrays, NaN equal to NaN."""
    a, b = to_host(a), to_host(b)
    return np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
