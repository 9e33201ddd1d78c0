"""A linter of the Chinese corpora: form, variety, and how hard they are for a bag of characters."""

from __future__ import annotations

import re
import shutil
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from tinygrad_llm import Tensor, manual_seed, nn, no_grad, optim
from tinygrad_llm import functional as F
from tinygrad_llm.data import LabelEncoder, check_disjoint, corpora
from tinygrad_llm.data.corpora import chinese, description

NAMES = ["topics", "reviews", "paragraphs", "names", "questions"]
RUN = 8
"""Characters in a row that no two texts of a file share."""

ALLOWED = re.compile(r"[一-鿿〇0-9A-Za-z，。！？；：、“”‘’（）《》—…·％%.+\-/℃～ ]+")


def masked() -> list[str]:
    """The sentences of names.conll, each name as one private character of its own."""
    found = []
    for number, sentence in enumerate(corpora.names()):
        text = ""
        for place, (word, tag) in enumerate(zip(sentence.words, sentence.tags)):
            if tag == "O":
                text += word
            elif tag[0] == "B":
                text += chr(0xF0000 + 100 * number + place)
        found.append(text)
    return found


TEXTS = {
    "topics": lambda: corpora.topics().texts,
    "reviews": lambda: corpora.reviews().texts,
    "paragraphs": corpora.paragraphs,
    "names": masked,
    "questions": lambda: [each.question for each in corpora.questions()],
}


@pytest.mark.parametrize("name", NAMES)
def test_no_two_texts_share_a_run_of_eight_characters(name):
    where, texts = defaultdict(set), TEXTS[name]()
    if name == "paragraphs":  # sentence by sentence, those of one paragraph too
        texts = [sentence for text in texts for sentence in corpora.sentences(text)]
    for number, text in enumerate(texts):
        for start in range(len(text) - RUN + 1):
            where[text[start : start + RUN]].add(number)
    assert {run: at for run, at in where.items() if len(at) > 1} == {}


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_different_and_of_usual_characters(name):
    texts = TEXTS[name]() if name != "names" else ["".join(s.words) for s in corpora.names()]
    assert len(set(texts)) == len(texts)
    for text in texts:
        assert text == text.strip() and ALLOWED.fullmatch(text), text


@pytest.mark.parametrize("name", NAMES)
def test_files_are_utf8_with_unix_ends(name):
    (path,) = chinese.HERE.glob(f"{name}.*")
    raw = path.read_bytes()
    raw.decode("utf-8")
    assert b"\r" not in raw and raw.endswith(b"\n") and not raw.startswith(b"\xef\xbb\xbf")


def test_topics_are_six_with_enough_of_each():
    rows = corpora.topics()
    assert set(rows.labels) == {"体育", "科技", "财经", "教育", "娱乐", "健康"}
    assert min(Counter(rows.labels).values()) >= 250
    assert all(10 <= len(text) <= 40 for text in rows.texts)


def test_reviews_are_of_three_kinds():
    rows = corpora.reviews()
    assert set(rows.labels) == {"好评", "中评", "差评"}
    assert min(Counter(rows.labels).values()) >= 300
    assert min(map(len, rows.texts)) >= 8 and max(map(len, rows.texts)) > 60


def test_paragraphs_have_three_to_six_sentences():
    paragraphs = corpora.paragraphs()
    assert len(paragraphs) >= 400
    counts = [len(corpora.sentences(paragraph)) for paragraph in paragraphs]
    assert min(counts) >= 3 and np.mean(np.array(counts) <= 6) > 0.98  # quotations count, too
    assert all("".join(corpora.sentences(p)) == p for p in paragraphs)
    every = [sentence for p in paragraphs for sentence in corpora.sentences(p)]
    assert len(set(every)) == len(every)


def test_names_are_marked_by_character_in_order():
    sentences = corpora.names()
    assert len(sentences) >= 500
    for sentence in sentences:
        assert all(len(word) == 1 for word in sentence.words)
        for before, tag in pairwise(["O", *sentence.tags]):
            assert tag == "O" or tag[2:] in ("PER", "LOC", "ORG")
            assert tag[0] != "I" or before[2:] == tag[2:]
    without = sum(set(sentence.tags) == {"O"} for sentence in sentences)
    assert 50 <= without <= 150


