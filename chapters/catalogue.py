"""Which chapters there are, and which files belong to one."""

from __future__ import annotations

import re
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
OUT = HERE / "out"
"""Where figures go; made when the first one is saved."""

_FILE = re.compile(r"(\d\d[a-z]?|[A-Z])_(\w+)\.py")


class Chapter(NamedTuple):
    """One chapter: its number as the files bear it ("01", "03a", "A") and its script."""

    number: str
    path: Path

    @property
    def title(self) -> str:
        return self.path.stem.replace("_", " ")

    @property
    def exercises(self) -> Path:
        """The property tests of its exercises."""
        return HERE / "exercises" / self.path.name

    @property
    def solution(self) -> Path:
        """An answer to all of its exercises."""
        return HERE / "solutions" / self.path.name


def chapters() -> list[Chapter]:
    """All chapters, in the order of the course."""
    found = [(_FILE.fullmatch(path.name), path) for path in HERE.glob("*.py")]
    return sorted(Chapter(match[1], path) for match, path in found if match)


def chapter(number: str) -> Chapter:
    """The chapter of this number, with or without leading zeros.

    Raises LookupError, in one line for the reader, when there is none, or when it has parts.
    """
    found = chapters_of(number)
    if len(found) > 1:
        parts = " and ".join(each.number for each in found)
        raise LookupError(f"chapter {number} is {parts}; say which")
    return found[0]


def chapters_of(number: str) -> list[Chapter]:
    """The chapter of this number, or all of its parts: 3 is 03a and 03b.

    Raises LookupError, in one line for the reader, when there is none.
    """
    known = {each.number.lower().lstrip("0"): each for each in chapters()}
    wanted = number.lower().lstrip("0")
    found = [known[wanted]] if wanted in known else []
    parts = [each for name, each in known.items() if wanted and name.rstrip("abc") == wanted]
    if not found + parts:
        there_are = ", ".join(each.number for each in known.values())
        raise LookupError(f"there is no chapter {number}; there are: {there_are}")
    return found or parts


def python() -> str:
    """The command that runs this Python, from the root; of an environment elsewhere, its name."""
    here = Path(sys.executable)
    return str(here.relative_to(ROOT)) if here.is_relative_to(ROOT) else "python"


def load(path: Path, name: str) -> ModuleType:
    """Import a file whose name is no Python name ("01_…"), as module `name`."""
    loader = SourceFileLoader(name, str(path))
    module = module_from_spec(spec_from_loader(name, loader))
    sys.modules[name] = module
    loader.exec_module(module)
    return module
