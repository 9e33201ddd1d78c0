"""What BERT is pretrained and fine-tuned with: heads for hidden words, pairs, texts and places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm import nn
from tinygrad_llm.backend.devices import namespace, put
from tinygrad_llm.models.bert import BertConfig, BertModel, initialize
from tinygrad_llm.models.checks import ACTIVATIONS
from tinygrad_llm.models.folders import PretrainedModel
from tinygrad_llm.models.outputs import (
    IGNORED,
    ClassifierOutput,
    Counted,
    EncoderOutput,
    LanguageModelOutput,
    PretrainingOutput,
    QuestionAnsweringOutput,
    class_labels,
    full,
    integers,
)
from tinygrad_llm.nn.storage import room
from tinygrad_llm.tensor import Tensor

NO_LABELS: Counted = (None, None)


class MaskedLanguageHead(nn.Module):
    """LN(act(x W + b)) Eᵀ + c: scores of the vocabulary from states (..., D), where E (V, D) is the
    embedding of the words and c (V,) a bias of its own."""

    def __init__(self, config: BertConfig):
        self.activation = ACTIVATIONS[config.hidden_act]
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.bias = nn.Parameter(room(config.vocab_size))
        initialize(self, config)

    def forward(self, x: Tensor, words: Tensor) -> Tensor:
        """x (..., D), words (V, D) -> (..., V)."""
        x = self._transformed(x)
        if words.dtype != x.dtype:  # the copy of in_dtype's block, after it
            words = words.astype(x.dtype)
        return x @ words.T + self.bias

    def loss(self, x: Tensor, words: Tensor, labels: Any) -> tuple[Tensor, int]:
        """The mean cross-entropy over labels (B, T) that are not −100, and how many they are.

        Their rows are taken out first: with 15 % of the words hidden the transform and the product
        with the vocabulary cost 15 %, and no other place gets a gradient  (F71).
        """
        labels = class_labels("labels", labels, x.shape[:2], len(words))
        hidden = labels != IGNORED
        rows, words, bias = map(full, (self._transformed(x[hidden]), words, self.bias))
        loss = F.linear_cross_entropy(rows, words, labels[hidden], bias, transposed=True)
        return loss, len(rows)

    def _transformed(self, x: Tensor) -> Tensor:
        if x.dtype != self.dense.weight.dtype:  # logits that are asked for after in_dtype's block
            x = x.astype(self.dense.weight.dtype)
        return self.norm(self.dense(x, self.activation))


class _Scores(NamedTuple):
    """What makes the logits of an output, when they are asked for."""

    head: MaskedLanguageHead
    words: Tensor

    @property
    def weights(self) -> list[Tensor]:
        """What the scores depend on."""
        return [self.words, *self.head.parameters()]

    @property
    def vocabulary(self) -> int:
        return len(self.words)

    def scores(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., V)."""
        return self.head(x, self.words)


class _WithBert(PretrainedModel, config=BertConfig, family="bert"):
    """What the heads have in common: a BertModel, and how it is called."""

    pooled = False
    """Whether the head reads the pooler."""

    body = "bert"
    shared = ("predictions", "seq_relationship")

    def __init__(self, config: BertConfig | None = None):
        self.config = config = config or BertConfig()
        self.bert = BertModel(config, add_pooling_layer=self._reads_pooler())

    def _reads_pooler(self) -> bool:
        return self.pooled

    def _dense(self, outputs: int) -> nn.Linear:
        layer = nn.Linear(self.config.hidden_size, outputs)
        initialize(layer, self.config)
        return layer

    def _dropout(self) -> nn.Dropout:
        config = self.config
        own = config.classifier_dropout
        return nn.Dropout(config.hidden_dropout_prob if own is None else own)


class _WithWords(_WithBert):
    """A BERT that scores words."""

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.predictions = MaskedLanguageHead(self.config)

    def _word_rows(self) -> Tensor:
        return self.bert.embeddings.words.weight

    def _scores(self) -> _Scores:
        return _Scores(self.predictions, self._word_rows())


