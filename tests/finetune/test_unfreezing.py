"""Tests of gradual unfreezing: what moves, what is on the tape, and what a kill changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.finetune.test_rates import BOTTOM, HEAD, LOW, TOP, batch, classifier, place, rows
from tests.models.common import gpt2, ids
from tests.training.common import same, trainer, weights
from tinygrad_llm import data, graph, optim
from tinygrad_llm.finetune.freezing import freeze, head_only
from tinygrad_llm.finetune.rates import GradualUnfreezing, layered_groups
from tinygrad_llm.training import Callback
from tinygrad_llm.training.batches import default_loss

ROOT = Path(__file__).parents[2]


def gradual(model: Any, *callbacks: Callback, every: int = 2, **changes: Any) -> Any:
    """A Trainer with all that could move a frozen weight: decay, moments, dropout, a schedule."""
    if not {"optim", "optimizer"} & changes.keys():
        changes["optimizer"] = optim.AdamW(layered_groups(model, 0.01, 0.5, 0.1))
    usual = {"max_steps": 9, "per_device_train_batch_size": 4, "warmup_steps": 2}
    given = [GradualUnfreezing(every), *callbacks]
    return trainer(model, rows(), held=(), callbacks=given, **{**usual, **changes})


class Moved(Callback):
    """After each step: the layers in which any, and those in which every, parameter has moved."""

    def __init__(self) -> None:
        self.some: list[set[str]] = []
        self.every: list[set[str]] = []

    def on_train_begin(self, trainer: Any) -> None:
        self.before = weights(trainer.model)

    def on_step_end(self, trainer: Any) -> None:
        now = weights(trainer.model)
        moved = {name for name in now if now[name].tobytes() != self.before[name].tobytes()}
        self.some.append({place(name) for name in moved})
        self.every.append({HEAD, TOP, LOW, BOTTOM} - {place(name) for name in now.keys() - moved})
        self.before = now


STAGES = [{HEAD}, {HEAD, TOP}, {HEAD, TOP, LOW}, {HEAD, TOP, LOW, BOTTOM}]


@pytest.mark.parametrize("how", [{}, {"optim": "adamw", "weight_decay": 0.1}, {"optim": "lamb"}])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_one_more_layer_moves_at_a_time(how, every):
    """The steps that are multiples of `every` are the first to have a layer more behind them."""
    moved = Moved()
    gradual(classifier(), moved, every=every, max_steps=10, warmup_steps=0, **how).train()
    expected = [STAGES[min(step // every, 3)] for step in range(9)]  # the rate of the last is 0
    assert moved.some[:9] == expected
    assert moved.every[:9] == expected


def test_what_is_frozen_is_not_on_the_tape():
    model, seen = classifier(), []
    of = {id(p): place(name) for name, p in model.named_parameters()}

    def loss(model: Any, batch: Any) -> Any:
        found = default_loss(model, batch)
        tape = graph.behind([found.loss._edge])
        leaves = {of[id(node.tensor())] for node in tape if node.op is None}
        seen.append((leaves, sum(node.op is not None for node in tape)))
        return found.loss

    gradual(model, compute_loss=loss).train()
    assert [leaves for leaves, _ in seen[1:]] == [STAGES[min(step // 2, 3)] for step in range(9)]
    counts = [count for _, count in seen[1:]]
    assert counts[0] == counts[1] < 6 < counts[2] < counts[4] < counts[6] == counts[8]


def test_the_first_stage_is_training_the_head_alone():
    one, other = classifier(), head_only(classifier())
    gradual(one, every=9).train()
    optimizer = optim.AdamW(layered_groups(other, 0.01, 0.5, 0.1))
    how = {"max_steps": 9, "per_device_train_batch_size": 4, "warmup_steps": 2}
    trainer(other, rows(), held=(), optimizer=optimizer, **how).train()
    assert same(one, other)
    assert not same(one, classifier())


def test_no_gradient_of_before_stays_at_a_frozen_weight():
    model = classifier()
    seen: list[set[str]] = []

    class Gradients(Callback):
        def on_train_begin(self, trainer: Any) -> None:
            found = trainer.model.named_parameters()
            seen.append({place(name) for name, p in found if p.grad is not None})

    model(**batch()).loss.backward()
    gradual(model, Gradients()).train()
    assert seen == [{HEAD}]


def test_afterwards_all_learn_again_and_another_run_begins_with_the_head():
    model, moved = classifier(), Moved()
    run = gradual(model, moved, max_steps=3, warmup_steps=0)
    run.train()
    assert all(p.requires_grad for p in model.parameters())
    run.train()
    assert moved.some[:2] == moved.some[3:5] == [{HEAD}, {HEAD}]


def test_what_was_frozen_before_the_run_stays_so():
    model, moved = classifier(), Moved()
    freeze(model.bert.embeddings)
    freeze(model.bert.encoder.layers[1])
    freeze(model.bert.pooler)
    gradual(model, moved, max_steps=7, warmup_steps=0).train()
    assert moved.some[:6] == [{HEAD}] * 2 + [{HEAD, LOW}] * 4
    assert not any(p.requires_grad for p in model.bert.embeddings.parameters())


def test_a_gpt_2_begins_with_its_highest_block():
    model = gpt2()
    before = weights(model)
    inputs = ids(6, 8)
    train = data.ArrayDataset(input_ids=inputs, labels=inputs)
    how = {"max_steps": 3, "per_device_train_batch_size": 3, "weight_decay": 0.1}
    trainer(model, train, held=(), callbacks=[GradualUnfreezing(3)], **how).train()
    moved = {name for name, array in weights(model).items() if (array != before[name]).any()}
    assert moved and all(n.startswith(("decoder.layers.1.", "decoder.norm.")) for n in moved)


def test_in_float16_too():
    model, moved = classifier().astype("float32"), Moved()
    gradual(model, moved, fp16=True, warmup_steps=0).train()
    assert moved.some[:8] == [STAGES[step // 2] for step in range(8)]


def test_with_checkpoints_of_activations_it_is_the_same():
    plain, other = classifier(), classifier(gradient_checkpointing=True)
    for model in (plain, other):
        gradual(model).train()
    assert same(plain, other)


class Kill(Callback):
    """Ends the process, or this run of it, after a step."""

    def __init__(self, step: int, for_good: bool = False):
        self.step, self.for_good = step, for_good

    def on_step_end(self, trainer: Any) -> None:
        if trainer.state.step == self.step:
            if self.for_good:
                os.kill(os.getpid(), signal.SIGKILL)
            raise InterruptedError


def saved(folder: Path, *callbacks: Callback, **how: Any) -> Any:
    return gradual(classifier(), *callbacks, output_dir=str(folder), save_steps=1, **how)


HOWS: dict[str, dict[str, Any]] = {
    "rates by layer": {},
    "momentum": {"optim": "sgd", "optim_args": {"momentum": 0.9}},
}


@pytest.fixture(scope="module")
def unharmed() -> dict[str, Any]:
    """Runs that nobody killed."""
    runs = {name: gradual(classifier(), **how) for name, how in HOWS.items()}
    for run in runs.values():
        run.train()
    return runs


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("step", [2, 3, 4, 5, 8])
def test_a_run_that_was_killed_ends_with_the_same_bits(step, name, tmp_path, unharmed):
    """Killed where a layer has just thawed, where one is about to, and between."""
    whole, how = unharmed[name], HOWS[name]
    with pytest.raises(InterruptedError):
        saved(tmp_path / "killed", Kill(step), **how).train()
    moved = Moved()
    again = saved(tmp_path / "killed", moved, **how)
    again.train(resume_from_checkpoint=True)
    assert len(moved.some) == 9 - (step - 1)
    assert moved.some[0] - {HEAD} <= STAGES[min((step - 1) // 2, 3)]
    assert same(again.model, whole.model)
    states = [run.stepper.optimizer.state_dict()["state"] for run in (again, whole)]
    assert states[0].keys() == states[1].keys()
    assert all(same_moments(states[0][i], states[1][i]) for i in states[1])


def same_moments(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_a_process_that_was_killed_goes_on_in_another(tmp_path, unharmed):
    killed = (
        "from pathlib import Path; from tests.finetune.test_unfreezing import Kill, saved; "
        f"saved(Path({str(tmp_path / 'killed')!r}), Kill(5, True)).train()"
    )
    done = subprocess.run([sys.executable, "-c", killed], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    again = saved(tmp_path / "killed")
    again.train(resume_from_checkpoint=True)
    assert same(again.model, unharmed["rates by layer"].model)


def test_an_optimizer_that_lacks_a_layer_is_refused_and_nothing_is_frozen():
    model = classifier()
    head = optim.SGD(model.classifier.parameters(), lr=0.1)
    with pytest.raises(ValueError, match="the optimizer lacks 39 of the 41 parameters"):
        gradual(model, optimizer=head).train()
    assert all(p.requires_grad for p in model.parameters())


def test_another_every_is_told_when_a_run_goes_on(tmp_path):
    with pytest.raises(InterruptedError):
        saved(tmp_path, Kill(4)).train()
    with pytest.warns(UserWarning, match="every was 2 and is 3: the run will not end") as told:
        saved(tmp_path, every=3).train(resume_from_checkpoint=True)
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    ("every", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError)], ids=str
)
def test_every_is_a_number_of_steps(every, error):
    with pytest.raises(error, match="every"):
        GradualUnfreezing(every)
