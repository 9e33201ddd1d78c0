"""Tests of `tinygrad-llm finetune` where it cannot work: one line, and nothing half written."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import pytest

from tests.cli.folders import ROWS, TOKENIZERS, rows_file, save_gpt, save_tuning_start
from tests.cli.tuning import SMALL, finetune, refused, tuned

pytestmark = pytest.mark.usefixtures("quick")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("", "--model, --train, --out must be given"),
        ("--model tiny --out x", "--train must be given"),
        ("--resume", "--model, --train, --out must be given"),
        ("--model tiny --train y --out x --epochs 0", "--epochs is 0; give a whole number from 1"),
        ("--model tiny --train y --out x --epochs few", "argument --epochs: invalid int value"),
        ("--model tiny --train y --out x --method bitfit", "--method is 'bitfit'; give one of"),
        ("--model tiny --train y --out x --task tagging", "--task is 'tagging'; give one of"),
        ("--model tiny --train y --out x --preset J9", "--preset is 'J9'; give one of J5, J6, J7"),
        ("--model y --train y --out x --rank 4", "--rank is an option of --method 'lora'; leave"),
        (
            "--model y --train y --out x --method head --layer-decay 0.9",
            "--layer-decay is an option of --method 'full'; leave it out",
        ),
        ("--model y --train y --out x --vocab-size 9", "--vocab-size is for a new model; y brings"),
        ("--model tiny --train y --out x --method lora", "--model tiny is a new one, of which all"),
        (
            "--model tiny --train y --out x --vocab-size 9 --tokenizer z",
            "--vocab-size is that of a tokenizer that is trained; z is a folder, leave one out",
        ),
        ("--model tiny --train y --out x --max-length 2", "--max-length is 2; give a whole number"),
        ("--model tiny --train y --out x --dropout 1", "--dropout is 1.0; give a number from 0"),
        ("--model tiny --train y --out=-x", "--out begins with -"),
        ("--model tiny --train y --out x\x1by", "--out begins with - or has control"),
        ("--model tiny --train y\udcff --out x", "the name after --train is not UTF-8"),
        ("--model tiny --train y --test z\udcff --out x", "the name after --test is not UTF-8"),
        ("--model tiny --train y --out x --device cuda:77", "--device: "),
        ("--model tiny --train y --out x --device gpu", "--device is 'gpu'; give 'cpu'"),
        ("--model tiny --train y --out x --lora", "unknown: --lora"),
    ],
    ids=ascii,
)
def test_wrong_usage_ends_with_2(flags, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, 2, *flags.split(" ") if flags else [])
    assert list(tmp_path.iterdir()) == []


def bad_rows(name: str) -> bytes:
    return {
        "tab": "".join(f"{row}\n" for row in [*ROWS, "rain"]).encode(),
        "several": "".join(f"{row}\n" for row in [*ROWS, "rain\twet\twet"]).encode(),
        "blank": b"rain\twet\n\ndry\tdry\n",
        "encoding": "".join(f"{row}\n" for row in [*ROWS, "大雨落下\twet"]).encode("gbk"),
        "UTF-16": "rain\twet\n".encode("utf-16"),
        "nothing": b"",
        "few": b"rain\twet\nrain rain\twet\ndry\tdry\n",
        "alike": b"rain\twet\nfell\twet\n",
        "header": "".join(f"{row}\n" for row in ["text\tlabel", *ROWS]).encode(),
    }[name]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tab", ", line 73: the row 'rain' has no tab"),
        ("several", ", line 73: the row has the tab 2 times"),
        ("blank", ", line 2: the line is blank; remove it"),
        ("encoding", ", line 73: byte 1 of the line (0x"),
        ("UTF-16", ", line 1: the file is UTF-16; save it as UTF-8"),
        ("nothing", " holds no rows"),
        ("few", ", line 3: the class 'dry' has too few rows"),
        ("alike", ": all labels are 'wet'"),
        ("header", ", line 1: the label 'label' is there once, as in a header"),
    ],
)
def test_bad_rows_are_named_and_nothing_is_written(
    name, said, start, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.tsv").write_bytes(bad_rows(name))  # a name that begins as a flag does
    told = refused(capsys, 1, "--model", start, "--train", "train.tsv", "--out", "out")
    assert told.startswith(f"train.tsv{said}")
    assert [each.name for each in tmp_path.iterdir()] == ["train.tsv"]


def test_rows_to_choose_by_have_classes_that_are_learnt(start, rows, tmp_path, capsys):
    words, out = ["--model", start, "--train", rows], str(tmp_path / "out")
    other = rows_file(tmp_path / "valid.tsv", ["rain\twet", "hail\tsnow"])
    told = refused(capsys, 1, *words, "--out", out, "--valid", other)
    assert told.startswith(f"{other}, line 2: the label 'snow' is no class of {rows} (")
    other = rows_file(tmp_path / "valid.tsv", [])
    told = refused(capsys, 1, *words, "--out", out, "--valid", other)
    assert told.startswith(f"{other} holds no rows")
    other = rows_file(tmp_path / "test.tsv", ["rain\twet", "hail\tnan"])
    told = refused(capsys, 1, *words, "--out", out, "--test", other)
    assert told.startswith(f"{other}, line 2: the label 'nan' is no class")
    told = refused(capsys, 1, *words, "--out", out, "--task", "regression")
    assert told.startswith(f"{rows}, line 1: the label 'wet' is no number")
    assert not Path(out).exists()


def test_folders_that_cannot_be_tuned(start, rows, tmp_path, capsys):
    out, gpt, none = str(tmp_path / "out"), save_gpt(tmp_path / "gpt"), str(tmp_path / "none")
    words = ["--train", rows, "--out", out, "--model"]
    told = refused(capsys, 1, *words, gpt)
    assert told.startswith(f"--model {gpt} is a GPT2LMHeadModel, which cannot be tuned for this")
    assert f"there is no folder {none}" in refused(capsys, 1, *words, none)
    bare = save_tuning_start(tmp_path / "bare")
    for path in Path(bare).iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    assert bare in refused(capsys, 1, *words, bare)
    TOKENIZERS["characters"]().save_pretrained(bare)
    assert f"the tokenizer of {bare} has no " in refused(capsys, 1, *words, bare)
    small = save_tuning_start(tmp_path / "small", vocab_size=20)
    assert f"{small}: its tokenizer has" in refused(capsys, 1, *words, small)
    assert "--max-length 99 is more than the 32 places" in refused(
        capsys, 1, *words, start, "--max-length", "99"
    )
    lora = ["--method", "lora", "--lora-targets"]
    assert "no Linear is named 'nose'" in refused(capsys, 1, *words, start, *lora, "nose")
    assert refused(capsys, 1, *words, start, *lora[:2], "--rank", "17").startswith("--rank 17 is")
    assert not Path(out).exists()


def test_a_folder_that_holds_something_is_left_as_it_is(start, rows, tmp_path, capsys):
    words = ["--model", start, "--train", rows, "--out"]
    before = sorted(each.name for each in Path(start).iterdir())
    assert "has config.json in it: give a new" in refused(capsys, 1, *words, start)
    assert sorted(each.name for each in Path(start).iterdir()) == before
    assert f"--out {rows} is a file" in refused(capsys, 1, *words, rows)
    below = f"--out {rows}/below cannot be made, for {rows} is a file; give the name of a folder"
    assert refused(capsys, 1, *words, f"{rows}/below") == below
    out = str(tmp_path / "none")
    assert "has no run to go on with" in refused(capsys, 1, "--out", out, "--resume")
    assert "has no run to go on with" in refused(capsys, 1, "--out", rows, "--resume")
    known = {"model": "tiny", "train": "x", "out": "y"}
    broken = [3, known | {"epochs": "x"}, known | {"colour": "red"}, {"model": "tiny"}]
    folder = tmp_path / "broken"
    folder.mkdir()
    for said in [*(json.dumps({"options": each}) for each in broken), "[" * 99_999]:
        (folder / "options.json").write_text(said)
        told = refused(capsys, 1, "--out", str(folder), "--resume")
        assert "is of no run of ours, or broken" in told


def test_nothing_is_read_for_a_place_without_the_right_to_write(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tinygrad_llm.cli.checks.os.access", lambda path, how: False)
    out = str(tmp_path / "a" / "b")
    told = refused(capsys, 1, "--model", "none", "--train", "none.tsv", "--out", out)
    assert told.startswith(f"--out {out}: you may not write into {tmp_path}; give another folder")


FULL = (
    *("options.json", "tokenizer_config.json", "finetune.json", "run.json", "checkpoint-"),
    *("model.safetensors", "config.json", "test.json", "confusion.png", "README.md"),
    "results.json",
)
"""Some files that a run writes, from the first to the last; their names, or how they begin."""


@pytest.mark.parametrize("name", FULL)
def test_a_full_disk_leaves_nothing_half_and_the_run_goes_on(
    name, start, rows, tmp_path, monkeypatch, capsys
):
    out, usual = tmp_path / "out", os.replace

    def full(source, target):
        if Path(target).name.startswith(name):
            raise OSError(errno.ENOSPC, "No space left on device")
        usual(source, target)

    words = ["--model", start, "--train", rows, *SMALL, "--out", str(out)]
    with monkeypatch.context() as patch:
        patch.setattr("tinygrad_llm.files.atomic.os.replace", full)
        assert finetune(*words) == 1
    told, err = capsys.readouterr()
    assert re.fullmatch(rf"tinygrad-llm finetune: {out}/{name}\S*: No space left on device\n", err)
    assert "The model is in" not in told and not list(out.glob("*.tmp"))
    assert not [each for each in out.iterdir() if each.name.startswith(name)]
    words = words if name == "options.json" else ["--out", str(out), "--resume"]
    told = tuned(capsys, *words)
    assert "The model is in" in told and (out / "results.json").exists()
