"""Words and tables in a terminal of up to 80 columns."""

from __future__ import annotations

import io
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

from tinygrad_llm._text import clip, ljust, rjust, width

WIDTH = 80
"""Columns that are used at most: longer lines tire the eye."""

_LEAST = 24
"""Columns that are used at least, so that an indent leaves room for words."""


def columns() -> int:
    """The width of the terminal, but no more than `WIDTH`; `WIDTH` where there is no terminal."""
    return max(_LEAST, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns))


def use_utf8() -> None:
    """Let σ, ∂ and 梯度 pass, also where the terminal's encoding knows none of them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as their widest cell; numbers to the right, words to the left.

    A float is shown with three significant digits; other forms are given as strings.
    """
    cells = [[show(value) for value in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(header, *cells)]
    right = [all(_is_number(row[i]) for row in cells) for i in range(len(header))]
    rule = ["─" * n for n in widths]
    lines = [_line(row, widths, right) for row in (header, rule, *cells)]
    return "\n".join(lines)


def show(value: Any) -> str:
    """A cell: floats with three significant digits, whole ones as such, the rest as it prints."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e6 else f"{value:.3g}"


def paragraph(text: str, indent: str = "", first: str | None = None) -> str:
    """`text` filled to the width of the terminal; `first` is the indent of its first line."""
    lead = indent if first is None else first
    return textwrap.fill(text, columns(), initial_indent=lead, subsequent_indent=indent)


def rewrite(line: str) -> None:
    """On a terminal, over the line before; elsewhere only lines that are complete."""
    if sys.stdout.isatty():
        room = columns() - 1
        shown = line if line.endswith("\n") else clip(line, room)
        print(f"\r{' ' * room}\r{shown}", end="", flush=True)
    elif line.endswith("\n"):
        print(line, end="", flush=True)


def _line(cells: Sequence[str], widths: list[int], right: list[bool]) -> str:
    padded = [(rjust if r else ljust)(cell, n) for cell, n, r in zip(cells, widths, right)]
    return ("  " + "  ".join(padded)).rstrip()


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%") or "0")
    except ValueError:
        return False
    return True
