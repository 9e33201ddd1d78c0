"""Tests of the diagnostics: what they see, what they find, and that they leave no trace."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.nn.common import Net, numbers, same_values, values
from tinygrad_llm import Tensor, diagnostics, grad, manual_seed, models, nn, no_grad
from tinygrad_llm import functional as F
from tinygrad_llm.backend import stream
from tinygrad_llm.diagnostics import Dead, dead_units, gradient_norms, overfit_one_batch, watch
from tinygrad_llm.testing import strict_cupy


def hooks(model):
    """How many forward hooks are on it."""
    return sum(len(module._forward_hooks) for module in model.modules())


# watch


def test_watch_sees_outputs_and_gradients_of_every_layer_in_every_pass():
    mlp = models.MLP([3, 4, 2], "tanh")
    x = [numbers(5, 3), numbers(6, 3, seed=1)]
    with watch(mlp) as seen:
        for each in x:
            F.sum(mlp(each) ** 2).backward()
    assert list(seen.activations) == list(seen.gradients) == ["layers.0", "layers.1", "layers.2"]
    for i, each in enumerate(x):
        z = mlp.layers[0](each)
        a = mlp.layers[1](z)
        y = mlp.layers[2](a)
        gradients = grad(F.sum(y**2), [z, a, y])
        for name, output, g in zip(seen.activations, (z, a, y), gradients):
            assert np.array_equal(seen.activations[name][i], output.data.reshape(-1))
            assert np.array_equal(seen.gradients[name][i], g.data.reshape(-1))
    assert all(len(passes) == 2 for passes in seen.gradients.values())


def test_watch_keeps_copies():
    model = nn.Sequential(nn.Linear(2, 2))
    with watch(model) as seen:
        y = model(numbers(1, 2))
    before = seen.activations["0"][0].copy()
    y.data[...] = 7.0
    assert np.array_equal(seen.activations["0"][0], before)


def test_a_backward_after_the_block_still_arrives():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with watch(model) as seen:
        y = model(numbers(3, 2))
    assert seen.gradients == {"0": [None], "1": [None]}
    y.backward(np.full((3, 2), 2.0))
    assert seen.gradients["1"][0].tolist() == [2.0] * 6


def test_without_a_tape_there_are_values_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.Tanh())
    with watch(model) as seen, no_grad():
        model(numbers(3, 2))
    assert seen.gradients["1"] == [None] and len(seen.activations["1"][0]) == 6


def test_a_model_that_is_one_layer_has_the_empty_name():
    layer = nn.Linear(2, 2)
    with watch(layer) as seen:
        layer(numbers(3, 2))
    assert list(seen.activations) == [""]


def test_a_module_that_holds_an_empty_sequential_is_no_layer():
    class Block(nn.Module):
        def __init__(self):
            self.shortcut = nn.Sequential()

        def forward(self, x):
            return self.shortcut(x) * 2.0

    model = nn.Sequential(Block())
    with watch(model) as seen:
        model(numbers(3))
    assert list(seen.activations) == ["0.shortcut"]
    assert list(dead_units(model, numbers(3, 2))) == ["0.shortcut"]


def test_watch_takes_its_hooks_off_also_after_an_error():
    net = Net()
    net.first.register_forward_hook(lambda *_: None)
    with watch(net):
        assert hooks(net) == 7
    assert hooks(net) == 1
    with pytest.raises(ZeroDivisionError), watch(net):
        raise ZeroDivisionError
    assert hooks(net) == 1
    with watch(net) as seen:
        pass
    net(numbers(2, 3))
    assert seen.activations == {}


def test_a_backward_after_the_block_changes_nothing_that_was_seen():
    """A layer that passes its input on gives the user's own tensor, which lives on."""
    model = nn.Sequential(nn.Identity(), nn.Linear(2, 2))
    x = Tensor(np.ones((1, 2), np.float32), requires_grad=True)
    with watch(model) as seen:
        F.sum(model(x)).backward()
    before = seen.gradients["0"][0].copy()
    F.sum(x * 7.0).backward()
    assert np.array_equal(seen.gradients["0"][0], before)


def test_watch_changes_no_bit_of_the_training():
    results = []
    for watched in (False, True):
        manual_seed(0)
        net = Net()
        if watched:
            with watch(net):
                net(numbers(4, 3)).sum().backward()
        else:
            net(numbers(4, 3)).sum().backward()
        results.append({n: p.grad.numpy() for n, p in net.named_parameters()})
    assert same_values(*results)


