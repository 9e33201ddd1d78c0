"""Tests of BERT: padding, places and segments, maps, sizes, dropout, checkpoints, devices."""

from __future__ import annotations

import gc
import math
import tracemalloc

import numpy as np
import pytest

from tests.engine.common import same_bits
from tests.models.common import WORDS, bert, close, count, ids
from tests.models.pairs import FOLLOWS, LABELS, TYPES, pretrained
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, no_grad
from tinygrad_llm.testing import strict_cupy


@pytest.mark.parametrize("kind", ["int", "bool"])
def test_padding_changes_no_score_no_loss_and_no_gradient(kind):
    model, words = bert(), ids(3, 6)
    more = ((0, 0), (0, 4))
    padded = {
        "attention_mask": np.pad(np.ones((3, 6)), more).astype(kind),
        "token_type_ids": np.pad(TYPES, more),
        "labels": np.pad(LABELS, more, constant_values=-100),
    }
    alone, found = pretrained(model, words), pretrained(model, np.pad(words, more), **padded)
    close(found.logits[:, :6], alone.logits, 1e-12)
    close(found.seq_relationship_logits, alone.seq_relationship_logits, 1e-12)
    close(found.loss, alone.loss, 1e-12)
    parameters = list(model.parameters())
    for a, b in zip(grad(found.loss, parameters), grad(alone.loss, parameters)):
        close(a, b, 1e-12)
    without = pretrained(model, np.pad(words, more), **{**padded, "attention_mask": None})
    assert np.abs(without.logits.data[:, :6] - alone.logits.data).max() > 1e-3


def test_every_word_sees_both_sides():
    model, words = bert("BertModel"), ids(1, 5)
    rows = Tensor(model.embeddings.words(words).data, requires_grad=True)
    model.embeddings.words.register_forward_hook(lambda *_: rows)
    x = model(words).last_hidden_state
    for i in range(5):
        g = grad(x[0, i, 0], rows, retain_graph=True).data
        assert (np.abs(g[0]).max(axis=-1) > 1e-6).all()


def test_segments_matter_and_are_those_of_the_first_text_where_not_said():
    model, words = bert("BertModel"), ids(3, 6)
    first = model(words).last_hidden_state
    assert same_bits(first, model(words, token_type_ids=np.zeros((3, 6), int)).last_hidden_state)
    found = model(words, token_type_ids=TYPES).last_hidden_state
    assert (np.abs(found.data - first.data).max(axis=-1) > 1e-3).all()
    g = grad(found.sum(axis=-1)[0, 0], model.embeddings.segments.weight).data
    assert (np.abs(g).max(axis=-1) > 0).all()


def test_words_that_change_places_with_their_positions_change_their_states_alone():
    model, words = bert("BertModel"), ids(3, 6)
    order, places = np.array([3, 0, 5, 1, 4, 2]), np.arange(6)
    mask = np.array([[1, 1, 1, 0, 1, 1]] * 3)
    expected = model(words, mask, TYPES, places).last_hidden_state
    moved = model(words[:, order], mask[:, order], TYPES[:, order], places[order])
    close(moved.last_hidden_state, expected[:, order], 1e-12)
    stays = model(words[:, order], mask[:, order], TYPES[:, order]).last_hidden_state
    assert np.abs(stays.data - expected.data[:, order]).max() > 1e-3


def test_maps_and_states_where_asked_for():
    model, words = bert(), ids(3, 6)
    asked = pretrained(model, words, output_attentions=True, output_hidden_states=True)
    assert [each.shape for each in asked.attentions] == [(3, 2, 6, 6)] * 2
    assert [each.shape for each in asked.hidden_states] == [(3, 6, 8)] * 3
    assert asked.hidden_states[-1] is asked.last_hidden_state
    assert same_bits(asked.hidden_states[0], model.bert.embeddings(words, TYPES))
    plain = model(words)
    assert plain.attentions is None is plain.hidden_states


def parameters_of(c: models.BertConfig, pooler: bool = True) -> int:
    """Embeddings and their norm, L blocks, and the pooler."""
    d, h = c.hidden_size, c.intermediate_size
    rows = c.vocab_size + c.max_position_embeddings + c.type_vocab_size
    block = 4 * d * d + 4 * d + 2 * d * h + h + d + 4 * d
    return rows * d + 2 * d + c.num_hidden_layers * block + (d * d + d if pooler else 0)


