"""Search for good hyper-parameters (超参数): the grid, chance, or a Gaussian process that proposes.

    space = {"lr": LogUniform(1e-4, 1e-1), "width": Choice([32, 64, 128])}
    result = search(validation_loss, space, method="bayes", trials=20)
    print(result.table(), result.best.settings)

The objective sees validation data alone: the test data are read once, after the choice  (S122).
"""

from __future__ import annotations

import math
import operator
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_llm.backend import Stream
from tinygrad_llm.training import spaces
from tinygrad_llm.training.gaussian_process import GaussianProcess, expected_improvement
from tinygrad_llm.training.spaces import Settings, Space
from tinygrad_llm.training.trials import SearchResult, Trial, TrialFile

METHODS = ("grid", "random", "bayes")

CANDIDATES = 500
"""Combinations among which Bayesian search takes the most promising."""

FEW = 4096
"""Of a finite space with at most so many combinations, all that are left can be listed."""


def search(
    objective: Callable[[Settings], float],
    space: Space,
    method: str = "grid",
    trials: int | None = None,
    seed: int = 0,
    maximize: bool = False,
    file: str | os.PathLike[str] | None = None,
) -> SearchResult:
    """Call `objective(settings)` for many settings, and keep what it returns, a number  (S123).

        def loss(settings):  # names of TrainingArguments, for instance
            args = TrainingArguments(**settings, max_steps=200, quiet=True)
            trainer = Trainer(make_model(), args, train, valid)
            trainer.train()
            return trainer.evaluate()["eval_loss"]

    space: name -> Choice([...]), Uniform(low, high), LogUniform(low, high) or Integer(low, high).
    method: "grid": every combination once. "random": by chance (Bergstra and Bengio 2012). "bayes":
        a few by chance, then each time where a Gaussian process expects the most improvement
        (Snoek, Larochelle and Adams 2012).
    trials: how many, for "random" and "bayes". No combination of a finite space is tried twice, so
        that there the search ends when all have been.
    maximize: whether a higher value is better. One that is not finite, as of a run that diverged,
        is kept and counts as the worst, be it inf, −inf or nan.
    file: keeps each finished trial (JSON lines). The same call goes on where it stopped, with more
        trials too, and gives what it would have given in one go.
    The same seed gives the same trials. Raises ValueError or TypeError for a space, a method or a
    file that does not fit, before anything runs, and RuntimeError naming the settings under which
    the objective raised; the trials before that one are in the file.
    """
    spaces.check_space(space)
    count = _trials(space, method, trials)
    seed = operator.index(seed)
    kept = None
    done: list[Trial] = []
    if file is not None:
        kept = TrialFile(file, _head(space, method, seed, maximize))
        done = kept.read(space)
    proposals = _Proposals(space, method, seed, done)
    while len(done) < count:
        settings = proposals.after(SearchResult(done, space, maximize))
        done.append(_run(objective, settings, done, file))
        if kept is not None:
            kept.append(done[-1])
    return SearchResult(done, space, maximize)


def _trials(space: Space, method: str, trials: int | None) -> int:
    """How many trials there will be."""
    if method not in METHODS:
        raise ValueError(f"search: method is one of {METHODS}, not {method!r}")
    count = spaces.size(space)
    if method != "grid":
        if trials is None or operator.index(trials) < 1:
            raise ValueError(f"search: {method} needs a number of trials, such as trials=20")
        return int(min(trials, count))
    for name, dimension in space.items():
        if math.isinf(dimension.count):
            raise ValueError(
                f"search: a grid cannot cover {name} = {dimension!r}: say Choice([...])"
            )
    if trials not in (None, count):
        raise ValueError(
            f"search: the grid has {count} combinations, not {trials}: leave trials out, or take "
            "method='random'"
        )
    return int(count)


def _head(space: Space, method: str, seed: int, maximize: bool) -> dict[str, Any]:
    """What makes a search this one; the number of trials does not."""
    described = {name: repr(dimension) for name, dimension in space.items()}
    return {"space": described, "method": method, "seed": seed, "maximize": bool(maximize)}


