"""Scaled dot-product attention."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_llm.backend import random
from tinygrad_llm.functional.arguments import (
    floating,
    integer,
    number,
    operands,
    probability,
    tensor_like,
    watched,
)
from tinygrad_llm.ops.attention import ScaledDotProductAttention
from tinygrad_llm.tensor import Tensor, apply

_NAME = "scaled_dot_product_attention"


def scaled_dot_product_attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    *,
    is_causal: bool = False,
    dropout_p: float = 0.0,
    scale: float | None = None,
    return_weights: bool = False,
    training: bool = True,
    offset: int = 0,
    stream: str = "dropout",
) -> Any:
    """softmax(q kᵀ·scale) v: q (..., H, T, K), k (..., G, S, K), v (..., G, S, E) -> (..., H, T, E)
    (F28, G05, G06; Vaswani et al. 2017).

    G divides H: several heads of queries may share the keys and values of one. Where there is one
    head, its axis may be missing.
    mask: True where a key may be seen, or numbers to add to the scores (−∞: not to be seen); it
        broadcasts to (..., H, T, S) and gets no gradient. A query that may see nothing gives 0.
    is_causal: no query sees a key beyond its own position, which is offset + i for query i, and j
        for key j. With a key–value cache `offset` is the number of keys before the first query.
        A mask may be given too: a key then has to pass both.
    dropout_p: of the weights, in training alone, drawn as in `dropout` from the named stream.
    scale: of the scores, 1/√K when None.
    return_weights: answer with (output, weights), the weights (..., H, T, S) before dropout.
    PyTorch's argument `attn_mask` is `mask` here, and its `enable_gqa` is not needed. What follows
    the mask is given by name.
    Raises ValueError for shapes that do not fit, for a mask that requires a gradient, and for a
    dropout_p outside [0, 1]; TypeError for different floating dtypes and for what is no number.
    """
    q, k = operands(_NAME, *_tensors(q, k))
    q, v = operands(_NAME, *_tensors(q, v))
    _check_shapes(q, k, v)
    mask = None if mask is None else _mask(q, k, mask)
    p = probability(f"{_NAME}: dropout_p", dropout_p)
    draw = random.stream(stream).next() if training and p else None
    return apply(
        ScaledDotProductAttention,
        *(q, k, v, mask),
        causal=bool(is_causal),
        offset=max(integer(f"{_NAME}: offset", offset), -q.shape[-2]),  # less, and none sees a key
        scale=_scale(q, scale),
        p=p,
        draw=draw,
        return_weights=bool(return_weights),
    )


def _scale(q: Tensor, scale: Any) -> float:
    given = 1.0 / math.sqrt(max(q.shape[-1], 1)) if scale is None else scale
    return number(f"{_NAME}: scale", given)


def _tensors(q: Any, other: Any) -> tuple[Tensor, Tensor]:
    q = floating(q)
    return q, other if isinstance(other, Tensor) else tensor_like(q, other)


def _check_shapes(q: Tensor, k: Tensor, v: Tensor) -> None:
    """Refuse what does not fit, and scores without keys, of which there is no maximum."""
    given = f"{_NAME}: q {q.shape}, k {k.shape}, v {v.shape}"
    if not 2 <= q.ndim == k.ndim == v.ndim:
        raise ValueError(f"{given}: expected (..., H, T, K), (..., G, S, K), (..., G, S, E)")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(f"{given}: the widths of q and k, {q.shape[-1]} and {k.shape[-1]}, differ")
    if k.shape[:-1] != v.shape[:-1] or q.shape[:-3] != k.shape[:-3]:
        raise ValueError(f"{given}: k and v differ, or their leading axes from q's")
    if not k.shape[-2]:
        raise ValueError(f"{given}: there is no key to see")
    if q.ndim > 2 and not k.shape[-3]:
        raise ValueError(f"{given}: there are no heads of keys")
    if q.ndim > 2 and q.shape[-3] % k.shape[-3]:
        raise ValueError(f"{given}: {k.shape[-3]} heads of keys do not divide {q.shape[-3]} heads")


def _mask(q: Tensor, k: Tensor, mask: Any) -> Tensor:
    """Booleans, or floats of the dtype of q, that broadcast to the scores."""
    mask = watched(mask, q)
    if mask.requires_grad:
        raise ValueError(f"{_NAME}: the mask gets no gradient: give mask.detach()")
    if mask.dtype.kind in "iu":
        raise TypeError(
            f"{_NAME}: a mask of {mask.dtype} is neither True/False nor added scores: "
            'give mask.astype("bool") for one of 0 and 1'
        )
    scores = (*q.shape[:-1], k.shape[-2])
    fits = len(mask.shape) <= len(scores) and all(
        n in (1, m) for n, m in zip(mask.shape[::-1], scores[::-1])
    )
    if not fits:
        raise ValueError(f"{_NAME}: a mask {mask.shape} does not broadcast to scores {scores}")
    return mask if mask.dtype.kind == "b" else operands(_NAME, q, mask)[1]
