"""The head of a language model: a linear layer and its cross-entropy in one."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.functional.arguments import (
    floating,
    integer,
    operands,
    tensor,
    tensor_like,
    watched_indices,
)
from tinygrad_llm.functional.indexing import scatter
from tinygrad_llm.functional.losses import as_classes, counted_rows, known_reduction, smoothing
from tinygrad_llm.functional.shapes import reshape
from tinygrad_llm.graph import current_mode
from tinygrad_llm.ops.linear_losses import LinearCrossEntropy
from tinygrad_llm.tensor import Tensor, apply

LOGITS_AT_A_TIME = 1 << 21
"""Elements of one chunk of logits, unless `chunk` says otherwise: 8 MB of float32 stay in cache."""

ROWS_AT_A_TIME = 256
"""The least rows of such a chunk: with fewer, adding up dW takes a larger part of the time."""


def linear_cross_entropy(
    x: Any,
    weight: Tensor,
    target: Any,
    bias: Tensor | None = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
    chunk: int | None = None,
    transposed: bool = False,
) -> Tensor:
    """cross_entropy(linear(x, weight, bias), target) without ever holding all logits
    (F43, F47, G02, G03).

    x (..., D), weight (D, V) as that of `Linear`, target (...) of class indices, bias (V,) or None.
    chunk: so many rows have logits at a time; 256, or as many as have two million, when None.
    transposed: the weight is (V, D), as that of the embedding to which the head is tied.
    ignore_index, label_smoothing and reduction are those of `cross_entropy`; rows that are ignored
    are left out before the product, so that they cost nothing.
    Raises ValueError for shapes that do not fit, IndexError for a class outside 0 … V−1, TypeError
    for targets that are not integers and for different floating dtypes.
    """
    x, weight, bias = _operands(x, weight, bias)
    target = as_classes(watched_indices(target, x))
    width, classes = _sizes(x, weight, bias, target, transposed)
    epsilon = smoothing(_NAME, label_smoothing)
    ignore_index = integer(f"{_NAME}: ignore_index", ignore_index)
    counted = counted_rows(_NAME, target, ignore_index, classes)
    rows, places = reshape(x, (target.size, width)), reshape(target, (target.size,))
    if counted is not None:
        chosen = reshape(counted, (target.size,)).data
        rows, places = rows[chosen], places[chosen]
    each = known_reduction(reduction) == "none"
    losses = apply(
        LinearCrossEntropy,
        *(rows, weight, bias, places),
        scale=None if each else 1.0 if reduction == "sum" else 1.0 / max(len(rows), 1),
        label_smoothing=epsilon,
        transposed=bool(transposed),
        chunk=_rows_of_a_chunk(chunk, classes),
        ahead=tuple(_gets_a_gradient(t) for t in (rows, weight, bias)),
    )
    if not each:
        return losses
    return (
        reshape(losses, target.shape) if counted is None else scatter(losses, counted, x.shape[:-1])
    )


_NAME = "linear_cross_entropy"


def _operands(x: Any, weight: Any, bias: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Tensors of one floating dtype."""
    weight = tensor(weight)
    x, weight = operands(
        _NAME, floating(x if isinstance(x, Tensor) else tensor_like(weight, x)), weight
    )
    if bias is not None:
        bias = operands(_NAME, x, bias if isinstance(bias, Tensor) else tensor_like(x, bias))[1]
    return x, weight, bias


def _sizes(
    x: Tensor, weight: Tensor, bias: Tensor | None, target: Tensor, transposed: bool
) -> tuple[int, int]:
    """D and V, of shapes that fit."""
    if target.dtype.kind not in "iu":
        raise TypeError(f"{_NAME}: targets are {target.dtype}; class indices are integers")
    stored = "(V, D)" if transposed else "(D, V)"
    if weight.ndim == 2 and x.ndim:
        width, classes = weight.shape[::-1] if transposed else weight.shape
        fits = classes and x.shape == (*target.shape, width)
        if fits and (bias is None or bias.shape == (classes,)):
            return width, classes
    given = "" if bias is None else f", bias {bias.shape}"
    raise ValueError(
        f"{_NAME}: x {x.shape}, weight {weight.shape}, target {target.shape}{given}: "
        f"expected (..., D), {stored}, (...) and (V,)"
    )


def _rows_of_a_chunk(chunk: int | None, classes: int) -> int:
    if chunk is None:
        return max(ROWS_AT_A_TIME, LOGITS_AT_A_TIME // classes)
    chunk = integer(f"{_NAME}: chunk", chunk)
    if chunk < 1:
        raise ValueError(f"{_NAME}: chunk {chunk}: a chunk has one row or more")
    return chunk


def _gets_a_gradient(t: Tensor | None) -> bool:
    """Whether a backward may come for it: then its gradient is computed together with the loss."""
    return t is not None and t.requires_grad and current_mode().grad
