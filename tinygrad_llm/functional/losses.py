"""Losses; `reduction` is "mean", "sum" or "none" in each, or "batchmean" in `kl_div`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.functional.arguments import (
    floating,
    integer,
    number,
    operands,
    tensor,
    watched,
    watched_indices,
)
from tinygrad_llm.functional.elementwise import where
from tinygrad_llm.functional.indexing import check_range
from tinygrad_llm.functional.reductions import sum as total
from tinygrad_llm.ops import losses as ops
from tinygrad_llm.tensor import Tensor, apply


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−ln softmax(logits)[target], from logits of shape (..., V)  (F47, G02).

    target: class indices (...), integers or booleans; or distributions (..., V), floats, which may
        themselves require a gradient.
    weight: (V,), a factor for each class; "mean" then divides by the weights of the targets.
    ignore_index: rows with this index count neither in the sum nor in the mean; the mean over no
        row at all is 0.
    label_smoothing: ε; the target becomes (1 − ε)·target + ε/V (Szegedy et al. 2015).
    Raises ValueError for shapes that do not fit, IndexError for a class outside 0 … V−1, TypeError
    for an ignore_index that is no integer and a label_smoothing that is no number.
    """
    logits = floating(logits)
    target = watched_indices(target, logits)
    label_smoothing = smoothing("cross_entropy", label_smoothing)
    ignore_index = integer("cross_entropy: ignore_index", ignore_index)
    if not logits.ndim:
        raise ValueError("cross_entropy: logits need an axis of classes, (..., V)")
    if weight is not None:
        weight = _class_weight(logits, weight)
    if target.dtype.kind == "f":
        return _soft_cross_entropy(logits, target, weight, reduction, label_smoothing)
    _check_indices(logits, target)
    target = as_classes(target)
    counted = counted_rows("cross_entropy", target, ignore_index, logits.shape[-1])
    if weight is None and not label_smoothing:
        return _plain_cross_entropy(logits, target, counted, reduction)
    constants = {"ignore_index": ignore_index, "label_smoothing": label_smoothing}
    rows = apply(ops.WeightedCrossEntropy, logits, target, weight, **constants)
    return (
        _mean_of_counted(rows, target, counted, weight)
        if reduction == "mean"
        else reduce(rows, reduction)
    )


def smoothing(name: str, value: Any) -> float:
    """The label_smoothing as a plain float; ValueError outside [0, 1], TypeError for no number."""
    epsilon = number(f"{name}: label_smoothing", value)
    if not 0.0 <= epsilon <= 1.0:
        raise ValueError(f"{name}: label_smoothing {value} is not in [0, 1]")
    return epsilon


def as_classes(target: Tensor) -> Tensor:
    """Class indices as integers: of two classes they may be booleans."""
    return target.astype("int64") if target.dtype.kind == "b" else target


def _check_indices(logits: Tensor, target: Tensor) -> None:
    """Refuse targets that are no class index for each row."""
    if target.shape == logits.shape:
        raise ValueError(
            f"cross_entropy: targets {target.shape} of {target.dtype} are neither class indices, "
            f'{logits.shape[:-1]}, nor distributions, which are floats: .astype("float32") makes '
            "them of one-hot rows, .argmax(axis=-1) indices"
        )
    if target.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: logits {logits.shape} need targets {logits.shape[:-1]} "
            f"(class indices) or {logits.shape} (distributions), not {target.shape}"
        )


def _plain_cross_entropy(logits, target, counted, reduction) -> Tensor:
    """The usual case as one op, its sum or mean included."""
    rows, scale = target.size, None
    if counted is not None:
        rows, target = int(counted.data.sum()), where(counted, target, 0)
    if known_reduction(reduction) != "none":
        scale = 1.0 if reduction == "sum" else 1.0 / rows if rows else 0.0
    return apply(ops.CrossEntropy, logits, target, counted, scale=scale)


