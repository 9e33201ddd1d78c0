"""A model in a folder: config.json and model.safetensors, written whole and read without trust."""

from __future__ import annotations

import json
import os
import stat
import warnings
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from tinygrad_llm import nn
from tinygrad_llm.files import load_safetensors, write_json
from tinygrad_llm.nn.weights import LAYOUT

CONFIG, WEIGHTS = "config.json", "model.safetensors"

MOST_BYTES = 2**20
"""Of a config.json; ours have less than a thousand."""

_LAYERS = ("n_layer", "num_hidden_layers")
_WIDTHS = ("n_embd", "n_inner", "hidden_size", "intermediate_size", "num_labels")
"""Fields that say how many modules are made and how long their vectors are: both take memory, so
that they must be credible before any is made."""

CLASSES: dict[str, type[PretrainedModel]] = {}
"""The models that folders can hold, by the names of their classes."""

Model = TypeVar("Model", bound="PretrainedModel")
Arrays = dict[str, np.ndarray]


class PretrainedModel(nn.Module):
    """A model with a frozen configuration, which it is made from: `Model(config)`.

    A class says `class GPT2LMHeadModel(PretrainedModel, config=GPT2Config, family="gpt2")`; those
    that inherit from it are of the same family.
    """

    config: Any
    config_class: ClassVar[type]
    family: ClassVar[str]
    """What config.json calls "model_type"."""

    body: ClassVar[str] = ""
    """The name of the part that all classes of the family have; "" for a class that is it."""

    shared: ClassVar[tuple[str, ...]] = ()
    """Other parts that mean the same in each class of the family that has them."""

    def __init__(self, config: Any = None):
        self.config = config

    def __init_subclass__(cls, config: type | None = None, family: str = "", **rest: Any) -> None:
        super().__init_subclass__(**rest)
        if config is not None:
            cls.config_class, cls.family = config, family
        if not cls.__name__.startswith("_"):
            CLASSES[cls.__name__] = cls

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write the model into a folder, which is made where it is missing: config.json, with the
        class as "architectures", and model.safetensors. Each is replaced whole or not at all.

        Raises ValueError, before anything is written, for a model of other parameters than its
        configuration says, as one with LoRA, which could not be read again; NotADirectoryError
        where `folder` is a file, else OSError as `atomic_write`.
        """
        _check_readable(self)
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise NotADirectoryError(f"{folder} is a file; give the name of a folder")
        folder.mkdir(parents=True, exist_ok=True)
        nn.save_weights(self, folder / WEIGHTS)
        self.save_config(folder)

    def save_config(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json alone into a folder that is there, whole or not at all. Raises OSError
        as `atomic_write`."""
        said = {"model_type": self.family, "architectures": [type(self).__name__]}
        write_json(Path(folder) / CONFIG, {**said, **_plain(asdict(self.config))})

    @classmethod
    def config_of(cls, folder: str | os.PathLike[str]) -> Any:
        """The configuration in a folder of this class or one of its family; no weights are read,
        and no model is made.

        Raises as `from_pretrained` for the folder and its config.json, whose sizes may be anything.
        """
        path = Path(folder) / CONFIG
        found = _read_config(path)
        return _made_config(path, _class_of(path, found, cls), found)

    @classmethod
    def from_pretrained(cls: type[Model], folder: str | os.PathLike[str], **changes: Any) -> Model:
        """The model of a folder, in evaluation mode; nothing is downloaded, and no code is run.

        A folder of another class of the same family gives what the two have in common, above all
        the body; the rest is drawn anew, and one warning names it.
        changes: fields of the configuration that count for more than the file's, as num_labels=3.
            Where parameters change their shapes by them, that is an error. For names and values
            that the configuration does not take they raise its own TypeError or ValueError.

        Raises FileNotFoundError for a folder or a file that is missing; ValueError, in one line
        that names the file and the mend, for a file that is broken, another family, fields that
        this configuration does not have or takes no such value for, and weights of other names or
        shapes than config.json says, before memory for them is taken.
        """
        path = Path(folder) / CONFIG
        found = _read_config(path)
        source = _class_of(path, found, cls)
        arrays = _read_weights(Path(folder) / WEIGHTS)
        _check_sizes(path, found, arrays)
        shapes = _shapes(source, _made_config(path, source, found), path)
        _check_shapes(Path(folder) / WEIGHTS, path, source, shapes, arrays)
        said = _made_config(path, cls, found)
        config = replace(said, **_checked_changes(cls, changes))
        arrays = _renamed(source, cls, arrays)
        _check_same(_shapes(cls, said, path), cls, config, arrays, path)
        return _filled(cls, config, arrays, path)


