"""`main`: finds the command that is meant, runs it, and tells in one line what stops it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from tinygrad_llm.cli import generate, info, pretrain
from tinygrad_llm.cli.parsers import Parser

FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141
"""Exit codes; the last two are those that a shell shows for SIGINT and SIGPIPE."""

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError)
"""Errors whose message says what is wrong and what mends it; others are bugs, with a traceback."""

EPILOG = """A first model, from texts that come with Python, and what it writes:
  tinygrad-llm pretrain --model gpt --data english --out first --steps 300
  tinygrad-llm generate --model first --prompt "The" --max-new-tokens 100"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's), and give the exit code: 0 when all went well,
    1 when something failed, 2 for wrong usage, 130 after Ctrl-C, 141 when a pipe was closed."""
    _use_utf8()
    try:
        code = _run(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = _parser().parse_args(argv)
        return _told(arguments)
    except SystemExit as end:  # so argparse ends, and a training that was asked to
        return int(end.code or 0)


def _told(arguments: argparse.Namespace) -> int:
    """Run the command; what stops it is told in one line."""
    try:
        return arguments.run(arguments)
    except BrokenPipeError:
        raise
    except EXPECTED as error:
        sys.stderr.write(arguments.parser.complaint(error))
        return FAILED


def _parser() -> Parser:
    parser = Parser(
        prog="tinygrad-llm",
        description="Train language models on your own texts, and write with them.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (pretrain, generate, info):
        command.add_parser(commands)
    return parser


def _use_utf8() -> None:
    """Read and write every character, whatever the terminal's encoding is."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            errors = "strict" if stream is sys.stdin else "replace"
            stream.reconfigure(encoding="utf-8", errors=errors)


def _forget_output() -> None:
    """What is still to be written goes nowhere, so that Python does not stumble over it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
