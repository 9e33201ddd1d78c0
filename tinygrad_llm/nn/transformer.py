"""Transformer blocks: attention and a feed-forward network, each in a residual sum with a norm.

Vaswani et al. 2017 put the norm after the sum ("post"), GPT-2 before the sublayer ("pre", Xiong et
al. 2020), ReZero (Bachlechner et al. 2020) has a factor α that begins as 0 in its place ("rezero").
"bare" has neither sum nor norm: it is here to show why they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_llm.checkpoint import checkpoint
from tinygrad_llm.functional.arguments import tensor
from tinygrad_llm.nn.attention import MultiHeadAttention, seen
from tinygrad_llm.nn.cache import KeyValueCache, LayerCache
from tinygrad_llm.nn.containers import ModuleList
from tinygrad_llm.nn.layers import Dropout, Linear
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.normalization import LayerNorm
from tinygrad_llm.nn.positions import Rotary
from tinygrad_llm.nn.precision import kept_copies
from tinygrad_llm.nn.sizes import one_of, size
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor

NORMS = ("post", "pre", "rezero", "bare")
ACTIVATIONS = ("relu", "gelu", "gelu_tanh")


class FeedForward(Module):
    """act(x W₁ + b₁) W₂ + b₂ at each position alone  (F32, F73, F77): x (..., D) -> (..., D)."""

    def __init__(self, d_model: int, hidden: int, activation: str = "relu", dropout: float = 0.0):
        self.activation = one_of("FeedForward: activation", activation, ACTIVATIONS)
        self.up = Linear(d_model, hidden)
        self.down = Linear(hidden, d_model)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.dropout(self.up(x, self.activation)))

    def extra_repr(self) -> str:
        return self.activation


class Residual(Module):
    """A sublayer f in its sum: LN(x + f(x)), x + f(LN(x)), x + α·f(x), or f(x) alone  (F36, F76).

    norm: "post", "pre", "rezero" or "bare". dropout: of f's output, in training.
    """

    def __init__(self, d_model: int, norm: str, dropout: float = 0.0, eps: float = 1e-5):
        self.place = one_of("Residual: norm", norm, NORMS)
        self.dropout = Dropout(dropout)
        self.norm: Any = LayerNorm(d_model, eps) if norm in ("post", "pre") else None
        self.alpha = Parameter(np.zeros((), DEFAULT_DTYPE)) if norm == "rezero" else None

    def forward(self, x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        if self.place == "post":
            return self.norm(self.dropout(f(x)), x)[0]
        if self.place == "pre":
            return x + self.dropout(f(self.norm(x)))
        y = self.dropout(f(x))
        return x + self.alpha * y if self.place == "rezero" else y

    def extra_repr(self) -> str:
        return self.place


class TransformerLayer(Module):
    """One block: self-attention, cross-attention in a decoder of an encoder–decoder, feed-forward.

    d_model, nhead: D and H. dim_feedforward: 4·D if not said. dropout: of what goes into each sum;
    attention_dropout: of the maps, and activation_dropout: of the hidden units, the same if not
    said (BERT and GPT-2 have none there). norm: see `Residual`. causal: no token sees a
    later one. cross: it also asks the encoder's output. num_kv_heads, rotary: of the tokens' own
    attention, see `MultiHeadAttention`.
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int | None = None,
        *,
        dropout: float = 0.0,
        attention_dropout: float | None = None,
        activation_dropout: float | None = None,
        activation: str = "relu",
        norm: str = "post",
        eps: float = 1e-5,
        causal: bool = False,
        cross: bool = False,
        num_kv_heads: int | None = None,
        rotary: Rotary | None = None,
    ):
        hidden = 4 * d_model if dim_feedforward is None else dim_feedforward
        on_maps = dropout if attention_dropout is None else attention_dropout
        on_units = dropout if activation_dropout is None else activation_dropout
        self.causal = causal

        def residual() -> Residual:
            return Residual(d_model, norm, dropout, eps)

        self.attention = MultiHeadAttention(
            d_model, nhead, num_kv_heads=num_kv_heads, dropout=on_maps, rotary=rotary
        )
        self.attention_sum = residual()
        self.cross_attention = None
        if cross:
            self.cross_attention = MultiHeadAttention(d_model, nhead, dropout=on_maps)
            self.cross_attention_sum = residual()
        self.feed_forward = FeedForward(d_model, hidden, activation, on_units)
        self.feed_forward_sum = residual()

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Any = None,
        memory_mask: Any = None,
        positions: Any = None,
        cache: LayerCache | None = None,
        maps: list | None = None,
    ) -> Tensor:
        """x (B, T, D) -> (B, T, D); masks as `MultiHeadAttention` has them. maps: a list that
        takes the attention maps (B, H, T, S), own tokens' first. Raises ValueError for a memory
        without cross-attention, or the other way round."""
        if (memory is None) != (self.cross_attention is None):
            raise ValueError(
                "TransformerLayer: a memory is what cross-attention asks, and it is "
                + ("missing" if memory is None else "given to a layer made without cross=True")
            )
        own = {"mask": mask, "is_causal": self.causal, "positions": positions, "cache": cache}
        x = self.attention_sum(x, lambda h: _attended(self.attention, maps, h, **own))
        cross, source = self.cross_attention, {"mask": memory_mask, "cache": cache}
        if cross is not None:
            x = self.cross_attention_sum(x, lambda h: _attended(cross, maps, h, memory, **source))
        return self.feed_forward_sum(x, self.feed_forward)


