"""What all optimizers share: groups of parameters, zero_grad, and the walk of a step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_llm.optim.flat import Flat, kind_of
from tinygrad_llm.tensor import Tensor


class Optimizer:
    """Moves parameters against their gradients; a subclass writes `update`.

    params: Tensors, or dicts with "params" and settings of their own: groups. After that
    `param_groups` is a list of such dicts, with all settings; change them, "lr" above all, there.
    Raises ValueError for no parameters, or one given twice; TypeError for what is no Tensor.

    At its first step each parameter moves into an array shared with the others (see `Flat`), and
    `.data` is a view of it from then on; another Tensor on its old memory stays behind. A parameter
    without a gradient is left as it is.
    """

    def __init__(self, params: Iterable[Any], **settings: Any):
        if isinstance(params, Tensor) or hasattr(params, "parameters"):
            raise TypeError(
                f"optimizer: give a list of parameters, such as model.parameters(), "
                f"not a {type(params).__name__}"
            )
        given = list(params)
        if given and not any(isinstance(each, dict) for each in given):
            given = [{"params": given}]
        self.param_groups = [_group(each, settings) for each in given]
        if not given or not all(group["params"] for group in self.param_groups):
            raise ValueError("optimizer: no parameters; a generator can be used only once")
        every = [p for group in self.param_groups for p in group["params"]]
        if len({id(p) for p in every}) < len(every):
            raise ValueError("optimizer: a parameter is given twice")
        for group in self.param_groups:
            self.check(group)
        self._flats: list[list[Flat]] = [[] for _ in self.param_groups]

    def check(self, group: dict[str, Any]) -> None:
        """Raise ValueError for settings that make no sense."""
        require("lr", group["lr"], 0.0)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        """Move flat.values[tile] by flat.gradient[tile]; step counts from 1."""
        raise NotImplementedError(f"{type(self).__name__} has no update: write one")

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        if len(self.param_groups) != len(self._flats):
            raise RuntimeError(
                "optimizer: param_groups has another length: give all groups at once"
            )
        for group, flats in zip(self.param_groups, self._flats):
            self.check(group)
            self._house(group["params"], flats)
            for flat in flats:
                for tile, step in flat.gather():
                    self.update(group, flat, tile, step)

    def zero_grad(self) -> None:
        """Forget all gradients, before the next backward adds to them."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def _house(self, parameters: list[Tensor], flats: list[Flat]) -> None:
        """Give those that have a gradient for the first time a place in a new Flat: what is frozen
        from the beginning costs no memory."""
        housed = {id(parameter) for flat in flats for parameter in flat.parameters}
        kinds: dict[Any, list[Tensor]] = {}
        for parameter in parameters:
            if parameter.grad is not None and id(parameter) not in housed:
                if parameter.dtype.itemsize < 4:
                    raise TypeError(
                        f"optimizer: steps get lost in {parameter.dtype}: keep the parameters in "
                        "float32, and convert them in forward"
                    )
                kinds.setdefault(kind_of(parameter), []).append(parameter)
        flats += [Flat(together) for together in kinds.values()]


def _group(given: Any, settings: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(given, dict) or "params" not in given:
        raise TypeError('optimizer: give Tensors, or dicts that have "params"; not both mixed')
    unknown = given.keys() - settings.keys() - {"params"}
    if unknown:
        known = ", ".join(settings)
        raise ValueError(f"optimizer: unknown setting {', '.join(sorted(unknown))}; has {known}")
    params = given["params"]
    params = [params] if isinstance(params, Tensor) else list(params)
    for parameter in params:
        if not isinstance(parameter, Tensor) or not parameter.is_leaf:
            raise TypeError(f"optimizer: a parameter is a leaf Tensor, not {parameter!r:.60}")
    return {**settings, **given, "params": params}


def require(name: str, value: float, low: float, below: float = math.inf) -> None:
    """ValueError unless low <= value < below."""
    if not low <= value < below:
        bound = f"at least {low:g}" + (f" and below {below:g}" if below < math.inf else "")
        raise ValueError(f"optimizer: {name} must be {bound}, not {value}")
