"""Tests of outputs: logits that are computed later are those of the call."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import drawn
from tests.models.common import WORDS, bert, close, gpt2, ids, translator
from tinygrad_llm import grad, nn, no_grad, optim
from tinygrad_llm.graph import enable_grad
from tinygrad_llm.models.outputs import Head


def test_called_without_a_tape_the_logits_have_none_either():
    model, words = gpt2(), ids(2, 5)
    with no_grad():
        output = model(words)
    assert not output.logits.requires_grad


def test_called_with_a_tape_the_logits_are_on_it_wherever_they_are_first_read():
    model, words = gpt2(), ids(2, 5)
    output = model(words)
    with no_grad():
        logits = output.logits
    assert output.logits is logits
    weights = [model.tokens.weight, model.decoder.layers[0].feed_forward.up.weight]
    found = grad((logits * logits).sum(), weights)
    expected = model(words).logits
    for one, other in zip(found, grad((expected * expected).sum(), weights)):
        close(one, other, 1e-12)
    with no_grad(), enable_grad():
        assert model(words).logits.requires_grad


@pytest.mark.parametrize("options", [{}, {"tied": False}])
def test_the_mode_is_kept_by_every_head(options):
    model = translator(**options)
    with no_grad():
        output = model(ids(2, 5), labels=ids(2, 4))
    assert not output.logits.requires_grad


def test_it_shows_its_loss_and_its_shapes_and_computes_no_logits_for_them(monkeypatch):
    model, words = gpt2(), ids(2, 5)
    outputs = [model(words, labels=words), model(words), model(words, logits_to_keep=7)]
    outputs += [model(words, logits_to_keep=2), translator(tied=False)(words, labels=words)]
    computed = [each.logits.shape for each in outputs]
    for each in outputs:
        each._logits = None
    monkeypatch.setattr(Head, "scores", lambda *_: pytest.fail("logits were computed"))
    for each, shape in zip(outputs, computed):
        assert f"logits {shape}, last_hidden_state (2, 5, 8))" in repr(each)
    loss = f"loss={outputs[0].loss.item():.4g}, targets=8, "
    assert repr(outputs[0]).startswith(f"LanguageModelOutput({loss}logits (2, 5, 13), ")
    assert "loss" not in repr(outputs[1])


CHANGED = r"have changed .*: read \.logits before the step"


def stepped(model):
    optimizer = optim.AdamW(model.parameters(), lr=0.1)
    output = model(ids(2, 5), labels=ids(2, 5))
    output.loss.backward()
    return output, optimizer.step


def loaded(model):
    output = model(ids(2, 5))
    state = {name: p.data + 1.0 for name, p in model.state_dict().items()}
    return output, lambda: model.load_state_dict(state)


def replaced(model):
    def change():
        model.tokens.weight.data = model.tokens.weight.data + 1.0

    return model(ids(2, 5)), change


def converted(model):
    return model(ids(2, 5)), lambda: model.astype("float32")


@pytest.mark.parametrize("way", [stepped, loaded, replaced, converted])
def test_after_the_weights_have_changed_logits_are_refused(way):
    output, change = way(gpt2())
    change()
    with pytest.raises(RuntimeError, match=CHANGED):
        _ = output.logits
    output, change = way(gpt2())
    logits = output.logits
    values = logits.data.copy()
    change()
    assert output.logits is logits and np.array_equal(logits.data, values)


HEAD = ("dense.weight", "dense.bias", "norm.weight", "norm.bias", "bias")
WORD_ROWS = "bert.embeddings.words.weight"


@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM"])
@pytest.mark.parametrize("name", [WORD_ROWS, *(f"predictions.{name}" for name in HEAD)])
def test_berts_logits_are_refused_after_any_weight_of_the_head_has_changed(kind, name):
    model, words = bert(kind), ids(2, 5)
    found = dict(model.named_parameters())
    assert [n for n in found if n.startswith("predictions.")] == [f"predictions.{n}" for n in HEAD]
    for change in (nn.init.ones_, replaced_data):
        early, late = model(words), model(words)
        logits = early.logits
        change(found[name])
        with pytest.raises(RuntimeError, match=CHANGED):
            _ = late.logits
        with pytest.raises(RuntimeError, match=CHANGED):
            late.logits_at(np.ones((2, 5), bool))
        assert early.logits is logits


def replaced_data(parameter):
    parameter.data = parameter.data + 1.0


def test_other_weights_of_bert_may_change_before_its_logits_are_read():
    """The states are those of the call: they do not depend on the encoder any more."""
    model, words = bert(), ids(2, 5)
    expected, output = model(words).logits, model(words)
    nn.init.ones_(model.bert.encoder.layers[0].feed_forward.up.weight)
    assert np.array_equal(output.logits.data, expected.data)


@pytest.mark.parametrize("kind", ["BertForPreTraining", "BertForMaskedLM", None])
def test_logits_at_some_places_are_those_of_all(kind):
    model, words = gpt2() if kind is None else bert(kind), ids(3, 5)
    places = np.random.default_rng(0).random((3, 5)) < 0.4
    output = model(words)
    some = output.logits_at(places)
    assert some.shape == (places.sum(), WORDS) and output._logits is None
    close(some, output.logits[places], 1e-12)
    assert output.logits_at(np.zeros((3, 5), bool)).shape == (0, WORDS)
    weight = next(model.parameters())
    cotangent = drawn(*some.shape)
    found = grad(some, weight, cotangent)
    close(found, grad(model(words).logits[places], weight, cotangent), 1e-12)
    with no_grad():
        assert not model(words).logits_at(places).requires_grad


def test_logits_at_refuses_what_names_no_places():
    output = gpt2()(ids(2, 5))
    with pytest.raises(ValueError, match=r"logits_at: places \(2, 4\), expected \(2, 5\)"):
        output.logits_at(np.ones((2, 4), bool))
    with pytest.raises(TypeError, match="logits_at: places are int64: give booleans"):
        output.logits_at(np.ones((2, 5), np.int64))
