"""`tinygrad-llm evaluate`: what a fine-tuned model is worth on the rows of a file."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm.cli.checks import check_batch_size, check_device, check_free, check_names
from tinygrad_llm.cli.parsers import Parser

RESULTS = "results.json"
"""All figures, beside the picture."""

SEVERAL = 16
"""Batches between two steps of the bar; texts of like length among them are put together."""

EPILOG = """for example:
  tinygrad-llm evaluate --model judge --data other.tsv
  tinygrad-llm evaluate --model judge --data other.jsonl --out figures"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "evaluate",
        memory="lower --batch-size",
        help="judge a tuned model by the rows of a file",
        usage="%(prog)s --model FOLDER --data FILE [options]",
        description="Compare what a model of finetune says of the texts in a file with the labels\n"
        "there: all figures with their intervals, and those of each class.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER", help="of a model that finetune made")
    rows = 'rows with labels: a text, a tab and a label; or objects as .jsonl, with "text", '
    rows += '"label" and, for pairs of texts, "text_pair"'
    add("--data", required=True, metavar="FILE", help=rows)
    kept = f"where a picture and {RESULTS} come to; a new or an empty folder"
    add("--out", metavar="FOLDER", help=kept)
    size = "texts that are computed together (default 64); it changes no figure"
    add("--batch-size", type=int, default=64, metavar="N", help=size)
    add("--device", default="cpu", metavar="NAME", help="cpu (default), cuda or cuda:<number>")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the figures; 0."""
    from tinygrad_llm.finetune import TextClassifier, read_part
    from tinygrad_llm.finetune.examples import encode, notes
    from tinygrad_llm.finetune.results import report, table

    names = {"--model": arguments.model, "--data": arguments.data, "--out": arguments.out}
    check_names(arguments.parser, names)
    check_batch_size(arguments.parser, arguments.batch_size)
    check_device(arguments.parser, arguments.device)
    if arguments.out is not None:
        check_free(arguments.out)
    classifier = TextClassifier.from_pretrained(arguments.model, arguments.device)
    task = "classification" if classifier.names else "regression"
    part = read_part(arguments.data, task, classifier.names)
    _check_pairs(arguments, classifier.pairs, part.seconds is not None)
    unread = "\n".join(notes(encode(part, classifier.tokenizer, classifier.max_length)))
    result = _judged(classifier, part, arguments.batch_size, task)
    about = Path(arguments.data).name
    print("\n\n".join(each for each in (unread, table(result, about), report(result)) if each))
    if arguments.out is not None:
        drawn = _write(arguments, result, about)
        print(f"\nThe figures are in {arguments.out}: {RESULTS} and {', '.join(drawn)}.")
    return 0


def _check_pairs(arguments: argparse.Namespace, wanted: bool | None, found: bool) -> None:
    """Refuse pairs for a model of single texts, and the other way round."""
    if wanted is None or wanted == found:
        return
    has, takes = ("pairs", "single texts") if found else ("single texts", "pairs")
    raise ValueError(
        f"{arguments.data} has {has}, and the model of {arguments.model} takes {takes}: give rows "
        "such as it was tuned on"
    )


def _judged(classifier: Any, part: Any, batch_size: int, task: str) -> Any:
    """What the model says of the rows, beside what their labels alone would let one say."""
    from tinygrad_llm.finetune.measures import MAJORITY, MEAN, Result, predictions
    from tinygrad_llm.training.baselines import majority

    said = predictions(task, _logits(classifier, part, batch_size), classifier.names)
    if task == "classification":
        alone = {MAJORITY: np.full(len(said), majority(part.labels))}
    else:
        alone = {MEAN: np.full(len(said), part.labels.mean(dtype=np.float64))}
    return Result(part.labels, said, classifier.names, alone)


def _logits(classifier: Any, part: Any, batch_size: int) -> np.ndarray:
    """What the model gives for each row; a bar shows how far it is, on a terminal."""
    from tqdm import tqdm

    found, size = [], SEVERAL * batch_size
    bar: Any = tqdm(total=len(part.texts), disable=None, unit="row", delay=1.0, dynamic_ncols=True)
    with bar:
        for start in range(0, len(part.texts), size):
            rows = slice(start, start + size)
            seconds = None if part.seconds is None else part.seconds[rows]
            found.append(classifier.logits(part.texts[rows], seconds, batch_size))
            bar.update(len(found[-1]))
    return np.concatenate(found)


def _write(arguments: argparse.Namespace, result: Any, about: str) -> list[str]:
    """Figures and pictures into the folder, all or none; the names of the pictures."""
    from tinygrad_llm.files import write_json
    from tinygrad_llm.finetune.outcome import plain_figures
    from tinygrad_llm.finetune.results import CONFUSION, SCATTER, draw

    folder = Path(arguments.out)
    said = {"model": arguments.model, "data": arguments.data, "rows": len(result.labels)}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        write_json(folder / RESULTS, {**said, "figures": plain_figures(result)})
        return draw(folder, [], result, about)
    except BaseException:
        for name in (RESULTS, CONFUSION, SCATTER):
            (folder / name).unlink(missing_ok=True)
        raise
