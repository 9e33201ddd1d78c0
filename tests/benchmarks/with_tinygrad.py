"""The races' steps in tinygrad: forward, backward and its own Adam in one TinyJit program."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from tinygrad import Context, Tensor, TinyJit
from tinygrad.nn import optim

from tests.benchmarks.worker import Step


def mlp(arrays: dict[str, np.ndarray]) -> Step:
    """The MLP, with Adam."""
    images, labels = arrays.pop("images"), arrays.pop("labels").astype(np.int32)
    return _step(_mlp_loss, arrays, list(zip(images, labels)), optim.Adam)


def gpt(heads: int, arrays: dict[str, np.ndarray]) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in arrays.pop("ids").astype(np.int32)]
    return _step(
        partial(_gpt_loss, heads), arrays, batches, partial(optim.AdamW, weight_decay=0.01)
    )


def _step(
    loss: Callable[..., Any], arrays: dict[str, np.ndarray], batches: list[Any], kind: Callable
) -> Step:
    p = {name: _tensor(value).is_param_() for name, value in arrays.items()}
    optimizer = kind(list(p.values()), lr=1e-3)
    tensors = [tuple(map(_tensor, batch)) for batch in batches]

    @TinyJit
    def train(*batch: Tensor) -> Tensor:
        with Context(TRAINING=1):
            optimizer.zero_grad()
            value = loss(p, *batch).backward()
            return value.realize(*optimizer.schedule_step())

    return lambda number: _Loss(train(*tensors[number % len(tensors)]))


class _Loss:
    """Waits for tinygrad when the loss is read, not before."""

    def __init__(self, tensor: Tensor):
        self._tensor = tensor

    def __float__(self) -> float:
        return float(self._tensor.item())


def _tensor(array: np.ndarray) -> Tensor:
    return Tensor(array).contiguous().realize()


def _mlp_loss(p: dict[str, Tensor], images: Tensor, labels: Tensor) -> Tensor:
    hidden = (images @ p["weight0"] + p["bias0"]).relu()
    return (hidden @ p["weight1"] + p["bias1"]).sparse_categorical_crossentropy(labels)


def _gpt_loss(heads: int, p: dict[str, Tensor], ids: Tensor) -> Tensor:
    x = p["tokens.weight"][ids] + p["positions.weight"]
    layer = 0
    while f"decoder.layers.{layer}.attention_sum.norm.weight" in p:
        name = f"decoder.layers.{layer}"
        x = x + _attention(heads, p, name, _norm(p, f"{name}.attention_sum.norm", x))
        up = _linear(p, f"{name}.feed_forward.up", _norm(p, f"{name}.feed_forward_sum.norm", x))
        x = x + _linear(p, f"{name}.feed_forward.down", up.gelu())
        layer += 1
    logits = _norm(p, "decoder.norm", x)[:, :-1] @ p["tokens.weight"].T
    return logits.flatten(0, 1).sparse_categorical_crossentropy(ids[:, 1:].flatten())


def _attention(heads: int, p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    batch, context, width = x.shape
    q, k, v = (
        _linear(p, f"{name}.attention.{part}", x)
        .reshape(batch, context, heads, width // heads)
        .transpose(1, 2)
        for part in ("query", "key", "value")
    )
    y = q.scaled_dot_product_attention(k, v, is_causal=True)
    return _linear(p, f"{name}.attention.out", y.transpose(1, 2).reshape(batch, context, width))


def _linear(p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def _norm(p: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x.layernorm(eps=1e-5) * p[f"{name}.weight"] + p[f"{name}.bias"]
