"""Tests of in_dtype: what computes in which dtype, that all comes back, and what float16 loses."""

from __future__ import annotations

import numpy as np
import pytest

from tests.nn.common import (
    NAMES,
    Net,
    Tied,
    attributes,
    held,
    numbers,
    same,
    same_values,
    values,
)
from tinygrad_llm import Tensor, checkpoint, data, manual_seed, models, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.nn.module import STAND_INS
from tinygrad_llm.testing import strict_cupy

# Within the block


def test_a_module_computes_in_the_dtype():
    net = Net().eval()
    x = numbers(5, 3)
    expected = net(x).numpy()
    with nn.in_dtype(net, "float16"):
        y = net(x.astype("float16"))
    assert y.dtype == np.float16
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-2)
    assert not np.array_equal(y.numpy(), expected)


def test_every_parameter_below_is_a_copy_on_the_tape():
    net = Net()
    with nn.in_dtype(net, "float16"):
        found = held(net)
    assert len(found) == len(NAMES)
    for copy, p in zip(found.values(), held(net).values(), strict=True):
        assert not isinstance(copy, nn.Parameter) and copy.requires_grad and not copy.is_leaf
        assert copy.dtype == np.float16 and np.array_equal(copy.data, p.data.astype(np.float16))


@pytest.mark.parametrize("inside", [False, True])
def test_gradients_come_to_the_parameters_in_their_own_dtype(inside):
    net, twin = Net().eval(), Net().eval()
    twin.load_state_dict(net.state_dict())
    x = numbers(5, 3)
    twin(x).sum().backward()
    with nn.in_dtype(net, "float16"):
        loss = net(x.astype("float16")).astype("float32").sum()
        if inside:
            loss.backward()
    if not inside:
        loss.backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert p.grad.dtype == p.dtype == np.float32
        np.testing.assert_allclose(p.grad.data, q.grad.data, rtol=2e-2, atol=2e-2)


def test_float64_gives_the_gradients_of_a_float64_module():
    net, twin = Net().eval(), Net().eval()
    twin.load_state_dict(net.state_dict())
    twin.astype("float64")
    x = numbers(5, 3).astype("float64")
    twin(x).sum().backward()
    with nn.in_dtype(net, np.float64):
        y = net(x)
    y.sum().backward()
    assert np.array_equal(y.data, twin(x).data)
    for p, q in zip(net.parameters(), twin.parameters()):
        np.testing.assert_array_equal(p.grad.data, q.grad.data.astype(np.float32))


def test_a_shared_parameter_is_copied_once_and_stays_shared():
    tied = Tied()
    x = numbers(2, 3).astype("float64")
    with nn.in_dtype(tied, "float64"):
        assert tied.a.weight is tied.b.weight is tied.again
        assert tied.a.weight.dtype == np.float64
        tied(x).sum().backward()
    weight = tied.a.weight
    assert isinstance(weight, nn.Parameter) and weight is tied.b.weight is tied.again
    twin = Tied()
    twin.load_state_dict(tied.state_dict())
    twin.astype("float64")(x).sum().backward()
    np.testing.assert_allclose(weight.grad.data, twin.a.weight.grad.data, rtol=1e-6)


def test_frozen_parameters_and_no_grad():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[0].requires_grad_(False)
    with nn.in_dtype(net, "float16"):
        assert net[0].weight.dtype == np.float16 and not net[0].weight.requires_grad
        net(numbers(3, 2).astype("float16")).sum().backward()
    assert net[0].weight.grad is None and net[1].weight.grad is not None
    with no_grad(), nn.in_dtype(net, "float16"):
        assert not net(numbers(3, 2).astype("float16")).requires_grad


def test_what_has_the_dtype_already_stays_itself():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).astype("float64"))
    first, second = net[0].weight, net[1].weight
    with nn.in_dtype(net, "float32"):
        assert net[0].weight is first and net[1].weight is not second
        assert net[1].weight.dtype == np.float32
    assert net[1].weight is second


def test_modules_without_parameters_take_part():
    with nn.in_dtype(nn.ReLU(), "float16"):
        pass
    net = nn.Sequential(nn.ReLU(), nn.Linear(2, 1), nn.Dropout(0.5))
    with nn.in_dtype(net, "float16"):
        assert net(numbers(3, 2).astype("float16")).dtype == np.float16


