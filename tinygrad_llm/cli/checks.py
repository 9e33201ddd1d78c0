"""What several commands check of the words after their flags: devices, texts, names, numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tinygrad_llm.cli.parsers import CONTROL, Parser


def check_device(parser: Parser, device: str) -> None:
    """End, as for wrong usage, where there is no such device."""
    from tinygrad_llm.tensor import Tensor

    try:
        Tensor(0.0, device=device)
    except (ValueError, RuntimeError) as error:
        parser.refuse(f"--device: {error}")


def check_names(parser: Parser, names: Mapping[str, str | None]) -> None:
    """End, as for wrong usage, where the name after a flag cannot be written down, and where that
    of the folder --out would be taken for a flag, or for an order to the terminal."""
    for flag, name in names.items():
        try:
            (name or "").encode("utf-8")
        except UnicodeEncodeError:
            parser.refuse(f"the name after {flag} is not UTF-8: give it another name")
    out = names.get("--out") or ""
    if out.startswith("-") or CONTROL.search(out):
        parser.refuse("--out begins with - or has control characters in it: give another name")


def check_batch_size(parser: Parser, size: int) -> None:
    """End, as for wrong usage, where no text fits into a batch."""
    if size < 1:
        parser.refuse(f"--batch-size is {size}; give a whole number from 1")


def check_place(folder: str) -> None:
    """Raise NotADirectoryError or PermissionError for --out, before anything is computed for it: a
    file, a place below a file, and one where this user may not write."""
    path = Path(folder).absolute()
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        what = "is a file" if there == path else f"cannot be made, for {there} is a file"
        raise NotADirectoryError(f"--out {folder} {what}; give the name of a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(
            f"--out {folder}: you may not write into {there}; give another folder, or the right to"
        )


def check_free(folder: str) -> None:
    """Raise as `check_place`, and FileExistsError for a folder that holds something."""
    check_place(folder)
    present = sorted(p.name for p in Path(folder).glob("*") if not p.name.startswith("."))
    if present:
        raise FileExistsError(
            f"--out {folder} has {present[0]} in it: give a new or an empty folder"
        )


def decoded(flag: str, text: str) -> str:
    """The text whose bytes were typed: in a POSIX locale Python keeps those beyond ASCII apart.
    Raises ValueError for bytes that are not UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        try:
            return os.fsencode(text).decode("utf-8")
        except UnicodeError as error:
            raise ValueError(f"{flag} is not UTF-8: {error}; convert it") from error
    return text
