"""Mutants of one function: every single change of its code that the rules know, as new source text.

A mutant is made from the syntax tree of the function as it stands in its file: one node is
exchanged, the text of the whole function is written out, and the node is put back. A mutant whose
text equals the original's or another mutant's is left out.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tinygrad_llm.testing.mutants.rules import EXPRESSION_RULES, VALUE_RULES, only_names, values_of
from tinygrad_llm.testing.mutants.statements import (
    STATEMENT_RULES,
    bound_before,
    neighbours_of,
    own_fields,
)

Function = Any
"""A Python function with a `__code__` of its own (`types.FunctionType`, which no checker knows)."""

_ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Mutant:
    """One change of one line of one function."""

    op: str
    """Whose mutant it is: an op's name, or the function's own name for a helper."""
    function: str
    """Qualified name, e.g. "Multiply.backward"."""
    file: str
    line: int
    operator: str
    """What was done, e.g. "sign flipped"."""
    original: str
    mutated: str
    source: str
    """The whole mutated function."""

    @property
    def place(self) -> str:
        """file:line of the line that was changed."""
        return f"{self.file}:{self.line}"

    @property
    def key(self) -> tuple[str, str, str]:
        """(function, original line, mutated line): the same for every version of Python."""
        return self.function, plain(self.original), plain(self.mutated)


def definition(function: Function) -> ast.FunctionDef:
    """The syntax tree of a function or method, numbered as its file is, without decorators.

    Raises ValueError when the file holds no function of that qualified name.
    """
    node: Any = _module_tree(function.__module__)
    for name in function.__qualname__.split("."):
        inside = (n for n in node.body if getattr(n, "name", None) == name)
        node = next(inside, None)
        if node is None:
            raise ValueError(f"mutants: no source of {function.__qualname__} in its module's file")
    node.decorator_list = []
    return node


@cache
def _module_tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module]))


def mutants_of(function: Function, op: str, only: type[ast.stmt] = ast.stmt) -> list[Mutant]:
    """Every mutant of `function`, in the order of its lines; the same list in every run.

    only: the kind of statements that are changed.
    """
    tree = definition(function)
    found: dict[str, Mutant] = {}
    for statement in _of_kind(tree, only):
        where = (op, function.__qualname__, file_of(function), statement.lineno)
        original = header(statement)
        for operator, line, source in _changes(tree, statement):
            if source not in found:
                found[source] = Mutant(*where, operator, original, line, source)
    found.pop(ast.unparse(tree), None)
    return [mutant for mutant in found.values() if not _keeps_a_name(mutant.mutated)]


def _keeps_a_name(line: str) -> bool:
    """`g = g`: the assignment dropped, which is another mutant."""
    left, _, right = line.partition(" = ")
    return left == right


def raising(function: Function, op: str, only: type[ast.stmt] = ast.stmt) -> list[Mutant]:
    """For each statement the function that raises there: unnoticed, where nobody comes by."""
    tree = definition(function)
    found = []
    for statement in _of_kind(tree, only):
        where = (op, function.__qualname__, file_of(function), statement.lineno)
        with _exchanged(*_holder_of(tree, statement), ast.parse("raise AssertionError").body[0]):
            source = ast.unparse(tree)
        found.append(Mutant(*where, "raises", header(statement), "raise AssertionError", source))
    return found


def _of_kind(tree: ast.FunctionDef, kind: type[ast.stmt]) -> list[ast.stmt]:
    return [statement for statement in statements_of(tree) if isinstance(statement, kind)]


def file_of(function: Function) -> str:
    """The file of a function, from the repository's root where it lies within."""
    path = Path(inspect.getfile(function)).resolve()
    return path.relative_to(_ROOT).as_posix() if path.is_relative_to(_ROOT) else str(path)


def statements_of(tree: Any) -> Iterator[ast.stmt]:
    """Every statement that computes, outermost first: no docstring, and no check that raises."""
    for statement in tree.body:
        if _is_text(statement) or _only_raises(statement) or isinstance(statement, ast.Pass):
            continue
        yield statement
        for part in ("body", "orelse"):
            if hasattr(statement, part):
                yield from statements_of(ast.Module(getattr(statement, part), []))


