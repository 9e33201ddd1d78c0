"""The catalogue as a table of fixed-width text, for terminals and pipes.

Rows are tuples of strings. Widths are counted in terminal columns, two for a Chinese character.
"""

from __future__ import annotations

import inspect
import textwrap

from tinygrad_llm._text import clip, ljust, width
from tinygrad_llm.formulas.catalogue import CATALOGUE, Entry, Verdict
from tinygrad_llm.formulas.marks import MarkedTest
from tinygrad_llm.formulas.registry import FORMS, Forms

HEADER = ("id", "source", "subject", "verdict", "implemented in", "test (pytest -k)", "state")
_SHARES = {1: 13, 2: 39, 4: 19, 5: 19}
"""The columns that give way when the terminal is narrow, with their shares of the width."""
MEANING = {
    Verdict.OK: "true as printed",
    Verdict.INCOMPLETE: "true as far as it goes; an implementation needs more",
    Verdict.AMBIGUOUS: "it can be read in two ways, and one of them is wrong",
    Verdict.IMPRECISE: "the formula holds; what is said beside it does not",
    Verdict.WRONG: "false as printed",
    Verdict.MISSING: "named in the articles, printed nowhere",
    Verdict.NEEDED: "not in the articles; what they describe cannot be built without it",
}
"""What each verdict says, in one line."""

_SOURCES = (
    "Source: number and section (000 §4.1.1) of the five articles, 000 to 004, that the course is "
    "drawn from. With an id, F11, the command shows that formula, its tests in full names."
)

_GAP = "  "
_LEAST = 6

Row = tuple[str, ...]


def _state(entry: Entry, tests: list[MarkedTest] | None, names: list[str]) -> str:
    if entry.id not in FORMS or not FORMS[entry.id].complete:
        return "open"
    if tests is None:
        return "-"
    return "done" if names else "open"


def row(entry: Entry, tests: list[MarkedTest] | None) -> Row:
    """One line of the table.

    The state is "done" with registered forms and a marked test, else "open"; where the tests
    are not at hand (`tests` is None) a formula with registered forms has the state "-".
    """
    marked = [test for test in tests or () if entry.id in test.ids]
    names = [test.name for test in sorted(marked, key=lambda test: not test.holds)]
    first = names[0].removeprefix("test_") if names else "-"
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    where = ", ".join(entry.where) or "-"
    state = _state(entry, tests, names)
    return entry.id, entry.source, entry.subject, entry.verdict.value, where, first + more, state


def rows(tests: list[MarkedTest] | None) -> list[Row]:
    """All lines of the catalogue, in its order."""
    return [row(entry, tests) for entry in CATALOGUE.values()]


def _widths(lines: list[Row], total: int) -> list[int]:
    """Natural widths; the column most above its share gives way, until all fit into `total`."""
    widths = [max(width(line[i]) for line in lines) for i in range(len(HEADER))]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - total
    while excess > 0:
        yielding = max(_SHARES, key=lambda i: (widths[i] > _LEAST, widths[i] / _SHARES[i]))
        if widths[yielding] <= _LEAST:
            break
        widths[yielding] -= 1
        excess -= 1
    return widths


def render(lines: list[Row], columns: int) -> str:
    """The header and the lines, each in at most `columns` columns where that is 64 or more."""
    widths = _widths([HEADER, *lines], columns)
    return "\n".join(
        _GAP.join(ljust(clip(cell, w), w) for cell, w in zip(line, widths)).rstrip()
        for line in [HEADER, *lines]
    )


def legend(columns: int) -> str:
    """What the verdicts and sources mean, in lines of at most `columns` columns."""
    lines = [f"{verdict.value:<10}  {meaning}" for verdict, meaning in MEANING.items()]
    wrapped = [textwrap.fill(line, columns, subsequent_indent=" " * 12) for line in lines]
    return "\n".join([*wrapped, textwrap.fill(_SOURCES, columns)])


def counts(lines: list[Row]) -> str:
    """How many lines are in which state, in one line of text."""
    states = [line[-1] for line in lines]
    parts = [f"{len(lines)} formulas: {states.count('done')} done, {states.count('open')} open"]
    if unknown := states.count("-"):
        parts.append(f"{unknown} with forms but no tests at hand to say")
    return ", ".join(parts)


def describe(entry: Entry, tests: list[MarkedTest] | None) -> str:
    """All that is known of one formula, a fact a line; its forms by their docstrings."""
    names = [test.name for test in tests or () if entry.id in test.ids]
    known = "no article states it; the system needs it"
    source = known if entry.source == "-" else f"{entry.source} (number of the article, section)"
    lines = [
        f"{entry.id}  {entry.subject}",
        f"source       {source}",
        f"verdict      {entry.verdict.value}: {MEANING[entry.verdict]}",
        f"implemented  {', '.join(entry.where) or '-'}",
        f"tests        {', '.join(names) or '-'}",
    ]
    forms = FORMS.get(entry.id, Forms())
    shown = {"corrected": forms.corrected, "printed": forms.printed, "mistake": forms.mistake}
    for role, form in shown.items():
        if form is not None:
            text = inspect.getdoc(form) or form.__name__
            lines += ["", f"{role}:", *(f"  {line}".rstrip() for line in text.splitlines())]
    return "\n".join(lines)
