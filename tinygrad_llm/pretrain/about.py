"""What is said before a pretraining begins: how much text there is, and what is held out of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.pretrain.parts import Task
from tinygrad_llm.pretrain.texts import Document


def about(parts: tuple[Sequence[Document], Sequence[Document]], task: Task) -> str:
    """Two lines on the text to learn from and the text held out, and one on the vocabulary."""
    train, valid = (f"{len(part):,} documents, {_characters(part):,} characters" for part in parts)
    kind = type(task.tokenizer).__name__
    return (
        f"to learn from: {train}, {_size(task, task.train_dataset)}\n"
        f"held out: {valid}, {_size(task, task.eval_dataset)}\n"
        f"vocabulary: {len(task.tokenizer):,} tokens of a {kind}"
    )


def _characters(documents: Sequence[Document]) -> int:
    return sum(len(document.text) for document in documents)


def _size(task: Task, dataset: Any) -> str:
    """Tokens of packed text; rows of a BERT, which repeat some of theirs."""
    if isinstance(task, CausalTask):
        return f"{len(dataset.tokens):,} tokens"
    return f"{len(dataset):,} rows of up to {task.max_length} tokens"
