"""The cases of `tuning`: what each tunes, with which settings, and on which rows."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.data import read_labelled, stratified_split
from tinygrad_llm.finetune import FinetuneOptions, data_hash, read_data, weights_hash
from tinygrad_llm.finetune.options import OF_PLACE
from tinygrad_llm.finetune.start import bert_of
from tinygrad_llm.models import BertConfig
from tinygrad_llm.tokenizers import Tokenizer


class Case(NamedTuple):
    """settings: of `FinetuneOptions`, beside USUAL; without a model it is that of the folder.
    labels: how many of the training rows are learnt from and chosen by; None for all."""

    settings: dict[str, Any]
    labels: int | None = None
    seeds: int = 3


USUAL: dict[str, Any] = {"max_length": 32}
"""Settings that all cases have, unless they say otherwise."""

CAREFUL: dict[str, Any] = {
    "learning_rate": 3e-4,
    "batch_size": 32,
    "dropout": 0.3,
    "epochs": 15,
    "patience": 15,
}
"""For a model with drawn weights and many rows, chosen on seed 1: with the usual 1e-3 its answers
for the rows to choose by are best after four to eight epochs, and then get worse."""

CASES: dict[str, Case] = {
    "scratch": Case({"model": "tiny", **CAREFUL}),
    "pretrained": Case({"dropout": 0.3}),
    "head": Case({"method": "head"}),
    "lora": Case({"method": "lora", "lora_targets": "all"}),
    "scratch 500": Case({"model": "tiny"}, 500, seeds=5),
    "pretrained 500": Case({"dropout": 0.3}, 500, seeds=5),
}


class Source(NamedTuple):
    """What all runs begin with; of the folder's model also by which its weights are known, and its
    width."""

    train: Path
    test: Path
    folder: Path
    weights: str
    width: int


class Rows(NamedTuple):
    """A file to learn from: how many of its rows are learnt, the others being chosen by, and by
    which they are known again together with those of the test file."""

    path: Path
    learned: int
    hash: str


class Work(NamedTuple):
    """A run of a case by a side, "ours" or "torch"; key: by which it is known again, as JSON."""

    case: str
    side: str
    seed: int
    options: FinetuneOptions
    key: dict[str, Any]

    @property
    def name(self) -> str:
        by = ", PyTorch" if self.side == "torch" else ""
        return f"seed {self.seed}, {self.case}{by}"


def source_of(train: Path, test: Path, folder: Path) -> Source:
    """Both files and a folder. Raises ValueError or OSError for one without a BERT."""
    model = bert_of(folder)
    Tokenizer.from_pretrained(folder)
    paths = (path.absolute() for path in (train, test, folder))
    return Source(*paths, weights_hash(model), model.config.hidden_size)


def plan(
    source: Source, cases: Sequence[str], sides: Sequence[str], seeds: int | None, folder: Path
) -> list[Work]:
    """All runs, seed by seed; their files and folders are in `folder`. seeds: of each case; None:
    as many as it has.

    Raises ValueError or OSError, with all that is said of it, for files that cannot be used.
    """
    most = seeds or max(CASES[case].seeds for case in cases)
    rows = cache(partial(_rows, source, folder.absolute()))
    return [
        _work(source, case, side, seed, rows(CASES[case].labels, seed), folder.absolute())
        for seed, case, side in itertools.product(range(most), cases, sides)
        if seed < (seeds or CASES[case].seeds)
    ]


def _rows(source: Source, folder: Path, labels: int | None, seed: int) -> Rows:
    """What this seed learns from; rows that are drawn are written into `folder`."""
    file = source.train
    if labels is not None:
        file = folder / f"{labels} labels {seed}.tsv"
        draw(source.train, labels, seed, file)
    data = read_data(file, test=source.test, seed=seed)
    if len(data.test.labels) < 2:
        raise ValueError(f"{source.test}: of one row no interval can be told: give more")
    return Rows(file, len(data.train.labels), data_hash(data))


def _work(source: Source, case: str, side: str, seed: int, rows: Rows, folder: Path) -> Work:
    out = folder / f"{case} {side} {seed}"
    places = {"model": source.folder, "train": rows.path, "test": source.test, "out": out}
    given = FinetuneOptions(**{**USUAL, **places, "seed": seed, **CASES[case].settings})
    width = BertConfig.preset(given.model).hidden_size if given.is_new else source.width
    options = given.settled(width, rows.learned)
    settings = {k: v for k, v in options.to_dict().items() if k not in OF_PLACE}
    begun = {"model": given.model if given.is_new else source.weights, "rows": rows.hash}
    key = {"case": case, "side": side, "seed": seed, "settings": settings, **begun}
    return Work(case, side, seed, options, key)


def draw(train: Path, labels: int, seed: int, into: Path) -> None:
    """Write so many rows of a file, drawn by the seed, of each class in its share.

    Raises ValueError where there are no more of them, or the file cannot be used.
    """
    rows = read_labelled(train)
    if len(rows) <= labels:
        raise ValueError(f"{train}: {len(rows)} rows are too few to draw {labels} of them")
    _, drawn = stratified_split(rows.labels, labels / len(rows), seed)
    chosen = np.sort(drawn).tolist()
    lines = "".join(f"{rows.texts[i]}\t{rows.labels[i]}\n" for i in chosen)
    into.write_text(lines, encoding="utf-8", newline="\n")
