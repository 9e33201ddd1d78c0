"""`main`: finds the command that is meant, runs it, and tells in one line what stops it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from tinygrad_llm.cli import evaluate, finetune, generate, info, predict, pretrain
from tinygrad_llm.cli.parsers import Parser

FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141
"""Exit codes; the last two are those that a shell shows for SIGINT and SIGPIPE."""

EXPECTED = (ValueError, TypeError, OSError, FloatingPointError, MemoryError)
"""Errors whose message says what is wrong and what mends it; others are bugs, with a traceback."""

COMMANDS = (pretrain, generate, finetune, evaluate, predict, info)
"""In the order of the help."""

EPILOG = """A first model, from texts that come with Python, and what it writes:
  tinygrad-llm pretrain --model gpt --data english --out first --steps 300
  tinygrad-llm generate --model first --prompt "The" --max-new-tokens 100

A classifier, from rows with a text, a tab and a label, and what it says:
  tinygrad-llm finetune --model tiny --train rows.tsv --out judge
  tinygrad-llm predict --model judge --text "What a day!"
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (default: this process's), and give the exit code: 0 when all went well,
    1 when something failed, 2 for wrong usage, 130 after Ctrl-C, 141 when a pipe was closed."""
    _open_streams()
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
        description="Train language models on your own texts, write with them, and let them label\n"
        "texts.",
        epilog=EPILOG,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def _open_streams() -> None:
    """Read and write every character, whatever the terminal's encoding is; of streams that are
    closed nothing comes, and what is written there goes nowhere."""
    for name, mode, errors in (
        ("stdin", "r", "strict"),
        ("stdout", "w", "replace"),
        ("stderr", "w", "replace"),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, io.TextIOWrapper(io.FileIO(os.devnull, mode)))  # to the end
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors=errors)


def _forget_output() -> None:
    """What is still to be written goes nowhere, so that Python does not stumble over it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
