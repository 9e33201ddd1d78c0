"""Tests of the benchmark of tokenizers: its texts, its measures without a library, its refusals."""

from __future__ import annotations

import pytest

from tests.benchmarks import prose, race, subwords

TEXTS = ["the cat sat on the mat", "the dog sat on the log", "那只猫坐在垫子上。"] * 3


@pytest.fixture
def small(monkeypatch):
    """A few texts, and no waiting between turns."""
    monkeypatch.setattr(subwords, "PAUSE", 0.0)
    monkeypatch.setitem(subwords.LANGUAGES, "english", lambda: TEXTS)


@pytest.mark.parametrize("texts", [prose.in_english, prose.in_chinese])
def test_texts_have_the_size_and_are_all_different(texts):
    found = texts()
    assert prose.SIZE - 4 < sum(len(text.encode()) for text in found) <= prose.SIZE
    assert len(set(found)) > 0.99 * len(found)


def test_the_crossed_texts_are_the_same_each_time():
    assert prose.in_chinese() == prose.in_chinese()


@pytest.mark.parametrize("work", ["train-bpe-english", "train-wordpiece-english"])
def test_training_is_measured(small, work):
    found = subwords.measure(work, None, 2)
    (row,) = found["sides"]
    assert (row["side"], found["agreement"], found["rounds"]) == ("ours", 1.0, 2)
    assert len(row["passes"]["train"]["seconds"]) == 2
    assert row["mib"] is None or 0 <= row["mib"] < 100


@pytest.mark.parametrize("work", ["encode-bpe-english", "encode-wordpiece-english"])
def test_encoding_is_measured_and_all_of_ours_agree(small, work, capsys):
    found = subwords.measure(work, None, 2)
    assert [row["side"] for row in found["sides"]] == ["ours core", "ours", "ours lists"]
    for row in found["sides"]:
        assert list(row["passes"]) == ["first", "new", "again"]
        assert all(one["megabytes_a_second"]["median"] > 0 for one in row["passes"].values())
    subwords.show(work, found)
    assert "ours lists" in capsys.readouterr().out


def test_sides_that_disagree_have_no_result():
    assert subwords.agreement(["a", "b"], [[1, 2], [1, 2]]) == 1.0
    with pytest.raises(race.RaceError, match=r"'b' gives another result than 'a' \(0.0% alike\)"):
        subwords.agreement(["a", "b"], [[1, 2], [1, 3]])
    vocab = {str(i): i for i in range(200)}
    assert subwords.agreement(["a", "b"], [vocab, {**vocab, "x": 200}]) == 200 / 201
    with pytest.raises(race.RaceError, match=r"98.0% alike"):
        subwords.agreement(["a", "b"], [vocab, {str(i): i for i in range(196)}])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train-bpe-latin"], "there is no work train-bpe-latin; there are: train-bpe-english"),
        (["--repeats", "1"], "--repeats: 1 has no quartiles; give 2 or more"),
        (["--against", "tokenizers"], "tokenizers is not installed"),
        (["--json", "no/such/x.json"], "--json: there is no folder"),
        (["--json", "tests"], "--json: tests is a folder; name a file in it"),
    ],
)
def test_wrong_usage_gets_one_line(words, complaint, monkeypatch, capsys):
    monkeypatch.setattr(subwords, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as ended:
        subwords.main(words)
    errors = capsys.readouterr().err
    assert ended.value.code == 2 and len(errors.splitlines()) == 1 and complaint in errors
