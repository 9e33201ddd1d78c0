"""`python -m tests.benchmarks.learning.tuning train.tsv test.tsv --model FOLDER`: ways to tune.

Both files have a text, a tab and its class in each line. The folder has a BERT that was pretrained
on the texts of the training file (`probe --pretrain-steps` makes one). It is tuned wholly, by its
head alone and by LoRA, and a smaller model of the same kind is trained from scratch, with all
labels and with 500; beside them stands a bag of words that has the same rows. A tenth of the rows
to learn from is held out to choose by; the test file is read once a run.

Each run has a process of its own, whose seconds of training and peak memory are told. With
`--against torch` PyTorch does each run too, from the same weights, on the same batches. With
`--record FILE` finished runs are kept in a file, and those that are there are not run again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from chapters import options, text
from tests.benchmarks import commands
from tests.benchmarks.environment import facts, in_words, variables
from tests.benchmarks.learning.tuning_cases import CASES, Work, plan, source_of
from tests.benchmarks.learning.tuning_ours import COMPARED
from tests.benchmarks.learning.tuning_start import write_start
from tests.benchmarks.race import RaceError, Worker
from tinygrad_llm.metrics import Mean, mean_over_rows

BAG = "bag"

PAIRS = (
    *(("pretrained", "scratch"), ("pretrained", BAG), ("pretrained", "head")),
    *(("pretrained", "lora"), ("lora", "head")),
    *(("pretrained 500", "scratch 500"), ("pretrained 500", f"{BAG} 500")),
)
"""Cases of which the first is compared with the second, on the same seeds and rows."""

SIDES = {"ours": "ours", "torch": "PyTorch"}

Kept = dict[str, Any]
"""What a run gave, and under "key" which run it was."""

Right = dict[int, np.ndarray]
"""By seed, 1 for each test row (N,) that is right, else 0."""


def main(arguments: list[str]) -> int:
    text.use_utf8()
    given = _options(arguments)
    sides = ["ours", given.against] if given.against else ["ours"]
    with tempfile.TemporaryDirectory() as place:
        try:
            source = source_of(given.train, given.test, given.model)
            works = plan(source, given.cases, sides, given.seeds, Path(place))
            print("\n".join(in_words(about(side, Path(place))) for side in sides), flush=True)
            runs = finished(works, given.record, Path(place))
        except (OSError, ValueError, RaceError) as error:
            raise SystemExit(str(error)) from None
    print("\n".join(["", table(runs, sides), "", *differences(runs), *races(runs), *proofs(runs)]))
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = options.Parser(
        prog="python -m tests.benchmarks.learning.tuning",
        description=(__doc__ or "").splitlines()[0].partition(": ")[2],
    )
    parser.add_argument("train", type=Path, help="lines of a text, a tab, its class")
    parser.add_argument("test", type=Path, help="the same, never learnt from")
    parser.add_argument("--model", type=Path, required=True, help="the folder of a BERT")
    known = f"with commas between, of: {', '.join(CASES)} (default: all); the bag comes along"
    parser.add_argument("--cases", default=",".join(CASES), metavar="A,B", help=known)
    seeds = "of each case (default: 3; 5 with 500 labels)"
    parser.add_argument("--seeds", type=int, metavar="N", help=seeds)
    parser.add_argument("--against", choices=["torch"], help="let PyTorch do the same")
    parser.add_argument("--record", type=Path, metavar="FILE", help="keep finished runs there")
    given = parser.parse_args(arguments)
    given.cases = list(dict.fromkeys(name.strip() for name in given.cases.split(",")))
    _check(parser, given)
    return given


def _check(parser: options.Parser, given: argparse.Namespace) -> None:
    """End in one line, before anything is measured, where that cannot be."""
    for case in given.cases:
        if case not in CASES:
            parser.refuse(f"--cases: there is no case {case!r}; there are: {', '.join(CASES)}")
    if given.seeds is not None and given.seeds < 1:
        parser.refuse("--seeds is at least 1")
    for library in ("torch", "transformers") if given.against else ():
        if find_spec(library) is None:
            parser.refuse(f"--against torch: {library} is not installed: pip install {library}")
    if given.record and given.record.is_dir():
        parser.refuse(f"--record: {given.record} is a folder; name a file in it")
    if given.record and not given.record.absolute().parent.is_dir():
        parser.refuse(f"--record: there is no folder {given.record.parent}")


# Runs


def about(side: str, folder: Path) -> dict[str, Any]:
    """What does the arithmetic in the process of a side."""
    with closing(_worker(side, folder)) as worker:
        return worker.ask("facts", None)


def finished(works: Sequence[Work], record: Path | None, folder: Path) -> list[Kept]:
    """What each run gives, from the record where it is there; told line by line.

    Raises RaceError for a process that ended, ValueError for a record that is none.
    """
    before, runs = recorded(record), []
    for work in works:
        found = next((each for each in before if each["key"] == work.key), None)
        runs.append(found or measured(work, folder))
        if record and not found:
            with open(record, "a", encoding="utf-8") as file:
                file.write(json.dumps(runs[-1]) + "\n")
        accuracy, seconds = 100 * runs[-1]["accuracy"], runs[-1]["seconds"]
        known = ", as recorded" if found else ""
        print(f"{work.name}: {accuracy:.1f} %, {seconds:.1f} s{known}", flush=True)
    return runs


def recorded(path: Path | None) -> list[Kept]:
    """The runs of a record; none where there is no such file yet. Raises ValueError, naming the
    line, for what is no run."""
    if path is None or not path.exists():
        return []
    runs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            runs.append(json.loads(line))
            if not {"key", "right", "seconds"} <= set(runs[-1]):
                raise ValueError
        except (ValueError, TypeError):
            raise ValueError(f"{path}, line {number}: this is no run: remove the line") from None
    return runs


def measured(work: Work, folder: Path) -> Kept:
    """One run, in a process of its own. Raises RaceError where that ends."""
    given, start = work.options.to_dict(), folder / "start.npz"
    if work.side == "torch":
        given = write_start(work.options, start)
    try:
        with closing(_worker(work.side, folder)) as worker:
            return {"key": work.key, **worker.ask("run", given)}
    except RaceError as error:
        raise RaceError(f"{work.name}: {error}") from None
    finally:
        shutil.rmtree(work.options.out, ignore_errors=True)  # there is none of PyTorch's


def _worker(side: str, folder: Path) -> Worker:
    """The process of a side; PyTorch's has as many threads as NumPy's BLAS."""
    words = []
    if side == "torch":
        words = [str(folder / "start.npz"), str(facts("ours")["threads"])]
    program = f"tests.benchmarks.learning.tuning_{side}"
    return Worker(SIDES[side], words, folder, variables(), program=program)


# What came of it


def answers(runs: Sequence[Kept]) -> dict[tuple[str, str], Right]:
    """By case and side; also those of the bag, which had the rows of our runs."""
    found: dict[tuple[str, str], Right] = {}
    for run in runs:
        case, side, seed = (run["key"][name] for name in ("case", "side", "seed"))
        found.setdefault((case, side), {})[seed] = _array(run["right"])
        if "bag" in run:
            found.setdefault((bag_of(case), side), {})[seed] = _array(run["bag"])
    return found


def bag_of(case: str) -> str:
    """The name of the bag that has as many labels as a case."""
    labels = CASES[case].labels
    return f"{BAG} {labels}" if labels else BAG


def _array(digits: str) -> np.ndarray:
    return np.array(list(digits)).astype(np.float64)


def table(runs: Sequence[Kept], sides: Sequence[str]) -> str:
    """Accuracies, and what they cost: medians."""
    right = answers(runs)
    bags = dict.fromkeys(bag_of(case) for case in CASES)
    order = [case for bag in bags for case in (*(c for c in CASES if bag_of(c) == bag), bag)]
    rows = []
    for case, side in ((case, side) for case in order for side in sides):
        if (case, side) in right:
            accuracy = _shown(mean_over_rows(np.stack(list(right[case, side].values()))))
            by = [SIDES[side]] if len(sides) > 1 else []
            rows.append([case, *by, accuracy, *_cost(_of(runs, case, side))])
    header = ["case", *(["side"] if len(sides) > 1 else []), "accuracy in %", "trained", "share"]
    note = "± 95 % intervals, over seeds and test rows; seconds and memory are medians"
    return f"{text.table([*header, 'seconds', 'peak MiB'], rows)}\n{note}"


def _of(runs: Sequence[Kept], case: str, side: str) -> list[Kept]:
    return [run for run in runs if (run["key"]["case"], run["key"]["side"]) == (case, side)]


def _cost(runs: Sequence[Kept]) -> list[str]:
    """Parameters that learn, their share, seconds and memory; nothing for a bag."""
    if not runs:
        return [""] * 4
    trained, everything = runs[0]["trained"], runs[0]["parameters"]
    seconds = statistics.median(run["seconds"] for run in runs)
    held = [run["mib"] for run in runs]
    mib = "" if None in held else f"{statistics.median(held):,.0f}"
    return [f"{trained:,}", f"{trained / everything:.1%}", f"{seconds:,.1f}", mib]


def differences(runs: Sequence[Kept]) -> list[str]:
    """How far one case is above another, seed by seed and row by row, on our side."""
    right = answers(runs)
    lines = []
    for first, second in PAIRS:
        pair = right.get((first, "ours"), {}), right.get((second, "ours"), {})
        lines += _difference(f"{first} − {second}", *pair)
    return lines


def _difference(name: str, first: Right, second: Right) -> list[str]:
    """A line, where there are seeds that both have."""
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return []
    gain = mean_over_rows(np.stack([first[seed] - second[seed] for seed in seeds]))
    count = f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'}"
    return [f"{name}: {100 * gain.mean:+.1f} ± {100 * gain.half:.1f} points, {count}"]


def races(runs: Sequence[Kept]) -> list[str]:
    """PyTorch beside us: what it has more right, and how many times our seconds and memory."""
    right = answers(runs)
    lines = []
    for case in CASES:
        ours, theirs = (_of(runs, case, side) for side in SIDES)
        pair = right.get((case, "torch"), {}), right.get((case, "ours"), {})
        for line in _difference(f"{case}, PyTorch − ours", *pair):
            lines += [line, f"  PyTorch takes {_times(ours, theirs)}"]
    return lines


def _times(ours: Sequence[Kept], theirs: Sequence[Kept]) -> str:
    """Medians over seeds of what PyTorch takes, as multiples of what we take."""
    said = []
    for name, what in (("seconds", "our time"), ("mib", "our memory")):
        pairs = [(a[name], b[name]) for a, b in zip(ours, theirs)]
        if all(a and b for a, b in pairs):
            said.append(f"{statistics.median(b / a for a, b in pairs):.2f} × {what}")
    return ", ".join(said)


def proofs(runs: Sequence[Kept]) -> list[str]:
    """What merging changes, and whether frozen bodies stayed as they were."""
    lines = []
    for case in CASES:
        found = _of(runs, case, "ours")
        merged = [run["merged"] for run in found if run["merged"] is not None]
        kept = [run["body_kept"] for run in found if run["body_kept"] is not None]
        if merged:
            rows = min(COMPARED, len(found[0]["right"]))
            said = f"{max(merged):.1e} of the largest ({rows} rows, float32)"
            lines.append(f"{case}: merging moves logits by at most {said}")
        if kept:
            said = f"in {sum(kept)} of {len(kept)} runs"
            lines.append(f"{case}: the body's weights are those of the folder {said}")
    return lines


def _shown(value: Mean) -> str:
    return f"{100 * value.mean:.1f} ± {100 * value.half:.1f}"


if __name__ == "__main__":
    commands.run(main)
