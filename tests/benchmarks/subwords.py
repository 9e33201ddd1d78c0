"""Tokenizers beside the library `tokenizers`: training, encoding, memory, on one core.

    python -m tests.benchmarks.subwords [WORK …] [--against tokenizers] [--repeats 5] [--json FILE]

A work is such as `train-bpe-english` or `encode-wordpiece-chinese`; all if none is given. Each side
has a process of its own and they run in turn; medians of processor time are printed, with quartiles
(on a busy machine even that is more than it would be alone, up to twice). Before anything is timed
the sides must agree: on all merges of BPE, on the ids of every text, and on 99 % of a
WordPiece vocabulary (where two pairs are equally frequent the library takes now one, now the
other). Encoders, new in every round, read half of the texts (first pass), then the other half (new
text, warm), then that half again. Memory is the peak of a process minus its level before the work;
for encoding that is the model and what it remembers, as the rows are dropped at once.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chapters import options, text
from tests.benchmarks import commands, prose
from tests.benchmarks.environment import machine, variables
from tests.benchmarks.race import PAUSE, RaceError, Worker, ratio, spread
from tests.benchmarks.subwords_sides import ENCODERS, TOKENS, TRAINERS
from tests.benchmarks.subwords_worker import PASSES
from tinygrad_llm.files import write_json
from tinygrad_llm.tokenizers import train_bpe, train_wordpiece

LANGUAGES = {"english": prose.in_english, "chinese": prose.in_chinese}

WORKS = [
    f"{action}-{model}-{language}"
    for action in ("train", "encode")
    for model in ("bpe", "wordpiece")
    for language in LANGUAGES
]

ALIKE = 0.99
"""The share of a WordPiece vocabulary that both sides must have."""


def main(arguments: list[str]) -> int:
    """0 when all is measured, 1 when a work has no result; wrong usage exits with 2."""
    text.use_utf8()
    given = _options(arguments)
    about = machine().splitlines()[0]
    print(about + (f"; {given.against} {version(given.against)}" if given.against else ""))
    found = {}
    try:
        for work in list(dict.fromkeys(given.works)) or WORKS:
            found[work] = measure(work, given.against, given.repeats)
            if given.json:  # before it is shown: printing may end the command
                write_json(given.json, {"machine": about, "works": found})
            show(work, found[work])
    except RaceError as error:
        print(f"{work}: {error}", file=sys.stderr)
        return 1
    print(
        "\nmedians (quartiles) of processor time; the last column is a side's time / the first's,"
    )
    print("round by round (of encoding, that on new text): above 1, the first side is faster")
    return 0


def _options(arguments: list[str]) -> Namespace:
    """What was asked for; wrong usage ends here, before anything is measured."""
    parser = options.Parser(
        prog="python -m tests.benchmarks.subwords",
        description="Time training and encoding of tokenizers; with --against, beside a library's.",
    )
    parser.add_argument("works", nargs="*", metavar="WORK", help=f"all, or of: {', '.join(WORKS)}")
    parser.add_argument("--against", choices=["tokenizers"])
    commands.add_options(parser, repeats=5)
    given = parser.parse_args(arguments)
    for work in given.works:
        if work not in WORKS:
            parser.refuse(f"there is no work {work}; there are: {', '.join(WORKS)}")
    commands.check(parser, given)
    if given.against and find_spec(given.against) is None:
        parser.refuse(f"{given.against} is not installed: pip install {given.against}")
    return given


def measure(work: str, against: str | None, rounds: int) -> dict[str, Any]:
    """What there is to report of a work, as JSON can hold it; times are in seconds.

    Raises RaceError when the sides disagree or a process ends.
    """
    action, model, language = work.split("-")
    texts = LANGUAGES[language]()
    every = TRAINERS if action == "train" else ENCODERS
    sides = [side for side in every if side.split()[0] in ("ours", against)]
    with ExitStack() as stack:
        start = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "start.jsonl"
        _write(start, _learnt(model, texts) if action == "encode" else {}, texts)
        workers = [_worker(stack, work, side, start) for side in sides]
        for worker in workers:
            worker.ask("seconds", None)
        memory = [worker.ask("mib", None) for worker in workers]
        agreed = agreement(sides, [worker.ask("result", None) for worker in workers])
        times = _take_turns(workers, rounds)
    sizes = {"train": _bytes(texts), "first": _bytes(texts[::2])}
    sizes |= dict.fromkeys(PASSES[1:], _bytes(texts[1::2]))
    rows = zip(sides, times, memory)
    return {
        "megabytes": sizes["train"],
        "rounds": rounds,
        "agreement": agreed,
        "sides": [_row(*row, sizes=sizes, ours=times[0]) for row in rows],
    }


def _learnt(model: str, texts: list[str]) -> dict[str, Any]:
    """What the encoders of all sides are given."""
    if model == "bpe":
        vocab, merges = train_bpe(texts, TOKENS[model])
        return {"vocab": vocab, "merges": merges}
    return {"vocab": train_wordpiece(texts, TOKENS[model]), "merges": []}


def _write(path: Path, learnt: dict[str, Any], texts: list[str]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for line in (learnt, *texts):
            file.write(json.dumps(line) + "\n")


def _worker(stack: ExitStack, work: str, side: str, start: Path) -> Worker:
    """Its process, on one core where a library would take more; it ends with `stack`."""
    environment = variables(RAYON_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    program = "tests.benchmarks.subwords_worker"
    words = [work, side, str(start)]
    worker = Worker(side, words, start.parent, environment, program=program)
    stack.callback(worker.close)
    return worker


def agreement(sides: Sequence[str], results: Sequence[Any]) -> float:
    """The least share of the first side's result that another has: 1 for lists, which must be
    equal, and at least ALIKE for vocabularies. Raises RaceError below that."""
    first, least = results[0], 1.0
    for side, result in zip(sides[1:], results[1:]):
        if isinstance(first, dict):
            share = len(first.keys() & result.keys()) / max(len(first), len(result))
        else:
            share = float(result == first)
        if share < (ALIKE if isinstance(first, dict) else 1.0):
            raise RaceError(f"{side!r} gives another result than {sides[0]!r} ({share:.1%} alike)")
        least = min(least, share)
    return least


def _take_turns(workers: Sequence[Worker], rounds: int) -> list[list[dict[str, float]]]:
    """Seconds of each pass: for each worker, of each round."""
    times: list[list[dict[str, float]]] = [[] for _ in workers]
    for done in range(rounds):
        for place in range(len(workers)):
            turn = (done + place) % len(workers)
            time.sleep(PAUSE)
            times[turn].append(workers[turn].ask("seconds", None))
    return times


def _row(
    side: str,
    times: list[dict[str, float]],
    memory: float | None,
    sizes: dict[str, float],
    ours: list[dict[str, float]],
) -> dict[str, Any]:
    passes = {}
    for name in times[0]:
        seconds, first = ([each[name] for each in rows] for rows in (times, ours))
        passes[name] = {
            "seconds": seconds,
            "spread": spread(seconds)._asdict(),
            "megabytes_a_second": spread([sizes[name] / s for s in seconds])._asdict(),
            "ratio": ratio(first, seconds)._asdict(),
        }
    return {"side": side, "passes": passes, "mib": memory}


def _bytes(texts: Sequence[str]) -> float:
    """Megabytes of UTF-8."""
    return sum(len(text.encode("utf-8")) for text in texts) / 1e6


def show(work: str, found: dict[str, Any]) -> None:
    """What was found, for a reader."""
    training = work.startswith("train")
    rows = found["sides"]
    print(f"\n{work}, {found['megabytes']:.1f} MB, {found['rounds']} rounds", end="")
    print(f", {found['agreement']:.1%} alike" if len(rows) > 1 else "")
    units = ["seconds"] if training else [f"{name} MB/s" for name in PASSES]
    header = ("side", *units, "peak MiB more", "time / first's")
    print(text.table(header, [_cells(row, training, row is rows[0]) for row in rows]))


def _cells(row: dict[str, Any], training: bool, first: bool) -> list[str]:
    passes = row["passes"]
    if training:
        shown, last = [_spread(passes["train"]["spread"], 2)], "train"
    else:
        shown, last = [_spread(passes[name]["megabytes_a_second"], 2) for name in PASSES], "new"
    memory = "" if row["mib"] is None else f"{row['mib']:.0f}"
    return [row["side"], *shown, memory, "" if first else _spread(passes[last]["ratio"], 2)]


def _spread(values: dict[str, float], digits: int) -> str:
    median, low, high = (f"{values[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} ({low}–{high})"


if __name__ == "__main__":
    commands.run(main)
