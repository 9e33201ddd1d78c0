"""Grade a reader's file: one process does the work, this one guards it and prints the verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chapters import text
from chapters.catalogue import ROOT, Chapter, load
from chapters.checks import Exercise
from chapters.grader import LATE, MOST_PRINTED

SECONDS = 20.0
"""For each exercise, unless the reader says otherwise."""

GRACE = 10.0
"""Seconds more, for starting up and for code that Python's own time limit cannot stop."""

MOST_LINES = 10
"""Of what the reader's code prints in one call."""


def check_file(which: Chapter, name: str, seconds: float) -> bool:
    """Grade the file `name`, print a verdict for each exercise; whether all pass.

    Raises OSError, in one line for the reader, for a file that is not there or is a folder, and
    for a chapter without exercises.
    """
    file = Path(name)
    if not which.exercises.exists():
        raise FileNotFoundError(f"chapter {which.number} has no exercises")
    if file.is_dir():
        raise IsADirectoryError(f"{name} is a folder; give the Python file with your functions")
    if not file.exists():
        raise FileNotFoundError(f"there is no file {name}")
    exercises = {each.name: each for each in load(which.exercises, "exercises").EXERCISES}
    print(f"Chapter {which.number}, {len(exercises)} exercises, {name}")
    passed, missing = 0, []
    for report in _all_reports(which, file.resolve(), seconds, list(exercises)):
        if report["verdict"] == "MISSING":
            missing.append(report["name"])
        elif report["name"]:
            _print_verdict(exercises[report["name"]], report)
            passed += report["verdict"] == "PASS"
        else:
            _print_printed("while it loads", report.get("printed", ""))
            if report["verdict"] == "FAIL":
                print(text.paragraph(f"it does not load: {report['complaint']}"))
                return False
    if missing:
        print(text.paragraph(f"not yet written: {', '.join(missing)}"))
    print(f"\n{passed} of {len(exercises)} exercises pass")
    return passed == len(exercises)


def _all_reports(
    which: Chapter, file: Path, seconds: float, names: list[str]
) -> Iterator[dict[str, Any]]:
    """A report on loading the file, and one on each exercise if it loads.

    A process that ends early is followed by another for the exercises that are left.
    """
    waiting, loaded = list(names), False
    while waiting:
        for report in _reports(which, file, seconds, waiting):
            if report["name"]:
                waiting.remove(report["name"])
                yield report
            elif report["verdict"] == "FAIL":
                yield report
                return
            elif not loaded:
                yield report
        loaded = True


def _reports(which: Chapter, file: Path, seconds: float, names: list[str]) -> list[dict[str, Any]]:
    """What one process says of the file: on loading it and then, one at least, on exercises."""
    command = [sys.executable, "-X", "utf8", "-m", "chapters.grader", which.number]
    command += [str(file), str(seconds), *names]
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=seconds * (len(names) + 1) + GRACE,
        )
    except subprocess.TimeoutExpired as error:
        late = f"it did not finish within {seconds:g} s"
        return _with_end(_parsed(error.stdout or b""), names, late)
    reports = _parsed(done.stdout)
    if done.returncode == LATE:
        return reports
    return _with_end(reports, names, f"it ended the process (exit code {done.returncode})")


def _parsed(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.decode().splitlines() if line.endswith("}")]


def _with_end(reports: list[dict[str, Any]], names: list[str], how: str) -> list[dict[str, Any]]:
    """The reports, and one more on what the process was at when it ended early."""
    expected = ["", *names]
    loading_failed = reports and not reports[0]["name"] and reports[0]["verdict"] == "FAIL"
    if loading_failed or len(reports) == len(expected):
        return reports
    return [*reports, {"name": expected[len(reports)], "verdict": "FAIL", "complaint": how}]


def _print_verdict(exercise: Exercise, report: dict[str, Any]) -> None:
    print(f"{report['verdict']:8}{exercise.signature}")
    if report.get("call"):
        print(f"        {report['shown']}:")
        print(textwrap.indent(report["call"], " " * 12))
    if "complaint" in report:
        print(text.paragraph(report["complaint"], "        "))
    when = "in that call" if report.get("call") else "in its last call"
    _print_printed(when, report.get("printed", ""))


def _print_printed(when: str, printed: str) -> None:
    """What the reader's own code printed."""
    lines = printed.splitlines()
    if lines:
        print(f"        your code printed, {when}:")
        for line in lines[:MOST_LINES]:
            print(text.clip(f"          | {line}", text.columns()))
        if len(lines) > MOST_LINES or len(printed) >= MOST_PRINTED:
            print("          | … and more")
