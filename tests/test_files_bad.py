"""Tests of safetensors files that are bad: each is refused in one line, and never trusted."""

from __future__ import annotations

import json
import math
import os
import re
import struct
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError

from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.files import safetensors as ours


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of the property tests."""
    return tmp_path_factory.mktemp("files")


def make_file(header, data=b"", length=None):
    """The bytes of a file whose header and header length may be anything."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def entry(**changes):
    """The header entry of one float32, with changes."""
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}


def without(key):
    """The header entry of one float32 that lacks a key."""
    return {k: v for k, v in entry().items() if k != key}


def written(path, content):
    """Write bytes and give the path back."""
    path.write_bytes(content)
    return path


def refusal(path):
    """The one-line message with which a bad file is refused, without the path before it."""
    with pytest.raises(ValueError) as caught:
        load_safetensors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


F32 = b"\0\0\0\0"
TWICE = b'{"a":%b,"a":%b}' % ((json.dumps(entry()).encode(),) * 2)
BAD_FILES = {
    "empty": (b"", "the file is empty"),
    "no length": (b"\0\1\2", "truncated: 3 bytes cannot hold a header"),
    "length alone": (struct.pack("<Q", 9), "claims a header of 9 bytes, only 0 bytes follow"),
    "header cut": (make_file({"a": entry()}, F32)[:20], "only 12 bytes follow"),
    "header too long": (make_file({}, length=2**63), "above the limit of 100000000"),
    "no header": (make_file(b""), "not valid JSON"),
    "bad JSON": (make_file(b'{"a":'), "not valid JSON"),
    "zero padding": (make_file(b"{}\0"), "not valid JSON"),
    "byte order mark": (make_file(b"\xef\xbb\xbf{}"), "not valid JSON"),
    "NaN": (make_file(b'{"a":NaN}'), "NaN is no JSON value"),
    "bad UTF-8": (make_file(b'{"\xff":0}'), "not UTF-8 at byte 2"),
    "deep nesting": (make_file(b"[" * 100_000), "nested too deeply"),
    "huge number": (make_file(b'{"a":' + b"9" * 21 + b"}"), "huge number"),
    "a list": (make_file([]), "not a JSON object"),
    "a tensor twice": (make_file(TWICE, F32), "has the key 'a' twice"),
    "a field twice": (make_file(b'{"a":{"shape":[],"shape":[]}}'), "has the key 'shape' twice"),
    "metadata not a map": (make_file({"__metadata__": "pt"}), "must map texts to texts"),
    "metadata not texts": (make_file({"__metadata__": {"a": 1}}), "must map texts to texts"),
    "metadata surrogate": (make_file({"__metadata__": {"a": "\ud800"}}), "surrogate"),
    "name surrogate": (make_file({"\ud800": entry()}, F32), "surrogate"),
    "tensor not a map": (make_file({"a": 3}), "tensor 'a' is 3, not an object"),
    "no dtype": (make_file({"a": without("dtype")}, F32), "'a' has the unknown dtype None"),
    "no shape": (make_file({"a": without("shape")}, F32), "'a': shape must be .* is None"),
    "no offsets": (make_file({"a": without("data_offsets")}, F32), "'a': data_offsets .* two"),
    "unknown dtype": (make_file({"a": entry(dtype="Q7")}, F32), "'a' has the unknown dtype 'Q7'"),
    "dtype a list": (make_file({"a": entry(dtype=[])}, F32), "'a' has the unknown dtype"),
    "negative shape": (make_file({"a": entry(shape=[-1])}, F32), r"'a': shape .* is \[-1\]"),
    "negative pair": (make_file({"a": entry(shape=[-1, -1])}, F32), r"'a': shape .*\[-1, -1\]"),
    "boolean shape": (make_file({"a": entry(shape=[True])}, F32), r"'a': shape .*\[True\]"),
    "float shape": (make_file({"a": entry(shape=[1.0])}, F32), r"'a': shape .*\[1.0\]"),
    "number as shape": (make_file({"a": entry(shape=1)}, F32), "'a': shape .* is 1"),
    "too many axes": (make_file({"a": entry(shape=[1] * 65)}, F32), "'a': shape .*at most 64"),
    "empty but huge": (
        make_file({"a": entry(shape=[0, 2**61], data_offsets=[0, 0])}),
        "too large for NumPy",
    ),
    "empty but huge as float32": (
        make_file({"a": entry(dtype="BF16", shape=[0, 2**61], data_offsets=[0, 0])}),
        "too large for NumPy",
    ),
    "three offsets": (make_file({"a": entry(data_offsets=[0, 4, 8])}, F32), "'a': data_offsets"),
    "offsets reversed": (make_file({"a": entry(data_offsets=[4, 0])}, F32), "needs 4 .* give -4"),
    "shape too large": (make_file({"a": entry(shape=[2])}, F32), "'a': F32 of shape .* needs 8"),
    "shape too small": (make_file({"a": entry(shape=[0])}, F32), "'a': F32 of shape .* needs 0"),
    "overlap": (make_file({"a": entry(), "b": entry()}, F32), "'a' and tensor 'b' overlap"),
    "hole at the start": (
        make_file({"a": entry(data_offsets=[4, 8])}, F32 * 2),
        "the header and tensor 'a' have a hole",
    ),
    "hole": (
        make_file({"a": entry(), "b": entry(data_offsets=[8, 12])}, F32 * 3),
        "'a' and tensor 'b' have a hole",
    ),
    "empty tensor inside another": (
        make_file({"a": entry(), "z": entry(shape=[0], data_offsets=[2, 2])}, F32),
        "'a' and tensor 'z' overlap",
    ),
    "data cut": (make_file({"a": entry()}, F32[:3]), "truncated: .* need 4 bytes .* only 3"),
    "trailing bytes": (make_file({"a": entry()}, F32 + b"xyz"), "3 trailing bytes"),
    "trailing bytes alone": (make_file({}, b"x"), "1 trailing bytes"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_in_one_clear_line(tmp_path, case):
    content, message = BAD_FILES[case]
    path = written(tmp_path / "model.safetensors", content)
    text = refusal(path)
    assert re.search(message, text)
    assert text.endswith(("download or save the file again", "rename it"))


@pytest.mark.parametrize("code", ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "C64"])
def test_a_dtype_without_support_is_named_with_its_tensor(tmp_path, code):
    path = written(tmp_path / "a", make_file({"wq": entry(dtype=code, shape=[4])}, F32))
    assert refusal(path).startswith(f"tensor 'wq' is stored as {code}, which is not supported")


@pytest.mark.parametrize(
    ("content", "kind", "mend"),
    [
        (b"PK\x03\x04" + bytes(60), "a zip archive, perhaps a PyTorch .bin", ".bin files"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", "a pickle, perhaps", ".bin files"),
        (b"\x80\x04\x95" + struct.pack("<Q", 2**20) + b"}", "a pickle, perhaps", ".bin files"),
        (b"version https://git-lfs.github.com/spec/v1\noid 1", "a Git LFS pointer", "lfs pull"),
        (b"\n<!DOCTYPE html>\n<p>Sign in", "an HTML page", "download"),
        (b"\xef\xbb\xbf<html>", "an HTML page", "download"),
        (b"<HTML><body>", "an HTML page", "download"),
        (b'{"weight_map": {}}', "a JSON text", "give the path"),
        (b'[{"a": 1}]', "a JSON text", "give the path"),
        (b"Not Found", "a text file", "give the path"),
        (b"oops", "a text file", "give the path"),
        ("模型不存在".encode() * 60, "a text file", "give the path"),
        (b"GGUF\x03\0\0\0\1\1\1\1\1\1", "a GGUF file", "convert"),
        (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file", "convert"),
        (b"\x1f\x8b\x08\0\1\2\3\4\5", "a gzip archive", "unpack"),
        (b"\x93NUMPY\x01\0v\0", "a NumPy .npy file", "numpy.load"),
    ],
)
def test_a_foreign_file_is_named(tmp_path, content, kind, mend):
    message = refusal(written(tmp_path / "model.safetensors", content))
    assert message.startswith(f"no safetensors file but {kind}") and mend in message


def test_a_cut_file_that_begins_like_a_pickle_is_called_truncated(tmp_path):
    path = tmp_path / "a"
    save_safetensors(path, {"a": np.ones(1)}, {"pad": "x" * 560})
    content = path.read_bytes()
    assert content.startswith(b"\x80\x02")
    assert load_safetensors(path)[0]["a"] == 1.0
    assert refusal(written(path, content[:600])).startswith("the file is truncated")


def test_claims_are_refused_before_anything_is_allocated(tmp_path):
    size = 2**40
    tensor = {"a": entry(dtype="U8", shape=[size], data_offsets=[0, size])}
    paths = [
        written(tmp_path / "data", make_file(tensor, b"few bytes")),
        written(tmp_path / "header", make_file(tensor, length=99_999_999)),
    ]
    for path in paths:
        tracemalloc.start()
        assert "truncated" in refusal(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 10**6


def test_a_header_above_the_limit_is_refused_even_when_it_is_there(tmp_path):
    path = written(tmp_path / "sparse", make_file(b"{}", length=100_000_001))
    os.truncate(path, 100_000_009)
    assert "above the limit" in refusal(path)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = written(tmp_path / "a", make_file({"a": entry()}, F32[:1]))
    whole = SimpleNamespace(st_size=path.stat().st_size + 3)
    monkeypatch.setattr(ours.os, "fstat", lambda descriptor: whole)
    assert "ended while it was read" in refusal(path)


def test_a_missing_file_stays_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load_safetensors(tmp_path / "absent")


def valid_file():
    """The bytes of a small file with most of what the format has."""
    tensors = {
        "w": entry(shape=[2, 3], data_offsets=[0, 24]),
        "b": {"dtype": "I64", "shape": [], "data_offsets": [24, 32]},
        "词": {"dtype": "F16", "shape": [3], "data_offsets": [32, 38]},
        "z": {"dtype": "U8", "shape": [0, 5], "data_offsets": [38, 38]},
        "m": {"dtype": "BOOL", "shape": [2], "data_offsets": [38, 40]},
    }
    return make_file({"__metadata__": {"layout": "in_out"}, **tensors}, bytes([0, 1] * 20))


VALID = valid_file()
HEADER = int.from_bytes(VALID[:8], "little")


def library_load_or_none(content):
    """What the library makes of the same bytes."""
    try:
        return safetensors.numpy.load(content)
    except (SafetensorError, KeyError, ValueError):  # KeyError: a dtype without NumPy type
        return None


def facts(arrays):
    """What must agree (bytes, because NaN differs from itself)."""
    return {name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()}


def check_against_library(path, content):
    """We load what the library loads, with the same bytes, and nothing more, but for two rules."""
    wanted = library_load_or_none(content)
    try:
        loaded, _ = load_safetensors(written(path, content))
    except ValueError as error:
        # Of two tensors with one name the library takes the last; we refuse.
        assert wanted is None or "twice" in str(error)
        return
    if b"BF16" not in content:  # which the library has no NumPy type for
        assert wanted is not None
        wanted = {n: a.view("u1") != 0 if a.dtype == bool else a for n, a in wanted.items()}
        assert facts(loaded) == facts(wanted)


def test_the_file_that_is_fuzzed_is_good(tmp_path):
    assert len(load_safetensors(written(tmp_path / "a", VALID))[0]) == 5


@pytest.mark.parametrize("length", range(len(VALID)))
def test_every_truncation_is_refused(folder, length):
    message = refusal(written(folder / "cut", VALID[:length]))
    assert message.startswith("the file is truncated" if length else "the file is empty")


@given(data=st.data())
def test_flipped_bytes_load_or_are_refused_as_the_library_does(folder, data):
    content = bytearray(VALID)
    places = st.integers(0, len(VALID) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255) | st.sampled_from(b'0123456789-.e"\\ {}[],'))
    check_against_library(folder / "flipped", bytes(content))


@given(start=st.integers(0, HEADER), removed=st.integers(0, 8), inserted=st.text(max_size=4))
def test_spliced_headers_load_or_are_refused_as_the_library_does(folder, start, removed, inserted):
    header, rest = VALID[8 : 8 + HEADER], VALID[8 + HEADER :]
    spliced = header[:start] + inserted.encode() + header[start + removed :]
    check_against_library(folder / "spliced", make_file(spliced, rest))


@st.composite
def drawn_files(draw):
    """A file whose header is right, or wrong in a shape, a dtype, an offset or the data."""
    axis = st.sampled_from([0, 1, 2, 3] * 8 + [-1, 2**31, 2**62, 2**63, 2**64])
    dtypes = st.sampled_from([("F32", 4), ("I64", 8), ("U8", 1), ("BOOL", 1), ("F8_E4M3", 1)])
    header, begin = {}, 0
    for name in draw(st.lists(st.text(max_size=2), max_size=3, unique=True)):
        (code, size), shape = draw(dtypes), draw(st.lists(axis, max_size=3))
        end = begin + math.prod(shape) * size + draw(st.sampled_from([0, 0, 0, 0, 1]))
        header[name] = {"dtype": code, "shape": shape, "data_offsets": [begin, end]}
        begin = end if begin < end < 1000 else begin
    return make_file(header, bytes(begin + draw(st.sampled_from([0, 0, 0, 0, 1]))))


@given(content=drawn_files())
def test_drawn_headers_load_or_are_refused_as_the_library_does(folder, content):
    check_against_library(folder / "drawn", content)


@given(content=st.binary(max_size=64))
def test_any_bytes_load_or_are_refused_as_the_library_does(folder, content):
    check_against_library(folder / "bytes", content)
