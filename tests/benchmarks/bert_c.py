"""Benchmark c: one training step of a BERT with 4 layers of width 256 that foretells hidden words.

Every side takes the hidden words' rows out before its head.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks import libraries
from tests.benchmarks.gpt import BATCHES, RATE, Sizes, filled, weights
from tests.benchmarks.worker import Step

SIZES = Sizes(layers=4, heads=4, width=256, context=128, batch=16, vocabulary=8000)
TITLE = SIZES.title().replace("GPT", "BERT for masked words (15 %),")
STEPS = 2
FEWER_CHECKED = {"ours": 20, "torch": 20, "jax": 20, "autograd": 10}
"""Adam makes much of rounding, so that losses part later on; and autograd is slow."""

SHARE = 0.15
MASK = 0
"""The id that stands for a hidden word."""

IGNORED = -100
"""The label of a word that is not hidden."""


def start(sizes: Sizes = SIZES) -> dict[str, np.ndarray]:
    """Weights by the names of our model, batches of ids (N, B, T) and of labels (N, B, T).

    As many words are hidden in each batch, for programs that are compiled for one number of them.
    """
    rng = np.random.default_rng(0)
    arrays = weights(rng, lambda: _model(sizes))
    words = rng.integers(MASK + 1, sizes.vocabulary, (BATCHES, sizes.batch, sizes.context))
    flat = words.reshape(BATCHES, -1)
    order = rng.permuted(np.broadcast_to(np.arange(flat.shape[1]), flat.shape), axis=1)
    hidden = (order < round(SHARE * flat.shape[1])).reshape(words.shape)
    ids, labels = np.where(hidden, MASK, words), np.where(hidden, words, IGNORED)
    return arrays | {"ids": ids, "labels": labels}


def _model(sizes: Sizes) -> Any:
    from tinygrad_llm.models import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=sizes.vocabulary, hidden_size=sizes.width, num_hidden_layers=sizes.layers,
        num_attention_heads=sizes.heads, intermediate_size=4 * sizes.width,
        max_position_embeddings=sizes.context, pad_token_id=None,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    )  # fmt: skip
    return BertForMaskedLM(config)


def ours(sizes: Sizes, arrays: dict[str, np.ndarray]) -> Step:
    from tinygrad_llm import optim

    batches = list(zip(arrays.pop("ids"), arrays.pop("labels")))
    model = filled(lambda: _model(sizes), arrays)
    optimizer = optim.AdamW(model.parameters(), lr=RATE)

    def step(number: int) -> Any:
        ids, labels = batches[number % len(batches)]
        optimizer.zero_grad()
        loss = model(ids, labels=labels).loss
        loss.backward()
        optimizer.step()
        return loss

    return step


def with_places(arrays: dict[str, np.ndarray]) -> list[tuple[np.ndarray, ...]]:
    """Takes ids and labels out of `arrays`: batches of ids (B, T), the places of the hidden words
    among all B·T, and these words."""
    batches = zip(arrays.pop("ids"), arrays.pop("labels"))
    found = [(ids, np.flatnonzero(labels != IGNORED), labels) for ids, labels in batches]
    return [(ids, places, labels.ravel()[places]) for ids, places, labels in found]


SIDES: dict[str, Callable[[dict[str, np.ndarray]], Step]] = {
    "ours": partial(ours, SIZES),
    **libraries.sides("bert", SIZES.heads, others=("jax", "autograd")),
}
