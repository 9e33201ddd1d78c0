"""The card of a tuned model: a README.md that says what it is and what was measured, no more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_llm.finetune.classifier import FINETUNE
from tinygrad_llm.finetune.measures import BAG, DRAWS, Result, figures
from tinygrad_llm.finetune.results import INTERVAL, compared, one_line, shown
from tinygrad_llm.metrics import precision_recall_fscore_support
from tinygrad_llm.models import PretrainedModel

_MARKS = re.compile(r"([\\`*_\[\]<>#|~&$])")
"""Characters that mean something in Markdown within a line; a backslash takes that away."""


@dataclass(frozen=True)
class About:
    """What a card says beside the figures.

    model: the saved one. folder: where it is. command: that of a terminal which asks it.
    labels: by the name of a part, such as "train", the labels of its rows (N,). data_hash: by which
        the data are known again.
    settings: of the run, by name, as JSON has them. base: what the model was tuned from; "" where
        it was from scratch. trained: how many of its parameters learnt. pairs: whether it takes two
        texts. needs: the folder of the model without which the saved one cannot be read, as an
        adapter; "" where it is whole.
    """

    model: PretrainedModel
    folder: str
    command: str
    labels: Mapping[str, np.ndarray]
    data_hash: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    base: str = ""
    trained: int | None = None
    pairs: bool = False
    needs: str = ""


def card(about: About, result: Result, part: str = "test") -> str:
    """The text of a README.md, in Markdown as GitHub shows it (GFM).

    result: of the model on the rows of `part`. Names, paths and settings are escaped, so that each
    is shown as it is written; line breaks and the like as their escapes. The same facts give the
    same text.
    """
    pieces = [
        f"# {'Text classifier' if result.names else 'Text regression'}: {escaped(about.folder)}",
        _what(about, result.names),
        *_needs(about),
        "## How it is used",
        *_use(about, bool(result.names)),
        f"## What was measured: {len(result.labels):,} {escaped(part)} rows",
        *_measured(result),
        "## The data",
        *_data(about, result.names),
        "## Settings",
        _settings(about.settings),
    ]
    return "\n\n".join(pieces) + "\n"


def escaped(text: str) -> str:
    """The text as a part of a line of Markdown, in a table too, that is shown as it is written."""
    return _MARKS.sub(r"\\\1", one_line(text))


def fenced(language: str, code: str) -> str:
    """A block of code, whatever runs of backticks are in it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code}\n{fence}"


def _what(about: About, names: Sequence[str]) -> str:
    """What goes in and comes out, and what is between."""
    model = about.model
    gives = f"one of {len(names):,} classes" if names else "a number"
    takes = "pair of texts" if about.pairs else "text"
    size = f"{sum(p.size for p in model.parameters()):,} parameters"
    if about.trained is not None:
        size += f", of which {about.trained:,} learnt"
    start = f"tuned from {escaped(about.base)}" if about.base else "trained from scratch"
    return f"It gives each {takes} {gives}. A {type(model).__name__} with {size}, {start}."


def _needs(about: About) -> list[str]:
    """Of an adapter: that it is a part alone, and where the rest is."""
    if not about.needs:
        return []
    return [
        "This folder has only what the tuning added: updates of low rank (LoRA), and the head. The "
        f"rest it takes from the model that it was tuned from, in {escaped(about.needs)}: keep "
        f'that as it is. Where it is moved, write its new place into {FINETUNE}, as "base".'
    ]


def _use(about: About, classes: bool) -> list[str]:
    texts = '["a text"], ["its second text"]' if about.pairs else '["a text", "another one"]'
    answer = "answer.label, answer.probabilities" if classes else "answer.label"
    lines = [
        "from tinygrad_llm.finetune.classifier import TextClassifier",
        "",
        f"classifier = TextClassifier.from_pretrained({about.folder!r})",
        f"for answer in classifier.predict({texts}):",
        f"    print({answer})",
    ]
    return [fenced("sh", about.command), fenced("python", "\n".join(lines))]


def _measured(result: Result) -> list[str]:
    """The table of measures, how it differs from the bag of words, and the classes."""
    found = figures(result)
    measures = list(next(iter(found.values())))
    rows = [
        [escaped(who), *(cell for name, figure in each.items() for cell in shown(name, figure))]
        for who, each in found.items()
    ]
    head = ["", *(cell for name in measures for cell in (name, INTERVAL))]
    pieces = [_table(head, rows)]
    _, said, *lines = compared(result) or ["", ""]
    if lines:
        items = [f"- {' '.join(line.split())}" for line in lines]
        pieces += [said[:1].upper() + said[1:], "\n".join(items)]
    return [*pieces, *_by_class(result), _how(result)]


def _how(result: Result) -> str:
    """How the intervals came to be."""
    drawn = f"the bootstrap's with {DRAWS:,} samples of the rows"
    said = f"The intervals are {drawn}; r is Pearson's correlation."
    if result.names:
        pairs = "of their difference Newcombe's for pairs, " if BAG in result.baselines else ""
        said = (
            f"The intervals of accuracies are Wilson's, {pairs}of macro F1 {drawn} of each class. "
            "Macro F1 is the mean over the classes that these rows have."
        )
    return f"{said} Of texts of other kinds all this says nothing."


def _by_class(result: Result) -> list[str]:
    """Precision, recall, F1 and rows of each class that the rows have."""
    if not result.names:
        return []
    there = np.unique(result.labels)
    columns: tuple = precision_recall_fscore_support(result.labels, result.predicted, labels=there)
    rows = [
        [escaped(result.names[i]), *(f"{score:.2f}" for score in scores), f"{count:,}"]
        for i, *scores, count in zip(there, *columns)
    ]
    return [_table(["class", "precision", "recall", "F1", "rows"], rows)]


def _data(about: About, names: Sequence[str]) -> list[str]:
    """How many rows of each class the parts have; of numbers how many, and from where to where."""
    if names:
        counts = [np.bincount(each, minlength=len(names)) for each in about.labels.values()]
        columns = [[*each, each.sum()] for each in counts]
        called = [*map(escaped, names), "all"]
        rows = [[name, *(f"{n:,}" for n in each)] for name, each in zip(called, zip(*columns))]
        table = _table(["rows of the class", *map(escaped, about.labels)], rows)
    else:
        rows = [
            [
                escaped(part),
                f"{len(x):,}",
                *(f"{n:.4g}" for n in (x.mean(dtype=float), x.min(), x.max())),
            ]
            for part, x in about.labels.items()
        ]
        table = _table(["part", "rows", "mean", "least", "greatest"], rows)
    return [table, f"Hash of the data: {escaped(about.data_hash)}"]


def _settings(settings: Mapping[str, Any]) -> str:
    """Each as JSON has it, texts without their quotes."""
    rows = []
    for name, value in settings.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        rows.append([escaped(name), escaped(text)])
    return _table(["setting", "value"], rows, "---")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "---:") -> str:
    """A table of cells that are Markdown; rule: by which all columns but the first are aligned."""
    lines = [head, ["---", *(rule for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
