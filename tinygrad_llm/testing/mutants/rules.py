"""Rules that change one expression: each takes a node and gives (what was done, the new node)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from tinygrad_llm.testing.mutants.statements import Change, exchanged_neighbours

Changes = Iterator[Change]

_OTHER_ARITHMETIC: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_ORDERED = (ast.Sub, ast.Div, ast.FloorDiv, ast.Pow, ast.MatMult, ast.Mod)

_OTHER_COMPARISONS: dict[type, tuple[type, ...]] = {
    ast.Gt: (ast.Lt, ast.GtE),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Lt: (ast.Gt, ast.LtE),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}

_PAIRS = (
    "sin cos", "Sin Cos", "exp log", "Exp Log", "tril triu", "Tril Triu", "zeros ones",
    "zeros_like ones_like", "maximum minimum", "Maximum Minimum", "max min", "Max Min",
    "sum mean", "Sum Mean", "tanh sigmoid", "Tanh Sigmoid", "sign abs", "Sign Abs",
    "log_softmax softmax", "LogSoftmax Softmax", "any all", "add subtract", "Add Subtract",
    "multiply divide", "Multiply Divide", "lt gt", "eq ne",
)  # fmt: skip
_SIBLINGS = {a: b for pair in map(str.split, _PAIRS) for a, b in (pair, pair[::-1])}
_SIBLINGS |= {
    "erf": "tanh",
    "Erf": "Tanh",
    "sqrt": "exp",
    "expm1": "exp",
    "log1p": "log",
    "le": "lt",
    "ge": "gt",
}

_REMOVABLE = {
    *("reshape", "swapaxes", "transpose", "sum", "mean", "cumsum", "astype", "max"),
    *("flip", "exp", "log", "sin", "cos", "sign", "tanh", "broadcast_to", "roll", "tril", "triu"),
}
_FLAGS = {"owned", "in_place"}
_GIVE_MEMORY = {"empty", "_empty", "_new", "_room"}
_NO_NUMBER = {"tuple", "list", "set", "dict", "iter", "zip", "range", "slice", "len", "enumerate"}
_NUMBERS = (ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Subscript)
_SEQUENCES = (ast.Tuple, ast.List)
_NOT_EXCHANGED = {"isinstance", "hasattr", "getattr", "range", "slice", "swapaxes"}
_SYMMETRIC = {
    *("add", "multiply", "maximum", "minimum"),
    *("equal", "not_equal", "logical_and", "logical_or", "vecdot"),
}


def values_of(statement: ast.stmt) -> Iterator[tuple[Any, Any, ast.expr]]:
    """(holder, key, node) of each number or array that a statement assigns, adds or returns."""
    if isinstance(statement, (ast.Assign, ast.AugAssign)):
        unpacks = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple)
        if not (unpacks and isinstance(statement.value, ast.Name)):
            yield from _values(statement, "value")
    elif isinstance(statement, ast.Return) and not only_names(statement.value):
        yield from _values(statement, "value")


def only_names(node: ast.expr | None) -> bool:
    """What is returned was assigned before, and is changed there."""
    if isinstance(node, ast.Call) and _called(node) == "tuple":
        return only_names(node.args[0])
    parts = node.elts if isinstance(node, ast.Tuple) else [node]
    return all(isinstance(part, (ast.Name, ast.Constant)) for part in parts)


def _values(holder: Any, key: Any) -> Iterator[tuple[Any, Any, ast.expr]]:
    """Down to the branches of a choice, the elements of a list, what a class is made of."""
    node = holder[key] if isinstance(holder, list) else getattr(holder, key)
    if isinstance(node, ast.IfExp):
        yield from _values(node, "body")
        yield from _values(node, "orelse")
    elif isinstance(node, ast.ListComp):
        yield from _values(node, "elt")
    elif isinstance(node, ast.Tuple):
        for i in range(0 if _is_shape(node) else len(node.elts)):
            yield from _values(node.elts, i)
    elif _is_zero(node) or _is_memory(node) or _is_no_number(node):
        return
    elif isinstance(node, ast.Call) and _called(node)[:1].isupper():
        yield from _values(node.args, 0)
    elif getattr(node, "id", "") not in _FLAGS and isinstance(node, _NUMBERS):
        yield holder, key, node


def _is_shape(node: ast.Tuple) -> bool:
    """`(*shape[:axis], n)`: no arrays."""
    return any(isinstance(part, ast.Starred) for part in node.elts)


def _is_zero(node: ast.expr) -> bool:
    """zeros(…) and v·0.0: −0 and 2·0 are 0."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return isinstance(node.right, ast.Constant) and node.right.value == 0
    return isinstance(node, ast.Call) and _called(node) in ("zeros", "zeros_like")


