"""The dictionary of the corpora, and the sentences that were cut into words by hand."""

from __future__ import annotations

import re

from tests.data.corpora import score_segmentation as score
from tinygrad_llm.data import corpora
from tinygrad_llm.data.corpora import chinese


def test_words_are_sorted_different_and_of_two_to_four_ideographs():
    words = corpora.words()
    assert 4_000 <= len(words) <= 7_000
    assert words == sorted(set(words))
    assert all(re.fullmatch("[一-鿿]{2,4}", word) for word in words)


def test_every_word_stands_in_a_text_of_the_corpora():
    text = "\n".join(score.corpus())
    assert [word for word in corpora.words() if word not in text] == []


def test_particles_are_in_no_word_but_a_few():
    found = {word for word in corpora.words() if re.search("[的了吗呢]", word)}
    whole = {"不得了", "为了", "算了", "罢了", "除了", "似的", "别的", "有的", "的确", "目的"}
    assert found == whole


def test_the_readme_and_the_loader_say_how_many_there_are():
    words = corpora.words()
    row = f"| {len(words):,} | {sum(map(len, words)):,} |"
    assert row in (chinese.HERE / "README.md").read_text(encoding="utf-8")
    assert f"{len(words):,} Chinese words" in corpora.words.__doc__


def test_150_sentences_of_the_corpora_are_cut_and_none_twice():
    sentences = ["".join(words) for words in score.gold()]
    whole = {s for text in score.corpus() for s in corpora.sentences(text)}
    assert len(sentences) == len(set(sentences)) == 150 and set(sentences) <= whole
    assert all(word for words in score.gold() for word in words)


def test_hand_cut_sentences_are_in_no_text_that_is_learnt_from():
    learnt = "\n".join(score.training_texts())
    assert [words for words in score.gold() if "".join(words) in learnt] == []
    assert len(learnt) > 160_000
