"""How prose is read from Python's own sources: docstrings and topics, and what in them is prose."""

from __future__ import annotations

import ast
import inspect
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

MIN_LENGTH = 40
"""Characters of the shortest paragraph."""

_SKIPPED = re.compile(  # names of folders
    "tests?|idlelib|lib2to3|distutils|ensurepip|turtledemo|encodings|pydoc_data|config-.*|"
    "(site|dist)-packages|lib-dynload|__pycache__|__phello__"
)
_PUBLIC_NAMES = {
    "_collections_abc": "collections.abc",
    "_py_abc": "abc",
    "_pydatetime": "datetime",
    "_pydecimal": "decimal",
    "_pyio": "io",
}

_Node = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class Docstring(NamedTuple):
    """The dotted name of what is described, the text, the parameters, and the kind of thing."""

    name: str
    text: str
    parameters: tuple[str, ...] = ()
    kind: str = "topic"
    """"topic", "Module", "ClassDef", "FunctionDef" or "AsyncFunctionDef"."""


class Item(NamedTuple):
    """A part of a text on one line; with a `name`, the description of that parameter."""

    name: str
    text: str
    whole: bool
    """No other part stood in the same block of lines."""


def modules(root: Path) -> Iterator[tuple[str, list[Docstring]]]:
    """The public name and the docstrings of each module under `root`, in the order of the files.

    Nothing is imported. What is no Python, as a file that somebody put there may be, has none.
    """
    for path in sorted(_sources(root)):
        parts = path.relative_to(root).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        name = ".".join((_PUBLIC_NAMES.get(parts[0], parts[0]), *parts[1:]))
        tree = _parsed(path)
        if tree is not None:
            yield name, list(_docstrings(name, tree))


def _sources(root: Path) -> Iterator[Path]:
    """The Python files under `root`, without going into folders such as site-packages."""
    for folder, inside, files in os.walk(root):
        inside[:] = [name for name in inside if not _SKIPPED.fullmatch(name)]
        yield from (Path(folder, name) for name in files if name.endswith(".py"))


def topics(root: Path) -> list[Docstring]:
    """The chapters of the language reference that `help()` shows, sorted by name; or none."""
    path = root / "pydoc_data" / "topics.py"
    tree = _parsed(path) if path.exists() else None
    for node in tree.body if tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
            texts = ast.literal_eval(node.value)
            return [Docstring(f"topic {name}", texts[name]) for name in sorted(texts)]
    return []


