"""finetune: what is wrong comes out in one line, before the folder is made."""

from __future__ import annotations

import importlib.util
import json
import shutil

import pytest

from tests.finetune.run_common import (
    SIZES,
    TOKENIZER,
    hurry,
    options,
    run,
    save_model,
    write_pairs,
    write_rows,
)
from tests.models.common import gpt2
from tinygrad_llm import finetune, tokenizers
from tinygrad_llm.files import atomic
from tinygrad_llm.finetune import run as running

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Good rows and a good model, folders of which each has something wrong, and an adapter."""
    home = tmp_path_factory.mktemp("good")
    write_rows(home)
    write_pairs(home)
    save_model(home / "bert")
    save_model(home / "few", vocab_size=len(TOKENIZER) - 1)
    save_model(home / "one type", type_vocab_size=1)
    gpt2().astype("float32").save_pretrained(home / "gpt")
    TOKENIZER.save_pretrained(home / "gpt")
    shutil.copytree(home / "bert", home / "mute")
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        (home / "mute" / name).unlink()
    plain = tokenizers.CharTokenizer.train(["abc"], special_tokens=("[PAD]", "[UNK]"))
    shutil.copytree(home / "mute", home / "plain")
    plain.save_pretrained(home / "plain")
    shutil.copytree(home / "bert", home / "torn")
    torn = home / "torn" / "model.safetensors"
    torn.write_bytes(torn.read_bytes()[:-9])
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run(home, "adapter", method="lora", rank=2, epochs=1)
    return home


def refused(kind, home, tmp_path, **changes):
    usual = {"model": home / "bert", "train": home / "rows.tsv"}
    with pytest.raises(kind) as caught:
        run(tmp_path, **{**usual, **changes})
    said = str(caught.value)
    assert "\n" not in said and len(said) < 400, said
    return said


ROWS = {
    "no tab": ("a\tx\nno tab here\nb\ty\n", "line 2"),
    "two tabs": ("a\tx\nb\ty\tz\n", "line 2"),
    "no label": ("a\tx\nb\t\n", "line 2"),
    "one class": ("a\tx\nb\tx\n", "all labels are 'x'"),
    "empty": ("", "empty"),
    "few rows": ("a\tx\nb\ty\n", "too few rows"),
    "a header": ("text\tlabel\n" + "a\tx\nb\ty\n" * 9, "as in a header"),
    "no UTF-8": (b"a\tx\n\xff\xfe\ty\n", "line 2"),
}


@pytest.mark.parametrize("bad", ROWS)
def test_rows_that_are_wrong(bad, home, tmp_path):
    text, words = ROWS[bad]
    path = tmp_path / "bad.tsv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(ValueError, home, tmp_path, train=path)
    assert words in said and "bad.tsv" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_label_that_training_never_saw(part, home, tmp_path):
    (tmp_path / "other.tsv").write_text("the court\tlaw\na song\tfolk\n")
    said = refused(ValueError, home, tmp_path, **{part: tmp_path / "other.tsv"})
    assert "other.tsv, line 2: the label 'folk' is no class of" in said
    assert not (tmp_path / "out").exists()


WRONG = {
    "no rows": ({"train": "no/such.tsv"}, "no/such.tsv"),
    "no test": ({"test": "no/such.tsv"}, "no/such.tsv"),
    "no model": ({"model": "no/such"}, "no/such"),
    "numbers": ({"task": "regression"}, "the label 'law' is no number"),
    "max_length": ({"max_length": 25}, "max_length 25 is more than the 24 places of"),
    "rank": ({"method": "lora", "rank": 17}, "rank 17 is above 16"),
    "targets": ({"method": "lora", "lora_targets": "query,keys"}, "no Linear is named 'keys'"),
    "vocabulary": ({"model": "tiny", "vocab_size": 3}, "vocab"),
    "tokenizer": ({"model": "tiny", "tokenizer": "no/such"}, "no/such"),
    "device": ({"device": "cuda:77"}, "cuda"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_options_that_do_not_fit(wrong, home, tmp_path):
    changes, words = WRONG[wrong]
    if wrong == "device" and importlib.util.find_spec("cupy"):
        words = ""  # with CuPy the words are its own
    said = refused((OSError, ValueError, RuntimeError), home, tmp_path, **changes)
    assert words in said
    assert not (tmp_path / "out").exists()


FOLDERS = {
    "gpt": "gpt is a GPT2LMHeadModel, which cannot be tuned for this: give the folder of a BERT",
    "mute": "tokenizer",
    "plain": "has no cls_token, which a BERT needs",
    "torn": "model.safetensors",
    "few": f"its tokenizer has {len(TOKENIZER)} tokens and its model {len(TOKENIZER) - 1}; give a",
    "adapter": "has only what LoRA added to another model: tune that model once more with merge",
}


@pytest.mark.parametrize("folder", FOLDERS)
def test_folders_that_cannot_be_tuned(folder, home, tmp_path):
    said = refused((OSError, ValueError), home, tmp_path, model=home / folder)
    assert FOLDERS[folder] in said and str(home / folder) in said
    assert not (tmp_path / "out").exists()


def test_types_of_tokens_that_the_model_does_not_know(home, tmp_path):
    changes = {"model": home / "one type", "train": home / "pairs.jsonl"}
    said = refused(ValueError, home, tmp_path, **changes)
    assert "its tokenizer tells 2 types of tokens apart and its model 1; give" in said
    assert not (tmp_path / "out").exists()
    run(tmp_path, model=home / "one type", train=home / "rows.tsv", epochs=1)  # which has no pairs


@pytest.mark.parametrize("at", ["the folder", "the first file"])
def test_a_full_disk_before_anything_is_there(at, home, tmp_path, monkeypatch):
    """Nothing half written stays, and the run can begin when there is room."""

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if at == "the folder":
            patch.setattr(running.Path, "mkdir", lambda *_, **__: full())
        else:
            patch.setattr(atomic.os, "fsync", full)
        said = refused(OSError, home, tmp_path)
    assert "No space left on device" in said and ("options.json" in said) == (at[-4:] == "file")
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    assert len(run(tmp_path, model=home / "bert", train=home / "rows.tsv").result.labels) == 6


def test_a_folder_that_is_not_free(home, tmp_path):
    chosen = {"model": home / "bert", "train": home / "rows.tsv"}
    run(tmp_path, **chosen, epochs=1)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    said = refused(FileExistsError, home, tmp_path)
    assert said.endswith("has a run: go on with resume, or give another folder")
    assert "no run to go on" in refused(FileNotFoundError, home, tmp_path, out="a", resume=True)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("mine")
    assert "a.md" in refused(FileExistsError, home, tmp_path, out=tmp_path / "notes")
    file = refused(NotADirectoryError, home, tmp_path, out=tmp_path / "notes" / "a.md")
    assert "is a file" in file
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    (tmp_path / "out" / "options.json").write_text(json.dumps({"format": "of another program"}))
    assert "of no run of ours" in refused(ValueError, home, tmp_path, resume=True)


def test_a_loss_that_is_not_finite_ends_the_run(home, tmp_path):
    said = refused(FloatingPointError, home, tmp_path, learning_rate=1e30)
    assert said.startswith("step ")


def test_a_folder_whose_name_is_that_of_a_size_is_told_by_its_path(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "bert", "tiny")
    found = finetune.finetune(options(home, model="./tiny", epochs=1, out="out"), quiet=True)
    assert found.cost.parameters < 10_000
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["hidden_size"] == SIZES["hidden_size"]
