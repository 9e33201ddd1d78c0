"""BERT: an encoder in which every word sees both sides (Devlin et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import nn
from tinygrad_llm.backend.devices import put
from tinygrad_llm.functional.indexing import check_range
from tinygrad_llm.models.checks import (
    ACTIVATIONS,
    check_choice,
    check_divides,
    check_flags,
    check_ids,
    check_positive,
    check_probabilities,
    check_sizes,
    class_names,
)
from tinygrad_llm.models.folders import PretrainedModel
from tinygrad_llm.models.outputs import EncoderOutput, integers
from tinygrad_llm.nn.sizes import one_of
from tinygrad_llm.tensor import Tensor

PROBLEMS = ("regression", "single_label_classification", "multi_label_classification")

POOLINGS = ("cls", "mean")

PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2},
    "mini": {"num_hidden_layers": 4, "hidden_size": 256, "num_attention_heads": 4},
    "base": {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12},
}
"""Sizes by name, with 4·D hidden units; all else is as in `BertConfig`."""


LOUDER = 2.0
"""The amplitude of positions that begin as sinusoids, as a multiple of the words' deviation."""

SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    *("intermediate_size", "max_position_embeddings", "type_vocab_size", "num_labels"),
)


@dataclass(frozen=True)
class BertConfig:
    """Sizes and choices, under Hugging Face's names; those of BERT-base where not said.

    vocab_size V; hidden_size D; num_attention_heads H; intermediate_size: the feed-forward
    networks' hidden units; hidden_act: "gelu" (exact), "gelu_new", also called
    "gelu_pytorch_tanh", or "relu".
    hidden_dropout_prob: of embeddings and of what goes into each sum; attention_probs_dropout_prob:
    of the maps; classifier_dropout: before a classifier, hidden_dropout_prob if None.
    max_position_embeddings: the longest text. pad_token_id: its row in the embedding begins as 0
    and gets no gradient as an input. num_labels, problem_type: of classifiers, see `bert_heads`.
    id2label: the names of the classes by their numbers, {0: "sports", 1: "science"}, numbers as
    texts too, as JSON has them; they are then num_labels many.
    classifier_pooling: what a classifier of texts reads: "cls", the pooler, or "mean", the mean of
    the last states of a text, with no pooler; as ModernBERT's configuration calls it.
    gradient_checkpointing: less memory for more time, see `nn.TransformerEncoder`.
    Raises ValueError or TypeError that names the field: sizes are integers from 1 on,
    num_attention_heads divides hidden_size, initializer_range and layer_norm_eps are above 0, and
    pad_token_id is below vocab_size.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    classifier_dropout: float | None = None
    num_labels: int = 2
    problem_type: str | None = None
    id2label: dict[int, str] | None = None
    classifier_pooling: str = "cls"
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        check_sizes(self, SIZES)
        check_choice(self, "hidden_act", ACTIVATIONS)
        check_divides(self, "num_attention_heads", "hidden_size")
        check_probabilities(self, "hidden_dropout_prob", "attention_probs_dropout_prob")
        check_positive(self, "initializer_range", "layer_norm_eps")
        check_ids(self, self.vocab_size, optional=("pad_token_id",))
        check_flags(self, "gradient_checkpointing")
        if self.classifier_dropout is not None:
            check_probabilities(self, "classifier_dropout")
        if self.problem_type is not None:
            check_choice(self, "problem_type", PROBLEMS)
        check_choice(self, "classifier_pooling", POOLINGS)
        if self.id2label is not None:
            object.__setattr__(self, "id2label", class_names(self))

    @classmethod
    def preset(cls, name: str, **changes: Any) -> BertConfig:
        """A known size, "tiny", "mini" (Turc et al. 2019) or "base", with changes by name.

        With the pooler "base" has 109,482,240 parameters. Weights of narrower ones begin larger,
        so that the sums in which they stand are as large as BERT-base's. Raises ValueError for
        another name.
        """
        sizes = {**PRESETS[one_of("BertConfig: preset", name, tuple(PRESETS))], **changes}
        width = sizes["hidden_size"]
        usual = {"intermediate_size": 4 * width, "initializer_range": 0.02 * (768 / width) ** 0.5}
        return cls(**{**usual, **sizes})


class BertEmbeddings(nn.Module):
    """LN(word + position + segment), then dropout  (G09): ids (B, T) -> (B, T, D)."""

    def __init__(self, config: BertConfig):
        width = config.hidden_size
        self.words = nn.Embedding(config.vocab_size, width, config.pad_token_id)
        self.positions = nn.LearnedPositions(config.max_position_embeddings, width)
        self.segments = nn.Embedding(config.type_vocab_size, width)
        self.norm = nn.LayerNorm(width, config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(
        self, input_ids: Any, token_type_ids: Any = None, position_ids: Any = None
    ) -> Tensor:
        x = self.words(input_ids)
        if x.ndim != 3:
            raise ValueError(f"BertModel: input_ids {x.shape[:-1]}, expected (B, T)")
        segments = self.segments(put(self._types(token_type_ids, x.shape[:2]), x.device))
        return self.dropout(self.norm(self.positions(x, position_ids), segments)[0])

    def _types(self, ids: Any, shape: tuple[int, ...]) -> Any:
        """token_type_ids (B, T) that there are rows for; all 0 where they are not said."""
        if ids is None:
            return np.zeros(shape, np.int64)
        ids = integers(ids)
        if ids.shape != shape:
            raise ValueError(f"BertModel: token_type_ids {ids.shape} for input_ids {shape}")
        check_range("BertModel: token_type_ids:", Tensor(ids), self.segments.num_embeddings)
        return ids


class BertPooler(nn.Module):
    """tanh(h₀ W + b), of the first token's state: (B, T, D) -> (B, D)."""

    def __init__(self, config: BertConfig):
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:
        return F.tanh(self.dense(states[:, 0]))


