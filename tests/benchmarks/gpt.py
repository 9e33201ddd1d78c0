"""One training step of a small GPT: embeddings, blocks with the norm before, tied head, AdamW."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tests.benchmarks import libraries
from tests.benchmarks.worker import Step

BATCHES = 8
RATE = 1e-3


class Sizes(NamedTuple):
    """Layers, heads H, width D, context T, batch B, vocabulary V."""

    layers: int
    heads: int
    width: int
    context: int
    batch: int
    vocabulary: int

    def title(self) -> str:
        return (
            f"one training step, GPT {self.layers} layers, {self.heads} heads, D {self.width}, "
            f"T {self.context}, batch {self.batch}, V {self.vocabulary:,}, AdamW, float32"
        )


def start(sizes: Sizes) -> dict[str, np.ndarray]:
    """Weights by the names of our model, and batches of ids (N, B, T + 1)."""
    rng = np.random.default_rng(0)
    arrays = weights(rng, lambda: network(sizes))
    shape = (BATCHES, sizes.batch, sizes.context)
    return arrays | {"ids": rng.integers(0, sizes.vocabulary, shape)}


def weights(rng: np.random.Generator, make: Callable[[], Any]) -> dict[str, np.ndarray]:
    """First weights of the model that `make` makes: matrices normal with deviation 0.02, the
    factors of norms 1, biases 0."""
    from tinygrad_llm import nn

    with nn.no_storage():
        shapes = {name: parameter.shape for name, parameter in make().named_parameters()}
    return {name: _first(rng, name, shape) for name, shape in shapes.items()}


def _first(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 2:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
    return np.full(shape, name.endswith("weight"), np.float32)


def filled(make: Callable[[], Any], arrays: dict[str, np.ndarray]) -> Any:
    """The model that `make` makes, whose parameters are these arrays themselves: they are taken out
    of `arrays`, not copied."""
    from tinygrad_llm import nn

    with nn.no_storage():
        model = make()
    for name, parameter in model.named_parameters():
        parameter.data = arrays.pop(name)
    return model


def network(sizes: Sizes) -> Any:
    """Our model of these sizes, without dropout."""
    from tinygrad_llm.models import GPT2Config, GPT2LMHeadModel

    dropout = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    config = GPT2Config(
        vocab_size=sizes.vocabulary, n_positions=sizes.context, n_embd=sizes.width,
        n_layer=sizes.layers, n_head=sizes.heads, **dropout,
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def ours(sizes: Sizes, arrays: dict[str, np.ndarray]) -> Step:
    from tinygrad_llm import optim

    ids = arrays.pop("ids")
    model = filled(lambda: network(sizes), arrays)
    optimizer = optim.AdamW(model.parameters(), lr=RATE)

    def step(number: int) -> Any:
        batch = ids[number % len(ids)]
        optimizer.zero_grad()
        loss = model(batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        return loss

    return step


def sides(sizes: Sizes) -> dict[str, Callable[[dict[str, np.ndarray]], Step]]:
    """Ours, and those of the other libraries."""
    return {"ours": partial(ours, sizes), **libraries.sides("gpt", sizes.heads)}
