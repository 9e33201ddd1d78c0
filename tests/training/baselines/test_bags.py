"""Tests of bags of words: terms, TF-IDF beside scikit-learn's, and what is learnt from them."""

from __future__ import annotations

import json
from collections import Counter
from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fixtures import make_tfidf
from tinygrad_llm.data import LabelEncoder, corpora
from tinygrad_llm.training.baselines import BagOfWords, BagOfWordsRegression, bags, majority

TEXTS = st.lists(st.text("ab ,我你C7", max_size=9), min_size=1, max_size=8)


# Terms


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, THE dog!", ["the", "cat", "the", "dog", "the cat", "cat the", "the dog"]),
        ("GPT2's  5-HT", ["gpt2", "s", "5", "ht", "gpt2 s", "s 5", "5 ht"]),
        ("naïve cafe\u0301", ["naïve", "cafe\u0301", "naïve cafe\u0301"]),
        ("हिन्दी", ["हिन्दी"]),
        ("我爱你", ["我", "爱", "你", "我爱", "爱你"]),
        ("我爱,N B", ["我", "爱", ",", "n", " ", "b", "我爱", "爱,", ",n", "n ", " b"]),
        (" 我\u3000\n爱 ", ["我", " ", "爱", "我 ", " 爱"]),
        ("ひカ々", ["ひ", "カ", "々", "ひカ", "カ々"]),
        ("カメ", ["カ", "メ", "カメ"]),
        ("한국", ["한", "국", "한국"]),
        ("I read 我 twice", ["i", "read", "我", "twice", "i read", "read 我", "我 twice"]),
        ("", []),
        ("?! …", []),
        ("word", ["word"]),
        ("我", ["我"]),
    ],
    ids=str,
)
def test_terms_are_words_and_pairs_of_neighbours(text, words):
    assert bags.terms(text) == words


# TF-IDF


@pytest.mark.parametrize(
    ("name", "texts"), [("english", make_tfidf.ENGLISH), ("chinese", make_tfidf.CHINESE)]
)
def test_tf_idf_is_scikit_learns(name, texts):
    recorded = json.loads(make_tfidf.FILE.read_text(encoding="utf8"))[name]
    features = bags.TfIdf(texts)
    assert set(features.columns) == {term for row in recorded for term in row}
    rows = dense(features, texts)
    for row, says in zip(rows, recorded):
        expected = [says.get(term, 0.0) for term in features.columns]
        np.testing.assert_allclose(row, expected, atol=1e-12)


def dense(features, texts):
    return features.rows(texts) @ np.eye(len(features.columns))


@given(TEXTS, TEXTS)
def test_rows_are_the_formula(learned, texts):
    features = bags.TfIdf(learned)
    seen = Counter(term for text in learned for term in set(bags.terms(text)))
    assert list(features.columns) == sorted(
        (term for term in seen if seen[term] > 1), key=lambda term: (-seen[term], term)
    )
    for text, row in zip(texts, dense(features, texts)):
        counts = Counter(bags.terms(text))
        x = [counts[t] * (log((1 + len(learned)) / (1 + seen[t])) + 1.0) for t in features.columns]
        length = sqrt(sum(value * value for value in x)) or 1.0
        np.testing.assert_allclose(row, [value / length for value in x], atol=1e-12)


def test_of_too_many_terms_those_in_most_texts_stay(monkeypatch):
    monkeypatch.setattr(bags, "MOST", 3)
    features = bags.TfIdf(["d", "d", "b", "b", "c", "c", "c", "a", "a", "once"])
    assert list(features.columns) == ["c", "a", "b"]


# Classes


