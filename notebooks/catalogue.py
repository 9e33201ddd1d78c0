"""Which notebooks there are, and which one a number means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent

_FILE = re.compile(r"(\d\d[a-z]?)_(\w+)\.ipynb")


class Notebook(NamedTuple):
    """One notebook: its number as the file bears it ("01") and its file."""

    number: str
    path: Path

    @property
    def title(self) -> str:
        return self.path.stem.replace("_", " ")


def notebooks() -> list[Notebook]:
    """All notebooks, in order."""
    found = [(_FILE.fullmatch(path.name), path) for path in HERE.glob("*.ipynb")]
    return sorted(Notebook(match[1], path) for match, path in found if match)


def notebook(number: str) -> Notebook:
    """The notebook of this number, with or without leading zeros.

    Raises LookupError, in one line for the reader, when there is none.
    """
    known = {each.number.lstrip("0"): each for each in notebooks()}
    wanted = number.lower().lstrip("0")
    if wanted not in known:
        there_are = ", ".join(each.number for each in known.values()) or "none"
        raise LookupError(f"there is no notebook {number}; there are: {there_are}")
    return known[wanted]
