"""The races' steps in PyTorch, written as its users write them.

One product for queries, keys and values, scaled dot-product attention, layer norm, GELU by tanh;
`adam` chooses among its implementations of the optimizer, such as foreach=True or fused=True.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.mlp import WIDTHS, parameters
from tests.benchmarks.worker import Step

RATE = 1e-3


def mlp(arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """The MLP, with Adam."""
    fan_in, width, classes = WIDTHS
    model = nn.Sequential(nn.Linear(fan_in, width), nn.ReLU(), nn.Linear(width, classes))
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), parameters(arrays), strict=True):
            parameter.copy_(torch.from_numpy(array.T))
    images, labels = map(torch.from_numpy, (arrays["images"], arrays["labels"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, **adam)
    return _step(lambda x, y: F.cross_entropy(model(x), y), list(zip(images, labels)), optimizer)


def gpt(heads: int, arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """The GPT, with AdamW."""
    batches = [(ids,) for ids in torch.from_numpy(arrays.pop("ids"))]
    model = GPT(heads, {name: torch.from_numpy(array) for name, array in arrays.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, **adam)
    return _step(model, batches, optimizer)


def _step(loss_of: Callable, batches: list[tuple], optimizer: torch.optim.Optimizer) -> Step:
    def step(number: int) -> Any:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*batches[number % len(batches)])
        loss.backward()
        optimizer.step()
        return loss

    return step


class GPT(nn.Module):
    """Our network with our weights, by the names of our model."""

    def __init__(self, heads: int, arrays: dict[str, Any]):
        super().__init__()
        self.tokens = nn.Parameter(arrays["tokens.weight"])
        self.positions = nn.Parameter(arrays["positions.weight"])
        layers = len({name.split(".")[2] for name in arrays if ".layers." in name})
        names = [f"decoder.layers.{i}" for i in range(layers)]
        self.blocks = nn.ModuleList(Block(heads, _part(arrays, name)) for name in names)
        self.norm = _norm(_part(arrays, "decoder.norm"))

    def forward(self, ids: Any) -> Any:
        """The mean loss of the next tokens, for ids (B, T)."""
        x = F.embedding(ids, self.tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x)[:, :-1] @ self.tokens.T
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to what came in."""

    def __init__(self, heads: int, arrays: dict[str, Any]):
        super().__init__()
        self.heads = heads
        three = [_part(arrays, f"attention.{part}") for part in ("query", "key", "value")]
        self.qkv = _linear(
            {kind: torch.cat([part[kind] for part in three], -1) for kind in ("weight", "bias")}
        )
        self.out = _linear(_part(arrays, "attention.out"))
        self.up = _linear(_part(arrays, "feed_forward.up"))
        self.down = _linear(_part(arrays, "feed_forward.down"))
        self.norm1 = _norm(_part(arrays, "attention_sum.norm"))
        self.norm2 = _norm(_part(arrays, "feed_forward_sum.norm"))

    def forward(self, x: Any) -> Any:
        """(B, T, D) in and out."""
        batch, context, width = x.shape
        parts = self.qkv(self.norm1(x)).split(width, dim=2)
        q, k, v = (p.view(batch, context, self.heads, -1).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch, context, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


def _part(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    """What belongs to one part of the model, by its names there."""
    return {key[len(name) + 1 :]: x for key, x in arrays.items() if key.startswith(f"{name}.")}


def _linear(arrays: dict[str, Any]) -> nn.Linear:
    layer = nn.Linear(*arrays["weight"].shape)
    layer.weight.data, layer.bias.data = arrays["weight"].T.contiguous(), arrays["bias"]
    return layer


def _norm(arrays: dict[str, Any]) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(arrays["weight"]))
    layer.weight.data, layer.bias.data = arrays["weight"], arrays["bias"]
    return layer
