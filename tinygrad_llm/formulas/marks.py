"""Which tests are marked with which formula, read from the test sources of a checkout."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2] / "tests" / "formulas"
"""Where the marked tests lie beside the package; an installed package has no such folder."""


@dataclass(frozen=True)
class MarkedTest:
    """A test function and the ids of its `pytest.mark.formula`.

    `holds`: it asks for the fixture `hold`, which puts the registered forms to every case.
    """

    name: str
    ids: tuple[str, ...]
    holds: bool


def _ids(function: ast.FunctionDef) -> tuple[str, ...]:
    return tuple(
        argument.value
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.formula"
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    )


def _in_file(path: Path) -> Iterator[MarkedTest]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))):
        if isinstance(node, ast.FunctionDef) and (ids := _ids(node)):
            yield MarkedTest(node.name, ids, any(arg.arg == "hold" for arg in node.args.args))


def marked_tests(folder: Path = TESTS) -> list[MarkedTest] | None:
    """The marked tests of a folder, files in order of their names; None if it does not exist."""
    if not folder.is_dir():
        return None
    return [test for path in sorted(folder.glob("*.py")) for test in _in_file(path)]
