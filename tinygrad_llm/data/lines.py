"""Lines of a UTF-8 text file: each one decoded or named as bad, with what is wrong and the mend."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

FilePath = str | os.PathLike[str]
_T = TypeVar("_T")

_FOREIGN = {
    b"\xff\xfe": "the file is UTF-16; save it as UTF-8 in your editor",
    b"\xfe\xff": "the file is UTF-16; save it as UTF-8 in your editor",
    b"PK\x03\x04": "the file is a zip archive or an Excel sheet; export its rows as UTF-8 text",
    b"\x1f\x8b": "the file is a gzip archive; unpack it first",
}
_SPECIAL = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


class BadRow(Exception):
    """What is wrong with a row, and the mend."""


class Faults:
    """The bad rows of a file: the first in words, the others by their lines."""

    def __init__(self, path: FilePath):
        self.path = os.fspath(path)
        self.first = ""
        self.lines: list[int] = []

    def add(self, number: int, problem: object) -> None:
        """Note that line `number` is bad."""
        self.first = self.first or str(problem)
        self.lines.append(number)

    def checked(self, rows: list[_T]) -> list[_T]:
        """The rows of the file, where none is bad and there is one at all."""
        if self.lines:
            raise ValueError(f"{self.path}, line {self.lines[0]}: {self.first}{self._others()}")
        if not rows:
            raise ValueError(f"{self.path} holds no rows; write at least one, or check the path")
        return rows

    def _others(self) -> str:
        """How many more rows are bad, and where the next of them stand."""
        others = self.lines[1:]
        if not others:
            return ""
        shown = ", ".join(map(str, others[:5])) + (", …" if len(others) > 5 else "")
        if len(others) == 1:
            return f" (and 1 more bad row: line {shown})"
        return f" (and {len(others)} more bad rows: lines {shown})"


def raw_lines(path: FilePath) -> Iterator[tuple[int, bytes]]:
    """The number of each line, from 1, and its bytes; without the byte order mark of the file."""
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder; give the name of a file inside it")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} does not exist; check the name and the folder")
    check_regular(path)
    with open(path, "rb") as file:
        for number, raw in enumerate(file, 1):
            yield number, raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw


def check_regular(path: FilePath) -> None:
    """Refuse, before it is opened, what exists and is no file on a disk: a pipe may wait for ever,
    and a device may never end. Raises ValueError."""
    kind = stat.S_IFMT(os.stat(path).st_mode)
    if kind != stat.S_IFREG:
        what = _SPECIAL.get(kind, "a device")
        raise ValueError(f"{path} is {what} and no file; write what it gives to a file first")


def decode(raw: bytes) -> str:
    """The text of a line, without its end."""
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    for signature, what in _FOREIGN.items():
        if raw.startswith(signature):
            raise BadRow(what)
    try:
        line = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRow(_encoding_problem(raw, error.start)) from None
    if "\0" in line:
        raise BadRow("the line holds a zero byte, so this is no UTF-8 text; save it as UTF-8")
    if "\r" in line:
        raise BadRow("a carriage return stands inside the line; end lines with \\n or \\r\\n")
    return line


def _encoding_problem(raw: bytes, place: int) -> str:
    """Which byte is not UTF-8, and how the line might be made so."""
    what = f"byte {place + 1} of the line (0x{raw[place]:02X}) is not UTF-8"
    if _may_be_gbk(raw):
        return (
            f"{what}, perhaps GBK; convert the file with `iconv -f GB18030 -t UTF-8 FILE > NEW` "
            "or save it as UTF-8 in your editor"
        )
    return f"{what}; save the file as UTF-8 in your editor"


def _may_be_gbk(raw: bytes) -> bool:
    """Whether a line reads as Chinese in GBK. Western text seldom has two letters with accents in
    a row, so that one pair of high bytes is asked for beside the decoding."""
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return False
    return re.search(rb"[\x81-\xfe]{2}", raw) is not None
