"""2 MB of English and 2 MB of Chinese, for benchmarks of tokenizers: no network, no other files."""

from __future__ import annotations

import random
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

from tinygrad_llm.data.corpora import chinese, english_prose

SIZE = 2_000_000
"""Bytes of UTF-8 in all."""

_CLAUSE = re.compile(r"[^，。！？；：、]+[，。！？；：、]*")


def in_english() -> list[str]:
    """The topics of `help()` and the docstrings of the standard library, each once and as it is
    written, and after these sources of its modules: a few per cent of the whole."""
    root = Path(sysconfig.get_path("stdlib"))
    return _cut(dict.fromkeys(_english(root)))


def in_chinese() -> list[str]:
    """The package's corpora, each text once (about a quarter of the whole), then sentences made of
    them: the first half of one clause and the second half of another, six times.

    So almost every clause, which is a pre-token of byte-level BPE, is new.
    """
    rows = [*chinese.paragraphs(), *chinese.topics().texts, *chinese.reviews().texts]
    rows += ["".join(sentence.words) for sentence in chinese.names()]
    return _cut(_with_crossed(list(dict.fromkeys(rows))))


def _english(root: Path) -> Iterator[str]:
    yield from (topic.text for topic in english_prose.topics(root))
    for _, docstrings in english_prose.modules(root):
        yield from (docstring.text for docstring in docstrings)
    for path in sorted(root.glob("*.py")):
        yield path.read_text("utf-8", errors="replace")


def _with_crossed(rows: list[str]) -> Iterator[str]:
    """The rows, then sentences of crossed clauses without end; the same ones each time."""
    yield from rows
    clauses = [clause for row in rows for clause in _CLAUSE.findall(row)]
    generator = random.Random(0)
    while True:
        yield "".join(_crossed(*generator.choices(clauses, k=2)) for _ in range(6))


def _crossed(first: str, second: str) -> str:
    return first[: len(first) // 2] + second[len(second) // 2 :]


def _cut(texts: Iterable[str]) -> list[str]:
    """As many of the texts as make SIZE bytes, the last of them cut short."""
    taken, room = [], SIZE
    for text in texts:
        data = text.encode("utf-8")[:room]
        taken.append(data.decode("utf-8", errors="ignore"))
        room -= len(data)
        if not room:
            break
    return taken
