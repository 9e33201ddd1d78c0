"""The tape: nodes, the modes under which they are made, and the walk back through them.

A node stands for one op that ran. It knows the nodes that its inputs came from and what the op
saved, and it knows no Tensor; that is why nothing here is a cycle and memory goes as soon as it
is used. Gradients travel along edges: an edge (node, i) is the i-th output of a node.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count
from os.path import dirname, join
from typing import Any, NamedTuple
from zlib import crc32

from tinygrad_llm.backend.devices import Array, is_array, namespace, to_host
from tinygrad_llm.ops.base import Cached, Piece

_PACKAGE = join(dirname(__file__), "")


@dataclass(frozen=True)
class Mode:
    """What `apply` does beside computing: record a tape, check for NaN, drop what is saved."""

    grad: bool = True
    anomaly: bool = False
    keep: Callable[[Node, list, list], Any] | None = None
    """Replaces what a node saved by what it returns (activation checkpointing); it also gets the
    version counters of the inputs and of the outputs."""


_mode: ContextVar[Mode] = ContextVar("mode", default=Mode())  # noqa: B039 (it is frozen)
current_mode = _mode.get


@contextmanager
def mode(**changes: Any) -> Iterator[None]:
    """Within the block (or the decorated function) the mode is changed; threads have their own."""
    token = _mode.set(replace(_mode.get(), **changes))
    try:
        yield
    finally:
        _mode.reset(token)


def no_grad():
    """Context or decorator: ops record no tape, their results need no gradient."""
    return mode(grad=False)


def enable_grad():
    """Context or decorator: ops record a tape again, inside a `no_grad`."""
    return mode(grad=True)


def detect_anomaly():
    """Context: an op that makes a NaN raises and says where it was called; so does a backward that
    does, and a backward whose saved values were overwritten through `.data`. Several times slower.
    """
    return mode(anomaly=True)


_order = count()


Link = tuple[bool, int, list[int], int]
"""Of a saved array: whether it is an output, which input or output, its version counter, and the
version when it was saved."""


class Trace(NamedTuple):
    """What anomaly mode remembers of an op: where it was called, and sums over what it saved."""

    place: str
    checksums: list[int]


class Node:
    """One op that ran; or, without op, a leaf: a tensor that asks for a gradient.

    parents: the edge of each input, None where it asks for no gradient.
    saved: what the op needs for backward; None once it is used up. links: see Link.
    outputs: (shape, dtype) of each output, which its gradient must have too.
    xp: the namespace of the outputs. hooks: output → functions. trace: see Trace.
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

    def __init__(self, op: Any, parents: Any, saved: Any, links: list, outputs: list, xp: Any):
        self.op, self.parents, self.saved, self.links = op, parents, saved, links
        self.outputs, self.xp = outputs, xp
        self.order = next(_order)
        self.hooks: Any = None
        self.trace: Any = None
        self.tensor: Any = None

    def __repr__(self) -> str:
        return f"<{self.op.name if self.op else 'leaf'} {self.outputs[0][0]}>"


Edge = tuple[Node, int]


def leaf(tensor: Any) -> Edge:
    """The edge of a tensor that asks for a gradient; the tensor is held weakly."""
    output = (tensor.data.shape, tensor.data.dtype)
    node = Node(None, (), (), [], [output], namespace(tensor.data))
    node.tensor = weakref.ref(tensor)
    return node, 0


def record(op, edges, inputs, counters, outputs, out_counters, saved) -> Node:
    """Put one op that ran on the tape: arrays in, arrays out, and what it saved of them.

    `counters` are the version counters of inputs that are Tensors, None for other inputs.
    """
    links = [
        _link(op, value, inputs, counters, outputs, out_counters) if is_array(value) else None
        for value in saved
    ]
    shapes = [(y.shape, y.dtype) for y in outputs]
    node = Node(op, edges, saved, links, shapes, namespace(outputs[0]))
    mode = current_mode()
    if mode.anomaly:
        node.trace = Trace(_caller(), [_checksum(value) for value in saved])
        _check_output(node, inputs, outputs)
    if mode.keep is not None:
        node.saved = mode.keep(node, counters, out_counters)
    return node