@pytest.mark.parametrize(
    ("size", "kept"), [(0, 0), (1, 1), (10_000, 10_000), (10_001, 5_001), (25_000, 8_334)]
)
def test_large_arrays_are_thinned_evenly(size, kept):
    model = nn.Sequential(nn.Identity())
    x = np.arange(size, dtype=np.float32)
    with watch(model) as seen:
        model(Tensor(x))
    found = seen.activations["0"][0]
    assert len(found) == kept <= diagnostics.MOST
    step = 1 if size <= 10_000 else -(-size // 10_000)
    assert np.array_equal(found, x[::step])


def test_outputs_that_are_no_floating_tensors_are_passed_over():
    class Gives(nn.Module):
        def __init__(self, output):
            self.output = output

        def forward(self, x):
            return self.output

    for output in (Tensor([1, 2]), (numbers(2), numbers(2)), 3.0, None):
        model = Gives(output)
        with watch(model) as seen:
            model(1.0)
        assert seen.activations == {} and seen.gradients == {}


def test_watch_on_a_device_keeps_arrays_of_the_host():
    with strict_cupy.installed():
        model = nn.Sequential(nn.Linear(2, 2)).to("cuda")
        with watch(model) as seen:
            F.sum(model(numbers(3, 2).to("cuda"))).backward()
        assert type(seen.activations["0"][0]) is type(seen.gradients["0"][0]) is np.ndarray


# gradient_norms


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_are_those_of_the_tensors(dtype):
    net = Net().astype(dtype).eval()
    F.sum(net(numbers(5, 3).astype(dtype)) ** 2).backward()
    norms = gradient_norms(net)
    assert list(norms) == [name for name, _ in net.named_parameters()]
    for name, p in net.named_parameters():
        exact = math.sqrt(math.fsum(float(v) ** 2 for v in p.grad.numpy().reshape(-1)))
        assert type(norms[name]) is float and norms[name] > 0
        assert math.isclose(norms[name], exact, rel_tol=1e-12)


def test_norms_of_large_and_half_precision_gradients_do_not_overflow():
    p = nn.Parameter(np.zeros(4), dtype="float16")
    p.grad = Tensor(np.full(4, 3e4), dtype="float16")
    model = nn.Sequential()
    model.p = p
    assert math.isclose(gradient_norms(model)["p"], 2 * float(np.float16(3e4)), rel_tol=1e-12)


def test_no_gradient_is_nan_and_none_at_all_is_an_error():
    net = Net().eval()
    message = "gradient_norms: there are no gradients: run backward first"
    for model in (net, nn.ReLU()):
        with pytest.raises(RuntimeError, match=message):
            gradient_norms(model)
    net.first.requires_grad_(False)
    net(numbers(2, 3)).sum().backward()
    norms = gradient_norms(net)
    assert {n for n, v in norms.items() if math.isnan(v)} == {n for n in norms if "first" in n}


# dead_units


def planted():
    """ReLU units 1 and 3 of five are never on, tanh unit 0 of three is always 1."""
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3), nn.Tanh(), nn.Dropout(0.5))
    manual_seed(0)
    nn.init.normal_(model[0].weight)
    nn.init.normal_(model[2].weight)
    model[0].bias.data[:] = [0, -1e6, 0, -1e6, 0]
    model[2].bias.data[:] = [1e6, 0, 0]
    return model


def test_planted_dead_units_are_found():
    found = dead_units(planted(), numbers(200, 4))
    assert list(found) == ["0", "1", "2", "3", "4"]
    assert found["1"] == Dead(dead=2, units=5) and found["3"] == Dead(1, 3)
    assert found["0"] == Dead(0, 5) and found["4"] == Dead(1, 3)


def test_more_axes_are_rows_too():
    found = dead_units(planted(), numbers(10, 20, 4))
    assert found["1"] == Dead(2, 5)


def test_a_unit_that_one_row_moves_is_alive_and_the_tolerance_counts():
    model = nn.Sequential(nn.ReLU())
    x = np.zeros((50, 2), np.float32)
    x[17, 1] = 1e-3
    assert dead_units(model, Tensor(x)) == {"0": Dead(1, 2)}
    assert dead_units(model, Tensor(x), tolerance=1e-2) == {"0": Dead(2, 2)}


def test_modes_gradients_streams_and_hooks_stay():
    model = planted()
    model[4].eval()
    modes = [m.training for m in model.modules()]
    before, position = values(model), stream("dropout").position
    dead_units(model, numbers(10, 4))
    assert [m.training for m in model.modules()] == modes == [True] * 5 + [False]
    assert hooks(model) == 0 and same_values(values(model), before)
    assert stream("dropout").position == position
    assert all(p.grad is None for p in model.parameters())


