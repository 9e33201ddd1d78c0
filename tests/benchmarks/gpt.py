"""One training step of a small GPT: embeddings, blocks with the norm before, tied head, AdamW.

PyTorch's side is written as its users write it: one product for queries, keys and values, scaled
dot-product attention, layer norm, GELU by tanh, and the fused AdamW or the foreach one.
"""

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
    arrays = {
        name: _first(rng, name, parameter.shape)
        for name, parameter in _model(sizes).named_parameters()
    }
    shape = (BATCHES, sizes.batch, sizes.context)
    return arrays | {"ids": rng.integers(0, sizes.vocabulary, shape)}


def _first(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> np.ndarray:
    if len(shape) == 2:
        return rng.standard_normal(shape, dtype=np.float32) * np.float32(0.02)
    return np.full(shape, name.endswith("weight"), np.float32)


def _model(sizes: Sizes) -> Any:
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
    model = _model(sizes)
    model.load_state_dict(arrays)
    optimizer = optim.AdamW(model.parameters(), lr=RATE)

    def step(number: int) -> Any:
        batch = ids[number % len(ids)]
        optimizer.zero_grad()
        loss = model(batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        return loss

    return step


def theirs(sizes: Sizes, arrays: dict[str, np.ndarray], **adam: bool) -> Step:
    """PyTorch's step; `adam` chooses among its implementations of the optimizer."""
    import torch

    ids = torch.from_numpy(arrays.pop("ids"))
    model = _torch_model(sizes, {name: torch.from_numpy(a) for name, a in arrays.items()})
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, **adam)

    def step(number: int) -> Any:
        batch = ids[number % len(ids)]
        optimizer.zero_grad(set_to_none=True)
        loss = model(batch)
        loss.backward()
        optimizer.step()
        return loss

    return step


def _torch_model(sizes: Sizes, arrays: dict[str, Any]) -> Any:
    """The same network in PyTorch, with our weights."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    width, heads = sizes.width, sizes.heads

    def linear(weight: Any, bias: Any) -> nn.Linear:
        layer = nn.Linear(*weight.shape)
        layer.weight.data, layer.bias.data = weight.T.contiguous(), bias
        return layer

    def norm(name: str) -> nn.LayerNorm:
        layer = nn.LayerNorm(width)
        layer.weight.data, layer.bias.data = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        return layer

    class Block(nn.Module):
        def __init__(self, name: str):
            super().__init__()

            def own(part: str, kind: str) -> Any:
                return arrays[f"{name}.{part}.{kind}"]

            three = [f"attention.{part}" for part in ("query", "key", "value")]
            self.qkv = linear(
                torch.cat([own(part, "weight") for part in three], 1),
                torch.cat([own(part, "bias") for part in three]),
            )
            self.out = linear(own("attention.out", "weight"), own("attention.out", "bias"))
            self.up = linear(own("feed_forward.up", "weight"), own("feed_forward.up", "bias"))
            self.down = linear(own("feed_forward.down", "weight"), own("feed_forward.down", "bias"))
            self.norm1 = norm(f"{name}.attention_sum.norm")
            self.norm2 = norm(f"{name}.feed_forward_sum.norm")

        def forward(self, x: Any) -> Any:
            batch, context, _ = x.shape
            parts = self.qkv(self.norm1(x)).split(width, dim=2)
            q, k, v = (p.view(batch, context, heads, -1).transpose(1, 2) for p in parts)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(batch, context, width))
            return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Parameter(arrays["tokens.weight"])
            self.positions = nn.Parameter(arrays["positions.weight"])
            self.blocks = nn.ModuleList(Block(f"decoder.layers.{i}") for i in range(sizes.layers))
            self.norm = norm("decoder.norm")

        def forward(self, ids: Any) -> Any:
            x = F.embedding(ids, self.tokens) + self.positions
            for block in self.blocks:
                x = block(x)
            logits = self.norm(x)[:, :-1] @ self.tokens.T
            return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    return GPT()


def sides(sizes: Sizes) -> dict[str, Callable[[dict[str, np.ndarray]], Step]]:
    """Ours, PyTorch's with either optimizer, and those of the other libraries."""
    return {
        "ours": partial(ours, sizes),
        "torch foreach": partial(theirs, sizes, foreach=True),
        "torch fused": partial(theirs, sizes, fused=True),
        **libraries.sides("gpt", sizes.heads),
    }
