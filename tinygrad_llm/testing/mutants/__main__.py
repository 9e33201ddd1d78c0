"""The command `python -m tinygrad_llm.testing.mutants`: are the checks able to fail?"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from tinygrad_llm.testing.mutants.optimizers import check as check_by_name
from tinygrad_llm.testing.mutants.report import (
    HEADING,
    Row,
    candidates,
    difference,
    faults,
    run,
    score,
)
from tinygrad_llm.testing.mutants.runner import CRASHED, SURVIVED, Check, quietly
from tinygrad_llm.testing.mutants.targets import Target, targets

_NAMES = 'ops, optimizers, helpers, "engine", "tensors", "optim" or "cpu"; all if none'


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tinygrad_llm.testing.mutants",
        description="Change every line of a gradient, or of an optimizer's step, in every way that "
        "the rules know, and see whether its own checks notice by a wrong value. Exit status 0 if "
        "all changes are noticed.",
    )
    parser.add_argument("op", nargs="*", help=_NAMES)
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default 1)")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None, check: Check = check_by_name) -> int:
    """Run, or list, the mutants that were asked for; 0 when every one that counts was killed.

    The exit status is 1 for a survivor, a gradient line without a kill, or a wrong entry among the
    equivalents, and 2 for a name that does not exist or a check that fails without any mutant.
    """
    asked = _arguments(argv)
    every = targets()
    error = _unknown(asked.op, every)
    chosen = [target for target in every if not asked.op or _is_asked(target, asked.op)]
    if not error and not asked.list:
        error = _failing(chosen, check)
    if error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    if asked.list:
        for target in chosen:
            print(*map(difference, candidates(target)), sep="\n")
        return 0
    return _run(chosen, check, max(1, asked.jobs))


def _is_asked(target: Target, names: list[str]) -> bool:
    """By its label, its group, or by an op or an optimizer that it serves."""
    known = {target.label, target.group}
    served = target.checks if target.group in ("ops", "optim", "cpu") else ()
    return bool(known.union(served) & set(names))


def _unknown(names: list[str], every: list[Target]) -> str:
    known = sorted({n for t in every for n in (t.label, t.group, *t.checks)})
    for name in names:
        if name not in known:
            near = " or ".join(map(repr, get_close_matches(name, known))) or "see --list"
            return f"there is no op {name!r}: {near}?"
    return ""


def _failing(chosen: list[Target], check: Check) -> str:
    """Checks must pass on the code as it is, else every mutant would seem killed."""
    for name in dict.fromkeys(name for target in chosen for name in target.checks):
        try:
            quietly(check, name)
        except Exception as error:
            return f"the check of {name} fails on the code as it is: {error}"
    return ""


def _run(chosen: list[Target], check: Check, jobs: int) -> int:
    print(HEADING, flush=True)
    rows: list[Row] = []
    for row in run(chosen, check, jobs):
        print(row.line(), flush=True)
        rows.append(row)
    for row in rows:
        for mutant in row.of(SURVIVED):
            print(f"survived: {difference(mutant)}")
    wrong = faults(rows)
    print(*wrong, sep="\n", end="\n" if wrong else "")
    print(f"{CRASHED}: stopped with an error, not counted")
    killed, counted = score(rows)
    print(f"killed {killed} of {counted} mutants")
    return int(killed < counted or bool(wrong))


if __name__ == "__main__":
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
