"""The tape: nodes, the modes under which they are made, and the walk back through them.

A node stands for one op that ran. It knows the nodes that its inputs came from and what the op
saved, and it knows no Tensor; so a tape is no cycle, and its memory goes as soon as it is used.
Gradients travel along edges: an edge (node, i) is the i-th output of a node.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_llm import anomaly
from tinygrad_llm.backend.devices import Array, is_array, namespace
from tinygrad_llm.ops.base import Cached, Piece


class Frame(Protocol):
    """An activation checkpoint that is being run: it sees every op, and keeps what nodes save."""

    def see(self, read: list, made: list) -> None:
        """The version counters of an op's inputs (None where there is none) and outputs."""

    def keep(self, node: Node) -> Any:
        """What the node shall hold in the place of what its op saved."""


@dataclass(frozen=True)
class Mode:
    """What `apply` does beside computing: record a tape, check for NaN, checkpoint activations."""

    grad: bool = True
    anomaly: bool = False
    frame: Frame | None = None


_mode: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039 (it is frozen)
current_mode = _mode.get


class mode(ContextDecorator):
    """Context or decorator: the mode is changed within; other threads keep their own."""

    def __init__(self, **changes: Any):
        self._changes = changes
        self._tokens: list[Token] = []

    def _recreate_cm(self) -> mode:
        return mode(**self._changes)  # each call of a decorated function has tokens of its own

    def __enter__(self) -> None:
        self._tokens.append(_mode.set(replace(_mode.get(), **self._changes)))

    def __exit__(self, *error: Any) -> None:
        _mode.reset(self._tokens.pop())


def no_grad() -> mode:
    """Context or decorator: ops record no tape, and results require no gradient."""
    return mode(grad=False)


def enable_grad() -> mode:
    """Context or decorator: ops record a tape again, inside a `no_grad`."""
    return mode(grad=True)


def detect_anomaly() -> mode:
    """Context: an op on the tape that makes a NaN raises and says where it was called; so does a
    backward that makes one, and a backward whose saved values were overwritten through `.data`.
    Several times slower.
    """
    return mode(anomaly=True)


class Node:
    """One op that ran; or, without op, a leaf: a tensor that requires a gradient.

    parents: the edge of each input, None where it requires no gradient.
    saved: what the op needs for backward; None once it is used up. links: see Link.
    outputs: (shape, dtype) of each output, which its gradient must have too.
    order: how many nodes were made before: parents come before those that used them.
    xp: the namespace of the outputs. hooks: output → functions. trace: see anomaly.Trace.
    tensor: of a leaf, a weak reference to its Tensor.
    """

    __slots__ = (
        "__weakref__",
        "hooks",
        "links",
        "op",
        "order",
        "outputs",
        "parents",
        "saved",
        "tensor",
        "trace",
        "xp",
    )
    _made = count()

    def __init__(self, op: Any, parents: Any, saved: Any, links: list, outputs: list, xp: Any):
        self.op, self.parents, self.saved, self.links = op, parents, saved, links
        self.outputs, self.xp = outputs, xp
        self.order = next(self._made)
        self.hooks: Any = None
        self.trace: Any = None
        self.tensor: Any = None

    def __repr__(self) -> str:
        return f"<{self.op.name if self.op else 'leaf'} {self.outputs[0][0]}>"


Edge = tuple[Node, int]

Link = tuple[bool, int, list[int], int]
"""Of a saved array: whether it is an output, which input or output, its version counter, and the
version when it was saved. (A plain tuple, as `outputs` has: they are made for every op.)"""


def leaf(tensor: Any) -> Edge:
    """The edge of a tensor that requires a gradient; the tensor is held weakly."""
    output = (tensor.data.shape, tensor.data.dtype)
    node = Node(None, (), (), [], [output], namespace(tensor.data))
    node.tensor = weakref.ref(tensor)
    return node, 0


def record(op, edges, inputs, counters, outputs, out_counters, saved) -> Node:
    """Put one op that ran on the tape: arrays in, arrays out, and what it saved of them.

    `counters` are the version counters of inputs that are Tensors, None for other inputs.
    """
    links = [_link(op, value, inputs, counters, outputs, out_counters) for value in saved]
    shapes = [(y.shape, y.dtype) for y in outputs]
    node = Node(op, edges, saved, links, shapes, namespace(outputs[0]))
    now = current_mode()
    if now.anomaly:
        node.trace = anomaly.trace_of(saved)
        anomaly.check_output(op.name, node.trace, inputs, outputs)
    if now.frame is not None:
        node.saved = now.frame.keep(node)
    return node