def drawn(count: int, seed: int, characters: bool = False):
    """Texts of five words of their class or of none, and the classes (N,) from 0 to 2."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(3, size=count)
    own = ["猫狗牛羊", "刀锯锤钳", "红绿蓝黄"] if characters else ["abcd", "efgh", "ijkl"]
    texts = []
    for k in classes:
        letters = [str(rng.choice(list(own[k] + "一二三四五" * 2))) for _ in range(5)]
        texts.append("".join(letters) if characters else " ".join(f"{c}{c}" for c in letters))
    return texts, classes


@pytest.mark.parametrize("characters", [False, True], ids=["words", "characters"])
def test_a_bag_learns_which_words_a_class_has(characters):
    texts, classes = drawn(300, 0, characters)
    others, truth = drawn(200, 1, characters)
    model = BagOfWords.fit(texts, classes, 3)
    own = [i for i, text in enumerate(others) if set(text) - set("一二三四五 ")]
    assert len(own) > 150 and (model.predict(others)[own] == truth[own]).all()
    p = model.probabilities(others)
    assert p.shape == (200, 3) and p.dtype == np.float64
    np.testing.assert_allclose(p.sum(axis=1), 1.0)


def test_the_weights_of_two_words_are_the_solution():
    # By symmetry the weights are ±u, and mean loss + penalty are log(1 + exp(−2u)) + 2λu².
    model = BagOfWords.fit(["this", "that"] * 20, [0, 1] * 20, 2)
    assert model.linear.penalty == bags.PENALTIES[-1], "all are right: the largest"
    u = model.linear.weight[model.features.columns["this"], 0]
    assert 2 * model.linear.penalty * u * (1 + exp(2 * u)) == pytest.approx(1.0, rel=1e-2)
    p = 1 / (1 + exp(-2 * u))
    assert model.probabilities(["this", "that"]) == pytest.approx(
        np.array([[p, 1 - p], [1 - p, p]])
    )


def test_the_order_of_the_rows_changes_no_bit():
    texts, classes = drawn(60, 2)
    texts, classes = texts * 2, np.concatenate([classes, (classes + 1) % 3])  # texts of two classes
    others, _ = drawn(30, 3)
    order = np.random.default_rng(0).permutation(120)
    first = BagOfWords.fit(texts, classes, 3)
    again = BagOfWords.fit([texts[i] for i in order], classes[order], 3)
    assert np.array_equal(first.probabilities(others), again.probabilities(others))
    assert np.array_equal(first.probabilities(others)[::-1], first.probabilities(others[::-1]))


def test_the_seed_draws_the_rows_held_out(monkeypatch):
    drawn_by = []
    monkeypatch.setattr(bags, "fit_classes", lambda *given: drawn_by.append(given[-1]))
    BagOfWords.fit(["a", "b"], [0, 1], 2)
    BagOfWords.fit(["a", "b"], [0, 1], 2, seed=7)
    assert drawn_by == [0, 7]
    monkeypatch.setattr(bags, "fit_numbers", lambda *given: drawn_by.append(given[-1]))
    BagOfWordsRegression.fit(["a", "b"], [0, 1], seed=8)
    assert drawn_by[-1] == 8


def test_a_text_without_a_known_term_has_the_shares_of_the_classes():
    model = BagOfWords.fit(["this cat", "that dog", "this dog", "that", ""], [0, 1, 0, 0, 0], 3)
    p = model.probabilities(["", "quite unknown", "?!", "this"])
    assert p[:3].tolist() == [[0.8, 0.2, 0.0]] * 3 and p[3, 0] != 0.8
    assert model.predict(["", "cat"]).tolist() == [0, 0]
    assert model.probabilities([]).shape == (0, 3) and model.predict([]).shape == (0,)


def test_rows_of_one_class_answer_with_it():
    model = BagOfWords.fit(["one cat", "one dog", "two dogs"], [1, 1, 1], 3)
    p = model.probabilities(["one dog", "no"])
    assert p[0, 1] > 0.999 and p[1].tolist() == [0.0, 1.0, 0.0]
    assert BagOfWords.fit(["one", "one"], [0, 0], 1).probabilities(["one"]).tolist() == [[1.0]]


@pytest.mark.parametrize("rows", [1, 2, 4])
def test_fewer_rows_than_classes_are_learnt_too(rows):
    texts, classes = ["a b c", "a b d", "c d e", "c e f"][:rows], [4, 2, 0, 0][:rows]
    model = BagOfWords.fit(texts, classes, 5)
    p = model.probabilities([*texts, "z"])
    np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert set(model.predict(texts)) <= set(classes)
    assert p[-1].tolist() == (np.bincount(classes, minlength=5) / rows).tolist()


def test_a_class_without_rows_is_improbable():
    texts, classes = drawn(100, 4)
    assert BagOfWords.fit(texts, classes, 4).probabilities(texts)[:, 3].max() < 1e-3


def test_topics_of_chinese_headlines():
    rows = corpora.topics()
    ids = LabelEncoder.fit(rows.labels).encode(rows.labels)
    held = np.arange(len(rows)) % 5 == 0
    learned = [text for text, out in zip(rows.texts, held) if not out]
    others = [text for text, out in zip(rows.texts, held) if out]
    p = BagOfWords.fit(learned, ids[~held], ids.max() + 1).probabilities(others)
    right = (p.argmax(axis=1) == ids[held]).mean()
    assert right > 0.85 > 3 * (ids[held] == majority(ids[~held])).mean()
    nats = -np.log(p[np.arange(len(p)), ids[held]]).mean()
    assert nats < 0.5, "with a penalty that is too large it is right, but never sure"


# Numbers


def test_numbers_are_learnt_as_classes_are():
    rng = np.random.default_rng(0)
    worth = {"good": 2.0, "bad": -2.0, "film": 0.0, "book": 1.0}
    words = rng.choice(list(worth), size=(200, 3))
    texts, numbers = [" ".join(row) for row in words], 30.0 + np.vectorize(worth.get)(words).sum(1)
    model = BagOfWordsRegression.fit(texts[:150], numbers[:150])
    found = model.predict(texts[150:])
    assert found.shape == (50,) and found.dtype == np.float64
    assert np.sqrt(np.mean((found - numbers[150:]) ** 2)) < 0.2 * numbers.std()
    order = rng.permutation(150)
    again = BagOfWordsRegression.fit([texts[i] for i in order], numbers[order])
    assert np.array_equal(found, again.predict(texts[150:]))
    assert model.predict(["", "?"]).tolist() == [model.mean] * 2
    assert model.mean == pytest.approx(numbers[:150].mean())


# What is refused


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (("a text", [0], 2), TypeError, "takes a list of texts, not one text"),
        ((["a", 3], [0, 1], 2), TypeError, "row 1 is of type int; give a text"),
        ((["a", "b"], [0], 2), ValueError, r"2 texts, but targets of shape \(1,\); give one"),
        (([], [], 2), ValueError, "at least one text"),
        ((["a", "b"], [0, 2], 2), ValueError, "id 2 in row 1 is no class; give ids from 0 to 1"),
        ((["a", "b"], [0.0, 1.0], 2), TypeError, "float64; give integers"),
        ((["a"], [0], 0), ValueError, "classes is at least 1"),
    ],
    ids=str,
)
def test_what_a_bag_cannot_learn(given, error, message):
    with pytest.raises(error, match=message):
        BagOfWords.fit(*given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ((["a", "b"], [0.5]), ValueError, "give one for each text"),
        ((["a", "b"], [[0.5], [1.0]]), ValueError, r"shape \(2, 1\)"),
        ((["a"], 0.5), ValueError, r"shape \(\)"),
        (([], []), ValueError, "at least one text"),
        ((["a", "b"], [0.5, float("nan")]), ValueError, "NaN or infinite; drop its row"),
        ((["a", None], [0.5, 1.0]), TypeError, "row 1 is of type NoneType"),
    ],
    ids=str,
)
def test_numbers_that_a_bag_cannot_learn(given, error, message):
    with pytest.raises(error, match=message):
        BagOfWordsRegression.fit(*given)


@pytest.mark.parametrize("method", ["predict", "probabilities"])
def test_one_text_is_no_list(method):
    model = BagOfWords.fit(["a", "a"], [0, 1], 2)
    with pytest.raises(TypeError, match="not one text"):
        getattr(model, method)("a")
    with pytest.raises(TypeError, match="not one text"):
        BagOfWordsRegression.fit(["a", "a"], [0, 1]).predict("a")


@given(st.lists(st.integers(0, 5), min_size=1))
def test_majority_is_the_most_frequent_class(classes):
    assert majority(classes) == min(set(classes), key=lambda k: (-classes.count(k), k))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [([], ValueError), ([-1], ValueError), ([[0]], ValueError), ([0.5], TypeError)],
    ids=str,
)
def test_majority_refuses(wrong, error):
    with pytest.raises(error, match=r"majority: classes are .*; give"):
        majority(wrong)
