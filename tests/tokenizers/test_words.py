"""Stop words and stems: hand-written pairs from noise to stems, and recorded Porter stems."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_llm.data import clean
from tinygrad_llm.tokenizers.normalize import is_ideograph
from tinygrad_llm.tokenizers.words import STOP_WORDS, remove_stop_words, stem, stemming
from tinygrad_llm.tokenizers.words.stopwords import _CLASSES

RECORDED = json.loads((Path(__file__).parent.parent / "fixtures" / "stems.json").read_text("ascii"))
STEMS = RECORDED["stems"]

ENGLISH = [
    ("\ufeffThe cats are sleeping on the sofa.", "cat sleep sofa"),
    ("I did not like\x07 this movie at all", "not like movi"),
    ("Running\x0bwater was heard", "run water heard"),
    ("She\x00 connected the connections", "connect connect"),
    ("To be, or not to be", "not"),
    ("Relational databases store tables", "relat databas store tabl"),
    ("Happiness \x1bdepends upon ourselves", "happi depend"),
    ("The universities of the universe", "univers univers"),
    ("We’ve hoped, and we are hoping still", "hope hope still"),
    ("It isn't good; it's awful", "isn't good aw"),
    ("GPUs train large models quickly", "gpu train larg model quickli"),
    ("The 3 engineers fixed 12 bugs", "3 engin fix 12 bug"),
    ("Cafés\x7f serve déjà vu", "Cafés serv déjà vu"),
    ("Nobody ever agreed with him", "nobodi ever agre"),
    ("flights from Oslo to Rome", "flight oslo rome"),
    ("flights to Oslo from Rome", "flight oslo rome"),
    ("The\tponies\n\nwere\x85jumping over fences", "poni jump fenc"),
    ("Generalizations \x08beat memorization", "gener beat memor"),
    ("an important experiment; a new experience", "import experi new experi"),
    ("Nothing\x0cmatters", "noth matter"),
    ("He would have been able to do it", "abl"),
    ("Trees, trees and more trees", "tree tree tree"),
    ("Dis\x00agree\x07ing", "disagre"),
    ("What is it?", ""),
    ("the c\ufffdt sat", None),
    ("\x00\x07 \u200b", None),
]
"""A text with noise in it, and the stems of its content words; None where cleaning removes it."""

CHINESE = [
    ("我\x00 喜欢 学习 语言 模型", "喜欢 学习 语言 模型"),
    ("\ufeff这 个 苹果 很 甜", "苹果 甜"),
    ("他 不 喜欢 下雨", "不 喜欢 下雨"),
    ("我们 没有 时间 了", "没有 时间"),
    ("猫\x07 坐 在 桌子 上", "猫 坐 桌子"),
    ("狗 把 猫 咬 了", "狗 猫 咬"),
    ("狗 被 猫 咬 了", "狗 猫 咬"),
    ("他 比 她 高", "高"),
    ("她 比 他 高", "高"),
    ("因为 下雨 所以 比赛 取消 了", "下雨 比赛 取消"),
    ("如果 明天 有 空 我们 就 去 公园 吧", "明天 空 去 公园"),
    ("模型 通过 梯度 更新 参数", "模型 梯度 更新 参数"),
    ("这些 数据 从 哪里 来", "数据 来"),
    ("电影 太 长 了", "电影 太 长"),
    ("别 忘 了 GPU 和 内存", "别 忘 GPU 内存"),
    ("\u3000老师\x0b和 学生 都 笑 了", "老师 学生 笑"),
    ("从来 没 见 过 这么 大 的 雪", "从来 没 见 大 雪"),
    ("除了 注意力 还 需要 什么", "注意力 需要"),
    ("一个 词 一个 词 地 预测", "词 词 预测"),
    ("会 不 会", "不"),
    ("你 是 谁 呀", ""),
    ("破\ufffd 句子", None),
]
"""A text already cut by spaces, and its content words; None where cleaning removes it."""

WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

SUFFIXES = ["ational", "ization", "iveness", "biliti", "ement", "eed", "ing", "ed", "ies", "s"]

LETTERS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8)

WORDS = LETTERS | st.tuples(LETTERS, st.sampled_from(SUFFIXES)).map("".join)

RULES = [
    (name, suffix)
    for name, rules in vars(stemming).items()
    if name.startswith("_STEP_")
    for suffix in rules
]


NO_EFFECT = ["ousness", "iveness", "fulness"]
"""The paper's rule for the first gives no other stem than -ness and then -ous would, whatever the
word; and no word tells whether m > 0 is asked for any of the three."""


def english(text: str) -> list[str]:
    """The stems of a text's content words."""
    return [stem(word) for word in remove_stop_words(WORD.findall(text), "english")]


def chinese(text: str) -> list[str]:
    """The content words of a text cut by spaces."""
    return remove_stop_words(text.split(), "chinese")


@pytest.mark.parametrize(
    ("process", "text", "expected"),
    [(english, *pair) for pair in ENGLISH] + [(chinese, *pair) for pair in CHINESE],
)
def test_noise_then_words_then_stop_words_then_stems(process, text, expected):
    kept = clean([text]).texts
    assert [process(each) for each in kept] == ([] if expected is None else [expected.split()])


@pytest.mark.parametrize("word", ["not", "no", "nor", "never", "none", "nobody", "nothing"])
def test_english_negations_stay(word):
    kept = [word, "neither", "cannot", "don't", "isn't", "without", "against", "few", "too"]
    assert remove_stop_words([*kept, "the"], "english") == kept


