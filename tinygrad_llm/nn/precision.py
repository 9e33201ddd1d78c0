"""Mixed precision: a forward pass in another dtype, over parameters that stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import numpy as np

from tinygrad_llm.nn.module import STAND_INS, Module


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
    parameters = [p for p in module.parameters() if p.dtype != dtype]
    copies = {id(p): p.astype(dtype) for p in parameters}
    places = [
        (attributes, name, value)
        for attributes in map(vars, module.modules())
        for name, value in attributes.items()
        if id(value) in copies
    ]
    STAND_INS.update({id(copies[id(p)]): p for p in parameters})
    try:
        for attributes, name, p in places:
            # Not by setattr: Module refuses a Tensor in the place of a Parameter.
            attributes[name] = copies[id(p)]
        yield
    finally:
        for attributes, name, p in places:
            if attributes.get(name) is copies[id(p)]:  # what the block itself has set stays
                attributes[name] = p
        for copy in copies.values():
            del STAND_INS[id(copy)]


def kept_copies(module: Module) -> Callable[[], AbstractContextManager[None]]:
    """A context in which the module has the copies of its parameters that it has now, for what is
    computed again after the block of `in_dtype`."""
    places = [
        (attributes, name, value)
        for attributes in map(vars, module.modules())
        for name, value in attributes.items()
        if id(value) in STAND_INS
    ]

    @contextmanager
    def again() -> Iterator[None]:
        later = [(attributes, name, attributes[name]) for attributes, name, _ in places]
        try:
            for attributes, name, copy in places:
                attributes[name] = copy
            yield
        finally:
            for attributes, name, value in later:
                attributes[name] = value

    return again
