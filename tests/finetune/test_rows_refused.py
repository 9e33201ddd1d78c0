"""Tests of labelled rows that are refused: each in one line that names the file."""

from __future__ import annotations

import re

import pytest

from tests.finetune.rows_common import GOOD, JSON_GOOD, jsonl, refused, tsv, write
from tinygrad_llm.finetune.rows import read_data, read_part


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a b c\n", ", line 1: the row 'a b c' has no tab; write text, tab, label"),
        ("a\tx\nb\n", ", line 2: the row 'b' has no tab; write text, tab, label"),
        ("a\tx\n\tx\n", ", line 2: the text is empty; write one before the tab, or remove the row"),
        ("", " holds no rows; write at least one, or check the path"),
        ("好电影\t正面\n".encode("gbk"), ", line 1: byte 1 of the line (0xBA) is not UTF-8, perh"),
        ("a\tx\n".encode("utf-16"), ", line 1: the file is UTF-16; save it as UTF-8 in your edit"),
        (
            tsv("aaa"),
            ": all labels are 'a', so there is nothing to tell apart; give rows of at least two",
        ),
        (
            tsv("aaaab"),
            ", line 5: the class 'b' has too few rows to hold parts out of them: 1 that differ, "
            "and 3 are needed; leave it out, or give more rows, or a file for each part",
        ),
        (
            tsv([2, 3.5, 4, -1]),
            ", line 4: the class '-1' has too few rows to hold parts out of them: 1 that differ, "
            "and 3 are needed; leave it out, or give more rows, or a file for each part; if labels "
            "are amounts, take the task regression",
        ),
        (
            tsv("aaaa") + "t\tb\n" * 9 + "u\tb\n",
            ", line 5: the class 'b' has too few rows to hold parts out of them: 2 that differ, ",
        ),
        (
            tsv("aaa") + tsv("bbb", "{}"),
            ": 6 rows, of which 6 differ, are too few to hold parts out of them; give more rows",
        ),
        (
            "text\tlabel\n" + tsv("aaabbb"),
            ", line 1: the label 'label' is there once, as in a header; remove the line, for every",
        ),
        (
            "文本\t标签\n" + tsv("aaabbb"),
            ", line 1: the label '标签' is there once, as in a header",
        ),
    ],
)
def test_files_that_teach_nothing_are_refused(tmp_path, content, message):
    path = write(tmp_path, content)
    assert refused(path).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"text": "c"}', "line 3: the field 'label' is missing; add it (the fields are: 'text')"),
        ('{"label": "x"}', "line 3: the field 'text' is missing; add it (the fields are: 'label')"),
        (
            '{"text": "c", "label": true}',
            "line 3: the field 'label' is True, a truth value, not a text or a whole number; chan",
        ),
        ('{"text": "c", "label": null}', "line 3: the field 'label' is None, null, not a text or"),
        ('{"text": "c", "label": 1.0}', "line 3: the field 'label' is 1.0, a number, not a text o"),
        ('{"text": "c", "label": ["x"]}', "line 3: the field 'label' is ['x'], a list, not a text"),
        ('{"text": "c", "label": " "}', "line 3: the field 'label' is empty; fill it in, or remov"),
        ('{"text": 7, "label": "x"}', "line 3: the field 'text' is 7, a whole number, not a text;"),
        (
            '{"text": "c", "label": 1}\n{"text": "d", "label": 2}',
            "line 3: the label 1 is a whole number, and that of line 1 a text; write all of them "
            "in one way (and 1 more bad row: line 4)",
        ),
        (
            '{"text": "c", "label": "x", "text_pair": "d"}',
            "line 1: the field 'text_pair' is missing; add it (the fields are: 'text', 'label') "
            "(and 1 more bad row: line 2)",
        ),
        ("c\tx", "line 3: no valid JSON (Expecting value at character 1); write one object {...}"),
        ("[1]", "line 3: the row is a list; write one object {...} a line"),
    ],
)
def test_bad_json_rows_are_refused(tmp_path, rows, message):
    path = write(tmp_path, JSON_GOOD + rows, "rows.jsonl")
    assert refused(path).startswith(f"{path}, {message}")


def test_a_whole_number_comes_first_and_then_a_text(tmp_path):
    path = write(tmp_path, '{"text": "a", "label": 1}\n{"text": "b", "label": "1"}', "rows.jsonl")
    said = (
        "the label '1' is a text, and that of line 1 a whole number; write all of them in one way"
    )
    assert refused(path) == f"{path}, line 2: {said}"


@pytest.mark.parametrize("value", ['""', "null", "3"])
def test_a_second_text_is_a_text(tmp_path, value):
    rows = f'{{"text": "a", "label": "x", "text_pair": {value}}}'
    path = write(tmp_path, rows, "rows.jsonl")
    assert refused(path).startswith(f"{path}, line 1: the field 'text_pair' is ")


@pytest.mark.parametrize("place", ["valid", "test"])
def test_a_label_that_training_never_saw_is_named(tmp_path, place):
    train = write(tmp_path, tsv("xxxyyy"))
    other = write(tmp_path, "a\tx\nb\tz\nc\tX\n", "other.tsv")
    assert refused(train, **{place: other}) == (
        f"{other}, line 2: the label 'z' is no class of {train} ('x', 'y'); correct it, or remove "
        "the row (and 1 more bad row: line 3)"
    )


