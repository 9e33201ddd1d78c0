"""The table at the end of a pretraining: the model beside what counting tokens reaches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from tinygrad_llm._text import ljust, rjust
from tinygrad_llm.metrics import wilson_interval
from tinygrad_llm.pretrain.about import unknown

Numbers = Mapping[str, float]

HEADER, WIDTHS = ("loss", "perplexity", "accuracy"), (12, 12, 12, 17)


class Row(NamedTuple):
    """A line of the table, under which names its loss and its accuracy are found, and, where it has
    an interval, the number of targets."""

    title: str
    loss: str
    accuracy: str
    targets: str = ""


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


PERPLEXITY = "perplexity: e^loss; so many equally likely answers would leave the same doubt"


def results(model: str, metrics: Numbers, baselines: Numbers) -> str:
    """Loss, in nats, perplexity and accuracy of the model on what was held out, and of baselines
    on the same targets; lines of which neither is known are left out. Below them what nats are, and
    how much of the text the tokenizer does not know."""
    tables = _gpt(metrics, baselines) if model == "gpt" else _bert(metrics, baselines)
    units = f"loss: in nats (1.44 bits each){_per_character(metrics)}\n{PERPLEXITY}"
    return "\n\n".join([*tables, units, *unknown(baselines.get("unknown", 0.0))])


def _gpt(metrics: Numbers, baselines: Numbers) -> list[str]:
    own = Row("this model", "eval_loss", "eval_accuracy")
    rows = [(own, metrics), *((row, baselines) for row in NEXT_TOKENS)]
    return [_table(_held_out(baselines["tokens"], "token"), rows)]


def _bert(metrics: Numbers, baselines: Numbers) -> list[str]:
    about = _held_out(metrics["eval_mlm_targets"], "hidden token")
    words = _table(about, _bert_rows(metrics, baselines, "mlm_", HIDDEN_WORDS))
    if "eval_nsp_accuracy" not in metrics:
        return [words]
    about = _held_out(metrics["eval_nsp_targets"], "pair", " of texts")
    return [words, _table(about, _bert_rows(metrics, baselines, "nsp_", NEXT_SENTENCES))]


def _held_out(count: float, noun: str, after: str = "") -> str:
    return f"held out: {count:,.0f} {noun}{'' if count == 1 else 's'}{after}"


def _per_character(metrics: Numbers) -> str:
    """The loss by which models with other tokenizers compare."""
    nats = metrics.get("eval_nats_per_character")
    return "" if nats is None else f" a token; this model's is {nats:.3f} a character"


def _bert_rows(metrics: Numbers, baselines: Numbers, task: str, rows: tuple[Row, ...]) -> list:
    own = Row("this model", *(f"eval_{task}{name}" for name in ("loss", "accuracy", "targets")))
    return [(own, metrics), *((row, baselines) for row in rows)]


def _table(about: str, rows: list[tuple[Row, Numbers]]) -> str:
    cells = [(about, *HEADER, "95 % interval" if any(row.targets for row, _ in rows) else "")]
    for row, numbers in rows:
        loss, accuracy = numbers.get(row.loss), numbers.get(row.accuracy)
        if loss is not None or accuracy is not None:
            shown = (_number(loss), _perplexity(loss), _share(accuracy))
            cells.append((row.title, *shown, _interval(accuracy, numbers.get(row.targets))))
    first = max(len(each[0]) for each in cells)
    return "\n".join(
        f"{ljust(title, first)}{''.join(map(rjust, rest, WIDTHS))}".rstrip()
        for title, *rest in cells
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _perplexity(loss: float | None) -> str:
    """e^loss, G11."""
    return "" if loss is None else f"{math.exp(min(loss, 99.0)):.4g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _interval(accuracy: float | None, targets: float | None) -> str:
    """Between which shares the accuracy lies on other texts of this kind, by these targets."""
    if accuracy is None or not targets:
        return ""
    low, high = wilson_interval(round(accuracy * targets), round(targets))
    return f"{low:.1%} to {high:.1%}"
