"""`tinygrad-llm finetune`: labelled rows in, a model folder out, and what the model is worth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from tinygrad_llm.cli.checks import check_device, check_names, check_place
from tinygrad_llm.cli.flags import (
    add_flags,
    errors_in_flags,
    flag,
    given,
    make,
    warnings_in_flags,
)
from tinygrad_llm.cli.going_on import command, saved_options
from tinygrad_llm.cli.parsers import Parser

SECTIONS = {
    "what, from what, and where to": {
        "model": "FOLDER|tiny|mini|base: the folder of a BERT with its tokenizer; or a new one, of "
        "2 layers of width 128, 4 of 256 or 12 of 768",
        "train": "FILE: rows to learn from: a text, a tab and a label; or, as .jsonl, objects with "
        '"text", "label" and, for pairs of texts, "text_pair"',
        "valid": "FILE: rows to choose the best weights by; without this a tenth of --train is "
        "held out",
        "test": "FILE: rows to judge by, once, at the end; without this a tenth of --train is "
        "held out",
        "out": "FOLDER: what becomes the model's folder; a new or an empty one",
        "task": "classification|regression: whether labels are classes or numbers",
        "resume": "go on with the run in --out; of the other flags only those are needed that "
        "tell where things are now",
        "device": "cpu, cuda or cuda:<number>",
        "seed": "of the split, first weights, order and dropout; 0 without this",
    },
    "how it learns": {
        "method": "full|head|lora: all of the model learns; its new head alone; or the head and "
        "updates of low rank (LoRA)",
        "preset": "J5|J6|J7|J8: the settings that the course's documents have for their four "
        "jobs; what is given beside it counts more",
        "epochs": "how often all rows are learnt from at most; without this {full}, of a head "
        "alone {head}, and of few rows more, up to {most} times",
        "batch_size": "rows of a batch; without this 32, of a new model 64",
        "learning_rate": "the highest; it rises from 0, and falls to 0 again; without this, for a "
        "model of width {width}, {full_rate:g}, of LoRA {lora_rate:g} and of a new model "
        "{new_rate:g}, for wider ones less; of a head alone {head_rate:g}",
        "warmup": "the share of the steps in which it rises; 0.1 without this",
        "weight_decay": "of the matrices; 0.01 without this",
        "patience": "epochs without a better result on the rows to choose by, after which it ends; "
        "without this half of all, at least 3",
        "max_length": "tokens of a text, beyond which it is cut; without this {length}, or what "
        "the model can read",
        "dropout": "everywhere; without this what the model has, of a new one 0.2",
    },
    "of --method full alone": {
        "layer_decay": "each layer learns so many times as fast as the one above it",
        "unfreeze_every": "steps after which one more layer learns, from the top; without this "
        "all learn from the start",
    },
    "of --method lora alone": {
        "rank": "the inner width of the updates",
        "alpha": "their scale is this divided by --rank",
        "rslora": "divide by the square root of --rank",
        "lora_targets": "NAMES: the layers that get updates, with commas between; or all",
        "merge": "save an ordinary model, not what LoRA has added alone",
    },
    "of a new model alone": {
        "tokenizer": "FOLDER: that of a tokenizer; without this a WordPiece one is trained on "
        "--train",
        "vocab_size": "how many tokens a trained one has; {vocabulary} without this",
    },
}
"""All fields of FinetuneOptions."""

EPILOG = """for example:
  tinygrad-llm finetune --model tiny --train rows.tsv --out judge
  tinygrad-llm finetune --out judge --resume
  tinygrad-llm finetune --model my-bert --method lora --train rows.jsonl \\
      --valid valid.jsonl --test test.jsonl --out judge"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "finetune",
        fill=_fill,
        memory="lower --batch-size or --max-length, or take --method head",
        help="tune a BERT to labelled texts",
        usage="%(prog)s --model MODEL --train FILE --out FOLDER [options]\n"
        "       %(prog)s --out FOLDER --resume",
        description="Tune a BERT to texts with labels, classes or numbers, and judge it on rows\n"
        "that it has not seen, beside a bag of words. Ctrl-C saves first, and a run\n"
        "that was killed at any moment goes on with --resume.",
        epilog=EPILOG,
    )
    parser.set_defaults(run=run, parser=parser)


