"""Property tests for the exercises of chapter 04."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from hypothesis import strategies as st

from chapters.checks import Ask, exercise
from tinygrad_llm.tokenizers.bytemap import CHARACTER_TO_BYTE, to_piece

Words = dict[tuple[str, ...], int]


def expect(
    ask: Ask, what: str, got: Any, truth: Any, mistakes: Mapping[str, Any], source: str = ""
) -> None:
    """`got` must be `truth`; mistakes: what is done wrong → what then comes out; source: what the
    truth comes from, if that needs saying."""
    expected = f"expected {truth!r}{source}"
    if type(got) is not type(truth) and not (isinstance(truth, dict) and isinstance(got, dict)):
        ask.fail(f"{what} is a {type(got).__name__}, {expected}")
    if got != truth:
        hints = (f". That is what comes out {m}" for m, wrong in mistakes.items() if wrong == got)
        ask.fail(f"{what} is {got!r}, {expected}{next(hints, '')}")


@st.composite
def counted(draw: st.DrawFn) -> Words:
    """One to three words of two to five symbols, with their counts."""
    word = st.lists(st.sampled_from("abc"), min_size=2, max_size=5).map(tuple)
    return draw(st.dictionaries(word, st.integers(1, 4), min_size=1, max_size=3))


@exercise("merge_step(words)", words=counted())
def merge_step(ask: Ask, words: Words) -> None:
    """The pair by counting over all places, its join by looking at each place from the left."""
    found = ask.parts(ask(words), "pair", "words")
    right = _step(words)
    once = "when each word counts once: it counts as often as it occurs"
    wrong = {
        once: _step(words, weigh=False),
        "when the first seen of equally frequent pairs is taken": _step(words, ties="first"),
        "when the largest of equally frequent pairs is taken": _step(words, ties="largest"),
        f"{once} (and when of equally frequent pairs the first seen is taken)": _step(
            words, weigh=False, ties="first"
        ),
        "when the rarest pair is taken": _step(words, rarest=True),
        "when only the first place in a word is joined": _step(words, most=1),
        "when joins begin at the end of a word": _step(words, left=False),
        "when the pair stays in two symbols": (right[0], words),
    }
    pairs = {mistake: pair for mistake, (pair, _) in wrong.items()}
    expect(ask, "the pair", found[0], right[0], pairs)
    expect(ask, "the dict", found[1], right[1], {m: made for m, (_, made) in wrong.items()})


def _step(
    words: Words,
    weigh: bool = True,
    ties: str = "smallest",
    rarest: bool = False,
    most: int = 9,
    left: bool = True,
) -> tuple[tuple[str, str], Words]:
    """One step, with a part that can be wrong."""
    every = [
        pair for w, n in words.items() for pair in pairwise(w) for _ in range(n if weigh else 1)
    ]
    best = (min if rarest else max)(every.count(pair) for pair in every)
    equal = [pair for pair in every if every.count(pair) == best]
    pair = {"smallest": min(equal), "largest": max(equal), "first": equal[0]}[ties]
    return pair, {_joined(word, pair, most, left): n for word, n in words.items()}


def _joined(word: tuple[str, ...], pair: tuple[str, str], most: int, left: bool) -> tuple[str, ...]:
    """The word by recursion, with at most so many places joined."""
    if len(word) < 2 or not most:
        return word
    if left:
        if word[:2] == pair:
            return ("".join(pair), *_joined(word[2:], pair, most - 1, left))
        return (word[0], *_joined(word[1:], pair, most, left))
    if word[-2:] == pair:
        return (*_joined(word[:-2], pair, most - 1, left), "".join(pair))
    return (*_joined(word[:-1], pair, most, left), word[-1])


@st.composite
def spellings(draw: st.DrawFn) -> tuple[str, set[str]]:
    """A word, and a vocabulary of pieces that begin or continue a word."""
    piece = st.text(st.sampled_from("ab"), min_size=1, max_size=3)
    starts, rests = (draw(st.lists(piece, max_size=4)) for _ in range(2))
    word = draw(st.text(st.sampled_from("ab"), min_size=1, max_size=6))
    return word, {*starts, *("##" + rest for rest in rests)}


@exercise("longest_match(word, vocabulary)", drawn=spellings())
def longest_match(ask: Ask, drawn: tuple[str, set[str]]) -> None:
    """By recursion over what is left of the word."""
    word, vocabulary = drawn
    unmarked = {piece.removeprefix("##") for piece in vocabulary}
    marked = {f"##{piece}" for piece in unmarked} | unmarked
    part = _greedy(word, vocabulary, max)
    wrong = {
        "when only what does not fit is [UNK]: the whole word is": [*part[0], "[UNK]"],
        "when the pieces before the trouble are kept": part[0],
        "of the shortest piece that fits": _whole(*_greedy(word, vocabulary, min)),
        "when a piece that begins a word may continue one": _whole(*_greedy(word, marked, max)),
        "when the ## are left off": [piece.removeprefix("##") for piece in _whole(*part)],
        "of the fewest pieces: each is the longest that fits": _fewest(word, vocabulary),
        "when the longest is taken from the end": _from_the_end(word, vocabulary),
    }
    expect(ask, "the result", ask(word, vocabulary), _whole(*part), wrong)


def _greedy(word: str, vocabulary: set[str], choose: Any, mark: str = "") -> tuple[list[str], str]:
    """The pieces, and what is left where nothing fits."""
    fits = [end for end in range(1, len(word) + 1) if mark + word[:end] in vocabulary]
    if not fits:
        return [], word
    end = choose(fits)
    pieces, left = _greedy(word[end:], vocabulary, choose, "##")
    return [mark + word[:end], *pieces], left


def _whole(pieces: list[str], left: str) -> list[str]:
    return ["[UNK]"] if left else pieces


def _cuts(text: str) -> list[list[str]]:
    """All ways to cut a text, those in fewer pieces first."""
    inner = range(1, len(text))
    places = [c for n in range(len(text)) for c in combinations(inner, n)]
    return [[text[a:b] for a, b in pairwise((0, *cut, len(text)))] for cut in places]


def _fewest(word: str, vocabulary: set[str]) -> list[str]:
    """The first cut in fewest pieces that are all in the vocabulary."""
    cuts = ([cut[0], *("##" + piece for piece in cut[1:])] for cut in _cuts(word))
    return next((cut for cut in cuts if vocabulary.issuperset(cut)), ["[UNK]"])


def _from_the_end(word: str, vocabulary: set[str]) -> list[str]:
    pieces: list[str] = []
    while word:
        starts = (a for a in range(len(word)) if ("##" if a else "") + word[a:] in vocabulary)
        start = next(starts, None)
        if start is None:
            return ["[UNK]"]
        pieces.insert(0, ("##" if start else "") + word[start:])
        word = word[:start]
    return pieces


@st.composite
def byte_level(draw: st.DrawFn) -> list[str]:
    """The bytes of a text, or such bytes and some that are no UTF-8, as tokens."""
    data = draw(st.text(st.sampled_from("aé中😀 "), max_size=4)).encode()
    data += draw(st.sampled_from([b"", b"", b"\xff", b"\xe4\xb8"]))
    inner = draw(st.lists(st.integers(0, len(data)), max_size=3))
    pieces = [data[a:b] for a, b in pairwise(sorted({0, *inner, len(data)}))]
    return [to_piece(piece) for piece in pieces]


@exercise("decode(tokens, byte_of)", tokens=byte_level())
def decode(ask: Ask, tokens: list[str]) -> None:
    """The bytes of all tokens together, read as UTF-8."""
    data = [bytes(CHARACTER_TO_BYTE[c] for c in token) for token in tokens]
    wrong = {
        "when each token is read by itself: a character may lie in several": "".join(
            piece.decode("utf-8", errors="replace") for piece in data
        ),
        "when each byte is taken for a character": b"".join(data).decode("latin-1"),
        "when the tokens are only joined": "".join(tokens),
        "when broken bytes are left out: they become U+FFFD": b"".join(data).decode(
            "utf-8", errors="ignore"
        ),
        "when each broken byte is a U+FFFD: those that begin one character are one": _each_byte(
            b"".join(data)
        ),
    }
    byte_of = {c: CHARACTER_TO_BYTE[c] for c in sorted(set("".join(tokens)))}
    truth = b"".join(data).decode("utf-8", errors="replace")
    source = ', as bytes.decode(errors="replace") gives it' if "\ufffd" in truth else ""
    expect(ask, "the text", ask(tokens, byte_of), truth, wrong, source)


def _each_byte(data: bytes) -> str:
    """The text, with a U+FFFD for each byte that is in no character."""
    kept = data.decode("utf-8", errors="surrogateescape")
    return "".join("\ufffd" if "\udc80" <= c <= "\udcff" else c for c in kept)


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[list[int]], int]:
    """Rows of unequal lengths, so that no mistake looks like another, and an id that may be in
    them."""
    token = st.sampled_from([2, 1, 0, 3])
    rows = [draw(st.lists(token, min_size=a, max_size=b)) for a, b in ((0, 1), (3, 4), (1, 4))]
    rows[0].insert(0, 0)
    return draw(st.permutations(rows[: draw(st.integers(2, 3))])), draw(st.sampled_from([3, 1, 0]))


@exercise("pad(rows, pad_id)", drawn=batches())
def pad(ask: Ask, drawn: tuple[list[list[int]], int]) -> None:
    """Each place of the two arrays by itself."""
    rows, pad_id = drawn
    ids, mask = ask.parts(ask(rows, pad_id), "ids", "mask")
    lengths = np.array([len(row) for row in rows])
    places = np.arange(lengths.max())
    truth = np.array([[row[t] if t < len(row) else pad_id for t in places] for row in rows])
    left = np.array([[pad_id] * (lengths.max() - len(row)) + row for row in rows])
    counts = (places < lengths[:, None]).astype(int)
    wrong_ids = {
        "when the padding stands at the left": left,
        "when 0 is filled in, not pad_id": np.where(counts, truth, 0),
        "when rows are cut to the shortest": truth[:, : lengths.min()],
    }
    wrong_masks = {
        "when each pad_id is taken for padding: it may stand in a row": (truth != pad_id) * 1,
        "when 0 and 1 are exchanged": 1 - counts,
        "when each 0 is taken for padding": (truth != 0) * 1,
        "when all tokens count": counts | 1,
        "when the padding stands at the left": counts[:, ::-1],
    }
    _expect_integers(ask, "ids", ids, truth, wrong_ids)
    _expect_integers(ask, "mask", mask, counts, wrong_masks)


def _expect_integers(
    ask: Ask, what: str, got: Any, truth: np.ndarray, mistakes: Mapping[str, np.ndarray]
) -> None:
    """`got` must be an array of integers with the values of `truth`; True and False are 1 and 0."""
    if not isinstance(got, np.ndarray) or got.dtype.kind not in "biu":
        kind = f"of dtype {got.dtype}" if isinstance(got, np.ndarray) else f"a {type(got).__name__}"
        ask.fail(f"{what} is {kind}, expected an array of integers: {truth.tolist()}")
    lists = {mistake: wrong.tolist() for mistake, wrong in mistakes.items()}
    expect(ask, what, (got * 1).tolist(), truth.tolist(), lists)


@st.composite
def priced(draw: st.DrawFn) -> tuple[str, dict[str, int]]:
    """A text, and costs of its characters and of some longer words."""
    text = draw(st.text(st.sampled_from("abc"), min_size=1, max_size=6))
    word = st.text(st.sampled_from("abc"), min_size=2, max_size=3)
    costs = {character: draw(st.integers(1, 6)) for character in sorted(set(text))}
    return text, costs | draw(st.dictionaries(word, st.integers(1, 9), max_size=4))


@exercise("best_cut(text, costs)", drawn=priced())
def best_cut(ask: Ask, drawn: tuple[str, dict[str, int]]) -> None:
    """By trying all cuts: no cut may be cheaper."""
    text, costs = drawn
    found = ask(text, costs)
    cuts = [cut for cut in _cuts(text) if all(word in costs for word in cut)]
    best = min(cuts, key=lambda cut: sum(costs[word] for word in cut))
    if not isinstance(found, list):
        ask.fail(f"the result is a {type(found).__name__}, expected {best!r}")
    if found not in cuts:
        ask.fail(f"the result is {found!r}, which is no cut of {text!r} into words of costs")
    price, least = (sum(costs[word] for word in cut) for cut in (found, best))
    if price > least:
        longest = _longest(text, costs)
        hints = {
            "of the longest word, from the left, again and again": longest,
            "of the longest word, from the right": [
                w[::-1]
                for w in _longest(text[::-1], {word[::-1]: cost for word, cost in costs.items()})
            ][::-1],
            "of the fewest words": cuts[0],
            "of every character by itself": list(text),
            "of the cheapest next word, again and again": _cheapest_next(text, costs),
            "of the dearest cut": max(cuts, key=lambda cut: sum(costs[word] for word in cut)),
        }
        hint = next((f". That is what comes out {m}" for m, w in hints.items() if w == found), "")
        ask.fail(f"{found!r} costs {price}, and {best!r} costs {least}{hint}")


def _longest(text: str, costs: dict[str, int]) -> list[str]:
    words, start = [], 0
    while start < len(text):
        end = max(e for e in range(start + 1, len(text) + 1) if text[start:e] in costs)
        words.append(text[start:end])
        start = end
    return words


def _cheapest_next(text: str, costs: dict[str, int]) -> list[str]:
    words, start = [], 0
    while start < len(text):
        ends = [e for e in range(start + 1, len(text) + 1) if text[start:e] in costs]
        end = min(ends, key=lambda e: costs[text[start:e]])
        words.append(text[start:end])
        start = end
    return words


EXERCISES = [merge_step, longest_match, decode, pad, best_cut]
