"""Texts to be labelled, from the command line, a file or standard input, read as they come."""

from __future__ import annotations

import codecs
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.cli.checks import decoded

STDIN = "-"
"""The name of standard input."""

_TABS = "the row has {} tabs; of a pair there is one, between its two texts"

_LABELLED = (
    "there is a tab in the row, and the model takes single texts; cut labels off, or judge the "
    "model by them with evaluate"
)


class Text(NamedTuple):
    """A text, and the second one where it is a pair."""

    first: str
    second: str | None


def typed_texts(words: Sequence[str], pairs: bool) -> Iterator[Text]:
    """Those after --text; for a model of pairs two by two. Raises ValueError for an odd one and for
    empty ones."""
    texts = [decoded("--text", word) for word in words]
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            raise ValueError(f"--text: text {number} is empty; write one, or leave it out")
    if not pairs:
        return (Text(text, None) for text in texts)
    if len(texts) % 2:
        raise ValueError(f"--text: the model takes pairs, and {len(texts)} texts are no pairs")
    return map(Text, texts[::2], texts[1::2])


def read_texts(path: str, pairs: bool) -> Iterator[Text]:
    """The texts of a file, one a line; of pairs `text<TAB>second text`. The lines of a .jsonl (or
    .json) file are objects with "text" and, of pairs, "text_pair"; what else they have is left out.
    "-" is standard input. No more than a line is held in memory.

    Blank lines at the end are passed over. Raises ValueError, when it comes to it, for a blank line
    before another one and for a line that is not as it should be, naming it; and what `raw_lines`
    raises for a file.
    """
    from tinygrad_llm.data.lines import BadRow, decode, raw_lines

    lines, where = (
        (_standard_input(), "standard input") if path == STDIN else (raw_lines(path), path)
    )
    objects = path != STDIN and Path(path).suffix.lower() in (".jsonl", ".json")
    parse, blank = _from_json if objects else _from_line, 0
    for number, raw in lines:
        if not raw.strip(b" \r\n"):
            blank = blank or number
            continue
        if blank:
            raise ValueError(f"{where}, line {blank}: the line is blank; remove it")
        try:
            text = _checked(*parse(decode(raw), pairs))
        except BadRow as bad:
            raise ValueError(f"{where}, line {number}: {bad}") from None
        yield text


def portions(texts: Iterable[Text], size: int) -> Iterator[list[Text]]:
    """Lists of `size` texts, the last shorter. Where a text cannot be read, those before it come
    first, and then the error."""
    texts = iter(texts)
    while True:
        found: list[Text] = []
        try:
            for text in islice(texts, size):
                found.append(text)
        except (ValueError, OSError):
            if found:
                yield found
            raise
        if not found:
            return
        yield found


def _standard_input() -> Iterator[tuple[int, bytes]]:
    """The number of each line, from 1, and its bytes; without a byte order mark."""
    for number, raw in enumerate(sys.stdin.buffer, start=1):
        yield number, raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw


def _from_line(line: str, pairs: bool) -> tuple[str, str | None]:
    from tinygrad_llm.data.lines import BadRow

    tabs = line.count("\t")
    if pairs and tabs != 1:
        raise BadRow(_TABS.format(tabs or "no"))
    if not pairs and tabs:
        raise BadRow(_LABELLED)
    first, _, second = line.partition("\t")
    return first, second if pairs else None


def _from_json(line: str, pairs: bool) -> tuple[str, str | None]:
    from tinygrad_llm.data.lines import BadRow

    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise BadRow("no valid JSON; write one object {...} a line") from None
    if not isinstance(row, dict):
        raise BadRow("the row is no object; write one object {...} a line")
    if not pairs and "text_pair" in row:
        raise BadRow("there is a 'text_pair' in the row, and the model takes single texts")
    return _text(row, "text"), _text(row, "text_pair") if pairs else None


def _text(row: dict[str, Any], name: str) -> str:
    """A field that is a text, whose characters are whole ones."""
    from tinygrad_llm.data.lines import BadRow

    if not isinstance(row.get(name), str):
        raise BadRow(f"the field {name!r} is missing, or no text; give one")
    try:
        row[name].encode("utf-8")
    except UnicodeEncodeError:
        raise BadRow(f"the field {name!r} has half of a surrogate pair; correct it") from None
    return row[name]


def _checked(first: str, second: str | None) -> Text:
    """Refuse texts with nothing in them."""
    from tinygrad_llm.data.lines import BadRow

    for which, text in (("first ", first), ("second ", second)):
        if text is not None and not text.strip():
            raise BadRow(f"the {which if second is not None else ''}text is empty; remove the row")
    return Text(first, second)