@pytest.mark.parametrize(
    ("kind", "head"),
    [
        ("BertModel", 0),
        ("BertForPreTraining", 8 * 8 + 3 * 8 + WORDS + 18),
        ("BertForNextSentencePrediction", 18),
        ("BertForSequenceClassification", 18),
        ("BertForMaskedLM", 8 * 8 + 3 * 8 + WORDS),
        ("BertForTokenClassification", 18),
        ("BertForQuestionAnswering", 18),
    ],
)
def test_numbers_of_parameters(kind, head):
    pooler = kind not in (
        *("BertForMaskedLM", "BertForTokenClassification"),
        "BertForQuestionAnswering",
    )
    model = bert(kind)
    assert count(model) == parameters_of(model.config, pooler) + head


@pytest.mark.parametrize("size", [1, 2, 5])
def test_as_many_kinds_of_segments_as_are_said(size):
    model, words = bert("BertModel", type_vocab_size=size), ids(3, 6)
    assert model.embeddings.segments.weight.shape == (size, 8)
    assert count(model) == parameters_of(model.config)
    last = model(words, token_type_ids=np.full((3, 6), size - 1)).last_hidden_state
    assert same_bits(last, model(words).last_hidden_state) == (size == 1)
    with pytest.raises(IndexError, match=f"token_type_ids: {size} is outside 0 … {size - 1}"):
        model(words, token_type_ids=np.full((3, 6), size))


@pytest.mark.parametrize(
    "change",
    [
        {"vocab_size": 17},
        {"hidden_size": 12},
        {"num_hidden_layers": 3},
        {"intermediate_size": 5},
        {"max_position_embeddings": 7},
        {"type_vocab_size": 3},
    ],
)
def test_every_size_tells_in_the_number_of_parameters(change):
    found = bert("BertModel", **change)
    assert count(found) == parameters_of(found.config) != count(bert("BertModel"))


def test_the_words_that_pad_are_those_that_are_said():
    for pad, rows in ((0, [0]), (4, [4]), (None, [])):
        config = models.BertConfig.preset("tiny", vocab_size=9, pad_token_id=pad)
        weight = models.BertModel(config).embeddings.words.weight.data
        assert np.flatnonzero(~weight.any(axis=1)).tolist() == rows


def test_presets():
    assert parameters_of(models.BertConfig.preset("base")) == 109_482_240
    assert models.BertConfig.preset("base") == models.BertConfig()
    mini = models.BertConfig.preset("mini", vocab_size=50, hidden_dropout_prob=0.0)
    sizes = (mini.num_hidden_layers, mini.hidden_size, mini.num_attention_heads)
    assert sizes == (4, 256, 4) and mini.intermediate_size == 1024
    assert (mini.vocab_size, mini.hidden_dropout_prob) == (50, 0.0)
    assert models.BertConfig.preset("tiny", intermediate_size=7).intermediate_size == 7
    narrow = models.BertConfig.preset("tiny", hidden_size=64)
    assert (narrow.hidden_size, narrow.intermediate_size) == (64, 256)
    with pytest.raises(ValueError, match="preset 'huge' is not one of tiny, mini, base"):
        models.BertConfig.preset("huge")
    with pytest.raises(TypeError, match="n_layer"):
        models.BertConfig.preset("tiny", n_layer=3)


def test_how_it_begins():
    """Weights normal, cut off at two deviations of BERT-base's 0.02 · √(768/D); biases and the
    padding's row 0."""
    std = 0.02 * 12**0.5
    manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 64, "num_attention_heads": 4}
    config = models.BertConfig.preset("tiny", intermediate_size=256, **sizes)
    model = models.BertForPreTraining(config)
    for name, p in model.named_parameters():
        if p.ndim == 1:
            assert (p.data == float("norm.weight" in name)).all(), name
        else:
            assert np.abs(p.data).max() <= 2 * std + 1e-7, name
            wide = p.size > 1000
            assert p.data.std() == pytest.approx(0.88 * std, rel=0.05 if wide else 0.2), name
    assert not model.bert.embeddings.words.weight.data[0].any()


def test_small_weights_begin_at_the_loss_of_knowing_nothing():
    manual_seed(0)
    sizes = {"vocab_size": 300, "hidden_size": 64, "num_attention_heads": 4}
    config = models.BertConfig.preset("tiny", initializer_range=0.02, **sizes)
    words = np.arange(100).reshape(2, 50)
    model = models.BertForPreTraining(config).eval()
    output = model(words, labels=words, next_sentence_label=[0, 1])
    assert output.mlm_loss.item() == pytest.approx(math.log(300), rel=0.01)
    assert output.nsp_loss.item() == pytest.approx(math.log(2), rel=0.02)


