"""`tinygrad-llm pretrain`: raw text in, a model folder out, and what the model has learnt."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from textwrap import indent
from typing import Any

from tinygrad_llm.cli.checks import check_device, check_names
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
        "tokenizer": "characters (each is a token), bpe (bytes, and what is often side by side, "
        "so that no text is unknown) or wordpiece (words, and pieces of rare ones), which is "
        "trained on the texts; or the folder of one; without this bpe for a GPT, wordpiece for a "
        "BERT",
        "vocab_size": "how many tokens a trained tokenizer has; {vocabulary} without this, of "
        "characters all",
        "block_size": "tokens of a row; without this {gpt} for a GPT, {bert} for a BERT",
    },
    "the model": {
        "preset": "tiny|mini|base: its size: 2 layers of width 128, 4 of 256 or 12 of 768; tiny "
        "without this",
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

FILL_IN = """from tinygrad_llm import models, tokenizers

tokenizer = tokenizers.Tokenizer.from_pretrained({out!r})
model = models.from_pretrained({out!r})
ids = tokenizer.encode(f"The {{tokenizer.mask_token}}.")
place = ids.index(tokenizer.mask_token_id)
ids[place] = model([ids]).logits.numpy()[0, place].argmax()
print(tokenizer.decode(ids))"""
"""How a BERT fills in a hidden word; of characters too it has no more tokens than any row."""

EPILOG = """for example:
  tinygrad-llm pretrain --model gpt --data english --out first --steps 300
  tinygrad-llm pretrain --out first --resume
  tinygrad-llm pretrain --model gpt --init first --data my.txt --out second"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "pretrain",
        fill=_fill,
        memory="lower --batch-size or --block-size, or take a smaller --preset",
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
    saved = saved_options(values, PretrainOptions)
    options = make(arguments.parser, PretrainOptions, {**saved, **values})
    _check_given(arguments.parser, options, values)
    check_device(arguments.parser, options.device)
    again = command("pretrain", "--out", options.out, "--resume")
    with errors_in_flags(PretrainOptions), warnings_in_flags(PretrainOptions):
        done = pretrain(options, resumed_by=again)
    print(f"\n{results(options.model, done.metrics, done.baselines)}\n\n{_next(options)}")
    return 0


def _check_given(parser: Parser, options: Any, values: dict[str, Any]) -> None:
    """End, as for wrong usage, where names cannot be written down, or where flags of a BERT, though
    they change nothing, are for a GPT."""
    from tinygrad_llm.pretrain.options import OF_BERT

    named = ("data", "out", "tokenizer", "init")
    check_names(parser, {flag(name): getattr(options, name) for name in named})
    for name in OF_BERT:
        if options.model == "gpt" and name in values:
            parser.refuse(f"{flag(name)} is of a BERT alone: leave it out")


def _next(options: Any) -> str:
    """Where the model is, and what can be done with it."""
    said = f"The model is in {options.out},\nits curves are in {Path(options.out, 'curves.png')}."
    if options.model == "bert":
        line = command("finetune", "--model", options.out, "--train", "FILE", "--out", "FOLDER")
        tune = f"Tune it to texts with labels:\n  {line}"
        program = indent(FILL_IN.format(out=options.out), "  ")
        return f"{said}\n{tune}\nLet it fill in a word, in Python:\n{program}"
    alone, most = _begins_by_itself(options.out), _most_tokens(options.out)
    tokens = int(min(100, most if alone else most / 2))  # the prompt has some as well
    words = ("--prompt", "" if alone else "TEXT", "--do-sample", "--max-new-tokens", str(tokens))
    return f"{said}\nLet it write:\n  {command('generate', '--model', options.out, *words)}"


def _begins_by_itself(folder: str) -> bool:
    """Whether a token begins a text, so that nothing has to be given to go on from."""
    from tinygrad_llm.tokenizers import Tokenizer

    said = json.loads(Path(folder, "config.json").read_text("utf-8"))
    return (said["bos_token_id"], Tokenizer.from_pretrained(folder).bos_token_id) != (None, None)


def _most_tokens(folder: str) -> float:
    """How many tokens the GPT of a folder reads; only learned positions have an end."""
    said = json.loads(Path(folder, "config.json").read_text("utf-8"))
    return said["n_positions"] if said["positions"] == "learned" else math.inf
