"""What is said before a pretraining begins: how much text there is, and what is held out of it."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.pretrain.masked import MaskedTask
from tinygrad_llm.pretrain.parts import Task
from tinygrad_llm.pretrain.texts import Document


def about(parts: tuple[Sequence[Document], Sequence[Document]], task: Task) -> str:
    """A line on the text to learn from, one on the text held out, one on the vocabulary, and where
    some of it has no token that could be hidden one on that."""
    train, valid = (f"{len(part):,} documents, {_characters(part):,} characters" for part in parts)
    sizes = _tokens(task) if isinstance(task, CausalTask) else _rows(task)
    kind = type(task.tokenizer).__name__
    lines = [
        f"to learn from: {train}, {sizes[0]}",
        f"held out: {valid}, {sizes[1]}",
        f"vocabulary: {len(task.tokenizer):,} tokens of a {kind}",
    ]
    if isinstance(task, MaskedTask):
        lines += _left_out(task)
    return "\n".join(lines)


def _characters(documents: Sequence[Document]) -> int:
    return sum(len(document.text) for document in documents)


def _tokens(task: CausalTask) -> list[str]:
    return [f"{len(each.tokens):,} tokens" for each in (task.train_dataset, task.eval_dataset)]


def _rows(task: MaskedTask) -> list[str]:
    """How many rows, and what they have of the text: pairs have not all, and some of it twice."""
    return [
        f"{len(each):,} rows of up to {task.max_length} tokens, which have "
        f"{each.used / len(each.tokens):.1%} of its tokens"
        for each in (task.train_dataset, task.eval_dataset)
    ]


def _left_out(task: MaskedTask) -> list[str]:
    documents = sum(task.documents_left_out)
    rows = task.train_dataset.left_out + task.eval_dataset.left_out
    if not documents + rows:
        return []
    return [f"left out: {documents:,} documents and {rows:,} rows without a token to hide"]
