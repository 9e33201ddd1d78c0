"""`tinygrad-llm pretrain`: raw text in, a model folder out, and what the model has learnt."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

from tinygrad_llm.cli.flags import add_flags, errors_in_flags, given, make
from tinygrad_llm.cli.generate import check_device
from tinygrad_llm.cli.parsers import Parser

OPTIONS = "options.json"
"""What a run writes first: its options."""

SECTIONS = {
    "what, from what, and where to": {
        "model": "gpt|bert: a GPT learns to go on with texts, a BERT to fill in hidden words",
        "data": "PATH: english or chinese, which come along; a .txt or .jsonl file; or a folder "
        "with .txt files",
        "out": "FOLDER: what becomes the model's folder; a new or an empty one",
        "init": "FOLDER: start from this model, with its tokenizer, and train it further",
        "resume": "go on with the run in --out; of the other flags only those are needed that "
        "tell where things are now",
        "device": "cpu, cuda or cuda:<number>",
        "seed": "of first weights, order, dropout, split, pairs and hidden words",
    },
    "the texts": {
        "unit": "file|paragraph|line: what is one document of a .txt file; without this the file "
        "in a folder, else the paragraph",
        "valid_share": "the share of the texts that is held out",
        "tokenizer": "characters, bpe or wordpiece, which is trained on the texts; or the folder "
        "of one; without this bpe for a GPT, wordpiece for a BERT",
        "vocab_size": "how many tokens a trained tokenizer has; {vocabulary} without this, of "
        "characters all",
        "block_size": "tokens of a row; without this {gpt} for a GPT, {bert} for a BERT",
    },
    "the model": {
        "preset": "tiny|mini|base: its size; tiny without this",
        "dropout": "everywhere; without this what is usual, with --init what that has",
    },
    "the training": {
        "steps": "updates of the weights",
        "batch_size": "rows of a batch",
        "gradient_accumulation_steps": "batches in an update",
        "learning_rate": "the highest; it rises from 0, and falls to 0 again",
        "warmup": "the share of the steps in which it rises",
        "weight_decay": "of the matrices",
        "gradient_checkpointing": "less memory for more time",
        "save_steps": "steps from one checkpoint to the next; without this a tenth of the run",
        "eval_steps": "steps from one evaluation to the next; without this a tenth of the run",
    },
    "of a BERT alone": {
        "whole_word": "hide all tokens of a word together",
        "next_sentence": "learn also whether one text follows another",
        "mlm_probability": "the share of the tokens that it is asked for",
    },
}
"""All fields of PretrainOptions."""

EPILOG = """for example:
  tinygrad-llm pretrain --model gpt --data english --out first --steps 300
  tinygrad-llm pretrain --out first --resume
  tinygrad-llm pretrain --model gpt --init first --data my.txt --out second"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "pretrain",
        fill=_fill,
        help="train a GPT or a BERT on raw text, from scratch or further",
        usage="%(prog)s --model gpt|bert --data PATH --out FOLDER [options]\n"
        "       %(prog)s --out FOLDER --resume",
        description="Train a GPT or a BERT on raw text, from scratch or further. Ctrl-C saves\n"
        "first, and a run that was killed at any moment goes on with --resume.",
        epilog=EPILOG,
    )
    parser.set_defaults(run=run, parser=parser)


def _fill(parser: Parser) -> None:
    from tinygrad_llm.pretrain import PretrainOptions
    from tinygrad_llm.pretrain.parts import USUAL_ROW, USUAL_VOCABULARY

    add_flags(parser, PretrainOptions, SECTIONS, vocabulary=USUAL_VOCABULARY, **USUAL_ROW)


def run(arguments: argparse.Namespace) -> int:
    """Train, and print how good the model is; 0."""
    from tinygrad_llm.cli.results import results
    from tinygrad_llm.pretrain import PretrainOptions, pretrain

    values = given(arguments, PretrainOptions)
    options = make(arguments.parser, PretrainOptions, {**_saved(values), **values})
    check_device(arguments.parser, options.device)
    again = _command("pretrain", "--out", options.out, "--resume")
    with errors_in_flags(PretrainOptions):
        done = pretrain(options, resumed_by=again)
    print(f"\n{results(options.model, done.metrics, done.baselines)}\n\n{_next(options)}")
    return 0


def _saved(values: dict[str, Any]) -> dict[str, Any]:
    """With --resume, the options of the run in --out; what is wrong there, `pretrain` says."""
    if not values.get("resume") or "out" not in values:
        return {}
    path = Path(values["out"], OPTIONS)
    try:
        return dict(json.loads(path.read_text("utf-8"))["options"])
    except FileNotFoundError as error:
        raise ValueError(f"{values['out']} has no run to go on with: leave --resume out") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is of no run of ours, or broken: give another --out") from error


def _next(options: Any) -> str:
    """Where the model is, and what can be done with it."""
    said = f"The model is in {options.out},\nits curves are in {Path(options.out, 'curves.png')}."
    if options.model == "bert":
        return f"{said}\nIn Python:\n  models.from_pretrained({options.out!r})"
    tokens = str(min(100, options.block_size or 100))
    words = ("--prompt", "", "--do-sample", "--max-new-tokens", tokens)
    return f"{said}\nLet it write:\n  {_command('generate', '--model', options.out, *words)}"


def _command(*words: str) -> str:
    return f"tinygrad-llm {shlex.join(words)}"
