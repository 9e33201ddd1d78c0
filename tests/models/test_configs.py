"""Tests of what all configurations refuse: values that make no sense, by the name of the field."""

from __future__ import annotations

from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from tinygrad_llm import models

NAN, INF = float("nan"), float("inf")

BERT = models.BertConfig(vocab_size=13)
GPT2 = models.GPT2Config(vocab_size=13)
TRANSFORMER = models.TransformerConfig(13)
BETWEEN = models.TransformerConfig(13, target_vocab_size=9)
"""Of two vocabularies."""

CONFIGS = (BERT, GPT2, TRANSFORMER)

POSITIVE = [
    (BERT, "layer_norm_eps"),
    (BERT, "initializer_range"),
    (GPT2, "layer_norm_epsilon"),
    (GPT2, "initializer_range"),
]

IDS = [
    (BERT, "pad_token_id", 13),
    (GPT2, "bos_token_id", 13),
    (GPT2, "eos_token_id", 13),
    (GPT2, "pad_token_id", 13),
    (TRANSFORMER, "pad_token_id", 13),
    (TRANSFORMER, "decoder_start_token_id", 13),
    (TRANSFORMER, "eos_token_id", 13),
    (BETWEEN, "pad_token_id", 9),
    (BETWEEN, "decoder_start_token_id", 9),
    (BETWEEN, "eos_token_id", 9),
    (models.TransformerConfig(9, target_vocab_size=13), "pad_token_id", 9),
    (models.TransformerConfig(9, target_vocab_size=13), "decoder_start_token_id", 13),
    (models.TransformerConfig(9, target_vocab_size=13), "eos_token_id", 13),
]
"""A field, and the first id that its vocabulary lacks."""

SHARES = ("dropout", "_prob", "pdrop")
"""How the names of probabilities end."""

FLAGS = [(BERT, "gradient_checkpointing"), (GPT2, "gradient_checkpointing"), (TRANSFORMER, "tied")]


def refused(config, name, value, kind):
    """The message of the error that names the field."""
    with pytest.raises(kind) as caught:
        replace(config, **{name: value})
    said = str(caught.value)
    assert said.startswith(f"{type(config).__name__}: {name} ") and "\n" not in said
    return said


@pytest.mark.parametrize(("config", "name"), POSITIVE)
def test_numbers_above_0(config, name):
    for value in (-1, -1e-9, 0, 0.0, NAN, INF, 1e39, 10**400):
        said = refused(config, name, value, ValueError)
        assert f"{name} must be above 0 and fit into float32, not " in said and len(said) < 150
    for value in ("a", "0.1", True, None, [0.1], 1j):
        assert f"{name} must be a number, not {value!r}" in refused(config, name, value, TypeError)
    for value in (1e-12, 0.5, 1, 3e38, np.float32(0.5)):
        assert getattr(replace(config, **{name: value}), name) == value


@pytest.mark.parametrize(
    ("config", "name"),
    [(c, f.name) for c in CONFIGS for f in fields(c) if f.name.endswith(SHARES)],
)
def test_probabilities(config, name):
    for value in (-1, -1e-9, 1.0001, 2, NAN, INF, 10**400):
        said = refused(config, name, value, ValueError)
        assert f"{name} is a probability, not " in said and len(said) < 150
    for value in ("a", "0.1", True, [0.1], 1j):
        said = refused(config, name, value, TypeError)
        assert f"{name} is a probability, not {value!r}" in said
    for value in (0, 0.0, 0.5, 1, 1.0):
        assert getattr(replace(config, **{name: value}), name) == value


@pytest.mark.parametrize(("config", "name", "rows"), IDS)
def test_ids_are_those_of_the_vocabulary(config, name, rows):
    for value in (-1, rows, rows + 1, 10**400):
        said = refused(config, name, value, ValueError)
        assert f"is outside 0 … {rows - 1}" in said and len(said) < 150
    for value in (True, False, 1.0, "1", [1]):
        said = refused(config, name, value, TypeError)
        assert f"{name} must be an integer, not {value!r}" in said
    for value in (0, 1, rows - 1, np.int64(2)):
        assert getattr(replace(config, **{name: value}), name) == value


