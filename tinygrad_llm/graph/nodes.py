"""Nodes, of which the tape is made, and how an op that ran becomes one.

A node stands for one op that ran. It knows the nodes that its inputs came from and what the op
saved, and it knows no Tensor; so a tape is no cycle, and its memory goes as soon as it is used.
Gradients travel along edges: an edge (node, i) is the i-th output of a node.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from itertools import count
from typing import Any

import numpy as np

from tinygrad_llm import anomaly
from tinygrad_llm.backend.devices import is_array, namespace
from tinygrad_llm.graph.modes import current_mode
from tinygrad_llm.ops.base import Cached


class Kept:
    """What went through a node under `keep_values`: raw arrays, one for each output.

    gradients: the whole gradient of each output, None before a backward and where none arrived.
    """

    __slots__ = ("gradients", "values")

    def __init__(self, values: tuple):
        self.values = values
        self.gradients: tuple = (None,) * len(values)


class Node:
    """One op that ran; or, without op, a leaf: a tensor that requires a gradient.

    parents: the edge of each input, None where it requires no gradient.
    saved: what the op needs for backward; None once it is used up. links: see Link.
    outputs: (shape, dtype) of each output, which its gradient must have too.
    override: the faster form of the op, when that ran; its backward belongs to what is saved.
    order: how many nodes were made before: parents come before those that used them.
    xp: the namespace of the outputs. hooks: output → functions. trace: see anomaly.Trace.
    tensor: of a leaf, a weak reference to its Tensor. kept: see Kept.
    calls: the calls of modules whose output this node made, the innermost first; see end_call.
    """

    __slots__ = (
        "__weakref__",
        "calls",
        "hooks",
        "kept",
        "links",
        "op",
        "order",
        "outputs",
        "override",
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
        self.override: Any = None
        self.trace: Any = None
        self.tensor: Any = None
        self.kept: Kept | None = None
        self.calls: tuple[Call, ...] = ()

    def __repr__(self) -> str:
        return f"<{self.op.name if self.op else 'leaf'} {self.outputs[0][0]}>"


Edge = tuple[Node, int]

Call = tuple[weakref.ref, int]
"""The object that was called, and `Node.order` when the call began: the nodes of the call are those
from there to the node that has it in `calls`. A tape keeps no module alive."""

Link = tuple[bool, int, list[int], int]
"""Of a saved array: whether it is an output, which input or output, its version counter, and the
version when it was saved. (A plain tuple, as `outputs` has: they are made for every op.)"""


def leaf(tensor: Any) -> Edge:
    """The edge of a tensor that requires a gradient; the tensor is held weakly."""
    output = (tensor.data.shape, tensor.data.dtype)
    node = Node(None, (), (), [], [output], namespace(tensor.data))
    node.tensor = weakref.ref(tensor)
    return node, 0


def behind(edges: Iterable[Edge]) -> list[Node]:
    """The nodes that these outputs were computed by, leaves included, in order of creation."""
    seen: set[Node] = set()
    stack = [node for node, _ in edges]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack.extend(edge[0] for edge in node.parents if edge is not None)
    return sorted(seen, key=lambda node: node.order)


def begin_call() -> int:
    """The order from which on nodes belong to a call that begins now."""
    return next(Node._made)


def end_call(callee: Any, begin: int, output: Edge | None) -> None:
    """Note on the node of `output` that a call of `callee` made it, so that figures can group."""
    if output is not None and output[0].order > begin:
        output[0].calls += ((weakref.ref(callee), begin),)


def record(op, edges, inputs, counters, outputs, out_counters, saved) -> Node:
    """Put one op that ran on the tape: arrays in, arrays out, and what it saved of them.

    `counters` are the version counters of inputs that are Tensors, None for other inputs.
    """
    links = [
        None
        if value is None or type(value) in _PLAIN
        else _link(op, value, inputs, counters, outputs, out_counters)
        for value in saved
    ]
    shapes = [(y.shape, y.dtype) for y in outputs]
    node = Node(op, edges, saved, links, shapes, namespace(outputs[0]))
    now = current_mode()
    if now.anomaly:
        node.trace = anomaly.trace_of(saved)
        anomaly.check_output(op.name, node.trace, inputs, outputs)
    if now.keep:
        node.kept = Kept(tuple([y.copy() for y in outputs]))
    if now.frame is not None:
        node.saved = now.frame.keep(node)
    return node


_PLAIN = {Cached, bool, int, float, str}
"""Types of saved values that are no arrays and hold none that the tape must know of."""


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
