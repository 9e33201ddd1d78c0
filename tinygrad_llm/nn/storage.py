"""Parameters without storage: a model of any size is made and counted in next to no memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad_llm.backend.storage import NoStorage
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor, as_array

_absent: ContextVar[bool] = ContextVar("absent", default=False)


@contextmanager
def no_storage() -> Iterator[None]:
    """Within the block new parameters have a shape and a dtype, and no values.

        with nn.no_storage():
            model = models.BertModel(models.BertConfig.preset("base"))
        model.summary()  # 109,482,240 parameters, 417.6 MiB: of which nothing was allocated

    Counting, names, `summary()` and `astype` work; `nn.init` draws nothing, and random streams stay
    where they are. A forward pass, `load_state_dict`, `to` and all else that needs values raise
    RuntimeError. (It is PyTorch's device "meta".)
    """
    token = _absent.set(True)
    try:
        yield
    finally:
        _absent.reset(token)


def room(*shape: int) -> Any:
    """A float32 array of this shape to be filled, or, under `no_storage`, the shape alone."""
    return NoStorage(shape, DEFAULT_DTYPE) if _absent.get() else np.empty(shape, DEFAULT_DTYPE)


def stored(data: Any, dtype: Any) -> Any:
    """The data of a new parameter: what is given, or, under `no_storage`, its shape alone."""
    if not _absent.get() or type(data) is NoStorage:
        return data
    array = as_array(data.data if isinstance(data, Tensor) else data, dtype)
    return NoStorage(array.shape, array.dtype)