def test_positions_may_begin_as_sinusoids():
    """Of twice the words' deviation, with nothing else changed; an odd width keeps drawn ones."""
    for width in (8, 9):
        model = bert("BertModel", hidden_size=width, num_attention_heads=1, initializer_range=0.3)
        before = {name: p.data.copy() for name, p in model.named_parameters()}
        model.begin_positions()
        if width == 8:
            rows = 2 * 0.3 * nn.sinusoidal(np.arange(12), 8, 100.0)
            before["embeddings.positions.weight"] = rows
        for name, p in model.named_parameters():
            np.testing.assert_allclose(p.data, before[name], rtol=0, atol=1e-7, err_msg=name)


def test_dropout_is_off_in_eval():
    model, words = bert(), ids(3, 6)
    expected = pretrained(model, words).loss
    model.train()
    assert not same_bits(pretrained(model, words).loss, pretrained(model, words).loss)
    assert same_bits(pretrained(model.eval(), words).loss, expected)


def test_dropout_of_everything_leaves_nothing_to_tell_words_apart():
    model = bert("BertModel", hidden_dropout_prob=1.0, attention_probs_dropout_prob=0.0).train()
    first, other = (model(ids(3, 6, seed=seed)).last_hidden_state for seed in (0, 1))
    assert same_bits(first, other)


def test_settings_come_to_their_parts():
    shares = {"hidden_dropout_prob": 0.25, "attention_probs_dropout_prob": 0.75}
    options = {**shares, "layer_norm_eps": 0.125, "hidden_act": "relu"}
    model = bert(**options)
    block, embeddings = model.bert.encoder.layers[0], model.bert.embeddings
    assert embeddings.dropout.p == 0.25 and block.attention.dropout == 0.75
    assert block.attention_sum.dropout.p == block.feed_forward_sum.dropout.p == 0.25
    assert block.feed_forward.dropout.p == 0.0 and block.feed_forward.activation == "relu"
    norms = (embeddings.norm, block.attention_sum.norm, model.predictions.norm)
    assert {norm.eps for norm in norms} == {0.125} and model.predictions.activation == "relu"
    for own, expected in {None: 0.25, 0.5: 0.5, 0.0: 0.0}.items():
        for kind in ("BertForSequenceClassification", "BertForTokenClassification"):
            assert bert(kind, classifier_dropout=own, **shares).dropout.p == expected


def kept(model, words) -> tuple[int, list[Tensor]]:
    """Bytes that a pass leaves for backward, and the loss and its gradients."""
    manual_seed(1)
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    loss = model(words, labels=words, next_sentence_label=[0] * len(words)).loss
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    return held, [loss, *grad(loss, list(model.parameters()))]


def test_checkpoints_give_the_same_bits_for_less_memory():
    sizes = {"num_hidden_layers": 6, "max_position_embeddings": 64}
    plain, other = (
        bert(**sizes, gradient_checkpointing=on).astype("float32").train() for on in (False, True)
    )
    words = ids(32, 64)
    tracemalloc.start()
    try:
        (most, expected), (least, found) = (kept(model, words) for model in (plain, other))
    finally:
        tracemalloc.stop()
    assert all(map(same_bits, found, expected)) and len(found) > 40
    assert least < most / 4


def test_logits_in_half_precision_may_be_asked_for_after_the_block():
    model, words = bert().astype("float32"), ids(3, 6)
    with nn.in_dtype(model, "float16"):
        output = pretrained(model, words)
        inside = pretrained(model, words).logits
    assert inside.dtype == np.float16 and output.last_hidden_state.dtype == np.float16
    expected = pretrained(model, words).logits.data
    np.testing.assert_allclose(output.logits.data, expected, atol=0.1)
    np.testing.assert_allclose(inside.data, expected, atol=0.1)


def test_summary_and_weights_in_files(tmp_path):
    model, words = bert(), ids(3, 6)
    text = model.summary(words, labels=LABELS, next_sentence_label=FOLLOWS)
    assert f"{count(model):,} parameters" in text and "activations" in text
    first = model.summary(words).split("\n")[2]
    assert "BertForPreTraining" in first and "(3, 6, 8), (3, 2)" in first
    nn.save_weights(model, tmp_path / "weights")
    other = models.BertForPreTraining(model.config).astype("float64").eval()
    nn.load_weights(other, tmp_path / "weights")
    assert same_bits(other(words).logits, model(words).logits)


