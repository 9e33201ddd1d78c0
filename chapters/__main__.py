"""`python -m chapters`: run the course, or grade a reader's solutions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from chapters import options, text
from chapters.catalogue import Chapter, chapter, chapters, chapters_of
from chapters.grading import SECONDS, check_file
from chapters.runner import run_all

EPILOG = """To grade your solutions of a chapter's exercises:
  python -m chapters check NN my_solution.py
To read a chapter's own output: python chapters/NN_name.py [--quick]"""


def run(arguments: list[str]) -> bool:
    """Run some chapters or all; whether all their claims hold."""
    parser = options.Parser(
        prog="python -m chapters",
        description="Run the chapters in order; the exit code is 0 when all their claims hold.",
        epilog=EPILOG,
        formatter_class=options.Plain,
    )
    parser.add_argument("numbers", nargs="*", metavar="NN", help="chapters; all when none is given")
    options.add_options(parser)
    given = parser.parse_args(arguments)
    named = [_asked(parser, chapters_of, number) for number in given.numbers]
    wanted = list(dict.fromkeys(each for parts in named for each in parts))
    options.check(parser, given)
    return run_all(wanted or chapters(), options.given(given))


def check(arguments: list[str]) -> bool:
    """Grade a reader's file; whether every exercise passes."""
    parser = options.Parser(
        prog="python -m chapters check",
        description="Grade your solutions; the exit code is 0 when every exercise passes.",
    )
    parser.add_argument("number", metavar="NN", help="the chapter")
    parser.add_argument("file", metavar="my_solution.py", help="your functions, in one file")
    seconds = f"time limit for each exercise (default {SECONDS:g})"
    parser.add_argument("--timeout", type=float, default=SECONDS, metavar="SECONDS", help=seconds)
    if len(arguments) == 1 and arguments[0].endswith(".py"):
        parser.refuse(f"of which chapter? For example: python -m chapters check 02 {arguments[0]}")
    given = parser.parse_args(arguments)
    which: Chapter = _asked(parser, chapter, given.number)
    if given.timeout <= 0:
        parser.refuse(f"--timeout: {given.timeout:g} is no time; give seconds above 0")
    try:
        return check_file(which, given.file, given.timeout)
    except OSError as error:
        parser.refuse(str(error))


def _asked(parser: options.Parser, find: Callable[[str], Any], number: str) -> Any:
    try:
        return find(number)
    except LookupError as error:
        parser.refuse(str(error))


def main(arguments: list[str]) -> int:
    """0 when all is well, 1 when something failed; wrong usage exits with 2, Ctrl-C with 130."""
    text.use_utf8()
    options.end_with_the_pipe()
    grading = arguments[:1] == ["check"]
    good = check(arguments[1:]) if grading else run(arguments)
    return 0 if good else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        options.interrupted()
