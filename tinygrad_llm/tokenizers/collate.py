"""Rows that a data set has as dicts, brought to one length for a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.batch import BatchEncoding, as_arrays
from tinygrad_llm.tokenizers.lengths import Padding, common_length, fill

_BLANKS: dict[str, Any] = {
    "token_type_ids": 0,
    "attention_mask": 0,
    "special_tokens_mask": 1,
    "offset_mapping": (0, 0),
}
"""What padding is in each column beside input_ids."""

Table = dict[str, list[Any]]


def collate(
    rows: Any, padding: Padding | None, attention_mask: bool, arrays: bool
) -> BatchEncoding:
    """A batch of rows: a list of dicts of one row each, or a dict of lists of rows.

    attention_mask: make one where there is none. arrays: give NumPy's arrays.

    Raises TypeError and ValueError where rows are neither, or have no input_ids, not the same keys,
    or columns that differ in length; what `as_arrays` raises.
    """
    table = _table(rows)
    ids = table["input_ids"]
    _check_lengths(table)
    if attention_mask:
        table.setdefault("attention_mask", [[1] * len(row) for row in ids])
    if padding:
        length = common_length(map(len, ids), padding)
        for key, blank in {"input_ids": padding.id, **_BLANKS}.items():
            if key in table:
                table[key] = [fill(row, blank, length, padding.side) for row in table[key]]
    batch = BatchEncoding(table, [])
    return as_arrays(batch) if arrays else batch


def _table(rows: Any) -> Table:
    """The columns by their keys, of lists instead of arrays."""
    if isinstance(rows, Mapping):
        columns = {key: list(column) for key, column in rows.items()}
    elif isinstance(rows, Sequence) and all(isinstance(row, Mapping) for row in rows):
        columns = {key: [_value(row, key, i) for i, row in enumerate(rows)] for key in _keys(rows)}
    else:
        raise TypeError("pad takes a list of dicts, one for each row, or a dict of lists of rows")
    if "input_ids" not in columns:
        raise ValueError(f"rows have no input_ids, only {sorted(columns)}")
    return {
        key: [entry.tolist() if hasattr(entry, "tolist") else entry for entry in column]
        for key, column in columns.items()
    }


def _keys(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    return dict.fromkeys(key for row in rows for key in row) if rows else ["input_ids"]


def _value(row: Mapping[str, Any], key: str, place: int) -> Any:
    if key not in row:
        raise ValueError(f"row {place} has no {key}, which others have; give it to all or to none")
    return row[key]


def _check_lengths(table: Table) -> None:
    """As many entries in every column, and as many tokens in all columns of a row."""
    ids = table["input_ids"]
    for key, column in table.items():
        if len(column) != len(ids):
            raise ValueError(f"{key} has {len(column)} rows, but input_ids has {len(ids)}")
        if key != "input_ids" and key not in _BLANKS:
            continue
        for place, (row, tokens) in enumerate(zip(column, ids)):
            if not isinstance(row, (list, tuple)):
                raise TypeError(f"{key}[{place}] is {row!r}; give a list for each row")
            if len(row) != len(tokens):
                raise ValueError(
                    f"{key}[{place}] has {len(row)} entries for {len(tokens)} input_ids"
                )