def header(statement: ast.stmt) -> str:
    """The statement on one line, of a compound one its first line."""
    return ast.unparse(statement).split("\n", 1)[0]


def plain(line: str) -> str:
    """A line of code as this Python would write it."""
    return header(ast.parse(f"{line} pass" if line.endswith(":") else line).body[0])


def gradient_lines(function: Function) -> list[int]:
    """Lines of a backward that compute a gradient: what they assign or return depends on g."""
    gradients = {"g"}
    lines = []
    for statement in statements_of(definition(function)):
        value = getattr(statement, "value", None)
        if value is None or (isinstance(statement, ast.Return) and only_names(value)):
            continue
        if gradients & {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}:
            lines.append(statement.lineno)
            gradients |= _names_assigned(statement)
    return lines


def _names_assigned(statement: ast.stmt) -> set[str]:
    targets = getattr(statement, "targets", [getattr(statement, "target", None)])
    return {n.id for t in targets if t for n in ast.walk(t) if isinstance(n, ast.Name)}


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _only_raises(statement: ast.stmt) -> bool:
    """`raise`, or an `if` that guards one: an error for the user is no gradient."""
    if isinstance(statement, ast.If):
        return isinstance(statement.body[-1], ast.Raise) and not statement.orelse
    return isinstance(statement, ast.Raise)


def _changes(tree: ast.FunctionDef, statement: ast.stmt) -> Iterator[tuple[str, str, str]]:
    """(operator, the line, the function) for each change of one statement."""
    for rule in STATEMENT_RULES:
        for operator, new in rule(statement, bound_before(tree, statement)):
            holder, key = _holder_of(tree, statement)
            with _exchanged(holder, key, new):
                yield operator, header(new), ast.unparse(tree)
    for rules, places in ((VALUE_RULES, values_of), (EXPRESSION_RULES, expressions_of)):
        for holder, key, node in list(places(statement)):
            for each in rules:
                for operator, new in each(node):
                    with _exchanged(holder, key, new):
                        yield operator, header(statement), ast.unparse(tree)
    others = neighbours_of(tree)
    for holder, key, node in list(expressions_of(statement)):
        other = others.get(getattr(node, "id", ""))
        if isinstance(holder, ast.BinOp) and other:
            with _exchanged(holder, key, ast.Name(other, ast.Load())):
                yield "operand replaced", header(statement), ast.unparse(tree)


class _exchanged:
    """Within the block `holder[key]` (or the attribute) is another node."""

    def __init__(self, holder: Any, key: Any, new: ast.AST):
        self.holder, self.key, self.new = holder, key, new

    def _put(self, node: ast.AST) -> ast.AST:
        if isinstance(self.holder, list):
            old, self.holder[self.key] = self.holder[self.key], node
            return old
        old = getattr(self.holder, self.key)
        setattr(self.holder, self.key, node)
        return old

    def __enter__(self) -> None:
        self.old = self._put(self.new)

    def __exit__(self, *error: object) -> None:
        self._put(self.old)


def expressions_of(statement: ast.stmt) -> Iterator[tuple[Any, Any, ast.expr]]:
    """(holder, key, node) of each expression of a statement, those of inner statements excluded."""
    stack: list[tuple[Any, Any, Any]] = [(statement, f, v) for f, v in own_fields(statement)]
    while stack:
        holder, key, value = stack.pop()
        if isinstance(value, list):
            stack.extend((value, i, each) for i, each in reversed(list(enumerate(value))))
        elif isinstance(value, ast.AST):
            if isinstance(value, ast.expr):
                yield holder, key, value
            if getattr(value, "arg", "") == "optimize":  # in which order a sum is taken, not what
                continue
            stack.extend((value, f, v) for f, v in reversed(list(ast.iter_fields(value))))


def _holder_of(tree: ast.AST, statement: ast.stmt) -> tuple[list, int]:
    """The list of statements that `statement` stands in, and its place there."""
    for node in ast.walk(tree):
        for _, block in ast.iter_fields(node):
            if isinstance(block, list) and any(each is statement for each in block):
                return block, next(i for i, each in enumerate(block) if each is statement)
    raise ValueError("mutants: the statement is not part of the function")
