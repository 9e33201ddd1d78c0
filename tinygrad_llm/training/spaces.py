"""What a search may choose from: ranges and lists, how to draw from them and count them."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import numpy as np

Settings = dict[str, Any]


class Choice:
    """One of the values of a list: numbers, strings, booleans, None, or lists of such.

    Raises ValueError for no values and for one that stands there twice, TypeError for one that a
    file of results cannot hold, as a function: choose among names, and look it up by its name.
    """

    scale = "choice"

    def __init__(self, values: Any):
        if isinstance(values, str):
            raise TypeError(f"Choice: {values!r} is one string: give a list of values")
        values = values.tolist() if isinstance(values, np.ndarray) else list(values)
        self.values = [each.item() if isinstance(each, np.generic) else each for each in values]
        if not self.values:
            raise ValueError("Choice: there is nothing to choose from: give at least one value")
        self._index: dict[str, int] = {}
        for i, value in enumerate(self.values):
            if self._index.setdefault(_written(value), i) != i:
                raise ValueError(f"Choice: {value!r} stands there twice: give it once")
        self.count = len(self.values)
        self._rank = _ranks(self.values)

    def draw(self, generator: np.random.Generator) -> Any:
        """One of the values, each as likely."""
        return self.values[int(generator.integers(self.count))]

    def index(self, value: Any) -> int:
        """Where it stands in `values`, which tells 1, 1.0 and True apart as `list.index` does not.

        Raises ValueError for a value that is not among them.
        """
        written = _written(value)
        if written not in self._index:
            raise ValueError(f"{value!r} is not among {self.values}")
        return self._index[written]

    def place(self, value: Any) -> list[float]:
        """Its rank among numbers, from 0 to 1; for other values a one-hot row of length 1/√2, which
        puts any two of them at distance 1."""
        index = self.index(value)
        if self._rank is not None:
            return [self._rank[index]]
        return [math.sqrt(0.5) * (i == index) for i in range(self.count)]

    def read(self, value: Any) -> Any:
        """The value that a file gave back, as it stands in the list."""
        return self.values[self.index(value)]

    def __repr__(self) -> str:
        return f"Choice({self.values})"


def _written(value: Any) -> str:
    """As a file holds it: this alone tells 1, 1.0 and True apart."""
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Choice: {value!r} cannot be written into a file of results: choose among names "
            "(strings) or numbers"
        ) from error


def _ranks(values: list) -> list[float] | None:
    """Of numbers, their places in order, from 0 to 1; None for other values."""
    if not all(type(each) in (int, float) for each in values):
        return None
    return [sorted(values).index(each) / max(len(values) - 1, 1) for each in values]


class Uniform:
    """A number from `low` to `high`, each as likely. Raises ValueError unless low < high."""

    scale = "linear"
    count = math.inf

    def __init__(self, low: float, high: float):
        self.low, self.high = float(low), float(high)
        if not (self.low < self.high and math.isfinite(self.high - self.low)):
            raise ValueError(f"{self!r}: low must be below high, and both finite")

    def draw(self, generator: np.random.Generator) -> float:
        """A number from the range."""
        return self.at(generator.random())

    def at(self, share: float) -> float:
        """The number that lies at `share`, from 0 to 1, of the range."""
        return min(max(self.low + share * (self.high - self.low), self.low), self.high)

    def place(self, value: float) -> list[float]:
        """Its share of the way from low to high."""
        return [(value - self.low) / (self.high - self.low)]

    def read(self, value: Any) -> float:
        """The number that a file gave back."""
        if type(value) not in (int, float) or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not in {self!r}")
        return float(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.low!r}, {self.high!r})"


class LogUniform(Uniform):
    """A number from `low` to `high` whose logarithm is uniform: each power of ten as likely.

    For settings of unknown magnitude, as learning rates are. Raises ValueError unless
    0 < low < high.
    """

    scale = "log"

    def __init__(self, low: float, high: float):
        super().__init__(low, high)
        if self.low <= 0:
            raise ValueError(f"{self!r}: {self.low} has no logarithm: low must be above 0")

    def at(self, share: float) -> float:
        """The number whose logarithm lies at `share` of the way."""
        value = math.exp((1 - share) * math.log(self.low) + share * math.log(self.high))
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> list[float]:
        """The share of its logarithm."""
        low, high = math.log(self.low), math.log(self.high)
        return [(math.log(value) - low) / (high - low)]


class Integer:
    """A whole number from `low` to `high`, both among them. Raises ValueError unless low < high."""

    scale = "linear"

    def __init__(self, low: int, high: int):
        self.low, self.high = operator.index(low), operator.index(high)
        if not self.low < self.high:
            raise ValueError(f"{self!r}: low must be below high")
        self.count = self.high - self.low + 1

    @property
    def values(self) -> range:
        """All of them."""
        return range(self.low, self.high + 1)

    def draw(self, generator: np.random.Generator) -> int:
        """One of them, each as likely."""
        return int(generator.integers(self.low, self.high, endpoint=True))

    def place(self, value: int) -> list[float]:
        """Its share of the way from low to high."""
        return [(value - self.low) / (self.high - self.low)]

    def read(self, value: Any) -> int:
        """The number that a file gave back."""
        if type(value) is not int or not self.low <= value <= self.high:
            raise ValueError(f"{value!r} is not in {self!r}")
        return value

    def __repr__(self) -> str:
        return f"Integer({self.low}, {self.high})"


KINDS = (Choice, Uniform, Integer)

Space = Mapping[str, Any]
"""Name of a setting -> Choice, Uniform, LogUniform or Integer."""


def check_space(space: Space) -> None:
    """Raise ValueError for a space of nothing, TypeError naming what is no range and no list."""
    if not space:
        raise ValueError("search: the space is empty: name at least one setting")
    for name, dimension in space.items():
        if not isinstance(name, str) or not isinstance(dimension, KINDS):
            raise TypeError(
                f"search: {name!r} is {dimension!r}: give Choice([...]), Uniform(low, high), "
                "LogUniform(low, high) or Integer(low, high)"
            )


def size(space: Space) -> float:
    """How many combinations there are; inf with a Uniform or LogUniform among them."""
    return math.prod(dimension.count for dimension in space.values())


def combinations(space: Space) -> Iterator[Settings]:
    """All of a finite space, the last setting changing fastest."""
    for values in product(*(dimension.values for dimension in space.values())):
        yield dict(zip(space, values))


def draw(space: Space, generator: np.random.Generator) -> Settings:
    """One combination by chance."""
    return {name: dimension.draw(generator) for name, dimension in space.items()}


def place(space: Space, settings: Settings) -> list[float]:
    """The combination as a point of the unit cube (D,)."""
    return [x for name, dimension in space.items() for x in dimension.place(settings[name])]


def key(settings: Settings) -> str:
    """The combination as a text: equal texts for equal ones."""
    return json.dumps(settings, sort_keys=True)
