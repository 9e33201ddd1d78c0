"""The Evaluator: a model over whole datasets, and the test set, which is read once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm import data, nn
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.training import folder as folders
from tinygrad_llm.training.arguments import TrainingArguments
from tinygrad_llm.training.batches import Batch, ComputeLoss, Result, forward
from tinygrad_llm.training.evaluation import (
    BatchMetrics,
    ComputeMetrics,
    Metrics,
    Predictions,
    evaluate,
)
from tinygrad_llm.training.logs import RunLog
from tinygrad_llm.training.state import TrainerState


class Evaluator:
    """What a `Trainer` can do without learning."""

    def __init__(
        self,
        model: nn.Module,
        args: TrainingArguments,
        eval_dataset: Any,
        test_dataset: Any,
        data_collator: Any,
        compute_loss: ComputeLoss,
        compute_metrics: ComputeMetrics | None,
        batch_metrics: BatchMetrics | None = None,
    ):
        self.model, self.args = model, args
        self.eval_dataset = as_dataset(eval_dataset)
        self.test_dataset = as_dataset(test_dataset)
        self.data_collator, self.compute_loss = data_collator, compute_loss
        self.compute_metrics, self.batch_metrics = compute_metrics, batch_metrics
        self.folder = Path(args.output_dir).absolute() if args.output_dir else None
        self.state = TrainerState()
        self.log = RunLog(self.folder)

    @property
    def history(self) -> list[dict[str, Any]]:
        """The rows of the log."""
        return self.log.history

    def evaluate(self, dataset: Any = None) -> Metrics:
        """{"eval_loss", "eval_accuracy", …} of the model as it is; no gradient, no dropout."""
        found = self.predict(self.eval_dataset if dataset is None else dataset, keep=False)
        return {f"eval_{name}": value for name, value in found.metrics.items()}

    def predict(self, dataset: Any, keep: bool = True) -> Predictions:
        """Outputs for every row, in order, with the metrics; labels may be missing."""
        dataset = as_dataset(dataset)
        if dataset is None:
            raise ValueError("Trainer: there is no dataset to evaluate on: give one")
        if same_data(dataset, self.test_dataset):
            raise RuntimeError("Trainer: this is the test set, which test() reads, once")
        return self._predict(dataset, keep)

    def _predict(self, dataset: Any, keep: bool) -> Predictions:
        loader = self._loader(dataset)
        how = self.compute_metrics, keep, self.batch_metrics
        return evaluate(self.model, loader, self._forward, *how)

    def _forward(self, batch: Batch) -> Result:
        return forward(self.model, self.compute_loss, batch, self.args.fp16)

    def test(self) -> Metrics:
        """The metrics of the test set, which is read once: choose before, by the validation set.

        The log says when. Raises RuntimeError the second time, in a later process too.
        """
        if self.test_dataset is None:
            raise ValueError("Trainer: there is no test_dataset")
        seen = folders.test_record(self.folder) or next(
            (row for row in self.history if row["kind"] == "test"), None
        )
        if seen:
            raise RuntimeError(
                f"the test set was read at {seen['time']}, after step {seen['step']}: "
                f"{_told(seen)}; a second look makes it a validation set: choose by eval_dataset"
            )
        times = 1 + folders.times_read(self.folder)
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        row = {"step": self.state.step, "time": now, "times_read": times}
        if times > 1:
            self._say(f"the test set is read for the {times}th time in {self.folder}: not unseen")
        folders.keep_test_record(self.folder, row)  # before: whatever happens then, it was read
        found = self._predict(self.test_dataset, keep=False).metrics
        metrics = {f"test_{name}": value for name, value in found.items()}
        folders.keep_test_record(self.folder, {**row, **metrics})
        self.log.add("test", {**row, **metrics})
        return metrics

    def _loader(self, dataset: Any) -> data.DataLoader:
        """In order, without chance."""
        return data.DataLoader(
            dataset, self.args.per_device_eval_batch_size, collate_fn=self.data_collator
        )

    def _say(self, text: str) -> None:
        if not self.args.quiet:
            print(text)


def _told(seen: dict[str, Any]) -> str:
    """What the test said then."""
    found = [f"{k} {v:.4g}" for k, v in seen.items() if k.startswith("test_")]
    return ", ".join(found) or "it did not come to an end"


def as_dataset(given: Any) -> Any:
    """Arrays as a dataset; a dataset as it is."""
    if isinstance(given, tuple) and all(isinstance(each, np.ndarray) for each in given):
        return data.ArrayDataset(*given)
    if isinstance(given, (tuple, np.ndarray, Tensor)):
        raise TypeError(
            "Trainer: a dataset is a tuple of NumPy arrays, (x, labels), or has len() and [i], as "
            f"data.ArrayDataset; not a {type(given).__name__}"
        )
    return given


def same_data(a: Any, b: Any) -> bool:
    """Whether two datasets have a row in common, as far as objects tell: of one source, with an
    index in common."""
    if a is None or b is None:
        return False
    (source, rows), (other, others) = _source(a), _source(b)
    return _is_one(source, other) and bool(np.isin(rows, others).any())


def _source(dataset: Any) -> tuple[Any, np.ndarray]:
    """What the rows come from, and their places in it, through all Subsets."""
    rows = np.arange(len(dataset))
    while isinstance(dataset, data.Subset):
        dataset, rows = dataset.dataset, np.asarray(dataset.indices)[rows]
    return dataset, rows


def _is_one(a: Any, b: Any) -> bool:
    """One object, or the very same arrays."""
    if not (isinstance(a, data.ArrayDataset) and isinstance(b, data.ArrayDataset)):
        return a is b
    return {id(each) for each in a.arrays} == {id(each) for each in b.arrays}
