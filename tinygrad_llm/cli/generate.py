"""`tinygrad-llm generate`: a model of a folder goes on with a text, shown as it is written."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from tinygrad_llm.cli.checks import check_device, decoded
from tinygrad_llm.cli.flags import add_flags, errors_in_flags, given, make
from tinygrad_llm.cli.parsers import Parser

SECTIONS = {
    "how much is written": {
        "max_new_tokens": "how many tokens at most; {few} without this and --max-length",
        "max_length": "how many tokens the text may have, prompt included",
        "min_new_tokens": "no end before so many new tokens",
        "min_length": "no end before the text, prompt included, has so many tokens",
        "num_return_sequences": "how many texts; more than one need --do-sample or --num-beams",
    },
    "which token comes next": {
        "do_sample": "draw each token by its probability; else the most probable one is taken",
        "temperature": "of drawing: below 1 more careful, above 1 more daring",
        "top_k": "draw from the so many most probable tokens; 0: from all",
        "top_p": "draw from the fewest tokens that have this probability together",
        "min_p": "draw from tokens of at least this share of the greatest probability",
        "seed": "of drawing: the same seed writes the same text",
        "repetition_penalty": "above 1: tokens that stand in the text become less probable",
        "no_repeat_ngram_size": "so many tokens in a row never come twice; 0: they may",
    },
    "beam search": {
        "num_beams": "how many continuations are followed side by side; the best one is shown",
        "length_penalty": "above 0 favours longer texts, from -16 to 16",
        "early_stopping": "WHEN: the search ends with so many texts as there are beams: true: at "
        "once; false: when no beam looks better; never: when none can become better",
    },
    "numbers of tokens, taken from the folder where they are not given": {
        "eos_token_id": "what ends a text, one or several",
        "forced_eos_token_id": "what comes last where the text reaches its greatest length",
        "pad_token_id": "what stands after the end; it is not shown",
    },
}
"""All fields of GenerationConfig but decoder_start_token_id, which is for encoder-decoders."""

EPILOG = """for example:
  tinygrad-llm generate --model first --prompt "Once upon a time" \\
      --max-new-tokens 200 --do-sample --temperature 0.8 --top-p 0.95
  tinygrad-llm generate --model first --lines < prompts.txt"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "generate",
        fill=_fill,
        memory="lower --num-return-sequences, --num-beams or --max-new-tokens",
        help="go on with a text",
        usage="%(prog)s --model FOLDER [--prompt TEXT | --lines] [options]",
        description="Go on with a text, which is shown as it is written: with that of --prompt,\n"
        "or without it with what comes from standard input.",
        epilog=EPILOG,
    )
    parser.set_defaults(run=run, parser=parser)


def _fill(parser: Parser) -> None:
    from tinygrad_llm.generation import GenerationConfig
    from tinygrad_llm.generation.configuration import NEW_TOKENS

    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER", help="of a GPT-2 and its tokenizer")
    add("--prompt", metavar="TEXT", help="what the text begins with")
    lines = "go on with each line of standard input, one by one; empty ones are left out"
    add("--lines", action="store_true", help=lines)
    add("--device", default="cpu", metavar="NAME", help="cpu (default), cuda or cuda:<number>")
    add_flags(parser, GenerationConfig, SECTIONS, few=NEW_TOKENS)


def run(arguments: argparse.Namespace) -> int:
    """Write a text for each prompt; 0."""
    from tinygrad_llm.cli.writing import Writer
    from tinygrad_llm.generation import GenerationConfig

    parser: Parser = arguments.parser
    if arguments.lines and arguments.prompt is not None:
        parser.refuse("--lines reads prompts from standard input: leave --prompt out, or --lines")
    config = make(parser, GenerationConfig, given(arguments, GenerationConfig))
    check_device(parser, arguments.device)
    writer = Writer(arguments.model, arguments.device, config)
    for where, prompt in _prompts(arguments):
        with errors_in_flags(GenerationConfig, where):
            writer.write(prompt, where)
    return 0


def _prompts(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The prompt, or those of standard input; before each where it stands, if there are several."""
    if arguments.prompt is not None:
        yield "", decoded("--prompt", arguments.prompt)
        return
    if sys.stdin.isatty():
        ends = "one a line" if arguments.lines else "then Ctrl-D at the beginning of a line"
        print(f"Prompts, {ends}:" if arguments.lines else f"Prompt, {ends}:", file=sys.stderr)
    try:
        if not arguments.lines:
            yield "", "\n".join(_typed())
            return
        for number, line in enumerate(_typed(), start=1):
            if line.strip():
                yield f"line {number}", line
    except UnicodeDecodeError as error:
        raise ValueError(f"standard input is not UTF-8: {error.reason}; convert it") from error


def _typed() -> Iterator[str]:
    """The lines of standard input, without their ends and a byte order mark."""
    for number, line in enumerate(sys.stdin):
        text = line.removesuffix("\n").removesuffix("\r")
        yield text if number else text.removeprefix("\ufeff")
