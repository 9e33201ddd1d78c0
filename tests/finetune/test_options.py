"""FinetuneOptions: every wrong value is one line that names the option, before anything is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tinygrad_llm.finetune import FinetuneOptions
from tinygrad_llm.finetune.options import METHODS, OF_LORA, PRESETS

WRONG = [
    ("model", ""),
    ("model", None),
    ("train", 3),
    ("train", None),
    ("out", ""),
    ("task", "ranking"),
    ("task", None),
    ("valid", ""),
    ("test", 0),
    ("method", "adapter"),
    ("preset", "J4"),
    ("epochs", 0),
    ("epochs", 2.0),
    ("batch_size", True),
    ("batch_size", 2**31),
    ("learning_rate", 0.0),
    ("learning_rate", float("nan")),
    ("learning_rate", float("inf")),
    ("learning_rate", 10**400),
    ("warmup", 1.0),
    ("warmup", -0.1),
    ("weight_decay", -1),
    ("weight_decay", "0"),
    ("patience", 0),
    ("max_length", 7),
    ("max_length", "128"),
    ("layer_decay", 0.0),
    ("layer_decay", 1.1),
    ("unfreeze_every", 0),
    ("dropout", 1.0),
    ("dropout", "0.1"),
    ("rank", 0),
    ("rank", -(10**400)),
    ("alpha", 0.0),
    ("rslora", 1),
    ("lora_targets", ""),
    ("lora_targets", "query,"),
    ("lora_targets", ("query",)),
    ("merge", None),
    ("tokenizer", ""),
    ("vocab_size", 0),
    ("vocab_size", 300.0),
    ("seed", -1),
    ("seed", 0.5),
    ("device", "gpu"),
    ("device", "cuda:x"),
    ("device", "cpu:1"),
    ("resume", "yes"),
]


def made(**changes):
    return FinetuneOptions(**{"model": "some/bert", "train": "a.tsv", "out": "out", **changes})


@pytest.mark.parametrize("name, value", WRONG, ids=lambda each: repr(each)[:20])
def test_a_wrong_value_is_one_line_that_names_the_option(name, value):
    method = {"method": "lora"} if name in OF_LORA else {}
    with pytest.raises((TypeError, ValueError)) as caught:
        made(**method, **{name: value})
    said = str(caught.value)
    assert said.startswith(f"{name} is ") and "\n" not in said and len(said) < 160


def test_every_option_is_checked():
    assert {name for name, _ in WRONG} == {each.name for each in dataclasses.fields(made())}


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"rank": 4}, ("rank", "method='lora'")),
        ({"alpha": 4.0, "method": "head"}, ("alpha", "method='lora'")),
        ({"rslora": True}, ("rslora", "method='lora'")),
        ({"lora_targets": "all"}, ("lora_targets", "method='lora'")),
        ({"merge": True, "method": "head"}, ("merge", "method='lora'")),
        ({"layer_decay": 0.9, "method": "lora"}, ("layer_decay", "method='full'")),
        ({"unfreeze_every": 9, "method": "head"}, ("unfreeze_every", "method='full'")),
        ({"tokenizer": "m"}, ("tokenizer", "some/bert brings its own")),
        ({"vocab_size": 300}, ("vocab_size", "some/bert brings its own")),
        ({"model": "mini", "tokenizer": "m", "vocab_size": 9}, ("vocab_size", "m is a folder")),
        ({"model": "tiny", "method": "head"}, ("model tiny", "method='full'")),
        ({"model": "tiny", "method": "lora"}, ("model tiny", "method='full'")),
    ],
    ids=lambda each: "-".join(each)[:30],
)
def test_options_that_contradict_each_other_are_named(changes, names):
    with pytest.raises(ValueError) as caught:
        made(**changes)
    said = str(caught.value)
    assert said.startswith(names[0]) and names[1] in said and "\n" not in said


def test_options_are_frozen_and_ready_for_json():
    options = made(train=Path("a.tsv"), device="cuda:1", dropout=0, method="lora", preset="J7")
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.epochs = 3
    assert FinetuneOptions(**json.loads(json.dumps(options.to_dict()))) == options
    assert options.train == "a.tsv"


def chosen(options):
    """What a preset may set."""
    names = ("learning_rate", "epochs", "batch_size", "warmup", "weight_decay")
    return tuple(getattr(options, name) for name in names)


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({}, (None, None, 32, 0.1, 0.01)),
        ({"model": "tiny"}, (None, None, 64, 0.1, 0.01)),
        ({"preset": "J5"}, (1e-5, None, 32, 0.0, 0.01)),
        ({"preset": "J6"}, (2e-5, 5, 16, 0.0, 0.0)),
        ({"preset": "J7"}, (5e-5, 3, 16, 0.1, 0.01)),
        ({"preset": "J8"}, (1e-5, 3, 16, 0.0, 0.0)),
        ({"preset": "J8", "epochs": 9, "warmup": 0.5}, (1e-5, 9, 16, 0.5, 0.0)),
    ],
    ids=str,
)
def test_what_is_not_given_is_that_of_the_preset_or_the_usual(changes, expected):
    assert chosen(made(**changes)) == expected


@pytest.mark.parametrize(
    "changes, width, rows, expected",
    [
        ({}, 256, 10_000, (2.5e-4, 8, 4)),
        ({}, 768, 10_000, (2.5e-4 / 3, 8, 4)),
        ({}, 64, 10_000, (5e-4, 8, 4)),
        ({"epochs": 4}, 256, 10_000, (2.5e-4, 4, 3)),
        ({"method": "head"}, 768, 10_000, (1e-2, 30, 15)),
        ({"method": "lora"}, 768, 10_000, (1e-3 / 3, 8, 4)),
        ({"model": "tiny"}, 128, 10_000, (1e-3, 8, 4)),
        ({}, 256, 450, (2.5e-4, 40, 20)),
        ({}, 256, 20, (2.5e-4, 60, 30)),
        ({"epochs": 3, "patience": 5, "learning_rate": 0.5}, 256, 20, (0.5, 3, 5)),
    ],
    ids=str,
)
def test_rate_epochs_and_patience_hang_on_the_model_and_the_rows(changes, width, rows, expected):
    options = made(**changes)
    found = options.settled(width, rows)
    names = ("learning_rate", "epochs", "patience")
    assert tuple(getattr(found, name) for name in names) == pytest.approx(expected)
    same = dict.fromkeys(names)
    assert {**options.to_dict(), **same} == {**found.to_dict(), **same}


def test_a_new_model_has_dropout():
    assert [made(model=name).dropout for name in ("tiny", "some/bert")] == [0.2, None]
    assert made(model="tiny", dropout=0).dropout == 0


def test_presets_set_the_seed_and_the_length_where_the_documents_do():
    assert [made(preset=name).seed for name in PRESETS] == [0, 0, 0, 42]
    assert [made(preset=name).max_length for name in PRESETS] == [None, 128, None, None]
    assert made(preset="J8", seed=1).seed == 1


def test_what_is_said_of_the_model():
    assert [made(model=name).is_new for name in ("tiny", "mini", "base", "./tiny")] == [
        *(True, True, True, False),
    ]
    assert made(lora_targets="query, value ,out", method="lora").lora_names == [
        *("query", "value", "out"),
    ]
    saved = [made(method=method).saves_adapter for method in METHODS]
    assert saved == [False, False, True] and not made(method="lora", merge=True).saves_adapter
