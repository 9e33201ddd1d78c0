"""What the models' configurations share: names of activations, and checks of their fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from tinygrad_llm.functional.arguments import integer
from tinygrad_llm.nn.sizes import one_of, pairs, size
from tinygrad_llm.tensor import DEFAULT_DTYPE

ACTIVATIONS = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
}
"""Hugging Face's names of activations, two of which are the tanh form of GELU, and ours."""


LARGEST = float(np.finfo(DEFAULT_DTYPE).max)


def positive(what: str, value: Any) -> int:
    """The integer; TypeError for a bool and anything else, ValueError below 1."""
    return size(what, _no_bool(what, value), least=1)


def check_sizes(config: Any, names: Sequence[str], optional: Sequence[str] = ()) -> None:
    """Refuse fields that are no integers from 1 on; those of `optional` may be None."""
    for name in _given(config, names, optional):
        positive(_field(config, name), getattr(config, name))


def check_ids(
    config: Any, vocabulary: int, names: Sequence[str] = (), optional: Sequence[str] = ()
) -> None:
    """Refuse fields that are no ids of so large a vocabulary; those of `optional` may be None."""
    for name in _given(config, names, optional):
        field, value = _field(config, name), getattr(config, name)
        if not 0 <= integer(field, _no_bool(field, value)) < vocabulary:
            raise ValueError(f"{field} {value!r:.60} is outside 0 … {vocabulary - 1}")


def check_divides(config: Any, part: str, whole: str) -> None:
    """Refuse a field, such as a number of heads, that does not divide the other."""
    divisor, number = getattr(config, part), getattr(config, whole)
    if number % divisor:
        raise ValueError(f"{_field(config, part)} {divisor} does not divide {whole} {number}")


def check_pairs(config: Any, name: str, value: int) -> None:
    """Refuse a width, called `name`, whose features do not come in pairs."""
    pairs(_field(config, name), value)


def check_probabilities(config: Any, *names: str) -> None:
    """Refuse fields that are no numbers from 0 to 1."""
    for name in names:
        value, wrong = getattr(config, name), f"{_field(config, name)} is a probability, not "
        if not _is_number(value):
            raise TypeError(f"{wrong}{value!r}")
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{wrong}{value!r:.60}")


def check_positive(config: Any, *names: str) -> None:
    """Refuse fields that are no numbers above 0, or are too large for float32."""
    for name in names:
        field, value = _field(config, name), getattr(config, name)
        if not _is_number(value):
            raise TypeError(f"{field} must be a number, not {value!r}")
        if not 0.0 < value <= LARGEST:
            raise ValueError(f"{field} must be above 0 and fit into float32, not {value!r:.60}")


def check_flags(config: Any, *names: str) -> None:
    """Refuse fields that are neither True nor False: a text, such as "no", would count as True."""
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, bool):
            raise TypeError(f"{_field(config, name)} must be True or False, not {value!r}")


def check_choice(config: Any, name: str, known: Iterable[str]) -> None:
    """Refuse a field that is none of the names."""
    one_of(_field(config, name), getattr(config, name), tuple(known))


def class_names(config: Any) -> dict[int, str]:
    """id2label in the order of its numbers, 0 … num_labels − 1, each with a name of its own."""
    field, found = _field(config, "id2label"), config.id2label
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise TypeError(f"{field} must be a dict of names by number, not {found!r:.60}")
    named = {str(number): name for number, name in found.items()}
    numbers = [str(number) for number in range(len(found))]
    if len(found) != config.num_labels or set(named) != set(numbers):
        raise ValueError(
            f"{field} has the numbers {', '.join(map(str, found)):.60}, but num_labels is "
            f"{config.num_labels}: name the classes 0 … {config.num_labels - 1}"
        )
    names = [named[number] for number in numbers]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ValueError(f"{field} has {twice!r:.60} twice: give each class a name of its own")
    return dict(enumerate(names))


def _given(config: Any, names: Sequence[str], optional: Sequence[str]) -> list[str]:
    """All names, but of `optional` those alone whose fields are not None."""
    return [*names, *(name for name in optional if getattr(config, name) is not None)]


def _no_bool(what: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _field(config: Any, name: str) -> str:
    return f"{type(config).__name__}: {name}"
