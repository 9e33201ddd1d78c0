"""Tests of surfaces: the loss around parameters."""

from __future__ import annotations

import re
import signal

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.plot.drawn import draw, legend, points
from tinygrad_llm import Tensor, manual_seed, plot
from tinygrad_llm import functional as F
from tinygrad_llm.testing import strict_cupy

pytestmark = pytest.mark.usefixtures("plain")


@pytest.fixture
def bowl():
    """Parameters in two tensors, and the loss 1·a² + 4·b² + 9·c²."""
    parameters = [
        Tensor(np.array([[1.0, 2.0]], np.float32), requires_grad=True),
        Tensor(np.array([3.0], np.float32), requires_grad=True),
    ]
    scale = Tensor(np.array([[1.0, 4.0]], np.float32))

    def loss():
        ab, c = parameters
        return (scale * ab * ab).sum() + 9.0 * (c * c).sum()

    return loss, parameters


AXES = [[np.array([[1.0, 0.0]]), np.array([0.0])], [np.array([[0.0, 0.0]]), np.array([2.0])]]


def test_surface_values_are_the_loss_at_each_point(bowl):
    span = ((-1.0, 1.0), (0.0, 3.0))
    surface = plot.surface_values(*bowl, directions=AXES, span=span, points=4)
    assert surface.x == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    assert surface.y == pytest.approx([0, 1, 2, 3])
    a, c = np.meshgrid(1 + surface.x, 3 + 2 * surface.y)
    assert surface.values == pytest.approx(a**2 + 16 + 9 * c**2, rel=1e-6)
    assert surface.path is None and surface.shares is None


def path_of(bowl, rate=0.02, steps=20):
    loss, parameters = bowl
    path = [[p.numpy().copy() for p in parameters]]
    for _ in range(steps):
        loss().backward()
        for p in parameters:
            p.data -= rate * p.grad.data
            p.grad = None
        path.append([p.numpy().copy() for p in parameters])
    return path


def flat(snapshot):
    return np.concatenate([np.ravel(array) for array in snapshot]).astype(float)


def test_the_plane_of_a_path_goes_through_its_end_along_its_principal_directions(bowl):
    path = path_of(bowl)
    surface = plot.surface_values(*bowl, path=path, points=5)
    steps = np.stack([flat(s) for s in path]) - flat(path[-1])
    sizes = np.linalg.svd(steps, compute_uv=False)
    assert surface.path[-1] == pytest.approx([0, 0], abs=1e-12)
    assert (surface.path**2).sum(axis=0) == pytest.approx(sizes[:2] ** 2)
    assert surface.shares == pytest.approx(sizes[:2] ** 2 / (sizes**2).sum())
    for ends, values in zip(
        ((surface.x[0], surface.x[-1]), (surface.y[0], surface.y[-1])), surface.path.T
    ):
        assert ends[0] < values.min() and values.max() < ends[1]


def test_the_middle_of_the_surface_is_the_end_of_the_path_exactly(bowl):
    path = path_of(bowl)
    for p in bowl[1]:
        p.data[...] = 77.0
    surface = plot.surface_values(*bowl, path=path, span=((-1, 1), (-1, 1)), points=3)
    for p, end in zip(bowl[1], path[-1]):
        p.data[...] = end
    assert surface.values[1, 1] == bowl[0]().item()


def test_a_path_is_projected_onto_given_directions(bowl):
    path = [[np.array([[4.0, 7.0]]), np.array([5.0])], [np.array([[1.0, 2.0]]), np.array([3.0])]]
    surface = plot.surface_values(*bowl, directions=AXES, path=path, points=3)
    assert surface.path == pytest.approx(np.array([[3.0, 1.0], [0.0, 0.0]]))
    assert surface.shares == pytest.approx([9 / 38, 4 / 38])


def test_a_straight_path_gets_a_second_direction_at_right_angles(bowl):
    start = [np.array([[4.0, 2.0]]), np.array([3.0])]
    end = [np.array([[1.0, 2.0]]), np.array([3.0])]
    surface = plot.surface_values(*bowl, path=[start, end], points=3)
    assert np.abs(surface.path) == pytest.approx(np.array([[3.0, 0.0], [0.0, 0.0]]), abs=1e-9)
    assert surface.shares == pytest.approx([1.0, 0.0], abs=1e-12)
    assert surface.y[0] < 0 < surface.y[-1]


def test_a_path_across_the_given_directions_still_has_a_surface(bowl):
    path = [[np.array([[1.0, 7.0]]), np.array([3.0])], [np.array([[1.0, 2.0]]), np.array([3.0])]]
    figure = draw(plot.loss_surface(*bowl, directions=AXES, path=path, points=3))
    assert figure.axes[0].get_xlim() == (-1.0, 1.0)
    assert figure.axes[0].get_xlabel() == "direction 1 (0 % of the path)"


def test_random_directions_have_filters_as_long_as_the_parameters():
    shapes = [(5, 3), (3,), (2, 4, 2, 2), (4,)]
    generator = np.random.default_rng(0)
    parameters = [Tensor(generator.normal(size=s), requires_grad=True) for s in shapes]
    parameters[3].data[...] = 0.0
    seen = []

    def loss():
        seen.append([p.numpy().copy() for p in parameters])
        return parameters[0].sum()

    manual_seed(3)
    plot.surface_values(loss, parameters, span=((0, 1), (0, 1)), points=2)
    before, along_x, along_y = seen[0], seen[1], seen[2]
    axes = [0, None, (1, 2, 3), None]
    for moved in (along_x, along_y):
        for w, v, axis in zip(before, moved, axes):
            lengths = [np.sqrt(np.sum(each**2, axis=axis)) for each in (w, v - w)]
            assert lengths[1] == pytest.approx(lengths[0])
    assert not np.allclose(along_x[0], along_y[0])
    manual_seed(3)
    plot.surface_values(loss, parameters, span=((0, 1), (0, 1)), points=2)
    assert all((a == b).all() for a, b in zip(along_x, seen[5]))


