"""What language models answer: the loss, and logits that are computed when they are asked for."""

from __future__ import annotations

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

    def scores(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., V)."""
        return x @ (self.weight.T if self.tied else self.weight)

    def loss(self, x: Tensor, labels: Any) -> tuple[Tensor, int]:
        """The mean cross-entropy at labels that count, and how many do; no logits are kept."""
        loss = F.linear_cross_entropy(
            x, self.weight, labels, ignore_index=IGNORED, transposed=self.tied
        )
        return loss, int((labels != IGNORED).sum())


class LanguageModelOutput:
    """loss: the mean over the counted targets, or None without labels. targets: how many there are.
    last_hidden_state (B, T, D): of the last layer. attentions: maps (B, H, T, S), where asked for.

    A vocabulary of 50,000 makes logits the largest array of all, and training does not need them:
    `.logits` (B, T, V) are computed when they are first asked for, with a tape where the model was
    called with one.
    """

    def __init__(
        self,
        last_hidden_state: Tensor,
        head: Head,
        logits_to_keep: int = 0,
        loss: Tensor | None = None,
        targets: int | None = None,
        attentions: Any = None,
    ):
        self.last_hidden_state = last_hidden_state
        self.loss = loss
        self.targets = targets
        self.attentions = attentions
        self._head, self._kept = head, logits_to_keep
        self._grad = graph.current_mode().grad
        self._counter = head.weight._version  # of changes in place; a new array brings another
        self._version = self._counter[0]
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

    def _check_weights(self) -> None:
        counter = self._head.weight._version
        if counter is not self._counter or counter[0] != self._version:
            raise RuntimeError(
                ".logits: the head's weights have changed since the model was called: read .logits "
                "before the step, or call the model again"
            )

    def __repr__(self) -> str:
        """The loss, and the shapes of what there is; no logits are computed for it."""
        (rows, places, _), (weight, tied) = self.last_hidden_state.shape, self._head
        places = min(self._kept, places) if self._kept else places
        shape = (rows, places, weight.shape[0 if tied else 1])
        said = [] if self.loss is None else [f"loss={self.loss.item():.4g}, targets={self.targets}"]
        said += [f"logits {shape}", f"last_hidden_state {self.last_hidden_state.shape}"]
        return f"{type(self).__name__}({', '.join(said)})"

    def tensors(self) -> list[Tensor]:
        """What there is without computing logits: the loss, or else the last hidden state."""
        return [self.last_hidden_state] if self.loss is None else [self.loss]


def integers(ids: Any) -> Any:
    """Ids, labels or masks as a raw array."""
    return as_array(ids.data if isinstance(ids, Tensor) else ids)
