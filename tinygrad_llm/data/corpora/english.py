"""English prose of the standard library: documents, labelled paragraphs and questions about it.

The texts are those of the user's own Python: its docstrings and the chapters that `help()` shows.
They are read from the source files, without a network and without importing a module; tests and
developers' tools are left out. All such text, with code and repetitions, is about 2 MB; what stays
is prose in whole sentences, about 1.1 MB. It differs by version:

Python            documents  paragraphs  characters  labelled  questions
3.10.13                 389       8,358   1,088,785     2,228      1,238
3.11.7                  402       8,500   1,102,536     2,291      1,246
3.12.1                  402       8,608   1,116,314     2,299      1,235
3.13.0                  403       8,650   1,116,922     2,362      1,190
3.11.2 of Debian        389       7,777   1,021,795     2,282      1,147

`describe()` prints these figures for the Python that runs it. Debian has tkinter in a package of
its own. Some paragraphs could be from anywhere ("Return the name of the thread."), so that no
classifier can get all labels right.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import sysconfig
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.backend import Stream
from tinygrad_llm.data.corpora import english_prose as prose
from tinygrad_llm.data.corpora.english_questions import Question, ask
from tinygrad_llm.files import write_json

VERSION = 2
"""Of the rules: what other rules wrote into the cache is not read."""

PACKAGES = (
    *("asyncio", "decimal", "email", "http", "importlib"),
    *("inspect", "logging", "typing", "unittest", "xml"),
)
"""The labels: the packages with the most paragraphs among those that every installation has."""


class Document(NamedTuple):
    """A module of a package, or a topic of the language reference (its package is "language")."""

    name: str
    package: str
    paragraphs: tuple[str, ...]


class Labelled(NamedTuple):
    """A paragraph and the package that it is from."""

    text: str
    label: str


class _Corpus(NamedTuple):
    documents: tuple[Document, ...]
    questions: tuple[Question, ...]


def documents() -> list[Document]:
    """Topics and modules, sorted by name; no paragraph stands in it twice."""
    return list(_corpus().documents)


def labelled() -> list[Labelled]:
    """The paragraphs of the ten PACKAGES that do not hold the name of their own, in any case.

    To split them: `three_way_split(labels, contents=texts)`.
    """
    return [
        Labelled(text, document.package)
        for document in _corpus().documents
        if document.package in PACKAGES
        for text in document.paragraphs
        if document.package not in text.lower()
    ]


def questions() -> list[Question]:
    """Questions whose answers are spans of the context, by rule from the docstrings.

    Several have the same context; so split them with `contents=` the contexts.
    """
    return list(_corpus().questions)


def split_documents(
    documents: Sequence[Document],
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> tuple[list[Document], list[Document], list[Document]]:
    """Train, validation and test: whole documents, so that none is in two parts.

    In random order each goes to the part that has the least of its share of the characters. The
    same seed gives the same split. Raises ValueError for fractions that are not three above 0
    with sum 1, and for documents too few for three parts.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f"split_documents: fractions {fractions} are not three above 0 with sum 1; give "
            "(train, validation, test) such as (0.8, 0.1, 0.1)"
        )
    parts: tuple[list[Document], ...] = ([], [], [])
    filled = [0, 0, 0]
    for place in Stream("documents", seed).next().generator().permutation(len(documents)):
        size = sum(map(len, documents[place].paragraphs))
        part = min(range(3), key=lambda i: (filled[i] + size) / fractions[i])
        filled[part] += size
        parts[part].append(documents[place])
    if not all(parts):
        raise ValueError(
            f"split_documents: {len(documents)} documents are too few for three parts; give more"
        )
    return parts[0], parts[1], parts[2]


