"""Raw text as documents of sentences, from a corpus or a file, and its split without overlap."""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from tinygrad_llm.data.corpora import english, paragraphs
from tinygrad_llm.data.hashing import row_hash
from tinygrad_llm.data.lines import BadRow, Faults, check_regular, decode, raw_lines
from tinygrad_llm.data.readers import read_jsonl, read_text
from tinygrad_llm.data.splits import check_disjoint
from tinygrad_llm.pretrain.files import text_files

CORPORA = ("english", "chinese")
UNITS = ("file", "paragraph", "line")

FilePath = str | os.PathLike[str]

_ABBREVIATIONS = frozenset(
    [
        *("e.g", "i.e", "cf", "vs", "approx", "Fig", "fig", "Eq", "No", "Nos", "Sec", "Vol", "pp"),
        *("Mr", "Mrs", "Ms", "Dr", "Prof", "St", "Sr", "Jr"),
    ]
)
_MARK = re.compile(r"(?P<marks>[.!?。！？…]+)[\"'”’」』）)\]]*\s*|\s+")
_WORD = re.compile(r"[\w.]+$")
_ITEM = re.compile(r"(?:^|\n)[^\S\n]*\d{1,3}$")
"""The number of an item at the beginning of a line."""


class Document(NamedTuple):
    """A text that stays whole. sentences: joined they are the text, so each has with it the white
    space that stands after it."""

    name: str
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.sentences)


def sentences(text: str) -> list[str]:
    """The sentences of a text, English or Chinese; joined they are the text.

    A sentence ends after 。！？… and after . ! ? before white space, with the quotes and brackets
    that close there, and at a line break. Where a small letter goes on, nothing ends but after
    。！？ (the line was wrapped, or it said "e.g. this"); nor after "Mr." and the like, "U.S.", and
    the number of an item, as in "1. This".
    """
    first = len(text) - len(text.lstrip())
    found = (m for m in _MARK.finditer(text, first) if _is_end(text, m))
    ends = [match.end() for match in found]
    cuts = [0, *ends] if ends and ends[-1] == len(text) else [0, *ends, len(text)]
    return [text[a:b] for a, b in pairwise(cuts) if a < b]


def _is_end(text: str, match: re.Match[str]) -> bool:
    """Whether a sentence ends with these marks, or with this white space."""
    marks, after = match["marks"] or "", text[match.end() : match.end() + 1]
    if set(marks) & set("。！？"):
        return True
    if after.islower():
        return False
    if not marks or "…" in marks:
        return bool(marks) or "\n" in match[0]
    parted = not after or match[0][-1].isspace()
    return parted and not (marks == "." and _is_abbreviation(text, match.start()))


def _is_abbreviation(text: str, stop: int) -> bool:
    """Whether a full stop here belongs to the word: "e.g.", the A of "A. Lovelace", the S of
    "U.S.", or the 1 of "1. This" where a line begins."""
    before = text[max(0, stop - 12) : stop]
    word = _WORD.search(before)
    said = word[0] if word else ""
    letters = said.split(".")
    capitals = said != "I" and all(len(each) == 1 and each.isupper() for each in letters)
    begins = ("" if stop <= 12 else "x") + before  # a line begins there with the text alone
    return said in _ABBREVIATIONS or capitals or bool(_ITEM.search(begins))


def read_documents(source: FilePath, unit: str | None = None) -> list[Document]:
    """The documents of a corpus or of files, in the order in which they stand there.

    source: "english" (modules and topics of Python's own library, a paragraph a line), "chinese"
        (507 paragraphs), a .txt file, a folder with .txt files in it or below (`text_files` leaves
        folders of models out), or a .jsonl file whose rows have a field "text".
    unit: what a document of a .txt file is: "file" all of it, "paragraph" what blank lines part, or
        "line". None: the file in a folder, else the paragraph.

    Raises FileNotFoundError for what is not there; ValueError, in one line that names the file, for
    one that is empty, not UTF-8 or of another kind, for a folder without .txt or of a model, an
    unknown unit, and a unit where there is nothing to part; OSError for what cannot be read.
    """
    check_unit(source, unit)
    if source in CORPORA:
        return _corpus(str(source))
    path = Path(source)
    if path.is_dir():
        return _of_folder(path, unit or "file")
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}: give a .txt or .jsonl file, a folder, or {' or '.join(CORPORA)}"
        )
    if path.suffix.lower() == ".jsonl":
        rows = read_jsonl(path, ("text",))
        return [_document(f"{path.name}, row {i}", row["text"]) for i, row in enumerate(rows, 1)]
    if path.suffix.lower() != ".txt":
        raise ValueError(f"{path} is neither .txt nor .jsonl: rename it, or convert it to one")
    return _of_text(path, path.name, unit or "paragraph")