def test_parameters_and_states_are_the_same_inside():
    net = Net()
    before, weights = list(net.named_parameters()), values(net)
    new = {name: p.numpy() + 1.0 for name, p in before}
    with nn.in_dtype(net, "float16"):
        inside = list(net.named_parameters())
        assert [n for n, _ in inside] == NAMES
        assert all(p is q for (_, p), (_, q) in zip(inside, before, strict=True))
        state = net.state_dict()
        net.load_state_dict(new)
    assert same_values({n: t.numpy() for n, t in state.items()}, weights)
    assert same_values(values(net), new)


def test_a_part_of_a_module():
    net = Net()
    with nn.in_dtype(net.head, "float64"):
        assert net.head.weight.dtype == np.float64 and net.scale.dtype == np.float32
        assert [n for n, _ in net.named_parameters()] == NAMES


def test_no_module_gets_methods_or_attributes():
    net = Net()
    names = [list(vars(each)) for each in net.modules()]
    with nn.in_dtype(net, "float16"):
        assert [list(vars(each)) for each in net.modules()] == names


def test_one_block_for_the_batches_of_a_step():
    net, twin = Net().eval(), Net().eval()
    twin.load_state_dict(net.state_dict())
    batches = [numbers(4, 3, seed=i).astype("float16") for i in range(3)]
    with nn.in_dtype(net, "float16"):
        for x in batches:
            net(x).sum().backward(retain_graph=True)
    for x in batches:
        with nn.in_dtype(twin, "float16"):
            twin(x).sum().backward()
    for p, q in zip(net.parameters(), twin.parameters(), strict=True):
        assert np.array_equal(p.grad.data, q.grad.data)


# Afterwards


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_all_is_as_before_after_an_error_too(error):
    net = Net()
    before, weights = attributes(net), values(net)
    try:
        with nn.in_dtype(net, "float16"):
            if error:
                raise error
    except (ValueError, KeyboardInterrupt):
        assert error
    assert all(same(a, b) for a, b in zip(attributes(net), before, strict=True))
    assert same_values(values(net), weights)


def test_what_the_block_sets_stays():
    net = nn.Sequential(nn.Linear(2, 2))
    with nn.in_dtype(net, "float16"):
        net[0].bias = None
        mine = net[0].weight = nn.Parameter(np.ones((2, 2), np.float32))
        assert [n for n, _ in net.named_parameters()] == ["0.weight"]
    assert net[0].bias is None and net[0].weight is mine


def test_the_copies_are_not_kept():
    """They are the weights a second time: memory."""
    net = Net()
    with nn.in_dtype(net, "float16"):
        pass
    assert not STAND_INS
    assert all(isinstance(value, nn.Parameter) for value in held(net).values())


def test_another_block_sees_the_step_in_between():
    net = nn.Linear(1, 1, bias=False)
    net.weight.data[...] = 1.0
    x = Tensor(np.ones((1, 1), np.float16))
    outputs = []
    for _ in range(2):
        with nn.in_dtype(net, "float16"):
            outputs.append(net(x).item())
        net.weight.data[...] += 0.5
    assert outputs == [1.0, 1.5]


@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_a_dtype_that_is_not_floating_is_refused(dtype):
    net = Net()
    message = f"in_dtype: parameters are floating point numbers, not {dtype}"
    with pytest.raises(TypeError, match=message), nn.in_dtype(net, dtype):
        pass
    assert all(p.dtype == np.float32 for p in net.parameters())


def test_a_checkpoint_with_backward_in_the_block():
    net, twin = Net().eval(), Net().eval()
    twin.load_state_dict(net.state_dict())
    x = numbers(4, 3).astype("float16")
    with nn.in_dtype(net, "float16"):
        checkpoint(net, x).sum().backward()
    with nn.in_dtype(twin, "float16"):
        twin(x).sum().backward()
    for p, q in zip(net.parameters(), twin.parameters()):
        assert np.array_equal(p.grad.data, q.grad.data)


def test_a_checkpoint_with_backward_after_the_block_says_so():
    net = Net().eval()
    with nn.in_dtype(net, "float16"):
        loss = checkpoint(net, numbers(4, 3).astype("float16")).sum()
    with pytest.raises(TypeError, match="float16 and float32 do not mix"):
        loss.backward()


def test_on_a_device():
    net = Net().eval()
    x = numbers(4, 3).astype("float16")
    with nn.in_dtype(net, "float16"):
        expected = net(x)
    with strict_cupy.installed():
        there = Net().eval()
        there.load_state_dict(net.state_dict())
        there.to("cuda")
        with nn.in_dtype(there, "float16"), strict_cupy.count_synchronizations() as waits:
            y = there(x.to("cuda"))
            y.sum().backward()
        assert waits.total() == 0
        assert y.device == "cuda:0" and np.array_equal(y.numpy(), expected.data)
        assert all(p.grad.dtype == np.float32 for p in there.parameters())


