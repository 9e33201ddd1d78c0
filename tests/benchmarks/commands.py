"""What the commands of benchmarks share: --repeats, --json, and how they end."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from chapters import options


def add_options(parser: options.Parser, repeats: int) -> None:
    """--repeats and --json; `repeats`: how many without a word."""
    rounds = f"rounds (default {repeats})"
    parser.add_argument("--repeats", type=int, default=repeats, metavar="N", help=rounds)
    parser.add_argument("--json", metavar="FILE", help="write all measurements there too")


def check(parser: options.Parser, given: Namespace) -> None:
    """End in one line, before anything is measured, where they cannot be."""
    if given.repeats < 2:
        parser.refuse(f"--repeats: {given.repeats} has no quartiles; give 2 or more")
    if given.json and Path(given.json).is_dir():
        parser.refuse(f"--json: {given.json} is a folder; name a file in it")
    if given.json and not Path(given.json).resolve().parent.is_dir():
        parser.refuse(f"--json: there is no folder {Path(given.json).parent}")


def run(main: Callable[[list[str]], int]) -> NoReturn:
    """Run a command with the words of the command line, and end with its status."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:
        options.interrupted()
    sys.exit(status)
