"""The table of a model before training: parameters, memory, and the time that a step takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_llm import graph
from tinygrad_llm.backend import random
from tinygrad_llm.backend.devices import is_array, namespace
from tinygrad_llm.ops.base import Cached
from tinygrad_llm.tensor import Tensor


def summary(module: Any, *inputs: Any, **options: Any) -> str:
    """Each module with its output's shape and its parameters; then memory, and a step's time.

    With example inputs the model runs forward and backward once, and what that held and took is
    told: bytes that the tape saved for backward, and seconds. Afterwards gradients and random
    streams are as before; hooks have run. Adam keeps two more numbers for each parameter that
    learns. Without inputs there are parameters and their bytes alone.
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
        f"{count:,} parameters, {frozen:,} of them frozen: {shown_bytes(_size(parameters))}",
        f"training with Adam: gradients {shown_bytes(_size(learning))}, "
        f"moments {shown_bytes(2 * _size(learning))}",
        *run,
    ]
    return "\n".join(line.rstrip() for line in lines)


def _row(path: str, module: Any, shape: str) -> tuple[str, str, str]:
    depth = path.count(".") + 1 if path else 0
    name = path.rpartition(".")[2]
    title = f"{name}  {type(module).__name__}" if name else type(module).__name__
    own = sum(p.size for p in module.parameters())
    return "  " * depth + title, shape, f"{own:,}"


def _run(module: Any, inputs: tuple, options: dict, shapes: dict[str, str]) -> list[str]:
    """Fill in the shapes; what one pass forward and back holds and takes, in two lines."""
    hooks = [
        each.register_forward_hook(lambda _, __, y, name=name: shapes.update({name: _shape(y)}))
        for name, each in module.named_modules()
    ]
    try:
        with random.replay(random.state()):
            return _measured(module, inputs, options)
    finally:
        for remove in hooks:
            remove()


def _measured(module: Any, inputs: tuple, options: dict) -> list[str]:
    start = time.perf_counter()
    outputs = [y for y in tensors_in(module(*inputs, **options)) if y.requires_grad]
    if not outputs:
        return ["a forward pass without a tape: nothing in it requires a gradient"]
    forward = time.perf_counter() - start
    nodes = graph.behind(y._edge for y in outputs)
    saved = saved_bytes(nodes, module, (*inputs, *options.values()))
    leaves = [node.tensor() for node in nodes if node.op is None and node.tensor() is not None]
    grads = [leaf.grad for leaf in leaves]
    start = time.perf_counter()
    try:
        for leaf in leaves:
            leaf.grad = None  # backward would add to what is there, in place
        for y in outputs:
            y.backward(namespace(y.data).ones_like(y.data), retain_graph=True)
    finally:
        for leaf, grad in zip(leaves, grads):
            leaf.grad = grad
    seconds = forward + time.perf_counter() - start
    return [
        f"one pass with these inputs: activations {shown_bytes(saved)} for backward,",
        f"forward and backward {seconds * 1e3:.3g} ms (the first time; later ones are faster)",
    ]


def saved_bytes(nodes: list[graph.Node], module: Any, given: tuple = ()) -> int:
    """Bytes of the arrays that the tape holds beside the parameters; shared memory counts once.

    Of an input that is a part of something larger, the part counts; of a checkpoint, its inputs.
    """
    sizes: dict[int, int] = {}
    for node in nodes:
        later = getattr(node.saved, "inputs", ())
        for value in node.saved if type(node.saved) is tuple else later:
            array = value.value if type(value) is Cached else value
            if is_array(array):
                owner, size = _owner(array)
                sizes[owner] = size
    for value in given:
        array = value.data if isinstance(value, Tensor) else value
        if is_array(array) and _owner(array)[0] in sizes:
            sizes[_owner(array)[0]] = array.nbytes
    own = {_owner(parameter.data)[0] for parameter in module.parameters()}
    return sum(size for owner, size in sizes.items() if owner not in own)


def _owner(array: Any) -> tuple[int, int]:
    base = array if array.base is None or not is_array(array.base) else array.base
    return id(base), base.nbytes


def _shape(output: Any) -> str:
    return ", ".join(str(y.shape) for y in tensors_in(output))


def _size(parameters: list[Any]) -> int:
    return sum(p.data.nbytes for p in parameters)


def shown_bytes(count: int) -> str:
    """Bytes for a reader: "12.5 KiB"."""
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


def tensors_in(output: Any) -> list[Tensor]:
    """The Tensors that a module gives: one, those in a tuple, list or dict, or those that the
    method `tensors` of another object names."""
    if isinstance(output, Tensor):
        return [output]
    if callable(getattr(output, "tensors", None)):
        output = output.tensors()
    values = output.values() if isinstance(output, Mapping) else output
    return [y for y in values if isinstance(y, Tensor)] if isinstance(output, _HOLDERS) else []


_HOLDERS = (tuple, list, Mapping)