def _link(op, value, inputs, counters, outputs, out_counters) -> Link | None:
    """Find the saved array among inputs and outputs; integers and masks may be constants."""
    for i, x in enumerate(inputs):
        if x is value:
            return None if counters[i] is None else (False, i, counters[i], counters[i][0])
    for i, y in enumerate(outputs):
        if y is value:
            return True, i, out_counters[i], out_counters[i][0]
    if value.dtype.kind == "f":
        raise TypeError(
            f"bug in the forward of {op.name}: it saves an intermediate, which would cut the tape "
            "of second derivatives; save it as Cached and compute it again where it is None"
        )
    return None


class Sum:
    """A gradient while its parts arrive: the first is aliased, the second makes a sum of our own,
    every later one is added in place."""

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

    def own(self, copy: Callable) -> None:
        """Take memory that no other gradient shares (Tensors: partial sums alias freely)."""
        if self.value is not None:
            self.value, self.owned = copy(self.value), True

    def add_piece(self, piece: Piece, node: Node, i: int) -> None:
        """Add into the buffer itself, so that T pieces of one array cost T pieces (raw arrays)."""
        if self.value is None:
            self.value = node.xp.zeros(*node.outputs[i])
        elif not self.owned or not is_array(self.value):  # a NumPy scalar is no buffer
            self.value = node.xp.array(self.value)
        self.owned = True
        piece.add_to(node.xp, self.value)


class Lift(NamedTuple):
    """How to run backward on Tensors: their namespace, and a way to put an array on the tape."""

    xp: Any
    tensor: Callable[[Array, Edge | None, list[int] | None], Any]


def walk_back(
    roots: list[tuple[Edge, Any]], targets: list[Edge] | None, retain: bool, lift: Lift | None
) -> dict[Edge, Sum]:
    """Carry the gradients of `roots` back to `targets`, or to every leaf when that is None.

    Gradients are raw arrays, or Tensors with a tape of their own when `lift` is given. `retain`
    keeps what the ops saved for another walk.
    """
    wanted = None if targets is None else set(targets)
    useful = None if targets is None else _between(targets, roots)
    found: dict[Edge, Sum] = {}
    with mode(grad=lift is not None):  # for hooks, and for a create_graph under no_grad
        walk = _Walk(useful, retain, lift)
        for edge, g in roots:
            walk.sum_at(edge).add(g, owned=False, in_place=lift is None)
        for node, arrived in walk.nodes():
            for i, total in enumerate(arrived):
                if node.op is None if wanted is None else (node, i) in wanted:
                    found[node, i] = total
        if lift is not None:
            for total in found.values():
                total.own(lift.xp.copy)
    return found


class _Walk:
    """One walk: the gradients under way, and the nodes that they have reached."""

    def __init__(self, useful: set[Node] | None, retain: bool, lift: Lift | None):
        self.useful, self.retain, self.lift = useful, retain, lift
        self.anomaly = current_mode().anomaly
        self.sums: dict[Node, list[Sum]] = {}
        self.heap: list[tuple[int, Node]] = []

    def sum_at(self, edge: Edge) -> Sum:
        """Where the gradient of one output comes together; the node waits for its turn."""
        node, i = edge
        if node not in self.sums:
            self.sums[node] = [Sum() for _ in node.outputs]
            heappush(self.heap, (-node.order, node))
        return self.sums[node][i]

    def nodes(self) -> Iterator[tuple[Node, list[Sum]]]:
        """Every node with its whole gradient, in reverse order of creation: when a node's turn
        comes, all that used it have been there. On the way each sends gradients to its parents."""
        while self.heap:
            node = heappop(self.heap)[1]
            arrived = self.sums.pop(node)
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

    def _step(self, node: Node, arrived: list[Sum], needs: tuple[bool, ...]) -> None:
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
            total, (parent, i) = self.sum_at(edge), edge
            if type(dx) is Piece:
                if lift is None:
                    total.add_piece(dx, parent, i)
                    continue
                dx = dx.dense(lift.xp, parent.outputs[i][0])
            dx = _fit(dx, node, parent.outputs[i], position)
            if self.anomaly:
                _check_gradient(dx, node, position)
            total.add(dx, owned=lift is None and _is_fresh(dx, held), in_place=lift is None)


