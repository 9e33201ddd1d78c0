"""What a Trainer does with one batch: onto the device, through the model, to a loss and its count.

A batch is a tuple (x, labels) or a dict of arrays by the names of the model's arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.backend import is_array, put
from tinygrad_llm.nn import Module, in_dtype
from tinygrad_llm.tensor import Tensor

IGNORED = -100
"""A label that is not learned: no target."""

HALF = "float16"

Batch = tuple[Any, ...] | dict[str, Any]

Part = tuple[Tensor, int]
"""A mean, and over how many targets it is."""


class Result(NamedTuple):
    """The mean loss of a batch, where it has labels; what the model answered, where the loss
    function tells; over how many targets the mean is, where that is not `count_targets`; and where
    the loss is a sum of means over targets of their own, these parts."""

    loss: Tensor | None
    answer: Any
    targets: int | None = None
    parts: Sequence[Part] | None = None

    @property
    def outputs(self) -> Tensor | None:
        """The answer, or its logits, which a language model computes when they are asked for."""
        return _logits(self.answer)


ComputeLoss = Callable[[Module, Any], Any]
"""compute_loss(model, batch) -> mean loss, or (mean loss, outputs), or (mean loss, outputs, number
of targets that the mean is over)."""


def default_loss(model: Module, batch: Batch) -> Result:
    """Cross-entropy of what the model says and the labels, in float32 at least; or the model's own.

    (x, labels): model(x). A dict: model(**batch), which may answer with `.loss` and `.logits`, with
    `.targets` where its mean is over fewer than there are labels (it shifts or masks them), and
    with `.parts` where the loss is a sum of means, each over targets of its own; a model whose
    forward takes no "labels" gets the rest, and its output is held against them. (x,) and a dict
    without labels have no loss, unless the model's answer has one.
    """
    if not isinstance(batch, Mapping):
        if len(batch) == 1:
            return Result(None, model(*batch))
        *inputs, labels = batch
        return _cross_entropy(model(*inputs), labels)
    if "labels" not in batch or "labels" in _accepted(model, ("labels",)):
        answer = model(**batch)
        if "labels" in batch and isinstance(answer, Tensor):
            raise TypeError(
                f"{type(model).__name__} was given labels and answers with a Tensor: it must "
                "answer with .loss, or take no labels; or give the Trainer a compute_loss"
            )
        loss, targets = getattr(answer, "loss", None), getattr(answer, "targets", None)
        return Result(loss, answer, targets, getattr(answer, "parts", None) or None)
    others = {name: value for name, value in batch.items() if name != "labels"}
    return _cross_entropy(model(**others), batch["labels"])


def _cross_entropy(answer: Any, labels: Any) -> Result:
    logits = _logits(answer)
    if logits is None:
        raise TypeError(
            f"a model answers with a Tensor or with .logits, not {type(answer).__name__}"
        )
    full = logits.astype("float32") if logits.dtype.itemsize < 4 else logits
    return Result(F.cross_entropy(full, labels), full)


def _logits(answer: Any) -> Tensor | None:
    return answer if isinstance(answer, Tensor) else getattr(answer, "logits", None)


def result_of(compute_loss: ComputeLoss, model: Module, batch: Batch) -> Result:
    """compute_loss, with or without outputs, as a Result. Raises TypeError for what is no loss;
    None is one where there are outputs."""
    answer = compute_loss(model, batch)
    result = Result(*answer) if isinstance(answer, tuple) else Result(answer, None)
    loss = result.loss
    if loss is None and result.outputs is not None:
        return result
    if not isinstance(loss, Tensor) or loss.size != 1:
        shown = f"a Tensor {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"compute_loss: the loss is one number on the tape, not {shown}")
    return result


def forward(model: Module, compute_loss: ComputeLoss, batch: Batch, half: bool = False) -> Result:
    """One batch on the model's device through the model; half: in float16 (see `in_dtype`)."""
    device = next(model.parameters()).device
    with in_dtype(model, HALF) if half else nullcontext():
        return result_of(compute_loss, model, onto(batch, device, HALF if half else None))


def labels_of(batch: Batch) -> Any:
    """The array of labels, or None."""
    if isinstance(batch, Mapping):
        return batch.get("labels")
    return batch[-1] if len(batch) > 1 else None


def count_targets(batch: Batch) -> int:
    """How many targets the mean loss of a batch is over: labels but -100; without whole-number
    labels, rows."""
    labels = labels_of(batch)
    if labels is not None and labels.dtype.kind in "iu":
        return int((labels != IGNORED).sum())
    return count_rows(batch)


def parts_of(result: Result, batch: Batch) -> list[Part]:
    """The means that the loss is the sum of, in a fixed order; for most models it is one mean."""
    assert result.loss is not None
    if result.parts is not None:
        return list(result.parts)
    return [(result.loss, count_targets(batch) if result.targets is None else result.targets)]


def count_rows(batch: Batch) -> int:
    """The rows of a batch."""
    return len(next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0])


def onto(batch: Batch, device: str, dtype: str | None = None) -> Batch:
    """The batch on a device; with a dtype, its floating point inputs (not labels) in that."""

    def moved(name: str, value: Any) -> Any:
        if not is_array(value):
            return value
        value = put(value, device)
        return value.astype(dtype) if dtype and value.dtype.kind == "f" and name else value

    if isinstance(batch, Mapping):
        return {k: moved("" if k == "labels" else k, v) for k, v in batch.items()}
    last = len(batch) - 1
    return tuple(moved("" if i == last and i else "input", v) for i, v in enumerate(batch))


def check_batch(model: Module, batch: Any, any_columns: bool = False) -> None:
    """Refuse, by name, columns that the model does not take (unless any_columns) and texts."""
    if not isinstance(batch, (tuple, Mapping)):
        raise TypeError(f"a batch is a tuple or a dict of arrays, not a {type(batch).__name__}")
    if isinstance(batch, Mapping) and not any_columns:
        _check_columns(model, [name for name in batch if name != "labels"])
    for array in batch.values() if isinstance(batch, Mapping) else batch:
        if isinstance(array, np.ndarray) and array.dtype.kind not in "fiub":
            raise TypeError(f"a batch holds {array.dtype}: turn texts into numbers first")
        if not hasattr(array, "shape"):
            raise TypeError(f"a batch holds a {type(array).__name__}: the collator makes arrays")


def _check_columns(model: Module, columns: list[str]) -> None:
    unknown = [name for name in columns if name not in _accepted(model, columns)]
    if unknown:
        takes = f"{type(model).__name__}.forward{inspect.signature(model.forward)}"
        raise ValueError(
            f"the data has the columns {', '.join(unknown)}, which {takes} does not take: rename "
            'them (targets are "labels"), leave them out, or give a compute_loss'
        )


def _accepted(model: Module, names: Any) -> set[str]:
    """Those of the names that forward takes."""
    parameters = inspect.signature(model.forward).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return set(names)
    return set(names) & parameters.keys()
