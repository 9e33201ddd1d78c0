"""Labelled rows of files: classes or numbers, and the parts to learn, to choose and to judge by."""

from __future__ import annotations

import os
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.data import LabelEncoder, Rows, Split, read_jsonl, read_labelled, three_way_split
from tinygrad_llm.data.hashing import row_hash
from tinygrad_llm.data.lines import BadRow, Faults
from tinygrad_llm.training.settings import one_of

TASKS = ("classification", "regression")

FilePath = str | os.PathLike[str]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)
_LEAST = 3
"""Different rows of a class, where parts are held out: one for each part."""

_MORE = "give more rows, or a file for each part"

_HEADERS = frozenset(["label", "labels", "class", "category", "target", "标签", "类别", "分类"])
"""What stands over a column of labels."""


class Part(NamedTuple):
    """Rows of a file: texts, of pairs the second texts as well, and labels (N,), which are classes
    (int64) or numbers (float32). Row i is line `lines[i]`, counted from 1, of `path`."""

    texts: list[str]
    seconds: list[str] | None
    labels: np.ndarray
    lines: list[int]
    path: str


class Data(NamedTuple):
    """The rows to learn from, to choose settings by, and to judge by at last; names[i] is that of
    class i, in alphabetical order, and () where labels are numbers."""

    train: Part
    valid: Part
    test: Part
    names: tuple[str, ...]


class _File(NamedTuple):
    """A file as it was read, with labels as texts."""

    texts: list[str]
    seconds: list[str] | None
    labels: list[str]
    lines: list[int]
    path: str


def read_data(
    train: FilePath,
    valid: FilePath | None = None,
    test: FilePath | None = None,
    task: str = "classification",
    seed: int = 0,
) -> Data:
    """The three parts, of files or held out of `train`.

    Files are UTF-8. A .jsonl (or .json) file has an object a line: "text"; "label", a text or a
    whole number for classes; and "text_pair", in every row or in none. Any other file has rows
    `text<TAB>label`. Numbers may be written as texts.
    A part without a file is held out of train: a tenth of its rows, of each class in its share, by
    the seed and by what the rows say, not by their order. Equal rows, white space aside, stay
    together, so that no part has a text of another. A part's rows stand in the order of the file.

    Raises ValueError, in one line that names the file and mostly the line, for what `read_labelled`
    and `read_jsonl` refuse; a label that is none of train's classes, or no finite number; a header;
    one class alone, or numbers that are all equal; files of which only some have pairs; under three
    different rows of a class, or too few in all, where parts are held out. OSError for what cannot
    be read; ValueError for another task.
    """
    one_of("task", task, TASKS)
    first = _read(train, task)
    others = [None if path is None else _read(path, task) for path in (valid, test)]
    for other in others:
        _check_pairs(first, other)
    names = _names(first) if task == "classification" else None
    learnt = _numbered(first, names, first.path)
    _check_differ(learnt)
    held = [None if each is None else _numbered(each, names, first.path) for each in others]
    parts = _parts(learnt, held[0], held[1], names or (), seed)
    return Data(*parts, names or ())


def read_part(path: FilePath, task: str, names: Sequence[str]) -> Part:
    """The rows of one file as `read_data` reads them, with classes by the names of a model; for
    numbers names is (). Raises what `read_data` does for a file."""
    one_of("task", task, TASKS)
    classes = tuple(names) if task == "classification" else None
    return _numbered(_read(path, task), classes, "the model")


def shared_texts(data: Data) -> dict[str, int]:
    """How many rows of "valid" and of "test" have a text that train has too (with the same second
    text), white space aside: they are learnt by heart, and say nothing about new texts."""
    known = set(_contents(data.train))
    parts = {"valid": data.valid, "test": data.test}
    return {name: sum(each in known for each in _contents(part)) for name, part in parts.items()}


def data_hash(data: Data) -> str:
    """By which the rows of all parts are known again."""
    return row_hash([[part.texts, part.seconds or [], part.labels] for part in data[:3]])


