"""Tests of `tinygrad-llm evaluate`: the figures of the library for the rows of a file."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from tests.cli.folders import (
    ROWS,
    rows_file,
    save_bert,
    save_classifier,
    save_gpt,
    save_numbers,
    save_tuning_start,
)
from tinygrad_llm._text import width
from tinygrad_llm.cli import main
from tinygrad_llm.finetune.classifier import TextClassifier
from tinygrad_llm.finetune.measures import MAJORITY, MEAN, Result
from tinygrad_llm.finetune.results import report, table
from tinygrad_llm.finetune.rows import read_part

CLASSES = [*ROWS, "rain rain\t大雨", "大雨\t大雨"]
NUMBERS = [f"{row.partition(chr(9))[0]}\t{number % 7 / 2}" for number, row in enumerate(ROWS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    return save_classifier(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> str:
    return save_numbers(tmp_path_factory.mktemp("numbers"))


@pytest.fixture
def data(tmp_path) -> str:
    return rows_file(tmp_path / "other.tsv", CLASSES)


def evaluated(capsys, *words: str) -> str:
    assert main(["evaluate", *words]) == 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if "/" not in line]  # names of folders may be long
    assert err == "" and max(map(width, lines)) <= 80
    return out


def refused(capsys, code: int, *words: str) -> str:
    assert main(["evaluate", *words]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("tinygrad-llm evaluate: ")
    return err.removeprefix("tinygrad-llm evaluate: ").rstrip("\n")


def expected(folder: str, path: str) -> Result:
    """What the library gives."""
    given = TextClassifier.from_pretrained(folder)
    task = "classification" if given.names else "regression"
    part = read_part(path, task, given.names)
    said = [each.label for each in given.predict(part.texts, part.seconds)]
    if task == "regression":
        mean = np.full(len(said), np.mean(part.labels, dtype=np.float64))
        return Result(part.labels, np.array(said), (), {MEAN: mean})
    classes = np.array([given.names.index(name) for name in said])
    often = np.bincount(part.labels).argmax()
    return Result(part.labels, classes, given.names, {MAJORITY: np.full(len(said), often)})


def plain(result: Result) -> float:
    return float(np.mean(result.labels == result.predicted))


def test_classes_have_a_table_and_a_report(folder, data, capsys):
    result = expected(folder, data)
    assert 0.0 < plain(result) < 1.0 and len(set(result.predicted.tolist())) > 1
    out = evaluated(capsys, "--model", folder, "--data", data)
    assert out == f"{table(result, 'other.tsv')}\n\n{report(result)}\n"
    assert out.startswith("other.tsv: 74 rows") and "bag of words" not in out
    assert f"{MAJORITY}  " in out and "大雨" in out


def test_texts_that_are_not_read_to_the_end_are_told_first(folder, tmp_path, capsys):
    path = rows_file(tmp_path / "long.tsv", [*CLASSES, f"{'rain ' * 40}\twet"])
    out = evaluated(capsys, "--model", folder, "--data", path)
    cut, _, rest = out.partition("\n\n")
    assert cut == "cut at 24 tokens: 1 of 75 texts, 1.3%;\n  the longest has 42 (line 75)"
    result = expected(folder, path)
    assert rest == f"{table(result, 'long.tsv')}\n\n{report(result)}\n"


def test_numbers_have_a_table_alone(numbers, tmp_path, capsys):
    path = rows_file(tmp_path / "numbers.tsv", NUMBERS)
    out = evaluated(capsys, "--model", numbers, "--data", path)
    assert out == f"{table(expected(numbers, path), 'numbers.tsv')}\n"
    assert f"\n{MEAN} " in out and "mse" in out


@pytest.mark.parametrize("size", ["1", "5", "100"])
def test_the_batch_size_changes_no_figure(size, folder, data, capsys):
    usual = evaluated(capsys, "--model", folder, "--data", data)
    assert evaluated(capsys, "--model", folder, "--data", data, "--batch-size", size) == usual


def test_pairs(tmp_path, capsys):
    folder = save_classifier(tmp_path / "pairs", pairs=True)
    rows = [dict(zip(("text", "label"), row.split("\t"))) for row in ROWS]
    lines = [json.dumps({**row, "text_pair": "大雨"}) for row in rows]
    path = rows_file(tmp_path / "pairs.jsonl", lines)
    out = evaluated(capsys, "--model", folder, "--data", path)
    assert out.startswith(table(expected(folder, path), "pairs.jsonl"))


def test_out_gets_the_picture_and_all_figures(folder, data, tmp_path, capsys):
    out = tmp_path / "a" / "figures"
    told = evaluated(capsys, "--model", folder, "--data", data, "--out", str(out))
    assert sorted(each.name for each in out.iterdir()) == ["confusion.png", "results.json"]
    assert (out / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert told.endswith(f"\nThe figures are in {out}: results.json and confusion.png.\n")
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))
    assert (found["model"], found["data"], found["rows"]) == (folder, data, 74)
    figure = found["figures"]["this model"]["accuracy"]
    assert figure["value"] == plain(expected(folder, data))
    low, high = figure["interval"]
    assert f"{low:.1%} to {high:.1%}" in told
    assert list(found["figures"]) == ["this model", MAJORITY]


def test_numbers_have_a_picture_too_and_no_nan(numbers, tmp_path, capsys):
    path, out = rows_file(tmp_path / "numbers.tsv", NUMBERS), tmp_path / "figures"
    evaluated(capsys, "--model", numbers, "--data", path, "--out", str(out))
    assert sorted(each.name for each in out.iterdir()) == ["predictions.png", "results.json"]
    text = (out / "results.json").read_text(encoding="utf-8")
    assert json.loads(text)["figures"][MEAN]["r"]["value"] is None and "NaN" not in text


def test_bad_rows_are_named_by_file_and_line(folder, numbers, tmp_path, capsys):
    path = rows_file(tmp_path / "rows.tsv", ["rain\twet", "rain\tsnow", "rain\thail"])
    told = refused(capsys, 1, "--model", folder, "--data", path)
    assert told.startswith(f"{path}, line 2: the label 'snow' is no class of the model (")
    assert told.endswith("(and 1 more bad row: line 3)")
    told = refused(capsys, 1, "--model", numbers, "--data", path)
    assert told.startswith(f"{path}, line 1: the label 'wet' is no number")
    path = rows_file(tmp_path / "rows.tsv", ["rain\twet", "rain"])
    assert f"{path}, line 2: the row 'rain' has no tab" in refused(
        capsys, 1, "--model", folder, "--data", path
    )
    (tmp_path / "rows.tsv").write_bytes("rain\twet\n大雨落下\twet\n".encode("gbk"))
    told = refused(capsys, 1, "--model", folder, "--data", path)
    assert told.startswith(f"{path}, line 2: byte 1 of the line") and "GBK" in told
    path = rows_file(tmp_path / "rows.tsv", [])
    assert f"{path} holds no rows" in refused(capsys, 1, "--model", folder, "--data", path)
    none = str(tmp_path / "none.tsv")
    assert f"{none} does not exist" in refused(capsys, 1, "--model", folder, "--data", none)


def test_single_texts_are_no_pairs(folder, data, tmp_path, capsys):
    row = {"text": "rain", "text_pair": "dry", "label": "wet"}
    path = rows_file(tmp_path / "pairs.jsonl", [json.dumps(row)])
    told = refused(capsys, 1, "--model", folder, "--data", path)
    assert told.startswith(f"{path} has pairs, and the model of {folder} takes single texts")
    pairs = save_classifier(tmp_path / "pairs", pairs=True)
    told = refused(capsys, 1, "--model", pairs, "--data", data)
    assert told.startswith(f"{data} has single texts, and the model of {pairs} takes pairs")
    Path(pairs, "finetune.json").unlink()  # nothing is known then, and all is taken
    evaluated(capsys, "--model", pairs, "--data", data)
    evaluated(capsys, "--model", pairs, "--data", path)


def test_folders_that_label_nothing(data, tmp_path, capsys):
    gpt, bert = save_gpt(tmp_path / "gpt"), save_bert(tmp_path / "bert")
    both, none = save_tuning_start(tmp_path / "both"), str(tmp_path / "none")
    for folder, name in ((gpt, "GPT2LMHeadModel"), (bert, "BertForMaskedLM"), (both, "BertForPre")):
        assert f"holds a {name}" in refused(capsys, 1, "--model", folder, "--data", data)
    assert f"there is no folder {none}" in refused(capsys, 1, "--model", none, "--data", data)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--batch-size", "0"], "--batch-size is 0; give a whole number from 1"),
        (["--device", "cuda:77"], "--device: "),
        (["--out", "-x"], "expected one argument"),
        (["--out=-x"], "--out begins with -"),
        (["--out", "x\x1by"], "--out begins with - or has control characters"),
        (["--out", "x\udcff"], "the name after --out is not UTF-8"),
        (["--outer", "x"], "unknown: --outer x"),
    ],
    ids=lambda value: ascii(value),
)
def test_wrong_usage_ends_with_2(words, said, folder, data, capsys):
    assert said in refused(capsys, 2, "--model", folder, "--data", data, *words)


def test_the_model_comes_onto_the_device(monkeypatch):
    seen = []
    monkeypatch.setattr("tinygrad_llm.cli.evaluate.check_device", lambda parser, device: None)
    monkeypatch.setattr(
        TextClassifier, "from_pretrained", lambda *words: seen.append(words) or 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        main(["evaluate", "--model", "x", "--data", "y", "--device", "cuda:1"])
    assert seen == [("x", "cuda:1")]


def test_what_is_needed_is_named(capsys):
    assert "--model, --data" in refused(capsys, 2)


def test_out_that_holds_something_is_left_as_it_is(folder, data, tmp_path, capsys):
    there = tmp_path / "there"
    there.mkdir()
    (there / "results.json").write_text("mine")
    words = ["--model", folder, "--data", data, "--out"]
    assert f"--out {there} has results.json in it" in refused(capsys, 1, *words, str(there))
    assert [each.name for each in there.iterdir()] == ["results.json"]
    assert (there / "results.json").read_text() == "mine"
    assert f"--out {data} is a file" in refused(capsys, 1, *words, data)
    assert f"--out {folder} has" in refused(capsys, 1, *words, folder)


@pytest.mark.parametrize(
    ("place", "writable", "said"),
    [
        ("other.tsv/below/it", True, "cannot be made, for {}/other.tsv is a file; give the name"),
        ("new/one", False, "you may not write into {}; give another folder, or the right to"),
    ],
    ids=["file", "rights"],
)
def test_a_place_for_nothing_is_refused_before_anything_is_computed(
    place, writable, said, folder, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(TextClassifier, "from_pretrained", lambda *words: 1 / 0)
    if not writable:
        monkeypatch.setattr("tinygrad_llm.cli.checks.os.access", lambda path, how: False)
    told = refused(capsys, 1, "--model", folder, "--data", data, "--out", str(tmp_path / place))
    assert told.startswith(f"--out {tmp_path / place}") and said.format(tmp_path) in told
    assert [each.name for each in tmp_path.iterdir()] == ["other.tsv"]


@pytest.mark.parametrize("name", ["results.json", "confusion.png"])
def test_on_a_full_disk_nothing_half_is_left(name, folder, data, tmp_path, monkeypatch, capsys):
    out, usual = tmp_path / "figures", os.replace

    def full(source, target):
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(source, target)

    words = ["--model", folder, "--data", data, "--out", str(out)]
    monkeypatch.setattr("tinygrad_llm.files.atomic.os.replace", full)
    assert main(["evaluate", *words]) == 1
    told, err = capsys.readouterr()
    assert err == f"tinygrad-llm evaluate: {out / name}: No space left on device\n"
    assert told.startswith("other.tsv: 74 rows") and "are in" not in told
    assert list(out.iterdir()) == []
    monkeypatch.undo()
    evaluated(capsys, *words)
