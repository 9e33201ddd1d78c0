"""Which files of a data folder are texts, and which folders in it are left out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

OF_MODELS = ("config.json", "options.json", "tokenizer.json")
"""Files of a model, a run and a tokenizer: the .txt files beside them are vocabularies."""


class TextFiles(NamedTuple):
    """The .txt files of a folder, sorted by their paths; how many other files are in it; and the
    folders in it that were left out, as they are of models, or links to folders elsewhere."""

    paths: list[Path]
    others: int
    left_out: list[Path]


def text_files(folder: Path) -> TextFiles:
    """All .txt (or .TXT) files in a folder and below.

    Raises ValueError for a folder without any and for one of a model; OSError for a folder in it
    that cannot be read.
    """
    paths, others, left_out = list[Path](), 0, list[Path]()
    for place, folders, names in os.walk(folder, onerror=_refuse):
        here = Path(place)
        if here == folder:
            _check_no_model(folder, names)
        elif not set(OF_MODELS).isdisjoint(names):
            left_out.append(here)
            folders.clear()
            continue
        texts = [here / name for name in names if name.lower().endswith(".txt")]
        paths += texts
        others += len(names) - len(texts)
        left_out += [here / name for name in folders if (here / name).is_symlink()]
    if not paths:
        raise ValueError(f"{folder} has no .txt file: give a folder with texts, or a file")
    return TextFiles(sorted(paths), others, sorted(left_out))


def said_of(folder: Path) -> str:
    """A line on what is read of a folder, and what is not."""
    found = text_files(folder)
    said = f"read: {len(found.paths):,} .txt {'file' if len(found.paths) == 1 else 'files'}"
    if found.others:
        said += f"; of other kinds, not read: {found.others:,}"
    if found.left_out:
        names = [path.relative_to(folder).as_posix() for path in found.left_out]
        more = f" and {len(names) - 5} more" if names[5:] else ""
        said += f"; folders of models, and links, not read: {', '.join(names[:5])}{more}"
    return said


def _refuse(error: OSError) -> None:
    """What `os.walk` would pass over."""
    raise error


def _check_no_model(folder: Path, names: list[str]) -> None:
    found = [name for name in OF_MODELS if name in names]
    if found:
        raise ValueError(f"{folder} has {found[0]}, so it is of a model: give a folder of texts")
