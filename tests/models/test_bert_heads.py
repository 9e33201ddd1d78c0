"""Tests of BERT's heads for fine-tuning: what each reads, which loss its labels ask for, errors."""

from __future__ import annotations

import numpy as np
import pytest

from tests.engine.common import same_bits
from tests.models.common import bert, close, ids
from tinygrad_llm import Tensor, grad, manual_seed, models, nn, optim
from tinygrad_llm import functional as F
from tinygrad_llm.training import Trainer, TrainingArguments

KINDS = {
    "BertForNextSentencePrediction": ({"labels": [0, 1, -100]}, (3, 2)),
    "BertForSequenceClassification": ({"labels": [1, 0, 1]}, (3, 2)),
    "BertForTokenClassification": ({"labels": ids(3, 6) % 2}, (3, 6, 2)),
    "BertForMaskedLM": ({"labels": ids(3, 6)}, (3, 6, 13)),
    "BertForQuestionAnswering": ({"start_positions": [1, 0, 2], "end_positions": [5, 9, 2]}, None),
}
"""Class -> labels, and the shape of its logits."""


def sequence(**options):
    return bert("BertForSequenceClassification", **options)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_no_loss(kind):
    model, words = bert(kind), ids(3, 6)
    labels, shape = KINDS[kind]
    if kind == "BertForQuestionAnswering":
        labels = {"start_positions": [1, 0, 2], "end_positions": [5, 99, 2]}
    wider = {
        name: np.pad(each, ((0, 0), (0, 3)), constant_values=-100) if np.ndim(each) == 2 else each
        for name, each in labels.items()
    }
    alone, found = model(words, **labels), model(np.pad(words, ((0, 0), (0, 3))), MASK, **wider)
    if shape is None:
        close(found.start_logits[:, :6], alone.start_logits, 1e-12)
        close(found.end_logits[:, :6], alone.end_logits, 1e-12)
        return  # its loss compares all places, those of padding too, as transformers' does
    assert alone.logits.shape == shape
    logits = found.logits if len(shape) == 2 else found.logits[:, :6]
    close(logits, alone.logits, 1e-12)
    close(found.loss, alone.loss, 1e-12)


MASK = np.array([[1] * 6 + [0] * 3] * 3)


@pytest.mark.parametrize("kind", KINDS)
def test_each_learns_its_labels_by_heart(kind):
    manual_seed(0)
    model, words = getattr(models, kind)(bert(kind).config).eval(), ids(3, 6)
    optimizer = optim.AdamW(model.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        loss = model(words, **KINDS[kind][0]).loss
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_maps_and_states_where_asked_for(kind):
    model, words = bert(kind), ids(3, 6)
    asked = model(words, output_attentions=True, output_hidden_states=True)
    assert [each.shape for each in asked.attentions] == [(3, 2, 6, 6)] * 2
    assert [each.shape for each in asked.hidden_states] == [(3, 6, 8)] * 3
    plain = model(words)
    assert plain.loss is plain.attentions is plain.hidden_states is None
    assert "activations" in model.summary(words, **KINDS[kind][0])


@pytest.mark.parametrize(
    ("kind", "places"), [("BertForSequenceClassification", 1), ("BertForTokenClassification", 6)]
)
def test_a_classifier_of_texts_reads_the_first_token_one_of_words_all(kind, places):
    model, rows = bert(kind), []

    def hook(_, __, y):
        rows.append(Tensor(y.data, requires_grad=True))
        return rows[-1]

    model.bert.encoder.register_forward_hook(hook)
    g = grad(model(ids(3, 6), **KINDS[kind][0]).loss, rows[0]).data
    assert (np.abs(g).max(axis=(0, 2)) > 0).sum() == places


@pytest.mark.parametrize("kind", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_dropout_before_a_classifier_is_at_work_in_training(kind):
    model, words = bert(kind, classifier_dropout=1.0), ids(3, 6)
    assert np.ptp(model(words).logits.data[..., 0]) > 1e-3
    logits = model.train()(words).logits.data
    assert np.array_equal(logits, np.broadcast_to(model.classifier.bias.data, logits.shape))


def test_labels_say_which_loss_it_is():
    words, numbers = ids(3, 6), np.array([0.5, -1.0, 2.0])
    one, two = sequence(num_labels=1), sequence()
    output = one(words, labels=numbers)
    close(output.loss, ((output.logits[:, 0] - numbers) ** 2).mean(), 1e-13)
    assert same_bits(one(words, labels=numbers[:, None]).loss, output.loss)
    whole = one(words, labels=[1, 2, 3]).loss
    close(whole, one(words, labels=[1.0, 2.0, 3.0]).loss, 1e-13)
    output = two(words, labels=[1, -100, 0])
    close(output.loss, F.cross_entropy(output.logits[[0, 2]], [1, 0]), 1e-13)
    several = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]])
    output = two(words, labels=several)
    close(output.loss, F.binary_cross_entropy_with_logits(output.logits, several), 1e-13)
    told = sequence(problem_type="multi_label_classification")(words, labels=several.astype(int))
    close(told.loss, output.loss, 1e-13)
    output = sequence(problem_type="regression")(words, labels=several)
    close(output.loss, F.mse_loss(output.logits, several), 1e-13)
    numbered = sequence(num_labels=1, problem_type="single_label_classification")
    assert numbered(words, labels=[0, 0, 0]).loss.item() == 0.0