def describe() -> str:
    """How much there is, in a few lines."""
    corpus, labels = _corpus(), Counter(row.label for row in labelled())
    paragraphs = [text for document in corpus.documents for text in document.paragraphs]
    contexts = len({question.context for question in corpus.questions})
    return "\n".join(
        [
            f"documents: {len(corpus.documents)}, with {len(paragraphs):,} paragraphs of "
            f"{sum(map(len, paragraphs)):,} characters",
            f"labelled: {sum(labels.values()):,} paragraphs; "
            + ", ".join(f"{name} {labels[name]}" for name in PACKAGES),
            f"questions: {len(corpus.questions):,} about {contexts:,} contexts",
        ]
    )


@lru_cache(maxsize=1)
def _corpus() -> _Corpus:
    """From the cache where it is sound, else built and put there."""
    root = Path(sysconfig.get_path("stdlib"))
    key = f"{VERSION} {sys.version} {root}"
    corpus = _load(key)
    if corpus is None:
        corpus = _build(root)
        _store(key, corpus)
    return corpus


def _build(root: Path) -> _Corpus:
    """Read everything. Raises RuntimeError where Python has come without its sources."""
    seen: set[str] = set()
    found, asked = [], dict[tuple[str, str], Question]()
    for topic in prose.topics(root):
        found.append(Document(topic.name, "language", _fresh([topic], seen)))
    for name, docstrings in prose.modules(root):
        found.append(Document(name, name.split(".")[0].strip("_"), _fresh(docstrings, seen)))
        for question in (q for docstring in docstrings for q in ask(docstring)):
            asked.setdefault((question.context, question.answer), question)
    found = sorted(document for document in found if document.paragraphs)
    if not found:
        raise RuntimeError(f"english: no sources under {root}; use a Python that has its library")
    return _Corpus(tuple(found), tuple(asked.values()))


def _fresh(docstrings: Sequence[prose.Docstring], seen: set[str]) -> tuple[str, ...]:
    """The paragraphs that are not in `seen`, and now are."""
    texts = [prose.paragraph(item) for each in docstrings for item in prose.items(each)]
    fresh = tuple(text for text in dict.fromkeys(texts) if text and text not in seen)
    seen.update(fresh)
    return fresh


def _cache_file(key: str) -> Path:
    """In TINYGRAD_LLM_CACHE, or in the folder tinygrad_llm of the user's cache folder.

    Raises RuntimeError for a user without a home.
    """
    name = f"english-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if own := os.environ.get("TINYGRAD_LLM_CACHE"):
        return Path(own, name).expanduser()
    shared = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(shared) if os.path.isabs(shared) else Path.home() / ".cache"
    return folder / "tinygrad_llm" / name


def _store(key: str, corpus: _Corpus) -> None:
    """Write the cache. Where that cannot be, the next run builds again: no reason to stop."""
    try:
        path = _cache_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"key": key, **corpus._asdict()})
    except (OSError, RuntimeError):
        return


def _load(key: str) -> _Corpus | None:
    """What the cache holds; None where there is none, or one that is not what `_store` writes."""
    try:
        content = json.loads(_cache_file(key).read_text(encoding="utf-8"))
        if content["key"] != key or not content["documents"]:
            return None
        found = tuple(_document(*row) for row in content["documents"])
        return _Corpus(found, tuple(_question(*row) for row in content["questions"]))
    except (OSError, RuntimeError, ValueError, TypeError, KeyError):
        return None


def _document(name: Any, package: Any, paragraphs: Any) -> Document:
    """A document of the cache; TypeError for what is none."""
    if type(paragraphs) is not list:
        raise TypeError("the paragraphs of a document are no list")
    _check_texts(name, package, *paragraphs)
    return Document(name, package, tuple(paragraphs))


def _question(context: Any, question: Any, answer: Any, start: Any) -> Question:
    """A question of the cache; TypeError for what is none."""
    _check_texts(context, question, answer)
    if type(start) is not int or start < 0 or not context.startswith(answer, start):
        raise TypeError("the answer of a question does not stand in its context")
    return Question(context, question, answer, start)


def _check_texts(*texts: Any) -> None:
    if not all(type(text) is str for text in texts):
        raise TypeError("a text of the cache is none")
