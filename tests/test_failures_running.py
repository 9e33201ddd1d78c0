"""Claims of the page for failures on runs: time, memory, chance, missing and wrong gradients."""

from __future__ import annotations

import gc
import re
import weakref

import numpy as np
import pytest

from tests.planting import digits, loss_on, norms_of
from tinygrad_llm import (
    Tensor,
    checkpoint,
    diagnostics,
    manual_seed,
    models,
    nn,
    no_grad,
    plot,
    randn,
    testing,
)
from tinygrad_llm import functional as F
from tinygrad_llm.ops import OPS, Op
from tinygrad_llm.tensor import apply


@pytest.fixture
def batch():
    return digits()


# Evaluation


def test_without_eval_every_pass_gives_another_answer(batch):
    model = models.MLP([64, 32, 10], dropout=0.5)
    assert not np.array_equal(model(batch[0]).numpy(), model(batch[0]).numpy())
    model.eval()
    assert np.array_equal(model(batch[0]).numpy(), model(batch[0]).numpy())
    assert model.train().training and model.layers[2].training


# Slow


def test_64_calls_with_one_row_are_64_times_the_ops_of_one_call(batch):
    model = models.MLP([64, 32, 10])
    whole = plot.tape(model(batch[0]).sum())
    rows = plot.tape(F.stack([model(row) for row in batch[0]]).sum())
    ops, many = (sum(node.op is not None for node in tape) - 1 for tape in (whole, rows))
    assert many == 64 * ops + 1  # and the stack


def test_summary_tells_shapes_parameters_memory_and_time(batch):
    table = models.MLP([64, 32, 10]).summary(batch[0])
    assert "(64, 10)" in table and "2,410 parameters" in table
    assert re.search(r"activations [\d.]+ KiB for backward,\nforward and backward [\d.]+ ms", table)


def test_a_frozen_layer_gets_no_gradient(batch):
    model = models.MLP([64, 32, 10])
    model.layers[0].requires_grad_(False)
    assert np.isnan(norms_of(model, batch)["layers.0.weight"])


def test_float64_takes_twice_the_memory_and_does_not_mix(batch):
    model = models.MLP([64, 32, 10])
    with pytest.raises(TypeError, match=r"float64 and float32 do not mix: convert one of them"):
        model(Tensor(batch[0].astype(np.float64)))
    size = sum(p.data.nbytes for p in model.parameters())
    assert sum(p.data.nbytes for p in model.astype("float64").parameters()) == 2 * size


# Memory


@pytest.mark.parametrize("number", [lambda loss: loss, lambda loss: loss.item()])
def test_a_sum_of_losses_keeps_their_tapes_and_a_sum_of_numbers_does_not(batch, number):
    model, total, tapes = models.MLP([64, 32, 10]), 0.0, []
    for _ in range(3):
        loss = loss_on(batch)(model)
        tapes.append(weakref.ref(loss._edge[0]))
        total = total + number(loss)
    del loss
    gc.collect()
    alive = [tape() is not None for tape in tapes]
    kept = isinstance(total, Tensor)
    assert alive == [kept] * 3
    assert not kept or total.requires_grad


def test_under_no_grad_there_is_no_tape(batch):
    model = models.MLP([64, 32, 10])
    assert loss_on(batch)(model).requires_grad
    with no_grad():
        assert not loss_on(batch)(model).requires_grad


def activations(model, x):
    """The bytes that `summary` says are saved for backward."""
    number, unit = re.search(r"activations ([\d.]+) (\w+) for", model.summary(x)).groups()
    return float(number) * {"B": 1, "KiB": 1024, "MiB": 1024**2}[unit]


def test_summary_shows_that_activations_grow_with_the_rows(batch):
    model = models.MLP([64, 32, 10])
    assert activations(model, batch[0]) > 3 * activations(model, batch[0][:8].copy())


def test_two_halves_with_half_the_loss_give_the_gradient_of_the_whole(batch):
    x, y = batch
    model = models.MLP([64, 32, 10])
    whole = norms_of(model, batch)
    model.zero_grad()
    for part in (slice(0, 32), slice(32, 64)):
        (F.cross_entropy(model(x[part]), y[part]) / 2).backward()
    assert diagnostics.gradient_norms(model) == pytest.approx(whole, rel=1e-4)


