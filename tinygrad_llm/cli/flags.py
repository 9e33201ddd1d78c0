"""Flags made from the fields of a settings class, one for each: `--max-length` for `max_length`.

Their defaults stay in the class: what is not given on the command line is not given to it.
"""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from typing import Any, get_args, get_type_hints

from tinygrad_llm.cli.parsers import Parser, one_line

Sections = Mapping[str, Mapping[str, str]]
"""Headings of the help, and below each some fields with what is said of them: "FOLDER: words", or
"gpt|bert: words", or words alone where a number or a name is to be given."""

_NO_WORDS = ("init", "resume", "merge")
"""Names of fields that nobody writes but for the field, though they have no underscore."""

_OURS = (
    *("generate", "split_documents", "CausalTask", "MaskedTask", "SingleTexts", "PairsAndTexts"),
    *("LoRA", "add_lora", "encode", "features"),
)
"""Names in Python before what they refuse; of a command nobody knows them."""

_SAID = {"True": "true", "False": "false", "None": "not given"}
"""What stands for Python's words."""

_PYTHON = re.compile(
    rf"(\b(?:was|is|expected|give|or)|,|--[a-z-]+) ({'|'.join(_SAID)})\b(?![-.\w/\\])"
)
"""Those of them that are values, not names of folders."""

_ROW = re.compile(r", line \d+: ")
"""Of a message on a row of a file, whose values are no options."""

_SHOWN = {int: "N", float: "X", str: "NAME"}
"""What stands for a value in the help."""


def add_flags(parser: Parser, settings: type, sections: Sections, **numbers: float) -> None:
    """A flag for each field that the sections name; "{few}" in them is one of the numbers."""
    known = {field.name: field for field in fields(settings)}
    hints = get_type_hints(settings)
    for heading, listed in sections.items():
        group = parser.add_argument_group(heading)
        for name, words in listed.items():
            group.add_argument(
                flag(name), **_form(known[name], hints[name], words.format(**numbers))
            )


def given(arguments: argparse.Namespace, settings: type) -> dict[str, Any]:
    """The fields whose flags were given, and their values."""
    names = {field.name for field in fields(settings)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def make(parser: Parser, settings: type, values: Mapping[str, Any]) -> Any:
    """The settings; what they lack or refuse is told in flags, as wrong usage."""
    needed = [field.name for field in fields(settings) if field.default is MISSING]
    lacking = [flag(name) for name in needed if name not in values]
    if lacking:
        parser.error(f"{', '.join(lacking)} must be given")
    try:
        return settings(**values)
    except (ValueError, TypeError) as error:
        parser.refuse(in_flags(str(error), settings))


@contextmanager
def errors_in_flags(settings: type, where: str = "") -> Iterator[None]:
    """What is wrong with values, files or folders is told in flags, as a ValueError, which begins
    with where it is, if that is said."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (ValueError, OSError) as error:
        said = in_flags(one_line(error), settings)
        raise ValueError(f"{where}: {said}" if where else said) from error


@contextmanager
def warnings_in_flags(settings: type) -> Iterator[None]:
    """Warnings for users are printed in flags, a line each, without a place in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        usual = warnings.showwarning

        def show(message: Any, category: type, *place: Any) -> None:
            if category is not UserWarning:
                usual(message, category, *place)
                return
            print(f"note: {in_flags(one_line(message), settings)}", flush=True)

        warnings.showwarning = show  # type: ignore[assignment]
        yield


def flag(name: str) -> str:
    """The flag of a field."""
    return f"--{name.replace('_', '-')}"


def in_flags(message: str, settings: type) -> str:
    """A message about fields, such as "top_k=3" or "seed is -1", in flags: "--top-k 3"."""
    known = {field.name: field for field in fields(settings)}
    names = "|".join(sorted(known, key=len, reverse=True))
    switches = "|".join(name for name, field in known.items() if field.type == "bool")
    message = re.sub(rf"^({settings.__name__}|{'|'.join(_OURS)}): ", "", message)
    message = re.sub(rf"\b({names}) (?=was .* and is )", lambda m: f"{flag(m[1])} ", message)
    message = re.sub(rf"\b({switches})=False\b", lambda m: _off(known[m[1]]), message)
    message = re.sub(rf"\b({switches})=True\b", lambda m: flag(m[1]), message)
    message = re.sub(rf"\b({names})=(?=\S)", lambda m: f"{flag(m[1])} ", message)
    message = re.sub(rf"(?<![-\w/\\])({names})(?![\w/\\]|\.\w)", _underscored, message)
    if not _ROW.search(message):
        message = re.sub(_PYTHON, lambda m: f"{m[1]} {_SAID[m[2]]}", message)
    message = re.sub(rf"\banother ({names})$", lambda m: f"another {flag(m[1])}", message)
    first = rf"^((?:--resume: )?)({names})(?![-\w/\\]|\.\w|, line )"
    return re.sub(first, lambda m: f"{m[1]}{flag(m[2])}", message)


def _off(switch: Field) -> str:
    """How a switch is turned off; one that is off by itself has no flag for it."""
    return flag(f"no_{switch.name}") if switch.default is True else f"no {flag(switch.name)}"


def _underscored(match: re.Match[str]) -> str:
    """A field's name as a flag, unless it may be an ordinary word."""
    return flag(match[0]) if "_" in match[0] or match[0] in _NO_WORDS else match[0]


def _form(field: Field, hint: Any, words: str) -> dict[str, Any]:
    """How argparse reads a field's flag, and what its help says."""
    found = re.match(r"([A-Z]+|\S+\|\S+): ", words)
    shown, rest = (found[1], words[found.end() :]) if found else (None, words)
    form: dict[str, Any] = {"default": argparse.SUPPRESS, "help": rest + _default(field)}
    kinds = [kind for kind in get_args(hint) or (hint,) if kind is not type(None)]
    if kinds == [bool]:
        action = argparse.BooleanOptionalAction if field.default is True else "store_true"
        return form | {"action": action}
    if bool in kinds:
        return form | {"type": _truth_or_word, "metavar": shown}
    read = next(kind for kind in (int, float, str) if kind in kinds)
    several = {"nargs": "+"} if len(kinds) > 1 and read is int else {}
    return form | {"type": read, "metavar": shown or _SHOWN[read], **several}


def _truth_or_word(text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _default(field: Field) -> str:
    """The default in words, where it says something."""
    if field.default is MISSING or field.default is None or isinstance(field.default, bool):
        return ""
    number = f"{field.default:g}" if isinstance(field.default, float) else field.default
    return f" (default {number})"
