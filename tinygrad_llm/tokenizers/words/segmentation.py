"""Words of a Chinese text found with a dictionary: longest match, best path, and its counts.

Sources: Liang 1987 (书面汉语自动分词系统) for maximum matching; Viterbi 1967 for the best path and,
as training, its counts; Sproat & Emerson 2003, "The First International Chinese Word Segmentation
Bakeoff", for the scores.

What all of them share: a run of Latin letters and digits is one word, so is a run of white space,
and every other character that is no letter (punctuation, "%", "℃") is a word of its own. The
dictionary is asked between these, and there every single character is a word, listed or not. The
words joined are the text, always.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import inf, log
from typing import NamedTuple

UNKNOWN_COUNT = 0.5
"""What `segment` takes for the count of a character that has none, and of a word with count 0."""

_LATIN = "0-9A-Za-zÀ-ÖØ-öø-ɏ０-９Ａ-Ｚａ-ｚ"

_PIECES = re.compile(
    rf"(?P<characters>(?:(?![{_LATIN}])[^\W_])+)|[{_LATIN}]+|\s+|.",
    re.DOTALL,
)


class SpanScores(NamedTuple):
    """How many of the words found are right, how many of the right ones found, and their mean."""

    precision: float
    recall: float
    f1: float


def forward_segment(text: str, words: Collection[str]) -> list[str]:
    """From left to right, always the longest word of the dictionary (maximum matching).

    Each call reads the dictionary once, then takes len(text) times the longest word's length.
    Raises TypeError where `text` is no string or `words` is one, ValueError for no words or an
    empty one.
    """
    known, longest = _dictionary(words)
    return _cut(text, lambda run: _forward(run, known, longest))


def backward_segment(text: str, words: Collection[str]) -> list[str]:
    """As `forward_segment`, from right to left: the longest word that ends here."""
    known, longest = _dictionary(words)
    return _cut(text, lambda run: _backward(run, known, longest))


def segment(text: str, counts: Mapping[str, float]) -> list[str]:
    """The most probable words, each drawn by itself: the path with the largest sum of log p(word).

    p(word) = count / sum of all counts. A character without a count, and a word whose count is 0,
    is taken for `UNKNOWN_COUNT`. Of equally good paths the one with the longer last word is taken.
    Source: dynamic programming over the ends of words (Viterbi 1967), len(text) times the longest
    word's length. Raises as `forward_segment` does, and ValueError for a negative count.
    """
    scores = _Scores(counts)
    return _cut(text, lambda run: _best_path(run, scores))


def learn_counts(texts: Iterable[str], words: Collection[str], rounds: int = 10) -> dict[str, int]:
    """How often each word of the dictionary, and each single character, stands in raw texts.

    Hard expectation maximisation: start from plain occurrences, where 研究生 counts for 研究, too;
    cut the texts by `segment` and count what comes out; again, until nothing changes or `rounds`
    times. Words never chosen stay, with 0.

    Raises TypeError where texts or words is one string or `rounds` no int, ValueError for no
    texts, no words, an empty word or negative rounds.
    """
    known, longest = _dictionary(words)
    if isinstance(rounds, bool) or not isinstance(rounds, int):
        raise TypeError(f"rounds is of type {type(rounds).__name__}, not int")
    if rounds < 0:
        raise ValueError(f"rounds must not be negative, not {rounds}")
    runs = _all_runs(texts)
    alphabet = {*known, *"".join(runs)}
    counts = _filled(alphabet, (w for run in runs for w in _occurrences(run, alphabet, longest)))
    for _ in range(rounds):
        scores = _Scores(counts)
        found = _filled(alphabet, (word for run in runs for word in _best_path(run, scores)))
        if found == counts:
            break
        counts = found
    return counts


def spans(words: Iterable[str]) -> list[tuple[int, int]]:
    """Where each word stands in the text that they make: [start, end) in characters."""
    found, start = [], 0
    for word in _listed(words, "words"):
        found.append((start, start + len(word)))
        start += len(word)
    return found


def span_scores(predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]]) -> SpanScores:
    """Precision, recall and F1 of the words of all sentences together; a word is right where both
    its ends are.

    predicted, gold: one list of words for each sentence. Raises ValueError for no sentences, for
    another number of them, and where the words of a sentence do not make the same text; TypeError
    where a sentence is one string.
    """
    if len(predicted) != len(gold) or not gold:
        raise ValueError(f"{len(predicted)} sentences predicted and {len(gold)} gold; give as many")
    right = found = wanted = 0
    for number, (ours, theirs) in enumerate(zip(predicted, gold)):
        a, b = spans(ours), spans(theirs)
        if "".join(ours) != "".join(theirs) or not b:
            raise ValueError(f"sentence {number} predicted is not the text of gold, or is empty")
        right, found, wanted = right + len({*a} & {*b}), found + len(a), wanted + len(b)
    return SpanScores(right / found, right / wanted, 2 * right / (found + wanted))


class _Scores(dict[str, float]):
    """log p of words and of single characters, each worked out when it is first asked for."""

    def __init__(self, counts: Mapping[str, float]):
        super().__init__()
        if not isinstance(counts, Mapping):
            raise TypeError(f"counts is of type {type(counts).__name__}; give a dict, word: count")
        _, self.longest = _dictionary(counts)
        values = list(counts.values())
        total = sum(values) + UNKNOWN_COUNT * values.count(0)
        if not (min(values) >= 0 and total < inf):
            raise ValueError("a count is negative, infinite or not a number; give counts from 0 on")
        self.counts, self.log_total = counts, log(total)

    def __missing__(self, word: str) -> float:
        self[word] = log(self.counts.get(word) or UNKNOWN_COUNT) - self.log_total
        return self[word]


def _forward(run: str, known: Collection[str], longest: int) -> Iterator[str]:
    start = 0
    while start < len(run):
        ends = range(min(len(run), start + longest), start + 1, -1)
        end = next((end for end in ends if run[start:end] in known), start + 1)
        yield run[start:end]
        start = end


def _backward(run: str, known: Collection[str], longest: int) -> list[str]:
    found, end = list[str](), len(run)
    while end:
        starts = range(max(0, end - longest), end - 1)
        start = next((start for start in starts if run[start:end] in known), end - 1)
        found.append(run[start:end])
        end = start
    return found[::-1]


def _best_path(run: str, scores: _Scores) -> list[str]:
    """The words of the best path, found from the end back."""
    starts, words, end = _best_starts(run, scores), list[str](), len(run)
    while end:
        words.append(run[starts[end] : end])
        end = starts[end]
    return words[::-1]


def _best_starts(run: str, scores: _Scores) -> list[int]:
    """For each end, where the last word of the best path to it starts."""
    best, starts = [0.0], [0]
    for end in range(1, len(run) + 1):
        top, chosen = -inf, end
        for start in range(max(0, end - scores.longest), end):
            word = run[start:end]
            if start == end - 1 or word in scores.counts:
                score = best[start] + scores[word]
                if score > top:
                    top, chosen = score, start
        best.append(top)
        starts.append(chosen)
    return starts


def _occurrences(run: str, known: Collection[str], longest: int) -> Iterator[str]:
    """Every word at every place, overlapping ones too."""
    for start in range(len(run)):
        for end in range(start + 1, min(len(run), start + longest) + 1):
            if run[start:end] in known:
                yield run[start:end]


def _filled(words: Collection[str], found: Iterable[str]) -> dict[str, int]:
    """How often each of the words was found, 0 where never, in the order of their characters."""
    counts = Counter(found)
    return {word: counts[word] for word in sorted(words)}


def _cut(text: str, words_of: Callable[[str], Iterable[str]]) -> list[str]:
    """The words of a text: what `words_of` makes of each run of characters, and what is between."""
    return [word for run, inside in _runs(text) for word in (words_of(run) if inside else [run])]


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """The parts of a text, and whether the dictionary is asked inside."""
    if not isinstance(text, str):
        raise TypeError(f"text is of type {type(text).__name__}, not str; give one string")
    for match in _PIECES.finditer(text):
        yield match[0], match.lastgroup == "characters"


def _all_runs(texts: Iterable[str]) -> list[str]:
    """The runs of all texts inside which the dictionary is asked."""
    runs = [run for text in _listed(texts, "texts") for run, inside in _runs(text) if inside]
    if not runs:
        raise ValueError("texts have no character to count; give at least one text")
    return runs


def _dictionary(words: Collection[str]) -> tuple[Collection[str], int]:
    """The words as something quick to ask, and the length of the longest."""
    known = words if isinstance(words, (set, frozenset, Mapping)) else set(_listed(words, "words"))
    if not known:
        raise ValueError("the dictionary is empty; give at least one word")
    if not all(issubclass(kind, str) for kind in set(map(type, known))):
        raise TypeError("a word of the dictionary is no string")
    if "" in known:
        raise ValueError("a word of the dictionary is empty; leave it out")
    return known, max(map(len, known))


def _listed(strings: Iterable[str], name: str) -> Iterable[str]:
    """The same, which is not one string."""
    if isinstance(strings, str):
        raise TypeError(f"{name} is one string; give a list of strings")
    return strings
