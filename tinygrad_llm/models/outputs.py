"""What models answer: losses, and logits of a vocabulary that are computed when asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tinygrad_llm import functional as F
from tinygrad_llm import graph
from tinygrad_llm.tensor import Tensor, as_array

IGNORED = -100
"""The label of a place that does not count."""


class Head(NamedTuple):
    """The matrix that makes scores of the vocabulary: (D, V), or the tied embedding (V, D)."""

    weight: Tensor
    tied: bool

    @property
    def weights(self) -> list[Tensor]:
        """What the scores depend on."""
        return [self.weight]

    @property
    def vocabulary(self) -> int:
        return self.weight.shape[0 if self.tied else 1]

    def scores(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., V)."""
        return x @ (self.weight.T if self.tied else self.weight)

    def loss(self, x: Tensor, labels: Any) -> tuple[Tensor, int]:
        """The mean cross-entropy at labels that count, and how many do; no logits are kept."""
        loss = F.linear_cross_entropy(
            full(x), full(self.weight), labels, ignore_index=IGNORED, transposed=self.tied
        )
        return loss, int((labels != IGNORED).sum())


class _Output:
    """What is in it without computing logits, for `Module.__call__` and `summary`."""

    loss: Tensor | None = None

    def tensors(self) -> list[Tensor]:
        """The loss, or, where there is none, all else that was computed."""
        found = [value for value in vars(self).values() if isinstance(value, Tensor)]
        return found if self.loss is None else [self.loss]


class LanguageModelOutput(_Output):
    """loss: the mean over the counted targets, or None without labels. targets: how many there are.
    last_hidden_state (B, T, D). hidden_states, where asked for: what went into the first block and
    came out of each, (B, T, D). attentions, where asked for: maps (B, H, T, S).

    A vocabulary of 50,000 makes logits the largest array of all, and training does not need them:
    `.logits` (B, T, V) are computed when they are first asked for, with a tape where the model was
    called with one.
    """

    def __init__(
        self,
        last_hidden_state: Tensor,
        head: Any,
        logits_to_keep: int = 0,
        loss: Tensor | None = None,
        targets: int | None = None,
        attentions: Any = None,
        hidden_states: list[Tensor] | None = None,
    ):
        self.last_hidden_state = last_hidden_state
        self.loss = loss
        self.targets = targets
        self.attentions = attentions
        self.hidden_states = hidden_states
        self._head, self._kept = head, logits_to_keep
        self._grad = graph.current_mode().grad
        # Of changes in place there is a counter; a new array brings another one.
        self._counters = [(weight._version, weight._version[0]) for weight in head.weights]
        self._logits: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """Scores (B, T, V) of the vocabulary at each place, or at the last `logits_to_keep`.

        Raises RuntimeError where they are first asked for after the weights have changed.
        """
        if self._logits is None:
            self._check_weights()
            x = self.last_hidden_state
            with graph.mode(grad=self._grad):
                self._logits = self._head.scores(x[:, -self._kept :] if self._kept else x)
        return self._logits

    def logits_at(self, places: Any) -> Tensor:
        """Scores (n, V) at the n places where a boolean array (B, T) is True: for 15 % of the words
        15 % of the product.

        Raises ValueError for another shape, TypeError for another dtype, and as `.logits` does.
        """
        places, x = integers(places), self.last_hidden_state
        if places.dtype != bool:
            raise TypeError(f"logits_at: places are {places.dtype}: give booleans (B, T)")
        if places.shape != x.shape[:2]:
            raise ValueError(f"logits_at: places {places.shape}, expected {x.shape[:2]}")
        self._check_weights()
        with graph.mode(grad=self._grad):
            return self._head.scores(x[places])

    def _check_weights(self) -> None:
        for weight, (counter, was) in zip(self._head.weights, self._counters):
            if weight._version is counter and counter[0] == was:
                continue
            raise RuntimeError(
                ".logits: the head's weights have changed since the model was called: read .logits "
                "before the step, or call the model again"
            )

    def __repr__(self) -> str:
        """The loss, and the shapes of what there is; no logits are computed for it."""
        rows, places, _ = self.last_hidden_state.shape
        places = min(self._kept, places) if self._kept else places
        shape = (rows, places, self._head.vocabulary)
        said = [] if self.loss is None else [f"loss={self.loss.item():.4g}, targets={self.targets}"]
        said += [f"logits {shape}", f"last_hidden_state {self.last_hidden_state.shape}"]
        return f"{type(self).__name__}({', '.join(said)})"


