"""What a notebook's file holds: read and written in one form, and searched for what is amiss."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from notebooks.catalogue import ROOT

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
"""A notebook's own metadata: the same whoever ran it, on whatever Python."""

_TIMES = ("execution", "ExecuteTime")
"""Metadata of a cell in which Jupyter and an extension of it keep when it ran."""

_PATH = re.compile(
    r"(?<![\w.:/])/(?:home|Users|root|tmp|private|var|opt|usr|mnt|srv|content)/[^\s'\"<>]+"
    r"|\b[A-Za-z]:\\{1,2}[^\s'\"<>]+"
)
_ADDRESS = re.compile(r"<[^<>\n]* at 0x[0-9a-f]{6,}>")


def read(path: Path) -> NotebookNode:
    """The notebook in a file, in format 4.5, where every cell has an id.

    Raises ValueError, in one line, for a file that holds no notebook of format 4.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
        if not isinstance(content, dict) or content.get("nbformat") != 4:
            raise ValueError("it does not name this format")
        notebook = nbformat.v4.to_notebook(content)
        notebook.nbformat_minor = 5
        for position, cell in enumerate(notebook.cells, 1):
            cell.setdefault("id", f"cell-{position:02d}")
        if len({cell.id for cell in notebook.cells}) < len(notebook.cells):
            raise ValueError("two cells have the same id")
        nbformat.validate(notebook)
    except (ValueError, KeyError, AttributeError, TypeError, nbformat.ValidationError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{path.name} is no notebook of format 4: {reason}") from error
    return notebook


def as_text(notebook: NotebookNode) -> str:
    """A notebook as its file shall hold it: no times, nothing of the Python that ran it."""
    cells = []
    for cell in notebook.cells:
        metadata = {key: value for key, value in cell.metadata.items() if key not in _TIMES}
        cells.append({**cell, "metadata": metadata})
    plain = nbformat.from_dict({**notebook, "cells": cells, "metadata": METADATA})
    return nbformat.v4.writes(plain) + "\n"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that run, in order; Jupyter counts no empty ones."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def figures(notebook: NotebookNode) -> int:
    """How many images the outputs show."""
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def faults(notebook: NotebookNode) -> Iterator[str]:
    """What no stored output may hold, a line each: errors, warnings, and signs of this machine."""
    for number, cell in enumerate(code_cells(notebook), 1):
        for output in cell.outputs:
            found = _fault(output)
            if found:
                yield f"{place(number, cell)} {found}"


def place(number: int, cell: NotebookNode) -> str:
    """A code cell by its number, as Jupyter shows it, and by its first line."""
    return f"code cell {number} ({cell.source.strip().splitlines()[0]})"


def _fault(output: NotebookNode) -> str | None:
    if output.output_type == "error":
        return f"stopped: {output.ename}: {output.evalue.partition(chr(10))[0]}"
    text = "\n".join(_texts(output))
    if output.get("name") == "stderr":
        return f"wrote to stderr: {text.strip().partition(chr(10))[0]}"
    for folder in (ROOT, Path.home()):
        if len(folder.parts) > 1 and re.search(rf"{re.escape(str(folder))}(?!\w)", text):
            return f"shows a folder of this machine: {folder}"
    path, address = _PATH.search(text), _ADDRESS.search(text)
    if path:
        return f"shows a path of this machine: {path[0]}"
    return f"shows an object's address: {address[0]}; end its line with ;" if address else None


def _texts(output: Any) -> Iterator[str]:
    """All words in an output; images are none."""
    if isinstance(output, dict):
        for key, value in output.items():
            if not key.startswith("image/") or key == "image/svg+xml":
                yield from _texts(value)
    elif isinstance(output, list):
        for value in output:
            yield from _texts(value)
    elif isinstance(output, str):
        yield output
