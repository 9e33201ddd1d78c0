"""What the boxes of a drawn tape say: what ran, its shape, and the numbers that went through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import to_host
from tinygrad_llm.graph import Edge
from tinygrad_llm.plot.groups import Group
from tinygrad_llm.tensor import Tensor

FEW = 3
"""So many numbers are shown one by one; of more, the root mean square."""

ABOUT_MANY = "|value|, |gradient|: root mean square of more than three numbers"


class Box(NamedTuple):
    """What one box of the figure shows, line by line."""

    kind: str
    """"leaf", "op", "module" or "result"."""
    title: str
    shapes: str
    value: str
    gradient: str
    """Empty where nothing is known, as `value` is."""


def boxes(
    groups: Sequence[Group], called: dict[Edge, str], tensors: dict[Edge, Tensor]
) -> list[Box]:
    """One box for each group; the last one holds the result.

    called: the names of outputs; tensors: those outputs of which the tensor is at hand.
    """
    return [_box(group, called, tensors, group is groups[-1]) for group in groups]


def _box(group: Group, called: dict[Edge, str], tensors: dict[Edge, Tensor], last: bool) -> Box:
    node = group.nodes[-1]
    edges = [(node, i) for i in range(len(node.outputs))]
    name = ", ".join(called[edge] for edge in edges if edge in called)
    made_by = group.title or (node.op.name if node.op else "")
    title = " = ".join(part for part in (name, made_by) if part) or "leaf"
    kind = "leaf" if node.op is None else "result" if last else "module" if group.title else "op"
    shapes = _shapes([shape for shape, _ in node.outputs])
    value = _numbers("value", [_value(edge, tensors) for edge in edges])
    gradient = _numbers("gradient", [_gradient(edge, tensors) for edge in edges])
    return Box(kind, title, shapes + _size(group), value, gradient)


def _size(group: Group) -> str:
    """How much is in the box of a call."""
    if not group.title:
        return ""
    ops = sum(node.op is not None for node in group.nodes)
    return f" · {ops} op{'s' if ops > 1 else ''}"


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    if len(shapes) > 1 and len(set(shapes)) == 1:
        return f"{len(shapes)} × {shapes[0]}"
    text = ", ".join(map(str, shapes))
    return text if len(text) <= 30 else text[:29] + "…"


def _tensor(edge: Edge, tensors: dict[Edge, Tensor]) -> Tensor | None:
    node, _ = edge
    return node.tensor() if node.op is None else tensors.get(edge)


def _value(edge: Edge, tensors: dict[Edge, Tensor]) -> Any:
    """The raw array of an output, None where it is not known."""
    (node, i), tensor = edge, _tensor(edge, tensors)
    if tensor is not None:
        return tensor.data
    return None if node.kept is None else node.kept.values[i]


def _gradient(edge: Edge, tensors: dict[Edge, Tensor]) -> Any:
    """The raw gradient of an output, None where there is none or it is not known."""
    (node, i), tensor = edge, _tensor(edge, tensors)
    if tensor is not None and tensor.grad is not None:
        return tensor.grad.data
    return None if node.kept is None else node.kept.gradients[i]


def _numbers(what: str, arrays: Sequence[Any]) -> str:
    """The numbers of up to three elements, a summary of more; empty without any."""
    known = [to_host(a) for a in arrays if a is not None and a.dtype.kind not in "biu"]
    numbers = (
        np.concatenate([a.astype(np.float64).ravel() for a in known]) if known else np.empty(0)
    )
    if numbers.size > FEW:
        return f"|{what}| {_short(_root_mean_square(numbers))}"
    if numbers.size == 0:
        return ""
    each = ", ".join(map(_short, numbers))
    scalar = all(a.ndim == 0 for a in known) and len(known) == 1
    return f"{what} {each}" if scalar else f"{what} [{each}]"


def _root_mean_square(numbers: np.ndarray) -> float:
    """Squares of the numbers would vanish or overflow before the numbers do."""
    largest = np.abs(numbers).max()
    return largest * np.sqrt(np.mean((numbers / largest) ** 2)) if 0 < largest < np.inf else largest


def _short(number: float) -> str:
    """Three significant digits, with a proper minus."""
    return f"{number:.3g}".replace("-", "−")
