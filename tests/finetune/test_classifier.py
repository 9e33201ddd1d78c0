"""TextClassifier: the answers of the model itself, whatever the batch, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from tests.models.common import bert, gpt2
from tinygrad_llm import models, tokenizers
from tinygrad_llm.data import corpora
from tinygrad_llm.finetune import classifier as module
from tinygrad_llm.finetune.classifier import Prediction, TextClassifier
from tinygrad_llm.tokenizers.wordpiece import SPECIAL_TOKENS

KNOWN = [text[:18] for text in corpora.paragraphs()[:40]]
TOKENIZER = tokenizers.WordPieceTokenizer.train(KNOWN, 400, special_tokens=SPECIAL_TOKENS)
NAMES = ("体育", "a|b\n", "news")
TEXTS = [*KNOWN[:9], "", KNOWN[0] * 3, "𐍈𐌰𐍄", KNOWN[3][:2]]
ATOL = 1e-6


def made(kind="BertForSequenceClassification", **options):
    """A model whose answers differ, in float32."""
    usual = {"vocab_size": len(TOKENIZER), "max_position_embeddings": 40}
    usual |= {} if kind != "BertForSequenceClassification" else {"num_labels": 3}
    return bert(kind, **{**usual, **options}).astype("float32")


def saved(folder, model=None, tokenizer=TOKENIZER, said=None):
    """The folder of a fine-tuned model."""
    (made(id2label=dict(enumerate(NAMES))) if model is None else model).save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)
    if said is not None:
        text = said if isinstance(said, str) else json.dumps(said)
        (folder / module.FINETUNE).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("usual"), said={"max_length": 24})


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("numbers"), made(num_labels=1, problem_type="regression"))


def alone(folder, texts, seconds=None, length=24):
    """The logits of the model, text by text, by its own call."""
    model = models.from_pretrained(folder)
    pairs = zip(texts, [None] * len(texts) if seconds is None else seconds)
    found = []
    for both in pairs:
        batch = TOKENIZER(*both, truncation=True, max_length=length, return_token_type_ids=True)
        arrays = {name: np.array([row]) for name, row in batch.items()}
        found.append(model(**arrays).logits.numpy()[0])
    return np.array(found)


def softmax(logits):
    powers = np.exp(np.float64(logits))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_answers_are_those_of_the_model(usual, batch_size):
    logits = alone(usual, TEXTS)
    assert np.ptp(logits, axis=0).min() > 0.1  # or anything would do
    given = TextClassifier.from_pretrained(usual)
    np.testing.assert_allclose(given.logits(TEXTS, batch_size=batch_size), logits, atol=ATOL)
    found = given.probabilities(TEXTS, batch_size=batch_size)
    np.testing.assert_allclose(found, softmax(logits), atol=ATOL)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)


def test_predictions_have_the_name_and_all_probabilities(usual):
    given = TextClassifier.from_pretrained(usual)
    found, p = given.predict(TEXTS), given.probabilities(TEXTS)
    assert given.names == NAMES
    assert [each.label for each in found] == [NAMES[i] for i in alone(usual, TEXTS).argmax(axis=1)]
    assert len({each.label for each in found}) > 1
    assert [list(each.probabilities) for each in found] == [list(NAMES)] * len(TEXTS)
    assert [list(each.probabilities.values()) for each in found] == p.tolist()


def test_pairs(usual):
    seconds = [*TEXTS[1:], TEXTS[0]]
    given = TextClassifier.from_pretrained(usual)
    expected = alone(usual, TEXTS, seconds)
    np.testing.assert_allclose(given.logits(TEXTS, seconds, 5), expected, atol=ATOL)
    assert np.abs(expected - alone(usual, seconds, TEXTS)).max() > 0.01
    assert given.predict(TEXTS, seconds)[2].label == NAMES[expected[2].argmax()]


def test_token_types_tell_the_second_text(usual):
    """The model was given none here, and says something else."""
    given = TextClassifier.from_pretrained(usual)
    before = given.logits(TEXTS[:2], TEXTS[2:4])
    given.tokenizer.model_input_names = ("input_ids", "attention_mask")
    assert np.abs(given.logits(TEXTS[:2], TEXTS[2:4]) - before).max() > 1e-3


def test_batches_are_of_like_length(usual, monkeypatch):
    given = TextClassifier.from_pretrained(usual)
    shapes = []
    real = type(given.model).forward

    def forward(self, input_ids, **rest):
        shapes.append(input_ids.shape)
        return real(self, input_ids, **rest)

    monkeypatch.setattr(type(given.model), "forward", forward)
    given.logits(["好" * n for n in (1, 20, 2, 19)], batch_size=2)
    assert shapes == [(2, 22), (2, 4)]


def test_a_regression_gives_numbers(numbers):
    given = TextClassifier.from_pretrained(numbers)
    expected = alone(numbers, TEXTS, length=40)
    found = given.predict(TEXTS, batch_size=3)
    assert given.names == ()
    assert all(type(each.label) is float and each.probabilities == {} for each in found)
    np.testing.assert_allclose([each.label for each in found], expected[:, 0], atol=ATOL)
    with pytest.raises(RuntimeError, match="gives numbers, which have no probabilities"):
        given.probabilities(TEXTS)


def test_one_label_without_a_problem_type_is_a_regression(tmp_path):
    given = TextClassifier.from_pretrained(saved(tmp_path, made(num_labels=1)))
    assert given.names == () and type(given.predict(["好"])[0].label) is float


def test_no_texts(usual, numbers):
    given = TextClassifier.from_pretrained(usual)
    assert given.predict([]) == [] and given.predict([], []) == []
    assert given.probabilities([]).shape == (0, 3)
    assert TextClassifier.from_pretrained(numbers).predict([]) == []


def test_unknown_characters_alone(usual):
    """All of them are one [UNK] each word, and the answer is that for it."""
    given = TextClassifier.from_pretrained(usual)
    one, other = given.predict(["𐍈𐌰𐍄", "[UNK]"])
    assert isinstance(one, Prediction) and one.label == other.label
    assert one.probabilities == pytest.approx(other.probabilities, abs=ATOL)


def test_names_are_numbers_where_the_model_has_none(tmp_path):
    given = TextClassifier.from_pretrained(saved(tmp_path, made()))
    assert given.names == ("0", "1", "2")
    assert {each.label for each in given.predict(TEXTS)} <= {"0", "1", "2"}


def test_texts_are_cut_where_they_were_in_training(usual, numbers):
    given = TextClassifier.from_pretrained(usual)
    assert given.max_length == 24
    long = KNOWN[0] * 2000
    np.testing.assert_allclose(given.logits([long]), alone(usual, [long[:400]]), atol=ATOL)
    assert TextClassifier.from_pretrained(numbers).max_length == 40


def test_dropout_is_off_and_training_stays_as_it_was(usual):
    given = TextClassifier.from_pretrained(usual)
    given.model.train()
    assert (given.logits(TEXTS) == given.logits(TEXTS)).all()
    assert given.model.training
    assert given.model.classifier.weight.grad is None


def test_a_tokenizer_without_types_or_template(tmp_path):
    """As one of characters is; a text without a token is refused, as there is nothing to read."""
    tokenizer = tokenizers.CharTokenizer.train(KNOWN, special_tokens=("[PAD]", "[UNK]"))
    folder = saved(tmp_path, made(vocab_size=len(tokenizer)), tokenizer)
    given = TextClassifier.from_pretrained(folder)
    batch = np.array([tokenizer.encode(KNOWN[0])])
    expected = models.from_pretrained(folder)(batch).logits.numpy()
    np.testing.assert_allclose(given.logits([KNOWN[0], KNOWN[1] * 2])[:1], expected, atol=ATOL)
    with pytest.raises(ValueError, match="makes no token of the text ''; leave it out"):
        given.predict(["好", ""])


@pytest.mark.parametrize(
    ("error", "texts", "seconds", "message"),
    [
        (TypeError, "one text", None, "texts is of type str; give a list"),
        (TypeError, ["a"], "b", "seconds is of type str; give a list"),
        (TypeError, ["a", 3], None, r"texts\[1\] is of type int; give a text"),
        (TypeError, ["a", ("b", "c")], None, r"texts\[1\] is of type tuple"),
        (TypeError, ["a", "b"], ["a", None], r"seconds\[1\] is of type NoneType"),
        (TypeError, iter(["a"]), None, "texts is of type list_iterator"),
        (ValueError, ["a", "b"], ["c"], "2 texts but 1 seconds; give one for each"),
        (ValueError, [], ["c"], "0 texts but 1 seconds"),
    ],
)
def test_what_are_no_texts_is_refused(usual, error, texts, seconds, message):
    with pytest.raises(error, match=message):
        TextClassifier.from_pretrained(usual).predict(texts, seconds)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_have_texts(usual, batch_size):
    with pytest.raises(ValueError, match="batch_size is"):
        TextClassifier.from_pretrained(usual).predict(["a"], batch_size=batch_size)


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: made("BertForPreTraining"), "holds a BertForPreTraining, which classifies no tex"),
        (lambda: made("BertForTokenClassification"), "holds a BertForTokenClassification"),
        (gpt2, "holds a GPT2LMHeadModel, which classifies no texts: fine-tune it first"),
        (lambda: made(problem_type="multi_label_classification"), "several labels at once"),
        (lambda: made(problem_type="regression"), "a model that gives 3 numbers"),
    ],
    ids=["pretraining", "words", "gpt", "several labels", "several numbers"],
)
def test_models_of_other_tasks_are_refused(model, message, tmp_path):
    with pytest.raises(ValueError) as error:
        TextClassifier.from_pretrained(saved(tmp_path, model()))
    assert message in one_line(error) and str(tmp_path) in str(error.value)


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    with pytest.raises(ValueError) as error:
        TextClassifier.from_pretrained(saved(tmp_path, made(vocab_size=len(TOKENIZER) - 1)))
    said = f"ids up to {len(TOKENIZER) - 1}, but the model's vocabulary has {len(TOKENIZER) - 1}"
    assert said in one_line(error)
    more = saved(tmp_path, made(vocab_size=len(TOKENIZER) + 7))  # rows that nothing asks for
    assert len(TextClassifier.from_pretrained(more).predict(["a"])) == 1


def test_a_tokenizer_that_cannot_pad_is_refused(tmp_path):
    tokenizer = tokenizers.CharTokenizer.train(KNOWN, special_tokens=("[UNK]",))
    with pytest.raises(ValueError, match="no pad_token"):
        TextClassifier.from_pretrained(saved(tmp_path, tokenizer=tokenizer))


@pytest.mark.parametrize(
    "missing",
    ["", "config.json", "model.safetensors", "tokenizer*"],
    ids=lambda name: name or "all",
)
def test_missing_files_are_named(usual, missing, tmp_path):
    folder = tmp_path / "model"
    if missing:
        shutil.copytree(usual, folder)
        for path in [*folder.glob(missing), *folder.glob("vocab.txt" if "tok" in missing else "-")]:
            path.unlink()
    with pytest.raises(FileNotFoundError) as error:
        TextClassifier.from_pretrained(folder)
    assert str(folder) in one_line(error)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{", "has no max_length to read"),
        ("[]", "has no max_length to read"),
        ({}, "has no max_length to read ('max_length')"),
        ({"max_length": "24"}, "max_length is '24'; give a whole number from 1"),
        ({"max_length": True}, "max_length is True"),
        ({"max_length": 0}, "max_length is 0; give a whole number from 1"),
        ({"max_length": 41}, "max_length is 41, but the model takes 40 tokens"),
    ],
)
def test_a_broken_finetune_json_is_refused(said, message, tmp_path):
    with pytest.raises(ValueError) as error:
        TextClassifier.from_pretrained(saved(tmp_path, said=said))
    assert message in one_line(error) and module.FINETUNE in str(error.value)


def test_the_device_is_asked_for(usual):
    with pytest.raises(ValueError, match="unknown device 'tpu'"):
        TextClassifier.from_pretrained(usual, device="tpu")
    assert TextClassifier.from_pretrained(usual, device="cpu").predict(["a"])


# What finetune.json says of pairs


def test_it_is_known_whether_a_model_takes_pairs(usual, tmp_path):
    assert TextClassifier.from_pretrained(usual).pairs is None
    for pairs in (False, True):
        said = {"max_length": 24, "pairs": pairs}
        given = TextClassifier.from_pretrained(saved(tmp_path, said=said))
        assert given.pairs is pairs
        right, wrong = (["好"], None) if pairs else (None, ["好"])
        assert given.predict(["今天"], right)
        asked = "single texts" if pairs else "pairs"
        with pytest.raises(ValueError, match=f"these are {asked}, and the model was tuned on"):
            given.predict(["今天"], wrong)


@pytest.mark.parametrize("pairs", ["yes", 1, []])
def test_what_says_nothing_of_pairs_is_refused(pairs, tmp_path):
    with pytest.raises(ValueError) as error:
        TextClassifier.from_pretrained(saved(tmp_path, said={"max_length": 9, "pairs": pairs}))
    assert f"pairs is {pairs!r}; give True or False" in one_line(error)
