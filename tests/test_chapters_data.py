"""Tests of a reader's own data in a chapter: what cannot be read is refused in one line."""

from __future__ import annotations

import argparse

import pytest

from chapters.lesson import Lesson
from tinygrad_llm import data


def lesson(path):
    options = argparse.Namespace(quick=True, device="cpu", data=path, seed=0, report=None)
    return Lesson("04_text_into_numbers.py", options, 1.0)


def test_own_data_is_what_the_reader_makes_of_the_file(tmp_path):
    path = tmp_path / "letter.txt"
    path.write_text("one\n\ntwo\n", "utf-8")
    assert lesson(str(path)).own(data.read_text) == ["one", "two"]
    assert lesson(None).own(data.read_text) is None


@pytest.mark.parametrize(
    "content, complaint",
    [
        (b"", "holds no rows"),
        (b" \n\n", "holds no rows"),
        ("你好\n".encode("gbk"), "is not UTF-8"),
        (None, "is a folder"),
    ],
)
def test_data_that_cannot_be_read_ends_in_one_line(tmp_path, capsys, content, complaint):
    path = tmp_path / "letter.txt"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(SystemExit) as end:
        lesson(str(path)).own(data.read_text)
    said = capsys.readouterr().err
    assert end.value.code == 2 and said.count("\n") == 1
    assert said.startswith("04_text_into_numbers.py: --data: ") and complaint in said