def _link(op, value, inputs, counters, outputs, out_counters) -> Link | None:
    """Find a saved array among inputs and outputs; integers and masks may be constants."""
    if is_array(value):
        for i, x in enumerate(inputs):
            if x is value:
                return None if counters[i] is None else (False, i, counters[i], counters[i][0])
        for i, y in enumerate(outputs):
            if y is value:
                return True, i, out_counters[i], out_counters[i][0]
    if _holds_floats(value):
        raise TypeError(
            f"bug in the forward of {op.name}: it saves an intermediate, which would cut the tape "
            "of second derivatives; save it as Cached and compute it again where it is None"
        )
    return None


def _holds_floats(value: Any) -> bool:
    if type(value) in (tuple, list):
        return any(map(_holds_floats, value))
    return (is_array(value) or isinstance(value, np.generic)) and value.dtype.kind == "f"


class Accumulator:
    """A gradient while its parts arrive: the first is aliased, the second makes a sum of our own,
    every later one is added in place. `owned`: nobody else holds the array."""

    __slots__ = ("owned", "value")

    def __init__(self):
        self.value: Any = None
        self.owned = False

    def add(self, g: Any, owned: bool, in_place: bool) -> None:
        if self.value is None:
            self.value, self.owned = g, owned
        elif self.owned and in_place:
            self.value += g
        else:
            self.value = self.value + g
            self.owned = in_place

    def add_piece(self, piece: Piece, node: Node, i: int) -> None:
        """Add into the buffer itself, so that T pieces of one array cost T pieces (raw arrays)."""
        if self.value is None:
            self.value = node.xp.zeros(*node.outputs[i])
        elif not self.owned or not is_array(self.value):  # a NumPy scalar is no buffer
            self.value = node.xp.array(self.value)
        self.owned = True
        piece.add_to(node.xp, self.value)

    def take(self, copy: Callable) -> Any:
        """The gradient as an array or Tensor of the caller's own; the second time, another one."""
        ours, self.owned = self.owned and not isinstance(self.value, np.generic), False
        return self.value if ours else copy(self.value)


class Lift(NamedTuple):
    """How to run backward on Tensors: their namespace, and a way to put an array on the tape."""

    xp: Any
    tensor: Callable[[Array, Edge | None, list[int] | None], Any]


def walk_back(
    roots: list[tuple[Edge, Any]], targets: list[Edge] | None, retain: bool, lift: Lift | None
) -> dict[Edge, Accumulator]:
    """Carry the gradients of `roots` back to `targets`, or to every leaf when that is None.

    Gradients are raw arrays, or Tensors with a tape of their own when `lift` is given. `retain`
    keeps what the ops saved for another walk.
    """
    wanted = None if targets is None else set(targets)
    useful = None if targets is None else _between(targets, roots)
    found: dict[Edge, Accumulator] = {}
    with mode(grad=lift is not None):  # for hooks, and for a create_graph under no_grad
        walk = _Walk(useful, retain, lift)
        for edge, g in roots:
            walk.total_at(edge).add(g, owned=False, in_place=lift is None)
        for node, arrived in walk.nodes():
            for i, total in enumerate(arrived):
                is_target = node.op is None if wanted is None else (node, i) in wanted
                if is_target and total.value is not None:
                    found[node, i] = total
    return found


class _Walk:
    """One walk: the gradients under way, and the nodes that they have reached."""

    def __init__(self, useful: set[Node] | None, retain: bool, lift: Lift | None):
        self.useful, self.retain, self.lift = useful, retain, lift
        self.anomaly = current_mode().anomaly
        self.totals: dict[Node, list[Accumulator]] = {}
        self.heap: list[tuple[int, Node]] = []

    def total_at(self, edge: Edge) -> Accumulator:
        """Where the gradient of one output comes together; the node waits for its turn."""
        node, i = edge
        if node not in self.totals:
            self.totals[node] = [Accumulator() for _ in node.outputs]
            heappush(self.heap, (-node.order, node))
        return self.totals[node][i]

    def nodes(self) -> Iterator[tuple[Node, list[Accumulator]]]:
        """Every node with its whole gradient, in reverse order of creation: when a node's turn
        comes, all that used it have been there. Once it is seen, it sends gradients to its parents.
        """
        while self.heap:
            node = heappop(self.heap)[1]
            arrived = self.totals.pop(node)
            if node.hooks:
                _run_hooks(node, arrived)
            yield node, arrived
            needs = self._needs(node)
            if any(needs):
                self._step(node, arrived, needs)

    def _needs(self, node: Node) -> tuple[bool, ...]:
        if self.useful is None:
            return tuple([edge is not None for edge in node.parents])
        return tuple([edge is not None and edge[0] in self.useful for edge in node.parents])

    def _step(self, node: Node, arrived: list[Accumulator], needs: tuple[bool, ...]) -> None:
        """Run one op's backward and send what it gives to the node's parents."""
        lift = self.lift
        g = _output_gradient(node, arrived, lift)
        saved = _unpack(node, lift, self.retain, self.anomaly)
        grads = node.op.backward(lift.xp if lift else node.xp, g, saved, needs)
        grads = grads if type(grads) is tuple else (grads,)
        held = (*(g if type(g) is tuple else (g,)), *saved, *grads)
        for position, (edge, dx) in enumerate(zip(node.parents, grads)):
            if dx is None or not needs[position]:
                continue
            parent, i = edge
            total = self.total_at(edge)
            if type(dx) is Piece:
                if lift is None:
                    total.add_piece(dx, parent, i)
                    continue
                shape, _ = parent.outputs[i]
                dx = dx.dense(lift.xp, shape)
            dx = _fit(dx, node, parent.outputs[i], position)
            if self.anomaly and not any(map(anomaly.has_nan, held[: len(arrived)])):
                anomaly.check_gradient(node.op.name, node.trace, dx, position)
            total.add(dx, owned=lift is None and _is_unshared(dx, held), in_place=lift is None)


