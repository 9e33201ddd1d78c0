"""What the tests of training share: small data, small models, a quiet Trainer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import data, manual_seed, models
from tinygrad_llm.training import Trainer, TrainingArguments


def blobs(rows: int = 90, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (rows, 4) float32 around three centres, and which one."""
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    centres = np.array([[2, 0, 0, 1], [0, 2, 0, -1], [0, 0, 2, 0]], dtype=np.float32)
    return (centres[labels] + rng.normal(0, 0.7, (rows, 4))).astype(np.float32), labels


def network(seed: int = 0, dropout: float = 0.0) -> models.MLP:
    manual_seed(seed)
    return models.MLP([4, 8, 3], dropout=dropout)


def arguments(**changes: Any) -> TrainingArguments:
    usual = {"per_device_train_batch_size": 10, "learning_rate": 0.01, "quiet": True}
    return TrainingArguments(**{**usual, **changes})


def trainer(model: Any = None, train: Any = None, held: Any = None, **changes: Any) -> Trainer:
    """On blobs, unless told otherwise; names of the Trainer's own go to it, others to the
    arguments."""
    own = {k: changes.pop(k) for k in list(changes) if k in OWN}
    if "optimizer" in own:
        changes = {"learning_rate": 5e-5, **changes}  # the usual one: it is the optimizer's to say
    train = blobs() if train is None else train
    held = blobs(60, seed=1) if held is None else held
    return Trainer(model or network(), arguments(**changes), train, held or None, **own)


OWN = {
    "batch_metrics",
    "callbacks",
    "compute_loss",
    "compute_metrics",
    "data_collator",
    "length",
    "optimizer",
    "test_dataset",
    "transform",
}


def weights(model: Any) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in model.state_dict().items()}


def same(a: Any, b: Any) -> bool:
    """Whether two models, or dicts of arrays, have the same bits."""
    a, b = (each if isinstance(each, dict) else weights(each) for each in (a, b))
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a)


def dataset(rows: int = 90) -> data.ArrayDataset:
    x, labels = blobs(rows)
    return data.ArrayDataset(x=x, labels=labels)
