"""The process in which a reader's file runs: it loads the file, tests it, and reports by lines.

`python -m chapters.grader NN FILE SECONDS NAME …` grades the exercises named. Reports are JSON, one
a line: one for loading the file (its name is empty), one for each exercise. What the reader's code
prints is part of them and never mixes with them.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

from chapters.catalogue import chapter, load
from chapters.checks import Exercise, Failure, describe, place

MOST_PRINTED = 2000
"""Characters that are kept of what one call prints."""

LATE = 75
"""Exit code after a report that something did not finish."""

SMALLEST = "smallest input that fails"
RUNNING = "it was running"

STDERR = "your code, on standard error: "


class Printed(io.StringIO):
    """What the reader's code prints; it stops taking more before an endless loop fills memory."""

    def write(self, text: str) -> int:
        room = MOST_PRINTED - self.tell()
        return super().write(text[: max(room, 0)])

    def restart(self) -> None:
        self.seek(0)
        self.truncate()


class Labelled(io.TextIOBase):
    """Standard error with a label before each line, so that a reader knows whose words they are."""

    def __init__(self, stream: TextIO):
        self.stream, self.begins = stream, True

    def write(self, text: str) -> int:
        for line in text.splitlines(keepends=True):
            self.stream.write(STDERR + line if self.begins else line)
            self.begins = line.endswith("\n")
        self.stream.flush()
        return len(text)


class Grader:
    """Grades one file; `call` is what is being asked of it at the moment."""

    def __init__(self, file: Path, seconds: float):
        self.file, self.seconds = file, seconds
        # Reports keep the way out to themselves: file descriptor 1 now leads to standard error.
        self.reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.printed, self.errors = Printed(), Labelled(sys.stderr)
        self.call = ""

    def listening(self) -> ExitStack:
        """Within it, what the reader's code prints is kept, and its standard error labelled."""
        stack = ExitStack()
        stack.enter_context(redirect_stdout(self.printed))
        stack.enter_context(redirect_stderr(self.errors))
        return stack

    def report(self, **fields: Any) -> None:
        self.reports.write(json.dumps(fields) + "\n")
        self.reports.flush()

    def load(self) -> ModuleType | None:
        """The reader's module; None, with a report, when it does not load."""
        stop = self._time_limit("")
        try:
            with self.listening():
                module = load(self.file, "my_solution")
        except SyntaxError as error:
            self._fail("", _syntax(error, self.file))
        except BaseException as error:
            self._fail("", f"it raises {describe(error, self.file)}")
        else:
            self.report(name="", verdict="PASS", printed=self.printed.getvalue())
            return module
        finally:
            stop.cancel()
        return None

    def grade(self, exercise: Exercise, module: ModuleType) -> None:
        """Test one exercise and report PASS, FAIL or MISSING."""
        if not hasattr(module, exercise.name):
            self.report(name=exercise.name, verdict="MISSING")
            return
        stop = self._time_limit(exercise.name)
        try:
            self._test(exercise, getattr(module, exercise.name))
        except Failure as failure:
            self.call = failure.call
            self._fail(exercise.name, failure.complaint)
        else:
            self.report(name=exercise.name, verdict="PASS", printed=self.printed.getvalue())
        finally:
            stop.cancel()

    def _test(self, exercise: Exercise, answer: Any) -> None:
        from hypothesis.errors import Flaky

        try:
            with self.listening():
                exercise.run(answer, self.file, self._started)
        except Flaky as error:
            complaint = "it gives different answers to the same input"
            raise Failure(self.call, complaint) from error

    def _started(self, call: str) -> None:
        self.call = call
        self.printed.restart()

    def _fail(self, name: str, complaint: str, shown: str = SMALLEST) -> None:
        printed = self.printed.getvalue()
        call = {"call": self.call, "shown": shown, "printed": printed}
        self.report(name=name, verdict="FAIL", complaint=complaint, **call)

    def _time_limit(self, name: str) -> threading.Timer:
        """From now on: after so many seconds, say where the reader's code is, and end."""
        self.call = ""
        self.printed.restart()
        thread = threading.get_ident()

        def late() -> None:
            frame = sys._current_frames().get(thread)
            while frame is not None and frame.f_code.co_filename != str(self.file):
                frame = frame.f_back
            where = f"; it was in {place(self.file, frame.f_lineno)}" if frame else ""
            self._fail(name, f"it did not finish within {self.seconds:g} s{where}", RUNNING)
            os._exit(LATE)

        timer = threading.Timer(self.seconds, late)
        timer.daemon = True
        timer.start()
        return timer


def _syntax(error: SyntaxError, file: Path) -> str:
    message = f"{type(error).__name__}: {error.msg}"
    return message if error.lineno is None else f"{message}, in {place(file, error.lineno)}"


def main(arguments: list[str]) -> None:
    number, file, seconds, *names = arguments
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that guards this one
    sys.dont_write_bytecode = True  # two versions within a second would be taken for one
    sys.path.append(str(Path(file).parent))
    grader = Grader(Path(file), float(seconds))
    exercises = load(chapter(number).exercises, "exercises").EXERCISES
    module = grader.load()
    if module is not None:
        for exercise in exercises:
            if exercise.name in names:
                grader.grade(exercise, module)


if __name__ == "__main__":
    main(sys.argv[1:])
