"""PretrainOptions: every wrong value is one line that names the option, before anything is read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.pretrain.common import documents
from tinygrad_llm.pretrain import PretrainOptions
from tinygrad_llm.pretrain.parts import make_tokenizer

WRONG = [
    ("model", "t5"),
    ("model", None),
    ("data", ""),
    ("data", 3),
    ("out", None),
    ("preset", "huge"),
    ("tokenizer", ""),
    ("vocab_size", 0),
    ("vocab_size", 257),
    ("vocab_size", 300.0),
    ("block_size", 7),
    ("block_size", "128"),
    ("batch_size", 0),
    ("steps", 0),
    ("steps", True),
    ("steps", 2**31),
    ("steps", 10**400),
    ("block_size", 2**31),
    ("learning_rate", 0.0),
    ("learning_rate", float("nan")),
    ("learning_rate", float("inf")),
    ("warmup", 1.0),
    ("warmup", -0.1),
    ("weight_decay", -1),
    ("dropout", 1.0),
    ("dropout", "0.1"),
    ("seed", -1),
    ("seed", 0.5),
    ("valid_share", 0),
    ("valid_share", 1),
    ("unit", "word"),
    ("unit", "line"),
    ("whole_word", 1),
    ("next_sentence", None),
    ("mlm_probability", 0),
    ("mlm_probability", 1.5),
    ("resume", "yes"),
    ("save_steps", 0),
    ("eval_steps", -3),
    ("gradient_checkpointing", 1),
    ("gradient_accumulation_steps", 0),
    ("device", "gpu"),
    ("device", "cuda:x"),
    ("device", "cpu:1"),
]


def made(**changes):
    return PretrainOptions(**{"model": "gpt", "data": "english", "out": "out", **changes})


@pytest.mark.parametrize("name, value", WRONG, ids=lambda each: repr(each)[:20])
def test_a_wrong_value_is_one_line_that_names_the_option(name, value):
    kinds = (TypeError, ValueError)
    with pytest.raises(kinds) as caught:
        made(**{name: value})
    said = str(caught.value)
    assert name in said and "\n" not in said and len(said) < 160


@pytest.mark.parametrize(
    "changes, names",
    [
        ({"init": "m", "tokenizer": "bpe"}, ("init", "tokenizer")),
        ({"init": "m", "preset": "tiny"}, ("init", "preset")),
        ({"init": "m", "vocab_size": 300}, ("init", "vocab_size")),
        ({"tokenizer": "some/folder", "vocab_size": 300}, ("vocab_size", "some/folder")),
        ({"model": "bert", "tokenizer": "bpe", "vocab_size": 260}, ("vocab_size", "261")),
        ({"whole_word": True}, ("whole_word", "bert")),
        ({"next_sentence": False}, ("next_sentence", "bert")),
        ({"mlm_probability": 0.3}, ("mlm_probability", "bert")),
        ({"unit": "line", "data": "a.jsonl"}, ("unit", "a.jsonl")),
    ],
)
def test_options_that_contradict_each_other_are_named(changes, names):
    with pytest.raises(ValueError) as caught:
        made(**changes)
    assert all(name in str(caught.value) for name in names)


def test_options_are_frozen_and_ready_for_json():
    options = made(data=Path("a.txt"), unit="line", device="cuda:1", dropout=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        options.steps = 3
    assert PretrainOptions(**json.loads(json.dumps(options.to_dict()))) == options
    assert options.data == "a.txt"


def test_every_option_is_checked():
    names = {name for name, _ in WRONG}
    assert names == {field.name for field in dataclasses.fields(PretrainOptions)} - {"init"}


def test_dropout_sets_that_of_the_family():
    gpt = made(dropout=0.3).config_changes
    assert set(gpt) == {"resid_pdrop", "embd_pdrop", "attn_pdrop", "gradient_checkpointing"}
    bert = made(model="bert", dropout=0.3).config_changes
    assert bert["hidden_dropout_prob"] == bert["attention_probs_dropout_prob"] == 0.3
    assert made(init="m").config_changes == {}


@pytest.mark.parametrize("kind", ["characters", "bpe", "wordpiece"])
def test_each_tokenizer_can_be_trained_for_each_model(kind):
    texts = documents(["to be, or not to be", "那是问题。"])
    gpt = make_tokenizer(made(tokenizer=kind, vocab_size=300), texts)
    assert gpt.eos_token == "<|endoftext|>" and gpt.pad_token_id is not None
    assert gpt.encode("to be") == gpt.encode("to be", add_special_tokens=False)
    bert = make_tokenizer(made(model="bert", tokenizer=kind, vocab_size=300), texts)
    ids = bert.encode("to", "be")
    assert ids[0] == bert.cls_token_id and ids.count(bert.sep_token_id) == 2
    assert bert.mask_token_id is not None
    assert bert("to", "be")["token_type_ids"][-1] == 1
    assert make_tokenizer(made(model="bert"), texts).kind == "wordpiece"
    assert make_tokenizer(made(), texts).kind == "bpe"