def from_pretrained(folder: str | os.PathLike[str], **changes: Any) -> Any:
    """The model of a folder, of the class that its config.json names under "architectures"; else
    as `PretrainedModel.from_pretrained`, whose errors it raises."""
    path = Path(folder) / CONFIG
    return _class_of(path, _read_config(path), None).from_pretrained(folder, **changes)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The same with NumPy's numbers, as a vocabulary's size may be one, as Python's."""
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}


def _read_config(path: Path) -> dict[str, Any]:
    """The object in a config.json."""
    if path.parent.is_file():
        raise NotADirectoryError(f"{path.parent} is a file: give the folder of a model")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}: give the folder of a model")
    _check_file(path)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path} has over {MOST_BYTES} bytes, so it is no configuration")
    try:
        found = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        said = str(error).split("\n")[0]
        raise ValueError(f"{path} is broken ({said:.100}); save the model again") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no JSON object; save the model again")
    return found


def _check_file(path: Path) -> None:
    """Refuse what is missing, and what is no file: reading a pipe might never end."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: give the folder of a model that save_pretrained wrote; of a run "
            "that has not ended, go on with it first"
        )
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file: give the folder of a model")


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON value")


def _class_of(path: Path, found: dict[str, Any], wanted: type | None) -> type[PretrainedModel]:
    """The class that the file names; of the family that is wanted."""
    names = found.get("architectures")
    name = names[0] if isinstance(names, list) and len(names) == 1 else None
    known = CLASSES.get(name) if isinstance(name, str) else None
    if known is None:
        raise ValueError(
            f"{path}: architectures is {names!r:.80}; known are {', '.join(sorted(CLASSES))}"
        )
    if found.get("model_type") != known.family:
        said = found.get("model_type")
        raise ValueError(f"{path}: model_type is {said!r:.40}; a {name} is {known.family!r}")
    family = getattr(wanted, "family", known.family)
    if family != known.family:
        assert wanted is not None
        raise ValueError(
            f"{path} is of a {name}, of which no {wanted.__name__} can be made; use "
            f"models.from_pretrained, or a class of {known.family}"
        )
    return known


def _made_config(path: Path, owner: type[PretrainedModel], found: Mapping[str, Any]) -> Any:
    """The configuration that the fields make."""
    given = {k: v for k, v in found.items() if k not in ("model_type", "architectures")}
    kind = owner.config_class
    known = [field.name for field in fields(kind)]
    unknown = [name for name in given if name not in known]
    if unknown:
        shown = ", ".join(map(repr, unknown[:5]))
        raise ValueError(f"{path}: {kind.__name__} has no field {shown:.200}; remove it")
    try:
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error!s:.300}") from None


def _checked_changes(cls: type[PretrainedModel], changes: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(cls.config_class)}
    for name in changes:
        if name not in known:
            raise TypeError(
                f"{cls.__name__}.from_pretrained: {name!r} is no field of "
                f"{cls.config_class.__name__}; leave it out"
            )
    return changes


def _read_weights(path: Path) -> Arrays:
    """The arrays of a file of ours: floats, in our layout."""
    _check_file(path)
    arrays, metadata = load_safetensors(path)
    if metadata.get("layout") != LAYOUT:
        raise ValueError(
            f"{path}: its layout is {metadata.get('layout')!r:.40}, not {LAYOUT!r}; make the model "
            "and read it by nn.load_weights(model, path, layout), then save_pretrained"
        )
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            raise ValueError(f"{path}: {name!r:.80} holds {array.dtype}, no weights; save again")
    return arrays


def _check_sizes(path: Path, found: dict[str, Any], arrays: Arrays) -> None:
    """Refuse more layers than there are arrays, of which each has some of its own, and vectors
    longer than any side of an array."""
    longest = max((side for array in arrays.values() for side in array.shape), default=0)
    most = dict.fromkeys(_LAYERS, len(arrays)) | dict.fromkeys(_WIDTHS, longest)
    for name, limit in most.items():
        value = found.get(name)
        if isinstance(value, int) and value > limit:
            raise ValueError(
                f"{path}: {name} is {value!r:.40}, which does not fit the {len(arrays)} arrays of "
                f"{WEIGHTS}, none longer than {longest}; save the model again"
            )


def _shapes(cls: type[PretrainedModel], config: Any, source: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each parameter of a model that is not made; errors name the source of config."""
    try:
        with nn.no_storage():
            return {name: p.shape for name, p in cls(config).named_parameters()}
    except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
        raise ValueError(f"{source}: {error}") from None


