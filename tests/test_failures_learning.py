"""Claims of the page for failures on losses (flat, NaN, jumping): each is planted, and seen."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest

from tests.planting import digits, loss_on, norms_of
from tinygrad_llm import (
    Tensor,
    detect_anomaly,
    diagnostics,
    manual_seed,
    models,
    nn,
    optim,
    plot,
)
from tinygrad_llm import functional as F


@pytest.fixture
def batch():
    return digits()


@pytest.fixture(autouse=True)
def agg():
    """Figures are drawn without a display, and closed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


# The loss stays flat


def test_a_softmax_before_the_loss_cannot_learn_a_batch_by_heart(batch):
    right = models.MLP([64, 32, 10])
    wrong = nn.Sequential(models.MLP([64, 32, 10]), nn.Softmax())
    assert diagnostics.overfit_one_batch(right, loss_on(batch))[-1] < 0.02
    assert diagnostics.overfit_one_batch(wrong, loss_on(batch))[-1] > 1.46
    floor = F.cross_entropy(np.eye(10, dtype=np.float32), np.arange(10)).item()
    assert floor == pytest.approx(1.4612, abs=1e-3)


def test_the_first_loss_is_about_ln_v_and_weights_that_are_too_large_show_in_it(batch):
    model = models.MLP([64, 32, 10])
    assert loss_on(batch)(model).item() == pytest.approx(np.log(10), abs=0.7)
    for parameter in model.parameters():
        parameter.data *= 5.0
    assert loss_on(batch)(model).item() > 5.0


def test_wrong_labels_are_learned_by_heart_too(batch):
    x, y = batch
    wrong = np.random.default_rng(0).permutation(y)
    losses = diagnostics.overfit_one_batch(models.MLP([64, 32, 10]), loss_on((x, wrong)))
    assert (wrong != y).mean() > 0.5 and losses[-1] < 0.02


class Detaching(nn.Module):
    """Its first layer is off the tape."""

    def __init__(self):
        self.first, self.last = nn.Linear(64, 32), nn.Linear(32, 10)

    def forward(self, x):
        return self.last(F.relu(self.first(x).detach()))


def test_gradient_norms_has_nan_where_the_loss_does_not_reach(batch):
    norms = norms_of(Detaching(), batch)
    assert np.isnan([norms["first.weight"], norms["first.bias"]]).all()
    assert norms["last.weight"] > 0.0


def test_gradient_norms_is_0_behind_weights_of_0(batch):
    model = models.MLP([64, 32, 10])
    nn.init.zeros_(model.layers[2].weight)
    norms = norms_of(model, batch)
    assert norms["layers.0.weight"] == 0.0 < norms["layers.2.weight"]


def test_a_model_of_zeros_never_learns(batch):
    model = models.MLP([64, 32, 10])
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        norms = norms_of(model, batch)
        optimizer.step()
    assert norms["layers.0.weight"] == norms["layers.2.weight"] == 0.0 < norms["layers.2.bias"]
    assert diagnostics.overfit_one_batch(model, loss_on(batch))[-1] > 2.0


def test_dead_units_finds_a_relu_with_a_bias_far_below_0(batch):
    model = models.MLP([64, 32, 10])
    model.layers[0].bias.data[...] = -100.0
    assert diagnostics.dead_units(model, batch[0])["layers.1"] == (32, 32)
    assert norms_of(model, batch)["layers.0.weight"] == 0.0
    assert diagnostics.overfit_one_batch(model, loss_on(batch))[-1] > 2.0


def test_dead_units_finds_a_tanh_that_is_1_everywhere(batch):
    model = models.MLP([64, 32, 10], activation="tanh")
    model.layers[0].bias.data[...] = 100.0
    assert diagnostics.dead_units(model, batch[0])["layers.1"] == (32, 32)


def test_a_rate_that_is_too_large_for_one_step_kills(batch):
    model = models.MLP([64, 32, 10])
    optimizer = optim.SGD(model.parameters(), lr=1e3)
    for _ in range(3):
        optimizer.zero_grad()
        loss_on(batch)(model).backward()
        optimizer.step()
    dead, units = diagnostics.dead_units(model, batch[0])["layers.1"]
    assert dead > units / 2
    assert all(np.isfinite(loss_on(batch)(model).item()) for _ in range(2))


