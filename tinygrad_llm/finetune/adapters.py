"""Adapters in folders: what LoRA has learned, without the model that it was learned on.

A folder has adapter.safetensors, the weights of LoRA and of the parts that learned whole, and
adapter.json, which says where they belong and by what frozen weights they were trained.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Container, Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_llm import nn
from tinygrad_llm.backend import put, to_host
from tinygrad_llm.data import row_hash
from tinygrad_llm.files import load_safetensors, save_safetensors, write_json
from tinygrad_llm.finetune.lora import (
    LoRALinear,
    Settings,
    at,
    check_layers,
    lora_layers,
    put_lora,
    refuse_lora,
)
from tinygrad_llm.nn.weights import LAYOUT

SETTINGS, WEIGHTS = "adapter.json", "adapter.safetensors"

FORMAT = "tinygrad_llm adapter 1"

MOST_BYTES = 2**20
"""Of an adapter.json; the names of the layers of a large model take some thousand."""

_SETTINGS = {field.name for field in fields(Settings)}
_KEYS = {"format", "model", "targets", "base", "weights", *_SETTINGS}

Arrays = dict[str, np.ndarray]
Kind = tuple[tuple[int, ...], np.dtype]


def save_adapter(model: nn.Module, folder: str | os.PathLike[str]) -> None:
    """Write the weights of the model's LoRA, and all others that learn, into a folder, which is
    made where it is missing. Each file is replaced whole or not at all.

    adapter.json holds the class of the model, the names of the layers ("targets") with rank, alpha,
    rslora and dropout, and two fingerprints, `row_hash`: of the frozen weights ("base") and of
    adapter.safetensors ("weights"). Whether a layer is merged changes nothing in them.

    Raises ValueError for a model without LoRA, or with layers of different settings;
    NotADirectoryError where `folder` is a file, else OSError as `files.atomic_write`.
    """
    layers, folder = lora_layers(model), Path(folder)
    if not layers:
        raise ValueError("save_adapter: the model has no LoRA: add_lora(model), and train it")
    settings = {layer.settings for layer in layers.values()}
    if len(settings) > 1:
        raise ValueError(
            "save_adapter: the LoRA layers have different settings, and a file holds one: make "
            "them by one add_lora"
        )
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give the name of a folder")
    folder.mkdir(parents=True, exist_ok=True)
    learned = _learned(model, layers)
    save_safetensors(folder / WEIGHTS, learned, {"layout": LAYOUT})
    said = {
        **{"format": FORMAT, "model": type(model).__name__, **asdict(settings.pop())},
        **{"targets": list(layers), "base": _base(model, learned), "weights": row_hash(learned)},
    }
    write_json(folder / SETTINGS, said)


def load_adapter(model: nn.Module, folder: str | os.PathLike[str]) -> list[str]:
    """Put the LoRA of a folder on the model that it was trained on; returns its layers' names.

    The model is one without LoRA, such as `from_pretrained` gives; its head may have any weights,
    if the adapter brings them. Then all is as after `add_lora`: what the adapter brought learns on.

    Raises, before anything is changed, FileNotFoundError for a folder or a file that is missing;
    ValueError, in one line that names the file and the mend, for a file that is broken, another
    class of model or other frozen weights than it was trained on, names, shapes and dtypes that do
    not fit, and a model with LoRA. Nothing is allocated by what a file only claims.
    """
    folder = Path(folder)
    refuse_lora("load_adapter", model)
    settings, said = _read_settings(folder / SETTINGS)
    if said["model"] != type(model).__name__:
        raise ValueError(
            f"{folder / SETTINGS} is for a {said['model']!r:.80}, not for a "
            f"{type(model).__name__}: give a model of that class"
        )
    _check_targets(folder / SETTINGS, model, said["targets"], settings.rank)
    arrays = _read_weights(folder / WEIGHTS, said["weights"])
    heads = _check_arrays(folder / WEIGHTS, model, said["targets"], settings.rank, arrays)
    if _base(model, heads) != said["base"]:
        raise ValueError(
            f"{folder / SETTINGS}: it was trained on a model with other weights: give the very "
            "model that it was trained on"
        )
    put_lora(model, said["targets"], settings, heads)
    _fill(model, arrays)
    return list(said["targets"])


def _learned(model: nn.Module, layers: Mapping[str, LoRALinear]) -> Arrays:
    """What LoRA has, whether it learns now or not, and all else that learns."""
    own = set(_lora_names(layers))
    return {
        name: to_host(parameter.data)
        for name, parameter in model.named_parameters()
        if name in own or parameter.requires_grad
    }


def _lora_names(layers: Iterable[str]) -> list[str]:
    return [f"{layer}.{own}" for layer in layers for own in ("lora_a", "lora_b")]


def _base(model: nn.Module, learned: Container[str]) -> str:
    """The fingerprint of all weights but those that were learned."""
    named = model.named_parameters()
    return row_hash({name: to_host(p.data) for name, p in named if name not in learned})


def _fill(model: nn.Module, arrays: Arrays) -> None:
    for name, parameter in model.named_parameters():
        if name in arrays:
            parameter.data[...] = put(arrays[name], parameter.device)
            parameter.touched()


def _read_settings(path: Path) -> tuple[Settings, dict[str, Any]]:
    """What an adapter.json says, with the kinds of values that ours have."""
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: give the folder of an adapter")
    _check_file(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has over {MOST_BYTES} bytes, so it is of no adapter")
    try:
        said = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
        _check_said(said)
        settings = {name: said[name] for name in _SETTINGS}
        return Settings(**settings), said
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        first = str(error).split("\n")[0]
        raise ValueError(f"{path} is broken ({first:.200}); save the adapter again") from None


def _check_file(path: Path) -> None:
    """Refuse what is missing, and what is no file: reading a pipe might never end."""
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: give a folder that save_adapter wrote")
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file: give a folder that save_adapter wrote")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _check_said(said: Any) -> None:
    """Raise ValueError for other keys than ours, and for values of other kinds."""
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise ValueError(f"it does not say format {FORMAT!r}")
    strange = [f"has {key!r:.60}" for key in said if key not in _KEYS]
    strange += [f"lacks {key!r}" for key in sorted(_KEYS) if key not in said]
    if strange:
        raise ValueError(f"it {strange[0]}")
    for key in ("model", "base", "weights"):
        if not isinstance(said[key], str):
            raise ValueError(f"{key} is {said[key]!r:.60}, no text")
    for key in ("rank", "alpha", "dropout"):
        if isinstance(said[key], bool) or not isinstance(said[key], (int, float)):
            raise ValueError(f"{key} is {said[key]!r:.60}, no number")
    targets = said["targets"]
    if not isinstance(targets, list) or not all(isinstance(each, str) for each in targets):
        raise ValueError(f"targets is {targets!r:.60}, no list of names")
    if not targets or len(set(targets)) < len(targets):
        raise ValueError("targets is empty, or names a layer twice")


def _check_targets(path: Path, model: nn.Module, targets: list[str], rank: int) -> None:
    """Refuse layers that the model does not have, or that LoRA cannot stand beside."""
    modules = {name for name, _ in model.named_modules() if name}
    unknown = [name for name in targets if name not in modules]
    if unknown:
        raise ValueError(
            f"{path}: the model has no layer {unknown[0]!r:.80}: give the very model that the "
            "adapter was trained on"
        )
    try:
        check_layers(model, targets, rank)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error!s:.300}") from None


def _read_weights(path: Path, fingerprint: str) -> Arrays:
    """The arrays of a file of ours, of the same save as adapter.json."""
    _check_file(path)
    arrays, metadata = load_safetensors(path)
    if metadata.get("layout") != LAYOUT:
        raise ValueError(
            f"{path}: its layout is {metadata.get('layout')!r:.40}, not {LAYOUT!r}; save the "
            "adapter again"
        )
    if row_hash(arrays) != fingerprint:
        raise ValueError(
            f"{path}: its fingerprint is not the one in {SETTINGS}: the two are not of one save, "
            "or damaged; save the adapter again"
        )
    return arrays


def _check_arrays(
    path: Path, model: nn.Module, targets: list[str], rank: int, arrays: Arrays
) -> list[str]:
    """The names of what learned beside LoRA; refuse any array that has no place in the model."""
    heads = {name: (p.shape, p.dtype) for name, p in model.named_parameters()}
    expected = {**heads, **_lora_kinds(model, targets, rank)}
    wrong = [f"it lacks {name}" for name in _lora_names(targets) if name not in arrays]
    for name, array in arrays.items():
        if name not in expected:
            wrong.append(f"it has {name!r:.80}, which the model has not")
        elif (array.shape, array.dtype) != expected[name]:
            shape, dtype = expected[name]
            wrong.append(f"{name} is {array.dtype}{array.shape}, expected {dtype}{shape}")
    if wrong:
        raise ValueError(f"{path}: {wrong[0]}; give the very model that it was trained on")
    return [name for name in arrays if name in heads]


def _lora_kinds(model: nn.Module, targets: list[str], rank: int) -> dict[str, Kind]:
    """The shape and dtype of each A and B that these layers of a model without LoRA would have."""
    kinds: dict[str, Kind] = {}
    for name in targets:
        layer: nn.Linear = at(model, name)
        shapes = (layer.in_features, rank), (rank, layer.out_features)
        kinds |= {own: (s, layer.weight.dtype) for own, s in zip(_lora_names([name]), shapes)}
    return kinds
