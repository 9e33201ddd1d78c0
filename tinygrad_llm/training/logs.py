"""The log of a run: a row as soon as it is there, cut back to the checkpoint when it resumes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import warnings
from pathlib import Path
from typing import Any

FILES = {"train": "train.csv", "eval": "eval.csv", "all": "log.jsonl"}
"""One row a line: training, evaluations, and both with all else in the order of time."""


class RunLog:
    """Rows of numbers, kept in `history` and, with a folder, in three files.

    A row is written and closed at once: what a killed run logged is there. Its position in each
    file belongs to a checkpoint, so that a resumed run goes on as if it had never stopped.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        self.history: list[dict[str, Any]] = []
        self._columns: dict[str, list[str]] = {}

    def add(self, kind: str, row: dict[str, Any]) -> None:
        """A row of training ("train"), of an evaluation ("eval"), or an event ("test", …).

        The columns of a CSV file are those of its first row; what comes later is in log.jsonl.
        """
        row = {"kind": kind, **row}
        self.history.append(row)
        if self.folder is None:
            return
        numbers = {name: _finite(value) for name, value in row.items()}
        _append(self.folder / FILES["all"], json.dumps(numbers, ensure_ascii=False) + "\n")
        if kind in FILES:
            self._add_csv(kind, {k: v for k, v in row.items() if k != "kind"})

    def _add_csv(self, kind: str, row: dict[str, Any]) -> None:
        path = self.folder / FILES[kind]  # type: ignore[operator]
        columns = self._columns.get(kind) or _header(path) or list(row)
        self._columns[kind] = columns
        lines = [] if path.exists() and path.stat().st_size else [columns]
        lines.append([row.get(name, "") for name in columns])
        _append(path, _as_csv(lines))

    def position(self) -> dict[str, int]:
        """The length of each file, for a checkpoint."""
        if self.folder is None:
            return {}
        paths = {name: self.folder / name for name in FILES.values()}
        return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}

    def clear(self) -> None:
        """Forget the rows of an earlier run; those of the test set stay."""
        self.history = [row for row in self.history if row["kind"] == "test"]
        self._columns.clear()

    def go_back(self, position: dict[str, int]) -> None:
        """Cut off what was written after a checkpoint, a torn last row included."""
        if self.folder is None:
            return
        for name in FILES.values():
            path, size = self.folder / name, position.get(name, 0)
            present = path.stat().st_size if path.exists() else 0
            if present < size:
                warnings.warn(
                    f"{path} has {present} bytes and had {size} at the checkpoint: "
                    "rows of it are lost; the run itself is not",
                    stacklevel=2,
                )
            elif present > size:
                os.truncate(path, size)
        self._columns.clear()
        self.history = self._read()

    def _read(self) -> list[dict[str, Any]]:
        path = self.folder / FILES["all"]  # type: ignore[operator]
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").split("\n")
        return [row for row in map(_parsed, lines) if row is not None]


def _finite(value: Any) -> Any:
    """JSON has no word for NaN or infinity: null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _append(path: Path, text: str) -> None:
    try:
        with open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:  # a full disk does not say which file it had no room for
        raise OSError(error.errno, error.strerror, str(path)) from error


def _header(path: Path) -> list[str] | None:
    if not path.exists():
        return None
    with open(path, encoding="utf-8", newline="") as file:
        return next(csv.reader(file), None)


def _as_csv(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
