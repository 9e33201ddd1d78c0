"""What the models' configurations share: names of activations; checks of sizes, probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

from tinygrad_llm.functional.arguments import probability
from tinygrad_llm.nn.sizes import one_of, size

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""Hugging Face's names of activations, two of which are the tanh form of GELU, and ours."""


def positive(what: str, value: Any) -> int:
    """The integer; TypeError for a bool and anything else, ValueError below 1."""
    if isinstance(value, bool):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    return size(what, value, least=1)


def check_sizes(config: Any, names: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse fields that are no integers from 1 on; those of `optional` may be None."""
    given = [name for name in optional if getattr(config, name) is not None]
    for name in [*names, *given]:
        positive(_field(config, name), getattr(config, name))


def check_divides(config: Any, part: str, whole: str) -> None:
    """Refuse a field, such as a number of heads, that does not divide the other."""
    divisor, number = getattr(config, part), getattr(config, whole)
    if number % divisor:
        raise ValueError(f"{_field(config, part)} {divisor} does not divide {whole} {number}")


def check_probabilities(config: Any, *names: str) -> None:
    """Refuse fields that are no numbers from 0 to 1."""
    for name in names:
        value = getattr(config, name)
        if isinstance(value, bool) or not isinstance(value, Real):
            raise TypeError(f"{_field(config, name)} is a probability, not {value!r}")
        probability(_field(config, name), float(value))


def check_activation(config: Any, name: str) -> None:
    """Refuse a field that names no activation."""
    one_of(_field(config, name), getattr(config, name), tuple(ACTIVATIONS))


def _field(config: Any, name: str) -> str:
    return f"{type(config).__name__}: {name}"
