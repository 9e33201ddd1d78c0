"""Tests of safetensors files that are good: round trips, and interchange with the library."""

from __future__ import annotations

import json

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.files import safetensors as ours

CODES = {
    "BOOL": "?",
    **{f"U{8 * n}": f"u{n}" for n in (1, 2, 4, 8)},
    **{f"I{8 * n}": f"i{n}" for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": f"f{n}" for n in (2, 4, 8)},
}
LAYOUTS = {
    "C": lambda a: a,
    "Fortran": np.asfortranarray,
    "transposed": lambda a: a.T,
    "reversed": lambda a: a[::-1] if a.ndim else a,
    "every second": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "broadcast": lambda a: np.broadcast_to(a, (2, *a.shape)),
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One folder for all examples of the property tests."""
    return tmp_path_factory.mktemp("files")


@st.composite
def laid_out_arrays(draw):
    """An array of any supported dtype, byte order, shape (0-d and empty too) and layout."""
    dtype = np.dtype(draw(st.sampled_from(sorted(CODES.values()))))
    dtype = dtype.newbyteorder(draw(st.sampled_from("<>")))
    array = draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=4)))
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](array)


NAMES = st.text().filter(lambda name: name != "__metadata__")
ARRAYS = st.dictionaries(NAMES, laid_out_arrays(), max_size=4)
METADATA = st.dictionaries(st.text(), st.text(), max_size=3)


def native(array):
    """The array in C order and native byte order."""
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="C")


def assert_same(loaded, arrays):
    """Names, dtypes, shapes and bytes agree (bytes, because NaN differs from itself)."""
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        wanted = native(array)
        assert loaded[name].dtype == wanted.dtype, name
        assert loaded[name].shape == wanted.shape, name
        assert loaded[name].tobytes() == wanted.tobytes(), name


def make_file(header, data=b""):
    """The bytes of a file with this header."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + data


def written(path, content):
    """Write bytes and give the path back."""
    path.write_bytes(content)
    return path


@given(arrays=ARRAYS, metadata=METADATA)
def test_what_is_saved_is_loaded_and_read_by_the_library(folder, arrays, metadata):
    path = folder / "any.safetensors"
    before = {name: array.tobytes() for name, array in arrays.items()}
    save_safetensors(path, arrays, metadata)
    assert before == {name: array.tobytes() for name, array in arrays.items()}
    loaded, texts = load_safetensors(path)
    assert_same(loaded, arrays)
    assert list(loaded) == list(arrays)
    assert texts == metadata
    assert_same(safetensors.numpy.load_file(path), arrays)
    with safe_open(path, "numpy") as opened:
        assert (opened.metadata() or {}) == metadata


@given(arrays=ARRAYS, metadata=METADATA)
def test_files_of_the_library_are_loaded(folder, arrays, metadata):
    path = folder / "library.safetensors"
    arrays = {name: native(array) for name, array in arrays.items()}
    # With neither arrays nor metadata, but with {} for the latter, the library writes bad JSON.
    safetensors.numpy.save_file(arrays, path, metadata or None)
    loaded, texts = load_safetensors(path)
    assert_same(loaded, arrays)
    assert texts == metadata


@given(arrays=ARRAYS)
def test_loaded_arrays_are_writable_and_own_their_memory(folder, arrays):
    save_safetensors(folder / "own.safetensors", arrays)
    for array in load_safetensors(folder / "own.safetensors")[0].values():
        assert array.flags.writeable and array.flags.owndata and array.flags.c_contiguous
        assert array.dtype.isnative


@pytest.mark.parametrize("code", CODES)
def test_every_dtype_has_its_code_in_the_file(tmp_path, code):
    path = tmp_path / "one.safetensors"
    save_safetensors(path, {"a": np.ones(3, CODES[code])})
    assert f'"dtype":"{code}"'.encode() in path.read_bytes()


def test_names_are_plain_utf8_in_the_file(tmp_path):
    save_safetensors(tmp_path / "a", {"词": np.ones(3)}, {"标签": "体育"})
    content = (tmp_path / "a").read_bytes()
    assert all(text.encode() in content for text in ("词", "标签", "体育"))


def test_shared_memory_is_written_once_for_each_name(tmp_path):
    table = np.arange(6, dtype=np.float32).reshape(2, 3)
    save_safetensors(tmp_path / "a", {"table": table, "head": table.T})
    loaded, _ = load_safetensors(tmp_path / "a")
    assert_same(loaded, {"table": table, "head": table.T})
    assert not np.shares_memory(loaded["table"], loaded["head"])


def test_tensors_are_aligned_to_their_item_size(tmp_path):
    path = tmp_path / "a"
    save_safetensors(path, {f"{d}": np.ones(3, d) for d in CODES.values()}, {"layout": "in_out"})
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert length % 8 == 0
    header = json.loads(raw[8 : 8 + length])
    assert header.pop("__metadata__") == {"layout": "in_out"}
    for name, fields in header.items():
        assert fields["data_offsets"][0] % np.dtype(name).itemsize == 0


def test_every_bfloat16_is_loaded_exactly(tmp_path):
    bits = np.arange(2**16, dtype=np.uint16)
    header = {"a": {"dtype": "BF16", "shape": [2, 2**15], "data_offsets": [0, 2**17]}}
    path = written(tmp_path / "a", make_file(header, bits.astype("<u2").tobytes()))
    loaded = load_safetensors(path)[0]["a"]
    assert (loaded.dtype, loaded.shape) == (np.float32, (2, 2**15))
    assert loaded.flags.owndata and loaded.flags.writeable
    values = loaded.ravel()
    sign, exponent, fraction = bits >> 15, (bits >> 7 & 0xFF).astype(int), bits & 0x7F
    significand = np.where(exponent == 0, fraction / 64, 1 + fraction / 128)
    wanted = np.where(sign == 1, -1.0, 1.0) * np.ldexp(significand, exponent - 127)
    finite = exponent != 255
    np.testing.assert_array_equal(values[finite], wanted[finite])
    np.testing.assert_array_equal(np.signbit(values[finite]), sign[finite] == 1)
    np.testing.assert_array_equal(np.isnan(values[~finite]), fraction[~finite] != 0)


def test_a_bfloat16_scalar_and_an_empty_bfloat16_array(tmp_path):
    header = {
        "scalar": {"dtype": "BF16", "shape": [], "data_offsets": [0, 2]},
        "empty": {"dtype": "BF16", "shape": [0, 3], "data_offsets": [0, 0]},
    }
    loaded, _ = load_safetensors(written(tmp_path / "a", make_file(header, b"\x80\x3f")))
    assert loaded["scalar"].shape == () and loaded["scalar"] == 1.0
    assert loaded["empty"].shape == (0, 3) and loaded["empty"].dtype == np.float32


def test_a_boolean_byte_above_one_is_true(tmp_path):
    header = {"a": {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}}
    loaded, _ = load_safetensors(written(tmp_path / "a", make_file(header, b"\0\1\2\xff")))
    assert loaded["a"].tobytes() == b"\0\1\1\1"


def test_spaces_may_pad_the_header_and_unknown_fields_are_passed_over(tmp_path):
    fields = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], "comment": "a later version"}
    raw = json.dumps({"a": fields}).encode() + b"   "
    loaded, metadata = load_safetensors(written(tmp_path / "a", make_file(raw, b"\0\0\x80\x3f")))
    assert loaded["a"] == 1.0 and metadata == {}


