"""finetune: what must be the same when a run goes on, and what may have moved."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.finetune.run_common import hurry, run, save_model, write_rows
from tests.finetune.stops import Die, die, stop_at, tuned

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A whole run."""
    home = tmp_path_factory.mktemp("whole")
    write_rows(home)
    save_model(home / "bert")
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        run(home, "full")
    return home


def refused(kind, home, tmp_path, **changes):
    with pytest.raises(kind) as caught:
        tuned(home, tmp_path, "full", resume=True, **changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def stopped(home, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 9, die)
        with pytest.raises(Die):
            tuned(home, tmp_path, "full")
    return tmp_path


def test_options_must_agree(home, stopped):
    said = refused(ValueError, home, stopped, epochs=3, learning_rate=0.5)
    assert "epochs was 2 and is 3" in said and "learning_rate was 0.01 and is 0.5" in said
    assert said.endswith("give what it was, or another out")
    assert "method was 'full' and is 'head'" in refused(ValueError, home, stopped, method="head")


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_rows_must_be_the_same(part, home, stopped):
    other = write_rows(stopped, "other.tsv", seed=3)
    said = refused(ValueError, home, stopped, **{part: other})
    assert "rows to learn from, to choose by or to judge by have changed" in said


def test_the_model_must_be_the_same(home, stopped):
    save_model(stopped / "other", seed=1)
    said = refused(ValueError, home, stopped, model=stopped / "other")
    assert f"model {stopped / 'other'} is not the one that the run in" in said
    save_model(stopped / "third", hidden_act="relu")  # with the same weights
    assert "is not the one" in refused(ValueError, home, stopped, model=stopped / "third")


def test_where_things_are_may_change(home, stopped):
    for name in ("bert", "rows.tsv"):
        copy = shutil.copytree if name == "bert" else shutil.copy
        copy(home / name, stopped / f"moved-{name}")
    (stopped / "out").rename(stopped / "elsewhere")
    moved = {"model": stopped / "moved-bert", "train": stopped / "moved-rows.tsv"}
    before = (stopped / "elsewhere" / "options.json").read_bytes()
    found = tuned(home, stopped, "full", resume=True, out=stopped / "elsewhere", **moved)
    name = "model.safetensors"
    assert (found.folder / name).read_bytes() == (home / "full" / name).read_bytes()
    assert (found.folder / "options.json").read_bytes() == before


def test_an_adapter_stands_where_the_model_is_when_the_run_goes_on(home, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 9, die)
        with pytest.raises(Die):
            tuned(home, tmp_path, "lora")
    shutil.copytree(home / "bert", tmp_path / "moved")
    found = tuned(home, tmp_path, "lora", resume=True, model=tmp_path / "moved")
    said = json.loads((found.folder / "finetune.json").read_text())
    assert said["base"] == str(tmp_path / "moved")
