"""The walk back: gradients arrive at each node, add up, and go on to the node's parents."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import anomaly
from tinygrad_llm.backend.devices import Array, is_array
from tinygrad_llm.graph.modes import current_mode, mode
from tinygrad_llm.graph.nodes import Edge, Link, Node, behind
from tinygrad_llm.ops import precision
from tinygrad_llm.ops.base import Cached, Piece


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
    useful = None if targets is None else _between(targets, roots)
    with mode(grad=lift is not None):  # for hooks, and for a create_graph under no_grad
        walk = _Walk(targets, useful, retain, lift)
        for edge, g in roots:
            walk.total_at(edge).add(g, owned=False, in_place=lift is None)
        walk.run()
    return walk.found


class _Walk:
    """One walk: the gradients under way, and the nodes that they have reached."""

    def __init__(self, targets, useful: set[Node] | None, retain: bool, lift: Lift | None):
        self.targets = None if targets is None else set(targets)
        self.useful, self.retain, self.lift = useful, retain, lift
        self.anomaly, self.watch = current_mode().anomaly, current_mode().profile
        self.found: dict[Edge, Accumulator] = {}
        self.totals: dict[Node, list[Accumulator]] = {}
        self.heap: list[tuple[int, Node]] = []

    def total_at(self, edge: Edge) -> Accumulator:
        """Where the gradient of one output comes together; the node waits for its turn."""
        node, i = edge
        totals = self.totals.get(node)
        if totals is None:
            totals = self.totals[node] = [Accumulator() for _ in node.outputs]
            if node.op is not None or node.hooks:  # a plain leaf has nothing to do but to wait
                heappush(self.heap, (-node.order, node))
        return totals[i]

    def run(self) -> None:
        """See every node with its whole gradient, in reverse order of creation: when a node's turn
        comes, all that used it have been there. Then it sends gradients to its parents."""
        while self.heap:
            node = heappop(self.heap)[1]
            arrived = self.totals.pop(node)
            if node.hooks:
                _run_hooks(node, arrived)
            if node.kept is not None:
                node.kept.gradients = tuple([self._raw_copy(node, total) for total in arrived])
            if node.op is None or self.targets is not None:
                self._find(node, arrived)
            needs = self._needs(node)
            if True in needs:
                self._step(node, arrived, needs)
        for leaf, arrived in self.totals.items():
            self._find(leaf, arrived)

    def _find(self, node: Node, arrived: list[Accumulator]) -> None:
        """Keep the gradients that were asked for; those of leaves, when none were named."""
        for i, total in enumerate(arrived):
            edge = node, i
            if total.value is not None and (self.targets is None or edge in self.targets):
                self.found[edge] = total

    def _raw_copy(self, node: Node, total: Accumulator) -> Array | None:
        """A gradient as an array that nobody else holds; None where nothing arrived."""
        g = total.value if self.lift is None or total.value is None else total.value.data
        return None if g is None else node.xp.array(g)

    def _needs(self, node: Node) -> tuple[bool, ...]:
        if self.useful is None:
            return tuple([edge is not None for edge in node.parents])
        return tuple([edge is not None and edge[0] in self.useful for edge in node.parents])

    def _step(self, node: Node, arrived: list[Accumulator], needs: tuple[bool, ...]) -> None:
        """Run one op's backward and send what it gives to the node's parents."""
        lift = self.lift
        g = _output_gradient(node, arrived, lift)
        saved = _unpack(node, lift, self.retain, self.anomaly)
        watch = self.watch
        begun = None if watch is None else watch.begin()
        if lift is None and node.override is not None:
            grads = node.override.backward(g, saved, needs)
        else:
            grads = node.op.backward(lift.xp if lift else node.xp, g, saved, needs)
        grads = grads if type(grads) is tuple else (grads,)
        held = (*(g if type(g) is tuple else (g,)), *saved, *grads)
        if watch is not None:
            watch.end(begun, node.op.name, "backward", held)
        for position, dx in enumerate(grads):
            if dx is None or not needs[position]:
                continue
            edge = parent, i = node.parents[position]
            total = self.total_at(edge)
            if type(dx) is Piece:
                if lift is None:
                    total.add_piece(dx, parent, i)
                    continue
                dx = dx.dense(lift.xp, parent.outputs[i][0])
            dx = _fit(dx, node, parent.outputs[i], position)
            if self.anomaly and not any(map(anomaly.has_nan, held[: len(arrived)])):
                anomaly.check_gradient(node.op.name, node.trace, dx, position)
            total.add(dx, owned=lift is None and _is_unshared(dx, held), in_place=lift is None)


def _between(targets: list[Edge], roots: list[tuple[Edge, Any]]) -> set[Node]:
    """The nodes between roots and targets, targets included: all others need no work."""
    useful = {node for node, _ in targets}
    for node in behind(edge for edge, _ in roots):
        if any(edge is not None and edge[0] in useful for edge in node.parents):
            useful.add(node)
    return useful


def _output_gradient(node: Node, arrived: list[Accumulator], lift: Lift | None) -> Any:
    """g as the op expects it: one value, or a tuple with zeros, or None where the op spares them,
    for outputs that nobody used."""
    if len(arrived) == 1:
        return arrived[0].value
    gs = []
    for i, (total, (shape, dtype)) in enumerate(zip(arrived, node.outputs)):
        g = total.value
        if g is None and dtype.kind == "f" and i not in node.op.spares_zeros:
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
    return precision.total(g, axes, keepdims=True).reshape(shape) if axes else g


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
