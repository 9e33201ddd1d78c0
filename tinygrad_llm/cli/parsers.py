"""The parsers of command lines: mistakes are told in one line, and help comes in plain words."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NoReturn


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it.

    fill(parser): adds what the command understands, once its line is to be read: so the modules
    that know it are imported by this command alone.
    """

    def __init__(self, *, fill: Callable[[Parser], None] | None = None, **settings: Any):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings
        )
        self._fill = fill

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        fill, self._fill = self._fill, None
        if fill is not None:
            fill(self)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:  # said by the command itself, not by the parser around it
            self.error(f"unknown: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        self.refuse(f"{message} (--help shows what there is)")

    def refuse(self, message: str) -> NoReturn:
        """End with one line, and the exit code of wrong usage."""
        self.exit(2, self.complaint(message))

    def complaint(self, words: object) -> str:
        """The line on standard error that names the command and says what stops it."""
        return f"{self.prog}: {one_line(words).removeprefix(f'{self.prog.split()[-1]}: ')}\n"


def one_line(words: object) -> str:
    """A message, or an error's, without line breaks."""
    if isinstance(words, OSError) and words.strerror:
        named = [words.filename] if words.filename is not None else []
        words = ": ".join(map(str, [*named, words.strerror]))
    return " ".join(str(words).split())
