"""The surface of a model's loss in two directions: its numbers and its picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from operator import setitem
from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm.backend import device_of, put, stream
from tinygrad_llm.graph import no_grad
from tinygrad_llm.plot.fonts import advice, readable
from tinygrad_llm.plot.style import COLOURS, footnote, look, percent
from tinygrad_llm.plot.values import Numbers, floats
from tinygrad_llm.tensor import Tensor

Span = Sequence[tuple[float, float]]
"""((x low, x high), (y low, y high))."""

LEVELS = 14


class Surface(NamedTuple):
    """A loss in two directions: values[j, i] is the loss at centre + x[i] d0 + y[j] d1.

    x, y: (points,); values: (points, points); path: (steps, 2) or None, in the same coordinates;
    shares: (2,) or None, how much of the path's squared distance from its end lies along each.
    """

    x: np.ndarray
    y: np.ndarray
    values: np.ndarray
    path: np.ndarray | None
    shares: np.ndarray | None


def surface_values(
    loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    directions: Sequence[Sequence[Numbers]] | None = None,
    path: Sequence[Sequence[Numbers]] | None = None,
    span: Span | None = None,
    points: int = 25,
) -> Surface:
    """The numbers of `loss_surface`, which explains the arguments: points * points losses."""
    parameters = _checked(parameters, points)
    centre = _flat([p.data for p in parameters], parameters, "parameters")
    steps = None
    if path is not None:
        centre, steps = _steps(path, parameters)
    if directions is not None:
        plane = _given(directions, parameters)
    elif steps is not None:
        plane = _principal(steps)
    else:
        plane = _filter_normalized(parameters)
    way = None if steps is None else np.linalg.lstsq(plane.T, steps.T)[0].T
    x, y = (np.linspace(low, high, points) for low, high in span or _span(way))
    values = _losses(loss, parameters, centre, plane, x, y)
    return Surface(x, y, values, way, None if steps is None else _shares(steps, plane))


def _checked(parameters: Sequence[Tensor], points: int) -> list[Tensor]:
    parameters = list(parameters)
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor) or parameter.dtype.kind != "f":
            raise TypeError(f"parameters[{i}]: a Tensor of floating dtype is needed")
    if sum(p.data.size for p in parameters) < 2:
        raise ValueError("a surface needs parameters with at least two numbers")
    if points < 2:
        raise ValueError(f"points = {points}: at least 2 are needed")
    return parameters


def _flat(arrays: Sequence[Numbers], parameters: Sequence[Tensor], name: str) -> np.ndarray:
    """The arrays one after the other as (N,) float64, once their shapes are the parameters'."""
    parts = [floats(array, name) for array in arrays]
    if not all(np.isfinite(part).all() for part in parts):
        raise ValueError(f"{name}: NaN or infinite numbers: a surface needs finite ones")
    shapes, wanted = [part.shape for part in parts], [p.shape for p in parameters]
    if shapes != wanted:
        raise ValueError(f"{name}: arrays of the shapes {wanted} are needed, not {shapes}")
    return np.concatenate([part.ravel() for part in parts])


def _steps(
    path: Sequence[Sequence[Numbers]], parameters: Sequence[Tensor]
) -> tuple[np.ndarray, np.ndarray]:
    """The end of the path, (N,), and each snapshot seen from there, (steps, N)."""
    rows = [_flat(snapshot, parameters, f"path[{i}]") for i, snapshot in enumerate(path)]
    if not any((row != rows[-1]).any() for row in rows):
        raise ValueError("path: it does not move: give snapshots from before and after training")
    return rows[-1], np.stack(rows) - rows[-1]


def _given(directions: Sequence[Sequence[Numbers]], parameters: Sequence[Tensor]) -> np.ndarray:
    if len(directions) != 2:
        raise ValueError(f"directions: two are needed, not {len(directions)}")
    plane = np.stack([_flat(d, parameters, f"directions[{i}]") for i, d in enumerate(directions)])
    if np.linalg.matrix_rank(plane) < 2:
        raise ValueError("directions: the two lie on one line: a plane needs two that differ")
    return plane