def test_on_a_device_the_bits_are_those_of_the_cpu():
    model, words = bert(), ids(3, 6)
    mask = np.array([[1, 1, 1, 1, 1, 0]] * 3)
    here = pretrained(model, words, attention_mask=mask)
    here.loss.backward()
    logits = here.logits
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()
    with strict_cupy.installed() as cupy:
        model.to("cuda")
        arrays = {"attention_mask": mask, "token_type_ids": TYPES, "labels": LABELS}
        arrays["next_sentence_label"] = FOLLOWS
        given = {name: cupy.asarray(array) for name, array in arrays.items()}
        there = model(cupy.asarray(words), **given)
        there.loss.backward()
        assert there.loss.device == "cuda:0" and there.targets == here.targets
        close(there.loss.to("cpu"), here.loss, 1e-12)
        close(there.logits.to("cpu"), logits, 1e-12)
        alone = model(cupy.asarray(words), labels=LABELS, next_sentence_label=FOLLOWS)
        assert same_bits(alone.logits, model(cupy.asarray(words), token_type_ids=0 * TYPES).logits)
        model.to("cpu")
        for p, g in zip(model.parameters(), expected):
            close(p.grad, g, 1e-12)


def test_no_tape_without_gradients():
    with no_grad():
        output = pretrained(bert(), ids(3, 6))
        assert not output.loss.requires_grad and not output.logits.requires_grad


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"input_ids": [1, 2]}, ValueError, r"BertModel: input_ids \(2,\), expected \(B, T\)"),
        ({"input_ids": [[WORDS] * 6] * 3}, IndexError, "embedding: id 13 is outside 0 … 12"),
        ({"input_ids": [[0.5] * 6] * 3}, TypeError, "token ids are integers"),
        ({"input_ids": ids(1, 13)}, IndexError, "position 12 is outside 0 … 11: shorten the text"),
        ({"token_type_ids": [[0] * 5] * 3}, ValueError, r"token_type_ids \(3, 5\) for input_ids"),
        ({"token_type_ids": [[2] * 6] * 3}, IndexError, "token_type_ids: 2 is outside 0 … 1"),
        ({"attention_mask": [[1] * 5] * 3}, ValueError, r"mask \(3, 5\) for 3 texts and 6 keys"),
        ({"attention_mask": [[1.0] * 6] * 3}, TypeError, r"a mask \(B, S\) of float32"),
        ({"labels": LABELS[:, :5]}, ValueError, r"labels \(3, 5\), expected \(3, 6\)"),
        ({"labels": FOLLOWS}, ValueError, r"labels \(3,\), expected \(3, 6\)"),
        ({"labels": LABELS * 1.0}, TypeError, "labels are float64: classes are integers"),
        ({"labels": [[13] * 6] * 3}, IndexError, "labels: 13 is outside 0 … 12; -100 does not"),
        ({"labels": [[-1] * 6] * 3}, IndexError, "labels: -1 is outside 0 … 12; -100 does not"),
        (
            {"next_sentence_label": [0, 2, 1]},
            IndexError,
            "next_sentence_label: 2 is outside 0 … 1",
        ),
        (
            {"next_sentence_label": [[0], [1], [1]]},
            ValueError,
            r"next_sentence_label \(3, 1\), expected \(3,\)",
        ),
        ({"next_sentence_label": [0.0] * 3}, TypeError, "next_sentence_label are float32"),
    ],
)
def test_what_does_not_fit(arguments, kind, message):
    with pytest.raises(kind, match=message):
        bert()(**{"input_ids": ids(3, 6), **arguments})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_attention_heads": 3},
            "BertConfig: num_attention_heads 3 does not divide hidden_size",
        ),
        (
            {"hidden_act": "swish"},
            "BertConfig: hidden_act 'swish' is not one of relu, gelu, gelu_n",
        ),
        ({"num_hidden_layers": 0}, "BertConfig: num_hidden_layers 0 is below 1"),
        ({"hidden_dropout_prob": 1.5}, "BertConfig: hidden_dropout_prob is a probability, not 1.5"),
        ({"classifier_dropout": -0.5}, "BertConfig: classifier_dropout is a probability, not -0.5"),
        ({"vocab_size": 0}, "BertConfig: vocab_size 0 is below 1"),
        ({"problem_type": "guessing"}, "problem_type 'guessing' is not one of regression, sin"),
    ],
)
def test_sizes_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        bert(**options)


@pytest.mark.parametrize("name", ["gelu_new", "gelu_pytorch_tanh"])
def test_both_names_of_the_tanh_form(name):
    model, words = bert(hidden_act=name), ids(2, 5)
    assert model.predictions.activation == "gelu_tanh"
    assert not same_bits(model(words).logits, bert()(words).logits)
    assert same_bits(model(words).logits, bert(hidden_act="gelu_new")(words).logits)


def test_sizes_that_are_no_numbers():
    with pytest.raises(TypeError, match="BertConfig: hidden_size must be an integer, not True"):
        bert(hidden_size=True)
