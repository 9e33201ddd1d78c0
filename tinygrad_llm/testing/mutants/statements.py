"""Rules that change a whole statement: what it does to a name, what it unpacks or returns."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import Any

Change = tuple[str, Any]
"""What was done, and the node that stands in the place of the old one."""

_INNER = ("body", "orelse", "finalbody", "handlers", "annotation", "type_comment")

_OTHER_UPDATE: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
}


def own_fields(statement: ast.stmt) -> list[tuple[str, Any]]:
    """The fields of a statement without the statements inside it and without annotations."""
    return [(f, v) for f, v in ast.iter_fields(statement) if f not in _INNER]


def bound_before(tree: ast.FunctionDef, statement: ast.stmt) -> set[str]:
    """Names that have a value when `statement` is reached, by the order of the lines."""
    arguments = tree.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    names = {a.arg for a in [*every, arguments.vararg, arguments.kwarg] if a is not None}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names |= {node.id} if node.lineno < statement.lineno else set()
    return names


def drop_statement(statement: ast.stmt, bound: set[str]) -> Iterator[Change]:
    """An assignment whose names have a value already, an update, a call for its effect."""
    if isinstance(statement, ast.Assign):
        names = [n for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)]
        if all(n.id in bound for n in names):
            yield "statement dropped", ast.Pass()
    elif isinstance(statement, (ast.AugAssign, ast.Expr)):
        yield "statement dropped", ast.Pass()


def change_update(statement: ast.stmt, bound: set[str]) -> Iterator[Change]:
    """`x += v` as `x -= v` and as `x = v`, which forgets what was there."""
    if isinstance(statement, ast.AugAssign):
        if type(statement.op) in _OTHER_UPDATE:
            other = _OTHER_UPDATE[type(statement.op)]()
            yield "update changed", ast.AugAssign(statement.target, other, statement.value)
        plain = ast.Assign([statement.target], statement.value, lineno=statement.lineno)
        yield "update made an assignment", plain


def exchange_names(statement: ast.stmt, bound: set[str]) -> Iterator[Change]:
    """Two neighbours of what is unpacked (`a, b = saved`) or returned (`return da, db`)."""
    if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
        field, parts = "targets", statement.targets[0]
    elif isinstance(statement, ast.Return) and statement.value:
        field, parts = "value", statement.value
    else:
        return
    if not isinstance(parts, ast.Tuple):
        return
    for elements in exchanged_neighbours(parts.elts):
        new = copy.copy(statement)
        swapped = ast.Tuple(elements, parts.ctx)
        setattr(new, field, [swapped] if field == "targets" else swapped)
        yield "names exchanged", new


def exchanged_neighbours(nodes: list) -> Iterator[list]:
    """The list with each pair of neighbours exchanged; `xp` and starred ones keep their place."""
    for i in range(len(nodes) - 1):
        pair = nodes[i : i + 2]
        if not any(isinstance(n, ast.Starred) or getattr(n, "id", "") == "xp" for n in pair):
            yield [*nodes[:i], pair[1], pair[0], *nodes[i + 2 :]]


def neighbours_of(tree: ast.FunctionDef) -> dict[str, str]:
    """For each name that is unpacked beside others, as in `x, y, axis = saved`, the next one."""
    others: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            names = [n.id for n in node.targets[0].elts if isinstance(n, ast.Name)]
            others |= dict(zip(names, [*names[1:], *names[:1]]))
    return {name: other for name, other in others.items() if name != other}


STATEMENT_RULES = (drop_statement, change_update, exchange_names)