class BertForPreTraining(_WithWords):
    """BERT with both tasks that it is pretrained by: hidden words and next sentences  (G12)."""

    pooled = True

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.seq_relationship = self._dense(2)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        next_sentence_label: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> PretrainingOutput:
        """input_ids (B, T) -> `.logits` (B, T, V), `.seq_relationship_logits` (B, 2), and the
        losses of the labels that are given; inputs as for `BertModel`.

        labels (B, T): the words at hidden places, −100 elsewhere. next_sentence_label (B,): 0 where
            the second text follows the first, 1 where it is another's, −100 where neither counts.
        Raises ValueError, TypeError and IndexError as `BertModel` and `class_labels` do.
        """
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        x, words, pairs = found.last_hidden_state, NO_LABELS, NO_LABELS
        scores = self.seq_relationship(found.pooler_output)
        if labels is not None:
            words = self.predictions.loss(x, self._word_rows(), labels)
        if next_sentence_label is not None:
            pairs = _classified("next_sentence_label", scores, next_sentence_label)
        maps = {"attentions": found.attentions, "hidden_states": found.hidden_states}
        return PretrainingOutput(x, self._scores(), scores, words, pairs, **maps)

    def count_targets(self, batch: Mapping[str, Any]) -> tuple[int, ...]:
        """How many hidden words and pairs of a batch count, where it has labels for them, as a
        Trainer asks."""
        labels = (batch.get(name) for name in ("labels", "next_sentence_label"))
        return tuple(int((integers(each) != IGNORED).sum()) for each in labels if each is not None)


class BertForMaskedLM(_WithWords):
    """BERT with the head for hidden words, and no pooler  (F71)."""

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> LanguageModelOutput:
        """input_ids (B, T) -> `.logits` (B, T, V), and with labels (B, T), −100 at words that are
        not hidden, the loss; inputs and errors as for `BertForPreTraining`."""
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        x, loss, targets = found.last_hidden_state, None, None
        if labels is not None:
            loss, targets = self.predictions.loss(x, self._word_rows(), labels)
        maps = {"attentions": found.attentions, "hidden_states": found.hidden_states}
        return LanguageModelOutput(x, self._scores(), 0, loss, targets, **maps)


class BertForNextSentencePrediction(_WithBert):
    """BERT with the head that tells whether one text follows another  (F72)."""

    pooled = True

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.seq_relationship = self._dense(2)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ClassifierOutput:
        """input_ids (B, T) -> `.logits` (B, 2), and with labels (B,), 0 where the second text
        follows, the loss; inputs and errors as for `BertForPreTraining`."""
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        logits = self.seq_relationship(found.pooler_output)
        loss = None if labels is None else _classified("labels", logits, labels)[0]
        return ClassifierOutput(logits, loss, found.hidden_states, found.attentions)


class BertForSequenceClassification(_WithBert):
    """BERT with a classifier, or a regression, of whole texts on its pooler, or on the mean of its
    last states where config.classifier_pooling is "mean".

    config.problem_type says which; where it is None, one label is a regression, integer labels are
    classes, and others are several labels at once.
    """

    pooled = True

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.dropout = self._dropout()
        self.classifier = self._dense(self.config.num_labels)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ClassifierOutput:
        """input_ids (B, T) -> `.logits` (B, num_labels), and with labels the loss.

        labels: classes (B,), −100 where none counts: cross-entropy. Numbers of the logits' shape,
            or (B,) where there is one: squared error. 0 and 1 of the logits' shape, as floats:
            binary cross-entropy. Inputs and errors as for `BertForPreTraining`.
        """
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        logits = self.classifier(self.dropout(self.summary_of(found, attention_mask)))
        loss = None if labels is None else self.loss_of(logits, labels)
        return ClassifierOutput(logits, loss, found.hidden_states, found.attentions)

    def summary_of(self, found: EncoderOutput, attention_mask: Any = None) -> Tensor:
        """What the classifier reads of each text (B, D), from the body's answer: the pooler's
        output, or the mean of the states of what the mask (B, T) says is a token."""
        if found.pooler_output is not None:
            return found.pooler_output
        states = found.last_hidden_state
        if attention_mask is None:
            return states.mean(axis=1)
        mask = integers(attention_mask)
        counts = mask.sum(axis=1, keepdims=True).clip(1)
        shares = put((mask / counts).astype(states.dtype), states.device)
        return (Tensor(shares[:, None]) @ states)[:, 0]

    def loss_of(self, logits: Tensor, labels: Any) -> Tensor:
        """The loss of logits (B, num_labels), as config.problem_type says; labels as for a call."""
        labels = integers(labels)
        problem = self.config.problem_type or self._problem(labels)
        if problem == "single_label_classification":
            return _classified("labels", logits, labels)[0]
        if problem == "regression" and logits.shape[1] == 1:
            logits = logits.reshape(labels.shape) if labels.size == len(logits) else logits
        if labels.shape != logits.shape:
            raise ValueError(f"labels {labels.shape} for a {problem} of logits {logits.shape}")
        of = F.mse_loss if problem == "regression" else F.binary_cross_entropy_with_logits
        logits = full(logits)
        return of(logits, labels.astype(logits.dtype))

    def _reads_pooler(self) -> bool:
        return self.config.classifier_pooling == "cls"

    def _problem(self, labels: Any) -> str:
        if self.config.num_labels == 1:
            return "regression"
        classes = labels.dtype.kind in "iu"
        return f"{'single' if classes else 'multi'}_label_classification"


