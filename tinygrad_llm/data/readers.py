"""Readers of labelled rows, JSON lines, CoNLL and plain text: a whole file, or one clear error.

A file is read line by line and must be UTF-8; a byte order mark at its start and Windows line ends
are no part of the rows. Where rows are bad, nothing is returned and one ValueError says
`FILE, line N: what is wrong; mend`, with the number of bad rows after that one. A missing file is
a FileNotFoundError, a folder an IsADirectoryError; a file without a row is a ValueError, and so is
a device, a pipe or a socket, which might never end.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from tinygrad_llm.data.lines import BadRow, Faults, FilePath, decode, raw_lines

_T = TypeVar("_T")

Kinds = type | tuple[type, ...]
"""The type that a field has, or those that it may have."""

_KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "a truth value",
    list: "a list",
    dict: "an object",
    type(None): "null",
}
_MAY_BE_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # both halves of a pair begin so too
_MAX_DIGITS = 100  # of a whole number: far above any count, far below what is slow to convert


@dataclass(frozen=True)
class Rows:
    """Labelled texts, and where they stand: row i is line `lines[i]`, counted from 1, of `path`."""

    texts: list[str]
    labels: list[str]
    lines: list[int]
    path: str

    def __len__(self) -> int:
        return len(self.texts)


class Sentence(NamedTuple):
    """Words and the BIO tag of each; `line` is the line of the first word, counted from 1."""

    words: list[str]
    tags: list[str]
    line: int


def read_labelled(path: FilePath, separator: str = "\t") -> Rows:
    """The rows `text<TAB>label` of a file, one a line.

    No header is guessed: a first line such as `text<TAB>label` is a row. The text stays as it is;
    spaces around the label are no part of it. Blank lines at the end are passed over.
    Raises ValueError, naming the line, for a row without separator or with several, an empty text
    or label, a blank line between rows and bytes that are not UTF-8; and for an empty separator
    or one with a line end; else errors as the module says.
    """
    if not separator or set(separator) & set("\r\n"):
        raise ValueError(f"read_labelled: separator {separator!r} separates nothing; use '\\t'")
    rows = _read_rows(path, lambda line: _split_row(line, separator))
    return Rows(
        [text for _, (text, _) in rows],
        [label for _, (_, label) in rows],
        [number for number, _ in rows],
        os.fspath(path),
    )


def read_jsonl(
    path: FilePath, fields: Sequence[str] | Mapping[str, Kinds] = ("text", "label")
) -> list[dict[str, Any]]:
    """The objects of a JSON lines file, one a line, with all that they hold.

    fields: names of the fields that every row has and that are texts with something in them; or a
        mapping from names to types, {"text": str, "label": int}, of str, int, float, bool, list
        and dict, or to a tuple of those that it may have, {"label": (str, int)}. A float may be
        written as a whole number. Other fields are not looked at.
    Raises ValueError, naming the line, for what is not one JSON object (NaN and Infinity are no
    JSON), half of a surrogate pair, a key that stands there twice, a number beyond a float64 or of
    over 100 digits, a field that is missing, empty or of another type; else as the module says.
    """
    kinds = _checked_fields(fields)
    return [row for _, row in _read_rows(path, lambda line: _parse_row(line, kinds))]


def read_conll(path: FilePath) -> list[Sentence]:
    """The sentences of a CoNLL file: a word a line, columns by spaces or tabs, blank lines between.

    The first column is the word and the last its tag: O, B-NAME where an entity begins, I-NAME
    where it goes on. Lines of the word -DOCSTART- are passed over.
    Raises ValueError, naming the line, for a single column, another number of columns than before,
    a tag that is none of these and an I-NAME that continues nothing; else as the module says.
    """
    parser, faults = _ConllParser(), Faults(path)
    for number, raw in raw_lines(path):
        try:
            parser.add(number, raw)
        except BadRow as bad:
            faults.add(number, bad)
    return faults.checked(parser.sentences)


def read_text(path: FilePath, unit: str = "line") -> list[str]:
    """The lines of a text that are not blank, as they are.

    unit: "line"; or "paragraph": lines that no blank line parts are one text, with "\\n" between.
    Raises ValueError for another unit and, naming the line, for bytes that are not UTF-8; else
    errors as the module says.
    """
    if unit not in ("line", "paragraph"):
        raise ValueError(f"read_text: unit {unit!r} is not one of 'line' and 'paragraph'")
    faults, units, go_on = Faults(path), list[list[str]](), False
    for number, raw in raw_lines(path):
        try:
            line = decode(raw)
        except BadRow as bad:
            faults.add(number, bad)
            continue
        if line.strip() and go_on:
            units[-1].append(line)
        elif line.strip():
            units.append([line])
        go_on = unit == "paragraph" and bool(line.strip())
    return faults.checked(["\n".join(lines) for lines in units])


def _read_rows(path: FilePath, parse: Callable[[str], _T]) -> list[tuple[int, _T]]:
    """The number and the parsed row of every line, blank ones at the end left out."""
    faults, rows, blank = Faults(path), list[tuple[int, _T]](), list[int]()
    for number, raw in raw_lines(path):
        if not raw.strip(b" \r\n"):
            blank.append(number)
            continue
        for place in blank:
            faults.add(place, "the line is blank; remove it")
        blank.clear()
        try:
            rows.append((number, parse(decode(raw))))
        except BadRow as bad:
            faults.add(number, bad)
    return faults.checked(rows)


def _split_row(line: str, separator: str) -> tuple[str, str]:
    """The text and the label of a row."""
    name = "tab" if separator == "\t" else f"separator {separator!r}"
    count = line.count(separator)
    if not count:
        raise BadRow(f"the row {reprlib.repr(line)} has no {name}; write text, {name}, label")
    if count > 1:
        raise BadRow(f"the row has the {name} {count} times; keep the one before the label")
    text, label = line.split(separator)
    if not text.strip():
        raise BadRow(f"the text is empty; write one before the {name}, or remove the row")
    if not label.strip():
        raise BadRow(f"the label is empty; write one after the {name}, or remove the row")
    return text, label.strip()


def _checked_fields(
    fields: Sequence[str] | Mapping[str, Kinds],
) -> dict[str, tuple[type, ...]]:
    """The types that each field that a row must have may be of."""
    if isinstance(fields, str):
        raise TypeError(f"read_jsonl: fields is the text {fields!r}; give a tuple, ({fields!r},)")
    given: Mapping[str, Kinds] = (
        fields if isinstance(fields, Mapping) else dict.fromkeys(fields, str)
    )
    kinds = {name: kind if isinstance(kind, tuple) else (kind,) for name, kind in given.items()}
    for name, each in kinds.items():
        for kind in each or (None,):
            if kind not in _KINDS:
                raise TypeError(f"read_jsonl: field {name!r}: {kind!r} is no JSON type; use str")
    return kinds


def _parse_row(line: str, kinds: dict[str, tuple[type, ...]]) -> dict[str, Any]:
    """A strict JSON object with the fields of these types."""
    try:
        row = json.loads(
            line,
            object_pairs_hook=_unique,
            parse_int=_parse_int,
            parse_float=_parse_float,
            parse_constant=_refuse_constant,
        )
        _check_surrogates(line, row)
    except json.JSONDecodeError as error:
        what = f"no valid JSON ({error.msg.removesuffix(' at')} at character {error.colno})"
        raise BadRow(f"{what}; write one object {{...}} a line") from None
    except RecursionError:
        raise BadRow("the JSON is nested too deeply; write a flat object") from None
    if not isinstance(row, dict):
        raise BadRow(f"the row is {_KINDS[type(row)]}; write one object {{...}} a line")
    return row | {name: _field(row, name, kind) for name, kind in kinds.items()}


def _field(row: dict[str, Any], name: str, kinds: tuple[type, ...]) -> Any:
    """The value of a field that must be there, with one of these types."""
    if name not in row:
        shown = ", ".join(map(repr, list(row)[:8])) or "none"
        raise BadRow(f"the field {name!r} is missing; add it (the fields are: {shown})")
    value: Any = row[name]
    if type(value) is int and float in kinds and int not in kinds:
        return float(value)
    if type(value) not in kinds:  # True is an int to isinstance
        wanted = " or ".join(_KINDS[kind] for kind in kinds)
        is_what = f"{reprlib.repr(value)}, {_KINDS[type(value)]}, not {wanted}"
        mend = "change it" if len(kinds) > 1 else "change it, or the type in `fields`"
        raise BadRow(f"the field {name!r} is {is_what}; {mend}")
    if isinstance(value, str) and not value.strip():
        raise BadRow(f"the field {name!r} is empty; fill it in, or remove the row")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; refuse a key that stands there twice."""
    content: dict[str, Any] = {}
    for name, value in pairs:
        if name in content:
            shown = reprlib.repr(name)
            raise BadRow(f"the key {shown} stands there twice; keep one of the two")
        content[name] = value
    return content