def _is_no_number(node: ast.expr) -> bool:
    """`range(…)`, `zip(…)` and the like."""
    return isinstance(node, ast.Call) and _called(node) in _NO_NUMBER


def _is_memory(node: ast.expr) -> bool:
    """`flat.scratch[…]`, `room[…]`, `np.empty(…)` and functions that give memory: what is there
    before something is written is 0, or does not matter."""
    if isinstance(node, ast.Subscript):
        return "scratch" in vars(node.value).values() or "room" in vars(node.value).values()
    return isinstance(node, ast.Call) and _called(node) in _GIVE_MEMORY


def _is_mask(node: ast.expr) -> bool:
    """`x > 0` or `(x > 0)[..., None]`: the square of a mask is the mask."""
    return isinstance(getattr(node, "value", node), ast.Compare)


def negate(node: ast.expr) -> Changes:
    """v as −v."""
    if not (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)):
        yield "sign flipped", ast.UnaryOp(ast.USub(), node)


def double(node: ast.expr) -> Changes:
    """v as 2v."""
    yield "factor doubled", ast.BinOp(ast.Constant(2.0), ast.Mult(), node)


VALUE_RULES = (negate, double)


def drop_operator(node: ast.expr) -> Changes:
    """−v as v, `not v` as v, a·b as a and as b, a + b as a and as b."""
    if isinstance(node, ast.UnaryOp):
        yield "sign flipped" if isinstance(node.op, ast.USub) else "not dropped", node.operand
    if isinstance(node, ast.BinOp):
        what = "factor" if isinstance(node.op, (ast.Mult, ast.Div, ast.MatMult)) else "term"
        yield f"{what} dropped", node.left
        if not isinstance(node.op, (ast.Div, ast.Pow)):
            yield f"{what} dropped", node.right
    if isinstance(node, ast.BoolOp):
        for i in range(len(node.values)):
            rest = [*node.values[:i], *node.values[i + 1 :]]
            yield "condition dropped", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)


def repeat_factor(node: ast.expr) -> Changes:
    """a·b as a·a·b and as a·b·b, a / b as a / b / b."""
    if not isinstance(node, ast.BinOp) or _is_zero(node):
        return
    if isinstance(node.op, (ast.Mult, ast.Div)) and not isinstance(node.left, _SEQUENCES):
        if not _is_mask(node.right):
            yield "factor doubled", ast.BinOp(node, node.op, node.right)
        if isinstance(node.op, ast.Mult):
            yield "factor doubled", ast.BinOp(node, node.op, node.left)


def double_term(node: ast.expr) -> Changes:
    """a + b as 2a + b and as a + 2b; a number alone is changed elsewhere."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        if not isinstance(node.left, ast.Constant):
            twice = ast.BinOp(ast.Constant(2.0), ast.Mult(), node.left)
            yield "term doubled", ast.BinOp(twice, node.op, node.right)
        if not isinstance(node.right, ast.Constant):
            twice = ast.BinOp(ast.Constant(2.0), ast.Mult(), node.right)
            yield "term doubled", ast.BinOp(node.left, node.op, twice)


def change_operator(node: ast.expr) -> Changes:
    """+ as −, · as /, and as or, and the two operands of −, /, **, @ exchanged."""
    if isinstance(node, ast.BinOp):
        if type(node.op) in _OTHER_ARITHMETIC:
            other = _OTHER_ARITHMETIC[type(node.op)]()
            yield "operator changed", ast.BinOp(node.left, other, node.right)
        if isinstance(node.op, _ORDERED):
            yield "operands exchanged", ast.BinOp(node.right, node.op, node.left)
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield "boolean operator changed", ast.BoolOp(other, node.values)


def change_comparison(node: ast.expr) -> Changes:
    """The other direction, and the same one with the tie on the other side."""
    if isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            for other in _OTHER_COMPARISONS.get(type(op), ()):
                ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                yield "comparison changed", ast.Compare(node.left, ops, node.comparators)


def change_choice(node: ast.expr) -> Changes:
    """`a if c else b`: the other way round, a alone, b alone."""
    if isinstance(node, ast.IfExp):
        yield "branches exchanged", ast.IfExp(node.test, node.orelse, node.body)
        yield "choice dropped", node.body
        yield "choice dropped", node.orelse


def change_constant(node: ast.expr) -> Changes:
    """A number one more and one less; True as False. This is the index and the axis too."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "flag flipped", ast.Constant(not node.value)
        elif isinstance(node.value, (int, float)):
            yield "constant changed", ast.Constant(node.value + 1)
            yield "constant changed", _number(node.value - 1)


