"""Many parameters in one array, so that an update is a few calls whatever their number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array, namespace, put, to_host
from tinygrad_llm.tensor import Tensor

TILE = 1 << 16
"""Elements that an update works on at a time: larger temporaries fall out of the cache."""

GPU_TILE = 1 << 24
"""The same on a GPU, where each call costs a launch: few tiles, and scratch of 64 MiB."""


class Flat:
    """Parameters of one dtype and device, whose data are views of one array, `values`.

    gradient: theirs, one after the other, as `gather` left it; an update may overwrite it.
    scratch: as many elements as a tile has at most, for an update to use.
    steps: for each parameter, how many updates it has had.
    """

    def __init__(self, parameters: Sequence[Tensor]):
        self.parameters = list(parameters)
        self.kind = kind_of(self.parameters[0])
        self.places: list[slice] = []
        size = 0
        for parameter in self.parameters:
            self.places.append(slice(size, size + parameter.size))
            size += parameter.size
        self.values: Array = None  # see _house
        self.gradient = self._new("empty", size)
        self.tile = TILE if self.kind[0] == "cpu" else GPU_TILE
        self.scratch = self._new("empty", min(size, self.tile))
        self.steps = [0] * len(self.parameters)
        self._moments: dict[str, Array] = {}
        self._look()

    def _look(self) -> None:
        """Make the views, which a copy would not look at the copied array with."""
        self._homes: list[Array] = [None] * len(self.parameters)  # what .data is, after _house
        self._gradients = [  # in the shapes of the parameters
            self.gradient[place].reshape(parameter.shape)
            for parameter, place in zip(self.parameters, self.places)
        ]

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._look()

    def __getstate__(self) -> dict[str, Any]:
        views = ("_homes", "_gradients")
        return {name: value for name, value in vars(self).items() if name not in views}

    @property
    def xp(self) -> ModuleType:
        """NumPy or CuPy."""
        return namespace(self.gradient)

    def _new(self, how: str, size: int) -> Array:
        (device, dtype), array = self.kind, self.parameters[0].data
        if device == "cpu":
            return getattr(np, how)(size, dtype)
        with array.device:
            return getattr(namespace(array), how)(size, dtype)

    def moment(self, name: str) -> Array:
        """An array beside `values`, zeros at first: a running mean that an optimizer keeps."""
        if name not in self._moments:
            self._moments[name] = self._new("zeros", len(self.gradient))
        return self._moments[name]

    def states(self, needed: Sequence[str]) -> list[dict[str, Any]]:
        """Of each parameter its "step" and its moments, those `needed` and those made before, as
        NumPy copies in its shape; empty for one that has not moved yet."""
        arrays = {name: self.moment(name) for name in dict.fromkeys([*needed, *self._moments])}
        host = {name: to_host(array) for name, array in arrays.items()}
        found: list[dict[str, Any]] = []
        for parameter, place, step in zip(self.parameters, self.places, self.steps):
            mine = {name: v[place].reshape(parameter.shape).copy() for name, v in host.items()}
            found.append({"step": step, **mine} if step else {})
        return found

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Take what `states` gave of each parameter."""
        for i, (place, state) in enumerate(zip(self.places, states)):
            self.steps[i] = state["step"]
            for name in state.keys() - {"step"}:
                self.moment(name)[place] = put(state[name].ravel(), self.kind[0])

    def moved(self) -> list[slice]:
        """The places of the parameters that have a gradient."""
        return [s for p, s in zip(self.parameters, self.places) if p.grad is not None]

    def gather(self) -> Iterator[tuple[slice, int]]:
        """Collect the gradients; then (tile, step) for every stretch of parameters that have one
        and have had the same number of updates. step counts the one that begins.

        Parameters without a gradient stay out, and their moments as they are.
        """
        grads = [parameter.grad for parameter in self.parameters]
        if any(p.data is not home for p, home in zip(self.parameters, self._homes)):
            self._house()
        for i, grad in enumerate(grads):
            if grad is not None:
                if grad.shape != self._gradients[i].shape:
                    shapes = f"{grad.shape} for a parameter {self._gradients[i].shape}"
                    raise ValueError(f"optimizer: a gradient of shape {shapes}")
                self._gradients[i][...] = grad.data
                self.parameters[i].touched()
                self.steps[i] += 1
        yield from self._tiles([grad is not None for grad in grads])

    def _house(self) -> None:
        """Make the parameters views of `values`: they are new, or some were given other arrays.

        `values` is a new array each time, for somebody may have kept a view of the old one.
        """
        for parameter in self.parameters:
            if kind_of(parameter) != self.kind:
                was, now = (" ".join(map(str, k)) for k in (self.kind, kind_of(parameter)))
                raise RuntimeError(
                    f"optimizer: a parameter was {was} and is {now} now: "
                    "make the optimizer after .to() and .astype()"
                )
        self.values = self._new("empty", len(self.gradient))
        for i, (parameter, place) in enumerate(zip(self.parameters, self.places)):
            home = self.values[place].reshape(parameter.shape)
            home[...] = parameter.data
            parameter.data = home
            self._homes[i] = parameter.data

    def _tiles(self, present: list[bool]) -> Iterator[tuple[slice, int]]:
        i, count = 0, len(self.places)
        while i < count:
            first = i
            i += 1
            if not present[first]:
                continue
            step = self.steps[first]
            while i < count and present[i] and self.steps[i] == step:
                i += 1
            end = self.places[i - 1].stop
            for start in range(self.places[first].start, end, self.tile):
                yield slice(start, min(start + self.tile, end)), step


def kind_of(parameter: Tensor) -> tuple[str, object]:
    """Device and dtype: what parameters of one array share."""
    return parameter.device, parameter.dtype
