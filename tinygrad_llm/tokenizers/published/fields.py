"""JSON files that are not trusted: every field is checked where it is taken."""

from __future__ import annotations

import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_llm.tokenizers.checks import read_utf8, shown

_Kind = TypeVar("_Kind")

_NAMES = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    list: "a list",
    dict: "an object",
}

_LONGEST_NUMBER = 400
"""Digits; Python is slow at longer ones, and refuses them above 4300."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Only this escape can put half of a surrogate pair into a text that was UTF-8."""


class Fields:
    """An object of a JSON file that knows where it stands, so that errors can say so."""

    def __init__(self, values: dict[str, Any], path: Path, trail: str = ""):
        self.values = values
        self.path = path
        self.trail = trail

    def error(self, key: str, problem: str) -> ValueError:
        """What to raise for a field; `problem` goes on from the field's name."""
        return ValueError(f"{self.path}: {self.trail}{key} {problem}")

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def get(self, key: str, kind: type[_Kind], default: Any = None) -> Any:
        """The field, or the default where it is absent or null; ValueError for another type."""
        value = self.values.get(key)
        if value is None:
            return default
        return self.checked(key, value, kind)

    def require(self, key: str, kind: type[_Kind]) -> _Kind:
        """The field; ValueError where it is absent or null too."""
        if self.values.get(key) is None:
            raise self.error(key, f"is missing; it must be {_NAMES[kind]}")
        return self.checked(key, self.values[key], kind)

    def checked(self, key: str, value: Any, kind: type[_Kind]) -> _Kind:
        """The value, which stands at the key or inside it, where it is of the kind."""
        if type(value) is not kind:  # True is an int to isinstance
            raise self.error(key, f"is {reprlib.repr(value)}, but must be {_NAMES[kind]}")
        return value

    def part(self, key: str) -> Fields | None:
        """The object at the key, None where it is absent or null."""
        values = self.get(key, dict)
        return None if values is None else Fields(values, self.path, f"{self.trail}{key}.")

    def parts(self, key: str) -> list[Fields]:
        """The objects of the list at the key, none where it is absent or null."""
        return [self.item(key, i, value) for i, value in enumerate(self.get(key, list, []))]

    def item(self, key: str, place: int | str, value: Any) -> Fields:
        """An object inside the list or object at the key."""
        name = f"{key}[{place!r}]"
        return Fields(self.checked(name, value, dict), self.path, f"{self.trail}{name}.")

    def one_of(self, key: str, allowed: Iterable[Any], default: Any = None) -> Any:
        """The field where it is one of those allowed; None is where it is null or absent."""
        value = self.values.get(key, default)
        allowed = list(allowed)
        # 1 equals True, but says something else
        if not any(type(value) is type(other) and value == other for other in allowed):
            shown = " or ".join(json.dumps(other) for other in allowed)
            given = "null" if value is None else reprlib.repr(value)
            raise self.error(key, f"is {given}, which is not supported; supported: {shown}")
        return value


def read_object(path: Path) -> Fields:
    """The object that a JSON file holds.

    Raises ValueError, naming the file, what is wrong and the mend, for anything but one strict
    JSON object in UTF-8; OSError where the file cannot be read.
    """
    try:
        return Fields(_parse(read_utf8(path)), path)
    except RecursionError:
        raise ValueError(f"{path}: it is nested too deeply; download or save it again") from None
    except _ProblemError as problem:
        raise ValueError(f"{path}: {problem}; download or save it again") from None


class _ProblemError(Exception):
    """What is wrong with a JSON text."""


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_int=_number, parse_constant=_constant
        )
    except json.JSONDecodeError as error:
        raise _ProblemError(
            f"line {error.lineno}, column {error.colno} is not valid JSON ({error.msg})"
        ) from None
    if not isinstance(value, dict):
        raise _ProblemError(f"it holds {reprlib.repr(value)}, not a JSON object")
    if _SURROGATE.search(text):
        _refuse_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict, where no key stands twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise _ProblemError(f"the key {shown(twice)} stands twice in one object")
    return values


def _number(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise _ProblemError(f"it has the huge number {reprlib.repr(digits)}")
    return int(digits)


def _constant(name: str) -> None:
    raise _ProblemError(f"{name} is no JSON value")


def _refuse_surrogates(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise _ProblemError(
            "a text has half of a surrogate pair, which UTF-8 cannot write"
        ) from None