def _principal(steps: np.ndarray) -> np.ndarray:
    """The two unit directions that most of the path lies along: (2, N) of (steps, N) by the SVD.

    A path on one line gets a random second direction at right angles to it.
    """
    _, sizes, directions = np.linalg.svd(steps, full_matrices=False)
    first = directions[0]
    if len(sizes) > 1 and sizes[1] > 1e-6 * sizes[0]:
        return directions[:2]
    second = stream("loss_surface").next().generator().normal(size=first.shape)
    second -= first * (first @ second)
    return np.stack([first, second / np.linalg.norm(second)])


def _filter_normalized(parameters: Sequence[Tensor]) -> np.ndarray:
    """Two normal random directions, each filter as long as the parameters' (Li et al. 2018).

    A filter is what makes one output: a column of a matrix (in, out), w[o] of more axes, and a
    vector as a whole; so parameters that are zero do not move.
    """
    draws = [stream("loss_surface").next().generator() for _ in range(2)]
    return np.stack(
        [np.concatenate([_like(p, generator).ravel() for p in parameters]) for generator in draws]
    )


def _like(parameter: Tensor, generator: np.random.Generator) -> np.ndarray:
    weights = floats(parameter, "parameters")
    drawn = generator.normal(size=weights.shape)
    axes = {2: 0}.get(weights.ndim, tuple(range(weights.ndim > 2, weights.ndim)))
    lengths = [np.sqrt((each**2).sum(axis=axes, keepdims=True)) for each in (weights, drawn)]
    return drawn * lengths[0] / lengths[1]


def _span(way: np.ndarray | None) -> Span:
    """Room for the whole way and a fifth more on each side, square where it hardly moves."""
    if way is None:
        return ((-1.0, 1.0), (-1.0, 1.0))
    low, high = way.min(axis=0), way.max(axis=0)
    least = (high - low).max() / 4
    least = least if least > 1e-9 else 2.0  # the path leaves the plane of given directions at once
    room = np.maximum(0.2 * (high - low), (least - (high - low)) / 2)
    return list(zip(low - room, high + room))


def _shares(steps: np.ndarray, plane: np.ndarray) -> np.ndarray:
    units = plane / np.linalg.norm(plane, axis=1, keepdims=True)
    return ((steps @ units.T) ** 2).sum(axis=0) / (steps**2).sum()


def _losses(loss, parameters, centre, plane, x, y) -> np.ndarray:
    """loss() at every point of the grid: (len(y), len(x))."""
    base, first, second = (_split(each, parameters) for each in (centre, *plane))
    values = np.empty((len(y), len(x)))
    with _put_back(parameters), no_grad(), np.errstate(all="ignore"):
        for j, i in np.ndindex(values.shape):
            for p, b, d0, d1 in zip(parameters, base, first, second):
                p.data[...] = (b + x[i] * d0 + y[j] * d1).astype(p.dtype)
            values[j, i] = _scalar(loss())
    return values


def _split(flat: np.ndarray, parameters: Sequence[Tensor]) -> list[Any]:
    """The numbers of a point in the shapes of the parameters, on their devices."""
    ends = np.cumsum([p.data.size for p in parameters])[:-1]
    parts = zip(np.split(flat, ends), parameters)
    return [put(part.reshape(p.shape), device_of(p.data)) for part, p in parts]


@contextmanager
def _put_back(parameters: Sequence[Tensor]) -> Iterator[None]:
    """After the block the parameters have the bits from before it, however it ends."""
    arrays = [p.data for p in parameters]
    before = [array.copy() for array in arrays]
    try:
        yield
    finally:
        # One call that runs no Python code: a second Ctrl-C cannot leave it half done.
        deque(map(setitem, arrays, repeat(...), before), maxlen=0)


def _scalar(value: Any) -> float:
    if not isinstance(value, Tensor) or value.data.size != 1:
        raise ValueError("loss_surface: loss() must return a Tensor with one number")
    return float(value.item())


