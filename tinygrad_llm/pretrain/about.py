"""What is said before a pretraining begins: how much text there is, and what is held out of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.pretrain.files import said_of
from tinygrad_llm.pretrain.masked import MaskedTask
from tinygrad_llm.pretrain.parts import Task
from tinygrad_llm.pretrain.texts import CORPORA, Document

FEW, MANY = 0.001, 0.05
"""Shares of unknown tokens above which they are told, and warned of."""


def about(
    parts: tuple[Sequence[Document], Sequence[Document]], task: Task, data: str | None = None
) -> str:
    """A line on the text to learn from, one on the text held out, one on the vocabulary, and where
    some of it has no token that could be hidden, or none at all, one on that.
    data: where the texts are from; of a folder the first line says what was read."""
    train, valid = map(_size, parts)
    sizes = _tokens(task) if isinstance(task, CausalTask) else _rows(task)
    kind = type(task.tokenizer).__name__
    lines = [
        f"to learn from: {train}, {sizes[0]}",
        f"held out: {valid}, {sizes[1]}",
        f"vocabulary: {len(task.tokenizer):,} tokens of a {kind}",
    ]
    if isinstance(task, MaskedTask):
        lines += _left_out(task)
    if data is not None and data not in CORPORA and Path(data).is_dir():
        lines.insert(0, said_of(Path(data)))
    return "\n".join([*lines, *unknown(task.baselines["unknown"])])


def unknown(share: float) -> list[str]:
    """The lines on held-out text that the tokenizer has no token for, if anything is to be said."""
    said = f"the tokenizer has no token for {share:.1%} of the held-out text"
    if share > MANY:
        said = (
            f"warning: {said}:\n  the loss is that of an easier text, and of these words nothing "
            "is learnt;\n  a tokenizer of bpe knows all, one trained on such texts knows most"
        )
    return [said] if share > FEW else []


def _size(documents: Sequence[Document]) -> str:
    characters = sum(len(document.text) for document in documents)
    return f"{_many(len(documents), 'document')}, {_many(characters, 'character')}"


def _tokens(task: CausalTask) -> list[str]:
    return [f"{len(each.tokens):,} tokens" for each in (task.train_dataset, task.eval_dataset)]


def _rows(task: MaskedTask) -> list[str]:
    """How many rows, and what they have of the text: pairs have not all, and some of it twice."""
    return [
        f"{_many(len(each), 'row')} of up to {task.max_length} tokens, which have "
        f"{each.used / len(each.tokens):.1%} of its tokens"
        for each in (task.train_dataset, task.eval_dataset)
    ]


def _left_out(task: MaskedTask) -> list[str]:
    documents = sum(task.documents_left_out)
    rows = task.train_dataset.left_out + task.eval_dataset.left_out
    if not documents + rows:
        return []
    said = f"{_many(documents, 'document')} and {_many(rows, 'row')}"
    return [f"left out: {said} without a token to hide"]


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