def entities(sentence) -> set[tuple[int, int, str]]:
    """(start, end, kind) of each name."""
    starts = [i for i, tag in enumerate(sentence.tags) if tag[0] == "B"]
    found = set()
    for start in starts:
        end = start + 1
        while end < len(sentence.tags) and sentence.tags[end][0] == "I":
            end += 1
        found.add((start, end, sentence.tags[start][2:]))
    return found


def test_the_same_word_is_sometimes_a_name_and_sometimes_not():
    sentences = corpora.names()
    texts = ["".join(each.words) for each in sentences]
    named = {
        (text[a:b], i)
        for i, (text, each) in enumerate(zip(texts, sentences))
        for a, b, _ in entities(each)
    }
    both = {
        word
        for word, i in named
        if len(word) > 1
        for k, text in enumerate(texts)
        if k != i and word in text and not any(w != word and word in w for w, n in named if n == k)
        if (word, k) not in named
    }
    assert len(both) >= 95


def test_questions_have_their_answers_once_in_a_paragraph_of_the_corpus():
    questions, paragraphs = corpora.questions(), set(corpora.paragraphs())
    assert len(questions) >= 300
    for each in questions:
        assert each.context in paragraphs
        assert each.context[each.start :].startswith(each.answer)
        assert each.context.count(each.answer) == 1 and each.answer not in each.question
        assert each.question.endswith("？")


@pytest.mark.parametrize("name", NAMES)
def test_parts_share_nothing_and_depend_on_the_seed_alone(name):
    found = corpora.split(name, seed=3)
    again, other = corpora.split(name, seed=3), corpora.split(name, seed=4)
    assert all(np.array_equal(a, b) for a, b in zip(found, again))
    assert not np.array_equal(found.test, other.test)
    texts = TEXTS[name]()
    if name == "questions":
        texts = [each.context for each in corpora.questions()]
    check_disjoint(*([texts[i] for i in part] for part in found))
    assert sorted(np.concatenate(found)) == list(range(len(texts)))
    assert [len(part) / len(texts) for part in found] == pytest.approx([0.8, 0.1, 0.1], abs=0.02)


def test_an_unknown_corpus_is_refused():
    with pytest.raises(ValueError, match=r"'poems' is not one of topics, reviews"):
        corpora.split("poems")


def bags(texts, alphabet) -> np.ndarray:
    """1 where a text has the character. (N, V)."""
    found = np.zeros((len(texts), len(alphabet)), np.float32)
    for row, text in enumerate(texts):
        for character in set(text) & alphabet.keys():
            found[row, alphabet[character]] = 1.0
    return found


def logistic_regression(rows, seed: int) -> float:
    """Test accuracy of a linear softmax on bags of characters, with a little L2."""
    manual_seed(seed)
    split = corpora.split("topics" if "体育" in rows.labels else "reviews", seed)
    encoder = LabelEncoder.fit(rows.labels)
    labels = encoder.encode(rows.labels)
    train = [rows.texts[i] for i in split.train]
    alphabet = {c: i for i, c in enumerate(sorted(set("".join(train))))}
    x, y = bags(train, alphabet), labels[split.train]
    model = nn.Linear(len(alphabet), len(encoder.names))
    optimizer = optim.Adam(optim.decay_groups(model, 5e-4), lr=0.03)
    for _ in range(120):
        optimizer.zero_grad()
        F.cross_entropy(model(Tensor(x)), y).backward()
        optimizer.step()
    with no_grad():
        said = model(Tensor(bags([rows.texts[i] for i in split.test], alphabet))).argmax(axis=1)
    return float((said.numpy() == labels[split.test]).mean())


@pytest.mark.parametrize("rows", [corpora.topics, corpora.reviews], ids=["topics", "reviews"])
def test_a_bag_of_characters_finds_them_neither_trivial_nor_hopeless(rows):
    scores = [logistic_regression(rows(), seed) for seed in range(5)]
    low, high = (0.78, 0.88) if rows is corpora.topics else (0.71, 0.80)
    assert 0.70 <= low <= np.mean(scores) <= high <= 0.95, scores


