"""Rows as token ids for a model: encoded once, cut at a length, padded batch by batch."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.data import Padding
from tinygrad_llm.finetune.rows import Part
from tinygrad_llm.tokenizers import Tokenizer
from tinygrad_llm.tokenizers.assemble import assemble
from tinygrad_llm.tokenizers.encoding import Encoding
from tinygrad_llm.tokenizers.request import Arguments, Request
from tinygrad_llm.training.settings import whole

FEW, MANY = 0.001, 0.05
"""Shares of unknown tokens above which they are told, and warned of."""

LONG = 10_000
"""Characters of a text above which no more of it is read than fills a row."""

_MARGIN = 512
"""Characters before the place where a long text ends for the tokenizer, which may be read
otherwise than in the whole text; no word is longer."""


class Row(NamedTuple):
    """A text, or a pair, as the model gets it; tokens: how many it would have uncut, special ones
    included; estimated: whether that number is taken from the beginning of a long text."""

    ids: list[int]
    types: list[int]
    tokens: int
    estimated: bool


class Examples:
    """A dataset of the rows of a part; `encode` makes it.

    Row i is a dict of "input_ids" (n,) int64, n <= max_length; "token_type_ids" (n,) int64, where
    the tokenizer has them among its model_input_names; and "labels", a class (int64) or a number
    (float32). A batch by `collate_fn` is padded on the right, to its longest row, and has an
    "attention_mask".

    cut: how many texts were cut at max_length. longest: (tokens, line) of the longest before that,
    special tokens included; estimated: whether that number is, as for a text of over `LONG`
    characters, of which only the beginning was read. unknown: the share of tokens, special ones
    aside, that are the tokenizer's unk_token. empty: the lines of texts that have no token.
    """

    def __init__(self, part: Part, tokenizer: Tokenizer, max_length: int, rows: Iterator[Row]):
        self.max_length, self.path, self.labels = max_length, part.path, part.labels
        typed = "token_type_ids" in tokenizer.model_input_names
        special = tokenizer.template.count(part.seconds is not None)
        ids, types, ends = list[np.ndarray](), list[np.ndarray](), [0]
        self.cut, self.unknown, self.empty = 0, 0.0, list[int]()
        self.longest, self.estimated = (0, 0), False
        for row, line in zip(rows, part.lines):
            ids.append(np.array(row.ids, np.int32))
            types.append(np.array(row.types if typed else [], np.int16))
            ends.append(ends[-1] + len(row.ids))
            self._count(row, line, special, tokenizer.unk_token_id)
        self.unknown /= max(ends[-1] - special * len(ids), 1)
        self._ids, self._ends = np.concatenate(ids), np.array(ends)
        self._types = np.concatenate(types) if typed else None
        self.collate_fn = Padding({"input_ids": pad_id(tokenizer), "token_type_ids": 0})

    def _count(self, row: Row, line: int, special: int, unknown: int | None) -> None:
        """What is said of all rows: how many are cut, and so on."""
        self.cut += row.tokens > self.max_length
        self.unknown += row.ids.count(unknown) if unknown is not None else 0
        if row.tokens == special:
            self.empty.append(line)
        if row.tokens > self.longest[0]:
            self.longest, self.estimated = (row.tokens, line), row.estimated

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Row `index`. Raises IndexError beyond the end."""
        i = range(len(self))[operator.index(index)]
        place = slice(*self._ends[i : i + 2].tolist())
        row: dict[str, Any] = {"input_ids": self._ids[place].astype(np.int64)}
        if self._types is not None:
            row["token_type_ids"] = self._types[place].astype(np.int64)
        return {**row, "labels": self.labels[i]}


def encode(part: Part, tokenizer: Tokenizer, max_length: int, quiet: bool = False) -> Examples:
    """The rows of a part as `tokenizer(text, second, truncation=True, max_length=max_length)` gives
    them: of a pair the longer text gives way first.

    A text of over `LONG` characters is read from its beginning, as far as fills a row, so that it
    takes little time and memory. That changes nothing where no word and no white space in it goes
    on for 512 characters; but where both texts of a pair are so long and the room is odd, which of
    them has one token more is told by their beginnings.
    quiet: show no bar of texts; it is there on a terminal alone.

    Raises ValueError, naming the setting or the file and line, for a max_length without room for
    text, a tokenizer without pad_token, a text without any token at all, and a part without rows;
    TypeError for what is no tokenizer, and a max_length that is no integer.
    """
    if not isinstance(tokenizer, Tokenizer):
        raise TypeError(f"encode: takes a Tokenizer, not {type(tokenizer).__name__}")
    if not part.texts:
        raise ValueError("encode: the part has no rows; give at least one")
    pad_id(tokenizer)
    rows = encoded(part.texts, part.seconds, tokenizer, max_length)
    return Examples(part, tokenizer, max_length, _watched(_checked(rows, part), part, quiet))


