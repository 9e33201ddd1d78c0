"""Which weights learn: freezing a part of a model, the head alone, and proof that nothing moved."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from tinygrad_llm import nn
from tinygrad_llm.backend import to_host
from tinygrad_llm.data import row_hash

M = TypeVar("M", bound=nn.Module)


def freeze(module: M) -> M:
    """No parameter of the module learns from now on; returns it.

    The tape does not record what is computed by frozen weights alone. Their gradients of before go:
    an optimizer moves, and decays, whatever has one. Dropout is at work in a frozen part as before.
    """
    for parameter in module.parameters():
        parameter.requires_grad = False
        parameter.grad = None
    return module


def unfreeze(module: M) -> M:
    """All parameters of the module learn from now on; returns it.

    An optimizer made while they were frozen does not have them: make it afterwards.
    """
    return module.requires_grad_(True)


def head_only(model: M) -> M:
    """Freeze the body of a model, the part that was pretrained; all else learns (F63). Returns it.

    A matrix that body and head share belongs to the body. Backward then ends at the head, and the
    tape keeps nothing of the body. The pooler of a BERT is of the body.

    Raises ValueError for a model that names no body, and for one that has nothing beside it.
    """
    body = body_of(model)
    inside = {id(parameter) for parameter in body.parameters()}
    head = [parameter for parameter in model.parameters() if id(parameter) not in inside]
    if not head:
        raise ValueError(f"a {type(model).__name__} has no head: nothing in it is beside its body")
    freeze(body)
    for parameter in head:
        parameter.requires_grad = True
    return model


def body_of(model: nn.Module) -> nn.Module:
    """The part of a model that its class names as `body`. Raises ValueError without one."""
    name = getattr(model, "body", "")
    body = getattr(model, name, None) if name else None
    if not isinstance(body, nn.Module):
        raise ValueError(
            f"a {type(model).__name__} has no body under a head: give a model such as "
            "BertForSequenceClassification, whose class names that part as its body"
        )
    return body


def counted(model: nn.Module) -> tuple[int, int]:
    """(how many numbers learn, how many there are); a shared parameter counts once."""
    parameters = list(model.parameters())
    return sum(p.size for p in parameters if p.requires_grad), sum(p.size for p in parameters)


def weights_hash(module: nn.Module) -> str:
    """The SHA-256 of a module's weights and their names: another one if a single bit has changed.

    Names count from the module, so that hashes of one part are the same in two models.
    """
    return row_hash({name: _bits(p) for name, p in module.named_parameters()})


def _bits(parameter: nn.Parameter) -> np.ndarray:
    """The bits, as integers as wide: `row_hash` takes −0.0 for 0.0, and any NaN for any."""
    array = to_host(parameter.data)
    return array.view(f"u{array.dtype.itemsize}")
