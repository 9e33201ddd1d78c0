"""Tests of runs that go on: from any checkpoint to the same bits, and what is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from tests.training.common import blobs, network, same, trainer, weights
from tinygrad_llm import models, nn
from tinygrad_llm.training import Callback, load_checkpoint
from tinygrad_llm.training.checkpoints import checkpoints

ROOT = Path(__file__).parents[2]


class Die(Exception):
    """Stands for a kill, within one process."""


class DieAt(Callback):
    def __init__(self, step, moment="on_step_end"):
        self.step, self.moment = step, moment

    def on_step_end(self, trainer):
        if self.moment == "on_step_end" and trainer.state.step == self.step:
            raise Die

    def on_save(self, trainer, path):
        if self.moment == "on_save" and trainer.state.step >= self.step:
            raise Die


SETTINGS = {
    "max_steps": 20,
    "save_steps": 4,
    "eval_steps": 3,
    "logging_steps": 3,
    "load_best_model_at_end": True,
    "dataloader_prefetch": 2,
    "lr_scheduler_type": "cosine",
    "warmup_ratio": 0.2,
    "weight_decay": 0.1,
}


def to_the_end(folder, resume=None, callbacks=(), **changes):
    model = network(seed=3, dropout=0.4)
    run = trainer(model, output_dir=str(folder), callbacks=callbacks, **{**SETTINGS, **changes})
    run.train(resume_from_checkpoint=resume)
    return run


def rows(run):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in run.history]


@pytest.fixture(scope="module", params=[1, 3], ids=["", "accumulating"])
def whole(request, tmp_path_factory):
    changes = {"gradient_accumulation_steps": request.param}
    return to_the_end(tmp_path_factory.mktemp("whole"), **changes), changes


@pytest.mark.parametrize("step", [4, 5, 8, 9, 11, 15, 19, 20])
@pytest.mark.parametrize("moment", ["on_step_end", "on_save"])
def test_a_run_that_died_ends_with_the_same_bits(tmp_path, whole, step, moment):
    unharmed, changes = whole
    with pytest.raises(Die):
        to_the_end(tmp_path, callbacks=[DieAt(step, moment)], **changes)
    again = to_the_end(tmp_path, resume=True, callbacks=[Callback()], **changes)
    assert same(again.model, unharmed.model)
    assert rows(again) == rows(unharmed)
    ends = [{**run.state.to_dict(), "seconds": 0} for run in (again, unharmed)]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("optim", ["sgd", "adam", "rmsprop", "lamb"])
def test_every_optimizer_goes_on(tmp_path, optim):
    changes = {"optim": optim, "optim_args": {"momentum": 0.9} if optim == "sgd" else {}}
    unharmed = to_the_end(tmp_path / "a", **changes)
    with pytest.raises(Die):
        to_the_end(tmp_path / "b", callbacks=[DieAt(10)], **changes)
    assert same(to_the_end(tmp_path / "b", True, **changes).model, unharmed.model)


def test_in_float16_the_loss_scale_goes_on(tmp_path):
    unharmed = to_the_end(tmp_path / "a", fp16=True)
    with pytest.raises(Die):
        to_the_end(tmp_path / "b", callbacks=[DieAt(10)], fp16=True)
    again = to_the_end(tmp_path / "b", True, fp16=True)
    assert same(again.model, unharmed.model)
    assert again.stepper.scaler.state_dict() == unharmed.stepper.scaler.state_dict()


def test_a_callback_keeps_what_it_counted(tmp_path):
    class Count(Callback):
        seen = 0

        def on_step_end(self, trainer):
            self.seen += 1
            if self.seen == 7 and self.dies:
                raise Die

        dies = True

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]
            self.dies = False

    with pytest.raises(Die):
        to_the_end(tmp_path, callbacks=[Count()])
    again = Count()
    to_the_end(tmp_path, True, [again])
    assert again.seen == 20


def test_a_finished_run_is_taken_up_and_ends_at_once(tmp_path):
    first = to_the_end(tmp_path)
    again = to_the_end(tmp_path, True)
    assert same(first.model, again.model) and rows(first) == rows(again)


def test_a_finished_run_goes_on_to_more_steps_and_says_that_it_is_another(tmp_path):
    to_the_end(tmp_path)
    with pytest.warns(UserWarning, match="max_steps was 20 and is 30: it will not end as"):
        again = to_the_end(tmp_path, True, max_steps=30)
    assert again.state.step == 30


def test_the_last_and_the_best_are_kept(tmp_path):
    run = to_the_end(tmp_path, save_total_limit=1)
    kept = set(checkpoints(tmp_path))
    assert kept == {20, run.state.best_step}
    assert same(run.model, load_checkpoint(checkpoints(tmp_path)[run.state.best_step]).model)


def test_the_best_weights_are_taken_back_and_their_loss_is_the_least(tmp_path):
    for folder in (str(tmp_path), None):
        run = trainer(
            network(),
            output_dir=folder,
            num_train_epochs=8,
            learning_rate=0.5,
            load_best_model_at_end=True,
        )
        out = run.train()
        losses = {row["step"]: row["eval_loss"] for row in run.history if row["kind"] == "eval"}
        best = min(losses, key=losses.__getitem__)
        assert out.metrics["best_step"] == best != max(losses)
        assert run.evaluate()["eval_loss"] == losses[best] == run.state.best_value


def test_early_stopping_stops_so_many_evaluations_after_the_best(tmp_path):
    run = trainer(
        output_dir=str(tmp_path), num_train_epochs=50, learning_rate=0.5, early_stopping_patience=3
    )
    run.train()
    losses = [row["eval_loss"] for row in run.history if row["kind"] == "eval"]
    assert losses.index(min(losses)) == len(losses) - 4
    assert run.evaluate()["eval_loss"] == min(losses)
    assert run.state.stopped == "eval_loss no better in 3 evaluations"
    assert run.state.step < run.total_steps
    again = trainer(
        output_dir=str(tmp_path), num_train_epochs=50, learning_rate=0.5, early_stopping_patience=3
    )
    again.train(resume_from_checkpoint=True)
    assert same(again.model, run.model) and again.state.step == run.state.step


def test_a_best_of_accuracy_is_the_greatest():
    run = trainer(num_train_epochs=6, learning_rate=0.3, metric_for_best_model="accuracy",
                  load_best_model_at_end=True)  # fmt: skip
    run.train()
    seen = [row["eval_accuracy"] for row in run.history if row["kind"] == "eval"]
    assert run.state.best_value == max(seen) == run.evaluate()["eval_accuracy"]


def damaged(path, how):
    whole = path.read_bytes()
    path.write_bytes(
        {
            "torn": whole[: len(whole) // 2],
            "empty": b"",
            "foreign": b"PK\x03\x04" + whole,
            "changed": whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:],
        }[how]
    )


@pytest.mark.parametrize("how", ["torn", "empty", "foreign", "changed"])
def test_a_damaged_file_is_refused_and_the_one_before_is_named(tmp_path, how):
    unharmed = to_the_end(tmp_path / "unharmed")
    with pytest.raises(Die):
        to_the_end(tmp_path, callbacks=[DieAt(14)])
    newest = max(checkpoints(tmp_path))
    damaged(checkpoints(tmp_path)[newest], how)
    before = sorted(checkpoints(tmp_path))[-2]
    match = rf"checkpoint-{newest}.*checkpoint-{before}\.safetensors is whole: "
    match += rf"delete checkpoint-{newest}\.safetensors, and go on with train\(resume_from_check"
    with pytest.raises(ValueError, match=match):
        to_the_end(tmp_path, True)
    aside = rf"checkpoint-{newest}\.safetensors is after step {before}: it is .*\.old now"
    with pytest.warns(UserWarning, match=aside):
        again = to_the_end(tmp_path, checkpoints(tmp_path)[before], [Callback()])
    assert same(again.model, unharmed.model)
    assert not list(tmp_path.glob("*.old"))


def test_a_refused_file_leaves_model_and_streams(tmp_path):
    from tinygrad_llm.backend import random

    to_the_end(tmp_path)
    other = models.MLP([4, 9, 3])
    before, streams = weights(other), random.state()
    run = trainer(other, output_dir=str(tmp_path), **SETTINGS)
    with pytest.raises(ValueError, match=r"checkpoint-20.*do not fit MLP"):
        run.train(resume_from_checkpoint=True)
    assert same(other, before) and random.state() == streams


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": blobs(91)}, "91"),
        ({"per_device_train_batch_size": 9}, "batch_size"),
        ({"optim": "sgd"}, "its optimizer is 'adamw', and now it is 'sgd'"),
        ({"train": (blobs()[0] + 1, blobs()[1])}, "its data has other rows"),
    ],
    ids=["rows", "batch", "optimizer", "data"],
)
def test_other_data_or_another_optimizer_is_refused(tmp_path, changes, message):
    to_the_end(tmp_path)
    run = trainer(network(dropout=0.4), output_dir=str(tmp_path), **{**SETTINGS, **changes})
    batch = "per_device_train_batch_size" in changes
    told = pytest.warns(UserWarning, match="other arguments") if batch else nullcontext()
    with told, pytest.raises(ValueError, match=rf"checkpoint-20.*{message}"):
        run.train(resume_from_checkpoint=True)


def test_weights_that_do_not_fit_change_nothing_before(tmp_path):
    run = to_the_end(tmp_path)
    with pytest.raises(FileNotFoundError):
        to_the_end(tmp_path, tmp_path / "checkpoint-7.safetensors")
    run.save_model(tmp_path / "own.safetensors")
    with pytest.raises(ValueError, match=r"own.*no checkpoint of a run"):
        to_the_end(tmp_path, tmp_path / "own.safetensors")


def test_a_second_run_does_not_overwrite_the_first_unasked(tmp_path):
    to_the_end(tmp_path)
    with pytest.raises(FileExistsError, match=r"earlier run, up to step 20.*overwrite_output_dir"):
        to_the_end(tmp_path)
    assert 20 in checkpoints(tmp_path)
    run = to_the_end(tmp_path, max_steps=2, overwrite_output_dir=True)
    assert max(checkpoints(tmp_path)) == 2
    assert [row["step"] for row in run.history if row["kind"] == "eval"] == [2]


@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_nothing_to_resume(tmp_path, folder):
    run = trainer(output_dir=folder and str(tmp_path / folder), max_steps=3)
    with pytest.raises((FileNotFoundError, ValueError), match="resume"):
        run.train(resume_from_checkpoint=True)


def test_the_weights_alone_are_in_the_folder_at_the_end(tmp_path):
    run = to_the_end(tmp_path)
    other = network(seed=9, dropout=0.1)
    nn.load_weights(other, tmp_path / "model.safetensors")
    assert same(other, run.model)


def test_a_disk_that_is_full_stops_the_run_and_leaves_the_file_before(tmp_path, monkeypatch):
    from tinygrad_llm.training import resume

    save = resume.save_checkpoint

    def full(path, *rest):
        if "checkpoint-12" in path.name:
            raise OSError(28, "No space left on device", str(path))
        save(path, *rest)

    monkeypatch.setattr(resume, "save_checkpoint", full)
    with pytest.raises(OSError, match="No space left"):
        to_the_end(tmp_path)
    monkeypatch.undo()
    assert max(checkpoints(tmp_path)) < 12
    unharmed = to_the_end(tmp_path / "other")
    assert same(to_the_end(tmp_path, True, [Callback()]).model, unharmed.model)


LONG = """
import sys
from tests.training.common import network, trainer
from tinygrad_llm.training import Callback