@pytest.mark.parametrize(("config", "name", "rows"), IDS)
def test_ids_may_be_missing_where_the_model_can_do_without(config, name, rows):
    if type(config) is models.TransformerConfig and name != "eos_token_id":
        refused(config, name, None, TypeError)
    else:
        assert getattr(replace(config, **{name: None}), name) is None


def test_a_vocabulary_without_the_ids_that_are_usual_is_refused():
    with pytest.raises(ValueError, match="decoder_start_token_id 1 is outside 0 … 0"):
        models.TransformerConfig(1)
    assert models.TransformerConfig(1, decoder_start_token_id=0).vocab_size == 1


@pytest.mark.parametrize(("config", "name"), FLAGS)
def test_flags_are_true_or_false(config, name):
    for value in ("no", "", 0, 1, None, [], np.True_):
        said = refused(config, name, value, TypeError)
        assert f"{name} must be True or False, not {value!r}" in said
    for value in (True, False):
        assert getattr(replace(config, **{name: value}), name) is value


@pytest.mark.parametrize(
    ("config", "name"), [(config, f.name) for config in CONFIGS for f in fields(config)]
)
def test_every_field_is_checked_and_named(config, name):
    for value in ([1], {}, object(), b"1", 1j, "\x1b[2J"):
        assert refused(config, name, value, (TypeError, ValueError)).isprintable()


@pytest.mark.parametrize(
    ("config", "name", "value", "said"),
    [
        (TRANSFORMER, "activation", "tanh", "'tanh' is not one of relu, gelu, gelu_tanh"),
        (TRANSFORMER, "norm", "first", "'first' is not one of post, pre, rezero"),
        (TRANSFORMER, "nhead", 3, "3 does not divide d_model 512"),
        (TRANSFORMER, "positions", "rotary", "'rotary' is not one of sinusoidal, learned"),
        (replace(TRANSFORMER, nhead=1), "d_model", 9, "9 is odd, but its features come in pairs"),
        (
            replace(GPT2, positions="sinusoidal", n_head=1),
            "n_embd",
            9,
            "9 is odd, but its features come in pairs",
        ),
    ],
)
def test_choices_that_do_not_fit(config, name, value, said):
    assert said in refused(config, name, value, ValueError)


def test_learned_positions_may_have_any_width():
    assert replace(TRANSFORMER, d_model=9, nhead=3, positions="learned").d_model == 9
    assert replace(GPT2, n_embd=9, n_head=3).n_embd == 9


def test_rotary_positions_need_heads_of_pairs():
    for heads, wrong in ((768, "1 is below 2"), (256, "3 is odd, but its features come in pairs")):
        with pytest.raises(ValueError, match=f"GPT2Config: n_embd / n_head {wrong}"):
            replace(GPT2, positions="rotary", n_head=heads)
    assert replace(GPT2, positions="rotary", n_head=384).n_head == 384
    assert replace(GPT2, n_head=768).n_head == 768


@pytest.mark.parametrize("config", CONFIGS)
def test_the_usual_values_are_allowed(config):
    assert type(config)(**asdict(config)) == config


def test_names_of_classes():
    config = models.BertConfig(num_labels=3, id2label={"2": "c", "0": "a", 1: "b"})
    assert config.id2label == {0: "a", 1: "b", 2: "c"} and list(config.id2label) == [0, 1, 2]
    assert replace(config, hidden_size=24).id2label == config.id2label
    assert models.BertConfig(**asdict(config)) == config
    for value in (["a", "b"], {0: "a", 1: 2}, "ab", {0: None, 1: "b"}):
        said = refused(BERT, "id2label", value, TypeError)
        assert "must be a dict of names by number" in said and len(said) < 150
    wrong = ({}, {0: "a"}, {0: "a", 2: "b"}, {1: "a", 2: "b"}, {0: "a", 1: "b", 2: "c"})
    for value in (*wrong, {-1: "a", 0: "b"}, dict(enumerate(map(str, range(10_000))))):
        said = refused(BERT, "id2label", value, ValueError)
        assert said.endswith("but num_labels is 2: name the classes 0 … 1") and len(said) < 170
    said = refused(BERT, "id2label", {0: "a", 1: "a"}, ValueError)
    assert "has 'a' twice" in said
    assert "has the numbers 0, 0," in refused(BERT, "id2label", {0: "a", "0": "b"}, ValueError)
