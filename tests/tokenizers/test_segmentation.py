"""Words of Chinese texts: longest match both ways, the best path, learnt counts, and the scores."""

from __future__ import annotations

import re
from collections import Counter
from math import inf, prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.corpora import score_segmentation as score
from tinygrad_llm.data import corpora
from tinygrad_llm.tokenizers.words import (
    Segmenter,
    learn_counts,
    span_scores,
    spans,
)
from tinygrad_llm.tokenizers.words.segmentation import UNKNOWN_COUNT

CLASSICS = [
    (
        {"研究": 10, "研究生": 5, "生命": 10, "起源": 5, "的": 50},
        "研究生 命 的 起源",
        "研究 生命 的 起源",
        "研究 生命 的 起源",
    ),
    (
        {"发展": 10, "中国": 20, "国家": 20, "中": 15, "家": 10},
        "发展 中国 家",
        "发展 中 国家",
        "发展 中 国家",
    ),
    (
        {"南京": 5, "市长": 5, "长江": 10, "大桥": 5, "市": 20, "江": 5},
        "南京 市长 江 大桥",
        "南京 市 长江 大桥",
        "南京 市 长江 大桥",
    ),
    (
        {"结婚": 10, "和尚": 3, "尚未": 5, "和": 99, "未": 4, "的": 200},
        "结婚 的 和尚 未 结婚 的",
        "结婚 的 和 尚未 结婚 的",
        "结婚 的 和 尚未 结婚 的",
    ),
    (
        {"研究": 10, "研究生": 8, "生活": 10, "活": 20, "得": 50, "好": 30},
        "研究生 活 得 好",
        "研究 生活 得 好",
        "研究生 活 得 好",
    ),
    ({"把手": 1, "把": 90, "手": 40}, "请 把手 举 高", "请 把手 举 高", "请 把 手 举 高"),
]

LETTERS = "天地人a1，"
WORDS = st.lists(st.text("天地人", min_size=1, max_size=4), min_size=1, max_size=8)
COUNTS = st.dictionaries(
    st.text("天地人", min_size=1, max_size=3), st.integers(0, 9), min_size=1, max_size=8
)
TEXTS = st.text(LETTERS, max_size=12) | st.text(max_size=12)


def ways(words):
    """The three ways to cut with these words."""
    segmenter = Segmenter(words)
    return segmenter.forward, segmenter.backward, segmenter.best_path


@pytest.mark.parametrize("counts, forward, backward, best", CLASSICS)
def test_the_classic_ambiguous_sentences(counts, forward, backward, best):
    text = forward.replace(" ", "")
    assert Segmenter(list(counts)).forward(text) == forward.split()
    assert Segmenter(list(counts)).backward(text) == backward.split()
    assert Segmenter(counts).best_path(text) == best.split()


def test_the_longest_word_wins_over_shorter_ones_from_either_side():
    words = ["长江", "大桥", "长江大桥", "南京", "南京市", "市长"]
    for cut in (Segmenter(words).forward, Segmenter(words).backward):
        assert cut("南京市长江大桥") == ["南京市", "长江大桥"]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("我用iPhone15拍了3张。", "我 用 iPhone15 拍 了 3 张 。"),
        ("GPT、BERT……好？！", "GPT 、 BERT … … 好 ？ ！"),
        ("涨5％，到37℃", "涨 5 ％ ， 到 37 ℃"),
        ("１２Ａé_b", "１２Ａé _ b"),
        ("", ""),
    ],
)
def test_letters_and_digits_join_and_marks_stand_alone(text, expected):
    for cut in ways(["张拍"]):
        assert cut(text) == expected.split()


def test_white_space_is_kept_as_a_word():
    for cut in ways(["天地"]):
        assert cut("天 \n地") == ["天", " \n", "地"]


def test_words_are_not_looked_for_across_marks_and_letters():
    assert Segmenter(["天，地", "地a人"]).forward("天，地a人") == ["天", "，", "地", "a", "人"]


@given(TEXTS, WORDS, COUNTS)
def test_words_joined_are_the_text(text, words, counts):
    for cut in (*ways(words), *ways(counts)):
        assert "".join(cut(text)) == text


