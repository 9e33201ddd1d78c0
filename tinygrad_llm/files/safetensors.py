"""The safetensors weight format: a strict reader that trusts no claim of a file, and a writer.

A file is the length of the header (8 bytes, unsigned, little-endian), the header, and the data.
The header is JSON, `{name: {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}`, with
offsets from the end of the header and, under `__metadata__`, texts by name; spaces may pad it.
The arrays are little-endian in C order, and together fill the data without overlap or hole.
Source: the format description of https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import json
import math
import os
import reprlib
import sys
from collections.abc import Iterable, Mapping
from io import BufferedReader
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.files.atomic import atomic_write
from tinygrad_llm.files.signatures import describe_foreign_file

_MAX_HEADER = 100_000_000  # bytes; the limit of the format's own library
_MAX_RANK = 64  # the most axes of a NumPy array
_METADATA = "__metadata__"

_STORED = {
    "BOOL": np.dtype("?"),
    "BF16": np.dtype("<u2"),
    **{f"U{8 * n}": np.dtype(f"<u{n}") for n in (1, 2, 4, 8)},
    **{f"I{8 * n}": np.dtype(f"<i{n}") for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": np.dtype(f"<f{n}") for n in (2, 4, 8)},
}
# By kind and size, because byte order and the platform's aliases (long, long long) do not matter.
_CODES = {(d.kind, d.itemsize): code for code, d in _STORED.items() if code != "BF16"}


class _Entry(NamedTuple):
    """What the header says of one tensor; `begin` and `end` count from the start of the data."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


