"""Sizes and names of choices that layers are given, checked."""

from __future__ import annotations

from typing import Any

from tinygrad_llm.functional.arguments import integer


def size(what: str, value: Any, least: int = 0) -> int:
    """The integer; TypeError for anything else, ValueError below `least`."""
    number = integer(what, value)
    if number < least:
        raise ValueError(f"{what} {number} is below {least}")
    return number


def one_of(what: str, name: str, known: tuple[str, ...]) -> str:
    """The name; ValueError where it is none of the known ones."""
    if name not in known:
        raise ValueError(f"{what} {name!r} is not one of {', '.join(known)}")
    return name


def pairs(what: str, value: Any) -> int:
    """The width of pairs of features; ValueError for one that is odd or 0."""
    width = size(what, value, least=2)
    if width % 2:
        raise ValueError(f"{what} {width} is odd, but its features come in pairs")
    return width
