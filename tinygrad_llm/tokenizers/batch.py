"""What a tokenizer answers: a dict of rows for a model, and the encodings that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm.tokenizers.encoding import Encoding, Span

FIELDS = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}
"""Each key of a BatchEncoding, and the column of Encoding that it holds."""


class BatchEncoding(dict):
    """input_ids, attention_mask and the like, by name, for one text or many; `batch.input_ids` is
    `batch["input_ids"]`.

    For many texts each is a list of rows; for one text a single row, but a list of rows where its
    further windows were asked for; with `return_tensors="np"` always an int64 array (B, T).
    `encodings` holds an Encoding for each row, with the tokens, the spans in the original text and
    more; none where `Tokenizer.pad` made the batch.

    The methods below take a row, 0 where it is left out; those with a position as well take it
    alone where there is one row.
    """

    encodings: list[Encoding]

    def __init__(self, columns: dict[str, Any], encodings: list[Encoding]):
        super().__init__(columns)
        self.encodings = encodings

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"a BatchEncoding has no {name!r}; its keys are {list(self)}")

    def tokens(self, row: int = 0) -> list[str]:
        """The tokens of a row, as they are written in the vocabulary."""
        return self._row(row).tokens

    def word_ids(self, row: int = 0) -> list[int | None]:
        """Which word of its text each token of a row is of; None for special tokens."""
        return self._row(row).word_ids

    def sequence_ids(self, row: int = 0) -> list[int | None]:
        """0 for tokens of the first text, 1 for the second, None for special tokens."""
        return self._row(row).sequence_ids

    def char_to_token(
        self, row_or_position: int, position: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The first token that covers a character of a text; see Encoding.char_to_token."""
        row, place = self._place(row_or_position, position)
        return row.char_to_token(place, sequence_index)

    def word_to_tokens(
        self, row_or_word: int, word: int | None = None, sequence_index: int = 0
    ) -> Span | None:
        """The tokens [start, end) of a word of a text; see Encoding.word_to_tokens."""
        row, place = self._place(row_or_word, word)
        return row.word_to_tokens(place, sequence_index)

    def token_to_chars(self, row_or_token: int, token: int | None = None) -> Span | None:
        """The characters [start, end) that a token comes from; see Encoding.token_to_chars."""
        row, place = self._place(row_or_token, token)
        return row.token_to_chars(place)

    def _place(self, first: int, second: int | None) -> tuple[Encoding, int]:
        """The row, and the position in it."""
        if second is not None:
            return self._row(first), second
        if len(self.encodings) > 1:
            raise ValueError(f"there are {len(self.encodings)} rows; give the row, then {first}")
        return self._row(0), first

    def _row(self, row: int) -> Encoding:
        if not self.encodings:
            raise ValueError("this batch has no encodings: it was made by pad, or of no text")
        return self.encodings[row]


def collect(rows: Sequence[Encoding], keys: Sequence[str], overflowing: bool) -> BatchEncoding:
    """The rows' columns, copied, under their keys; with `overflowing` each text's further windows
    follow it, and "overflow_to_sample_mapping" says which text a row is of."""
    texts = list(range(len(rows)))
    if overflowing:
        texts = [i for i, row in enumerate(rows) for _ in (row, *row.overflowing)]
        rows = [window for row in rows for window in (row, *row.overflowing)]
    columns: dict[str, Any] = {key: [[*getattr(row, FIELDS[key])] for row in rows] for key in keys}
    if overflowing:
        columns["overflow_to_sample_mapping"] = texts
    return BatchEncoding(columns, list(rows))


def as_arrays(batch: BatchEncoding) -> BatchEncoding:
    """The same with arrays for lists: int64 (B, T) for what a tokenizer makes, what NumPy makes of
    it for other columns. ValueError where rows differ in length or are not numbers."""
    lengths = {len(row) for row in batch["input_ids"]}
    if len(lengths) > 1:
        raise ValueError(
            f"rows of {min(lengths)} to {max(lengths)} tokens make no array; they need "
            "padding=True, and where some are too long truncation=True with a max_length that "
            "leaves room for text beside the special tokens"
        )
    shape = (len(batch["input_ids"]), max(lengths, default=0))
    arrays = {key: _array(key, column, shape) for key, column in batch.items()}
    return BatchEncoding(arrays, batch.encodings)


def _array(key: str, column: Any, shape: tuple[int, ...]) -> np.ndarray:
    if key in FIELDS:
        # Where there are no tokens, no list tells how many axes there are.
        spans = (2,) if key == "offset_mapping" else ()
        return np.array(column, dtype=np.int64).reshape(*shape, *spans)
    try:
        array = np.asarray(column)
    except ValueError:
        raise ValueError(
            f"{key} has entries of different lengths, which make no array; make them equally long "
            "(labels by -100), or leave return_tensors out"
        ) from None
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{key} is not all numbers and makes no array; leave it out")
    return array
