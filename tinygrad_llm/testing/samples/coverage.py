"""What the samples of an op leave out: an input without a gradient, a constant never varied."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from tinygrad_llm.ops import OPS
from tinygrad_llm.testing.samples.registry import (
    SAMPLES,
    Call,
    Sample,
    differentiable,
    input_names,
)


def gaps(name: str) -> list[str]:
    """One line for everything of an op that no sample covers; an empty list when all is covered.

    Covered are an input that gets a gradient, or is an array if it can have none; a variadic input
    with three arrays; a constant with a value that is not its default, or two values without one.
    """
    samples = [s for s in SAMPLES.get(name, []) if not s.composite]
    if not samples:
        return [f"{name}: no sample"]
    calls = [(s, call) for s in samples for call in s.calls()]
    parameters = list(inspect.signature(OPS[name].forward).parameters.values())[1:]
    inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    constants = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    missing = [p.name for p in inputs if not _is_checked(name, p, calls)]
    missing += [p.name for p in constants if not _is_varied(p, calls)]
    return [f"{name}: {each}" for each in missing]


def _is_checked(name: str, parameter: inspect.Parameter, calls: list[tuple[Sample, Call]]) -> bool:
    """Some call gives this input an array, which gets a gradient unless the op bars it."""
    wanted = 3 if parameter.kind is parameter.VAR_POSITIONAL else 1
    for sample, call in calls:
        names = input_names(name, len(call.arrays))
        places = [i for i, each in enumerate(names) if each == parameter.name]
        if parameter.name in OPS[name].no_gradient:
            found = [i for i in places if isinstance(call.arrays[i], np.ndarray)]
        else:
            found = [i for i in places if i in differentiable(sample, call)]
        if len(found) >= wanted:
            return True
    return False


def _is_varied(parameter: inspect.Parameter, calls: list[tuple[Sample, Call]]) -> bool:
    values = [call.constants.get(parameter.name, parameter.default) for _, call in calls]
    if parameter.default is not parameter.empty:
        return any(_differ(value, parameter.default) for value in values)
    return any(_differ(value, values[0]) for value in values)


def _differ(a: Any, b: Any) -> bool:
    return repr(a) != repr(b)