class BertForTokenClassification(_WithBert):
    """BERT with a classifier of every word, as for names of persons and places."""

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.dropout = self._dropout()
        self.classifier = self._dense(self.config.num_labels)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        labels: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> ClassifierOutput:
        """input_ids (B, T) -> `.logits` (B, T, num_labels), and with labels (B, T), −100 at places
        that do not count, the loss; inputs and errors as for `BertForPreTraining`."""
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        logits = self.classifier(self.dropout(found.last_hidden_state))
        loss = None if labels is None else _classified("labels", logits, labels)[0]
        return ClassifierOutput(logits, loss, found.hidden_states, found.attentions)


class BertForQuestionAnswering(_WithBert):
    """BERT that shows where in a text an answer begins and ends."""

    def __init__(self, config: BertConfig | None = None):
        super().__init__(config)
        self.qa_outputs = self._dense(2)

    def forward(
        self,
        input_ids: Any,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> QuestionAnsweringOutput:
        """input_ids (B, T) -> `.start_logits` and `.end_logits` (B, T), and with both positions
        (B,) the mean of the two losses; inputs and errors as for `BertForPreTraining`.

        A position of T or more is in a part of the text that was cut off, and does not count.
        """
        asked = output_attentions, output_hidden_states
        found = self.bert(input_ids, attention_mask, token_type_ids, None, *asked)
        logits = self.qa_outputs(found.last_hidden_state)
        both, parts = (logits[:, :, 0], logits[:, :, 1]), []
        if (start_positions is None) != (end_positions is None):
            raise ValueError("BertForQuestionAnswering: give start_positions and end_positions")
        if start_positions is not None:
            parts = [
                _pointed("start_positions", both[0], start_positions),
                _pointed("end_positions", both[1], end_positions),
            ]
        loss = parts[0][0] + parts[1][0] if parts else None
        return QuestionAnsweringOutput(*both, loss, found.hidden_states, found.attentions, parts)

    def count_targets(self, batch: Mapping[str, Any]) -> tuple[int, ...]:
        """How many positions of either kind are in the texts of a batch, as a Trainer asks."""
        length = np.shape(batch["input_ids"])[1]
        names = ("start_positions", "end_positions")
        return tuple(int((integers(batch[name]) < length).sum()) for name in names)


def _classified(what: str, logits: Tensor, labels: Any) -> tuple[Tensor, int]:
    """The mean cross-entropy over labels that are not −100, and how many they are."""
    labels = class_labels(what, labels, logits.shape[:-1], logits.shape[-1])
    loss = F.cross_entropy(full(logits), labels, ignore_index=IGNORED)
    return loss, int((labels != IGNORED).sum())


def _pointed(what: str, logits: Tensor, positions: Any) -> tuple[Tensor, int]:
    """Half the mean cross-entropy of places in texts of T words, over those that are below T, and
    how many they are."""
    positions = integers(positions)
    if positions.dtype.kind in "iu":
        positions = positions.astype(np.int64)  # of which −100 is one
        if positions.size and positions.min() < 0:
            raise IndexError(f"{what}: {int(positions.min())} is before the text")
    inside = namespace(positions).where(positions < logits.shape[1], positions, IGNORED)
    loss, targets = _classified(what, logits, inside)
    return loss * 0.5, targets