def _run(
    objective: Callable[[Settings], float], settings: Settings, done: list[Trial], file: Any
) -> Trial:
    begin = time.perf_counter()
    try:
        value = objective(dict(settings))
    except Exception as error:
        kept = (
            f"kept in {os.fspath(file)}" if file is not None else "lost: give a file to keep them"
        )
        raise RuntimeError(
            f"search: trial {len(done) + 1} with {settings} raised {type(error).__name__}: "
            f"{error}; the {len(done)} finished before it are {kept}"
        ) from error
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"search: the objective returned {value!r} for {settings}: return a number")
    return Trial(settings, float(value), time.perf_counter() - begin)


class _Proposals:
    """What to try, one after another: the same for the same seed and the same trials before it."""

    def __init__(self, space: Space, method: str, seed: int, done: list[Trial]):
        self._space, self._method, self._seed = space, method, seed
        self._tried = {spaces.key(trial.settings) for trial in done}
        self._untried = self._walk()
        self._left: dict[str, Settings] | None = None

    def after(self, found: SearchResult) -> Settings:
        """The combination to try after these trials, which nothing proposes again."""
        name, settings = self._next(found)
        self._tried.add(name)
        if self._left is not None:
            self._left.pop(name)
        return settings

    def _walk(self) -> Iterator[tuple[str, Settings]]:
        """The combinations that were not tried, with their keys, in the order of the grid."""
        for settings in spaces.combinations(self._space):
            if (name := spaces.key(settings)) not in self._tried:
                yield name, settings

    def _next(self, found: SearchResult) -> tuple[str, Settings]:
        if self._method == "grid":
            return next(self._untried)
        stream = Stream("search", self._seed)
        stream.position = len(found.trials)
        generator = stream.next().generator()
        starts = len(self._space) + 2  # by chance, until a Gaussian process has a few to go by
        if self._method == "random" or len(found.trials) < starts:
            return self._fresh(generator, 1)[0]
        fresh = self._fresh(generator, CANDIDATES)
        return fresh[_most_promising(self._space, found, [settings for _, settings in fresh])]

    def _fresh(self, generator: np.random.Generator, count: int) -> list[tuple[str, Settings]]:
        """Up to `count` combinations by chance, with their keys: none tried, none there twice."""
        found: dict[str, Settings] = {}
        if spaces.size(self._space) > FEW:
            for _ in range(20 * count):  # a nearly finished space may give nothing new
                settings = spaces.draw(self._space, generator)
                if (name := spaces.key(settings)) not in self._tried:
                    found[name] = settings
                if len(found) == count:
                    break
        if found:
            return list(found.items())
        if self._left is None:
            self._left = dict(self._untried)
        left = list(self._left.items())
        return [left[i] for i in generator.permutation(len(left))[:count]]


def _most_promising(space: Space, found: SearchResult, candidates: list[Settings]) -> int:
    """The candidate with the largest expected improvement."""
    x = np.array([spaces.place(space, trial.settings) for trial in found.trials])
    y = _costs(found)
    mean, deviation = (
        GaussianProcess().fit(x, y).predict([spaces.place(space, each) for each in candidates])
    )
    return int(expected_improvement(mean, deviation, y.min()).argmax())


def _costs(found: SearchResult) -> np.ndarray:
    """Of the trials (N,), the lower the better, with mean 0 and deviation 1.

    What is farther above the median than the best is below it counts as just so far: among losses
    near 1, one run that diverged to 1e20 would leave no difference between the others.
    """
    costs = np.array([found.cost(trial) for trial in found.trials])
    finite = costs[np.isfinite(costs)]
    if not len(finite):
        return np.zeros(len(costs))
    costs = np.minimum(costs, 2 * np.median(finite) - finite.min())
    return (costs - costs.mean()) / (costs.std() or 1.0)
