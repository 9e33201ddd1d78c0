"""What a tokenizer answers: a dict of rows for a model, and the encodings that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_llm.tokenizers.encoding import Encoding

FIELDS = {
    "input_ids": "ids",
    "token_type_ids": "type_ids",
    "attention_mask": "attention_mask",
    "special_tokens_mask": "special_tokens_mask",
    "offset_mapping": "offsets",
}
"""Each key of a BatchEncoding, and the column of Encoding that it holds."""


class BatchEncoding(dict):
    """input_ids, attention_mask and the like, by name, for one text or many.

    For many texts each is a list of rows, for one text a single row; with `return_tensors="np"`
    always an int64 array (B, T). `encodings` holds an Encoding for each row, with the tokens, the
    spans in the original text and more.
    """

    encodings: list[Encoding]

    def __init__(self, columns: dict[str, Any], encodings: list[Encoding]):
        super().__init__(columns)
        self.encodings = encodings

    def tokens(self, row: int = 0) -> list[str]:
        """The tokens of a row, as they are written in the vocabulary."""
        return self.encodings[row].tokens

    def word_ids(self, row: int = 0) -> list[int | None]:
        """Which word of its text each token of a row is of; None for special tokens."""
        return self.encodings[row].word_ids

    def sequence_ids(self, row: int = 0) -> list[int | None]:
        """0 for tokens of the first text, 1 for the second, None for special tokens."""
        return self.encodings[row].sequence_ids

    def char_to_token(self, row: int, position: int, sequence: int = 0) -> int | None:
        """The first token that covers a character of a row's text; see Encoding.char_to_token."""
        return self.encodings[row].char_to_token(position, sequence)


def collect(rows: Sequence[Encoding], keys: Sequence[str], overflowing: bool) -> BatchEncoding:
    """The rows' columns under their keys; with `overflowing` each text's further windows follow
    it, and "overflow_to_sample_mapping" says which text a row is of."""
    texts = list(range(len(rows)))
    if overflowing:
        texts = [i for i, row in enumerate(rows) for _ in (row, *row.overflowing)]
        rows = [window for row in rows for window in (row, *row.overflowing)]
    columns: dict[str, Any] = {key: [getattr(row, FIELDS[key]) for row in rows] for key in keys}
    if overflowing:
        columns["overflow_to_sample_mapping"] = texts
    return BatchEncoding(columns, list(rows))


def as_arrays(batch: BatchEncoding) -> BatchEncoding:
    """The same with int64 arrays (B, T) for lists; ValueError where rows differ in length."""
    lengths = {len(row) for row in batch.encodings}
    if len(lengths) > 1:
        raise ValueError(
            f"rows of {min(lengths)} to {max(lengths)} tokens make no array; give padding=True, "
            "and truncation=True with a max_length where some are too long"
        )
    arrays = {key: np.array(column, dtype=np.int64) for key, column in batch.items()}
    return BatchEncoding(arrays, batch.encodings)
