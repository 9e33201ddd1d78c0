"""The parsers of command lines: mistakes are told in one line, and help comes in plain words."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys; they have no place in a line on what is wrong."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage before it.

    fill(parser): adds what the command understands, once its line is to be read: so the modules
    that know it are imported by this command alone.
    memory: what mends that there is not enough of it.
    """

    def __init__(
        self,
        *,
        fill: Callable[[Parser], None] | None = None,
        memory: str = "end other programs",
        **settings: Any,
    ):
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings
        )
        self._fill = fill
        self._memory = memory

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
        if isinstance(words, MemoryError):
            found = f" ({words})" if str(words) else ""
            words = f"there is not enough memory{found}: {self._memory}"
        return f"{self.prog}: {one_line(words).removeprefix(f'{self.prog.split()[-1]}: ')}\n"


def one_line(words: object) -> str:
    """A message, or an error's, without line breaks and other control characters."""
    if isinstance(words, OSError) and words.strerror:
        named = [words.filename] if words.filename is not None else []
        words = ": ".join(map(str, [*named, words.strerror]))
    return CONTROL.sub(lambda found: repr(found[0])[1:-1], " ".join(str(words).split()))