def test_chinese_negations_stay():
    negations = ["不", "没", "没有", "别", "无", "未", "非", "莫", "勿", "太"]
    assert remove_stop_words([*negations, "的"], "chinese") == negations
    assert not [word for word in STOP_WORDS["chinese"] if set(word) & set("".join(negations[:2]))]


def test_the_lists_are_words_of_their_language_in_one_form():
    assert set(STOP_WORDS) == {"english", "chinese"}
    assert all(re.fullmatch("[a-z]+('[a-z]+)?", word) for word in STOP_WORDS["english"])
    assert all(all(map(is_ideograph, word)) for word in STOP_WORDS["chinese"])
    assert 120 <= len(STOP_WORDS["english"]) <= 180
    assert 120 <= len(STOP_WORDS["chinese"]) <= 180


def test_no_word_stands_in_two_classes():
    for language, classes in _CLASSES.items():
        every = [word for words in classes.values() for word in words.split()]
        assert len(every) == len(STOP_WORDS[language])


@given(st.lists(st.sampled_from(["the", "THE", "That’s", "that's", "cat", "Not", "", "的", "x"])))
def test_what_stays_is_as_it_was_and_in_order(words):
    stay = [word for word in words if word in ("cat", "Not", "", "的", "x")]
    assert remove_stop_words(words, "english") == stay
    assert remove_stop_words(tuple(words), "english") == stay
    assert remove_stop_words(words, "chinese") == [word for word in words if word != "的"]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"'French', which .* one of 'english', 'chinese'"):
        remove_stop_words(["le"], "French")
    with pytest.raises(TypeError, match="words is one string; cut it first"):
        remove_stop_words("the cat", "english")
    with pytest.raises(TypeError, match=r"words\[1\] is of type int, not str"):
        remove_stop_words(["a", 3], "english")
    with pytest.raises(TypeError, match="word is of type list, not str; give one word"):
        stem(["running"])


def test_recorded_stems():
    assert len(STEMS) > 3000
    assert {word: stem(word) for word in STEMS} == STEMS


@pytest.mark.parametrize(("step", "suffix"), RULES)
def test_the_recorded_stems_show_each_rule_and_its_condition(step, suffix, monkeypatch):
    rules = getattr(stemming, step)
    rule = rules[suffix]
    monkeypatch.delitem(rules, suffix)
    without_rule = any(stem(word) != STEMS[word] for word in STEMS)
    monkeypatch.setitem(rules, suffix, rule._replace(condition=stemming._always))
    without_condition = any(stem(word) != STEMS[word] for word in STEMS)
    assert without_rule == (suffix not in NO_EFFECT[:1])
    asks = rule.condition is not stemming._always and suffix not in NO_EFFECT
    assert without_condition == asks


def test_where_snowball_differs_it_leaves_a_double_consonant():
    assert RECORDED["snowball"]
    for word, other in RECORDED["snowball"].items():
        assert other == stem(word) + stem(word)[-1]


@pytest.mark.parametrize(
    ("letters", "measure"),
    [(word, 0) for word in ("", "tr", "ee", "tree", "y", "by")]
    + [(word, 1) for word in ("trouble", "oats", "trees", "ivy")]
    + [(word, 2) for word in ("troubles", "private", "oaten", "orrery")],
)
def test_measure_of_the_papers_examples(letters, measure):
    assert stemming.measure(letters) == measure


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("generalizations", "gener"),
        ("oscillators", "oscil"),
        ("Connected", "connect"),
        ("RUNNING", "run"),
        ("possibly", "possibli"),
        ("analogy", "analogi"),
        ("is", "is"),
        ("As", "as"),
        ("", ""),
        ("don't", "don't"),
        ("Cafés", "Cafés"),
        ("running2", "running2"),
        ("走着", "走着"),
        ("ｒｕｎｎｉｎｇ", "ｒｕｎｎｉｎｇ"),
    ],
)
def test_stem_of(word, expected):
    assert stem(word) == expected


@given(WORDS)
@example("sss")
@example("ied")
def test_a_stem_is_small_letters_no_more_than_its_word_has(word):
    found = stem(word)
    assert re.fullmatch("[a-z]+", found) and len(found) <= len(word)
    assert stem(word) == found == stem(word.upper())


@given(st.text().filter(lambda text: not re.fullmatch("[A-Za-z]+", text)))
def test_what_is_not_a_word_of_ascii_letters_is_left(text):
    assert stem(text) == text


def test_stemming_again_can_shorten_a_stem_further():
    assert [stem("agreed"), stem(stem("agreed")), stem("agr")] == ["agre", "agr", "agr"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("universe university universal", "univers"),
        ("experiment experience", "experi"),
        ("import important", "import"),
        ("sever severe several", "sever"),
        ("general generous generic generate", "gener"),
        ("new news", "new"),
        ("past paste", "past"),
        ("organ organization", "organ"),
    ],
)
def test_words_of_different_meaning_have_one_stem(words, expected):
    assert {stem(word) for word in words.split()} == {expected}


@pytest.mark.parametrize("words", ["run ran", "mouse mice", "matrix matrices", "europe european"])
def test_words_of_one_family_keep_different_stems(words):
    first, second = words.split()
    assert stem(first) != stem(second)


@pytest.mark.parametrize(
    ("phrase", "left"),
    [
        ("to be or not to be", "not"),
        ("The Who", ""),
        ("let it be", "let"),
        ("where there is a will there is a way", "way"),
        ("the US and IT", ""),
    ],
)
def test_phrases_that_stop_words_ruin(phrase, left):
    assert remove_stop_words(phrase.split(), "english") == left.split()
