"""`python -m tests.benchmarks [d …] --against torch,jax`: whole training steps, and texts that are
written, side by side."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from shutil import which
from typing import Any

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.environment import blas_core, clang, in_words, machine
from tests.benchmarks.race import RaceError, race
from tinygrad_llm.files import write_json

BENCHMARKS = {
    "a": "tests.benchmarks.gpt_a",
    "b": "tests.benchmarks.gpt_b",
    "c": "tests.benchmarks.bert_c",
    "d": "tests.benchmarks.mlp",
    "e": "tests.benchmarks.gpt_e",
    "g": "tests.benchmarks.decode_g",
    "t": "tests.benchmarks.trainer",
}
"""The module of each benchmark: TITLE, STEPS, start() and SIDES."""

BUSY = 1.5
"""Quartiles so many times apart say more of the machine than of the sides: a library whose threads
wait for one another loses far more than one that uses a single core."""


def main(arguments: list[str]) -> int:
    """0 when all is measured, 1 when a race has no result; wrong usage exits with 2."""
    text.use_utf8()
    given = _options(arguments)
    core = {"OPENBLAS_CORETYPE": given.core} if given.core else {}
    about = machine(**core)
    print(about.splitlines()[0])
    results = {}
    for letter in list(dict.fromkeys(given.letters)) or list(BENCHMARKS):
        try:
            results[letter] = _race(letter, given)
        except RaceError as error:
            print(f"benchmark {letter}: {error}", file=sys.stderr)
            return 1
        if given.json:  # before it is shown: printing may end the command
            write_json(given.json, {"machine": about, "core": given.core, "benchmarks": results})
        show(letter, results[letter])
    return 0


def _options(arguments: list[str]) -> Namespace:
    """What was asked for; wrong usage ends here, before anything is measured."""
    parser = _parser()
    given = parser.parse_args(arguments)
    for letter in given.letters:
        if letter not in BENCHMARKS:
            parser.refuse(f"there is no benchmark {letter}; there are: {', '.join(BENCHMARKS)}")
    commands.check(parser, given)
    _check_libraries(parser, given.against)
    if given.core:
        _check_core(parser, given.core)
    return given


def _check_libraries(parser: options.Parser, against: list[str]) -> None:
    there_are = sorted({_library(side) for side in _sides()} - {"ours"})
    for library in against:
        if library not in there_are:
            given = f"invalid choice: {library!r}"
            parser.error(f"argument --against: {given}; there are: {', '.join(there_are)}")
        if find_spec(library) is None:
            parser.refuse(f"{library} is not installed: pip install -e '.[bench]'")
    if "tinygrad" in against and which(clang()) is None:
        parser.refuse(f"tinygrad needs a C compiler, {clang()}: install clang, or name it in CC")


def _check_core(parser: options.Parser, core: str) -> None:
    """OpenBLAS takes another where it does not know the name, or the processor is not able."""
    found = blas_core(OPENBLAS_CORETYPE=core)
    if found.lower() != core.lower():
        parser.refuse(f"--core: OpenBLAS takes {found} here when it is told {core}")


def _race(letter: str, given: Namespace) -> dict[str, Any]:
    module = BENCHMARKS[letter]
    wanted = {"ours", *given.against}
    sides = [side for side in import_module(module).SIDES if _library(side) in wanted]
    return race(module, sides, given.repeats, core=given.core, tick=_tick(given.repeats))


def show(letter: str, result: dict[str, Any]) -> None:
    """What a race found, for a reader."""
    rows = result["sides"]
    print(f"\n{letter}: {result['title']}")
    for row in {in_words(row): row for row in rows}.values():
        print(f"  {in_words(row)}")
    print("\n" + _table(rows))
    print(f"\n  {result['rounds']} rounds of {result['steps']} steps, in turn; medians (quartiles)")
    if any(row["high"] > BUSY * row["low"] for row in rows):
        print("  the quartiles lie far apart: the machine was busy with something else, try again")
    if result["tokens"]:
        each = [f"{result['tokens'] / row['median']:.1f} {row['side']}" for row in rows]
        print(f"  tokens a second: {', '.join(each)}")
    if len(rows) == 1:
        return
    checked, difference = result["losses"].values()
    fewer = [f"{row['side']}'s first {row['checked']}" for row in rows if row["checked"] < checked]
    only = f"; of {', '.join(fewer)}" if fewer else ""
    print(f"  the first {checked} {result['compared']} agree to {difference:.1g} (relative){only}")
    fastest = min(rows[1:], key=lambda row: row["ratio"]["median"])
    print(f"  against the fastest other, {fastest['side']}: {_spread(fastest['ratio'], 2)} times")
    print(
        "  (its time / ours, round by round; above 1: ours is faster, on this machine in this run)"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    unit, scale = ("ms", 1e3) if rows[0]["median"] > 2e-3 else ("µs", 1e6)
    digits = 1 if rows[0]["median"] * scale < 100 else 0
    cells = []
    for row in rows:
        times = {key: row[key] * scale for key in ("median", "low", "high")}
        ratio = _spread(row["ratio"], 2) if row is not rows[0] else ""
        memory = "" if row["peak_mib"] is None else f"{row['peak_mib']:.0f}"
        cells.append((row["side"], _spread(times, digits), ratio, memory))
    return text.table(("side", f"{unit} a step", "its time / ours", "peak MiB"), cells)


def _spread(values: dict[str, float], digits: int) -> str:
    median, low, high = (f"{values[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} ({low}–{high})"


def _library(side: str) -> str:
    return side.split()[0]


def _tick(rounds: int) -> Callable[[int], None]:
    """On a terminal a line that counts rounds, gone when the last begins to be shown."""

    def tick(done: int) -> None:
        line = f"round {done} of {rounds}" if done < rounds else ""
        print(f"\r{line:<30}\r{line}", end="", file=sys.stderr, flush=True)

    return tick if sys.stderr.isatty() else lambda done: None


def _sides() -> list[str]:
    return [side for module in BENCHMARKS.values() for side in import_module(module).SIDES]


def _names(words: str) -> list[str]:
    return list(dict.fromkeys(words.split(",")))


def _parser() -> options.Parser:
    parser = options.Parser(
        prog="python -m tests.benchmarks",
        description="Time training steps and writing; with --against, beside other libraries'.",
    )
    parser.add_argument("letters", nargs="*", metavar="d", help="benchmarks; all if none is given")
    beside = "libraries, with commas between them"
    parser.add_argument("--against", type=_names, default=[], metavar="torch,jax", help=beside)
    commands.add_options(parser, repeats=30)
    held = "hold OpenBLAS to a core type, as OPENBLAS_CORETYPE does: Haswell has no AVX-512"
    parser.add_argument("--core", help=held)
    return parser


if __name__ == "__main__":
    commands.run(main)
