"""The command `python -m tinygrad_llm.formulas`: print the catalogue of formulas."""

from __future__ import annotations

import argparse
import os
import shutil
import sys

from tinygrad_llm.formulas.catalogue import CATALOGUE
from tinygrad_llm.formulas.marks import marked_tests
from tinygrad_llm.formulas.table import counts, describe, legend, render, rows

_PIPE_WIDTH = 120


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_llm.formulas",
        description="Every formula of the documents: verdict, place in the package, test, state.",
    )
    parser.add_argument("ids", nargs="*", metavar="id", help="show these formulas: F11 G02")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--done", action="store_true", help="those with forms and a marked test")
    only.add_argument("--open", action="store_true", help="those without")
    wanted = parser.parse_args(argv)
    unknown = [each for each in wanted.ids if each not in CATALOGUE]
    if unknown:
        parser.error(f"there is no formula {unknown[0]}: ids are F01 to F90 and G01 to G34")
    return wanted


def main(argv: list[str] | None = None) -> int:
    """Print the table, or the part that was asked for, and the counts of the whole."""
    wanted = _arguments(argv)
    tests = marked_tests()
    if wanted.ids:
        print("\n\n".join(describe(CATALOGUE[each], tests) for each in wanted.ids))
        return 0
    lines = rows(tests)
    states = {"done"} if wanted.done else {"open"} if wanted.open else {"done", "open", "-"}
    width = shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns
    print(render([line for line in lines if line[-1] in states], width))
    print(f"\n{legend(width)}\n\n{counts(lines)}")
    return 0


if __name__ == "__main__":
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show Chinese
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        status = 130
    sys.exit(status)