def loss_surface(
    loss: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    directions: Sequence[Sequence[Numbers]] | None = None,
    path: Sequence[Sequence[Numbers]] | None = None,
    span: Span | None = None,
    points: int = 25,
    title: str = "Loss around the parameters",
) -> Any:
    """The loss in two directions from a point, as contours, and the path of training on it.

    loss: gives the scalar loss of the parameters as they are, the same at every call: fix the
        batch, and put a model with dropout into `eval()`. It runs points * points times, no_grad.
    parameters: what is moved, in place; afterwards they have their bits from before, however the
        drawing ends.
    path: snapshots of the parameters, each a list of arrays of their shapes; the plane then goes
        through the last one, else through the parameters as they are.
    directions: two lists of arrays of the parameters' shapes. Without them: the two leading
        principal directions of the path relative to its end, or, without a path, two random ones
        with each filter as long as the parameters' (Li et al. 2018, arXiv:1712.09913), drawn from
        the stream "loss_surface". Embeddings are taken column by column, as all matrices are.
    span: ((x low, x high), (y low, y high)) in lengths of the directions; by default around the
        path, or from -1 to 1. points: along each side.

    Losses that are not finite leave the surface white. Returns the figure. Raises ValueError for
    shapes that do not fit, a path that does not move, a loss that is no scalar or nowhere finite;
    TypeError for parameters that are no floating Tensors.
    """
    surface = surface_values(loss, parameters, directions, path, span, points)
    if not np.isfinite(surface.values).any():
        raise ValueError("loss_surface: the loss is nowhere finite: take a smaller span")
    return _draw(surface, title, _kind(directions, path))


def _kind(directions: object, path: object) -> str:
    if directions is not None:
        return "direction"
    return "random direction" if path is None else "principal direction"


def _draw(surface: Surface, title: str, kind: str) -> Any:
    import matplotlib.pyplot as plt
    from matplotlib.colors import BoundaryNorm

    x, y, values, path, shares = surface
    labels = [f"{kind} {i + 1}" for i in range(2)]
    if shares is not None:
        labels = [f"{l} ({percent(s)} of the path)" for l, s in zip(labels, shares)]
    with look():
        figure, axes = plt.subplots(figsize=(7.0, 5.0), layout="constrained")
        shown = np.ma.masked_invalid(values)
        levels = _levels(shown.compressed())
        norm = BoundaryNorm(levels, 256)
        filled = axes.contourf(x, y, shown, levels=levels, cmap="cividis", norm=norm)
        axes.contour(x, y, shown, levels=levels, colors="white", linewidths=0.4)
        figure.colorbar(filled, label="loss", format="{x:.3g}")
        _draw_path(axes, path)
        axes.set(title=readable(title), xlabel=labels[0], ylabel=labels[1])
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
        axes.grid(visible=False)
        figure.legend(loc="outside lower center", ncols=3)
        footnote(figure, advice(title))
    return figure


def _levels(values: np.ndarray) -> np.ndarray:
    """Heights of contours with as much of the surface between each two: steep walls are cut."""
    levels = np.unique(np.quantile(values, np.linspace(0, 1, LEVELS)))
    if levels[-1] - levels[0] > 1e-9 * np.abs(levels).max():
        return levels
    room = np.abs(levels).max() or 1.0
    return np.array([levels[0] - 0.1 * room, levels[-1] + 0.1 * room])


def _draw_path(axes: Any, path: np.ndarray | None) -> None:
    if path is None:
        style = {"color": "white", "markeredgecolor": "black", "markersize": 14}
        axes.plot(0, 0, "*", label="the parameters", linestyle="none", **style)
        return
    axes.plot(*path.T, "-", color="black", linewidth=3.2)
    axes.plot(*path.T, ".-", color=COLOURS[4], linewidth=1.6, markersize=5, label="path")
    for label, marker, size, place in (("start", "s", 8, path[0]), ("end", "*", 14, path[-1])):
        style = {"color": "white", "markeredgecolor": "black", "markersize": size}
        axes.plot(*place, marker, label=label, linestyle="none", zorder=4, **style)