Counted = tuple[Tensor | None, int | None]
"""A mean loss and over how many targets it is; None and None without labels."""


class PretrainingOutput(LanguageModelOutput):
    """A LanguageModelOutput of BERT's two tasks at once; loss = mlm_loss + nsp_loss, each of them
    None where its labels are  (G12).

    targets: hidden words that count, or pairs where they alone have labels; nsp_targets: pairs.
    parts: the losses that there are, each with its number of targets.
    seq_relationship_logits (B, 2): the scores of "follows" and "does not".
    """

    def __init__(
        self,
        last_hidden_state: Tensor,
        head: Any,
        seq_relationship_logits: Tensor,
        words: Counted = (None, None),
        pairs: Counted = (None, None),
        **rest: Any,
    ):
        losses = [loss for loss, _ in (words, pairs) if loss is not None]
        loss = losses[0] + losses[1] if len(losses) == 2 else next(iter(losses), None)
        super().__init__(last_hidden_state, head, loss=loss, **rest)
        self.seq_relationship_logits = seq_relationship_logits
        self.mlm_loss, self.targets = words
        self.nsp_loss, self.nsp_targets = pairs
        self.parts = [part for part in (words, pairs) if part[0] is not None]
        if self.targets is None:
            self.targets = self.nsp_targets


@dataclass
class EncoderOutput(_Output):
    """last_hidden_state (B, T, D), pooler_output (B, D) where there is a pooler; hidden_states and
    attentions where asked for, as in LanguageModelOutput."""

    last_hidden_state: Tensor
    pooler_output: Tensor | None = None
    hidden_states: list[Tensor] | None = None
    attentions: list[Tensor] | None = None


@dataclass
class ClassifierOutput(_Output):
    """logits (B, classes) of texts or (B, T, classes) of words; the mean loss, or None without
    labels; hidden_states and attentions where asked for."""

    logits: Tensor
    loss: Tensor | None = None
    hidden_states: list[Tensor] | None = None
    attentions: list[Tensor] | None = None


@dataclass
class QuestionAnsweringOutput(_Output):
    """start_logits, end_logits (B, T): scores of the places where the answer begins and ends; the
    mean loss, or None without labels; hidden_states and attentions where asked for; parts: half of
    either loss, with the number of its targets."""

    start_logits: Tensor
    end_logits: Tensor
    loss: Tensor | None = None
    hidden_states: list[Tensor] | None = None
    attentions: list[Tensor] | None = None
    parts: list[tuple[Tensor, int]] = field(default_factory=list)


def full(x: Tensor) -> Tensor:
    """In float32 at least: float16 would round a loss, and end at 65,504."""
    return x.astype("float32") if x.dtype.itemsize < 4 else x


def integers(ids: Any) -> Any:
    """Ids, labels or masks as a raw array."""
    return as_array(ids.data if isinstance(ids, Tensor) else ids)


def class_labels(what: str, labels: Any, shape: tuple[int, ...], classes: int) -> Any:
    """Labels as a raw array of integers: each a class, or −100.

    Raises ValueError for another shape, TypeError for what are no integers, IndexError for a class
    that does not exist; `what` names them.
    """
    labels = integers(labels)
    if labels.dtype.kind not in "iu":
        raise TypeError(f"{what} are {labels.dtype}: classes are integers")
    if labels.shape != shape:
        raise ValueError(f"{what} {labels.shape}, expected {shape}")
    wrong = labels[(labels != IGNORED) & ((labels < 0) | (labels >= classes))]
    if wrong.size:
        raise IndexError(
            f"{what}: {int(wrong[0])} is outside 0 … {classes - 1}; {IGNORED} does not count"
        )
    return labels