def _read(path: FilePath, task: str) -> _File:
    """The rows of a file, labels as texts."""
    if Path(path).suffix.lower() in (".jsonl", ".json"):
        return _read_json(path, task)
    rows = read_labelled(path)
    _check_header(rows)
    return _File(rows.texts, None, rows.labels, rows.lines, rows.path)


def _read_json(path: FilePath, task: str) -> _File:
    """The rows of a JSON lines file."""
    kinds = (str, int) if task == "classification" else (str, int, float)
    fields: dict[str, Any] = {"text": str, "label": kinds}
    rows = read_jsonl(path, fields)
    paired = any("text_pair" in row for row in rows)
    if paired:  # again, since now each row must have one
        rows = read_jsonl(path, {**fields, "text_pair": str})
    labels = [row["label"] for row in rows]
    if task == "classification":
        _check_alike(labels, path)
    seconds = [row["text_pair"] for row in rows] if paired else None
    written = [str(label).strip() for label in labels]
    lines = list(range(1, len(rows) + 1))  # blank lines stand at the end alone
    return _File([row["text"] for row in rows], seconds, written, lines, os.fspath(path))


def _check_alike(labels: list[str | int], path: FilePath) -> None:
    """Refuse classes of which some are texts and some numbers: is "1" the same as 1?"""
    faults, named = Faults(path), isinstance(labels[0], str)
    for line, label in enumerate(labels, 1):
        if isinstance(label, str) != named:
            kinds = ("whole number", "text") if named else ("text", "whole number")
            faults.add(
                line,
                f"the label {reprlib.repr(label)} is a {kinds[0]}, and that of line 1 a "
                f"{kinds[1]}; write all of them in one way",
            )
    faults.checked(labels)


def _check_header(rows: Rows) -> None:
    """Refuse names of columns, which would make a class of one row."""
    label = rows.labels[0]
    named = label.casefold() in _HEADERS and rows.labels.count(label) == 1
    if named and len(rows.texts[0].split()) == 1:
        raise ValueError(
            f"{rows.path}, line 1: the label {label!r} is there once, as in a header; remove the "
            "line, for every line is a row"
        )


def _names(rows: _File) -> tuple[str, ...]:
    """The classes of the rows to learn from, in alphabetical order."""
    if len(set(rows.labels)) == 1:
        label = reprlib.repr(rows.labels[0])
        raise ValueError(
            f"{rows.path}: all labels are {label}, so there is nothing to tell apart; give rows of "
            "at least two classes"
        )
    return tuple(LabelEncoder.fit(rows.labels).names)


def _numbered(rows: _File, names: tuple[str, ...] | None, owner: str) -> Part:
    """The rows with labels as classes, which `owner` has, or as numbers where names is None."""
    if names is not None:
        _check_each(rows, _check_known(names, owner))
        labels = LabelEncoder(names).encode(rows.labels)
    else:
        _check_each(rows, _check_number)
        labels = np.array([float(label) for label in rows.labels], np.float32)
    return Part(rows.texts, rows.seconds, labels, rows.lines, rows.path)


def _check_each(rows: _File, check: Callable[[str], None]) -> None:
    """Every label of a file; the error names the first bad one and where the others stand."""
    faults = Faults(rows.path)
    for line, label in zip(rows.lines, rows.labels):
        try:
            check(label)
        except BadRow as bad:
            faults.add(line, bad)
    faults.checked(rows.labels)


def _check_known(names: tuple[str, ...], owner: str) -> Callable[[str], None]:
    """What refuses a class that nobody has learnt."""
    known = frozenset(names)
    shown = ", ".join(map(reprlib.repr, names[:10])) + ", …" * (len(names) > 10)

    def check(label: str) -> None:
        if label not in known:
            said = f"the label {reprlib.repr(label)} is no class of {owner} ({shown})"
            raise BadRow(f"{said}; correct it, or remove the row")

    return check


