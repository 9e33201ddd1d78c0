"""What every chapter stands on: its options, its printing, its figures, its claims."""

from __future__ import annotations

import argparse
import inspect
import json
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from chapters import options as shared
from chapters import text
from chapters.catalogue import HERE, OUT, ROOT, python
from chapters.verdicts import LIMIT, Bar, Claim, Scale, Verdict, judge_all, read_bands, seeds_of
from tinygrad_llm import manual_seed

_T = TypeVar("_T")


class Lesson:
    """One run of one chapter.

    quick: whether to do less. device: for its tensors. data: the reader's own path, or None.
    rng: NumPy's generator, from the seed. Everything it prints fits into 80 columns.
    """

    def __init__(self, file: str, options: argparse.Namespace, budget: float):
        self.start = time.perf_counter()
        self.stem = Path(file).stem
        self.number = self.stem.partition("_")[0]
        self.options, self.budget = options, budget
        self.quick: bool = options.quick
        self.device: str = options.device
        self.data: str | None = options.data
        self.rng = np.random.default_rng(options.seed)
        manual_seed(options.seed)
        self.claims: list[Claim] = []
        self.notes: list[str] = []

    def own(self, read: Callable[[str], _T]) -> _T | None:
        """What `read` makes of the reader's own data, None without any.

        Ends in one clear line where it raises OSError or ValueError: the file is not what it must
        be, which had better be said before anything is computed.
        """
        if self.data is None:
            return None
        try:
            return read(self.data)
        except (OSError, ValueError) as error:
            shared.Parser(prog=f"{self.stem}.py").refuse(f"--data: {error}")

    def heading(self, title: str) -> None:
        """The title of a section; like all that is printed, followed by an empty line."""
        print(f"\n{title}\n{'─' * min(text.width(title), text.columns())}\n")

    def say(self, *sentences: str) -> None:
        """Sentences as one paragraph."""
        print(text.paragraph(" ".join(sentences)) + "\n")

    def note(self, sentence: str) -> None:
        """A sentence that the runner passes on too."""
        self.notes.append(sentence)
        self.say(sentence)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Rows under a header, in aligned columns."""
        print(text.table(header, rows) + "\n")

    def source(self, thing: Any) -> None:
        """The source of a class or function of the library."""
        print(textwrap.indent(inspect.getsource(thing), "  "))

    def progress(self, items: Iterable[Any], what: str) -> Iterable[Any]:
        """The items, with a progress bar on a terminal."""
        from tqdm import tqdm

        return tqdm(items, desc=what, leave=False, disable=None, ncols=text.columns())

    def figure(self, figure: Any, name: str) -> None:
        """Save a figure as chapters/out/NN_name.png and say where it is; or that it cannot be."""
        from tinygrad_llm.plot import save

        path = OUT / f"{self.number}_{name}.png"
        shown = path.relative_to(ROOT).as_posix()
        try:
            OUT.mkdir(exist_ok=True)
            save(figure, path)
        except OSError as error:
            self.note(f"{shown} could not be written ({error.strerror}); the chapter goes on.")
        else:
            print(f"Figure: {shown}\n")

    def claim(
        self,
        key: str,
        statement: str,
        value: float,
        below: Bar | None = None,
        above: Bar | None = None,
        scale: Scale = "log",
    ) -> None:
        """State something by a number; its verdict comes at the end.

        below, above: the baseline that the value must beat, ("its name", value); one of the two.
        scale: how far values lie apart over seeds: by factors ("log"), by differences ("linear"),
            of whole numbers ("count") or within 0 … 1 ("share"), or by factors up to 1e-6
            ("gradient").
        Raises ValueError for a claim without a baseline, and for a key used twice.
        """
        if (below is None) == (above is None):
            raise ValueError(f"claim {key}: give one baseline, below or above")
        if any(each.key == key for each in self.claims):
            raise ValueError(f"claim {key}: the key is taken")
        self.claims.append(Claim(key, statement, float(value), scale, below, above))

    def agrees(
        self, key: str, statement: str, error: float, baseline: Bar = ("the limit", LIMIT)
    ) -> None:
        """State that a gradient is right: its error against finite differences, up to `LIMIT`."""
        self.claim(key, f"{statement}: error", error, below=baseline, scale="gradient")

    def close(self) -> None:
        """Print the verdicts and hand them to the runner; exit code 1 when one failed."""
        mode = "quick" if self.quick else "default"
        verdicts = judge_all(self.claims, read_bands(self.number, mode))
        seconds = time.perf_counter() - self.start
        if (HERE / "exercises" / f"{self.stem}.py").exists():
            self.heading("Exercises")
            self.say("They are at the end of this chapter's file. To grade yours:")
            print(f"  {python()} -m chapters check {self.number} my_solution.py")
        self.heading(f"Verdicts ({mode} run, seed {self.options.seed})")
        seeds = seeds_of(self.number, mode)
        self.say(
            f"Each claim's value must lie in its band, the range seen over {seeds} seeds and",
            "widened (see chapters/bands.json), and beat a baseline, given last.",
        )
        for verdict in verdicts:
            print("\n".join(verdict.lines()))
        good = sum(verdict.passed for verdict in verdicts)
        print(
            f"\nChapter {self.number}: {good} of {len(verdicts)} claims hold, "
            f"{seconds:.1f} s (budget {self.budget:g} s)"
        )
        if self.options.report:
            self._report(verdicts)
        if good < len(verdicts):
            sys.exit(1)

    def _report(self, verdicts: list[Verdict]) -> None:
        made = {claim.key for claim in self.claims}
        claims = [
            {
                "key": verdict.claim.key,
                "value": verdict.claim.value,
                "scale": verdict.claim.scale,
                "made": verdict.claim.key in made,
                "passed": verdict.passed,
                "lines": verdict.lines(),
            }
            for verdict in verdicts
        ]
        report = {"notes": self.notes, "claims": claims}
        Path(self.options.report).write_text(json.dumps(report, ensure_ascii=False), "utf-8")


def begin(file: str, seconds: tuple[float, float], uses_data: bool = False) -> Lesson:
    """Start a chapter: read the command line when `file` runs as a script, else take defaults.

    seconds: what the default run and the quick run may take on two cores.
    """
    text.use_utf8()
    parser = shared.Parser(prog=Path(file).name)
    shared.add_options(parser)
    parser.add_argument("--report", metavar="FILE", help="write the verdicts as JSON (the runner)")
    as_script = bool(sys.argv) and Path(sys.argv[0]).name == Path(file).name
    options = parser.parse_args(sys.argv[1:] if as_script else [])
    shared.check(parser, options)
    if as_script:
        os.environ.setdefault("MPLBACKEND", "Agg")  # figures go to files: no window, no display
        signal.signal(signal.SIGINT, lambda *_: shared.interrupted())
        shared.end_with_the_pipe()
        shared.one_blas_thread()
    lesson = Lesson(file, options, seconds[options.quick])
    print(f"Chapter {lesson.stem.replace('_', ' ')}")
    if options.data is not None and not uses_data:
        lesson.note(f"Chapter {lesson.number} has no use for --data: it makes its own numbers.")
    return lesson
