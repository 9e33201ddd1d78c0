"""NFC equals unicodedata's, and each character's span covers what it was composed of."""

import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers.composition import compose

POOL = "aeo\u0301\u0323\u0308\u1100\u1161\u11a8\uac00\u0b47\u0b3e\u0915\u093c\u2126\ufb01今 z"


@given(st.text() | st.text(POOL, max_size=12))
@example("\u1100\u1161\u11a8")  # three letters of one syllable
@example("e\u0323\u0301")  # marks that change places
@example("\u0b47\u0b3e")  # two vowels that become one, neither a combining mark
@example("\u0958")  # taken apart, and never put together again
def test_the_text_is_unicodes_and_every_span_composes_to_its_characters(text):
    composed, spans = compose(text)
    assert composed == unicodedata.normalize("NFC", text)
    if spans is None:
        assert composed == text
        return
    assert len(spans) == len(composed)
    for span in set(spans):
        own = "".join(c for c, s in zip(composed, spans) if s == span)
        assert unicodedata.normalize("NFC", text[slice(*span)]) == own
    covered = sorted(set(spans))
    assert [0, *(end for _, end in covered)] == [*(start for start, _ in covered), len(text)]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("abc", None),
        ("e\u0301!", [(0, 2), (2, 3)]),
        ("xe\u0323\u0301", [(0, 1), (1, 4), (1, 4)]),
        ("\u1100\u1161\u11a8a", [(0, 3), (3, 4)]),
        ("\u0958", [(0, 1), (0, 1)]),
        ("", None),
    ],
)
def test_spans_by_hand(text, spans):
    assert compose(text)[1] == spans


def test_no_composition_lies_beyond_what_is_searched():
    beyond = map(chr, range(0x20000, sys.maxunicode + 1))
    assert not any(len(unicodedata.normalize("NFD", c)) > 1 for c in beyond)