@pytest.mark.parametrize(
    "array",
    [
        np.array([None]),
        np.ones(2, complex),
        np.array(["text"]),
        np.array([b"bytes"]),
        np.array(["2026-01-01"], "M8[D]"),
        np.zeros(2, [("x", "f4")]),
        np.ones(2, np.longdouble) if np.longdouble(0).itemsize > 8 else np.ones(2, "c8"),
        [1.0, 2.0],
        np.float32(1.0),
    ],
    ids=lambda array: str(getattr(array, "dtype", type(array).__name__)),
)
def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path, array):
    path = written(tmp_path / "old", b"old")
    with pytest.raises(TypeError, match=r"'head\.weight'.*(convert)"):
        save_safetensors(path, {"good": np.ones(1), "head.weight": array})
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arrays", "metadata", "error", "message"),
    [
        ({"__metadata__": np.ones(1)}, None, ValueError, "belongs to the format"),
        ({"\ud800": np.ones(1)}, None, ValueError, "surrogate"),
        ({3: np.ones(1)}, None, TypeError, "tensor name 3 is of type int"),
        ({}, {"epoch": 3}, TypeError, "'epoch'.*3 is of type int"),
        ({}, {3: "epoch"}, TypeError, "metadata key 3 is of type int"),
        ({}, {"note": "\udfff"}, ValueError, "'note'.*surrogate"),
    ],
)
def test_names_and_metadata_must_be_texts(tmp_path, arrays, metadata, error, message):
    with pytest.raises(error, match=message):
        save_safetensors(tmp_path / "a", arrays, metadata)
    assert not list(tmp_path.iterdir())


def test_a_header_above_the_limit_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(ours, "_MAX_HEADER", 64)
    with pytest.raises(ValueError, match="limit of 64; write fewer tensors"):
        save_safetensors(tmp_path / "a", {"x" * 64: np.ones(1)})
