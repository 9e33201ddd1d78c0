"""BERT's normalizer and words: what each kind of character becomes, and where it came from."""

import pickle
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers import Normalizer, split_words
from tinygrad_llm.tokenizers.normalize import is_ideograph, is_punctuation

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("aÉéΣ한你 \t\n\u0301.$"))


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in split_words(text)]


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("Hello", "hello"),
        ("a\tb\nc\rd", "a b c d"),
        ("a\u00a0b\u3000c\u2028d", "a b c d"),
        ("a\0b\ufffdc\x7fd\u200de\ue000f", "abcdef"),
        ("a\x0bb\x0cc\x85d", "abcd"),
        ("Café cafe\u0301", "cafe cafe"),
        ("ΣΟΦΟΣ", "σοφοσ"),
        ("İ", "i"),
        ("ß ẞ", "ß ß"),
        ("a你b", "a 你 b"),
        ("かなカナ", "かなカナ"),
        ("한", "\u1112\u1161\u11ab"),
        ("\uf900", " \u8c48 "),
        ("a\u0378b", "a\u0378b"),
    ],
)
def test_a_text_becomes(text, normalized):
    assert Normalizer().normalize(text) == normalized


def test_case_and_accents_stay_where_they_are_wanted():
    assert Normalizer(lowercase=False).normalize("É你") == "É 你 "
    assert Normalizer(strip_accents=False).normalize("É") == "é"
    assert Normalizer(lowercase=False, strip_accents=True).normalize("É") == "E"
    assert Normalizer(tokenize_chinese_chars=False).normalize("a你") == "a你"


def test_every_character_knows_where_it_came_from():
    text, spans = Normalizer().trace("A\0é你한")
    assert text == "ae 你 \u1112\u1161\u11ab"
    assert [start for start, _ in spans] == [0, 2, 3, 3, 3, 4, 4, 4]
    assert all(end == start + 1 for start, end in spans)
    assert Normalizer().trace("Aé b") == ("ae b", None)


@given(TEXTS, st.booleans(), st.booleans(), st.booleans())
def test_every_span_alone_gives_its_characters(text, lowercase, strip, chinese):
    normalizer = Normalizer(lowercase, strip, chinese)
    normalized, spans = normalizer.trace(text)
    if spans is None:
        spans = [(i, i + 1) for i in range(len(text))]
    assert len(normalized) == len(spans) and spans == sorted(spans)
    assert normalizer.normalize(text) == normalized
    assert "".join(map(normalizer.normalize, text)) == normalized
    for character, (start, end) in zip(normalized, spans):
        assert character in normalizer.normalize(text[start:end])


def test_a_normalizer_can_be_pickled():
    normalizer = Normalizer(lowercase=False)
    assert normalizer.normalize("É") == "É"
    assert pickle.loads(pickle.dumps(normalizer)).normalize("Éa") == "Éa"


@given(TEXTS)
def test_nothing_that_should_be_gone_is_left(text):
    normalized = Normalizer().normalize(text)
    kinds = {unicodedata.category(character) for character in normalized}
    assert kinds.isdisjoint({"Cc", "Cf", "Co", "Mn", "Zl", "Zp"})
    assert not {c for c in normalized if c.isspace()} - {" "}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", []),
        ("   ", []),
        (" a  b ", ["a", "b"]),
        ("wow!!", ["wow", "!", "!"]),
        ("a$b+c", ["a", "$", "b", "+", "c"]),
        ("_a_", ["_", "a", "_"]),
        ("«a»", ["«", "a", "»"]),
        ("a×b€", ["a×b€"]),
        ("你好，", ["你好", "，"]),
    ],
)
def test_words(text, found):
    assert words(text) == found


@given(TEXTS)
def test_words_are_all_that_is_no_space(text):
    normalized = Normalizer().normalize(text)
    found = words(normalized)
    assert "".join(found) == normalized.replace(" ", "")
    assert all(len(word) == 1 or not any(map(is_punctuation, word)) for word in found)


def test_all_of_ascii_that_is_no_letter_digit_space_or_control_is_punctuation():
    held = [*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127)]
    assert [code for code in range(128) if is_punctuation(chr(code))] == held


@pytest.mark.parametrize(
    ("first", "last"), [(0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x2A700, 0x2B81F)]
)
def test_ideographs_begin_and_end(first, last):
    assert is_ideograph(chr(first)) and is_ideograph(chr(last))
    assert not is_ideograph(chr(first - 1)) and not is_ideograph(chr(last + 1))


def test_only_a_string_is_normalized():
    with pytest.raises(TypeError, match="text is of type list, not str"):
        Normalizer().trace(["a"])
