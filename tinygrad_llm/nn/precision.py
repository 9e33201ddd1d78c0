"""Mixed precision: a forward pass in another dtype, over parameters that stay as they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.tensor import Tensor


@contextmanager
def in_dtype(module: Module, dtype: Any) -> Iterator[None]:
    """Within the block the module, and those below it, compute with copies of their parameters in
    `dtype`; after it, and after an error, all is as before.

        with nn.in_dtype(model, "float16"):
            loss = F.cross_entropy(model(x.astype("float16")).astype("float32"), y)
        loss.backward()  # may come after the block

    The copies are on the tape, so that the gradients come to the parameters, in their own dtype:
    a step of the optimizer that float16 would round away is kept in float32. For gradients that
    float16 itself rounds to 0 see `optim.GradScaler`. A shared parameter is copied once and stays
    shared. Inputs are the caller's to convert; and a sum over many numbers, as in a loss, wants
    float32.

    `parameters()`, `state_dict()` and the like give the parameters themselves, within the block
    too; what is written into them there shows in the copies of the next block only. A `checkpoint`
    in the block computes its part again in backward, which then has to be in the block too.
    Raises TypeError for a dtype that is not floating point.
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"in_dtype: parameters are floating point numbers, not {dtype}")
    copies = _copies(module, dtype)
    replaced = {each: _replaceable(each, copies) for each in module.modules()}
    try:
        for each, originals in replaced.items():
            _replace(each, originals, copies)
        yield
    finally:
        for each, originals in replaced.items():
            _put_back(each, originals, copies)


def _copies(module: Module, dtype: np.dtype) -> dict[int, Tensor]:
    """id of a parameter → its copy; what has the dtype already needs none."""
    return {id(p): p.astype(dtype) for p in module.parameters() if p.dtype != dtype}


def _replaceable(module: Module, copies: dict[int, Tensor]) -> dict[str, Parameter]:
    """The module's own parameters that have a copy, by attribute."""
    return {name: value for name, value in vars(module).items() if id(value) in copies}


def _replace(module: Module, originals: dict[str, Parameter], copies: dict[int, Tensor]) -> None:
    if not originals:
        return

    def own() -> Iterator[tuple[str, Any]]:
        """As Module._own, which would not find the copies: they are no Parameters."""
        others = dict(type(module)._own(module))
        for name, value in list(vars(module).items()):
            original = originals.get(name)
            if original is not None and value is copies[id(original)]:
                yield name, original
            elif name in others:
                yield name, value

    # Through vars: Module refuses a Tensor in the place of a Parameter.
    vars(module).update({name: copies[id(p)] for name, p in originals.items()})
    vars(module)["_own"] = own


def _put_back(module: Module, originals: dict[str, Parameter], copies: dict[int, Tensor]) -> None:
    """Where the copy still is: what the block itself has set stays."""
    if originals:
        vars(module).pop("_own", None)
    for name, parameter in originals.items():
        if vars(module).get(name) is copies[id(parameter)]:
            vars(module)[name] = parameter
