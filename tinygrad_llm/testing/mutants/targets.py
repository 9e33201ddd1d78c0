"""What is mutated, and whose check must notice: the lines that a gradient passes through.

Five groups. *ops*: the backward of every op, and the functions of `ops` that it reaches by name.
*engine*: where the tape sums gradients and undoes broadcasting. *tensors*: what `xp.name`, a method
or an operator of a backward means when it runs on Tensors, for second derivatives. *optim*: what an
optimizer does with the gradients. *cpu*: the backward of every faster form, all of `backend.cpu`
that it reaches by name, and what makes a forward keep the derivative.

A helper may serve the forward pass too; changed in both, it would only be another function with a
right gradient. So a helper's mutant is in force while a backward runs, and at no other time.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from tinygrad_llm import functional, graph
from tinygrad_llm.backend.cpu import OVERRIDES, attention, gelu, head, powers
from tinygrad_llm.graph import walk
from tinygrad_llm.ops.base import OPS, Op, Piece
from tinygrad_llm.ops.indexing import along_axis
from tinygrad_llm.ops.products import _plan
from tinygrad_llm.ops.rowsums import add_rows
from tinygrad_llm.optim import LAMB, SGD, Adam, Optimizer, RMSprop, base
from tinygrad_llm.optim.flat import Flat
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.tensor.operators import Operators
from tinygrad_llm.testing.mutants.generator import Function, definition
from tinygrad_llm.testing.overrides import PREFIX

_METHODS = {**vars(Operators), **vars(Tensor)}
"""What a Tensor can do, its own methods and those of its base."""


class Target(NamedTuple):
    """A function to mutate."""

    group: str
    """"ops", "engine", "tensors", "optim" or "cpu"."""
    label: str
    """The op's name, or the helper's with its module or class."""
    function: Function
    checks: tuple[str, ...]
    """Names of ops, ops after PREFIX, or optimizers, whose checks must notice, in this order."""
    within: tuple[type[Op], ...]
    """In force while the backward of one of these runs; always, when there are none."""


_BY_PIECE = ("getitem", "embedding", "takealongaxis", "topk")

ALWAYS: dict[str, dict[Function, tuple[str, ...]]] = {
    "ops": {
        along_axis: ("takealongaxis", "topk", "scatteradd"),
        _plan: ("einsum",),
        Piece.add_to: _BY_PIECE,
        Piece.dense: _BY_PIECE,
        add_rows: ("embedding", "getitem"),
    },
    "engine": {
        graph.unbroadcast: ("add", "multiply", "where", "broadcastto", "matmul"),
        graph.Accumulator.add: ("add", "multiply", "getitem", "matmul"),
        graph.Accumulator.add_piece: ("getitem", "embedding"),
        walk._output_gradient: ("split", "topk", "addlayernorm"),
    },
    "optim": {
        SGD.update: ("SGD",),
        SGD.shrink: ("SGD",),
        RMSprop.update: ("RMSprop",),
        RMSprop._variance: ("RMSprop",),
        Adam.update: ("Adam", "AdamW"),
        Adam.direction: ("Adam", "LAMB"),
        LAMB.update: ("LAMB",),
        LAMB.finish: ("LAMB",),
        LAMB.trust_ratio: ("LAMB",),
        Optimizer.step: ("SGD", "LAMB"),
        Optimizer.decay_weights: ("SGD", "AdamW"),
        **dict.fromkeys(
            [
                *(Optimizer._house, base._flats_of),
                *(Optimizer.state_dict, Optimizer.load_state_dict),
                *(Flat.moment, Flat.gather, Flat._tiles, Flat._house),
                *(Flat.states, Flat.restore),
            ],
            ("SGD", "RMSprop", "Adam"),
        ),
        Flat.moved: ("LAMB",),
    },
    "cpu": {
        gelu._exact: (PREFIX + "gelu", PREFIX + "lineargelu"),
        gelu._by_tanh: (PREFIX + "gelutanh", PREFIX + "lineargelutanh"),
        gelu._half_tanh: (PREFIX + "gelu", PREFIX + "lineargelu"),
        attention._exp2: (PREFIX + "scaleddotproductattention",),
        attention._inverse: (PREFIX + "scaleddotproductattention",),
        attention._seen: (PREFIX + "scaleddotproductattention",),
        head._chosen: (PREFIX + "linearcrossentropy",),
        powers.shift: (PREFIX + "scaleddotproductattention", PREFIX + "linearcrossentropy"),
    },
}
"""What no backward calls, and who needs it: a forward, to save what its backward reads; the engine,
on what the backward answered; or an optimizer."""

_PACKAGES = {
    "ops": ("tinygrad_llm.ops", "tinygrad_llm.backend.masks"),
    "cpu": ("tinygrad_llm.backend.cpu",),
}
"""Where the functions of a group are."""

_MEMORY = {attention._empty, head._room}
"""Give memory, whose place and size nobody sees in a value."""

_OPERATORS: dict[type, tuple[str, ...]] = {
    ast.Add: ("__add__", "__radd__"),
    ast.Sub: ("__sub__", "__rsub__"),
    ast.Mult: ("__mul__", "__rmul__"),
    ast.Div: ("__truediv__", "__rtruediv__"),
    ast.Pow: ("__pow__", "__rpow__"),
    ast.MatMult: ("__matmul__",),
    ast.USub: ("__neg__",),
    ast.Gt: ("__gt__",),
    ast.GtE: ("__ge__",),
    ast.Lt: ("__lt__",),
    ast.LtE: ("__le__",),
    ast.Eq: ("__eq__",),
    ast.NotEq: ("__ne__",),
    ast.BitAnd: ("__and__",),
    ast.BitOr: ("__or__",),
    ast.Subscript: ("__getitem__",),
}


def targets() -> list[Target]:
    """Every target, in a fixed order."""
    backwards: dict[Function, list[str]] = {}
    for name, op in OPS.items():
        if op.__module__.startswith("tinygrad_llm.ops"):  # a test may have ops of its own
            backwards.setdefault(op.backward, []).append(name)
    own = [
        Target("ops", names[0], backward, tuple(names), ()) for backward, names in backwards.items()
    ]
    return [*own, *_helpers(backwards), *_overrides(), *_always()]


def _overrides() -> list[Target]:
    """The backwards of `backend.cpu`, and the functions there that they reach by name."""
    users: dict[Function, list[str]] = {}
    for name, override in OVERRIDES.items():
        for function in (override.backward, *_of_the_backend(override.backward)):
            users.setdefault(function, []).append(PREFIX + name)
    return [Target("cpu", _label(f), f, tuple(names), ()) for f, names in users.items()]


def _of_the_backend(backward: Function) -> list[Function]:
    others = {*ALWAYS["cpu"], *_MEMORY}
    return [f for f in reached_from(backward) if _group(f) == "cpu" and f not in others]


def _helpers(backwards: dict[Function, list[str]]) -> list[Target]:
    """What the backwards reach by name, those of `ops` first."""
    users: dict[Function, list[str]] = {}
    for backward, names in backwards.items():
        for function in reached_from(backward):
            users.setdefault(function, []).extend(names)
    found = [
        Target(_group(f), _label(f), f, tuple(names), tuple(OPS[name] for name in names))
        for f, names in users.items()
        if f not in ALWAYS["ops"] and not _only_unpacks(f)
    ]
    return sorted(found, key=lambda target: target.group)


def _only_unpacks(function: Function) -> bool:
    """`x.reshape(*shape)`: a method that takes one tuple or many numbers; or one that needs two
    devices to do anything."""
    return bool(function.__code__.co_flags & inspect.CO_VARARGS) or function.__name__ == "to"


def _always() -> list[Target]:
    return [
        Target(group, _label(function), function, names, ())
        for group, table in ALWAYS.items()
        for function, names in table.items()
    ]


def _group(function: Function) -> str:
    for group, packages in _PACKAGES.items():
        if function.__module__.startswith(packages):
            return group
    return "tensors"


def _label(function: Function) -> str:
    if "." in function.__qualname__:
        return function.__qualname__
    parts = function.__module__.split(".")
    return ".".join([*(parts[2:] if _group(function) == "cpu" else parts[1:2]), function.__name__])


def reached_from(backward: Function) -> list[Function]:
    """The functions of this package that a backward calls, itself or through others."""
    reached: dict[Function, None] = {}
    waiting = [backward]
    while waiting:
        for function in _called_by(waiting.pop()):
            if function not in reached:
                reached[function] = None
                waiting += [] if _is_offered(function) else [function]
    return list(reached)


def _called_by(function: Function) -> Iterator[Function]:
    """Functions that stand in the code by name; in an op, what methods and operators mean too."""
    in_op = _group(function) == "ops"
    for node in ast.walk(definition(function)):
        meant: list[Any] = []
        if isinstance(node, ast.Name):
            meant = [function.__globals__.get(node.id)]
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in ("xp", "F"):
            meant = [vars(functional).get(node.attr)]
        elif in_op and isinstance(node, ast.Attribute):
            meant = [_METHODS.get(node.attr)]
        elif in_op:
            meant = [_METHODS[name] for name in _operators_in(node)]
        yield from filter(_is_target, meant)


def _operators_in(node: ast.AST) -> tuple[str, ...]:
    kind = node.ops[0] if isinstance(node, ast.Compare) else getattr(node, "op", node)
    return _OPERATORS.get(type(kind), ())


def _is_target(function: Any) -> bool:
    """A function of `ops`, one that `functional` offers, or a method of Tensor."""
    if not inspect.isfunction(function):
        return False
    named = _group(function) in ("ops", "cpu")
    return _is_offered(function) or function in _METHODS.values() or named


def _is_offered(function: Function) -> bool:
    """What such a function calls brings arguments into form: there the search ends."""
    return vars(functional).get(function.__name__) is function