def _between(targets: list[Edge], roots: list[tuple[Edge, Any]]) -> set[Node]:
    """The nodes between roots and targets, targets included: all others need no work."""
    seen: set[Node] = set()
    stack = [node for (node, _), _ in roots]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge[0] for edge in node.parents if edge is not None)
    useful = {node for node, _ in targets}
    for node in sorted(seen, key=lambda n: n.order):
        if any(edge is not None and edge[0] in useful for edge in node.parents):
            useful.add(node)
    return useful


def _output_gradient(node: Node, arrived: list[Accumulator], lift: Lift | None) -> Any:
    """g as the op expects it: one value, or a tuple with zeros for outputs that nobody used."""
    if len(arrived) == 1:
        return arrived[0].value
    gs = []
    for total, (shape, dtype) in zip(arrived, node.outputs):
        g = total.value
        if g is None and dtype.kind == "f":
            g = node.xp.zeros(shape, dtype)
            g = lift.tensor(g, None, None) if lift else g
        gs.append(g)
    return tuple(gs)


def _unpack(node: Node, lift: Lift | None, retain: bool, checked: bool) -> tuple:
    """What the op saved, unchanged since; freed from the node unless it is to be retained."""
    saved = node.saved
    if saved is None:
        raise RuntimeError(
            f"backward ran through {node.op.name} a second time, and what it saved is freed: "
            "give the first call retain_graph=True, or compute the forward pass again"
        )
    if type(saved) is not tuple:
        saved = saved()  # a checkpoint computes it again
    values = []
    for value, link in zip(saved, node.links):
        if link is not None:
            is_output, position, counter, version = link
            if counter[0] != version:
                raise RuntimeError(_changed(node, link, "in place"))
            if lift is not None:
                edge = (node, position) if is_output else node.parents[position]
                value = lift.tensor(value, edge, counter)
        elif type(value) is Cached:
            value = value.value if lift is None else None
        values.append(value)
    if checked and node.trace is not None:
        for i in anomaly.overwritten(node.trace, saved):
            if node.links[i] is not None:
                raise RuntimeError(_changed(node, node.links[i], "through .data"))
    if not retain:
        node.saved = None
    return tuple(values)


def _changed(node: Node, link: Link, how: str) -> str:
    is_output, position, *_ = link
    what = "output" if is_output else f"input {position}"
    made = f", called at {node.trace.place}," if node.trace else ""
    return (
        f"{node.op.name}{made} needs its {what} for backward, but it was changed {how} since: "
        "change a copy, or run backward first"
    )


def _fit(dx: Any, node: Node, output: tuple, position: int) -> Any:
    """dx in the shape of its input: broadcasting is undone here and nowhere else."""
    shape, dtype = output
    if dx.shape != shape and node.op.broadcasts:
        dx = unbroadcast(dx, shape)
    if dx.shape != shape or dx.dtype != dtype:
        raise RuntimeError(
            f"bug in the backward of {node.op.name}: the gradient of input {position} is "
            f"{dx.dtype}{dx.shape}, the input {dtype}{shape}"
        )
    return dx


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an array of `shape` was repeated to the shape of `g`."""
    new = g.ndim - len(shape)
    repeated = [i for i, n in enumerate(shape, new) if n == 1 and g.shape[i] != 1]
    axes = (*range(new), *repeated)
    return g.sum(axis=axes, keepdims=True).reshape(shape) if axes else g


def _is_unshared(dx: Array, held: tuple) -> bool:
    """True when nobody else can hold `dx`: it is no view, nothing saved, no gradient that came in,
    and was not given to two inputs. Only such an array may be added to in place.

    `held` has all of these, `dx` itself among them, once.
    """
    if dx.base is not None:
        return False
    times = 0
    for other in held:
        if other is dx:
            times += 1
    return times <= 1


def _run_hooks(node: Node, arrived: list[Accumulator]) -> None:
    """Once, on the summed gradient; what a hook returns takes its place."""
    for i, hooks in list(node.hooks.items()):
        for hook in tuple(hooks):
            if arrived[i].value is not None:
                arrived[i].value = hook(arrived[i].value)
                arrived[i].owned = False