def _number(value: float) -> ast.expr:
    constant = ast.Constant(abs(value))
    return constant if value >= 0 else ast.UnaryOp(ast.USub(), constant)


def change_slice(node: ast.expr) -> Changes:
    """A bound dropped; the only bound moved to the other end."""
    if isinstance(node, ast.Slice):
        if node.lower is not None:
            yield "slice bound dropped", ast.Slice(None, node.upper, node.step)
        if node.upper is not None:
            yield "slice bound dropped", ast.Slice(node.lower, None, node.step)
        if (node.lower is None) != (node.upper is None):
            yield "slice bounds exchanged", ast.Slice(node.upper, node.lower, node.step)


def change_call(node: ast.expr) -> Changes:
    """Arguments exchanged, the function replaced by a sibling or by its first argument."""
    if not isinstance(node, ast.Call):
        return
    if _called(node) not in _NOT_EXCHANGED and not _is_symmetric(node):
        for arguments in exchanged_neighbours(node.args):
            yield "arguments exchanged", ast.Call(node.func, arguments, node.keywords)
    if _called(node) in _REMOVABLE and isinstance(node.func, ast.Attribute):
        on_module = getattr(node.func.value, "id", "") == "xp"
        yield f"{_called(node)} removed", node.args[0] if on_module else node.func.value
    if _called(node) == "where" and len(node.args) == 3:
        yield "where removed", node.args[1]
        yield "where removed", node.args[2]


def _is_symmetric(node: ast.Call) -> bool:
    """`multiply(a, b)`, `min(a, b)`, or `operands("multiply", a, b)`, which makes them ready."""
    if isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        return True
    named = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
    return not _SYMMETRIC.isdisjoint([_called(node), *named])


def replace_function(node: ast.expr) -> Changes:
    """sin by cos, zeros by ones, an op's class by its sibling."""
    if isinstance(node, ast.Attribute) and node.attr in _SIBLINGS:
        other = _SIBLINGS[node.attr]
        yield f"{node.attr} replaced", ast.Attribute(node.value, other, node.ctx)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _SIBLINGS:
        yield f"{node.id} replaced", ast.Name(_SIBLINGS[node.id], node.ctx)


def change_axis(node: ast.expr) -> Changes:
    """An axis that is passed on: the first, the last, or all of them."""
    if isinstance(node, ast.Call):
        for i, each in enumerate(node.args):
            if _is_axis(each):
                for axis in _axes():
                    arguments = [*node.args[:i], axis, *node.args[i + 1 :]]
                    yield "axis changed", ast.Call(node.func, arguments, node.keywords)
        for i, keyword in enumerate(node.keywords):
            if keyword.arg == "axis" and _is_axis(keyword.value):
                for axis in _axes():
                    keywords = [*node.keywords[:i], ast.keyword("axis", axis)]
                    new = ast.Call(node.func, node.args, [*keywords, *node.keywords[i + 1 :]])
                    yield "axis changed", new


def _is_axis(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("axis", "axes")


def _axes() -> list[ast.expr]:
    return [ast.Constant(0), _number(-1), ast.Constant(None)]


def transpose_factor(node: ast.expr) -> Changes:
    """A factor of a matrix product transposed."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
        yield "transpose added", ast.BinOp(_transposed(node.left), node.op, node.right)
        yield "transpose added", ast.BinOp(node.left, node.op, _transposed(node.right))


def _transposed(node: ast.expr) -> ast.expr:
    swapaxes = ast.Attribute(node, "swapaxes", ast.Load())
    return ast.Call(swapaxes, [_number(-1), _number(-2)], [])


def _called(node: ast.Call) -> str:
    """The last name of the function that is called."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


EXPRESSION_RULES = (
    drop_operator,
    repeat_factor,
    double_term,
    change_operator,
    change_comparison,
    change_choice,
    change_constant,
    change_slice,
    change_call,
    replace_function,
    change_axis,
    transpose_factor,
)