def _check_surrogates(line: str, row: Any) -> None:
    """Refuse texts with half of a surrogate pair: no file can hold them as UTF-8 again."""
    if _MAY_BE_HALF.search(line) is None:
        return
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        what = f"{half} is half of a surrogate pair, and no character"
        raise BadRow(f"{what}; write both halves, or the character itself") from None


def _parse_int(digits: str) -> int:
    """A whole number; refuse what takes long to convert."""
    if len(digits) > _MAX_DIGITS:
        raise BadRow(f"the number {reprlib.repr(digits)} is huge; write it as a text")
    return int(digits)


def _parse_float(digits: str) -> float:
    """A number; refuse what a float64 cannot hold."""
    number = float(digits)
    if math.isinf(number):
        raise BadRow(f"the number {reprlib.repr(digits)} is beyond a float64; write a smaller one")
    return number


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and Infinity, which Python reads though JSON has no such values."""
    raise BadRow(f"{constant} is no JSON value; write a number or null")


class _ConllParser:
    """The sentences so far, and what the next line must fit."""

    def __init__(self) -> None:
        self.sentences: list[Sentence] = []
        self.inside = False
        self.columns = 0
        self.previous: str | None = "O"  # the tag of the word before; None where that was bad

    def add(self, number: int, raw: bytes) -> None:
        """Read one more line."""
        previous, self.previous = self.previous, None
        columns = re.split(r"[ \t]+", decode(raw).rstrip(" \t"))
        if columns == [""] or columns[0] == "-DOCSTART-":
            self.inside, self.previous = False, "O"
            return
        if not self.inside:
            self.sentences.append(Sentence([], [], number))
            self.inside = True
        self._check_columns(columns)
        self.previous = tag = _checked_tag(columns[-1])
        _check_continues(previous, tag)
        self.sentences[-1].words.append(columns[0])
        self.sentences[-1].tags.append(tag)

    def _check_columns(self, columns: list[str]) -> None:
        """Refuse a line without word or tag, or of another width than those before."""
        if not columns[0]:
            raise BadRow("the line begins with a space, so the word is empty; write the word")
        if len(columns) == 1:
            raise BadRow(f"{reprlib.repr(columns[0])} has no tag; write word, space, tag")
        self.columns = self.columns or len(columns)
        if len(columns) != self.columns:
            what = f"the line has {len(columns)} columns, the lines before {self.columns}"
            raise BadRow(f"{what}; write the same columns for every word")


def _checked_tag(tag: str) -> str:
    """`tag`, which must be O, B-NAME or I-NAME."""
    if tag != "O" and not (tag[:2] in ("B-", "I-") and tag[2:]):
        what = f"{reprlib.repr(tag)} is no BIO tag"
        raise BadRow(f"{what}; write O, B-NAME or I-NAME (of BIOES, S- is B- and E- is I-)")
    return tag


def _check_continues(previous: str | None, tag: str) -> None:
    """Refuse an I-NAME that follows neither B-NAME nor I-NAME."""
    if tag[0] != "I" or previous is None:
        return
    if previous == "O" or previous[2:] != tag[2:]:
        raise BadRow(f"{tag} continues nothing (before it is {previous}); write B-{tag[2:]}")