class Say(Callback):
    def on_step_end(self, trainer):
        if trainer.state.step == 50:
            print("going", flush=True)

run = trainer(network(), output_dir=sys.argv[1], max_steps=10**6, save_steps=10**5,
              eval_strategy="no", quiet=False, disable_tqdm=True, callbacks=[Say()])
run.train()
"""


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", LONG, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.stdout.readline() not in ("going\n", ""):
        pass
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, err
    assert "stopping after this step" in err
    (step,) = checkpoints(tmp_path)
    assert f"saved after step {step} of 1000000, in {tmp_path}\n" in out
    assert "go on with\n  train(resume_from_checkpoint=True)\n" in out
    found = load_checkpoint(checkpoints(tmp_path)[step])
    assert found.run["state"]["step"] == step and np.isfinite(found.model["layers.0.weight"]).all()


def test_a_run_that_a_callback_stopped_goes_on(tmp_path):
    class Stop(Callback):
        def on_step_end(self, run):
            if run.state.step == 6:
                run.stop("enough")

    unharmed = to_the_end(tmp_path / "a")
    assert to_the_end(tmp_path / "b", callbacks=[Stop()]).state.step == 6
    again = to_the_end(tmp_path / "b", True)
    assert again.state.step == 20 and same(again.model, unharmed.model)
