"""finetune: a run that is stopped at any moment ends with the bits of one that was not."""

from __future__ import annotations

import json
import os
import shutil
import signal

import pytest

from tests.finetune.run_common import (
    METHODS,
    hurry,
    options,
    run,
    save_model,
    trace,
    write_rows,
)
from tests.finetune.stops import Die, die, stop_at, tuned
from tinygrad_llm import finetune, models
from tinygrad_llm.backend import random
from tinygrad_llm.cli import main
from tinygrad_llm.finetune import TextClassifier, judging, outcome
from tinygrad_llm.finetune import run as running
from tinygrad_llm.training import Trainer, folder
from tinygrad_llm.training.checkpoints import checkpoints

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A whole run of each method."""
    home = tmp_path_factory.mktemp("whole")
    write_rows(home)
    save_model(home / "bert")
    with pytest.MonkeyPatch.context() as patch:
        hurry(patch)
        for name, changes in METHODS.items():
            run(home, name, **changes)
    return home


def is_whole(home, tmp_path, method):
    """Whether nothing tells that the run was stopped."""
    assert trace(tmp_path / "out") == trace(home / method)
    names = [{path.name for path in each.iterdir()} for each in (tmp_path / "out", home / method)]
    assert names[0] == names[1]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [1, 9])
def test_a_run_that_dies_goes_on_to_the_same_bits(method, step, home, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, step, die)
        with pytest.raises(Die):
            tuned(home, tmp_path, method)
    with pytest.raises(FileNotFoundError, match=r"config\.json is missing.* go on with it first"):
        TextClassifier.from_pretrained(tmp_path / "out")
    assert checkpoints(tmp_path / "out").keys() == ({6} if step == 9 else set())
    tuned(home, tmp_path, method, resume=True)
    is_whole(home, tmp_path, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("step", [2, 11])
def test_ctrl_c_saves_and_says_how_to_go_on(method, step, home, tmp_path, monkeypatch, capsys):
    usual = {"model": home / "bert", "train": home / "rows.tsv", **METHODS[method]}
    with monkeypatch.context() as patch:
        stop_at(patch, step, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            finetune.finetune(options(tmp_path, **usual))
    assert (tmp_path / "out" / f"checkpoint-{step}.safetensors").exists()
    said = capsys.readouterr().out
    assert said.endswith("go on with\n  the same options and resume=True\n")
    assert f"saved after step {step} of" in said and "train(resume" not in said
    tuned(home, tmp_path, method, resume=True)
    is_whole(home, tmp_path, method)


def at_the_figures(patch):
    """The predictions are kept, and the figures are not written down yet."""
    real = folder.keep_test_record

    def keep(path, row):
        if any(name.startswith("test_") for name in row):
            die()
        real(path, row)

    patch.setattr(folder, "keep_test_record", keep)


def at_the_row_of_the_log(patch):
    real = running.Trainer.test

    def test(self):
        self.log.add = die
        real(self)

    patch.setattr(running.Trainer, "test", test)


def between_the_checkpoints(patch):
    """The older one is deleted, which may be the best; the newest is there."""

    def remove(where):
        next(iter(checkpoints(where).values())).unlink()
        die()

    patch.setattr(outcome, "_remove_checkpoints", remove)


STAGES = {
    "before the test": lambda patch: patch.setattr(running, "read_once", die),
    "in the test": lambda patch: patch.setattr(judging, "save_safetensors", die),
    "before the figures": at_the_figures,
    "before its row": at_the_row_of_the_log,
    "after the test": lambda patch: patch.setattr(running, "finish", die),
    "half saved": lambda patch: patch.setattr(models.PretrainedModel, "save_config", die),
    "before the pictures": lambda patch: patch.setattr(outcome, "draw", die),
    "before the card": lambda patch: patch.setattr(outcome, "card", die),
    "before the results": lambda patch: patch.setattr(outcome, "_plain", die),
    "after the results": lambda patch: patch.setattr(outcome, "_remove_checkpoints", die),
    "between the checkpoints": between_the_checkpoints,
}
"""Where a run can end after its last step."""

UNREAD = ("before the test", "in the test", "before the figures")
"""Those at which no figure of the test rows is known."""


def stopped_at(stage, home, tmp_path, monkeypatch, method):
    with monkeypatch.context() as patch:
        STAGES[stage](patch)
        with pytest.raises(Die):
            tuned(home, tmp_path, method)


@pytest.mark.parametrize("stage", STAGES)
def test_a_run_that_dies_after_its_last_step_is_finished(stage, home, tmp_path, monkeypatch):
    """Where figures are known the test rows are not read again, and it is the model of then."""
    stopped_at(stage, home, tmp_path, monkeypatch, "lora")
    record = tmp_path / "out" / "test.json"
    before = record.read_text() if record.exists() else ""
    if stage not in UNREAD:
        monkeypatch.setattr(Trainer, "test", die)
    found = tuned(home, tmp_path, "lora", resume=True)
    is_whole(home, tmp_path, "lora")
    assert (record.read_text() == before) == (stage not in UNREAD)
    assert json.loads(record.read_text())["times_read"] == 1
    assert len(found.result.predicted) == 6 and not checkpoints(tmp_path / "out")


@pytest.mark.parametrize("method", ["full", "head", "merged"])
@pytest.mark.parametrize("stage", ["before the figures", "half saved", "between the checkpoints"])
def test_so_is_one_of_each_method(method, stage, home, tmp_path, monkeypatch):
    stopped_at(stage, home, tmp_path, monkeypatch, method)
    tuned(home, tmp_path, method, resume=True)
    is_whole(home, tmp_path, method)


@pytest.mark.parametrize("method", ["head", "lora"])
def test_two_stops_after_the_last_step(method, home, tmp_path, monkeypatch):
    """The second before the model is there again: no file of the first is taken for it."""
    stopped_at("before the card", home, tmp_path, monkeypatch, method)
    with monkeypatch.context() as patch:
        patch.setattr(running, "finish", die)
        with pytest.raises(Die):
            tuned(home, tmp_path, method, resume=True)
    assert not (tmp_path / "out" / "config.json").exists()
    tuned(home, tmp_path, method, resume=True)
    is_whole(home, tmp_path, method)


@pytest.mark.parametrize("stage", ["in the test", "before the card"])
def test_ctrl_c_after_the_last_step_says_how_to_go_on(stage, home, tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    place = (judging, "save_safetensors") if stage == "in the test" else (outcome, "card")
    with monkeypatch.context() as patch:
        patch.setattr(*place, interrupt)
        with pytest.raises(KeyboardInterrupt):
            finetune.finetune(options(tmp_path, model=home / "bert", train=home / "rows.tsv"))
    assert capsys.readouterr().out.endswith("go on with\n  the same options and resume=True\n")
    tuned(home, tmp_path, "full", resume=True)
    is_whole(home, tmp_path, "full")


def test_a_run_that_has_ended_gives_what_it_gave(home, tmp_path, monkeypatch):
    first = tuned(home, tmp_path, "full")
    before = files(first.folder)
    monkeypatch.setattr(Trainer, "train", die)
    again = tuned(home, tmp_path, "full", resume=True)
    assert files(first.folder) == before
    assert again.cost == first.cost and again.valid == first.valid
    for name in ("labels", "predicted"):
        assert (getattr(again.result, name) == getattr(first.result, name)).all()
    assert again.result.names == first.result.names
    assert {k: v.tolist() for k, v in again.result.baselines.items()} == {
        k: v.tolist() for k, v in first.result.baselines.items()
    }


@pytest.mark.parametrize("stage", ["before its row", "before the card", "after the results"])
def test_test_rows_are_not_read_again_where_what_was_said_is_lost(
    stage, home, tmp_path, monkeypatch, capsys
):
    """One line says so before anything has changed, and none that the run can go on."""
    stopped_at(stage, home, tmp_path, monkeypatch, "full")
    said = tmp_path / "out" / "test.safetensors"
    kept = said.read_bytes()
    said.unlink()
    before = files(tmp_path / "out")
    assert main(["finetune", "--out", str(tmp_path / "out"), "--resume"]) == 1
    told = capsys.readouterr()
    assert told.out == "" and told.err.count("\n") == 1 and f"{said} is missing: " in told.err
    assert told.err.endswith("put it back, or tune once more, into another folder\n")
    assert files(tmp_path / "out") == before
    said.write_bytes(kept)
    tuned(home, tmp_path, "full", resume=True)
    is_whole(home, tmp_path, "full")


@pytest.mark.parametrize("text", ["{", "[]", '{"validation": {}}', '{"validation": {"a": "b"}}'])
def test_broken_results_are_named(text, home, tmp_path):
    shutil.copytree(home / "full", tmp_path / "out")
    (tmp_path / "out" / "results.json").write_text(text)
    with pytest.raises(ValueError, match=r"results\.json is broken; the figures are in README\.md"):
        tuned(home, tmp_path, "full", resume=True)


def test_what_was_said_of_the_test_rows_must_be_of_a_run(home, tmp_path):
    shutil.copytree(home / "full", tmp_path / "out")
    said = tmp_path / "out" / "test.safetensors"
    shutil.copy(tmp_path / "out" / "model.safetensors", said)
    with pytest.raises(ValueError, match=r"test\.safetensors is not of a run of ours"):
        tuned(home, tmp_path, "full", resume=True)
    said.unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.safetensors is missing: .* put it back"):
        tuned(home, tmp_path, "full", resume=True)


def test_what_a_kill_left_half_written_before_the_training_goes(home, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train", die)
        with pytest.raises(Die):
            tuned(home, tmp_path, "full")
    half = tmp_path / "out" / f".{'0' * 32}.tmp"
    half.write_bytes(b"half of a file")
    tuned(home, tmp_path, "full", resume=True)
    is_whole(home, tmp_path, "full")


def test_a_quiet_run_says_nothing_when_it_is_stopped(home, tmp_path, monkeypatch, capsys):
    stop_at(monkeypatch, 2, lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tuned(home, tmp_path, "full")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("step", [2, 8])
def test_after_a_full_disk_it_is_said_how_to_go_on(step, home, tmp_path, monkeypatch, capsys):
    chosen = options(tmp_path, model=home / "bert", train=home / "rows.tsv")

    def full():
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        stop_at(patch, step, full)
        with pytest.raises(OSError, match="No space"):
            finetune.finetune(chosen, resumed_by="these words")
    said = capsys.readouterr().out.endswith("go on with\n  these words\n")
    assert said == (step > 6)  # the first checkpoint is that of step 6
    tuned(home, tmp_path, "full", resume=True)
    is_whole(home, tmp_path, "full")


def test_what_goes_wrong_by_itself_would_go_wrong_again(home, tmp_path, monkeypatch, capsys):
    chosen = options(tmp_path, model=home / "bert", train=home / "rows.tsv")

    def diverge():
        raise FloatingPointError("the loss is nan")

    stop_at(monkeypatch, 8, diverge)
    with pytest.raises(FloatingPointError):
        finetune.finetune(chosen)
    assert "go on" not in capsys.readouterr().out


def test_two_processes_do_not_train_in_one_folder(home, tmp_path, monkeypatch):
    said = []

    def second():  # which in truth has random streams of its own
        with pytest.raises(BlockingIOError) as caught, random.replay(random.state()):
            tuned(home, tmp_path, "full", resume=True)
        said.append(str(caught.value))

    with monkeypatch.context() as patch:
        stop_at(patch, 5, second)
        tuned(home, tmp_path, "full")
    assert said == [f"a process is training in {tmp_path / 'out'}: wait for it, or end it"]
    is_whole(home, tmp_path, "full")


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_that_began_meanwhile_is_not_overwritten(home, tmp_path, monkeypatch):
    real = running.start

    def start(*given):
        shutil.copytree(home / "head", tmp_path / "out")
        return real(*given)

    monkeypatch.setattr(running, "start", start)
    with pytest.raises(FileExistsError, match="has a run"):
        tuned(home, tmp_path, "full")
    assert files(tmp_path / "out") == files(home / "head")


def test_a_run_whose_log_is_lost_ends_with_the_same_model(home, tmp_path, monkeypatch):
    stopped_at("before the test", home, tmp_path, monkeypatch, "full")
    (tmp_path / "out" / "log.jsonl").unlink()
    with pytest.warns(UserWarning, match="rows of it are lost"):
        found = tuned(home, tmp_path, "full", resume=True)
    assert found.valid == {}
    name = "model.safetensors"
    assert (found.folder / name).read_bytes() == (home / "full" / name).read_bytes()
