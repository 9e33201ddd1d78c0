"""Groups of parameters: which of them weight decay is for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_llm.optim.base import require
from tinygrad_llm.tensor import Tensor


def decay_groups(module_or_named_parameters: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: matrices, with weight_decay, and the rest, with 0.0.

    The rest has fewer than two axes: biases, and the gains of norms. Decay draws weights to 0,
    which keeps a function smooth; a bias only shifts it, and a gain belongs near 1, not near 0.
    Frozen parameters are left out, a shared one is there once, and a group that would have no
    parameters is not made.

    module_or_named_parameters: a module, or pairs (name, parameter), as its `named_parameters()`.
    Raises ValueError for a negative weight_decay, and when nothing is left to learn; TypeError for
    what are no pairs.
    """
    require("weight_decay", weight_decay, 0.0)
    given = module_or_named_parameters
    given = given.named_parameters() if hasattr(given, "named_parameters") else given
    learning = {id(p): p for p in _parameters(given) if p.requires_grad}
    if not learning:
        raise ValueError(
            "decay_groups: nothing to learn: there are no parameters, or all are frozen"
        )
    matrices = [p for p in learning.values() if p.ndim >= 2]
    rest = [p for p in learning.values() if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def _parameters(pairs: Iterable[Any]) -> list[Tensor]:
    if isinstance(pairs, Tensor) or not isinstance(pairs, Iterable):
        raise TypeError(
            f"decay_groups: give a module or its named_parameters(), not a {type(pairs).__name__}"
        )
    found = []
    for pair in pairs:
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Tensor):
            raise TypeError(
                f"decay_groups: give pairs (name, parameter), as of named_parameters(), "
                f"not {pair!r:.60}"
            )
        found.append(pair[1])
    return found
