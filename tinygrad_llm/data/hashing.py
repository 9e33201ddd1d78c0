"""The hash of a row's content, by which equal rows are found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_llm.backend import is_array, to_host


def row_hash(row: Any) -> str:
    """The SHA-256 of a row as 64 hexadecimal digits; equal rows have equal hashes, anywhere.

    row: a text, bytes, number, bool, None, array (of bool, numbers or texts), or a tuple, list or
    dict of these. A tuple equals a list, and a dict another one in any order of its names. A whole
    number, a float and a bool differ, and arrays that differ in dtype or shape; −0.0 is 0.0, and
    every NaN is the same. Texts are compared as they are, without any folding.
    Raises TypeError for another type, and for a dict with names that are no texts.
    """
    digest = hashlib.sha256()
    for part in _parts(row):
        # With its length, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _parts(row: Any) -> Iterator[bytes]:
    """What is hashed of a row: the kind of each value, then the value."""
    if isinstance(row, np.generic):
        row = row.item()
    if is_array(row):
        yield from _array_parts(to_host(row))
    elif isinstance(row, (tuple, list)):
        yield f"sequence of {len(row)}".encode()
        for value in row:
            yield from _parts(value)
    elif isinstance(row, dict):
        yield f"dict of {len(row)}".encode()
        for name in sorted(_checked_names(row)):
            yield from _parts(name)
            yield from _parts(row[name])
    else:
        yield from _scalar_parts(row)


def _scalar_parts(value: Any) -> Iterator[bytes]:
    """The kind and the content of a single value."""
    if isinstance(value, str):
        # A lone half of a surrogate pair has no UTF-8 form, but must be hashed all the same.
        yield from (b"text", value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        yield from (b"bytes", value)
    elif value is None or isinstance(value, (bool, int)):
        kind = b"bool" if isinstance(value, bool) else b"int"
        yield from (b"none",) if value is None else (kind, hex(value).encode())
    elif isinstance(value, float):
        text = "nan" if math.isnan(value) else (value + 0.0).hex()  # −0.0 + 0.0 is 0.0
        yield from (b"float", text.encode())
    else:
        raise TypeError(
            f"row_hash: {type(value).__name__} is no content of a row; "
            "give texts, numbers, arrays, tuples or dicts"
        )


def _array_parts(array: np.ndarray) -> Iterator[bytes]:
    """The kind, shape and values of an array, in one byte order and memory layout."""
    kind = array.dtype.kind
    if kind not in "biufcUS":
        raise TypeError(f"row_hash: an array of {array.dtype}; give bool, numbers or texts")
    if kind in "US":  # whose width is that of the longest text
        yield f"array {kind} {array.shape}".encode()
        yield from _parts(array.ravel().tolist())
        return
    if kind in "fc":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array) + 0
    yield f"array {kind}{array.itemsize} {array.shape}".encode()
    yield np.asarray(array, array.dtype.newbyteorder("<")).tobytes()


def _checked_names(row: dict[Any, Any]) -> list[str]:
    """The names of a dict, which must be texts."""
    for name in row:
        if not isinstance(name, str):
            raise TypeError(f"row_hash: the name {name!r} of a dict is no text; use texts")
    return list(row)
