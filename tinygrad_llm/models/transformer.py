"""The Transformer: an encoder reads one text, a decoder writes another (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_llm import nn
from tinygrad_llm.backend.devices import Array, namespace
from tinygrad_llm.models.checks import (
    check_choice,
    check_divides,
    check_flags,
    check_ids,
    check_pairs,
    check_probabilities,
    check_sizes,
)
from tinygrad_llm.models.outputs import IGNORED, Head, LanguageModelOutput, integers
from tinygrad_llm.nn.transformer import ACTIVATIONS, NORMS
from tinygrad_llm.tensor import Tensor


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and choices; those of the paper's base model where not said.

    vocab_size: of the source and, if target_vocab_size is None, of the target too, which then share
    one embedding. d_model D: width of all states. nhead H: attention heads of D / H each.
    encoder_layers, decoder_layers: blocks of each side. dim_feedforward: hidden width of a block's
    feed-forward network, 4·D if None. dropout: probability, in training, that a number is 0: of the
    embedded text, of what goes into each sum, of hidden units and of attention weights.
    activation: of the hidden units, "relu", "gelu" or "gelu_tanh". norm: "post" as in the paper,
    "pre" or "rezero". positions: "sinusoidal" or "learned", then up to max_length. tied: the head's
    matrix is the target's embedding.
    pad_token_id: what fills up short texts; no source word sees it, and its row is 0 at first.
    decoder_start_token_id: what the decoder reads before the first word. eos_token_id: what ends a
    text that `generation.generate` writes, None where nothing does. All three are ids of your own
    vocabulary: keep 0 and 1 free of words, or say other ids here.
    Raises ValueError or TypeError that names the field: sizes are integers from 1 on, nhead divides
    d_model, sinusoidal positions need an even one; pad_token_id is an id of both vocabularies, the
    other two are of the target's.
    """

    vocab_size: int
    target_vocab_size: int | None = None
    d_model: int = 512
    nhead: int = 8
    encoder_layers: int = 6
    decoder_layers: int = 6
    dim_feedforward: int | None = None
    dropout: float = 0.1
    activation: str = "relu"
    norm: str = "post"
    positions: str = "sinusoidal"
    max_length: int = 512
    tied: bool = True
    pad_token_id: int = 0
    decoder_start_token_id: int = 1
    eos_token_id: int | None = None

    def __post_init__(self) -> None:
        check_choice(self, "positions", ("sinusoidal", "learned"))
        check_choice(self, "activation", ACTIVATIONS)
        check_choice(self, "norm", NORMS)
        sizes = ("vocab_size", "d_model", "nhead", "encoder_layers", "decoder_layers", "max_length")
        check_sizes(self, sizes, optional=("target_vocab_size", "dim_feedforward"))
        check_divides(self, "nhead", "d_model")
        if self.positions == "sinusoidal":
            check_pairs(self, "d_model", self.d_model)
        check_probabilities(self, "dropout")
        written = self.target_vocab_size or self.vocab_size
        check_ids(self, min(self.vocab_size, written), ["pad_token_id"])
        check_ids(self, written, ["decoder_start_token_id"], optional=["eos_token_id"])
        check_flags(self, "tied")

    @property
    def max_position_embeddings(self) -> int | None:
        """How many tokens a text may have; None where positions have no end."""
        return self.max_length if self.positions == "learned" else None


