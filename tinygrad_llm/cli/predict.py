"""`tinygrad-llm predict`: texts in, as they come, and for each a line with what a model says."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from tinygrad_llm.cli.checks import check_batch_size, check_device
from tinygrad_llm.cli.parsers import Parser
from tinygrad_llm.cli.texts import STDIN, Text, portions, read_texts, typed_texts

SEVERAL = 16
"""Batches of a file that are read together: texts of like length among them share one."""

DIGITS = 6
"""Of numbers, and behind the point of probabilities, in JSON; float32 has not many more."""

EPILOG = """Each text gives a line: its label, a tab and the probability of that; of a
model of numbers the number; with --json an object with all probabilities. A
line that cannot be read ends it; the answers to all lines before it come first.
Standard input is answered in batches, with --batch-size 1 each line at once.

for example:
  tinygrad-llm predict --model judge --text "What a day!" "Never again."
  tinygrad-llm predict --model judge --data texts.txt --json
  tinygrad-llm predict --model judge < texts.txt"""


def add_parser(commands: Any) -> None:
    """Add the command to those of the main parser."""
    parser: Parser = commands.add_parser(
        "predict",
        memory="lower --batch-size",
        help="label texts by a tuned model",
        usage="%(prog)s --model FOLDER --text TEXT [TEXT ...] [options]\n"
        "       %(prog)s --model FOLDER [--data FILE] [options]",
        description="Label texts by a model of finetune: those of --text or of a file, or without\n"
        "both the lines of standard input.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--model", required=True, metavar="FOLDER", help="of a model that finetune made")
    texts = "one or several; for a model of pairs two by two"
    add("--text", nargs="+", action="extend", metavar="TEXT", help=texts)
    lines = 'a text a line, of pairs with a tab between them; or .jsonl, objects with "text" and, '
    lines += 'of pairs, "text_pair"; - is standard input'
    add("--data", metavar="FILE", help=lines)
    add("--json", action="store_true", help="answer with an object a line")
    size = "texts that are computed together (default 64)"
    add("--batch-size", type=int, default=64, metavar="N", help=size)
    add("--device", default="cpu", metavar="NAME", help="cpu (default), cuda or cuda:<number>")
    parser.set_defaults(run=run, parser=parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a line for each text; 0."""
    from tinygrad_llm.finetune import TextClassifier

    parser: Parser = arguments.parser
    if arguments.text is not None and arguments.data is not None:
        parser.refuse("--text and --data are both given: leave one out")
    check_batch_size(parser, arguments.batch_size)
    check_device(parser, arguments.device)
    classifier = TextClassifier.from_pretrained(arguments.model, arguments.device)
    line, unread = _object if arguments.json else _columns, Unread(classifier)
    for texts in _asked(arguments, bool(classifier.pairs)):
        firsts = [text.first for text in texts]
        seconds = [text.second for text in texts if text.second is not None] or None
        answers = classifier.predict(firsts, seconds, arguments.batch_size)
        sys.stdout.write("".join(f"{line(*both)}\n" for both in zip(texts, answers)))
        sys.stdout.flush()
        unread.count(firsts, seconds)
    sys.stderr.write("".join(f"note: {each}\n" for each in unread.told()))
    return 0


class Unread:
    """What a model does not get of its texts: counted as they come, told when all are answered."""

    def __init__(self, classifier: Any):
        self._tokenizer, self._most = classifier.tokenizer, classifier.max_length
        self._texts = self._cut = self._first = self._tokens = self._unknown = 0

    def count(self, texts: list[str], seconds: list[str] | None) -> None:
        """Some more texts, or pairs."""
        from tinygrad_llm.finetune.examples import encoded

        special = self._tokenizer.template.count(seconds is not None)
        for row in encoded(texts, seconds, self._tokenizer, self._most):
            self._texts += 1
            if row.tokens > self._most:
                self._cut, self._first = self._cut + 1, self._first or self._texts
            self._tokens += len(row.ids) - special
            self._unknown += row.ids.count(self._tokenizer.unk_token_id)

    def told(self) -> list[str]:
        """Lines on texts that were cut, and on words that the tokenizer does not know, if they are
        more than a few."""
        from tinygrad_llm.finetune.examples import MANY

        lines, share = list[str](), self._unknown / max(self._tokens, 1)
        if self._cut:
            of = f"{self._cut:,} of {self._texts:,} text{'' if self._texts == 1 else 's'}"
            lines.append(f"{of} cut at {self._most} tokens, the first is text {self._first:,}")
        if share > MANY:
            lines.append(f"{share:.1%} of the words are unknown to the tokenizer, and look alike")
        return lines


def _asked(arguments: argparse.Namespace, pairs: bool) -> Iterator[list[Text]]:
    """The texts, so many as are answered together."""
    if arguments.text is not None:
        return portions(typed_texts(arguments.text, pairs), SEVERAL * arguments.batch_size)
    path = STDIN if arguments.data is None else arguments.data
    if path != STDIN:
        return portions(read_texts(path, pairs), SEVERAL * arguments.batch_size)
    typed = sys.stdin.isatty()
    if typed:
        print("Pairs with a tab, one a line:" if pairs else "Texts, one a line:", file=sys.stderr)
    return portions(read_texts(path, pairs), 1 if typed else arguments.batch_size)


def _columns(text: Text, answer: Any) -> str:
    """The label and its probability, or the number."""
    from tinygrad_llm.finetune.results import one_line

    if not answer.probabilities:
        return f"{answer.label:.{DIGITS}g}"
    return f"{one_line(answer.label)}\t{answer.probabilities[answer.label]:.4f}"


def _object(text: Text, answer: Any) -> str:
    """All that is known of a text, as JSON."""
    said: dict[str, Any] = {"text": text.first}
    if text.second is not None:
        said["text_pair"] = text.second
    if not answer.probabilities:
        said["label"] = float(f"{answer.label:.{DIGITS}g}")
    else:
        said["label"] = answer.label
        said["probabilities"] = {n: round(p, DIGITS) for n, p in answer.probabilities.items()}
    return json.dumps(said, ensure_ascii=False)
