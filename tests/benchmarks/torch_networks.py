"""The networks of the races in PyTorch, as its users write them, with our weights.

One product for queries, keys and values, and scaled dot-product attention, layer norm and GELU as
PyTorch has them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from tests.benchmarks.bert_c import IGNORED


class GPT(nn.Module):
    """Norms before the sublayers; arrays by the names of our model."""

    def __init__(self, heads: int, arrays: dict[str, Any]):
        super().__init__()
        self.tokens = nn.Parameter(arrays["tokens.weight"])
        self.positions = nn.Parameter(arrays["positions.weight"])
        self.blocks = _blocks(Block, heads, arrays, "decoder.layers")
        self.norm = _norm(_part(arrays, "decoder.norm"))

    def forward(self, ids: Any) -> Any:
        """The mean loss of the next tokens, for ids (B, T)."""
        x = F.embedding(ids, self.tokens) + self.positions
        for block in self.blocks:
            x = block(x)
        logits = self.norm(x)[:, :-1] @ self.tokens.T
        return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())

    def next_scores(self, ids: Any, caches: list[Any]) -> Any:
        """Scores (B, V) of what comes after ids (B, T), which come after what is in the caches."""
        seen = caches[0].length
        x = F.embedding(ids, self.tokens) + self.positions[seen : seen + ids.shape[1]]
        for block, cache in zip(self.blocks, caches):
            x = block(x, cache)
        return F.linear(self.norm(x[:, -1]), self.tokens)


class Bert(nn.Module):
    """Norms after the sums, and a head for hidden words; arrays by the names of our model."""

    eps = 1e-12

    def __init__(self, heads: int, arrays: dict[str, Any]):
        super().__init__()
        rows = _part(arrays, "bert.embeddings")
        names = ("words", "positions", "segments")
        self.words, self.positions, self.segments = (
            nn.Parameter(rows[f"{name}.weight"]) for name in names
        )
        self.norm = _norm(_part(rows, "norm"), self.eps)
        self.blocks = _blocks(EncoderBlock, heads, arrays, "bert.encoder.layers")
        self.dense = _linear(_part(arrays, "predictions.dense"))
        self.head_norm = _norm(_part(arrays, "predictions.norm"), self.eps)
        self.bias = nn.Parameter(arrays["predictions.bias"])

    def forward(self, ids: Any, labels: Any) -> Any:
        """The mean loss of the hidden words, for ids and labels (B, T)."""
        x = self.norm(F.embedding(ids, self.words) + self.positions + self.segments[0])
        for block in self.blocks:
            x = block(x)
        hidden = labels != IGNORED
        x = self.head_norm(F.gelu(self.dense(x[hidden])))
        return F.cross_entropy(F.linear(x, self.words, self.bias), labels[hidden])


class Block(nn.Module):
    """Attention and feed-forward, each behind a norm and added to what came in."""

    eps = 1e-5

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
        self.norm1 = _norm(_part(arrays, "attention_sum.norm"), self.eps)
        self.norm2 = _norm(_part(arrays, "feed_forward_sum.norm"), self.eps)

    @property
    def width(self) -> int:
        """Features of one head."""
        return self.out.in_features // self.heads

    def forward(self, x: Any, cache: Any = None) -> Any:
        """(B, T, D) in and out; cache: of what came before x."""
        x = x + self.attention(self.norm1(x), cache)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))

    def attention(self, x: Any, cache: Any = None, causal: bool = True) -> Any:
        batch, context, width = x.shape
        parts = self.qkv(x).split(width, dim=2)
        q, k, v = (p.view(batch, context, self.heads, -1).transpose(1, 2) for p in parts)
        if cache is not None:
            k, v = cache.extended(k, v)
        # A single token sees all that came before it.
        y = F.scaled_dot_product_attention(q, k, v, is_causal=causal and context > 1)
        return self.out(y.transpose(1, 2).reshape(batch, context, width))


class EncoderBlock(Block):
    """Every token sees all others, and the norm comes after the sum."""

    eps = Bert.eps

    def forward(self, x: Any) -> Any:
        """(B, T, D) in and out."""
        x = self.norm1(x + self.attention(x, causal=False))
        return self.norm2(x + self.down(F.gelu(self.up(x))))


class Preallocated:
    """Keys and values of one layer and one text, in room for all that will come."""

    def __init__(self, heads: int, length: int, width: int):
        self.length = 0
        self._room = torch.empty(2, 1, heads, length, width)

    def extended(self, k: Any, v: Any) -> tuple[Any, Any]:
        """All keys and values so far, these (1, H, T, K) at their end."""
        start, self.length = self.length, self.length + k.shape[2]
        self._room[0, :, :, start : self.length] = k
        self._room[1, :, :, start : self.length] = v
        return self._room[0, :, :, : self.length], self._room[1, :, :, : self.length]


class Concatenated:
    """The same, in new arrays for each token."""

    def __init__(self, heads: int, length: int, width: int):
        self._keys, self._values = torch.empty(2, 1, heads, 0, width)

    @property
    def length(self) -> int:
        return self._keys.shape[2]

    def extended(self, k: Any, v: Any) -> tuple[Any, Any]:
        """All keys and values so far, these (1, H, T, K) at their end."""
        self._keys = torch.cat([self._keys, k], 2)
        self._values = torch.cat([self._values, v], 2)
        return self._keys, self._values


def _blocks(kind: type[Block], heads: int, arrays: dict[str, Any], name: str) -> nn.ModuleList:
    """One for each layer that there are arrays of."""
    layers = {key[len(name) + 1 :].split(".")[0] for key in arrays if key.startswith(f"{name}.")}
    return nn.ModuleList(kind(heads, _part(arrays, f"{name}.{i}")) for i in range(len(layers)))


def _part(arrays: dict[str, Any], name: str) -> dict[str, Any]:
    """What belongs to one part of the model, by its names there."""
    return {key[len(name) + 1 :]: x for key, x in arrays.items() if key.startswith(f"{name}.")}


def _linear(arrays: dict[str, Any]) -> nn.Linear:
    layer = nn.Linear(*arrays["weight"].shape)
    layer.weight.data, layer.bias.data = arrays["weight"].T.contiguous(), arrays["bias"]
    return layer


def _norm(arrays: dict[str, Any], eps: float = 1e-5) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(arrays["weight"]), eps)
    layer.weight.data, layer.bias.data = arrays["weight"], arrays["bias"]
    return layer
