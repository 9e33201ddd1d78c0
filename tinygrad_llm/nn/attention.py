"""Multi-head attention: every token asks all others, and takes the mean of their values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import graph
from tinygrad_llm.functional.arguments import probability, tensor
from tinygrad_llm.nn.cache import LayerCache
from tinygrad_llm.nn.layers import Linear
from tinygrad_llm.nn.module import Module
from tinygrad_llm.nn.positions import Rotary, Turns
from tinygrad_llm.nn.sizes import size
from tinygrad_llm.tensor import Tensor, as_array


class MultiHeadAttention(Module):
    """softmax(Q Kᵀ/√K) V in H heads side by side, with one map a head  (F28–F31, F86; Vaswani et
    al. 2017).

    Each head has D/H features of its own: Q = x W_q (B, T, D) is seen as (B, H, T, K), K = D/H; the
    heads' outputs stand side by side again (B, T, D) and go through W_o.

    d_model, num_heads: D and H, which divides it. num_kv_heads: fewer heads of keys and values,
    each shared by H/G heads of queries (Ainslie et al. 2023); 1 is multi-query. memory_width: of
    the encoder's output, D if not said. dropout: of the attention weights, in training. rotary:
    turns queries and keys by their positions, where a text asks itself.
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
        self.d_model = size("MultiHeadAttention: d_model", d_model, least=1)
        self.num_heads = size("MultiHeadAttention: num_heads", num_heads, least=1)
        kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        self.num_kv_heads = size("MultiHeadAttention: num_kv_heads", kv_heads, least=1)
        self.dropout = probability("MultiHeadAttention: dropout", dropout)
        if d_model % num_heads:
            raise ValueError(
                f"MultiHeadAttention: num_heads {num_heads} does not divide d_model {d_model}"
            )
        if num_heads % kv_heads:
            raise ValueError(
                f"MultiHeadAttention: num_kv_heads {kv_heads} does not divide num_heads {num_heads}"
            )
        width = d_model // num_heads
        if rotary is not None and rotary.head_width != width:
            raise ValueError(
                f"MultiHeadAttention: rotary turns {rotary.head_width} features, but heads have "
                f"{width}"
            )
        memory_width = d_model if memory_width is None else memory_width
        self.query = Linear(d_model, d_model, bias)
        self.key = Linear(memory_width, kv_heads * width, bias)
        self.value = Linear(memory_width, kv_heads * width, bias)
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

        mask: what may be seen: (B, S) by key, 1 or True at tokens; or (B, H, T, S), boolean or
            numbers to add to the scores, with 1 for an axis along which it is the same. A token
            that may see nothing gets 0 from its heads.
        is_causal: no token sees a later one. positions: for rotary, (T,) or (B, T).
        cache: of this layer; x are the tokens that it has not seen, and memory is read once.
        Raises ValueError for shapes that do not fit and for a memory with rotary, TypeError for a
        mask (B, S) of floats, RuntimeError for a cache while gradients are recorded.
        """
        x = tensor(x)
        self._check(x, memory, cache)
        offset = 0 if cache is None or memory is not None else cache.length
        keys = offset + x.shape[1] if memory is None else memory.shape[1]
        mask = seen(mask, x, keys)  # before a cache is extended
        if memory is None:
            q, k, v = self._of_itself(x, positions, offset, cache)
        else:
            q = self._heads(self.query(x))
            k, v = self._of_memory(memory, cache)
        mixed = F.scaled_dot_product_attention(
            *(q, k, v),
            mask=mask,
            is_causal=is_causal,
            offset=offset,
            dropout_p=self.dropout,
            training=self.training,
            return_weights=return_weights,
        )
        mixed, *weights = mixed if return_weights else (mixed,)
        y = self.out(mixed.swapaxes(1, 2).reshape(*x.shape))
        return (y, *weights) if return_weights else y

    def _check(self, x: Tensor, memory: Tensor | None, cache: LayerCache | None) -> None:
        for what, given in {"x": x, "memory": memory}.items():
            if given is not None and len(given.shape) != 3:
                raise ValueError(
                    f"MultiHeadAttention: {what} {given.shape} has {len(given.shape)} axes, "
                    "expected three: texts, tokens, features"
                )
        if memory is not None and len(memory) != len(x):
            raise ValueError(
                f"MultiHeadAttention: a memory of {len(memory)} texts for {len(x)} texts: repeat it"
            )
        if memory is not None and self.rotary is not None:
            raise ValueError(
                "MultiHeadAttention: rotary positions are those of one text, but memory is another"
            )
        if cache is not None and graph.current_mode().grad:
            raise RuntimeError(
                "MultiHeadAttention: a cache keeps no tape: call the model under no_grad()"
            )

    def _of_itself(
        self, x: Tensor, positions: Any, offset: int, cache: LayerCache | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, K), and keys and values (B, G, S, K) of all tokens so far."""
        q, k, v = (self._heads(layer(x)) for layer in (self.query, self.key, self.value))
        if self.rotary is not None:
            if positions is None:
                positions = np.arange(offset, offset + x.shape[1])
            if not isinstance(positions, Turns):
                positions = self.rotary.turns(x, positions)
            q, k = self.rotary(q, positions), self.rotary(k, positions)
        if cache is not None:
            k, v = cache.extend(k, v)
        return q, k, v

    def _of_memory(self, memory: Tensor, cache: LayerCache | None) -> tuple[Tensor, Tensor]:
        """Keys and values (B, G, S, K) of the encoder's output."""

        def make() -> tuple[Tensor, Tensor]:
            return self._heads(self.key(memory)), self._heads(self.value(memory))

        return make() if cache is None else cache.memory(make, memory)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, H·K) -> (B, H, T, K): features split, not the sequence  (F86)."""
        width = self.d_model // self.num_heads
        return x.reshape(*x.shape[:2], x.shape[2] // width, width).swapaxes(1, 2)

    def extra_repr(self) -> str:
        return f"{self.d_model}, heads={self.num_heads}"


def seen(mask: Any, x: Tensor, keys: int) -> Any:
    """A mask (B, S) by key, for x (B, T, D) and S keys, as booleans (B, 1, 1, S); one of four axes
    as it is, if of numbers in the dtype of x."""
    if mask is None:
        return None
    mask = mask if isinstance(mask, Tensor) else Tensor(as_array(mask))
    if mask.ndim == 4:
        return mask if mask.dtype.kind != "f" else mask.astype(x.dtype)
    texts = x.shape[0]
    if mask.shape != (texts, keys):
        raise ValueError(
            f"MultiHeadAttention: a mask {mask.shape} for {texts} texts and {keys} keys: expected "
            f"({texts}, {keys}), or four axes (B, H, T, S)"
        )
    if mask.dtype.kind == "f":
        raise TypeError(
            f"MultiHeadAttention: a mask (B, S) of {mask.dtype} could be added or multiplied: "
            "give one of 0 and 1 as integers or booleans"
        )
    on_host = type(mask.data) is np.ndarray  # elsewhere a look at the numbers would have to wait
    if on_host and np.any((mask.data != 0) & (mask.data != 1)):
        raise ValueError(
            "MultiHeadAttention: a mask (B, S) has other numbers than 0 and 1: 1 is a token; "
            "numbers to add to the scores are floats, with four axes"
        )
    return (mask.data != 0)[:, None, None, :]
