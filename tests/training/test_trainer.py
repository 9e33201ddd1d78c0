"""Tests of the Trainer's loop: steps, rows of the log, models of all forms, callbacks."""

from __future__ import annotations

import csv
import json
import re
import signal

import numpy as np
import pytest

from tests.training.common import blobs, dataset, network, same, trainer, weights
from tinygrad_llm import Tensor, data, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.training import Callback, Trainer, TrainingArguments


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"num_train_epochs": 2}, 18),
        ({"num_train_epochs": 0.5}, 5),
        ({"max_steps": 25}, 25),
        ({"num_train_epochs": 1, "gradient_accumulation_steps": 4}, 3),
        ({"num_train_epochs": 1, "per_device_train_batch_size": 40}, 3),
        (
            {
                "num_train_epochs": 1,
                "per_device_train_batch_size": 40,
                "dataloader_drop_last": True,
            },
            2,
        ),
    ],
    ids=str,
)
def test_as_many_steps_as_the_arguments_say(settings, steps):
    run = trainer(eval_strategy="no", **settings)
    assert run.train().global_step == steps == run.state.step
    assert run.state.epoch == pytest.approx(steps / run.steps_per_epoch)


def test_it_learns():
    run = trainer(num_train_epochs=20, learning_rate=0.03)
    before = run.evaluate()
    out = run.train()
    after = run.evaluate()
    assert before["eval_accuracy"] < 0.7 < 0.9 < after["eval_accuracy"]
    assert after["eval_loss"] < 0.4 < before["eval_loss"]
    assert 0.0 < out.training_loss < before["eval_loss"]


@pytest.mark.parametrize(
    ("steps", "every", "count"), [(25, 10, 2), (30, 10, 3), (9, 10, 0), (7, 1, 7)]
)
def test_one_row_every_so_many_steps(tmp_path, steps, every, count):
    run = trainer(max_steps=steps, logging_steps=every, output_dir=str(tmp_path))
    run.train()
    found = rows(tmp_path / "train.csv") if count else []
    assert len(found) == count == steps // every
    assert [int(row["step"]) for row in found] == [every * (i + 1) for i in range(count)]
    lines = (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(json.loads(line)["kind"] == "train" for line in lines) == count


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        ({"eval_steps": 4}, [4, 8, 12, 16, 18]),
        ({"eval_strategy": "epoch"}, [9, 18]),
        ({}, [9, 18]),
        ({"eval_strategy": "no"}, []),
        ({"eval_steps": 18}, [18]),
    ],
    ids=str,
)
def test_evaluations_come_when_promised(settings, steps):
    run = trainer(num_train_epochs=2, **settings)
    run.train()
    assert [row["step"] for row in run.history if row["kind"] == "eval"] == steps


def test_a_row_of_training_is_the_mean_over_its_targets():
    """90 rows in batches of 40: the last has 10, and the mean over rows is not that of batches."""
    losses = []

    def loss(model, batch):
        x, labels = batch
        each = F.cross_entropy(model(x), labels, reduction="none")
        losses.extend(each.numpy().tolist())
        return each.mean()

    run = trainer(
        compute_loss=loss,
        num_train_epochs=1,
        per_device_train_batch_size=40,
        logging_steps=3,
        eval_strategy="no",
    )
    out = run.train()
    ours = losses[-90:]
    assert run.history[0]["loss"] == pytest.approx(np.mean(ours), rel=1e-6)
    assert out.training_loss == pytest.approx(np.mean(ours), rel=1e-6)
    assert run.history[0]["rows"] == 90


def test_rate_and_norm_are_those_of_the_step():
    run = trainer(
        max_steps=10, logging_steps=1, warmup_steps=4, learning_rate=0.1, weight_decay=0.1
    )
    run.train()
    rates = [row["learning_rate"] for row in run.history if row["kind"] == "train"]
    assert rates == pytest.approx([0.1 * optim.linear_factor(step, 10, 4) for step in range(10)])
    assert all(row["grad_norm"] > 0.0 for row in run.history if row["kind"] == "train")


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "rmsprop", "lamb"])
def test_every_optimizer_by_name(name):
    run = trainer(max_steps=3, optim=name, weight_decay=0.1, lr_scheduler_type="constant")
    run.train()
    assert type(run.stepper.optimizer).__name__.lower() == name
    decays = [group["weight_decay"] for group in run.stepper.optimizer.param_groups]
    assert decays == [0.1, 0.0]


def test_steps_are_those_of_a_loop_by_hand():
    model, twin = network(), network()
    run = trainer(
        model,
        max_steps=12,
        max_grad_norm=None,
        eval_strategy="no",
        optim="sgd",
        optim_args={"momentum": 0.9},
    )
    run.train()
    from tinygrad_llm import manual_seed

    manual_seed(42)
    x, labels = blobs()
    loader = data.DataLoader(data.ArrayDataset(x, labels), batch_size=10, shuffle=True)
    optimizer = optim.SGD(optim.decay_groups(twin, 0.0), lr=0.01, momentum=0.9)
    step = 0
    while step < 12:
        for a, b in loader:
            if step == 12:
                break
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * (12 - step) / 12
            optimizer.zero_grad()
            F.cross_entropy(twin(a), b).backward()
            optimizer.step()
            step += 1
    assert same(model, twin)


def test_two_runs_with_one_seed_have_the_same_bits_and_another_seed_others():
    ends = []
    for seed in (1, 1, 2):
        model = network(dropout=0.3)
        trainer(model, max_steps=20, seed=seed).train()
        ends.append(weights(model))
    assert same(ends[0], ends[1]) and not same(ends[0], ends[2])