def test_an_answer_that_was_cut_off_does_not_count():
    model, words = bert("BertForQuestionAnswering"), ids(3, 6)
    given = {"start_positions": [1, 6, 2], "end_positions": [3, 50, 2]}
    loss = model(words, **given).loss
    kept = {name: [row[0], row[2]] for name, row in given.items()}
    close(loss, model(words[[0, 2]], **kept).loss, 1e-12)
    nothing = model(words, start_positions=[6] * 3, end_positions=[6] * 3).loss
    assert nothing.item() == 0.0


@pytest.mark.parametrize("kind", ["BertForSequenceClassification", "BertForTokenClassification"])
def test_the_trainer_fine_tunes_it_and_says_how_often_it_is_right(kind):
    labels = np.asarray(KINDS[kind][0]["labels"])
    rows = [{"input_ids": row, "labels": label} for row, label in zip(ids(3, 6), labels)]
    how = {"max_steps": 40, "learning_rate": 0.02, "quiet": True}
    trainer = Trainer(bert(kind), TrainingArguments(**how), rows, rows)
    trainer.train()
    assert trainer.evaluate()["eval_accuracy"] == 1.0


@pytest.mark.parametrize(
    ("kind", "labels", "error", "message"),
    [
        (
            "BertForSequenceClassification",
            {"labels": [0, 1, 2]},
            IndexError,
            "labels: 2 is outside 0 … 1; -100 does not count",
        ),
        (
            "BertForSequenceClassification",
            {"labels": [[0], [1], [1]]},
            ValueError,
            r"labels \(3, 1\), expected \(3,\)",
        ),
        (
            "BertForSequenceClassification",
            {"labels": [0.0, 1.0, 1.0]},
            ValueError,
            r"labels \(3,\) for a multi_label_classification of logits \(3, 2\)",
        ),
        (
            "BertForTokenClassification",
            {"labels": [[0] * 5] * 3},
            ValueError,
            r"labels \(3, 5\), expected \(3, 6\)",
        ),
        (
            "BertForNextSentencePrediction",
            {"labels": [0, -1, 1]},
            IndexError,
            "labels: -1 is outside 0 … 1",
        ),
        (
            "BertForQuestionAnswering",
            {"start_positions": [0, 1, 2]},
            ValueError,
            "give start_positions and end_positions",
        ),
        (
            "BertForQuestionAnswering",
            {"start_positions": [0, 1, 2], "end_positions": [0, -1, 2]},
            IndexError,
            "end_positions: -1 is before the text",
        ),
        (
            "BertForQuestionAnswering",
            {"start_positions": [0.0, 1.0, 2.0], "end_positions": [0, 1, 2]},
            TypeError,
            "start_positions are float32: classes are integers",
        ),
        (
            "BertForQuestionAnswering",
            {"start_positions": [0, 1], "end_positions": [0, 1, 2]},
            ValueError,
            r"start_positions \(2,\), expected \(3,\)",
        ),
    ],
)
def test_labels_that_do_not_fit(kind, labels, error, message):
    with pytest.raises(error, match=message):
        bert(kind)(ids(3, 6), **labels)