def _check_number(label: str) -> None:
    """Refuse what float32 cannot hold, and what only Python takes for a number, such as 1_0."""
    shown = reprlib.repr(label)
    if label.lower().lstrip("+-") in ("nan", "inf", "infinity"):
        raise BadRow(f"the label {shown} is no finite number; correct it, or remove the row")
    if _NUMBER.fullmatch(label) is None:
        raise BadRow(f"the label {shown} is no number; write one such as 3.5")
    if abs(float(label)) > _LARGEST:
        raise BadRow(f"the label {shown} is beyond a float32; write smaller numbers")


def _check_differ(part: Part) -> None:
    """Refuse numbers that are all equal."""
    if part.labels.dtype.kind == "f" and len(np.unique(part.labels)) == 1:
        raise ValueError(
            f"{part.path}: all labels are {part.labels[0]:g}, so there is nothing to learn; give "
            "rows of different numbers"
        )


def _check_pairs(first: _File, other: _File | None) -> None:
    """Refuse pairs in one file and single texts in another."""
    if other is None or (first.seconds is None) == (other.seconds is None):
        return
    paired, alone = (other, first) if first.seconds is None else (first, other)
    raise ValueError(
        f'{paired.path} has pairs ("text_pair") and {alone.path} has none; give pairs in both or '
        "in neither"
    )


def _parts(
    train: Part, valid: Part | None, test: Part | None, names: tuple[str, ...], seed: int
) -> tuple[Part, Part, Part]:
    """The three parts; those that are not given are held out of train."""
    if valid is not None and test is not None:
        return train, valid, test
    split = _split(train, names, seed)
    held = _chosen(train, split.validation if valid is None else split.test)
    if valid is None and test is None:
        return _chosen(train, split.train), held, _chosen(train, split.test)
    kept = np.concatenate([split.train, split.test if valid is None else split.validation])
    return _chosen(train, kept), valid or held, test or held


def _split(part: Part, names: tuple[str, ...], seed: int) -> Split:
    """Which rows are in which of three parts; numbers are not stratified."""
    contents = _contents(part)
    _check_enough(part, names, contents)
    labels = part.labels if names else np.zeros(len(contents), np.int64)
    try:
        return three_way_split(labels, seed=seed, contents=contents)
    except ValueError as error:  # labels and contents are as they should be: they are too few
        raise ValueError(
            f"{part.path}: {len(contents)} rows, of which {len(set(contents))} differ, are too few "
            f"to hold parts out of them; {_MORE}"
        ) from error


def _check_enough(part: Part, names: tuple[str, ...], contents: Sequence[Any]) -> None:
    """Refuse classes that cannot be in all three parts."""
    different = Counter(label for label, _ in set(zip(part.labels.tolist(), contents)))
    for label, name in enumerate(names):
        if different[label] < _LEAST:
            line = part.lines[part.labels.tolist().index(label)]
            numbers = all(_NUMBER.fullmatch(each) for each in names)
            other = "; if labels are amounts, take the task regression" if numbers else ""
            raise ValueError(
                f"{part.path}, line {line}: the class {reprlib.repr(name)} has too few rows to "
                f"hold parts out of them: {different[label]} that differ, and {_LEAST} are "
                f"needed; leave it out, or {_MORE}{other}"
            )


def _contents(part: Part) -> list[Any]:
    """By what a row's text, or its pair, is known again."""
    texts = [" ".join(text.split()) for text in part.texts]
    if part.seconds is None:
        return texts
    return [(text, " ".join(second.split())) for text, second in zip(texts, part.seconds)]


def _chosen(part: Part, rows: np.ndarray) -> Part:
    """Some rows of a part, in the order of the file."""
    chosen = np.sort(rows)
    places = chosen.tolist()
    seconds = None if part.seconds is None else [part.seconds[i] for i in places]
    texts, lines = ([column[i] for i in places] for column in (part.texts, part.lines))
    return Part(texts, seconds, part.labels[chosen], lines, part.path)
