"""Reads the files that readers bring, or ends the program with one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path


def text_of(file: Path) -> str:
    """The whole file, which is UTF-8; SystemExit where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SystemExit(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SystemExit(f"{file}: byte {error.start} is not UTF-8: convert the file") from None