def test_modes_and_hooks_come_back_after_an_error():
    model = planted()
    for x in (numbers(10, 3), numbers(1, 4)):
        with pytest.raises(ValueError):
            dead_units(model, x)
        assert hooks(model) == 0 and all(m.training for m in model.modules())


@pytest.mark.parametrize("shape", [(1, 4), (4,), (0, 4)])
def test_one_row_tells_nothing(shape):
    with pytest.raises(ValueError, match="dead_units: give at least two rows"):
        dead_units(planted(), numbers(*shape))


def test_layers_that_give_no_single_tensor_are_passed_over():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    class First(nn.Module):
        def __init__(self):
            self.pair, self.relu = Pair(), nn.ReLU()

        def forward(self, x):
            return self.relu(self.pair(x)[0])

    assert dead_units(First(), numbers(50, 2)) == {"relu": Dead(0, 2)}


def test_a_layer_that_is_called_twice_is_dead_only_where_each_call_is():
    """One ReLU used twice must not hide, behind its last call, units that died in the first."""
    relu = nn.ReLU()
    model = nn.Sequential(nn.Linear(2, 3), relu, nn.Linear(3, 4), relu)
    model[0].bias.data[:] = -1e6
    found = dead_units(model, numbers(50, 2))
    assert any(each.units == 3 and each.dead == 3 for name, each in found.items() if name != "0")


def test_dead_units_on_a_device():
    with strict_cupy.installed():
        found = dead_units(planted().to("cuda"), numbers(200, 4).to("cuda"))
        assert found["1"] == Dead(2, 5)


# overfit_one_batch


def test_a_good_batch_is_learned_by_heart_and_the_model_stays():
    manual_seed(0)
    mlp = models.MLP([4, 32, 3])
    x, y = numbers(8, 4), [0, 1, 2, 0, 1, 2, 0, 1]
    mlp.layers[0].bias.requires_grad = False
    F.cross_entropy(mlp(x), y).backward()
    before, gradient = values(mlp), mlp.layers[0].weight.grad
    gradient_before = gradient.numpy().copy()
    losses = overfit_one_batch(mlp, lambda m: F.cross_entropy(m(x), y))
    assert len(losses) == 300 and losses[-1] < 1e-2 < 0.5 < losses[0]
    assert losses[0] == F.cross_entropy(mlp(x), y).item()
    assert same_values(values(mlp), before) and mlp.layers[0].weight.grad is gradient
    assert np.array_equal(gradient.numpy(), gradient_before)
    assert [p.requires_grad for p in mlp.parameters()] == [True, False, True, True]


def test_an_impossible_batch_is_not():
    manual_seed(0)
    mlp = models.MLP([4, 32, 2])
    x, y = Tensor(np.ones((4, 4), np.float32)), [0, 1, 0, 1]
    losses = overfit_one_batch(mlp, lambda m: F.cross_entropy(m(x), y))
    assert losses[-1] > 0.69


def test_steps_and_lr_are_those_of_adam():
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data[...] = 5.0
    losses = overfit_one_batch(layer, lambda m: (m.weight**2).sum(), steps=3, lr=1.0)
    assert losses[0] == 25.0 and math.isclose(losses[1], 16.0, rel_tol=1e-4) and len(losses) == 3
    assert overfit_one_batch(layer, lambda m: m.weight.sum(), steps=0) == []


def test_a_loss_that_is_not_finite_ends_it():
    layer, calls = nn.Linear(1, 1), []

    def loss(m):
        calls.append(1)
        return m.weight.sum() * (math.nan if len(calls) == 3 else 1.0)

    losses = overfit_one_batch(layer, loss)
    assert len(losses) == 3 and math.isnan(losses[-1]) and math.isfinite(losses[1])


def test_a_loss_that_does_not_depend_on_the_model_says_so():
    with pytest.raises(RuntimeError, match="nothing that requires a gradient"):
        overfit_one_batch(nn.Linear(1, 1), lambda m: Tensor(drawn(1)).sum())


def test_a_layer_of_nan_is_dead_and_one_without_units_has_none():
    model = nn.Sequential(nn.Linear(2, 0), nn.Linear(0, 3), nn.Tanh())
    model[1].bias.data[:] = np.nan
    assert dead_units(model, numbers(4, 2)) == {"0": Dead(0, 0), "1": Dead(3, 3), "2": Dead(3, 3)}


def test_a_loss_of_another_model_is_named():
    model, x = nn.Linear(2, 2), numbers(3, 2)
    with pytest.raises(RuntimeError, match="the loss must use the model that it is given"):
        overfit_one_batch(model, lambda _: F.cross_entropy(model(x), [0, 1, 1]))
