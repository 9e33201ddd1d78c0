"""Training a head without its body: what the frozen body gives for each row is computed once."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_llm import data, nn
from tinygrad_llm.finetune.freezing import body_of
from tinygrad_llm.models import BertForSequenceClassification
from tinygrad_llm.models.outputs import ClassifierOutput
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.training.batches import check_batch, onto


def features(
    model: nn.Module,
    dataset: Any,
    collate_fn: Callable[[list], Any] | None,
    batch_size: int = 64,
    quiet: bool = False,
) -> np.ndarray:
    """What the model's classifier reads of each row, its pooler's output or the mean of the states:
    (N, D) in the model's dtype, in the dataset's order.

    In evaluation mode and without a tape, so that a row's feature is the same each time; rows of
    like length together, the longest first, so that padding is little and a lack of memory shows at
    once. Labels are left out. A bar of rows shows on a terminal, unless quiet.
    dataset: rows are dicts with "input_ids". collate_fn: as of a `data.DataLoader`.

    Raises ValueError for a model without a body, or without a pooler and a classifier of texts, for
    an empty dataset, and for columns that the model does not take; TypeError for rows that have no
    "input_ids".
    """
    body = _body(model)
    order = np.argsort([-_length(dataset[i]) for i in range(len(dataset))], kind="stable")
    loader = data.DataLoader(data.Subset(dataset, order), batch_size, collate_fn=collate_fn)
    check_batch(model, next(iter(loader)))
    found: list[np.ndarray] = []
    with nn.evaluating(body), _bar(len(dataset), quiet) as bar:
        for batch in loader:
            found.append(_read(model, batch))
            bar.update(len(found[-1]))
    return np.concatenate(found)[np.argsort(order)]


class Features:
    """A dataset of features and labels; the features are computed when the first row is asked for,
    once. So nobody looks at the rows to judge by before the end.

    Row i is {"features": (D,), "labels": labels[i]}. make: gives the features (N, D). labels: (N,).
    """

    def __init__(self, make: Callable[[], np.ndarray], labels: np.ndarray):
        self._make, self.labels = make, labels
        self.seconds = 0.0
        """How long that took; 0 before it."""

    @cached_property
    def rows(self) -> data.ArrayDataset:
        """All of them. Raises as `features`."""
        begun = time.perf_counter()
        found = data.ArrayDataset(features=self._make(), labels=self.labels)
        self.seconds = time.perf_counter() - begun
        return found

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        """Row `index`. Raises IndexError beyond the end."""
        return self.rows[index]

    def take(self, indices: np.ndarray) -> Any:
        """Rows as a batch: {"features": (B, D), "labels": (B,)}."""
        return self.rows.take(indices)


class Head(nn.Module):
    """The dropout and the classifier of a model, its very own, on features of `features`.

    It trains as any model, on `data.ArrayDataset(features=…, labels=…)`, and the model that it was
    taken from has the trained head then, whatever its frozen body costs. That is `head_only` with
    one difference: the body's own dropout is off, for its output is computed once.
    Raises TypeError for another model than a BertForSequenceClassification.
    """

    def __init__(self, model: BertForSequenceClassification):
        if not isinstance(model, BertForSequenceClassification):
            raise TypeError(
                f"Head: takes a BertForSequenceClassification, not a {type(model).__name__}: "
                "train another model with head_only(model)"
            )
        self.dropout, self.classifier = model.dropout, model.classifier
        self._loss = model.loss_of  # a method, which is no part: the body is none of this module's

    def forward(self, features: Any, labels: Any = None) -> ClassifierOutput:
        """features (B, D) -> `.logits` (B, num_labels), and with labels the loss, as of the model
        (classes, numbers, or several labels at once)."""
        logits = self.classifier(self.dropout(Tensor(features)))
        return ClassifierOutput(logits, None if labels is None else self._loss(logits, labels))


def _body(model: nn.Module) -> nn.Module:
    """The body of a model, with a pooler where one is needed."""
    body = body_of(model)
    summed = isinstance(model, BertForSequenceClassification)
    if not summed and getattr(body, "pooler", None) is None:
        raise ValueError(
            f"features: the body of a {type(model).__name__} has no pooler: give a model such as "
            "BertForSequenceClassification"
        )
    return body


def _length(row: Any) -> int:
    """How many tokens a row has."""
    if not isinstance(row, dict) or "input_ids" not in row:
        raise TypeError('features: a row is a dict that has "input_ids": encode the texts first')
    return len(row["input_ids"])


def _read(model: Any, batch: dict[str, Any]) -> np.ndarray:
    """What a head reads (B, D) of one batch, on the host."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    body = body_of(model)
    answer = body(**onto(inputs, next(body.parameters()).device))  # type: ignore[arg-type]
    if isinstance(model, BertForSequenceClassification):
        return model.summary_of(answer, batch.get("attention_mask")).numpy()
    return answer.pooler_output.numpy()


def _bar(rows: int, quiet: bool) -> Any:
    from tqdm import tqdm

    disable = True if quiet else None
    return tqdm(total=rows, disable=disable, unit="row", delay=1.0, dynamic_ncols=True)