def check_unit(source: FilePath, unit: str | None) -> None:
    """Refuse a unit that does not exist, or that would part nothing. Raises ValueError."""
    if unit is None:
        return
    if unit not in UNITS:
        raise ValueError(f"unit {unit!r} is not one of {', '.join(UNITS)}")
    if source in CORPORA or Path(source).suffix.lower() == ".jsonl":
        raise ValueError(f"unit {unit!r} is for .txt files: {source} has documents; leave it out")


def _corpus(name: str) -> list[Document]:
    if name == "english":
        return [_document(d.name, "\n".join(d.paragraphs)) for d in english.documents()]
    return [_document(f"paragraph {i}", text) for i, text in enumerate(paragraphs(), 1)]


def _document(name: str, text: str) -> Document:
    return Document(name, tuple(sentences(text.strip())))


def _of_folder(folder: Path, unit: str) -> list[Document]:
    """Those of all .txt files, sorted by their paths."""
    return [
        document
        for path in text_files(folder).paths
        for document in _of_text(path, path.relative_to(folder).as_posix(), unit)
    ]


def _of_text(path: Path, name: str, unit: str) -> list[Document]:
    check_regular(path)
    if unit == "file":
        return [_document(name, _whole(path))]
    texts = read_text(path, unit)
    return [_document(f"{name}, {unit} {i}", text) for i, text in enumerate(texts, 1)]


def _whole(path: Path) -> str:
    """A file with its blank lines. Raises ValueError for bytes that are no UTF-8, or no text."""
    faults, lines = Faults(path), list[str]()
    for number, raw in raw_lines(path):
        try:
            lines.append(decode(raw))
        except BadRow as bad:
            faults.add(number, bad)
    return "\n".join(faults.checked(lines if any(map(str.strip, lines)) else []))


def split_documents(
    documents: Sequence[Document], share: float = 0.1, seed: int = 0
) -> tuple[list[Document], list[Document]]:
    """(train, valid): whole documents, each in one of them, and no text in both.

    In the order of the hashes of seed and text a document goes to `valid` where that brings it
    nearer to its share of the characters. So it hangs on the texts alone, not on their order; equal
    texts stay together, white space aside. Of a single text the last share is held out, from the
    beginning of a sentence where there are several.
    Raises ValueError for a share outside (0, 1), no documents, and a text too short to be parted.
    """
    if not 0.0 < share < 1.0:
        raise ValueError(f"split_documents: share is above 0 and below 1, not {share}")
    if not documents:
        raise ValueError("split_documents: there are no documents; give at least one")
    contents = [_content(document) for document in documents]
    if len(set(contents)) == 1:
        train, valid = _parted(documents[0], share)
    else:
        held = _held_out(contents, share, seed)
        train, valid = (
            [d for d, text in zip(documents, contents) if (text in held) == side]
            for side in (False, True)
        )
    check_disjoint(*([_content(document) for document in part] for part in (train, valid)))
    return train, valid


def _content(document: Document) -> str:
    """By what a text is known again."""
    return " ".join(document.text.split())


def _held_out(contents: Iterable[str], share: float, seed: int) -> set[str]:
    """Which texts are held out: at least one, and not all."""
    sizes: dict[str, int] = {}
    for text in contents:
        sizes[text] = sizes.get(text, 0) + len(text)
    wanted, filled, held = share * sum(sizes.values()), 0, set[str]()
    for text in sorted(sizes, key=lambda text: row_hash((seed, text))):
        if filled + sizes[text] / 2 < wanted and len(held) < len(sizes) - 1:
            filled += sizes[text]
            held.add(text)
    return held or {min(sizes, key=lambda text: (sizes[text], text))}


def _parted(document: Document, share: float) -> tuple[list[Document], list[Document]]:
    """One text as two, of which the second has the last share of the characters."""
    parts = document.sentences if len(document.sentences) > 1 else tuple(document.text.strip())
    if len(parts) < 2:
        raise ValueError(
            f"split_documents: {document.name} is too short to hold a part out; give more text"
        )
    ends = list(accumulate(map(len, parts)))
    place = bisect(ends, (1 - share) * ends[-1])  # so many parts are whole before the last share
    text, cut = "".join(parts), ends[min(max(place, 1), len(parts) - 1) - 1]
    train, valid = (tuple(sentences(part)) for part in (text[:cut], text[cut:]))
    name = document.name
    return [Document(f"{name}, first", train)], [Document(f"{name}, last", valid)]
