"""GPT-2: a decoder that foretells the next token (Radford et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_llm import nn
from tinygrad_llm.backend.devices import to_host
from tinygrad_llm.models.checks import (
    ACTIVATIONS,
    check_choice,
    check_divides,
    check_flags,
    check_ids,
    check_pairs,
    check_positive,
    check_probabilities,
    check_sizes,
)
from tinygrad_llm.models.folders import PretrainedModel
from tinygrad_llm.models.outputs import Head, LanguageModelOutput, integers
from tinygrad_llm.nn.sizes import one_of
from tinygrad_llm.tensor import Tensor

POSITIONS = ("learned", "sinusoidal", "rotary", "none")

PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"n_layer": 2, "n_embd": 128, "n_head": 2},
    "mini": {"n_layer": 4, "n_embd": 256, "n_head": 4},
    "base": {"n_layer": 12, "n_embd": 768, "n_head": 12},
}
"""Sizes by name; all else is as in `GPT2Config`."""


@dataclass(frozen=True)
class GPT2Config:
    """Sizes and choices, under Hugging Face's names; GPT-2's own (124 million) where not said.

    vocab_size V; n_positions: the longest text where positions are learned, the others have no
    end; n_embd D; n_layer; n_head H; n_inner: 4·D if None; activation_function: "gelu_new", also
    called "gelu_pytorch_tanh", "gelu" or "relu"; resid_pdrop, embd_pdrop, attn_pdrop: dropout of
    sublayers, embeddings and attention weights; bos_token_id, eos_token_id, pad_token_id: what
    begins, ends and pads a text, None where the vocabulary has no such token (of GPT-2's own,
    50256 begins and ends); n_kv_head: heads of keys and values, n_head if None; positions:
    "learned" as GPT-2 has them, "sinusoidal", "rotary", "none". gradient_checkpointing: less memory
    for more time, see `nn.TransformerDecoder`.
    Raises ValueError or TypeError that names the field: sizes are integers from 1 on, n_head
    divides n_embd, and n_kv_head n_head; sinusoidal positions need an even n_embd, rotary ones an
    even n_embd / n_head; layer_norm_epsilon and initializer_range are above 0; ids of tokens are
    below vocab_size.
    """

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    pad_token_id: int | None = None
    n_kv_head: int | None = None
    positions: str = "learned"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        check_choice(self, "positions", POSITIONS)
        check_choice(self, "activation_function", ACTIVATIONS)
        sizes = ("vocab_size", "n_positions", "n_embd", "n_layer", "n_head")
        check_sizes(self, sizes, optional=("n_inner", "n_kv_head"))
        check_divides(self, "n_head", "n_embd")
        if self.n_kv_head is not None:
            check_divides(self, "n_kv_head", "n_head")
        if self.positions == "sinusoidal":
            check_pairs(self, "n_embd", self.n_embd)
        if self.positions == "rotary":
            check_pairs(self, "n_embd / n_head", self.n_embd // self.n_head)
        check_probabilities(self, "resid_pdrop", "embd_pdrop", "attn_pdrop")
        check_positive(self, "layer_norm_epsilon", "initializer_range")
        tokens = ("bos_token_id", "eos_token_id", "pad_token_id")
        check_ids(self, self.vocab_size, optional=tokens)
        check_flags(self, "gradient_checkpointing")

    @property
    def max_position_embeddings(self) -> int | None:
        """How many tokens a text may have; None where positions have no end."""
        return self.n_positions if self.positions == "learned" else None

    @classmethod
    def preset(cls, name: str, **changes: Any) -> GPT2Config:
        """A known size, "tiny", "mini" or "base", with changes by name. ValueError for another.

        "base" is GPT-2's smallest, 124,439,808 parameters; the others are as deep and wide as the
        BERTs of these names (Turc et al. 2019).
        """
        return cls(**{**PRESETS[one_of("GPT2Config: preset", name, tuple(PRESETS))], **changes})


class GPT2LMHeadModel(PretrainedModel, config=GPT2Config, family="gpt2"):
    """GPT-2 with its language model head, whose matrix is the embedding of the tokens.

    Called with input_ids (B, T); see `forward`. `generation.generate` continues texts with it.
    """

    def __init__(self, config: GPT2Config | None = None):
        self.config = config = config or GPT2Config()
        self.tokens = nn.Embedding(config.vocab_size, config.n_embd)
        self.positions = _positions(config)
        self.dropout = nn.Dropout(config.embd_pdrop)
        rotary = None
        if config.positions == "rotary":
            rotary = nn.Rotary(config.n_embd // config.n_head)
        self.decoder = nn.TransformerDecoder(
            config.n_layer,
            config.n_embd,
            config.n_head,
            config.n_inner,
            dropout=config.resid_pdrop,
            attention_dropout=config.attn_pdrop,
            activation_dropout=0.0,
            activation=ACTIVATIONS[config.activation_function],
            norm="pre",
            eps=config.layer_norm_epsilon,
            num_kv_heads=config.n_kv_head,
            rotary=rotary,
            gradient_checkpointing=config.gradient_checkpointing,
        )
        self._initialize(config)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        position_ids: Any = None,
        labels: Any = None,
        cache: nn.KeyValueCache | None = None,
        logits_to_keep: int = 0,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> LanguageModelOutput:
        """input_ids (B, T) -> `.logits` (B, T, V), and with labels (B, T) the mean loss.

        The logits at place t are for the token at t + 1: labels are the input_ids again, shifted in
        here, −100 at places that do not count.
        attention_mask (B, S): 1 at tokens, 0 at padding, tokens in the cache included.
        position_ids (B, T): counted from the first token of each row; 0, 1, … if not said.
        cache: `new_cache()`, under no_grad; input_ids are then the tokens not yet read.
        logits_to_keep: logits of the last so many places alone; 0 for all.
        Raises ValueError for labels of another shape, IndexError for ids outside the vocabulary
        and, where positions are learned, for texts longer than n_positions.
        """
        x = self.tokens(input_ids)
        if x.ndim != 3:
            raise ValueError(f"GPT2LMHeadModel: input_ids {x.shape[:-1]}, expected (B, T)")
        if position_ids is None:
            seen = 0 if cache is None else cache.length
            position_ids = np.arange(seen, seen + x.shape[1])
        position_ids = to_host(integers(position_ids))  # once, for all layers
        x = self.dropout(x if self.positions is None else self.positions(x, position_ids))
        maps: list | None = [] if output_attentions else None
        states: list | None = [] if output_hidden_states else None
        how = {"mask": attention_mask, "positions": position_ids, "maps": maps, "states": states}
        x = self.decoder(x, cache=cache, **how)
        loss, targets = (None, None) if labels is None else self._loss(x, labels)
        head = self._head()
        return LanguageModelOutput(x, head, logits_to_keep, loss, targets, maps, states)

    def new_cache(self) -> nn.KeyValueCache:
        """An empty cache, for texts that grow token by token."""
        return self.decoder.new_cache()

    def _head(self) -> Head:
        return Head(self.tokens.weight, tied=True)

    def _loss(self, x: Tensor, labels: Any) -> tuple[Tensor, int]:
        """Mean cross-entropy of each token after the first, and over how many it is."""
        labels = integers(labels)
        if labels.shape != x.shape[:2]:
            raise ValueError(
                f"GPT2LMHeadModel: labels {labels.shape} for input_ids {x.shape[:2]}: give the ids "
                "themselves, which are shifted in here"
            )
        return self._head().loss(x[:, :-1], labels[:, 1:])

    def _initialize(self, config: GPT2Config) -> None:
        """Normal weights of deviation 0.02, biases 0; what goes into the 2·L sums of the residual
        stream is divided by √(2·L)."""
        for name, parameter in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                deviation = config.initializer_range / math.sqrt(2 * config.n_layer)
                nn.init.normal_(parameter, std=deviation)
            elif parameter.ndim == 2:
                nn.init.normal_(parameter, std=config.initializer_range)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)


def _positions(config: GPT2Config) -> nn.Module | None:
    """What is added to the tokens' rows."""
    if config.positions == "learned":
        return nn.LearnedPositions(config.n_positions, config.n_embd)
    return nn.SinusoidalPositions(config.n_embd) if config.positions == "sinusoidal" else None
