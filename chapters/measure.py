"""Measure the bands of chapters: `python -m chapters.measure 01` runs them over seeds.

It alone writes chapters/bands.json: values over the seeds, the band that the rule makes of them,
the date and the machine, for the quick and for the default run.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys

import numpy as np

from chapters import options, text, verdicts
from chapters.catalogue import Chapter, chapter, chapters
from chapters.runner import Outcome, run
from tinygrad_llm.files.atomic import write_text

LEAST = 5
"""Seeds of a run that takes minutes; fewer tell too little of how far values lie apart."""

MODES = {"quick": ["--quick"], "default": []}


def measure(which: Chapter, seeds: int = 10) -> dict:
    """Run one chapter in both modes -> its part of the file; the default run, which may take long,
    over that many seeds, the quick one over ten.

    Raises RuntimeError when a run does not reach its end, ValueError when claims differ by seed.
    """
    counts = {"quick": 10, "default": seeds}
    return {mode: _measure_mode(which, mode, range(counts[mode])) for mode in MODES}


def _measure_mode(which: Chapter, mode: str, seeds: range) -> dict:
    outcomes = []
    for seed in seeds:
        print(f"chapter {which.number}, {mode} run, seed {seed}", file=sys.stderr)
        outcomes.append(run(which, [*MODES[mode], "--seed", str(seed)], tick=lambda _: None))
        if outcomes[-1].problem:
            raise RuntimeError(f"{mode} run, seed {seed}: {outcomes[-1].problem}")
    return {
        "seeds": list(seeds),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "machine": machine(),
        "seconds": round(max(outcome.seconds for outcome in outcomes), 1),
        "claims": _claims(outcomes),
    }


def _claims(outcomes: list[Outcome]) -> dict:
    """Key -> scale, values over the seeds and band; a claim that the chapter lost is left out."""
    runs = [{claim["key"]: claim for claim in o.claims if claim["made"]} for o in outcomes]
    if any(each.keys() != runs[0].keys() for each in runs):
        raise ValueError("the claims differ from seed to seed: make all of them in every run")
    measured = {}
    for key, claim in runs[0].items():
        values = [each[key]["value"] for each in runs]
        try:
            low, high = verdicts.band_of(values, claim["scale"])
        except ValueError as error:
            raise ValueError(f"claim {key}: {error}") from error
        measured[key] = {"scale": claim["scale"], "low": low, "high": high, "values": values}
    return measured


def as_json(bands: dict) -> str:
    """Indented, with each list of numbers on one line."""
    lines = json.dumps(bands, ensure_ascii=False, indent=1)
    return re.sub(
        r"\[[^\[\]]*\]", lambda found: "[" + " ".join(found[0][1:-1].split()) + "]", lines
    )


def machine() -> str:
    """One line: Python, NumPy, processor, cores."""
    name = platform.processor() or platform.machine()
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{platform.system()}, {versions}, {name}, {os.cpu_count()} cores"


def _seeds(text: str) -> int:
    """The number. Raises ArgumentTypeError, which argparse tells in one line, below LEAST."""
    if not text.isdecimal() or int(text) < LEAST:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {LEAST} on")
    return int(text)


def main(arguments: list[str]) -> None:
    text.use_utf8()
    parser = options.Parser(prog="python -m chapters.measure", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="chapters; all when none is given")
    said = "of the default run; ten if not said"
    parser.add_argument("--seeds", type=_seeds, default=10, metavar="N", help=said)
    given = parser.parse_args(arguments)
    try:
        wanted = [chapter(number) for number in given.numbers] or chapters()
    except LookupError as error:
        parser.refuse(str(error))
    kept = verdicts.read(verdicts.BANDS).get("chapters", {})
    for each in wanted:
        try:
            kept[each.number] = measure(each, given.seeds)
        except (RuntimeError, ValueError) as error:
            parser.refuse(f"chapter {each.number}, nothing written: {error}")
        write_text(verdicts.BANDS, as_json({"rule": verdicts.RULE, "chapters": kept}) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        options.interrupted()
