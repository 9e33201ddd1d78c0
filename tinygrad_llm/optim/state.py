"""What a saved state of an optimizer must be to fit another one: everything is checked here."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Set
from numbers import Integral, Real
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import is_array, to_host
from tinygrad_llm.tensor import Tensor

_SCHEDULED = frozenset({"initial_lr", "scheduled_lr"})
"""What a `Schedule` notes in a group; a state from before it was made has none of it."""

Settings = dict[str, Any]
States = dict[int, dict[str, Any]]


def fitting(optimizer: Any, state: Mapping[str, Any]) -> tuple[list[Settings], States]:
    """The settings of each group, and of each parameter its "step" and moments as NumPy arrays.

    Raises ValueError for what does not fit `optimizer`, TypeError for what is no number or array.
    """
    _keys("a saved state", state, {"state", "param_groups"})
    given, own = state["param_groups"], optimizer.param_groups
    if len(given) != len(own):
        raise ValueError(f"optimizer: {counted(len(own), 'group')} here, {len(given)} in the state")
    groups: list[Settings] = []
    places: list[tuple[Tensor, Settings]] = []  # of each parameter, through all groups
    for i, (ours, theirs) in enumerate(zip(own, given)):
        groups.append(_settings(f"group {i}", ours, theirs, len(places)))
        optimizer.check({**ours, **groups[-1]})
        places += [(parameter, groups[-1]) for parameter in ours["params"]]
    states = {}
    for index, mine in state["state"].items():
        if not _is_whole(index) or not 0 <= index < len(places):
            known = f"they are 0 to {len(places) - 1}"
            raise ValueError(f"optimizer: no parameter {index!r:.60} here: {known}")
        parameter, settings = places[index]
        states[index] = _moments(f"parameter {index}", mine, parameter, optimizer, settings)
    return groups, states


def _keys(name: str, given: Any, required: Set[str], allowed: Set[str] = frozenset()) -> None:
    if not isinstance(given, Mapping):
        raise TypeError(f"optimizer: {name} is a dict, not {type(given).__name__}")
    known = required | allowed
    for what, keys, mend in (
        ("unknown", given.keys() - known, f"; known are {_listed(known)}"),
        ("missing", required - given.keys(), ""),
    ):
        if keys:
            raise ValueError(f"optimizer: {name}: {what} {_listed(keys)}{mend}")


def _listed(keys: Collection[Any]) -> str:
    return ", ".join(sorted(map(str, keys)))


def _settings(name: str, ours: Settings, theirs: Any, start: int) -> Settings:
    _keys(name, theirs, ours.keys() - _SCHEDULED, _SCHEDULED)
    count, given = len(ours["params"]), list(theirs["params"])
    if len(given) != count:
        raise ValueError(
            f"optimizer: {name} has {counted(count, 'parameter')} here, {len(given)} in the state"
        )
    if given != list(range(start, start + count)):
        raise ValueError(f"optimizer: {name}: parameters are counted from {start}, not {given}")
    found = {
        key: _like(f"{name}, {key}", ours.get(key, 0.0), value)
        for key, value in theirs.items()
        if key != "params"
    }
    _check_scheduled(name, found)
    return found


def _check_scheduled(name: str, found: Settings) -> None:
    """What a schedule noted: both or none, and learning rates."""
    noted = sorted(found.keys() & _SCHEDULED)
    if len(noted) == 1:
        raise ValueError(f"optimizer: {name}: {noted[0]} stands alone, of {_listed(_SCHEDULED)}")
    for key in noted:
        if not 0.0 <= found[key] < math.inf:
            raise ValueError(f"optimizer: {name}, {key} must be at least 0, not {found[key]}")


def _like(name: str, ours: Any, theirs: Any) -> Any:
    """A setting, which is a bool, a number, or a few of them: whatever else it is, nobody runs."""
    if isinstance(ours, (tuple, list)) and isinstance(theirs, (tuple, list)):
        if len(ours) == len(theirs):
            return tuple(_like(name, a, b) for a, b in zip(ours, theirs))
    elif isinstance(ours, bool) or isinstance(theirs, bool):
        if isinstance(ours, bool) and isinstance(theirs, bool):
            return theirs
    elif isinstance(theirs, Real):
        return theirs
    raise TypeError(f"optimizer: {name} must be like {ours!r}, not {theirs!r:.60}")


def _moments(
    name: str, given: Any, parameter: Tensor, optimizer: Any, settings: Settings
) -> dict[str, Any]:
    _keys(name, given, {"step", *optimizer.needed(settings)}, set(optimizer.moments))
    step, moments = given["step"], [key for key in given if key != "step"]
    if not _is_whole(step) or step < 1:
        raise ValueError(f"optimizer: {name}: step counts from 1, not {step!r:.60}")
    arrays = {key: _array(f"{name}: {key}", given[key], parameter) for key in moments}
    for key in arrays.keys() & set(optimizer.squares):
        if (arrays[key] < 0.0).any():
            raise ValueError(f"optimizer: {name}: {key} is below 0, and no mean of squares ever is")
    return {"step": int(step), **arrays}


def _array(name: str, value: Any, parameter: Tensor) -> np.ndarray:
    value = value.data if isinstance(value, Tensor) else value
    if not is_array(value) or value.dtype.kind != "f":
        raise TypeError(f"optimizer: {name} must be an array of floats, not {value!r:.60}")
    if value.shape != parameter.shape:
        raise ValueError(
            f"optimizer: {name} has shape {value.shape}, the parameter {parameter.shape}"
        )
    value = to_host(value)
    if not np.isfinite(value).all():
        bad = int((~np.isfinite(value)).sum())
        raise ValueError(
            f"optimizer: {name} is inf or NaN in {bad:,} of {value.size:,} places: "
            "give the state of an earlier step"
        )
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def counted(count: int, noun: str) -> str:
    """1 parameter, 1,203 parameters."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
