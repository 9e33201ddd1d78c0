"""What all optimizers share: groups of parameters, the walk of a step, and a state to save."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_llm.optim import state as saved
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

    decay = "l2"
    """What weight_decay λ means: "l2", λw is added to g; "decoupled", w shrinks beside the step."""

    moments: tuple[str, ...] = ()
    """Names of the moments of a `Flat` that `update` may use: what a saved state may hold."""

    squares: tuple[str, ...] = ()
    """Those of `moments` that are means of squares, which are never below 0."""

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
        """Raise ValueError, or TypeError, for settings that make no sense."""
        require("lr", group["lr"], 0.0)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        """Move flat.values[tile] by flat.gradient[tile]; step counts from 1."""
        raise NotImplementedError(f"{type(self).__name__} has no update: write one")

    def needed(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Those of `moments` that every parameter has under the settings of this group."""
        return self.moments

    def finish(self, group: dict[str, Any], flat: Flat) -> None:
        """What is left to do for whole parameters when `update` has done their tiles."""

    def decay_weights(self, group: dict[str, Any], flat: Flat, tile: slice) -> None:
        """weight_decay λ as `decay` says: "l2", g ← g + λw; "decoupled", w ← (1 − lr·λ)·w."""
        w = flat.values[tile]
        if self.decay == "decoupled":
            w *= 1.0 - group["lr"] * group["weight_decay"]
        else:
            g = flat.gradient[tile]
            g += flat.xp.multiply(w, group["weight_decay"], out=flat.scratch[: len(g)])

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
                self.finish(group, flat)

    def zero_grad(self) -> None:
        """Forget all gradients, before the next backward adds to them."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {"step": int, moment: array, …}}, "param_groups": [settings, …]}.

        index counts the parameters through all groups; those that have not moved yet have no state.
        The arrays are copies, NumPy's, in the shapes of the parameters; "params" of a group are its
        indices.
        """
        index = self._indices()
        state: dict[int, dict[str, Any]] = {}
        for group, flats in zip(self.param_groups, self._flats):
            for flat in flats:
                found = flat.states(self.needed(group))
                state |= {index[id(p)]: each for p, each in zip(flat.parameters, found) if each}
        groups = [
            {**group, "params": [index[id(p)] for p in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": dict(sorted(state.items())), "param_groups": groups}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the settings and moments that `state_dict` gave: from here on the steps have the
        same bits as those of the optimizer that was saved. Dtypes and devices stay ours.

        Raises ValueError or TypeError, before anything is changed, for what does not fit: other
        numbers of groups or parameters, shapes, settings or moments that are unknown or missing.
        """
        groups, states = saved.fitting(self, state)
        index = self._indices()
        every: list[list[Flat]] = []
        for group in self.param_groups:
            every.append(_flats_of(p for p in group["params"] if index[id(p)] in states))
            for flat in every[-1]:
                flat.restore([states[index[id(p)]] for p in flat.parameters])
        self._flats = every
        for group, settings in zip(self.param_groups, groups):
            group.update(settings)

    def __repr__(self) -> str:
        decays = any("weight_decay" in group for group in self.param_groups)
        rows = [type(self).__name__ + (f", weight decay {self.decay}" if decays else "")]
        for i, group in enumerate(self.param_groups):
            settings = ", ".join(f"{k}={v!r}" for k, v in group.items() if k != "params")
            parameters = saved.counted(len(group["params"]), "parameter")
            numbers = saved.counted(sum(p.size for p in group["params"]), "number")
            rows.append(f"group {i}: {parameters} ({numbers}), {settings}")
        return "\n    ".join(rows)

    def _indices(self) -> dict[int, int]:
        """id of each parameter -> its number, counted through all groups."""
        every = [p for group in self.param_groups for p in group["params"]]
        return {id(p): i for i, p in enumerate(every)}

    def _house(self, parameters: list[Tensor], flats: list[Flat]) -> None:
        """Give those that have a gradient for the first time a place in a new Flat: what is frozen
        from the beginning costs no memory."""
        housed = {id(parameter) for flat in flats for parameter in flat.parameters}
        new = [p for p in parameters if p.grad is not None and id(p) not in housed]
        flats += _flats_of(new) if new else []


def _flats_of(parameters: Iterable[Tensor]) -> list[Flat]:
    """One Flat for each dtype and device."""
    kinds: dict[Any, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.dtype.itemsize < 4:
            raise TypeError(
                f"optimizer: steps get lost in {parameter.dtype}: keep the parameters in "
                "float32, and convert them in forward"
            )
        kinds.setdefault(kind_of(parameter), []).append(parameter)
    return [Flat(together) for together in kinds.values()]


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


def require_flag(name: str, value: Any) -> None:
    """TypeError unless it is a bool: a number in its place belongs to another setting."""
    if not isinstance(value, bool):
        raise TypeError(f"optimizer: {name} must be True or False, not {value!r:.60}")
