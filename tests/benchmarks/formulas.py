"""The networks of the races, written once for libraries that have NumPy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np


class Functions(NamedTuple):
    """A library's `numpy`, what takes an array out of differentiation, and the error function."""

    xp: ModuleType
    constant: Callable[[Any], Any]
    erf: Callable[[Any], Any]


def mlp_loss(f: Functions, p: dict[str, Any], images: Any, labels: Any) -> Any:
    """Mean cross-entropy; p holds weight0, bias0, weight1, bias1. images (B, 64), labels (B,)."""
    hidden = f.xp.maximum(images @ p["weight0"] + p["bias0"], 0.0)
    return _cross_entropy(f, hidden @ p["weight1"] + p["bias1"], labels)


def gpt_loss(f: Functions, heads: int, p: dict[str, Any], ids: Any) -> Any:
    """Mean cross-entropy of each token after the first; p by the names of our model. ids (B, T)."""
    context = ids.shape[1]
    x = p["tokens.weight"][ids] + p["positions.weight"][:context]
    layer = 0
    while f"decoder.layers.{layer}.attention_sum.norm.weight" in p:
        name = f"decoder.layers.{layer}"
        h = norm(f, p, f"{name}.attention_sum.norm", x)
        x = x + _attention(f, heads, p, name, h, future(context))
        up = linear(p, f"{name}.feed_forward.up", norm(f, p, f"{name}.feed_forward_sum.norm", x))
        x = x + linear(p, f"{name}.feed_forward.down", gelu_tanh(f, up))
        layer += 1
    x = norm(f, p, "decoder.norm", x)[:, :-1]
    logits = x.reshape((-1, x.shape[-1])) @ p["tokens.weight"].T
    return _cross_entropy(f, logits, ids[:, 1:].reshape(-1))


def bert_loss(
    f: Functions, heads: int, p: dict[str, Any], ids: Any, places: Any, words: Any
) -> Any:
    """Mean cross-entropy of hidden words; p by the names of our model. ids (B, T); places (N,) of
    the hidden ones among all B·T, words (N,) that stood there."""
    table, norms = p["bert.embeddings.words.weight"], partial(norm, f, p, eps=1e-12)
    x = table[ids] + p["bert.embeddings.positions.weight"][: ids.shape[1]]
    x = norms("bert.embeddings.norm", x + p["bert.embeddings.segments.weight"][0])
    layer = 0
    while f"bert.encoder.layers.{layer}.attention_sum.norm.weight" in p:
        name = f"bert.encoder.layers.{layer}"
        x = norms(f"{name}.attention_sum.norm", x + _attention(f, heads, p, name, x))
        up = gelu(f, linear(p, f"{name}.feed_forward.up", x))
        down = linear(p, f"{name}.feed_forward.down", up)
        x = norms(f"{name}.feed_forward_sum.norm", x + down)
        layer += 1
    x = norms("predictions.norm", gelu(f, linear(p, "predictions.dense", _flat(x)[places])))
    return _cross_entropy(f, x @ table.T + p["predictions.bias"], words)


def future(context: int) -> np.ndarray:
    """What is added to scores (T, T) so that no token sees a later one."""
    return np.triu(np.full((context, context), -1e9, np.float32), 1)


def _attention(
    f: Functions, heads: int, p: dict[str, Any], name: str, x: Any, added: Any = None
) -> Any:
    q, k, v = heads_of(f, heads, p, name, x)
    return mixed(f, p, name, q, k, v, added)


def heads_of(f: Functions, heads: int, p: dict[str, Any], name: str, x: Any) -> Any:
    """Queries, keys and values, (3, B, H, T, K), of x (B, T, D)."""
    batch, context, width = x.shape
    parts = ("query", "key", "value")
    # One product for all three is faster than three.
    weight = f.xp.concatenate([p[f"{name}.attention.{part}.weight"] for part in parts], 1)
    bias = f.xp.concatenate([p[f"{name}.attention.{part}.bias"] for part in parts])
    qkv = (_flat(x) @ weight + bias).reshape((batch, context, 3, heads, width // heads))
    return f.xp.transpose(qkv, (2, 0, 3, 1, 4))


def mixed(
    f: Functions, p: dict[str, Any], name: str, q: Any, k: Any, v: Any, added: Any = None
) -> Any:
    """What an attention gives, (B, T, D); `added`: to its scores (B, H, T, S)."""
    batch, heads, context, share = q.shape
    scores = q @ f.xp.swapaxes(k, -1, -2) * (1.0 / math.sqrt(share))
    scores = scores if added is None else scores + added
    weights = f.xp.exp(scores - f.constant(f.xp.max(scores, -1, keepdims=True)))
    weights = weights / f.xp.sum(weights, -1, keepdims=True)
    y = f.xp.transpose(weights @ v, (0, 2, 1, 3)).reshape((batch, context, heads * share))
    return linear(p, f"{name}.attention.out", y)


def linear(p: dict[str, Any], name: str, x: Any) -> Any:
    """X W + b."""
    y = _flat(x) @ p[f"{name}.weight"] + p[f"{name}.bias"]
    return y.reshape((*x.shape[:-1], y.shape[-1]))


def _flat(x: Any) -> Any:
    return x.reshape((-1, x.shape[-1]))


def norm(f: Functions, p: dict[str, Any], name: str, x: Any, eps: float = 1e-5) -> Any:
    """Layer norm over the last axis."""
    # Sums, not means: autograd divides by an int64 in its `mean`, which makes float64 of float32.
    scale = 1.0 / x.shape[-1]
    x = x - f.xp.sum(x, -1, keepdims=True) * scale
    variance = f.xp.sum(x * x, -1, keepdims=True) * scale
    return x / f.xp.sqrt(variance + eps) * p[f"{name}.weight"] + p[f"{name}.bias"]


def gelu(f: Functions, x: Any) -> Any:
    """x·Φ(x), as BERT has it."""
    return 0.5 * x * (1.0 + f.erf(x * math.sqrt(0.5)))


def gelu_tanh(f: Functions, x: Any) -> Any:
    """By tanh, as GPT-2 has it; x·x·x, as NumPy's power is many times slower."""
    return 0.5 * x * (1.0 + f.xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def _cross_entropy(f: Functions, logits: Any, labels: Any) -> Any:
    """logits (N, V), labels (N,)."""
    logits = logits - f.constant(f.xp.max(logits, -1, keepdims=True))
    own = logits[np.arange(len(labels)), labels]
    return f.xp.sum(f.xp.log(f.xp.sum(f.xp.exp(logits), -1)) - own) / len(labels)
