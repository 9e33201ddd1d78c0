"""Benchmark d: one training step of an MLP 64–128–10 (ReLU) on the digits, batch 64, Adam."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from tests.benchmarks import libraries
from tests.benchmarks.worker import Step

TITLE = "one training step, MLP 64–128–10, digits, batch 64, Adam, float32"
STEPS = 200
WIDTHS = [64, 128, 10]
BATCH = 64


def start() -> dict[str, np.ndarray]:
    """Weights (in, out), biases, and an epoch of batches (N, 64, 64) with labels (N, 64)."""
    from tinygrad_llm.data import load_digits

    rng = np.random.default_rng(0)
    images, labels = load_digits()
    order = rng.permutation(len(labels))[: len(labels) // BATCH * BATCH].reshape(-1, BATCH)
    arrays = {"images": images[order], "labels": labels[order]}
    for layer, (fan_in, fan_out) in enumerate(pairwise(WIDTHS)):
        weight = rng.standard_normal((fan_in, fan_out), dtype=np.float32)
        arrays[f"weight{layer}"] = weight * np.float32((2 / fan_in) ** 0.5)
        arrays[f"bias{layer}"] = np.zeros(fan_out, np.float32)
    return arrays


def ours(arrays: dict[str, np.ndarray]) -> Step:
    from tinygrad_llm import Tensor, models, optim
    from tinygrad_llm import functional as F

    model = models.MLP(WIDTHS)
    model.load_state_dict(dict(zip(model.state_dict(), parameters(arrays), strict=True)))
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    batches = [(Tensor(x), Tensor(y)) for x, y in zip(arrays["images"], arrays["labels"])]

    def step(number: int) -> Tensor:
        images, labels = batches[number % len(batches)]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def parameters(arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Weights and biases, layer by layer."""
    return [arrays[f"{kind}{layer}"] for layer in range(2) for kind in ("weight", "bias")]


SIDES: dict[str, Callable[[dict[str, np.ndarray]], Step]] = {
    "ours": ours,
    **libraries.sides("mlp", torch=("", "foreach", "fused")),
}
"""First word: whose it is. PyTorch's Adam has three forms; the first is what it takes by itself."""
