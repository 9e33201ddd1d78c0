"""Mixed precision: a forward pass in another dtype, over parameters that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from tinygrad_llm.nn.module import STAND_INS, Module, Parameter


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
    float32. In a block within a block its own dtype counts, so that a part can stay in float32.

    One block for all batches of a step casts the parameters once; as each backward then runs
    through the same copies, it needs retain_graph=True.

    `parameters()`, `state_dict()` and the like give the parameters themselves, within the block
    too; what is written into them there shows in the copies of the next block only. A `checkpoint`
    in the block computes its part again in backward, which then has to be in the block too; the
    option gradient_checkpointing of the Transformers takes care of that itself.
    Raises TypeError for a dtype that is not floating point.
    """
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        raise TypeError(f"in_dtype: parameters are floating point numbers, not {dtype}")
    parameters = list(module.parameters())
    now = {id(p): p.astype(dtype) for p in parameters}
    places = [(*place, now[id(_parameter(place[2]))]) for place in _places(module)]
    copies = {id(now[id(p)]): p for p in parameters if now[id(p)] is not p}
    STAND_INS.update(copies)
    try:
        for attributes, name, _, value in places:
            # Not by setattr: Module refuses a Tensor in the place of a Parameter.
            attributes[name] = value
        yield
    finally:
        for attributes, name, before, value in places:
            if attributes.get(name) is value:  # what the block itself has set stays
                attributes[name] = before
        for copy in copies:
            del STAND_INS[copy]


def _parameter(value: Any) -> Any:
    """The Parameter that an attribute stands for; any other value is itself."""
    return STAND_INS.get(id(value), value)


def _places(module: Module) -> list[tuple[dict[str, Any], str, Any]]:
    """(attributes of a module, name, value) of its parameters, or of what stands in for them."""
    return [
        (attributes, name, value)
        for attributes in map(vars, module.modules())
        for name, value in attributes.items()
        if isinstance(_parameter(value), Parameter)
    ]


def kept_copies(module: Module) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the module has what it computes with now, copies or the parameters
    themselves, for what is computed again in or after a block of `in_dtype`."""
    places = _places(module)

    @contextmanager
    def again() -> Iterator[None]:
        later = [(attributes, name, attributes[name]) for attributes, name, _ in places]
        try:
            for attributes, name, value in places:
                attributes[name] = value
            yield
        finally:
            for attributes, name, value in later:
                attributes[name] = value

    return again