def test_an_optimizer_of_another_model_moves_nothing(batch):
    old, model = models.MLP([64, 32, 10]), models.MLP([64, 32, 10])
    optimizer = optim.Adam(old.parameters())
    before = model.state_dict()
    loss_on(batch)(model).backward()
    optimizer.step()
    assert all(np.array_equal(p.data, before[name].data) for name, p in model.named_parameters())


# NaN


def test_with_nan_in_the_data_detect_anomaly_names_an_op_that_is_not_to_blame(batch):
    x, y = batch[0].copy(), batch[1]
    x[0, 0] = np.nan
    assert not np.isfinite(x).all()
    with detect_anomaly():
        loss = F.cross_entropy(models.MLP([64, 32, 10])(x), y)
        with pytest.raises(FloatingPointError, match="crossentropy made a NaN"):
            loss.backward()


def test_detect_anomaly_names_the_op_and_the_line_of_a_logarithm_by_hand():
    logits = Tensor([[0.0, 200.0]], requires_grad=True)
    target = np.array([[0.0, 1.0]], np.float32)
    with (
        np.errstate(all="ignore"),
        detect_anomaly(),
        pytest.raises(FloatingPointError, match=r"multiply made a NaN, called at .*test_failures"),
    ):
        _ = F.log(F.softmax(logits)) * target
    assert F.cross_entropy(logits, [1]).item() == 0.0
    assert np.isfinite(F.log_softmax(logits).numpy()).all()
    assert np.isfinite(F.binary_cross_entropy_with_logits(logits, target).item())


def descend(batch, loss, widths):
    """The losses of ten steps of SGD with a rate of 1000."""
    model = models.MLP(widths)
    optimizer = optim.SGD(model.parameters(), lr=1e3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        value = loss(model)
        losses.append(value.item())
        value.backward()
        optimizer.step()
    return losses


def test_a_rate_of_1000_overflows_with_a_squared_error_and_detect_anomaly_sees_it(batch):
    x, y = batch[0], batch[1].astype(np.float32)

    def squared(model):
        return F.mse_loss(model(x)[:, 0], y)

    with np.errstate(all="ignore"):
        losses = descend(batch, squared, [64, 32, 1])
        assert np.isinf(losses).any() and np.isnan(losses[-1])
        manual_seed(0)
        with detect_anomaly(), pytest.raises(FloatingPointError, match="made a NaN"):
            descend(batch, squared, [64, 32, 1])


def test_a_rate_of_1000_leaves_cross_entropy_finite_and_large(batch):
    losses = descend(batch, loss_on(batch), [64, 32, 10])
    assert np.isfinite(losses).all() and min(losses[1:]) > 10 * losses[0]


# Jumps


def test_without_zero_grad_the_norm_doubles(batch):
    model = models.MLP([64, 32, 10])
    once, twice = norms_of(model, batch), norms_of(model, batch)
    assert twice == pytest.approx({name: 2 * norm for name, norm in once.items()}, rel=1e-5)
    optim.SGD(model.parameters()).zero_grad()
    assert norms_of(model, batch) == pytest.approx(once, rel=1e-5)


def test_gradient_norms_and_the_figure_show_which_layers_explode(batch):
    model = models.MLP([64, *[32] * 6, 10])
    well = norms_of(model, batch)["layers.0.weight"]
    for layer in model.layers:
        if isinstance(layer, nn.Linear):
            layer.weight.data *= 4.0
    model.zero_grad()
    norms = norms_of(model, batch)
    assert norms["layers.0.weight"] > 1000 * well
    figure = plot.gradient_flow({name: [norm] * 3 for name, norm in norms.items()}, "Norms")
    assert figure.axes[0].get_yscale() == "log"


def test_watch_shows_a_tanh_that_is_saturated(batch):
    shares = []
    for factor in (1.0, 30.0):
        model = models.MLP([64, 32, 10], activation="tanh")
        model.layers[0].weight.data *= factor
        with diagnostics.watch(model) as seen:
            loss_on(batch)(model).backward()
        (activations,), (gradients,) = seen.activations["layers.1"], seen.gradients["layers.0"]
        shares.append(((abs(activations) > 0.99).mean(), (abs(gradients) < 1e-6).mean()))
    assert shares[0][0] < 0.1 and shares[1][0] > 0.5
    assert shares[0][1] < shares[1][1]