@given(st.text("天地人", max_size=9), WORDS)
def test_backward_is_forward_seen_in_a_mirror(text, words):
    mirrored = Segmenter([word[::-1] for word in words]).forward(text[::-1])
    assert Segmenter(words).backward(text) == [word[::-1] for word in mirrored][::-1]


@given(st.text("天地人", max_size=9), WORDS)
def test_forward_takes_the_longest_word_that_starts_there(text, words):
    found = Segmenter(words).forward(text)
    for word, (start, _) in zip(found, spans(found)):
        fitting = [w for w in words if text.startswith(w, start)]
        assert word == max([text[start], *fitting], key=len)


def cuts(text):
    """All ways to cut a text."""
    if not text:
        yield []
    for end in range(1, len(text) + 1):
        for rest in cuts(text[end:]):
            yield [text[:end], *rest]


def probability(words, counts):
    """Product of the words' probabilities, 0 with a word of several characters that has none."""
    mass = {word: count or UNKNOWN_COUNT for word, count in counts.items()}
    single = {word: mass.get(word, UNKNOWN_COUNT) for word in words if len(word) == 1}
    return prod((mass | single).get(word, 0) / sum(mass.values()) for word in words)


@given(st.text("天地人", min_size=1, max_size=7), COUNTS)
def test_no_cut_is_more_probable_than_the_best_path(text, counts):
    best = max(probability(words, counts) for words in cuts(text))
    assert probability(Segmenter(counts).best_path(text), counts) == pytest.approx(best, rel=1e-9)


def test_of_equally_good_paths_the_longer_last_word_is_taken():
    assert Segmenter(["天地", "地人", "天", "人"]).best_path("天地人") == ["天", "地人"]


@pytest.mark.parametrize("together, expected", [(0.45, "天 地"), (0.5, "天地"), (0, "天地")])
def test_a_character_without_a_count_and_a_word_of_count_0_have_half_a_count(together, expected):
    # 天地 is better where together · (together + 9) > 9 · 0.5, and a count of 0 is 0.5 as well
    assert UNKNOWN_COUNT == 0.5
    assert Segmenter({"天地": together, "天": 9}).best_path("天地") == expected.split()


class Asked(dict):
    """A dictionary that counts how often it is asked, and refuses to be read as a whole."""

    asked = 0

    def __contains__(self, key):
        self.asked += 1
        return super().__contains__(key)

    def get(self, key, default=None):
        self.asked += 1
        return super().get(key, default)

    def __iter__(self):
        raise AssertionError("the whole dictionary was read")

    keys = values = items = __iter__


@pytest.mark.parametrize("way", ["forward", "backward", "best_path"])
def test_time_is_the_length_times_the_longest_word_and_the_dictionary_is_read_once(way):
    for length in (100, 400):
        segmenter = Segmenter({"天天天": 1, "天地": 2})
        segmenter.counts = asked = Asked(segmenter.counts)
        getattr(segmenter, way)("天地人" * length)
        assert 3 * length <= asked.asked <= 3 * 3 * 2 * length


def test_what_is_done_to_the_counts_later_changes_nothing():
    counts = {"天地": 2}
    segmenter = Segmenter(counts)
    counts["地人"] = 99
    assert segmenter.best_path("天地人") == ["天地", "人"]


def test_without_counts_every_word_counts_one():
    words = ["天地人", "天", "地", "人国"]  # 1/4 · 0.5/4 is more than 1/4 · 1/4 · 1/4
    assert Segmenter(words).best_path("天地人国") == ["天地人", "国"]
    assert Segmenter(dict.fromkeys(words, 7)).best_path("天地人国") == ["天", "地", "人国"]


def test_counts_start_from_every_occurrence():
    counts = learn_counts(["研究生命", "研究生，a1"], ["研究", "研究生", "生命", "命运"], rounds=0)
    assert counts == {
        "研究": 2, "研究生": 2, "生命": 1, "命运": 0, "研": 2, "究": 2, "生": 2, "命": 1,
    }  # fmt: skip


@given(st.lists(st.text(LETTERS, max_size=8), min_size=1, max_size=4), WORDS, st.integers(1, 3))
def test_a_round_cuts_by_the_counts_of_the_one_before(texts, words, rounds):
    texts = [*texts, "天"]
    before = learn_counts(texts, words, rounds - 1)
    cut = Segmenter(before).best_path
    found = Counter(word for text in texts for word in cut(text))
    expected = {word: found[word] for word in before}
    assert learn_counts(texts, words, rounds) == expected
    assert sum(len(w) * n for w, n in expected.items()) == sum(
        c in "天地人" for c in "".join(texts)
    )