def bits(parameters):
    return [p.numpy().tobytes() for p in parameters]


def test_the_parameters_have_their_bits_and_their_memory_afterwards(bowl):
    loss, parameters = bowl
    parameters[0].data[0, 0] = np.float32(0.1)
    before, memory = bits(parameters), [p.data for p in parameters]
    plot.loss_surface(loss, parameters, points=3)
    assert bits(parameters) == before
    assert all(p.data is array for p, array in zip(parameters, memory))
    assert all(p.grad is None for p in parameters)


def interrupted(error):
    def end():
        if error is KeyboardInterrupt:
            signal.raise_signal(signal.SIGINT)
        raise error

    return end


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_parameters_are_put_back_when_the_loss_ends_otherwise(bowl, error):
    _, parameters = bowl
    before = bits(parameters)
    with pytest.raises(error):
        plot.loss_surface(interrupted(error), parameters, points=3)
    assert bits(parameters) == before
    assert not plt.get_fignums()


def test_the_surface_leaves_no_tape(bowl):
    kept = []
    plot.surface_values(lambda: kept.append(bowl[0]()) or kept[-1], bowl[1], points=2)
    assert not any(loss.requires_grad for loss in kept)


def test_loss_surface_draws_the_path_with_its_ends_and_shares(bowl):
    path = path_of(bowl)
    figure = draw(plot.loss_surface(*bowl, path=path, points=5))
    surface = plot.surface_values(*bowl, path=path, points=5)
    _, way, start, end = figure.axes[0].lines
    assert np.stack(way.get_data(), axis=1) == pytest.approx(surface.path)
    assert points(start) == [surface.path[0].tolist()] and points(end) == [
        surface.path[-1].tolist()
    ]
    assert legend(figure) == ["path", "start", "end"]
    share = float(re.search(r"\(([\d.]+) % of the path\)", figure.axes[0].get_xlabel())[1])
    assert share == pytest.approx(100 * surface.shares[0], rel=5e-3)


def test_loss_surface_of_flat_steep_and_partly_lost_losses_is_a_picture(bowl):
    _, parameters = bowl
    x = parameters[0]
    draw(plot.loss_surface(lambda: 0.0 * x.sum() + 3.0, parameters, points=3))
    draw(plot.loss_surface(lambda: 0.0 * x.sum(), parameters, points=3))
    draw(plot.loss_surface(lambda: F.exp(30.0 * x).sum(), parameters, points=5))
    draw(plot.loss_surface(lambda: F.log(x).sum(), parameters, span=((-4, 4), (-4, 4)), points=9))
    with pytest.raises(ValueError, match="nowhere finite"):
        plot.loss_surface(lambda: x.sum() * np.nan, parameters, points=3)


def test_the_surface_of_parameters_on_a_device(bowl):
    expected = plot.surface_values(*bowl, directions=AXES, points=3).values
    with strict_cupy.installed():
        a, c = (p.to("cuda") for p in (each.detach() for each in bowl[1]))
        scale = Tensor(np.array([[1.0, 4.0]], np.float32), device="cuda")
        values = plot.surface_values(
            lambda: (scale * a * a).sum() + 9.0 * (c * c).sum(), [a, c], AXES, points=3
        ).values
        assert values == pytest.approx(expected)
        assert (a.numpy().tolist(), c.numpy().tolist()) == ([[1.0, 2.0]], [3.0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": AXES[:1]}, "two are needed, not 1"),
        ({"directions": [AXES[0], AXES[0]]}, "lie on one line"),
        ({"directions": [AXES[0], [np.ones(2), np.ones(1)]]}, r"directions\[1\]: arrays of the"),
        ({"path": [AXES[0], AXES[0]]}, "path: it does not move"),
        ({"path": [AXES[0], [np.full((1, 2), np.nan), np.ones(1)]]}, r"path\[1\]: NaN"),
        ({"path": [AXES[0][:1]]}, r"path\[0\]: arrays of the shapes"),
        ({"path": []}, "path: it does not move"),
        ({"path": [AXES[0]], "directions": AXES}, "path: it does not move"),
        ({"points": 1}, "points = 1: at least 2"),
    ],
)
def test_surface_values_refuse(bowl, options, message):
    with pytest.raises(ValueError, match=message):
        plot.surface_values(*bowl, **options)


def test_surface_values_refuse_what_is_no_loss_and_no_parameter(bowl):
    loss, parameters = bowl
    with pytest.raises(ValueError, match="a Tensor with one number"):
        plot.surface_values(lambda: parameters[0] * 1.0, parameters)
    with pytest.raises(ValueError, match="a Tensor with one number"):
        plot.surface_values(lambda: 3.0, parameters)
    with pytest.raises(TypeError, match=r"parameters\[0\]: a Tensor of floating dtype"):
        plot.surface_values(loss, [Tensor([1, 2])])
    with pytest.raises(ValueError, match="at least two numbers"):
        plot.surface_values(loss, parameters[1:])