def _check_shapes(
    weights: Path, config: Path, cls: type, shapes: dict[str, tuple[int, ...]], arrays: Arrays
) -> None:
    """Refuse a file that holds other parameters than the configuration says."""
    wrong = {
        "lacks": [name for name in shapes if name not in arrays],
        "has besides": [name for name in arrays if name not in shapes],
        "has in another shape": [
            f"{name} {arrays[name].shape} for {shape}"
            for name, shape in shapes.items()
            if name in arrays and arrays[name].shape != shape
        ],
    }
    parts = [f"it {what} {_first(names)}" for what, names in wrong.items() if names]
    if parts:
        raise ValueError(
            f"{weights} does not fit {config.name}, which says {cls.__name__}: {'; '.join(parts)}; "
            "save the model again"
        )


def _check_readable(model: PretrainedModel) -> None:
    """Refuse a model whose folder `from_pretrained` would refuse."""
    cls = type(model)
    own = {name: p.shape for name, p in model.named_parameters()}
    made = _shapes(cls, model.config, f"{cls.__name__}.save_pretrained")
    other = [name for name in {**own, **made} if own.get(name) != made.get(name)]
    if other:
        raise ValueError(
            f"{cls.__name__}.save_pretrained: its config does not fit {_first(other, 2)}, so that "
            "the folder could not be read again: with LoRA call merge_lora(model) first, or "
            "save_adapter(model, folder); else give the model the config that it was changed to"
        )


def _first(names: list[str], most: int = 3) -> str:
    """Some names from a file, which may hold anything."""
    shown = [name if name.isprintable() else repr(name) for name in names[:most]]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name:.100}" for name in shown) + more


def _renamed(source: type[PretrainedModel], cls: type[PretrainedModel], arrays: Arrays) -> Arrays:
    """What a class takes of another's arrays, under its own names."""
    if source is cls:
        return arrays
    before, now = (f"{each.body}." if each.body else "" for each in (source, cls))
    found = {}
    for name, array in arrays.items():
        if name.startswith(before):
            found[now + name.removeprefix(before)] = array
        elif name.split(".")[0] in set(source.shared) & set(cls.shared):
            found[name] = array
    return found


def _check_same(
    before: dict[str, tuple[int, ...]], cls: type, config: Any, arrays: Arrays, path: Path
) -> None:
    """Refuse changes of the configuration that change a parameter which the folder has."""
    after = _shapes(cls, config, f"{cls.__name__}.from_pretrained")
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    lost = [name for name in names if name in arrays or name not in before or name not in after]
    if lost:
        was, now = (shapes.get(lost[0], "missing") for shapes in (before, after))
        raise ValueError(
            f"{path.parent / WEIGHTS}: {lost[0]} is {was} there and {now} by the changes that are "
            "given; leave out what changes it"
        )


def _filled(cls: type[Model], config: Any, arrays: Arrays, path: Path) -> Model:
    """A model with these arrays where it has parameters of their names; the others are drawn."""
    model = cls(config)
    state = model.state_dict()
    new = [name for name in state if name not in arrays]
    model.load_state_dict({name: arrays.get(name, value) for name, value in state.items()})
    if new:
        warnings.warn(
            f"{cls.__name__} from {path.parent}: {', '.join(new)} {'are' if new[1:] else 'is'} "
            "not there and begin with drawn values: train the model before it is used",
            stacklevel=3,
        )
    return model.eval()