def _fill(parser: Parser) -> None:
    from tinygrad_llm.finetune import options
    from tinygrad_llm.finetune.start import USUAL_LENGTH, USUAL_VOCABULARY

    sizes = {"length": USUAL_LENGTH, "vocabulary": USUAL_VOCABULARY, "width": options.WIDTH}
    rates = {f"{name}_rate": rate for name, (rate, _) in options.RATES.items()}
    rates |= {"new_rate": options.SCRATCH[0], "most": options.MOST_EPOCHS}
    add_flags(parser, options.FinetuneOptions, SECTIONS, **options.EPOCHS, **rates, **sizes)


def run(arguments: argparse.Namespace) -> int:
    """Tune, and print how good the model is beside its baselines; 0."""
    from tinygrad_llm.finetune import FinetuneOptions, finetune

    values = given(arguments, FinetuneOptions)
    saved = saved_options(values, FinetuneOptions)
    options = make(arguments.parser, FinetuneOptions, {**saved, **values})
    named = ("model", "train", "valid", "test", "out", "tokenizer")
    check_names(arguments.parser, {flag(name): getattr(options, name) for name in named})
    check_device(arguments.parser, options.device)
    check_place(options.out)
    ended = _has_ended(options)
    again = command("finetune", "--out", options.out, "--resume")
    with errors_in_flags(FinetuneOptions), warnings_in_flags(FinetuneOptions):
        done = finetune(options, resumed_by=again)
    print(f"{ended}\n{_told(done)}\n\n{_next(options)}")
    return 0


def _has_ended(options: Any) -> str:
    """A line on a run that has nothing left to do."""
    from tinygrad_llm.finetune.outcome import RESULTS

    if not Path(options.out, RESULTS).exists():
        return ""
    return f"The run in {options.out} has ended; here is once more what it came to.\n"


def _told(done: Any) -> str:
    """What was measured, of all test rows and of each class, and what the run took."""
    from tinygrad_llm.finetune.results import report, table

    pieces = [table(done.result), report(done.result), _cost(done.cost)]
    return "\n\n".join(piece for piece in pieces if piece)


def _cost(cost: Any) -> str:
    share = cost.trained / cost.parameters
    seconds = f"{cost.seconds:{',.1f' if cost.seconds >= 1.0 else '.2g'}}"
    took = f"training took {seconds} s"
    took += "" if cost.memory is None else f", and {cost.memory / 2**20:,.0f} MiB of memory at most"
    return f"{cost.trained:,} of {cost.parameters:,} parameters learnt, {share:.2%}\n{took}"


def _next(options: Any) -> str:
    """Where the model is, and what can be done with it."""
    from tinygrad_llm.finetune.results import CONFUSION, CURVES, SCATTER

    other = CONFUSION if options.task == "classification" else SCATTER
    text = ("a text", "its second text") if _takes_pairs(options.out) else ("a text",)
    judge = command("evaluate", "--model", options.out, "--data", "FILE")
    lines = [
        f"The model is in {options.out},",
        f"with the pictures {CURVES} and {other}; its README.md says what it is.",
        *_also_needed(options),
        f"Judge it by other rows:\n  {judge}",
        f"Let it label a text:\n  {command('predict', '--model', options.out, '--text', *text)}",
    ]
    return "\n".join(lines)


def _takes_pairs(folder: str) -> bool:
    from tinygrad_llm.finetune.classifier import FINETUNE

    return json.loads(Path(folder, FINETUNE).read_text("utf-8"))["pairs"]


def _also_needed(options: Any) -> list[str]:
    """The other folder that an adapter needs."""
    if not options.saves_adapter:
        return []
    return [f"It has what LoRA added; the rest it takes from {options.model}, so keep that."]