def encoded(
    texts: Sequence[str], seconds: Sequence[str] | None, tokenizer: Tokenizer, max_length: int
) -> Iterator[Row]:
    """Each text, or pair, as a row, as `encode` has it. Raises as it does for max_length."""
    special = tokenizer.template.count(seconds is not None)
    whole("max_length", max_length, special + (1 if seconds is None else 2))
    request = Request.of(tokenizer, Arguments(truncation=True, max_length=max_length))
    for text, second in zip(texts, repeat(None) if seconds is None else seconds):
        each = [text] if second is None else [text, second]
        parts = [_read(one, tokenizer, max_length) for one in each]
        found = [part.found for part in parts]
        row = assemble(found, tokenizer.template, tokenizer.vocab.__getitem__, request)
        tokens = special + sum(part.size for part in parts)
        yield Row(row.ids, row.type_ids, tokens, any(part.estimated for part in parts))


def pad_id(tokenizer: Tokenizer) -> int:
    """The id that fills up rows. Raises ValueError where the tokenizer has none."""
    if tokenizer.pad_token_id is None:
        raise ValueError(
            "the tokenizer has no pad_token, which fills up the rows of a batch; give it one: "
            'pad_token="[PAD]", a token of its vocabulary'
        )
    return tokenizer.pad_token_id


def length(row: dict[str, Any]) -> int:
    """How many tokens a row has: the `length` of a `data.DataLoader`."""
    return len(row["input_ids"])


class _Text(NamedTuple):
    """A text without special tokens, or its beginning; size: how many tokens all of it has."""

    found: Encoding
    size: int
    estimated: bool


def _read(text: str, tokenizer: Tokenizer, room: int) -> _Text:
    """A text as tokens; of a long one the beginning, which has more than `room` of them."""
    size = LONG if tokenizer.truncation_side == "right" else len(text)
    while size < len(text):
        found = _tokens(text[:size], tokenizer)
        # What stands later might be read otherwise in the whole text, whose word goes on.
        if sum(end <= size - _MARGIN for _, end in found.offsets) > room:
            return _Text(found, round(len(found) * len(text) / size), True)
        size *= 4
    found = _tokens(text, tokenizer)
    return _Text(found, len(found), False)


def _tokens(text: str, tokenizer: Tokenizer) -> Encoding:
    (found,) = tokenizer([text], add_special_tokens=False).encodings
    return found


def _checked(rows: Iterator[Row], part: Part) -> Iterator[Row]:
    """The rows, none of which is empty."""
    for row, line in zip(rows, part.lines):
        if not row.ids:
            raise ValueError(
                f"{part.path}, line {line}: the tokenizer makes no token of the text; remove it"
            )
        yield row


def _watched(rows: Iterator[Row], part: Part, quiet: bool) -> Iterator[Row]:
    from tqdm import tqdm

    disable, count = True if quiet else None, len(part.texts)
    return iter(tqdm(rows, "texts", count, disable=disable, delay=1.0, dynamic_ncols=True))


def notes(examples: Examples, use: str = "") -> list[str]:
    """Lines on texts that were cut, on those without a token, and on what the tokenizer does not
    know, if anything is to be said; lines are those of the part's file.

    use: what the texts are for, as "to learn from", where the reader has several parts.
    """
    which = f" {use}" if use else ""
    return [*_cut(examples, which), *_empty(examples, which), *_unknown(examples, which)]


def _cut(examples: Examples, which: str) -> list[str]:
    if not examples.cut:
        return []
    tokens, line = examples.longest
    rows, about = len(examples), "about " if examples.estimated else ""
    return [
        f"cut at {examples.max_length} tokens: {examples.cut:,} of {_many(rows, 'text')}{which}, "
        f"{examples.cut / rows:.1%};\n  the longest has {about}{tokens:,} (line {line:,})"
    ]


def _empty(examples: Examples, which: str) -> list[str]:
    if not examples.empty:
        return []
    count = _many(len(examples.empty), "text")
    return [f"without any token: {count}{which} (the first in line {examples.empty[0]:,})"]


def _unknown(examples: Examples, which: str) -> list[str]:
    said = f"the tokenizer has no token for {examples.unknown:.1%} of the text{which}"
    if examples.unknown > MANY:
        said = f"warning: {said}:\n  texts of these words look alike"
    return [said] if examples.unknown > FEW else []


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