def test_learning_stops_where_nothing_changes_and_keeps_unused_words():
    texts = ["研究生命"] * 9 + ["生命"] * 9 + ["研究"] * 9
    settled = learn_counts(texts, ["研究", "研究生", "生命"], rounds=50)
    assert settled == learn_counts(texts, ["研究", "研究生", "生命"], rounds=51)
    assert settled["研究"] == settled["生命"] == 18 and settled["研究生"] == 0


def test_more_rounds_go_further_until_nothing_changes():
    texts, words = ["天天天天天", "天地天人天人", "人天"], ["天天天", "人天地", "地地", "天天"]
    single = [learn_counts(texts, words, rounds)["天"] for rounds in range(5)]
    assert single[1:] == [4, 6, 9, 9]
    assert learn_counts(texts, words, 10**12) == learn_counts(texts, words, 3)


def test_spans_are_where_the_words_stand():
    assert spans(["研究", "生命", "的"]) == [(0, 2), (2, 4), (4, 5)]
    assert spans([]) == []


def test_scores_by_hand():
    gold = [["研究", "生命", "的", "起源"], ["好"]]
    found = span_scores([["研究生", "命", "的", "起源"], ["好"]], gold)
    assert found == pytest.approx((3 / 5, 3 / 5, 3 / 5))
    single = span_scores([list("研究生命的起源"), ["好"]], gold)
    assert single == pytest.approx((2 / 8, 2 / 5, 4 / 13))
    assert span_scores(gold, gold) == (1, 1, 1)


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda: Segmenter(["天"]).forward(["天"]), TypeError, "text is of type list, not str"),
        (lambda: Segmenter(["天"]).backward(7), TypeError, "text is of type int, not str"),
        (lambda: Segmenter(["天"]).best_path(None), TypeError, "text is of type NoneType"),
        (lambda: Segmenter("天地"), TypeError, "words is one string"),
        (lambda: Segmenter([]), ValueError, "the dictionary is empty"),
        (lambda: Segmenter({}), ValueError, "the dictionary is empty"),
        (lambda: Segmenter(["天", ""]), ValueError, "a word of the dictionary is empty"),
        (lambda: Segmenter(["天", 3]), TypeError, "is no string"),
        (lambda: Segmenter({"天": -1}), ValueError, "a count is negative"),
        (lambda: Segmenter({"天": inf}), ValueError, "infinite"),
        (lambda: Segmenter({"天": float("nan"), "地": 1}), ValueError, "not a number"),
        (lambda: learn_counts("天地", ["天地"]), TypeError, "texts is one string"),
        (lambda: learn_counts(["天地"], "天地"), TypeError, "words is one string"),
        (lambda: learn_counts(["a，"], ["天地"]), ValueError, "no character to count"),
        (lambda: learn_counts(["天"], ["天"], rounds=-1), ValueError, "must not be negative"),
        (lambda: learn_counts(["天"], ["天"], rounds=1.5), TypeError, "rounds is of type float"),
        (lambda: spans("天地"), TypeError, "words is one string"),
        (lambda: span_scores([], []), ValueError, "0 sentences"),
        (
            lambda: span_scores([["天"]], [["天"], ["地"]]),
            ValueError,
            "1 sentences predicted and 2",
        ),
        (
            lambda: span_scores([["天"], ["天"]], [["天"], ["地"]]),
            ValueError,
            "sentence 1 predicted",
        ),
        (lambda: span_scores(["天"], ["天"]), TypeError, "words is one string"),
    ],
)
def test_what_makes_no_sense_is_refused(call, kind, message):
    with pytest.raises(kind, match=re.escape(message)):
        call()


def test_the_best_path_is_better_than_longest_match_on_sentences_cut_by_hand():
    gold, words = score.gold(), corpora.words()
    learnt = Segmenter(learn_counts(score.training_texts(), words, rounds=1))
    characters, forward, best = (
        span_scores([cut("".join(sentence)) for sentence in gold], gold).f1
        for cut in (Segmenter(["一"]).forward, learnt.forward, learnt.best_path)
    )
    assert best > characters + 0.2 and best > forward