class Answer:
    def __init__(self, loss, logits):
        self.loss, self.logits = loss, logits


class WithLoss(nn.Module):
    """Called as Hugging Face's models are."""

    def __init__(self):
        self.body = nn.Linear(4, 3)

    def forward(self, x, labels=None):
        logits = self.body(x)
        return Answer(None if labels is None else F.cross_entropy(logits, labels), logits)


class WithoutLabels(nn.Module):
    def __init__(self):
        self.body = nn.Linear(4, 3)

    def forward(self, x):
        return self.body(x)


@pytest.mark.parametrize("kind", [WithLoss, WithoutLabels])
def test_dicts_go_into_the_model_by_name(kind):
    run = Trainer(
        kind(),
        TrainingArguments(max_steps=60, learning_rate=0.05, quiet=True),
        dataset(),
        dataset(),
    )
    run.train()
    assert run.evaluate()["eval_accuracy"] > 0.8


def test_callbacks_are_told_in_order_and_may_stop():
    told = []

    class Spy(Callback):
        def __getattribute__(self, name):
            if name.startswith("on_"):
                return lambda trainer, *what: told.append(name) or self.maybe(trainer)
            return super().__getattribute__(name)

        def maybe(self, trainer):
            if trainer.state.step == 4:
                trainer.stop("enough")

    run = trainer(callbacks=[Spy()], num_train_epochs=5, logging_steps=2, eval_steps=4)
    assert run.train().global_step == 4
    assert run.state.stopped == "enough"
    assert told == [
        "on_train_begin",
        "on_step_end",
        "on_log",
        "on_step_end",
        "on_step_end",
        "on_log",
        "on_evaluate",
        "on_step_end",
        "on_train_end",
    ]


def test_before_the_first_step_it_says_what_to_expect(capsys):
    trainer(network(), max_steps=7, quiet=False, disable_tqdm=True).train()
    out = capsys.readouterr().out
    assert "67 parameters, all of them learn" in out
    assert "weights 268 B, gradients 536 B, optimizer 536 B,\n  activations" in out
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"7 batches of about [\d.]+ ms: about [\d.e-]+ s, updates", out)
    assert "7 steps" in out


def test_the_last_words_fit_a_terminal(capsys):
    class Stop(Callback):
        def on_step_end(self, trainer):
            trainer.stop("the limit of what was to be seen is reached")

    settings = {"load_best_model_at_end": True, "eval_steps": 1, "disable_tqdm": True}
    run = trainer(callbacks=[Stop()], max_steps=3, quiet=False, **settings)
    run.train()
    said = capsys.readouterr().out.partition("1 step, ")[2]
    lines = said.splitlines()
    assert 2 <= len(lines) <= 4 and all(line[:2] == "  " for line in lines[1:])
    assert max(map(len, ("1 step, " + said).splitlines())) <= 80
    words = "stopped: the limit of what was to be seen is reached; weights of step 1 "
    assert f"; {words}taken back (eval_loss " in " ".join(said.split())


@pytest.mark.parametrize("quiet", [True, False])
def test_a_quiet_run_says_nothing_when_it_is_stopped(quiet, capsys):
    class Press(Callback):
        def on_step_end(self, trainer):
            signal.raise_signal(signal.SIGINT)

    run = trainer(callbacks=[Press()], max_steps=5, quiet=quiet, disable_tqdm=True)
    with pytest.raises(KeyboardInterrupt):
        run.train()
    assert run.state.step == 1
    out, err = capsys.readouterr()
    assert (out == "", err == "") == (quiet, quiet)
    assert ("stopping after this step; Ctrl-C again stops at once\n" in err) != quiet


def test_quiet_says_nothing(capsys):
    trainer(max_steps=3).train()
    assert capsys.readouterr() == ("", "")


def test_what_is_frozen_costs_nothing_and_stays(capsys):
    model = network()
    model.layers[0].requires_grad_(False)
    before = model.layers[0].weight.numpy().copy()
    trainer(model, max_steps=5, quiet=False, disable_tqdm=True).train()
    assert "67 parameters, 40 of them frozen" in capsys.readouterr().out
    assert np.array_equal(model.layers[0].weight.numpy(), before)


def test_an_optimizer_of_ones_own():
    model = network()
    own = optim.SGD(model.parameters(), lr=0.5)
    run = trainer(model, optimizer=own, max_steps=3, lr_scheduler_type="constant")
    run.train()
    assert run.stepper.optimizer is own and own.param_groups[0]["lr"] == 0.5


def test_transform_is_for_training_only():
    seen = []

    def transform(batch, generator):
        seen.append(len(batch[0]))
        return batch

    run = trainer(transform=transform, max_steps=9, eval_steps=3)
    run.train()
    assert seen == [10] * 9


def test_tensors_are_no_dataset():
    with pytest.raises(TypeError, match="dataset"):
        trainer(train=Tensor(np.zeros((3, 4)))).train()


def test_signals_are_handled_as_before_afterwards():
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    trainer(max_steps=2).train()
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_settings_beside_an_optimizer_of_ones_own_are_refused():
    model = network()
    own = optim.SGD(model.parameters(), lr=0.5)
    with pytest.raises(ValueError, match="learning_rate, weight_decay would do nothing"):
        trainer(model, optimizer=own, learning_rate=0.1, weight_decay=0.1)


def test_arguments_that_are_none():
    with pytest.raises(TypeError, match="the second argument is TrainingArguments"):
        Trainer(network(), blobs(), blobs())