def save_safetensors(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write NumPy arrays of any shape and memory layout under their names, atomically.

    dtypes: bool, int8 to int64, uint8 to uint64, float16, float32, float64. Arrays that share
    memory are written once each. The same arrays in the same order give the same bytes.
    Raises TypeError for another dtype, or for what is not an array or not a text; ValueError for
    a name that the format cannot hold; OSError as `atomic_write` does.
    """
    codes = {name: _code_of(name, array) for name, array in arrays.items()}
    offsets = _lay_out(arrays)
    tensors = {
        name: {"dtype": codes[name], "shape": array.shape, "data_offsets": offsets[name]}
        for name, array in arrays.items()
    }
    header = _encode_header(tensors, metadata or {})
    with atomic_write(path) as file:
        file.write(len(header).to_bytes(8, "little"))
        file.write(header)
        for name in offsets:
            file.write(np.asarray(arrays[name], dtype=_STORED[codes[name]], order="C"))


def load_safetensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read a file into (arrays by name, metadata), in the order of its header.

    The arrays are writable and own their memory, in native byte order. BF16, which NumPy lacks,
    becomes float32, exactly; a byte of BOOL other than 0 is True.
    Nothing is allocated before every claim of the header is checked against the file's size.
    Raises ValueError, naming the file, what is wrong and the mend, for anything but a complete
    and consistent file, and for dtypes without a NumPy type (FP8 and the like); OSError where
    the file cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            size = os.fstat(file.fileno()).st_size
            header, start = _read_header(file, size)
            metadata = _pop_metadata(header)
            entries = [_parse_entry(name, fields) for name, fields in header.items()]
            _check_cover(entries, size - start)
            return {entry.name: _read_array(file, start, entry) for entry in entries}, metadata
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None


def _damaged(what: str) -> ValueError:
    """The error for a file that is broken beyond what its reader can mend."""
    return ValueError(f"{what}; download or save the file again")


def _code_of(name: str, array: np.ndarray) -> str:
    """The format's name for an array's dtype; refuse what cannot be written."""
    _check_text("tensor name", name)
    if name == _METADATA:
        raise ValueError(f"the tensor name {name!r} belongs to the format; rename the tensor")
    if not isinstance(array, np.ndarray):
        kind = type(array).__name__
        raise TypeError(f"tensor {name!r} is of type {kind}, not a NumPy array; convert it first")
    code = _CODES.get((array.dtype.kind, array.dtype.itemsize))
    if code is None:
        raise TypeError(
            f"tensor {name!r}: safetensors cannot hold dtype {array.dtype}; "
            "convert it to bool, an integer or float16 to float64 first"
        )
    return code


def _lay_out(arrays: Mapping[str, np.ndarray]) -> dict[str, tuple[int, int]]:
    """Where each array begins and ends in the data, in the order in which they are written."""
    offsets, begin = {}, 0
    # The widest dtype first: every tensor then starts at a multiple of its item size.
    for name in sorted(arrays, key=lambda name: (-arrays[name].itemsize, name)):
        offsets[name] = (begin, begin + arrays[name].nbytes)
        begin += arrays[name].nbytes
    return offsets


def _encode_header(tensors: dict[str, dict[str, Any]], metadata: Mapping[str, str]) -> bytes:
    """The header as JSON, padded with spaces so that the data starts at a multiple of 8."""
    for key, value in metadata.items():
        _check_text("metadata key", key)
        _check_text(f"metadata {key!r}: the value", value)
    content = {_METADATA: dict(metadata), **tensors} if metadata else tensors
    header = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    header += b" " * (-len(header) % 8)
    if len(header) > _MAX_HEADER:
        raise ValueError(
            f"the header takes {len(header)} bytes, above the format's limit of {_MAX_HEADER}; "
            "write fewer tensors or less metadata to a file"
        )
    return header


def _check_text(what: str, text: str) -> None:
    """Refuse what is not a text, or a text without UTF-8 form (half of a surrogate pair)."""
    if not isinstance(text, str):
        kind = type(text).__name__
        raise TypeError(f"{what} {reprlib.repr(text)} is of type {kind}, not a text; use a str")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{what} {text!r} holds half of a surrogate pair; rename it") from None


def _read_header(file: BufferedReader, size: int) -> tuple[dict[str, Any], int]:
    """The parsed header and the place in the file where the data starts."""
    beginning = file.read(256)
    length = int.from_bytes(beginning[:8], "little")
    problem = _length_problem(length, size)
    if problem:
        foreign = describe_foreign_file(beginning)
        raise ValueError(f"no safetensors file but {foreign}") if foreign else _damaged(problem)
    file.seek(8)
    return _parse_json(file.read(length)), 8 + length


def _length_problem(length: int, size: int) -> str | None:
    """What is wrong with the claimed length of the header, or None."""
    if size == 0:
        return "the file is empty"
    if size < 8:
        return f"the file is truncated: {size} bytes cannot hold a header"
    if length > _MAX_HEADER:
        limit = f"above the limit of {_MAX_HEADER}"
        return f"it claims a header of {length} bytes, {limit}, so it is no safetensors"
    if length > size - 8:
        rest = f"only {size - 8} bytes follow"
        return f"the file is truncated: it claims a header of {length} bytes, {rest}"
    return None


def _parse_json(raw: bytes) -> dict[str, Any]:
    """The header as a dict; refuse what is not one strict JSON object in UTF-8."""
    try:
        text = raw.decode("utf-8")
        header = json.loads(
            text, object_pairs_hook=_unique, parse_int=_parse_int, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError as error:
        raise _damaged(f"the header is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise _damaged(f"the header is not valid JSON ({error})") from None
    except RecursionError:
        raise _damaged("the header is nested too deeply") from None
    if not isinstance(header, dict):
        raise _damaged(f"the header is {reprlib.repr(header)}, not a JSON object")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; refuse a key that stands there twice."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise _damaged(f"the header has the key {key!r} twice")
        content[key] = value
    return content


def _parse_int(digits: str) -> int:
    """A whole number; refuse what is above any offset and slow to convert."""
    if len(digits) > 20:
        raise _damaged(f"the header has the huge number {reprlib.repr(digits)}")
    return int(digits)


def _refuse_constant(constant: str) -> None:
    """Refuse NaN and Infinity, which Python reads though JSON has no such values."""
    raise _damaged(f"the header is not valid JSON ({constant} is no JSON value)")


def _pop_metadata(header: dict[str, Any]) -> dict[str, str]:
    """Take the metadata out of the header; refuse what is not texts by name."""
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        shown = reprlib.repr(metadata)
        raise _damaged(f"{_METADATA} must map texts to texts, but is {shown}")
    for key, value in metadata.items():
        _check_text("metadata key", key)
        _check_text(f"metadata {key!r}: the value", value)
    return metadata


def _parse_entry(name: str, fields: Any) -> _Entry:
    """One tensor of the header, with its dtype, shape and number of bytes in agreement."""
    _check_text("tensor name", name)
    if not isinstance(fields, dict):
        raise _damaged(f"tensor {name!r} is {reprlib.repr(fields)}, not an object")
    code = _parse_dtype(name, fields.get("dtype"))
    shape = _parse_sizes(name, "shape", fields.get("shape"), range(_MAX_RANK + 1))
    begin, end = _parse_sizes(name, "data_offsets", fields.get("data_offsets"), (2,))
    needed = math.prod(shape) * _STORED[code].itemsize
    if end - begin != needed:
        raise _damaged(
            f"tensor {name!r}: {code} of shape {list(shape)} needs {needed} bytes, "
            f"but data_offsets {[begin, end]} give {end - begin}"
        )
    # An empty array may name an axis too long for NumPy, which leaves zeros out when it counts.
    if math.prod(n for n in shape if n) * _loaded_dtype(code).itemsize > sys.maxsize:
        raise _damaged(f"tensor {name!r}: shape {list(shape)} is too large for NumPy")
    return _Entry(name, code, shape, begin, end)


def _parse_dtype(name: str, code: Any) -> str:
    """A dtype of the format that can be loaded."""
    if isinstance(code, str) and code in _STORED:
        return code
    if isinstance(code, str) and code.startswith(("F8_", "F6_", "F4", "C64")):
        raise ValueError(
            f"tensor {name!r} is stored as {code}, which is not supported; "
            "convert the file to F32, F16 or BF16 first"
        )
    raise _damaged(f"tensor {name!r} has the unknown dtype {reprlib.repr(code)}")


def _parse_sizes(name: str, field: str, sizes: Any, counts: Iterable[int]) -> tuple[int, ...]:
    """A list of whole numbers from 0 up, as many as one of `counts`."""
    if (
        not isinstance(sizes, list)
        or len(sizes) not in counts
        or not all(type(n) is int and n >= 0 for n in sizes)  # True is an int to isinstance
    ):
        shown = reprlib.repr(sizes)
        wanted = "two" if field == "data_offsets" else f"at most {_MAX_RANK}"
        raise _damaged(
            f"tensor {name!r}: {field} must be {wanted} whole numbers from 0 up, but is {shown}"
        )
    return tuple(sizes)


def _check_cover(entries: list[_Entry], available: int) -> None:
    """Check that the tensors fill the `available` bytes of data, each byte once."""
    claimed = max((entry.end for entry in entries), default=0)
    if claimed > available:
        raise _damaged(
            f"the file is truncated: its tensors need {claimed} bytes of data, "
            f"only {available} are there"
        )
    covered, before = 0, "the header"
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != covered:
            fault = "overlap" if entry.begin < covered else "have a hole between them"
            raise _damaged(f"{before} and tensor {entry.name!r} {fault}")
        covered, before = entry.end, f"tensor {entry.name!r}"
    if covered != available:
        raise _damaged(f"{available - covered} trailing bytes follow the tensors")


def _loaded_dtype(code: str) -> np.dtype[Any]:
    """The native NumPy dtype in which tensors of this format dtype are returned."""
    return np.dtype(np.float32) if code == "BF16" else _STORED[code].newbyteorder("=")


def _read_array(file: BufferedReader, start: int, entry: _Entry) -> np.ndarray:
    """Read the bytes of one checked entry into an array of its own."""
    stored = np.empty(entry.shape, _STORED[entry.code])
    file.seek(start + entry.begin)
    if file.readinto(stored.reshape(-1).view(np.uint8).data) != stored.nbytes:
        raise _damaged(f"tensor {entry.name!r}: the file ended while it was read")
    if entry.code == "BOOL":
        return np.not_equal(stored.view(np.uint8), 0, out=np.empty(entry.shape, bool))
    if entry.code == "BF16":  # the upper half of a float32
        array = np.empty(entry.shape, np.float32)
        np.left_shift(stored, 16, out=array.view(np.uint32), dtype=np.uint32)
        return array
    return stored.astype(_loaded_dtype(entry.code), copy=False)
