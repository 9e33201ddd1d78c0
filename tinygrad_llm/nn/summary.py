"""The table of a model before training: parameters, memory, and the time that a step takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tinygrad_llm import graph
from tinygrad_llm.backend import random
from tinygrad_llm.backend.devices import is_array, namespace
from tinygrad_llm.nn.module import Module
from tinygrad_llm.ops.base import Cached
from tinygrad_llm.tensor import Tensor


def summary(module: Module, *inputs: Any, **options: Any) -> str:
    """Each module with its output's shape and its parameters; then memory, and a step's time.

    With example inputs the model runs forward and backward once, and what that held and took is
    told: bytes that the tape saved for backward, and seconds. Afterwards gradients and random
    streams are as before. Adam keeps two more numbers for each parameter that learns.
    Without inputs there are parameters and their bytes alone.
    """
    shapes: dict[str, str] = {}
    run = _run(module, inputs, options, shapes) if inputs or options else []
    rows = [_row(name, each, shapes.get(name, "")) for name, each in module.named_modules()]
    parameters = list(module.parameters())
    learning = [p for p in parameters if p.requires_grad]
    count = sum(p.size for p in parameters)
    frozen = count - sum(p.size for p in learning)
    lines = [
        *_table(("module", "output", "parameters"), rows),
        "",
        f"{count:,} parameters, {frozen:,} of them frozen: {_bytes(_size(parameters))}",
        f"training with Adam: gradients {_bytes(_size(learning))}, "
        f"moments {_bytes(2 * _size(learning))}",
        *run,
    ]
    return "\n".join(line.rstrip() for line in lines)


def _row(path: str, module: Module, shape: str) -> tuple[str, str, str]:
    depth = path.count(".") + 1 if path else 0
    name = path.rpartition(".")[2]
    title = f"{name}  {type(module).__name__}" if name else type(module).__name__
    own = sum(p.size for p in module.parameters())
    return "  " * depth + title, shape, f"{own:,}"


def _run(module: Module, inputs: tuple, options: dict, shapes: dict[str, str]) -> list[str]:
    """Fill in the shapes; what one pass forward and back holds and takes, in two lines."""
    hooks = [
        each.register_forward_hook(lambda _, __, y, name=name: shapes.update({name: _shape(y)}))
        for name, each in module.named_modules()
    ]
    grads = {parameter: parameter.grad for parameter in module.parameters()}
    try:
        with random.replay(random.state()):
            return _measured(module, inputs, options)
    finally:
        for remove in hooks:
            remove()
        for parameter, grad in grads.items():
            parameter.grad = grad


def _measured(module: Module, inputs: tuple, options: dict) -> list[str]:
    start = time.perf_counter()
    output = module(*inputs, **options)
    outputs = [y for y in _tensors(output) if y.requires_grad]
    if not outputs:
        return ["a forward pass without a tape: nothing in it requires a gradient"]
    saved = _saved_bytes(outputs)
    for i, y in enumerate(outputs):
        y.backward(Tensor(namespace(y.data).ones_like(y.data)), retain_graph=i + 1 < len(outputs))
    seconds = time.perf_counter() - start
    return [
        f"one pass with these inputs: activations {_bytes(saved)} for backward,",
        f"forward and backward {seconds * 1e3:.3g} ms (the first time; later ones are faster)",
    ]


def _saved_bytes(outputs: list[Tensor]) -> int:
    """Bytes of the arrays that the tape holds, parameters excepted, memory shared counted once."""
    seen: set[graph.Node] = set()
    stack = [y._edge[0] for y in outputs]
    owners: dict[int, int] = {}
    leaves: set[int] = set()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        stack.extend(edge[0] for edge in node.parents if edge is not None)
        if node.op is None and node.tensor() is not None:
            leaves.add(_owner(node.tensor().data)[0])
        for value in node.saved if type(node.saved) is tuple else ():
            array = value.value if type(value) is Cached else value
            if is_array(array):
                owner, size = _owner(array)
                owners[owner] = size
    return sum(size for owner, size in owners.items() if owner not in leaves)


def _owner(array: Any) -> tuple[int, int]:
    base = array if array.base is None or not is_array(array.base) else array.base
    return id(base), base.nbytes


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    values = output.values() if isinstance(output, dict) else output
    return [y for y in values if isinstance(y, Tensor)] if hasattr(values, "__iter__") else []


def _shape(output: Any) -> str:
    return ", ".join(str(y.shape) for y in _tensors(output))


def _size(parameters: list[Any]) -> int:
    return sum(p.data.nbytes for p in parameters)


def _bytes(count: int) -> str:
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.4g} {unit}"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(header, *rows)]
    lines = [header, tuple("─" * width for width in widths), *rows]
    return [
        f"{title:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}"
        for title, shape, count in lines
    ]
