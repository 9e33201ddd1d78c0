"""Tests of what a run does to its folder, and to the folders of others: nothing unasked."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.common import blobs, dataset, network, same, trainer, weights
from tinygrad_llm import functional as F
from tinygrad_llm import nn
from tinygrad_llm.data import Subset
from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.training import Callback, Trainer, TrainingArguments, load_checkpoint
from tinygrad_llm.training.checkpoints import _digest, checkpoint_path, checkpoints

ROOT = Path(__file__).parents[2]

BEST = {"load_best_model_at_end": True, "eval_steps": 2}


def trained(folder, resume=None, model=None, **changes):
    """Ten steps with a checkpoint every two, unless told otherwise."""
    usual = {"max_steps": 10, "save_steps": 2, "save_total_limit": 9, "eval_strategy": "no"}
    if "eval_steps" in changes:
        usual.pop("eval_strategy")
    run = trainer(model or network(), output_dir=folder, **{**usual, **changes})
    run.train(resume_from_checkpoint=resume)
    return run


@pytest.mark.parametrize("name", ["train.csv", "log.jsonl", "model.safetensors", "run.json"])
def test_files_of_the_user_are_never_taken_for_a_runs(tmp_path, name):
    (tmp_path / name).write_text("text\tlabel\n")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=f"{name}, which is of no run begun there"):
            trained(tmp_path, overwrite_output_dir=overwrite)
    assert (tmp_path / name).read_text() == "text\tlabel\n"
    assert len(list(tmp_path.iterdir())) == 1


def test_overwriting_leaves_what_is_not_of_the_run(tmp_path):
    trained(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    trained(tmp_path, overwrite_output_dir=True, max_steps=4)
    assert list(checkpoints(tmp_path)) == [2, 4]
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_without_checkpoints_is_a_run(tmp_path):
    trained(tmp_path, save_strategy="no", save_steps=None)
    before = (tmp_path / "log.jsonl").read_text()
    with pytest.raises(FileExistsError, match="has an earlier run: go on with"):
        trained(tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == before


def test_bad_data_do_not_cost_the_run_before(tmp_path):
    trained(tmp_path)
    x, labels = blobs()
    with pytest.raises((ValueError, IndexError)):
        trained(tmp_path, overwrite_output_dir=True, train=(x, labels + 5))
    assert max(checkpoints(tmp_path)) == 10


def test_one_that_has_only_begun_begins_again(tmp_path):
    class Die(Callback):
        def on_step_end(self, run):
            raise RuntimeError("dead")

    with pytest.raises(RuntimeError, match="dead"):
        trained(tmp_path, callbacks=[Die()])
    assert not checkpoints(tmp_path)
    unharmed = trained(tmp_path / "other")
    assert same(trained(tmp_path, resume=True).model, unharmed.model)


def test_going_on_from_an_earlier_step_sets_later_ones_aside(tmp_path):
    unharmed = trained(tmp_path)
    seen = []

    class Look(Callback):
        def on_save(self, run, path):
            old = path.with_name(f"{path.name}.old")
            seen.append((path.exists(), old.exists(), len(list(path.parent.glob("*.old")))))

    with pytest.warns(UserWarning, match=r"checkpoint-\d+\.safetensors is after step 4"):
        again = trained(
            tmp_path, checkpoint_path(tmp_path, 4), callbacks=[Look()], save_total_limit=1
        )
    assert seen == [(True, False, left) for left in (2, 1, 0)]
    assert same(again.model, unharmed.model)
    assert list(checkpoints(tmp_path)) == [10]


@pytest.mark.parametrize("folder", ["b", None])
def test_a_checkpoint_that_lies_elsewhere_is_refused(tmp_path, folder):
    trained(tmp_path / "a")
    message = "lies elsewhere than output_dir" if folder else "set output_dir to the folder"
    with pytest.raises(ValueError, match=message):
        trained(folder and tmp_path / folder, checkpoint_path(tmp_path / "a", 4))
    assert max(checkpoints(tmp_path / "a")) == 10


def test_a_copied_folder_goes_on_by_itself(tmp_path):
    unharmed = trained(tmp_path / "a", max_steps=20, **BEST)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a").iterdir()}
    with pytest.warns(UserWarning, match="is after step 12"):
        path = checkpoint_path(tmp_path / "b", 12)
        again = trained(tmp_path / "b", path, max_steps=20, **BEST)
    assert same(again.model, unharmed.model)
    assert before == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "a").iterdir()}


def test_a_folder_stands_for_its_newest_checkpoint(tmp_path):
    first = trained(tmp_path, max_steps=8)
    with pytest.warns(UserWarning, match="max_steps"):
        run = trained(tmp_path, tmp_path)
    assert first.state.step == 8 and run.state.step == 10


@pytest.mark.parametrize("lost", ["deleted", "damaged"])
def test_a_best_that_is_lost_leaves_the_last_weights(tmp_path, lost):
    class Lose(Callback):
        def on_step_end(self, run):
            if run.state.step == run.total_steps:
                path = checkpoint_path(tmp_path, run.state.best_step)
                path.unlink() if lost == "deleted" else path.write_bytes(b"x")
                self.weights = weights(run.model)

    lose = Lose()
    settings = {"learning_rate": 2.0, "max_steps": 16, "callbacks": [lose]}
    with pytest.warns(UserWarning, match="the last weights stay"):
        run = trained(tmp_path, **BEST, **settings)
    assert same(weights(run.model), lose.weights)
    assert (tmp_path / "model.safetensors").exists()


def test_another_learning_rate_is_taken_when_a_run_goes_on(tmp_path):
    settings = {"logging_steps": 1, "lr_scheduler_type": "constant", "weight_decay": 0.1}
    trained(tmp_path, max_steps=6, **settings)
    settings |= {"learning_rate": 1e-5, "weight_decay": 0.5}
    with pytest.warns(UserWarning, match=r"learning_rate was 0\.01 and is 1e-05"):
        run = trained(tmp_path, True, **settings)
    rates = [row["learning_rate"] for row in run.history]
    assert rates == [0.01] * 6 + [1e-5] * 4
    assert run.stepper.optimizer.param_groups[0]["weight_decay"] == 0.5


def test_equal_arguments_are_not_told_as_changed(tmp_path):
    own = {"optim_args": {"betas": (0.9, 0.99)}}
    trained(tmp_path, max_steps=4, **own)
    trained(tmp_path, True, max_steps=4, **own)


def test_callbacks_keep_their_states_in_another_order(tmp_path):
    class One(Callback):
        state = 1

        def state_dict(self):
            return {"value": self.state}

        def load_state_dict(self, state):
            self.state = state["value"]

    class Two(One):
        state = 2

    trained(tmp_path, max_steps=4, callbacks=[One(), Two()])
    found = [Two(), Callback(), One()]
    found[0].state = found[2].state = 0
    trained(tmp_path, True, max_steps=4, callbacks=found)
    assert (found[0].state, found[2].state) == (2, 1)


def test_a_relative_folder_stays_where_it_was(tmp_path, monkeypatch):
    class Move(Callback):
        def on_step_end(self, run):
            os.chdir("/")

    monkeypatch.chdir(tmp_path)
    trained("here", callbacks=[Move()])
    assert 10 in checkpoints(tmp_path / "here")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("state", {"step": -3}),
        ("state", {"step": "3"}),
        ("state", {"nonsense": 1}),
        ("random", None),
        ("random", [0, {"batches": [1]}]),
        ("log", None),
        ("callbacks", [None]),
        ("args", [1, 2]),
        ("loader", {"offset": 2**70}),
        ("data", "0"),
    ],
    ids=str,
)
def test_a_state_that_cannot_be_is_refused_and_the_model_is_as_before(tmp_path, part, value):
    trained(tmp_path, max_steps=4)
    path = checkpoint_path(tmp_path, 4)
    arrays, metadata = load_safetensors(path)
    state = json.loads(metadata["state"])
    state["run"][part] = value
    text = json.dumps(state)
    metadata |= {"state": text, "sha256": _digest(arrays, text)}
    save_safetensors(path, arrays, metadata)
    model = network(seed=5)
    before = weights(model)
    mend = (
        "make model, data" if part in ("loader", "data") else r"checkpoint-2\.safetensors is whole"
    )
    with pytest.raises(ValueError, match=rf"checkpoint-4.*{mend}"):
        trained(tmp_path, True, model, max_steps=4)
    assert same(model, before)


def test_a_log_is_json_though_a_number_is_none(tmp_path):
    x, labels = blobs()
    run = trained(tmp_path, train=(x, np.full_like(labels, -100)), logging_steps=1, max_steps=2)
    assert np.isnan(run.history[0]["loss"])
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [None, None]
    with open(tmp_path / "train.csv", newline="") as file:
        assert [row["loss"] for row in csv.DictReader(file)] == ["nan", "nan"]


# The test set


def test_the_test_set_cannot_be_read_by_the_way():
    held = blobs(30, seed=2)
    run = trainer(test_dataset=held)
    for read in (run.evaluate, run.predict):
        with pytest.raises(RuntimeError, match=r"this is the test set, which test\(\) reads, once"):
            read(held)
    with pytest.raises(ValueError, match="test_dataset is eval_dataset"):
        trainer(held=held, test_dataset=held)
    with pytest.raises(ValueError, match="test_dataset is train_dataset"):
        trainer(train=held, test_dataset=held)


def test_a_test_that_fails_has_read_it(tmp_path):
    def metrics(said, true):
        raise RuntimeError("oh")

    settings = {"test_dataset": blobs(30, seed=2), "output_dir": tmp_path}
    with pytest.raises(RuntimeError, match="oh"):
        trainer(**settings, compute_metrics=metrics).test()
    with pytest.raises(RuntimeError, match="test set was read at"):
        trainer(**settings).test()
    trainer(**settings, max_steps=2, eval_strategy="no").train()
    with pytest.raises(RuntimeError, match="test set was read at"):
        trainer(**settings).test()


def test_a_run_that_is_overwritten_leaves_the_count_of_tests(tmp_path, capsys):
    for times in (1, 2, 3):
        run = trained(tmp_path, overwrite_output_dir=True, test_dataset=blobs(30, seed=2))
        run.args.quiet = False
        run.test()
        assert ("for the" in capsys.readouterr().out) == (times > 1)
        assert run.history[-1]["times_read"] == times


def test_a_part_of_the_training_rows_is_no_test_set():
    rows = dataset()
    args = TrainingArguments(quiet=True)
    parts = [Subset(rows, range(60)), Subset(Subset(rows, range(50, 90)), range(20))]
    with pytest.raises(ValueError, match="test_dataset is train_dataset"):
        Trainer(Unlabelled(), args, parts[0], test_dataset=parts[1])
    Trainer(Unlabelled(), args, parts[0], test_dataset=Subset(rows, range(60, 90)))


def test_a_foreign_record_of_a_test_is_named(tmp_path):
    (tmp_path / "test.json").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(ValueError, match=r"test\.json is no record of a test"):
        trainer(test_dataset=blobs(30), output_dir=tmp_path).test()


# Data without labels, columns of one's own


def test_rows_without_labels_can_be_predicted():
    run = trainer()
    x, _ = blobs(20)
    found = run.predict((x,))
    assert found.predictions.shape == (20, 3)
    assert found.labels is None and found.metrics == {}
    with pytest.raises(ValueError, match="no labels"):
        trainer(train=(x,)).train()


def test_a_loss_of_ones_own_gets_columns_of_its_own():
    x, labels = blobs()
    rows = {"x": x, "labels": labels, "weight": np.ones(len(x), np.float32)}
    model = network()

    def loss(model, batch):
        each = F.cross_entropy(model(batch["x"]), batch["labels"], reduction="none")
        return (each * batch["weight"]).mean()

    from tinygrad_llm.data import ArrayDataset

    args = TrainingArguments(max_steps=2, quiet=True)
    run = Trainer(model, args, ArrayDataset(**rows), compute_loss=loss)
    run.train()
    assert run.state.step == 2


class Unlabelled(nn.Module):
    def __init__(self):
        self.body = nn.Linear(4, 3)

    def forward(self, x):
        return self.body(x)


def test_a_dict_without_labels_can_be_predicted():
    x, _ = blobs(20)
    run = Trainer(Unlabelled(), TrainingArguments(quiet=True), dataset())
    from tinygrad_llm.data import ArrayDataset

    assert run.predict(ArrayDataset(x=x)).predictions.shape == (20, 3)


TERM = """
import sys
from tests.training.common import network, trainer
from tinygrad_llm.training import Callback

class Say(Callback):
    def on_step_end(self, trainer):
        if trainer.state.step == 50:
            print("going", flush=True)

trainer(network(), output_dir=sys.argv[1], max_steps=10**6, save_steps=10**5,
        eval_strategy="no", callbacks=[Say()]).train()
"""


def test_a_polite_kill_saves_too(tmp_path):
    command = [sys.executable, "-c", TERM, str(tmp_path)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while process.stdout.readline() not in (b"going\n", b""):
        pass
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, err
    (step,) = checkpoints(tmp_path)
    assert load_checkpoint(checkpoint_path(tmp_path, step)).run["state"]["step"] == step
