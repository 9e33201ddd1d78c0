"""Cleaning of texts: rows that teach nothing or teach two things at once are removed and listed."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

_WIDTH = 80  # columns of a terminal
_NAME = 27  # of them for what was done


@dataclass(frozen=True)
class CleaningReport:
    """What was done to which rows; a row is named by its place in the list given, from 0.

    A removed row has one reason: it stands in the first of `broken`, `empty`, `conflicting` and
    `duplicate` that holds for it. `stripped` rows lost control characters, and may be kept.
    """

    rows: int
    broken: np.ndarray
    empty: np.ndarray
    conflicting: np.ndarray
    duplicate: np.ndarray
    stripped: np.ndarray

    def __str__(self) -> str:
        removed = sum(map(len, (self.broken, self.empty, self.conflicting, self.duplicate)))
        lines = [
            f"{self.rows} rows: {self.rows - removed} kept, {removed} removed",
            f"{'removed':<{_NAME + 2}}{'rows':>7}  row numbers (from 0)",
            _line("broken encoding", self.broken),
            _line("empty", self.empty),
            _line("same text, other labels", self.conflicting),
            _line("duplicate of an earlier row", self.duplicate),
            "changed",
            _line("control characters stripped", self.stripped),
        ]
        return "\n".join(lines)


@dataclass(frozen=True)
class Cleaned:
    """The rows that stay, in their order; `kept` (int64) says where each of them came from."""

    texts: list[str]
    labels: list[Any] | None
    kept: np.ndarray
    report: CleaningReport


def clean(texts: Sequence[str], labels: Sequence[Any] | None = None) -> Cleaned:
    """Remove rows that are broken, empty, contradictory or there twice; `str(report)` lists them.

    Broken: with U+FFFD, which stands where bytes could not be read, or half of a surrogate pair.
    Empty: with nothing to see, which may be white space or characters without width (U+200B).
    Control characters (category Cc, but tab and line ends; and the byte order mark U+FEFF) are
    stripped, or become a space where they part words. Texts are the same when they are equal in
    Unicode's form NFC with every run of white space as one space: of the same texts the first
    stays, and none where their labels differ. What stays is, but for the control characters, as
    it was given.
    labels: one of any hashable type for each text. Raises ValueError for another number of labels
    and for NaN, which is no label, TypeError for what is not a text and for a label that cannot be
    hashed; by the row.
    """
    if labels is not None and len(labels) != len(texts):
        raise ValueError(
            f"clean: {len(texts)} texts have {len(labels)} labels; give one label for each text"
        )
    _check_texts(texts)
    _check_labels(labels)
    stripped = [text.translate(_CONTROLS) for text in texts]
    keys = [" ".join(unicodedata.normalize("NFC", text).split()) for text in stripped]
    reasons = _reasons(stripped, keys, labels)
    rows = {reason: _numbers(reasons, reason) for reason in ("broken", "empty", "conflicting")}
    changed = np.array([i for i, text in enumerate(texts) if text != stripped[i]], np.int64)
    report = CleaningReport(
        len(texts), **rows, duplicate=_numbers(reasons, "duplicate"), stripped=changed
    )
    kept = _numbers(reasons, "")
    return Cleaned(
        [stripped[i] for i in kept],
        None if labels is None else [labels[i] for i in kept],
        kept,
        report,
    )


def _check_texts(texts: Sequence[str]) -> None:
    """Refuse what is not a list of texts."""
    if isinstance(texts, str):
        raise TypeError("clean: takes a list of texts, not one text; give [text]")
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise TypeError(f"clean: row {row} is of type {kind}, not a text; give a str")


def _check_labels(labels: Sequence[Any] | None) -> None:
    """Refuse labels of which nobody could say whether two are the same."""
    for row, label in enumerate(() if labels is None else labels):
        try:
            hash(label)
        except TypeError:
            kind = type(label).__name__
            mend = "give a text, a number or a tuple"
            raise TypeError(f"clean: the label of row {row} is a {kind}; {mend}") from None
        if isinstance(label, Real) and label != label:
            raise ValueError(f"clean: the label of row {row} is NaN; give one, or remove the row")


def _control_table() -> dict[int, str]:
    """What each control character becomes: a space where it parts words, else nothing."""
    controls = [chr(code) for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n\r"]
    return {ord(c): " " if c.isspace() else "" for c in [*controls, "\ufeff"]}


_CONTROLS = _control_table()

_UNSEEN = dict.fromkeys(
    [
        *(0x20, 0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
        *range(0x180B, 0x1810),
        *range(0x200B, 0x2010),
        *range(0x202A, 0x202F),
        *range(0x2060, 0x2070),
        *range(0xFE00, 0xFE10),
        *range(0xFFF0, 0xFFF9),
        *range(0x1BCA0, 0x1BCA4),
        *range(0x1D173, 0x1D17B),
        *range(0xE0000, 0xE1000),
    ]
)
"""The space, and what Unicode calls Default_Ignorable_Code_Point: characters without a picture."""


def _reasons(texts: list[str], keys: list[str], labels: Sequence[Any] | None) -> list[str]:
    """Why each row is removed; empty for one that stays."""
    reasons = [_own_reason(text, key) for text, key in zip(texts, keys)]
    candidates = [row for row, reason in enumerate(reasons) if not reason]
    meanings: dict[str, set[Any]] = {}
    for row in candidates:
        meanings.setdefault(keys[row], set()).add(None if labels is None else labels[row])
    seen: set[str] = set()
    for row in candidates:
        if len(meanings[keys[row]]) > 1:
            reasons[row] = "conflicting"
        elif keys[row] in seen:
            reasons[row] = "duplicate"
        seen.add(keys[row])
    return reasons


def _own_reason(text: str, key: str) -> str:
    """Why a row is removed whatever the other rows are, or nothing."""
    if any(c == "\ufffd" or "\ud800" <= c <= "\udfff" for c in text):
        return "broken"
    return "" if key.translate(_UNSEEN) else "empty"


def _numbers(reasons: list[str], reason: str) -> np.ndarray:
    """The rows with this reason."""
    return np.array([row for row, each in enumerate(reasons) if each == reason], np.int64)


def _line(name: str, rows: np.ndarray) -> str:
    """A line of the table, with as many row numbers as fit into it."""
    beginning = f"  {name:<{_NAME}}{len(rows):>7}"
    for shown in range(min(len(rows), _WIDTH), 0, -1):
        numbers = ", ".join(map(str, rows[:shown]))
        more = f" and {len(rows) - shown} more" if shown < len(rows) else ""
        if len(line := f"{beginning}  {numbers}{more}") <= _WIDTH:
            return line
    return beginning
