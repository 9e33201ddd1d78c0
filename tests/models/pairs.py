"""A batch of three pairs with hidden words, for the tests of BERT."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.models.common import ids
from tinygrad_llm import models

TYPES = np.array([[0, 0, 1, 1, 1, 1]] * 3)
HIDDEN = np.zeros((3, 6), bool)
HIDDEN[[0, 0, 2], [1, 4, 3]] = True
LABELS = np.where(HIDDEN, ids(3, 6, seed=5), -100)
FOLLOWS = np.array([0, 1, 1])


def pretrained(model: Any, words: np.ndarray, **options: Any) -> models.PretrainingOutput:
    """One call with all labels."""
    how = {"token_type_ids": TYPES, "labels": LABELS, "next_sentence_label": FOLLOWS}
    return model(words, **{**how, **options})
