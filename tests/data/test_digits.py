"""Tests of the digits that come with the package."""

from __future__ import annotations

import hashlib
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from tests.fixtures import make_digits
from tinygrad_llm.data import digits, load_digits
from tinygrad_llm.files import load_safetensors

CLASS_COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def sha256(array):
    return hashlib.sha256(array.tobytes()).hexdigest()


def test_digits_have_their_shapes_dtypes_range_and_class_counts():
    images, labels = load_digits()
    assert (images.shape, images.dtype) == ((1797, 64), np.float32)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert np.bincount(labels).tolist() == CLASS_COUNTS


def test_the_numbers_are_those_of_the_source():
    images, labels = load_digits()
    stored = (images * 16).astype(np.uint8)
    assert np.array_equal(stored, images * 16)
    assert sha256(stored)[:16] == "8f26b2bd9d135c25"
    assert sha256(labels.astype(np.uint8))[:16] == "8ba4f891220f5e4c"


def test_the_first_image_is_a_nought():
    images, labels = load_digits()
    ink = (images[0].reshape(8, 8) > 0.5).astype(int)
    assert labels[0] == 0
    assert ["".join(" #"[pixel] for pixel in row) for row in ink] == [
        "   ##   ",
        "  ####  ",
        "  #  #  ",
        "  #     ",
        "     #  ",
        "  #  #  ",
        "  # ##  ",
        "   ##   ",
    ]


def test_every_call_gives_new_arrays():
    for array, again in zip(load_digits(), load_digits()):
        array[:] = 7
        assert not np.array_equal(array, again)


def test_the_file_says_where_it_comes_from():
    _, metadata = load_safetensors(digits.FILE)
    assert metadata == make_digits.METADATA
    assert metadata["doi"] == "10.24432/C50P49" and "CC BY 4.0" in metadata["licence"]


def test_a_missing_file_is_one_clear_line(monkeypatch, tmp_path):
    monkeypatch.setattr(digits, "FILE", tmp_path / "digits.safetensors")
    with pytest.raises(FileNotFoundError, match=r"^\S+digits\.safetensors is missing; install"):
        load_digits()


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:-1] + b"\1"])
def test_a_damaged_file_is_one_clear_line(monkeypatch, tmp_path, damage):
    file = tmp_path / "digits.safetensors"
    file.write_bytes(damage(digits.FILE.read_bytes()))
    monkeypatch.setattr(digits, "FILE", file)
    with pytest.raises(ValueError, match=r"^\S+digits\.safetensors is damaged: .*; install"):
        load_digits()


def stand_in_for_scikit_learn(monkeypatch, data, target):
    """A `sklearn.datasets` whose digits are these."""
    module = ModuleType("sklearn.datasets")
    module.load_digits = lambda: SimpleNamespace(data=data, target=target)
    monkeypatch.setitem(sys.modules, "sklearn", ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)


def test_the_script_makes_the_same_file_again(monkeypatch, tmp_path, capsys):
    images, labels = load_digits()
    stand_in_for_scikit_learn(monkeypatch, images.astype(np.float64) * 16, labels)
    file = tmp_path / "digits.safetensors"
    monkeypatch.setattr(make_digits, "FILE", file)
    make_digits.main()
    assert file.read_bytes() == digits.FILE.read_bytes()
    assert capsys.readouterr().out == f"{file.name}: {digits._SHA256}\n"


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0])
def test_the_script_changes_no_value(value):
    with pytest.raises(ValueError, match="no whole number from 0 to 255"):
        make_digits.whole_numbers(np.array([1.0, value]))
