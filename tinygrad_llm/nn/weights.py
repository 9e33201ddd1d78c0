"""Weights in files: safetensors, with a tag that says which way round a Linear's weight is."""

from __future__ import annotations

import os
from collections.abc import Iterator

from tinygrad_llm.backend.devices import to_host
from tinygrad_llm.files import load_safetensors, save_safetensors
from tinygrad_llm.nn.module import Module

LAYOUT = "in_out"
"""Ours: Y = XW + b, so a weight is (in, out). PyTorch's layout, "torch", is (out, in)."""


def save_weights(module: Module, path: str | os.PathLike[str]) -> None:
    """Write all parameters by name, as safetensors with the metadata `layout: in_out`.

    A shared parameter is written once, under its first name. Raises OSError where the file cannot
    be written; a file that was there before stays whole until the new one is complete.
    """
    arrays = {name: to_host(p.data) for name, p in module.named_parameters()}
    save_safetensors(path, arrays, {"layout": LAYOUT})


def load_weights(module: Module, path: str | os.PathLike[str], layout: str | None = None) -> None:
    """Read a safetensors file into a module of the same structure.

    layout: "in_out" or "torch" for a file that does not say; a square weight would else be loaded
        the wrong way round without a word. A file of ours says it, and must not be contradicted.
    Raises ValueError for a file without a layout, or that contradicts the one given, and as
    `Module.load_state_dict` and `files.load_safetensors` do.
    """
    arrays, metadata = load_safetensors(path)
    if _layout_of(os.fspath(path), metadata.get("layout"), layout) == "torch":
        for name in _transposed_names(module):
            if name in arrays:
                arrays[name] = arrays[name].T
    try:
        module.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _layout_of(path: str, said: str | None, given: str | None) -> str:
    for layout in (said, given):
        if layout not in (None, LAYOUT, "torch"):
            raise ValueError(f"{path}: layout {layout!r} is unknown: 'in_out' or 'torch'")
    if said is not None and given is not None and said != given:
        raise ValueError(f"{path}: it says layout {said!r}: do not give {given!r}")
    layout = said or given
    if layout is None:
        raise ValueError(
            f"{path}: it does not say how Linear weights lie: give layout='torch' for (out, in), "
            "as PyTorch writes them, or 'in_out'"
        )
    return layout


def _transposed_names(module: Module) -> Iterator[str]:
    """Paths of the parameters that the torch layout holds the other way round."""
    for path, each in module._all_modules(""):
        for name in each.transposed:
            yield f"{path}.{name}" if path else name