# What float16 loses, and what loss scaling saves (S22)


def half_precision_gradients(net, x, labels, scale):
    """The gradients of a float16 pass with the loss multiplied by `scale`, in float32."""
    net.zero_grad()
    with nn.in_dtype(net, "float16"):
        loss = F.cross_entropy(net(x.astype("float16")).astype("float32"), labels)
    scaler = optim.GradScaler(scale)
    scaler.scale(loss).backward()
    scaler.unscale_(optim.SGD(net.parameters()))
    return np.concatenate([p.grad.numpy().reshape(-1) for p in net.parameters()])


def test_loss_scaling_saves_gradients_that_float16_rounds_to_zero():
    """Twelve sigmoid layers make gradients small: without a scale more than a quarter of them is
    exactly 0, with it a hundred times fewer; float32 has none."""
    manual_seed(0)
    net = models.MLP([16] * 13 + [4], "sigmoid")
    x, labels = numbers(256, 16), np.arange(256) % 4
    before = values(net)
    plain, scaled = (half_precision_gradients(net, x, labels, s) for s in (1.0, 65536.0))
    net.zero_grad()
    F.cross_entropy(net(x), labels).backward()
    exact = np.concatenate([p.grad.numpy().reshape(-1) for p in net.parameters()])
    zeros = [float((g == 0.0).mean()) for g in (plain, scaled, exact)]
    assert zeros[0] > 0.25 and zeros[1] < zeros[0] / 100 and zeros[2] == 0.0
    lost = plain == 0.0
    assert np.linalg.norm(scaled[lost] - exact[lost]) < 0.05 * np.linalg.norm(exact[lost])
    assert same_values(values(net), before)


def test_a_scale_that_is_too_large_finds_its_size():
    """float16 overflows in backward, of which NumPy warns: those steps are left out."""
    net = nn.Linear(3, 4)
    optimizer, scaler = optim.SGD(net.parameters(), lr=0.1), optim.GradScaler(2.0**24)
    x, labels = numbers(8, 3), np.arange(8) % 4
    before, made = values(net), []
    while not any(made):
        optimizer.zero_grad()
        with nn.in_dtype(net, "float16"):
            loss = F.cross_entropy(net(x.astype("float16")).astype("float32"), labels)
        with np.errstate(over="ignore", invalid="ignore"):
            scaler.scale(loss).backward()
        assert same_values(values(net), before)
        made.append(scaler.step(optimizer))
        scaler.update()
    assert len(made) > 3 and scaler.get_scale() == 2.0 ** (25 - len(made))
    assert all(np.isfinite(p.data).all() for p in net.parameters())
    assert not same_values(values(net), before)


def trained_on_digits(half):
    """Share of right answers on digits that were not trained on."""
    manual_seed(0)
    images, labels = data.load_digits()
    order = np.random.default_rng(0).permutation(len(labels))
    images, labels = images[order], labels[order]
    net, scaler = models.MLP([64, 32, 10]), optim.GradScaler()
    optimizer = optim.Adam(net.parameters(), lr=0.01)
    for step in range(150):
        rows = np.random.default_rng(step).integers(0, 900, 64)
        optimizer.zero_grad()
        if half:
            with nn.in_dtype(net, "float16"):
                logits = net(Tensor(images[rows]).astype("float16")).astype("float32")
        else:
            logits = net(images[rows])
        scaler.scale(F.cross_entropy(logits, labels[rows])).backward()
        scaler.step(optimizer)
        scaler.update()
    assert all(p.dtype == np.float32 for p in net.parameters())
    return float((net(images[900:]).argmax(axis=1).numpy() == labels[900:]).mean())


def test_half_precision_learns_the_digits_as_well():
    """Within half a percentage point of float32."""
    half, single = trained_on_digits(True), trained_on_digits(False)
    assert single > 0.94 and abs(half - single) <= 0.005


def test_steps_that_float16_would_round_away_are_kept():
    """1 + 2⁻¹² is 1 in float16: a thousand such steps would lead nowhere."""
    net = nn.Linear(1, 1, bias=False)
    net.weight.data[...] = 1.0
    optimizer = optim.SGD(net.parameters(), lr=2.0**-12)
    x = Tensor(np.full((1, 1), -1.0, np.float16))
    for _ in range(1024):
        optimizer.zero_grad()
        with nn.in_dtype(net, "float16"):
            y = net(x)
        y.sum().backward()
        optimizer.step()
    assert net.weight.item() == 1.25
