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


INSIDE_OTHERS = """乒乓 事务 保健 划艇 受骗 吉祥 听写 团购 恐怖 搜索 放大 救护 日程 橄榄 水晶 沙包
浏览 爱好 牧羊 环卫 电站 百姓 素描 经销 缝纫 肉串 药材 董事 运营 还价 霸王 魔术"""
"""Words that stand in the texts only inside longer words of the dictionary."""


def test_no_word_is_a_mere_fragment_of_longer_words():
    words, text = set(corpora.words()), "\n".join(score.corpus())
    free, reached = set(), 0
    for start in range(len(text)):
        ends = [start + n for n in (2, 3, 4) if text[start : start + n] in words]
        if ends and ends[-1] > reached:  # in no word that starts here or before
            free.add(text[start : ends[-1]])
        reached = max([reached, *ends])
    assert words - free == set(INSIDE_OTHERS.split())


def test_no_numeral_is_listed():
    numeral = re.compile("第?[一二三四五六七八九十百千几]+")
    assert [word for word in corpora.words() if numeral.fullmatch(word)] == ["一一"]


def test_verb_and_complement_are_listed_only_where_grown_together():
    found = {word for word in corpora.words() if re.fullmatch(".[住掉完死倒走开]", word)}
    grown = {"公开", "展开", "打开", "敞开", "离开", "摔倒", "昏倒", "晕倒", "病倒", "站住"}
    assert found == grown | {"入住", "反倒", "行走"}


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