class Transformer(nn.Module):
    """Source (B, S) and target so far (B, T) -> scores of the target's next token (F34–F43, F52).

    Called with input_ids and labels it gives the loss; `generation.generate` writes with `encode`,
    once, and `decode`, token by token.
    """

    def __init__(self, config: TransformerConfig):
        self.config = config
        width = config.d_model
        self.source = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        own = config.target_vocab_size
        self.target = self.source if own is None else nn.Embedding(own, width, config.pad_token_id)
        self.positions = _positions(config)
        self.dropout = nn.Dropout(config.dropout)
        options: dict[str, Any] = {
            "dropout": config.dropout,
            "activation": config.activation,
            "norm": config.norm,
        }
        sizes = (width, config.nhead, config.dim_feedforward)
        self.encoder = nn.TransformerEncoder(config.encoder_layers, *sizes, **options)
        self.decoder = nn.TransformerDecoder(config.decoder_layers, *sizes, cross=True, **options)
        vocab = config.vocab_size if own is None else own
        self.head: Any = None if config.tied else nn.Linear(width, vocab, bias=False)
        self._initialize()

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        labels: Any = None,
        *,
        output_attentions: bool = False,
    ) -> LanguageModelOutput:
        """Source input_ids (B, S), target labels (B, T) or decoder_input_ids (B, T).

        attention_mask (B, S): 1 at tokens; where it is None, padding is pad_token_id.
        labels: the target with its end, −100 at padding; the decoder reads them shifted by one
            place, decoder_start_token_id first.
        With output_attentions `.attentions` has lists of maps under "encoder" and "decoder"; in the
        decoder own tokens' and the source's in turn.
        Raises ValueError without labels and decoder_input_ids, and for shapes that do not fit;
        TypeError for ids that are no integers; IndexError for ids outside the vocabulary and, where
        positions are learned, for texts longer than max_length.
        """
        if labels is None and decoder_input_ids is None:
            raise ValueError("Transformer: give labels or decoder_input_ids")
        if decoder_input_ids is None:
            decoder_input_ids = self._shifted(integers(labels))
        attention_mask = self._mask(input_ids, attention_mask)
        maps: dict = {"encoder": [], "decoder": []} if output_attentions else {}
        states = self.encode(input_ids, attention_mask, maps.get("encoder"))
        output = self.decode(decoder_input_ids, states, attention_mask, maps=maps.get("decoder"))
        if labels is not None:
            x = output.last_hidden_state
            output.loss, output.targets = self._head().loss(x, integers(labels))
        output.attentions = maps or None
        return output

    def encode(
        self, input_ids: Any, attention_mask: Any = None, maps: list | None = None
    ) -> Tensor:
        """States (B, S, D) of the source; its attention_mask (B, S) as in `forward`."""
        x = self._embedded(self.source, input_ids)
        return self.encoder(x, mask=self._mask(input_ids, attention_mask), maps=maps)

    def decode(
        self,
        input_ids: Any,
        states: Tensor,
        attention_mask: Any = None,
        cache: nn.KeyValueCache | None = None,
        logits_to_keep: int = 0,
        maps: list | None = None,
    ) -> LanguageModelOutput:
        """Scores after each of the target's tokens so far (B, T), for the source's states (B, S, D)
        and mask, None where nothing of it is padding; with a cache input_ids are the tokens that
        are not read yet."""
        seen = 0 if cache is None else cache.length
        x = self._embedded(self.target, input_ids, seen)
        if len(x) != len(states):
            raise ValueError(f"Transformer: {len(x)} targets for {len(states)} sources")
        x = self.decoder(x, states, memory_mask=attention_mask, cache=cache, maps=maps)
        return LanguageModelOutput(x, self._head(), logits_to_keep)

    def new_cache(self) -> nn.KeyValueCache:
        """An empty cache for `decode`."""
        return self.decoder.new_cache()

    def _mask(self, input_ids: Any, attention_mask: Any) -> Any:
        """What of the source is no padding, where nobody says it: all but pad_token_id."""
        if attention_mask is not None:
            return attention_mask
        return integers(input_ids) != self.config.pad_token_id

    def _embedded(self, embedding: nn.Embedding, ids: Any, seen: int = 0) -> Tensor:
        """√D·E[ids] + positions from `seen` on: rows of size 1/√D get the size of the sines."""
        x = embedding(ids) * math.sqrt(self.config.d_model)
        if x.ndim != 3:
            raise ValueError(f"Transformer: input_ids {x.shape[:-1]}, expected (B, T)")
        return self.dropout(self.positions(x, np.arange(seen, seen + x.shape[1])))

    def _head(self) -> Head:
        tied = self.head is None
        return Head(self.target.weight if tied else self.head.weight, tied)

    def _shifted(self, labels: Array) -> Array:
        """What the decoder reads while it is to write the labels (B, T)."""
        if labels.ndim != 2:
            raise ValueError(f"Transformer: labels {labels.shape}, expected (B, T)")
        xp = namespace(labels)
        start = xp.full((len(labels), 1), self.config.decoder_start_token_id, labels.dtype)
        before = xp.concatenate([start, labels[:, :-1]], axis=1)
        return xp.where(before == IGNORED, self.config.pad_token_id, before)

    def _initialize(self) -> None:
        """Xavier for matrices, rows of deviation 1/√D for embeddings, biases 0."""
        embeddings = {id(self.source.weight), id(self.target.weight)}
        for name, parameter in self.named_parameters():
            if id(parameter) in embeddings:
                nn.init.normal_(parameter, std=self.config.d_model**-0.5)
                nn.init.zero_row_(parameter, self.config.pad_token_id)
            elif parameter.ndim == 2 and not name.startswith("positions"):
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)


def _positions(config: TransformerConfig) -> nn.Module:
    if config.positions == "learned":
        return nn.LearnedPositions(config.max_length, config.d_model)
    return nn.SinusoidalPositions(config.d_model)
