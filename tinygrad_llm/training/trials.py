"""What a search has found: its trials, their table, and the file that keeps them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm._text import clip, rjust, width
from tinygrad_llm.training.spaces import Settings, Space

COLUMNS = 80
"""Of a terminal, in which a table is read."""


class Trial(NamedTuple):
    """One run of the objective: with which settings, what came out, and how long it took."""

    settings: Settings
    value: float
    seconds: float


class SearchResult(NamedTuple):
    """All finished trials, in the order in which they ran."""

    trials: list[Trial]
    space: Space
    maximize: bool = False

    @property
    def best(self) -> Trial:
        """The trial with the best value, the first of equals; one that is not finite is the worst.

        Raises RuntimeError where no value is finite.
        """
        finite = [trial for trial in self.trials if math.isfinite(trial.value)]
        if not finite:
            raise RuntimeError(
                f"search: none of {len(self.trials)} trials gave a finite value: try smaller "
                "learning rates, or look at one trial alone"
            )
        return min(finite, key=self.cost)

    def cost(self, trial: Trial) -> float:
        """What the search makes small: the value, its negative under `maximize`; inf where it is
        not finite."""
        if not math.isfinite(trial.value):
            return math.inf
        return -trial.value if self.maximize else trial.value

    def table(self) -> str:
        """The trials from the best to the worst, in 80 columns: number, value, seconds, settings.

        Where the settings are too many for columns of their own, they follow as name=value.
        """
        order = sorted(enumerate(self.trials, start=1), key=lambda pair: self.cost(pair[1]))
        left = [[str(i), f"{trial.value:.6g}", f"{trial.seconds:.1f}"] for i, trial in order]
        right = [[_shown(each) for each in trial.settings.values()] for _, trial in order]
        head = ["trial", "value", "seconds"]
        lines = _columns([[*head, *self.space], *(a + b for a, b in zip(left, right))])
        if width(lines[0]) > COLUMNS:
            first, *others = _columns([head, *left])
            lines = [f"{first}  settings"]
            lines += [_wrapped(each, self.space, cells) for each, cells in zip(others, right)]
        return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _columns(rows: list[list[str]]) -> list[str]:
    """Lines of one length, every column as wide as its widest cell."""
    widths = [max(map(width, column)) for column in zip(*rows)]
    return ["  ".join(map(rjust, row, widths)) for row in rows]


def _wrapped(first: str, names: Iterable[str], cells: list[str]) -> str:
    """name=value after `first`, in as many lines as that takes."""
    indent = " " * width(first)
    lines = [first]
    for name, cell in zip(names, cells):
        text = clip(f"  {name}={cell}", COLUMNS - len(indent))
        if width(lines[-1] + text) > COLUMNS:
            lines.append(indent)
        lines[-1] += text
    return "\n".join(lines)


class TrialFile:
    """JSON lines: first which search this is, then every finished trial, on disk when it ends.

    A last line that is not ended by a newline was torn by a crash: its trial runs again.
    """

    def __init__(self, path: str | os.PathLike[str], head: dict[str, Any]):
        self.path = Path(path)
        self.head = head

    def read(self, space: Space) -> list[Trial]:
        """The finished trials; none, and a new file, where there was no file.

        Raises ValueError for the file of another search and for a line that is no trial of this.
        """
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        first = (json.dumps(self.head, ensure_ascii=False) + "\n").encode()
        if not whole:
            self._check_torn_head(content, first)
            self._write(first, "wb")
            return []
        # Not splitlines(), which ends a line at U+2028 too; JSON holds that as it is.
        lines = whole.decode("utf-8", errors="replace").split("\n")[:-1]
        self._check_head(lines[0])
        trials = [self._trial(line, i, space) for i, line in enumerate(lines[1:], start=2)]
        if whole != content:
            with open(self.path, "r+b") as file:
                file.truncate(len(whole))
        return trials

    def append(self, trial: Trial) -> None:
        """Write the trial, and wait until it is on the disk."""
        value = trial.value if math.isfinite(trial.value) else str(trial.value)  # JSON has no nan
        row = {"settings": trial.settings, "value": value, "seconds": trial.seconds}
        self._write((json.dumps(row, ensure_ascii=False) + "\n").encode(), "ab")

    def _write(self, line: bytes, mode: str) -> None:
        with open(self.path, mode) as file:
            file.write(line)
            file.flush()
            os.fsync(file.fileno())

    def _check_torn_head(self, content: bytes, first: bytes) -> None:
        if not first.startswith(content):
            raise ValueError(f"{self.path} is not the file of a search: give another file")

    def _check_head(self, line: str) -> None:
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.keys() != self.head.keys():
            raise ValueError(f"{self.path} is not the file of a search: give another file")
        for name, value in self.head.items():
            if found[name] != value:
                raise ValueError(
                    f"{self.path} belongs to another search: its {name} is {found[name]}, here it "
                    f"is {value}: give another file, or the same {name}"
                )

    def _trial(self, line: str, number: int, space: Space) -> Trial:
        try:
            row = json.loads(line)
            if row["settings"].keys() != space.keys():
                raise ValueError(f"its settings are {sorted(row['settings'])}")
            settings = {name: each.read(row["settings"][name]) for name, each in space.items()}
            return Trial(settings, float(row["value"]), float(row["seconds"]))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{self.path}, line {number}: no trial of this search ({error}): delete the line"
            ) from error
