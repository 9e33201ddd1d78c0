"""`python -m notebooks [NN …]`: execute the notebooks afresh and store them with their figures."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from chapters import options, text
from notebooks.catalogue import Notebook, notebook, notebooks
from notebooks.execution import QUICK, Outcome, execute

EPILOG = f"""A notebook is stored only when all of its cells ran, and none shows a warning or a
path of this machine. With --quick it finds the variable {QUICK}=1."""


def main(arguments: list[str]) -> int:
    """0 when all notebooks are well, 1 when one is not; wrong usage exits with 2."""
    text.use_utf8()
    options.end_with_the_pipe()
    parser = options.Parser(
        prog="python -m notebooks",
        description="Execute the notebooks, each in a kernel of its own, and store them.",
        epilog=EPILOG,
        formatter_class=options.Plain,
    )
    parser.add_argument("numbers", nargs="*", metavar="NN", help="notebooks; all if none is given")
    parser.add_argument("--check", action="store_true", help="store nothing")
    parser.add_argument("--quick", action="store_true", help="smaller runs; stores nothing")
    given = parser.parse_args(arguments)
    wanted = _wanted(parser, given.numbers)
    for needed in ("nbclient", "nbformat", "ipykernel"):
        if find_spec(needed) is None:
            parser.refuse(f"{needed} is not installed: pip install -e '.[notebooks]'")
    # All are run, also after one that failed.
    good = [_run(each, given.quick, not (given.check or given.quick)) for each in wanted]
    return 0 if all(good) else 1


def _wanted(parser: options.Parser, numbers: list[str]) -> list[Notebook]:
    try:
        wanted = [notebook(number) for number in dict.fromkeys(numbers)] or notebooks()
    except LookupError as error:
        parser.refuse(str(error))
    if not wanted:
        parser.refuse("there are no notebooks here")
    return list(dict.fromkeys(wanted))


def _run(which: Notebook, quick: bool, store: bool) -> bool:
    """Execute one notebook, store it if it shall be, and print its line; whether it is well."""
    from notebooks import contents
    from tinygrad_llm.files import write_text

    try:
        notebook = contents.read(which.path)
    except ValueError as error:
        text.rewrite(f"{which.title}: FAIL\n{text.paragraph(str(error), '  ')}\n")
        return False
    cells = len(contents.code_cells(notebook))
    outcome = execute(
        notebook, quick, lambda n: text.rewrite(f"{which.title}: cell {n} of {cells}")
    )
    if store and not outcome.problem:
        write_text(which.path, contents.as_text(outcome.notebook))
    text.rewrite(_line(which, outcome, cells, contents.figures(outcome.notebook)))
    return not outcome.problem


def _line(which: Notebook, outcome: Outcome, cells: int, figures: int) -> str:
    verdict = "FAIL" if outcome.problem else "PASS"
    counts = f"{cells} cells, {figures} figures, {outcome.seconds:.1f} s"
    why = text.paragraph(outcome.problem, "  ") + "\n" if outcome.problem else ""
    return f"{which.title}: {counts}, {verdict}\n{why}"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        options.interrupted()