def test_of_many_classes_the_first_are_named(tmp_path):
    train = write(tmp_path, tsv(range(100, 115)))
    other = write(tmp_path, "a\tz\n", "other.tsv")
    assert "('100', '101', '102'" in refused(train, train, other)
    assert "'109', …); correct" in refused(train, train, other)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("nan", "is no finite number; correct it, or remove the row"),
        ("-inf", "is no finite number; correct it, or remove the row"),
        ("Infinity", "is no finite number; correct it, or remove the row"),
        ("good", "is no number; write one such as 3.5"),
        ("3,5", "is no number; write one such as 3.5"),
        ("1_000", "is no number; write one such as 3.5"),
        ("３", "is no number; write one such as 3.5"),
        ("0x10", "is no number; write one such as 3.5"),
        (".", "is no number; write one such as 3.5"),
        ("1e39", "is beyond a float32; write smaller numbers"),
        ("-1e999", "is beyond a float32; write smaller numbers"),
    ],
)
def test_a_label_that_is_no_finite_number_is_named(tmp_path, label, message):
    content = f"a\t1\nb\t{label}\nc\t2\nd\tworse\n"
    path, more = write(tmp_path, content), " (and 1 more bad row: line 4)"
    said = f"{path}, line 2: the label {label!r} {message}{more}"
    assert refused(path, task="regression") == said
    good = write(tmp_path, tsv(range(30)), "good.tsv")
    assert refused(good, test=path, task="regression") == said


@pytest.mark.parametrize("value", ["true", "null", "NaN", "Infinity", "[1]", '"x"', "1" + "0" * 60])
def test_a_json_label_that_is_no_number_is_named(tmp_path, value):
    path = write(tmp_path, f'{{"text": "a", "label": {value}}}', "rows.jsonl")
    assert refused(path, task="regression").startswith(f"{path}, line 1: ")


def test_numbers_that_are_all_equal_teach_nothing(tmp_path):
    path = write(tmp_path, tsv(["2.5", "2.50"] * 9))
    said = "all labels are 2.5, so there is nothing to learn; give rows of different numbers"
    assert refused(path, task="regression") == f"{path}: {said}"


@pytest.mark.parametrize(("different", "equal"), [(2, 0), (3, 0), (1, 5)])
def test_too_few_numbers_cannot_be_held_out(tmp_path, different, equal):
    path = write(tmp_path, tsv(range(different)) + tsv(range(equal), "same"))
    rows, differ = different + equal, different + (equal > 0)
    said = f"{rows} rows, of which {differ} differ, are too few to hold parts out of them; give"
    assert refused(path, task="regression").startswith(f"{path}: {said}")


@pytest.mark.parametrize("place", ["train", "valid", "test"])
def test_every_file_is_checked_for_being_there_and_full(tmp_path, place):
    good = write(tmp_path, GOOD)
    files = {"train": good, "valid": good, "test": good}
    with pytest.raises(FileNotFoundError, match=r"none\.tsv does not exist; check the name"):
        read_data(**{**files, place: tmp_path / "none.tsv"})
    with pytest.raises(IsADirectoryError, match="is a folder; give the name of a file inside it"):
        read_data(**{**files, place: tmp_path})
    empty = write(tmp_path, "\n", "empty.tsv")
    assert refused(**{**files, place: empty}).startswith(f"{empty} holds no rows; write at least")


@pytest.mark.parametrize("paired_first", [True, False])
def test_pairs_are_in_all_files_or_in_none(tmp_path, paired_first):
    alone = write(tmp_path, GOOD)
    rows = [{"text": "a", "text_pair": "b", "label": each} for each in "xy"]
    paired = write(tmp_path, jsonl(rows), "pairs.jsonl")
    files = [paired, alone] if paired_first else [alone, paired]
    assert refused(*files) == (
        f'{paired} has pairs ("text_pair") and {alone} has none; give pairs in both or in neither'
    )


def test_a_word_of_headers_may_be_a_class(tmp_path):
    often = write(tmp_path, "text\tlabel\nmore\tlabel\nb\tx\n")
    assert read_data(often, often, often).names == ("label", "x")
    sentence = write(tmp_path, "a good school\tclass\nb\tx\n", "sentence.tsv")
    assert read_data(sentence, sentence, sentence).names == ("class", "x")


@pytest.mark.parametrize("read", [read_data, read_part])
def test_another_task_is_refused_before_a_file_is_read(read):
    options = {"names": ()} if read is read_part else {}
    with pytest.raises(ValueError, match=r"^task is 'ranking'; give one of classification, regres"):
        read("none.tsv", task="ranking", **options)


def test_long_labels_are_shown_in_short(tmp_path):
    train, test = write(tmp_path, GOOD), write(tmp_path, "a\t" + "z" * 10_000, "test.tsv")
    assert re.fullmatch(r".*, line 1: the label 'z+\.\.\.z+' is no class of .{,300}",
                        refused(train, train, test))  # fmt: skip
