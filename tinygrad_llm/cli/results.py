"""The table at the end of a pretraining: the model beside what counting tokens reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tinygrad_llm._text import ljust, rjust

Numbers = Mapping[str, float]

HEADER = ("loss", "perplexity", "accuracy")


class Row(NamedTuple):
    """A line of the table, and under which names its loss and its accuracy are found."""

    title: str
    loss: str
    accuracy: str


NEXT_TOKENS = (
    Row("the most frequent token", "unigram", "unigram_accuracy"),
    Row("counts of two tokens", "bigram", "bigram_accuracy"),
    *(Row(f"counts of up to {n} tokens", f"witten_bell_{n}", "") for n in range(3, 10)),
)
HIDDEN_WORDS = (
    Row("the most frequent token", "unigram_loss", "unigram_accuracy"),
    Row("what followed the token before", "", "left_neighbour_accuracy"),
)
NEXT_SENTENCES = (
    Row("a coin", "half_loss", "half"),
    Row("how many words both share", "", "word_overlap"),
)


def results(model: str, metrics: Numbers, baselines: Numbers) -> str:
    """Loss, in nats, perplexity and accuracy of the model on what was held out, and of baselines
    on the same targets; lines of which neither is known are left out."""
    if model == "gpt":
        about = f"held out: {baselines['tokens']:,.0f} tokens"
        own = Row("this model", "eval_loss", "eval_accuracy")
        text = _table(about, [(own, metrics), *((row, baselines) for row in NEXT_TOKENS)])
        nats = f"{metrics['eval_nats_per_character']:.3f} nats a character"
        return f"{text}\n\nthe loss is in nats a token; this model's is {nats}"
    about = f"held out: {metrics['eval_mlm_targets']:,.0f} hidden tokens"
    words = _table(about, _bert_rows(metrics, baselines, "mlm_", HIDDEN_WORDS))
    if "eval_nsp_accuracy" not in metrics:
        return words
    about = f"held out: {metrics['eval_nsp_targets']:,.0f} pairs of texts"
    pairs = _table(about, _bert_rows(metrics, baselines, "nsp_", NEXT_SENTENCES))
    return f"{words}\n\n{pairs}"


def _bert_rows(metrics: Numbers, baselines: Numbers, task: str, rows: tuple[Row, ...]) -> list:
    own = Row("this model", f"eval_{task}loss", f"eval_{task}accuracy")
    return [(own, metrics), *((row, baselines) for row in rows)]


def _table(about: str, rows: list[tuple[Row, Numbers]]) -> str:
    cells = [(about, *HEADER)]
    for row, numbers in rows:
        loss, accuracy = numbers.get(row.loss), numbers.get(row.accuracy)
        if loss is not None or accuracy is not None:
            cells.append((row.title, _number(loss), _perplexity(loss), _share(accuracy)))
    first = max(len(each[0]) for each in cells)
    return "\n".join(
        f"{ljust(title, first)}{''.join(rjust(cell, 12) for cell in rest)}".rstrip()
        for title, *rest in cells
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _perplexity(loss: float | None) -> str:
    """e^loss, G11."""
    return "" if loss is None else f"{math.exp(min(loss, 99.0)):.4g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"
