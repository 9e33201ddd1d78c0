"""What tests of planted failures share: a batch, its loss, and the norms of its gradients."""

from __future__ import annotations

import numpy as np

from tinygrad_llm import data, diagnostics, manual_seed
from tinygrad_llm import functional as F


def digits() -> tuple[np.ndarray, np.ndarray]:
    """64 digits and their labels, after `manual_seed(0)`."""
    manual_seed(0)
    images, labels = data.load_digits()
    return images[:64].copy(), labels[:64].copy()


def loss_on(batch):
    """The cross-entropy of a model on a batch, as a function of the model."""
    x, y = batch
    return lambda model: F.cross_entropy(model(x), y)


def norms_of(model, batch) -> dict[str, float]:
    """The norms of its gradients after a backward pass on the batch."""
    loss_on(batch)(model).backward()
    return diagnostics.gradient_norms(model)