def test_several_numbers_need_as_many_labels():
    model = sequence(problem_type="regression")
    with pytest.raises(ValueError, match=r"labels \(3,\) for a regression of logits \(3, 2\)"):
        model(ids(3, 6), labels=[0.5, 1.0, 2.0])


def test_one_label_takes_numbers_of_its_shape_alone():
    with pytest.raises(ValueError, match=r"labels \(2,\) for a regression of logits \(3, 1\)"):
        sequence(num_labels=1)(ids(3, 6), labels=[0.5, 1.0])


HALF = {
    "BertForPreTraining": {"labels": np.full((2, 5), 3), "next_sentence_label": np.array([0, 1])},
    "BertForMaskedLM": {"labels": np.full((2, 5), 3)},
    "BertForNextSentencePrediction": {"labels": np.array([0, 1])},
    "BertForSequenceClassification": {"labels": np.array([0.5, 1.25]), "num_labels": 1},
    "BertForTokenClassification": {"labels": np.zeros((2, 5), int)},
    "BertForQuestionAnswering": {
        "start_positions": np.array([1, 2]),
        "end_positions": np.array([2, 9]),
    },
}


@pytest.mark.parametrize("kind", HALF)
def test_losses_of_a_model_in_float16_are_float32(kind):
    given = dict(HALF[kind])
    model = bert(kind, num_labels=given.pop("num_labels", 2)).astype("float32")
    with nn.in_dtype(model, "float16"):
        loss = model(ids(2, 5), **given).loss
        assert model(ids(2, 5)).tensors()[0].dtype == np.float16
    assert loss.dtype == np.float32 and loss.numpy() != loss.numpy().astype(np.float16)
    loss.backward()
    assert next(model.parameters()).grad.dtype == np.float32
    np.testing.assert_allclose(loss.item(), model(ids(2, 5), **given).loss.item(), rtol=0.02)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int8", "int64"])
def test_positions_of_any_integers(dtype):
    model, words = bert("BertForQuestionAnswering"), ids(3, 6)
    places = np.array([2, 100, 5]), np.array([3, 100, 120])
    expected = model(words, start_positions=places[0], end_positions=places[1])
    small = [each.astype(dtype) for each in places]
    found = model(words, start_positions=small[0], end_positions=small[1])
    assert found.loss.item() == expected.loss.item()
    assert [count for _, count in found.parts] == [2, 1]


def test_a_classifier_may_read_the_mean_of_the_states():
    """Of tokens alone, and of no pooler: it has none."""
    model = bert("BertForSequenceClassification", classifier_pooling="mean").eval()
    assert not any("pooler" in name for name, _ in model.named_parameters())
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    answer = model(ids(3, 6), mask)
    states = model.bert(ids(3, 6), mask).last_hidden_state.numpy()
    means = np.stack(
        [states[0].mean(axis=0), states[1, :2].mean(axis=0), np.zeros_like(states[2, 0])]
    )
    expected = means @ model.classifier.weight.numpy() + model.classifier.bias.numpy()
    np.testing.assert_allclose(answer.logits.numpy(), expected, rtol=0, atol=1e-12)
    whole = model(ids(3, 6)).logits.numpy()
    np.testing.assert_allclose(whole[0], expected[0], rtol=0, atol=1e-12)
    short = model(ids(3, 6)[1:2, :2]).logits.numpy()
    np.testing.assert_allclose(short[0], expected[1], rtol=0, atol=1e-12)
    slopes = grad(model(ids(3, 6), mask, labels=[1, 0, 1]).loss, model.bert.embeddings.words.weight)
    assert np.abs(slopes.numpy()).sum() > 0.0
    with pytest.raises(ValueError, match="classifier_pooling"):
        bert("BertForSequenceClassification", classifier_pooling="max")