def counted_rows(name: str, target: Tensor, ignore_index: int, classes: int) -> Tensor | None:
    """Which targets are not `ignore_index`, None when all are counted; IndexError for a class that
    does not exist."""
    if not target.size:
        return None
    ids, size = target.data, target.data.dtype.itemsize
    highest = int(ids.view(f"u{size}").max())  # a negative id counts as 2**(8·size − 1) or more
    if highest < min(classes, 1 << 8 * size - 1) and not 0 <= ignore_index <= highest:
        return None
    counted = target != ignore_index
    check_range(f"{name}: class", where(counted, target, 0), classes)
    return counted


def _mean_of_counted(rows, target, counted, weight) -> Tensor:
    """Σ rows divided by what the counted rows weigh together."""
    divisor = float(target.size if counted is None else counted.data.sum())
    if weight is not None:
        places = target if counted is None else where(counted, target, 0)
        weights = weight[places] if counted is None else where(counted, weight[places], 0.0)
        divisor = float(weights.data.sum(dtype=np.float64))
    # The mean first, for a sum over many rows is more than float16 can hold.
    return rows.mean() * (rows.size / divisor) if divisor else total(rows) * 0.0


def _soft_cross_entropy(logits, target, weight, reduction, label_smoothing) -> Tensor:
    if target.shape != logits.shape:
        raise ValueError(
            f"cross_entropy: distributions {target.shape} for logits {logits.shape}; "
            "class indices are integers"
        )
    if label_smoothing:
        target = target * (1.0 - label_smoothing) + label_smoothing / logits.shape[-1]
    if weight is not None:
        target = target * weight
    return reduce(
        apply(ops.SoftCrossEntropy, *operands("cross_entropy", logits, target)), reduction
    )


def _class_weight(logits: Tensor, weight: Any) -> Tensor:
    weight = operands("cross_entropy", logits, watched(weight, logits))[1].detach()
    if weight.shape != logits.shape[-1:]:
        raise ValueError(
            f"cross_entropy: weight {weight.shape} for {logits.shape[-1]} classes: give one each"
        )
    return weight


def mse_loss(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """(input − target)² of equal shapes: (N, 1) with (N,) would broadcast to N² errors (F46)."""
    input, target = _alike("mse_loss", input, target)
    return reduce(apply(ops.SquaredError, input, target), reduction)


def binary_cross_entropy_with_logits(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """−[t·ln σ(z) + (1 − t)·ln(1 − σ(z))] from logits z, finite for every z (F23–F25)."""
    input, target = _alike("binary_cross_entropy_with_logits", input, target)
    return reduce(apply(ops.BCEWithLogits, input, target), reduction)


def kl_div(input: Any, target: Any, reduction: str = "mean") -> Tensor:
    """t·(ln t − x) for log-probabilities x and probabilities t (0 where t = 0).

    "batchmean" divides the sum by the length of the first axis, which gives the divergence as it is
    defined; "mean" divides by all elements.
    """
    input, target = _alike("kl_div", input, target)
    each = apply(ops.KLDiv, input, target)
    if reduction == "batchmean":
        return total(each, tuple(range(1, each.ndim))).mean()
    return reduce(each, reduction, "'mean', 'batchmean', 'sum' or 'none'")


def reduce(each: Tensor, reduction: str, known: str = "'mean', 'sum' or 'none'") -> Tensor:
    """The mean, the sum, or the values themselves; ValueError with the `known` names for others."""
    if known_reduction(reduction, known) == "none":
        return each
    return each.mean() if reduction == "mean" else total(each)


def known_reduction(reduction: str, known: str = "'mean', 'sum' or 'none'") -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be {known}, not {reduction!r}")
    return reduction


def _alike(name: str, input: Any, target: Any) -> tuple[Tensor, Tensor]:
    input, target = (tensor(x) for x in operands(name, floating(input), target))
    if input.shape != target.shape:
        raise ValueError(f"{name}: input {input.shape} and target {target.shape} differ in shape")
    return input, target