def test_neither_ends_nor_beginnings_nor_length_tell_the_topic():
    rows = corpora.topics()
    split = corpora.split("topics", 0)
    for sign in (lambda text: text[-1], lambda text: text[0], len):
        seen = defaultdict(Counter)
        for i in split.train:
            seen[sign(rows.texts[i])][rows.labels[i]] += 1
        said = [seen[sign(rows.texts[i])].most_common(1) for i in split.test]
        right = [bool(s) and s[0][0] == rows.labels[i] for s, i in zip(said, split.test)]
        assert np.mean(right) < 0.40, np.mean(right)


def test_no_review_says_its_label():
    assert not [text for text in corpora.reviews().texts if re.search("好评|中评|差评", text)]


@pytest.mark.parametrize("name", ["topics", "reviews", "names"])
def test_parts_have_their_share_of_each_class(name):
    labels = chinese._by_kinds()[0] if name == "names" else getattr(corpora, name)().labels
    for part, share in zip(corpora.split(name, 1), (0.8, 0.1, 0.1)):
        found = Counter(labels[i] for i in part)
        assert all(abs(found[c] - share * n) <= 1.0 for c, n in Counter(labels).items())


def test_line_ends_of_windows_are_no_damage(tmp_path, monkeypatch):
    shutil.copytree(chinese.HERE, tmp_path / "corpora")
    monkeypatch.setattr(chinese, "HERE", tmp_path / "corpora")
    path = tmp_path / "corpora" / "topics.tsv"
    expected = corpora.topics().texts
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert corpora.topics().texts == expected


@pytest.mark.parametrize("content", ["{", "[]", '{"files": []}', '{"files": {}}', None])
def test_a_damaged_manifest_is_named(tmp_path, monkeypatch, content):
    path = tmp_path / "manifest.json"
    monkeypatch.setattr(chinese, "MANIFEST", path)
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"manifest\.json is damaged"):
        corpora.topics()


def test_the_readme_counts_what_there_is():
    text = (chinese.HERE / "README.md").read_text(encoding="utf-8")
    for name, found in zip(NAMES, description.description().splitlines()[1:6]):
        rows, *_, characters, _, _ = found.split()[1:]
        assert f"| {rows} | {characters} |" in text, name
    for label, count in Counter(corpora.topics().labels + corpora.reviews().labels).items():
        assert f"{label} {count}" in text


def test_a_dictionary_of_training_names_does_not_find_the_test_names():
    sentences, scores = corpora.names(), []
    for seed in range(5):
        split = corpora.split("names", seed)
        known = {
            "".join(sentences[i].words[a:b]): kind
            for i in split.train
            for a, b, kind in entities(sentences[i])
        }
        found = [(spotted(sentences[i].words, known), entities(sentences[i])) for i in split.test]
        hits = sum(len(ours & true) for ours, true in found)
        scores.append(2 * hits / sum(len(ours) + len(true) for ours, true in found))
    assert np.mean(scores) < 0.05


def spotted(words, known) -> set[tuple[int, int, str]]:
    """The longest known names from left to right."""
    text, found, start = "".join(words), set(), 0
    while start < len(text):
        ends = range(min(len(text), start + 12), start, -1)
        end = next((e for e in ends if text[start:e] in known), None)
        if end:
            found.add((start, end, known[text[start:end]]))
        start = end or start + 1
    return found


def test_describe_prints_sizes_lengths_characters_and_balance(capsys):
    corpora.describe()
    out = capsys.readouterr().out
    assert re.search(r"^topics +1,765 +10 +21\.9 +39 +38,704 +2,365 +0\.0611$", out, re.M)
    assert "reviews: 中评 677, 好评 677, 差评 674" in out
    assert re.search(r"^documents: \d+", out, re.M)
    assert description.description() in out


@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_damaged_file_is_refused_by_name(tmp_path, monkeypatch, how):
    shutil.copytree(chinese.HERE, tmp_path / "corpora")
    monkeypatch.setattr(chinese, "HERE", tmp_path / "corpora")
    path = tmp_path / "corpora" / "topics.tsv"
    path.write_text("a\tb\n") if how == "changed" else path.unlink()
    with pytest.raises((ValueError, FileNotFoundError), match=r"topics\.tsv is (damaged|missing)"):
        corpora.topics()
    assert corpora.reviews().texts
