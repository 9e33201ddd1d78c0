"""What language models answer: the loss, and logits that are computed when they are asked for."""

from __future__ import annotations

from typing import Any, NamedTuple

from tinygrad_llm import functional as F
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
    hidden_states (B, T, D): the last layer's. attentions: maps (B, H, T, S), where asked for.

    A vocabulary of 50,000 makes logits the largest array of all, and training does not need them:
    `.logits` (B, T, V) are computed when they are first asked for.
    """

    def __init__(
        self,
        hidden_states: Tensor,
        head: Head,
        logits_to_keep: int = 0,
        loss: Tensor | None = None,
        targets: int | None = None,
        attentions: Any = None,
    ):
        self.hidden_states = hidden_states
        self.loss = loss
        self.targets = targets
        self.attentions = attentions
        self._head, self._kept = head, logits_to_keep
        self._logits: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """Scores (B, T, V) of the vocabulary at each place, or at the last `logits_to_keep`."""
        if self._logits is None:
            x = self.hidden_states
            self._logits = self._head.scores(x[:, -self._kept :] if self._kept else x)
        return self._logits

    def tensors(self) -> list[Tensor]:
        """What there is without computing logits: the loss, or else the hidden states."""
        return [self.hidden_states] if self.loss is None else [self.loss]


def integers(ids: Any) -> Any:
    """Ids, labels or masks as a raw array."""
    return as_array(ids.data if isinstance(ids, Tensor) else ids)
