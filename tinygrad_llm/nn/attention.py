"""Multi-head attention: every token asks all others, and takes the mean of their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import graph
from tinygrad_llm.nn.cache import LayerCache
from tinygrad_llm.nn.layers import Linear
from tinygrad_llm.nn.module import Module
from tinygrad_llm.nn.positions import Rotary
from tinygrad_llm.nn.sizes import probability, size
from tinygrad_llm.tensor import Tensor


class MultiHeadAttention(Module):
    """softmax(Q Kᵀ/√K) V in H heads side by side, with one map a head  (F28–F33, F86; Vaswani et
    al. 2017).

    Each head has D/H features of its own: Q = x W_q (B, T, D) is seen as (B, H, T, K), K = D/H; the
    heads' outputs stand side by side again (B, T, D) and go through W_o.

    d_model, num_heads: D and H, which divides it. num_kv_heads: fewer heads of keys and values,
    each shared by H/G heads of queries (Ainslie et al. 2023); 1 is multi-query. memory_width: of
    the encoder's output, D if not said. dropout: of the attention weights, in training. rotary:
    turns queries and keys by their positions.
    Raises ValueError for sizes that do not fit.
    """

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        memory_width: int | None = None,
        bias: bool = True,
        dropout: float = 0.0,
        rotary: Rotary | None = None,
    ):
        self.num_heads = size("MultiHeadAttention: num_heads", num_heads, least=1)
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.dropout = probability("MultiHeadAttention: dropout", dropout)
        if d_model % num_heads:
            raise ValueError(f"MultiHeadAttention: {num_heads} heads do not divide width {d_model}")
        if self.num_kv_heads < 1 or num_heads % self.num_kv_heads:
            raise ValueError(
                f"MultiHeadAttention: {self.num_kv_heads} heads of keys do not divide {num_heads}"
            )
        kv_width = d_model // num_heads * self.num_kv_heads
        memory_width = d_model if memory_width is None else memory_width
        self.query = Linear(d_model, d_model, bias)
        self.key = Linear(memory_width, kv_width, bias)
        self.value = Linear(memory_width, kv_width, bias)
        self.out = Linear(d_model, d_model, bias)
        self.rotary = rotary

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Any = None,
        is_causal: bool = False,
        positions: Any = None,
        cache: LayerCache | None = None,
        return_weights: bool = False,
    ) -> Any:
        """x (B, T, D) asks itself, or memory (B, S, D'): (B, T, D), and with return_weights the
        maps (B, H, T, S) too.

        mask: what may be seen: (B, S) by key, 1 or True at tokens; or boolean, broadcastable to
            (B, H, T, S). A token that may see nothing gets 0 from its heads.
        is_causal: no token sees a later one. positions: for rotary, (T,) or (B, T).
        cache: of this layer; x are the tokens that it has not seen, and memory is read once.
        """
        if cache is not None and graph.current_mode().grad:
            raise RuntimeError("a cache keeps no tape: call the model under no_grad()")
        q = self._turned(self._heads(self.query(x), self.num_heads), positions)
        offset = 0
        if memory is not None:
            k, v = cache.memory(lambda: self._pair(memory)) if cache else self._pair(memory)
        else:
            k, v = self._pair(x)
            k = self._turned(k, positions)
            if cache is not None:
                offset = cache.length
                k, v = cache.extend(k, v)
        mixed = F.scaled_dot_product_attention(
            q,
            k,
            v,
            mask=_key_mask(mask),
            is_causal=is_causal,
            offset=offset,
            dropout_p=self.dropout if self.training else 0.0,
            return_weights=return_weights,
        )
        mixed, *weights = mixed if return_weights else (mixed,)
        y = self.out(mixed.swapaxes(1, 2).reshape(*x.shape))
        return (y, *weights) if return_weights else y

    def _pair(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, G, S, K)."""
        key, value = self.key(x), self.value(x)
        return self._heads(key, self.num_kv_heads), self._heads(value, self.num_kv_heads)

    def _heads(self, x: Tensor, heads: int) -> Tensor:
        """(B, T, heads·K) -> (B, heads, T, K): features split, not the sequence (F86)."""
        return x.reshape(*x.shape[:2], heads, x.shape[2] // heads).swapaxes(1, 2)

    def _turned(self, x: Tensor, positions: Any) -> Tensor:
        return x if self.rotary is None else self.rotary(x, positions)

    def extra_repr(self) -> str:
        return f"heads={self.num_heads}"


def _key_mask(mask: Any) -> Any:
    """(B, S) as boolean (B, 1, 1, S); others as they are."""
    array = mask.data if isinstance(mask, Tensor) else mask
    if array is None or np.ndim(array) != 2:
        return array
    array = np.asarray(array) if isinstance(array, (list, tuple)) else array
    return (array != 0)[:, None, None, :]
