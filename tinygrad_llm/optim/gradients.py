"""What clipping and loss scaling share: gradients as arrays, and numbers about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from tinygrad_llm.backend.devices import Array, device_of, namespace
from tinygrad_llm.tensor import Tensor


def present(parameters: Iterable[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """(parameter, its gradient) of those that have one; each parameter once."""
    once = {id(parameter): parameter for parameter in parameters}
    return [(p, p.grad) for p in once.values() if p.grad is not None]


def writable(parameter: Tensor, grad: Tensor) -> Array:
    """The array of the parameter's gradient, to be written into.

    A gradient that is on a tape of its own (`create_graph`) is first replaced by a copy off the
    tape: the tape still needs the old values.
    """
    if grad.requires_grad:
        grad = parameter.grad = Tensor(grad.data.copy())
    grad.touched()
    return grad.data


def numbers(arrays: Iterable[Array], reduce: Callable[[ModuleType, Array], Any]) -> list:
    """reduce(xp, array) -> a 0-d array, of each, as Python numbers; in no particular order.

    The host waits once for each device, not once for each array.
    """
    found: dict[Any, list] = {}
    for array in arrays:
        xp = namespace(array)
        found.setdefault((device_of(array), xp), []).append(reduce(xp, array))
    return [number for (_, xp), each in found.items() for number in xp.stack(each).tolist()]