class BertModel(PretrainedModel, config=BertConfig, family="bert"):
    """BERT without a head: embeddings, post-norm blocks of the encoder, and a pooler unless
    add_pooling_layer is False."""

    def __init__(self, config: BertConfig | None = None, add_pooling_layer: bool = True):
        self.config = config = config or BertConfig()
        self.embeddings = BertEmbeddings(config)
        self.encoder = nn.TransformerEncoder(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.intermediate_size,
            dropout=config.hidden_dropout_prob,
            attention_dropout=config.attention_probs_dropout_prob,
            activation_dropout=0.0,
            activation=ACTIVATIONS[config.hidden_act],
            norm="post",
            eps=config.layer_norm_eps,
            gradient_checkpointing=config.gradient_checkpointing,
        )
        self.pooler = BertPooler(config) if add_pooling_layer else None
        initialize(self, config)

    def begin_positions(self) -> None:
        """Let the positions, which are learned, begin as sinusoids (where the width is even): from
        drawn ones a small model takes thousands of steps to find out who is beside whom."""
        if self.config.hidden_size % 2 == 0:
            scale = LOUDER * self.config.initializer_range
            self.embeddings.positions.begin_as_sinusoids(scale)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> EncoderOutput:
        """input_ids (B, T) -> `.last_hidden_state` (B, T, D) and `.pooler_output` (B, D).

        attention_mask (B, T): 1 at tokens, 0 at padding; all are tokens if not said.
        token_type_ids (B, T): 0 in the first text of a pair, 1 in the second; 0 if not said.
        position_ids (T,) or (B, T): 0, 1, … if not said.
        output_attentions: `.attentions` has each block's maps (B, H, T, T);
        output_hidden_states: `.hidden_states` has the embeddings and what each block gave.
        Raises ValueError for shapes that do not fit, TypeError for ids that are not integers,
        IndexError for ids without a row and texts longer than max_position_embeddings.
        """
        x = self.embeddings(input_ids, token_type_ids, position_ids)
        maps: list | None = [] if output_attentions else None
        states: list | None = [] if output_hidden_states else None
        x = self.encoder(x, mask=attention_mask, maps=maps, states=states)
        pooled = None if self.pooler is None else self.pooler(x)
        return EncoderOutput(x, pooled, states, maps)


def initialize(module: nn.Module, config: BertConfig) -> None:
    """Fill what a module has of BERT as its authors' code does: weights normal with deviation
    initializer_range, cut off at two of them; biases and the padding's row 0."""
    std = config.initializer_range
    for name, parameter in module.named_parameters():
        if parameter.ndim == 2:
            nn.init.trunc_normal_(parameter, std=std, a=-2 * std, b=2 * std)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
    for each in module.modules():
        if isinstance(each, nn.Embedding) and each.padding_idx is not None:
            nn.init.zero_row_(each.weight, each.padding_idx)
