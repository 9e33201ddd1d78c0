"""The tape behind a tensor: its nodes in order, and the figure of it."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.graph import Node, behind
from tinygrad_llm.plot.boxes import boxes
from tinygrad_llm.plot.drawing import draw
from tinygrad_llm.plot.groups import Group, grouped, parameter_names
from tinygrad_llm.tensor import Tensor

MOST_BOXES = 60
"""More than this in one figure nobody reads."""


def tape(tensor: Tensor) -> list[Node]:
    """The nodes that `tensor` was computed by, leaves included, in order of creation.

    Raises RuntimeError for a tensor without a tape.
    """
    return behind([tensor._require_edge("tape")])


def graph(tensor: Tensor, names: dict[str, Tensor] | None = None) -> Any:
    """Draw the tape of `tensor`: a box for each node, data flowing downwards.

    A box shows the op, the shape, and where they are known the value and the gradient, of more than
    three elements the root mean square: of leaves, of the tensors in `names`, and of ops that ran
    within `keep_values`, whose gradients come with backward. Constants are not on the tape, and so
    not in the figure. Of a tape of more than 60 nodes, the nodes of a call of a module share a
    box, with its inner calls as boxes of their own as far as 60 suffice.

    names: what to call tensors in their boxes; other leaves are called as their module does, or
        "leaf".
    Returns a matplotlib figure. Raises RuntimeError for a tensor without a tape, ValueError when
    more than 60 boxes would be needed.
    """
    nodes = tape(tensor)
    few = len(nodes) <= MOST_BOXES
    groups = [Group("", [node]) for node in nodes] if few else grouped(nodes, MOST_BOXES)
    called = {(leaf, 0): name for leaf, name in parameter_names(nodes).items()}
    named = {x._edge: (name, x) for name, x in (names or {}).items() if x.requires_grad}
    called |= {edge: name for edge, (name, _) in named.items()}
    tensors = {edge: x for edge, (_, x) in named.items()}
    tensors[tensor._edge] = tensor
    return draw(boxes(groups, called, tensors), _parents(groups))


def _parents(groups: list[Group]) -> list[list[int]]:
    """For each group the numbers of those that feed it; a single node has one for each input."""
    number = {node: i for i, group in enumerate(groups) for node in group.nodes}
    parents = []
    for i, group in enumerate(groups):
        edges = [edge for node in group.nodes for edge in node.parents if edge is not None]
        sources = [number[node] for node, _ in edges if number[node] != i]
        parents.append(sources if len(group.nodes) == 1 else list(dict.fromkeys(sources)))
    return parents
