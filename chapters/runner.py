"""Run chapters one after the other, each in a process of its own, and sum up their verdicts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from chapters import text
from chapters.catalogue import ROOT, Chapter, python
from chapters.verdicts import read_bands

ELSEWHERE = "use .venv/bin/python, or activate the environment"
"""What to do when the Python that runs has not what the course needs."""


class Outcome(NamedTuple):
    """One chapter that ran: its report, or what it stopped with."""

    chapter: Chapter
    seconds: float
    claims: list[dict[str, Any]]
    notes: list[str]
    problem: str
    expected: int = 0
    """Claims that it has bands for: what a chapter that stopped would have made."""

    @property
    def made(self) -> int:
        return self.expected if self.problem else len(self.claims)

    @property
    def held(self) -> int:
        return sum(claim["passed"] for claim in self.claims)

    @property
    def passed(self) -> bool:
        return not self.problem and self.held == len(self.claims)

    def summary(self) -> tuple[str, str, str, str]:
        """Title, claims, seconds, PASS or FAIL."""
        claims = f"{self.held}/{self.made}"
        verdict = "PASS" if self.passed else "FAIL"
        return self.chapter.title, claims, f"{self.seconds:.1f}", verdict


def run_all(chapters: Sequence[Chapter], arguments: list[str]) -> bool:
    """Run chapters, a line each while they run and a table at the end; whether all claims hold."""
    outcomes = []
    for each in chapters:
        outcome = run(each, arguments, tick=_tick(each.title))
        outcomes.append(outcome)
        _, claims, seconds, verdict = outcome.summary()
        text.rewrite(f"{each.title}: {claims} claims, {seconds} s, {verdict}\n")
        for line in _details(outcome):
            print(line)
    total = f"{sum(outcome.seconds for outcome in outcomes):.1f}"
    good = all(outcome.passed for outcome in outcomes)
    held, made = sum(o.held for o in outcomes), sum(o.made for o in outcomes)
    last = ("all" if len(outcomes) > 1 else "", f"{held}/{made}", total, "PASS" if good else "FAIL")
    rows = [outcome.summary() for outcome in outcomes] + ([last] if len(outcomes) > 1 else [])
    print("\n" + text.table(("chapter", "claims", "seconds", "verdict"), rows))
    print("\n" + _what_next(chapters[0]))
    return good


def _what_next(first: Chapter) -> str:
    """How to go on from the table, with one chapter as the example."""
    lines = [f"Learn:     read the file beside its output,\n           {python()} {_path(first)}"]
    if first.exercises.exists():
        lines.append(f"Exercises: {python()} -m chapters check {first.number} my_solution.py")
    lines.append("Figures:   chapters/out")
    lines.append("Terms:     chapters/glossary.md; when training fails: chapters/failures.md")
    return "\n".join(lines)


def _path(chapter: Chapter) -> str:
    return chapter.path.relative_to(ROOT).as_posix()


def run(chapter: Chapter, arguments: list[str], tick: Callable[[float], None]) -> Outcome:
    """Run one chapter to its end; `tick` is called with the seconds gone, about twice a second."""
    with tempfile.TemporaryDirectory() as folder:
        report, errors = Path(folder, "report.json"), Path(folder, "errors.txt")
        command = [sys.executable, str(chapter.path), *arguments, "--report", str(report)]
        environment = os.environ | {"PYTHONUTF8": "1"}
        start = time.perf_counter()
        with open(errors, "w", encoding="utf-8") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=file, env=environment
            )
            _wait(process, start, tick)
        seconds = time.perf_counter() - start
        if report.exists():
            found = json.loads(report.read_text("utf-8"))
            return Outcome(chapter, seconds, found["claims"], found["notes"], "")
        if process.returncode == 130:  # Ctrl-C reached the chapter before it reached us
            raise KeyboardInterrupt
        said = errors.read_text("utf-8", errors="replace").strip().splitlines()
        problem = _problem(said) or f"exit code {process.returncode}"
        bands = read_bands(chapter.number, "quick" if "--quick" in arguments else "default")
        return Outcome(chapter, seconds, [], [], problem, len(bands))


def _problem(said: list[str]) -> str:
    """The last line of a traceback, with what a reader needs to mend it."""
    last = said[-1] if said else ""
    if last.startswith("ModuleNotFoundError"):
        return f"{last}: {ELSEWHERE}"
    if last.startswith(("SyntaxError", "IndentationError", "TabError")):
        places = re.findall(r'File "([^"]+)", line (\d+)', "\n".join(said))
        return last + "".join(f", in {Path(p).name}, line {n}" for p, n in places[-1:])
    return last


def _wait(process: subprocess.Popen, start: float, tick: Callable[[float], None]) -> None:
    try:
        while process.poll() is None:
            tick(time.perf_counter() - start)
            try:
                process.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                continue
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _tick(title: str) -> Callable[[float], None]:
    """On a terminal the line of a running chapter counts its seconds."""
    return lambda seconds: text.rewrite(f"{title}: running, {seconds:.0f} s")


def _details(outcome: Outcome) -> list[str]:
    """What a reader must know beyond the line: notes, failed claims, why it stopped."""
    lines = [text.paragraph(note, "  ") for note in outcome.notes]
    for claim in outcome.claims:
        if not claim["passed"]:
            lines += ["  " + line for line in claim["lines"]]
    if outcome.problem:
        lines.append(text.paragraph(f"it stopped: {outcome.problem}", "  "))
        lines.append(f"  see all: {python()} {_path(outcome.chapter)}")
    return lines
