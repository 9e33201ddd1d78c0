"""What language models answer: the loss, and logits that are computed when they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_llm.tensor import Tensor


class LanguageModelOutput:
    """loss: the mean over the counted targets, or None without labels. targets: how many there are.
    hidden_states (B, T, D): the last layer's. attentions: maps (B, H, T, S), where asked for.

    A vocabulary of 50,000 makes logits the largest array of all, and training does not need them:
    `.logits` (B, T, V) are computed when they are first asked for.
    """

    def __init__(
        self,
        hidden_states: Tensor,
        head: Callable[[Tensor], Tensor],
        loss: Tensor | None = None,
        targets: int | None = None,
        attentions: Any = None,
    ):
        self.hidden_states = hidden_states
        self.loss = loss
        self.targets = targets
        self.attentions = attentions
        self._head = head
        self._logits: Tensor | None = None

    @property
    def logits(self) -> Tensor:
        """Scores (B, T, V) of the vocabulary at each place."""
        if self._logits is None:
            self._logits = self._head(self.hidden_states)
        return self._logits