def _parsed(path: Path) -> ast.Module | None:
    """The tree of a source file, without the warnings that compiling it may give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(path.read_bytes())
        except (SyntaxError, ValueError):
            return None


def _docstrings(name: str, node: _Node) -> Iterator[Docstring]:
    """Those of the node and of the classes and functions in it."""
    if text := ast.get_docstring(node):
        yield Docstring(name, text, _parameters(node), type(node).__name__)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings(f"{name}.{child.name}", child)


def _parameters(node: _Node) -> tuple[str, ...]:
    """Of a function its own, of a class those of its `__init__`."""
    if isinstance(node, ast.ClassDef):
        made = (f for f in node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__")
        return next(map(_parameters, made), ())
    if isinstance(node, ast.Module):
        return ()
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return tuple(a.arg for a in every if a.arg not in ("self", "cls"))


_BULLET = re.compile(r"(?:[-*+•o]|\(?(?:\d{1,2}|[a-z])[.)]|\[\d+\])\s+(?=\S)")
_FIELD = re.compile(
    r"[:@]?(?:param |type |arg )?[*`]{0,3}([a-z_]\w*)[*`]{0,2}(?: \([^)]*\))?"
    r"(?::| *---?(?= )| +:) +(?=\S)"
)
_RULE = re.compile(r"\W?([=\-~*^#+_.])\1{2,}\W?$")
_MARKUP = [
    (re.compile(r":[\w:.+-]+:`~?\.?([^`<]+?)(?: <[^`>]*>)?`"), r"\1"),
    (re.compile(r"``([^`]+)``"), r"\1"),
    (re.compile(r"`([^`']+)`_?_?"), r"\1"),
    (re.compile(r"`([^`']+)'"), r"'\1'"),
    (re.compile(r"(?<![\w*])(\*{1,2})(\w(?:[^*]{0,60}[\w:.])?)\1(?![\w*])"), r"\2"),
    (re.compile(r" \[\d\](?=[\s.,;)]|$)"), ""),
    (re.compile(r"\s+"), " "),
    (re.compile(r"\b([ei])\. ([ge])\."), r"\1.\2."),
    (re.compile(r"([a-z])- (?!(?:and|or|to)\b)([a-z])"), r"\1-\2"),  # broken at the end of a line
]


def items(docstring: Docstring) -> list[Item]:
    """The parts of a text that blank lines, bullets or indentation separate, without markup.

    Code after "::", doctests, directives, headings and their lines, and tables are left out.
    """
    found: list[Item] = []
    code: int | None = None  # lines with a larger indentation are a literal block
    for block in re.split(r"\n\s*\n", inspect.cleandoc(docstring.text)):
        lines = [line.rstrip() for line in block.split("\n") if line.strip()]
        if not lines or (code is not None and _indentation(lines[0]) > code):
            continue
        parts = _parts(lines, docstring.parameters)
        found += [_item(part, docstring.parameters, len(parts) == 1) for part in parts]
        code = _indentation(lines[-1]) if lines[-1].endswith("::") else None
    return [item for item in found if item.text]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _parts(lines: list[str], parameters: Sequence[str]) -> list[list[str]]:
    """The lines of a block, those together that make one text."""
    parts: list[list[str]] = []
    column, in_field = -1, False
    for line in lines:
        indentation, rest = _indentation(line), line.strip()
        if rest.startswith((">>>", "... ", "..")):
            break
        if _RULE.match(rest):
            if parts:
                parts[-1].pop()  # the heading over this line
            column, in_field = -1, False
            continue
        if bullet := _BULLET.match(rest):
            indentation, rest = indentation + bullet.end(), rest[bullet.end() :]
        goes_on = indentation == column or (in_field and indentation > column)
        # A line within a sentence may begin with a parameter and a colon too.
        in_sentence = goes_on and not in_field and not bullet and parts[-1][-1][-1] not in ".:!?)"
        field = None if in_sentence else _field(rest, parameters)
        beside = in_field and indentation == column and _FIELD.match(rest)
        if bullet or field or beside or not goes_on:
            parts.append([])
            column, in_field = indentation, bool(field)
        parts[-1].append(rest)
    return [part for part in parts if part]


def _field(line: str, parameters: Sequence[str]) -> re.Match[str] | None:
    """The beginning of a line that describes a parameter: "name: ", "name -- ", ":param name: "."""
    match = _FIELD.match(line)
    if match and (match[1] in parameters or line[0] in ":@" or "--" in match[0]):
        return match
    return None


def _item(lines: list[str], parameters: Sequence[str], whole: bool) -> Item:
    """The folded text of some lines; nothing for lines with columns."""
    if any(re.search(r"\S {3,}\S", line) for line in lines):
        return Item("", "", whole)
    text, name = " ".join(lines), ""
    if field := _field(text, parameters):
        text, name = text[field.end() :], field[1]
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return Item(name, text.strip(), whole)


_FUNCTION_WORDS = re.compile(
    r"\b(a|an|and|any|are|as|at|be|been|but|by|can|do|does|each|for|from|has|have|if|in|into|is|it|"
    r"its|may|more|must|no|not|of|on|one|only|or|other|should|so|such|than|that|the|their|them|"
    r"then|there|these|they|this|to|used|using|was|were|when|where|which|will|with|without|you|"
    r"your)\b",
    re.IGNORECASE,
)
_BEGUN = re.compile(r"[\"'(“‘]?(?!That )[A-Z]|\"[\w.]+(\(\))?\" ")
_ENDED = re.compile(r"[.!?][\"')\]]*$")
_STRANGE = re.compile(r"\w*_\w*|[^\w\s.,;:'\"’“”()?!-]")
_FORBIDDEN = re.compile(
    r">>>|::|====|Copyright|\b(?:XXX|TODO|FIXME)\b"
    r"|[`|<]|[:(.] ?\.\.\.|\w\(.*\) ?(->|=)|^[\w.]+\([^)]*\) -"
)


def paragraph(item: Item) -> str:
    """The text up to the end of its last sentence; empty where that is no prose, or short."""
    text = whole_sentences(item.text)
    finished = _ENDED.search(text) or (item.whole and re.search(r"(?<!, )\b\w+$", text))
    is_text = finished and _BEGUN.match(text) and is_clean(text) and _is_english(text)
    return text if is_text and not item.name and len(text) >= MIN_LENGTH else ""


def whole_sentences(text: str) -> str:
    """Without a last sentence that ends with ":", for what it leads to is not there."""
    return text[: text.rfind(". ") + 1] if text.endswith(":") else text


def is_clean(text: str) -> bool:
    """Whether a text is free of code, control characters and brackets without their other half."""
    return (
        text.isprintable()
        and len(_STRANGE.findall(text)) <= 0.04 * len(text)
        and all(text.count(a) == text.count(b) for a, b in ("()", "[]", "{}"))
        and text.count('"') % 2 == 0
        and not _FORBIDDEN.search(text)
        and 2 * sum(map(str.isupper, text)) <= sum(map(str.isalpha, text))
    )


def _is_english(text: str) -> bool:
    """Whether at least every sixth word is one of those that English sentences are built with."""
    words = len(re.findall(r"[A-Za-z']+", text))
    return words >= 5 and 6 * len(_FUNCTION_WORDS.findall(text)) >= words