def test_a_checkpoint_saves_less_for_backward(batch):
    class Checkpointed(nn.Module):
        def __init__(self):
            self.inner = models.MLP([64, 32, 10])

        def forward(self, x):
            return checkpoint(self.inner, x)

    model = Checkpointed()
    assert activations(model, batch[0]) < activations(model.inner, batch[0])
    through = norms_of(model, batch)["inner.layers.0.weight"]
    model.zero_grad()
    assert norms_of(model.inner, batch)["layers.0.weight"] == pytest.approx(through)


# Runs that differ


def test_manual_seed_makes_two_runs_equal_and_without_it_the_second_goes_on(batch):
    def run():
        model = models.MLP([64, 32, 10], dropout=0.2)
        return diagnostics.overfit_one_batch(model, loss_on(batch), steps=5)

    manual_seed(1)
    first, second = run(), run()
    manual_seed(1)
    assert run() == first != second


def test_numpy_has_a_seed_of_its_own():
    manual_seed(1)
    first = np.random.default_rng().random()
    manual_seed(1)
    assert np.random.default_rng().random() != first


# No gradient


def test_gradient_norms_raises_when_nothing_has_a_gradient(batch):
    model = models.MLP([64, 32, 10])
    with pytest.raises(RuntimeError, match="there are no gradients: run backward first"):
        diagnostics.gradient_norms(model)
    loss_on(batch)(model).backward()
    model.zero_grad()
    with pytest.raises(RuntimeError, match="there are no gradients: run backward first"):
        diagnostics.gradient_norms(model)


@pytest.mark.parametrize(
    "leave", [Tensor.detach, lambda y: Tensor(y.data), lambda y: Tensor(y.numpy())]
)
def test_a_loss_that_left_the_tape_says_so(batch, leave):
    x, y = batch
    loss = F.cross_entropy(leave(models.MLP([64, 32, 10])(x)), y)
    assert not loss.requires_grad
    with pytest.raises(RuntimeError, match="computed from nothing that requires a gradient"):
        loss.backward()


class Forgetful(nn.Module):
    """One tensor is no Parameter, one parameter is never used."""

    def __init__(self):
        self.weight = randn(64, 10, requires_grad=True)
        self.unused = nn.Parameter(np.zeros(10, np.float32))
        self.bias = nn.Parameter(np.zeros(10, np.float32))

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


def test_a_plain_tensor_is_no_parameter_and_what_is_not_used_has_no_gradient(batch):
    model = Forgetful()
    norms = norms_of(model, batch)
    assert set(norms) == {"unused", "bias"} and np.isnan(norms["unused"])
    assert model.weight.grad is not None


def test_modules_in_a_list_are_refused_with_the_mend():
    model = nn.Module()
    model.layers = [nn.Linear(2, 2)]
    with pytest.raises(TypeError, match="use ModuleList"):
        list(model.parameters())


def test_a_computed_tensor_keeps_its_gradient_only_when_asked(batch):
    model = models.MLP([64, 32, 10])
    for asked in (False, True):
        logits = model(batch[0])
        if asked:
            logits.retain_grad()
        F.cross_entropy(logits, batch[1]).backward()
        assert (logits.grad is not None) == asked


# A backward of one's own


def test_gradcheck_says_that_a_backward_is_wrong_though_it_learns(batch):
    known = dict(OPS)

    class Halved(Op):
        """tanh, with half of its gradient."""

        @staticmethod
        def forward(xp, x):
            y = xp.tanh(x)
            return y, (y,)

        @staticmethod
        def backward(xp, g, saved, needs):
            (y,) = saved
            dx = g * (1.0 - y * y) * 0.5
            return dx

    try:

        class Wrong(nn.Module):
            def __init__(self):
                self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

            def forward(self, x):
                return self.last(apply(Halved, self.first(x)))

        assert diagnostics.overfit_one_batch(Wrong(), loss_on(batch))[-1] < 0.02
        a = randn(2, 3, dtype="float64", requires_grad=True)
        with pytest.raises(testing.GradientError, match=r"input 0.*"):
            testing.gradcheck(lambda a: apply(Halved, a), a)
    finally:
        OPS.clear()
        OPS.update(known)
