"""The Chinese texts that come with the package, as rows, and how they are split."""

from __future__ import annotations

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from tinygrad_llm.data.corpora.english_questions import Question
from tinygrad_llm.data.readers import (
    Rows,
    Sentence,
    read_conll,
    read_jsonl,
    read_labelled,
    read_text,
)
from tinygrad_llm.data.splits import Split, three_way_split

HERE = Path(__file__).parent

MANIFEST = HERE / "manifest.json"
"""The hash of each file, by which a damaged one is known."""

_END = re.compile(r"[。！？…]+[”’」』）]*")


def topics() -> Rows:
    """1,765 news-like sentences of 10 to 40 characters: 体育 科技 财经 教育 娱乐 健康."""
    return read_labelled(_checked("topics.tsv"))


def reviews() -> Rows:
    """2,028 customers' reviews of restaurants, hotels, deliveries, phones and books, some ironic or
    mixed: 好评 中评 差评 (positive, neutral, negative)."""
    return read_labelled(_checked("reviews.tsv"))


def paragraphs() -> list[str]:
    """507 paragraphs of 3 to 6 sentences that follow from each other, on many subjects."""
    return read_text(_checked("paragraphs.txt"), unit="paragraph")


def names() -> list[Sentence]:
    """694 sentences by character, with PER, LOC and ORG as BIO tags."""
    return read_conll(_checked("names.conll"))


def questions() -> list[Question]:
    """547 questions whose answers are spans of one of the paragraphs."""
    fields = {"context": str, "question": str, "answer": str, "start": int}
    return [Question(**row) for row in read_jsonl(_checked("questions.jsonl"), fields)]


def words() -> list[str]:
    """A dictionary: 6,708 Chinese words of 2 to 4 characters that stand in these texts, sorted by
    code point. Single characters are not in it: whatever cuts texts takes each for a word."""
    return read_text(_checked("words.txt"))


def sentences(paragraph: str) -> list[str]:
    """The sentences of a Chinese text, each with its mark at the end."""
    ends = [match.end() for match in _END.finditer(paragraph)]
    cuts = [0, *ends] if ends and ends[-1] == len(paragraph) else [0, *ends, len(paragraph)]
    return [paragraph[a:b] for a, b in pairwise(cuts)]


def split(
    name: str, seed: int = 0, fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
) -> Split:
    """Indices of train, validation and test of "topics", "reviews", "paragraphs", "names" or
    "questions"; the same seed gives the same.

    Topics and reviews are stratified by their labels, names by the kinds of names in a sentence.
    Questions about one paragraph stay in one part. (Questions and paragraphs are split apart from
    each other: pretrain on `split("paragraphs").train` and a test question may be about it.)
    Raises ValueError for another name, else as `three_way_split` does.
    """
    if name not in _SPLITS:
        raise ValueError(f"split: {name!r} is not one of {', '.join(_SPLITS)}")
    labels, contents = _SPLITS[name]()
    return three_way_split(labels, fractions, seed, contents)


def _by_label(rows: Rows) -> tuple[list[Any], list[Any]]:
    return rows.labels, rows.texts


def _by_kinds() -> tuple[list[str], list[Any]]:
    found = names()
    kinds = ["".join(sorted({tag[2:] for tag in each.tags if tag != "O"})) for each in found]
    rare = {kind for kind in kinds if kinds.count(kind) < 10}
    return ["rare" if kind in rare else kind for kind in kinds], ["".join(s.words) for s in found]


def _by_context() -> tuple[list[int], list[Any]]:
    contexts = [each.context for each in questions()]
    return [0] * len(contexts), contexts


_SPLITS = {
    "topics": lambda: _by_label(topics()),
    "reviews": lambda: _by_label(reviews()),
    "paragraphs": lambda: ([0] * len(paragraphs()), paragraphs()),
    "names": _by_kinds,
    "questions": _by_context,
}


def _hash_of(name: str) -> str:
    """What the manifest says. Raises ValueError for one that does not say it."""
    try:
        return str(json.loads(MANIFEST.read_text(encoding="utf-8"))["files"][name]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{MANIFEST} is damaged; install tinygrad_llm again") from None


def _checked(name: str) -> Path:
    """The path of a file that is as it was written. Raises FileNotFoundError or ValueError.

    Line ends do not count: git on Windows writes its own.
    """
    path = HERE / name
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; install tinygrad_llm again")
    content = path.read_bytes().replace(b"\r\n", b"\n")
    if hashlib.sha256(content).hexdigest() != _hash_of(name):
        raise ValueError(f"{path} is damaged: its SHA-256 differs; install tinygrad_llm again")
    return path