def _attended(attention: MultiHeadAttention, maps: list | None, *inputs: Any, **how: Any) -> Tensor:
    """What an attention gives; its maps go into the list, where there is one."""
    if maps is None:
        return attention(*inputs, **how)
    y, weights = attention(*inputs, return_weights=True, **how)
    maps.append(weights)
    return y


class TransformerStack(Module):
    """Blocks one after the other, and a last norm where they are "pre"; the arguments are those of
    `TransformerLayer`.

    gradient_checkpointing: backward computes each block again from what came into it, which is then
    all that the tape keeps of it: the same bits, for about a third more time (Chen et al. 2016).
    """

    def __init__(
        self,
        num_layers: int,
        d_model: int,
        nhead: int,
        dim_feedforward: int | None = None,
        *,
        gradient_checkpointing: bool = False,
        **options: Any,
    ):
        count = size("num_layers", num_layers, least=1)
        self.gradient_checkpointing = gradient_checkpointing
        sizes = (d_model, nhead, dim_feedforward)
        self.layers = ModuleList(TransformerLayer(*sizes, **options) for _ in range(count))
        last = self.layers[-1].feed_forward_sum
        self.norm = LayerNorm(d_model, last.norm.eps) if last.place == "pre" else None

    def forward(
        self,
        x: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Any = None,
        memory_mask: Any = None,
        positions: Any = None,
        cache: KeyValueCache | None = None,
        maps: list | None = None,
        states: list | None = None,
    ) -> Tensor:
        """x (B, T, D) -> (B, T, D); arguments as for `TransformerLayer`, cache for all layers. An
        error, or Ctrl-C, leaves the cache as it was.

        states: a list that takes x, and what each block gives, the last one's after the last norm.
        Raises ValueError for a cache of another number of layers.
        """
        x, read = tensor(x), 0 if cache is None else cache.length
        if cache is not None and len(cache) != len(self.layers):
            raise ValueError(
                f"a cache of {len(cache)} layers for {len(self.layers)}: make it by new_cache()"
            )
        how: dict[str, Any] = {"maps": maps}
        # What is the same for all layers is made once.
        how["mask"] = seen(mask, x, read + x.shape[1])
        how["memory_mask"] = None if memory is None else seen(memory_mask, x, memory.shape[1])
        how["positions"] = self._turns(x, positions, read)
        try:
            x = self._through(x, memory, cache, states, how)
        except BaseException:
            if cache is not None:
                cache.truncate(read)
            raise
        x = x if self.norm is None else self.norm(x)
        if states is not None:
            states.append(x)
        return x

    def _through(
        self,
        x: Tensor,
        memory: Tensor | None,
        cache: KeyValueCache | None,
        states: list | None,
        how: dict[str, Any],
    ) -> Tensor:
        """What the last block gives; `states` takes what went into each."""
        run = _checkpointed if self.gradient_checkpointing else Module.__call__
        for i, layer in enumerate(self.layers):
            if states is not None:
                states.append(x)
            x = run(layer, x, memory, cache=None if cache is None else cache[i], **how)
        return x

    def _turns(self, x: Tensor, positions: Any, read: int) -> Any:
        """The turns of rotary positions, where the layers have these."""
        rotary = self.layers[0].attention.rotary
        if rotary is None:
            return None
        return rotary.turns(x, range(read, read + x.shape[1]) if positions is None else positions)


def _checkpointed(layer: Module, *inputs: Any, maps: list | None = None, **how: Any) -> Tensor:
    """The same, computed again in backward: then too in the dtype of now, and with a list of its
    own for the maps."""
    again = kept_copies(layer)

    def run(*inputs: Any) -> tuple[Tensor, list | None]:
        own: list | None = None if maps is None else []
        with again():
            return layer(*inputs, maps=own, **how), own

    y, own = checkpoint(run, *inputs)
    if maps is not None:
        maps.extend(own)
    return y


class TransformerEncoder(TransformerStack):
    """Every token sees all others: x (B, T, D) -> (B, T, D)  (F34–F37)."""

    def __init__(self, num_layers: int, d_model: int, nhead: int, *sizes: Any, **options: Any):
        super().__init__(num_layers, d_model, nhead, *sizes, causal=False, **options)


class TransformerDecoder(TransformerStack):
    """No token sees a later one; with cross=True each block also asks the encoder's output
    (F38–F43)."""

    def __init__(self, num_layers: int, d_model: int, nhead: int, *sizes: Any, **options: Any):
        super().__init__(num_layers, d_model, nhead, *sizes, causal=True, **options)

    def new_cache(self) -> KeyValueCache:
        """An empty cache for all its layers."""
        return KeyValueCache(len(self.layers))