def _between(targets: list[Edge], roots: list[tuple[Edge, Any]]) -> set[Node]:
    """The nodes between roots and targets, targets included: all others need no work."""
    seen: set[Node] = set()
    stack = [edge[0] for edge, _ in roots]
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


def _output_gradient(node: Node, arrived: list[Sum], lift: Lift | None) -> Any:
    """g as the op expects it: one value, or a tuple with zeros for outputs that nobody used."""
    if len(arrived) == 1:
        return arrived[0].value
    gs = []
    for total, output in zip(arrived, node.outputs):
        g = total.value
        if g is None and output[1].kind == "f":
            g = node.xp.zeros(*output)
            g = lift.tensor(g, None, None) if lift else g
        gs.append(g)
    return tuple(gs)


def _unpack(node: Node, lift: Lift | None, retain: bool, anomaly: bool) -> tuple:
    """What the op saved, unchanged since; freed from the node unless it is to be retained."""
    saved = node.saved
    if saved is None:
        raise RuntimeError(
            f"backward ran through {node.op.name} a second time, and what it saved is freed: "
            "give the first call retain_graph=True, or compute the forward pass again"
        )
    if not retain:
        node.saved = None
    if type(saved) is not tuple:
        saved = saved.fetch()
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
    if anomaly and node.trace is not None:
        _check_unwritten(node, saved)
    return tuple(values)


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


def _is_fresh(dx: Array, held: tuple) -> bool:
    """True when nobody else can hold `dx`: no view, nothing saved, no gradient that came in, and
    not given to two inputs. Only such an array may be added to in place or become a `.grad`."""
    if dx.base is not None:
        return False
    times = 0
    for other in held:
        if other is dx:
            times += 1
    return times <= 1


def _run_hooks(node: Node, arrived: list[Sum]) -> None:
    """Once, on the summed gradient; what a hook returns takes its place."""
    for i, hooks in node.hooks.items():
        for hook in tuple(hooks):
            if arrived[i].value is not None:
                arrived[i].value = hook(arrived[i].value)
                arrived[i].owned = False


def _changed(node: Node, link: Link, how: str) -> str:
    is_output, position, *_ = link
    what = "output" if is_output else f"input {position}"
    made = f", called at {node.trace.place}," if node.trace else ""
    return (
        f"{node.op.name}{made} needs its {what} for backward, but it was changed {how} since: "
        "change a copy, or run backward first"
    )


def _caller() -> str:
    """The innermost line outside this package: where the user called the op."""
    frames = [f for f in traceback.extract_stack() if not f.filename.startswith(_PACKAGE)]
    frame = frames[-1] if frames else traceback.extract_stack()[-1]
    return f"{frame.filename}:{frame.lineno} in {frame.name}"


def _checksum(value: Any) -> int:
    return crc32(to_host(value).tobytes()) if is_array(value) else 0


def _has_nan(value: Any) -> bool:
    return is_array(value) and value.dtype.kind == "f" and bool((value != value).any())


def _check_output(node: Node, inputs: list, outputs: list) -> None:
    if any(map(_has_nan, outputs)) and not any(map(_has_nan, inputs)):
        raise FloatingPointError(f"{node.op.name} made a NaN, called at {node.trace.place}")


def _check_gradient(dx: Any, node: Node, position: int) -> None:
    if bool((dx != dx).any()):
        place = node.trace.place if node.trace else "a place unknown: it ran before detect_anomaly"
        raise FloatingPointError(
            f"backward of {node.op.name} made a NaN for input {position}; "
            f"the op was called at {place}"
        )


def _check_unwritten(node: Node, saved: tuple) -> None:
    for value, link, checksum in zip(saved, node.links, node.trace.checksums):
        if link is not None and _checksum(value) != checksum:
            raise RuntimeError(_changed(node, link, "through .data"))
