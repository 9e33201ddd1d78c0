"""Words of a Chinese text found with a dictionary: longest match, best path, and its counts.

Sources: Liang 1987 (书面汉语自动分词系统) for the longest match; Viterbi 1967, "Error Bounds for
Convolutional Codes and an Asymptotically Optimum Decoding Algorithm", for the best path; Juang &
Rabiner 1990, "The Segmental K-Means Algorithm for Estimating Parameters of Hidden Markov Models",
for counts learnt from best paths; Sproat & Emerson 2003, "The First International Chinese Word
Segmentation Bakeoff", for the scores.

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
"""What `best_path` takes for the count of a character that has none, and of a word with count 0."""

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


class Segmenter:
    """A dictionary, read once, that cuts texts into words in three ways.

    words: the dictionary, with counts ({word: count}) or without (every word counts 1). It is
    copied: what is done to it later changes nothing here. Each way takes time as len(text) times
    the longest word's length, however many words there are, and raises TypeError where the text
    is no string.

    Raises TypeError where `words` is one string or has a word that is none, ValueError for no
    words, an empty one, and a count that is negative, infinite or not a number.
    """

    def __init__(self, words: Collection[str] | Mapping[str, float]):
        known = words if isinstance(words, Mapping) else dict.fromkeys(_listed(words, "words"), 1)
        self.counts: dict[str, float] = dict(known)
        self.longest = _longest(self.counts)
        self._log_total = log(_total(self.counts))

    def forward(self, text: str) -> list[str]:
        """From left to right, always the longest word of the dictionary (maximum matching)."""
        return _cut(text, self._forward)

    def backward(self, text: str) -> list[str]:
        """As `forward`, from right to left: the longest word that ends here."""
        return _cut(text, self._backward)

    def best_path(self, text: str) -> list[str]:
        """The most probable words, each drawn by itself: the largest sum of log p(word).

        p(word) = c(word) / Σ c over the words of the dictionary, where c is the count, or
        `UNKNOWN_COUNT` where that is 0. A character that is not in the dictionary has
        c = `UNKNOWN_COUNT`, too, and no part in the sum. Of equally good paths the one with the
        longer last word is taken. Source: dynamic programming over the ends of words (Viterbi
        1967).
        """
        return _cut(text, self._best_path)

    def _forward(self, run: str) -> Iterator[str]:
        start = 0
        while start < len(run):
            ends = range(min(len(run), start + self.longest), start + 1, -1)
            end = next((end for end in ends if run[start:end] in self.counts), start + 1)
            yield run[start:end]
            start = end

    def _backward(self, run: str) -> list[str]:
        found, end = list[str](), len(run)
        while end:
            starts = range(max(0, end - self.longest), end - 1)
            start = next((start for start in starts if run[start:end] in self.counts), end - 1)
            found.append(run[start:end])
            end = start
        return found[::-1]

    def _best_path(self, run: str) -> list[str]:
        """The words of the best path, found from the end back."""
        starts, words, end = self._best_starts(run), list[str](), len(run)
        while end:
            words.append(run[starts[end] : end])
            end = starts[end]
        return words[::-1]

    def _best_starts(self, run: str) -> list[int]:
        """For each end, where the last word of the best path to it starts."""
        best, starts = [0.0], [0]
        for end in range(1, len(run) + 1):
            top, chosen = -inf, end
            for start in range(max(0, end - self.longest), end):
                word = run[start:end]
                if start == end - 1 or word in self.counts:
                    score = best[start] + self._log_p(word)
                    if score > top:
                        top, chosen = score, start
            best.append(top)
            starts.append(chosen)
        return starts

    def _log_p(self, word: str) -> float:
        return log(self.counts.get(word) or UNKNOWN_COUNT) - self._log_total


def learn_counts(texts: Iterable[str], words: Collection[str], rounds: int = 10) -> dict[str, int]:
    """How often each word of the dictionary, and each single character, stands in raw texts.

    Hard expectation maximisation: start from plain occurrences, where 研究生 counts for 研究, too;
    cut the texts by `best_path` and count what comes out; again, until nothing changes or `rounds`
    times. Words never chosen stay, with 0.

    Raises TypeError where texts or words is one string or `rounds` no int, ValueError for no
    texts, no words, an empty word or negative rounds.
    """
    known = Segmenter(words)
    if isinstance(rounds, bool) or not isinstance(rounds, int):
        raise TypeError(f"rounds is of type {type(rounds).__name__}, not int")
    if rounds < 0:
        raise ValueError(f"rounds must not be negative, not {rounds}")
    runs = _all_runs(texts)
    alphabet, longest = {*known.counts, *"".join(runs)}, known.longest
    counts = _filled(alphabet, (w for run in runs for w in _occurrences(run, alphabet, longest)))
    for _ in range(rounds):
        present = Segmenter(counts)
        found = _filled(alphabet, (word for run in runs for word in present.best_path(run)))
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


def _longest(words: Collection[str]) -> int:
    """The length of the longest word."""
    if not words:
        raise ValueError("the dictionary is empty; give at least one word")
    if not all(issubclass(kind, str) for kind in set(map(type, words))):
        raise TypeError("a word of the dictionary is no string")
    if "" in words:
        raise ValueError("a word of the dictionary is empty; leave it out")
    return max(map(len, words))


def _total(counts: Mapping[str, float]) -> float:
    """The sum of all counts, `UNKNOWN_COUNT` for each that is 0."""
    values = list(counts.values())
    total = sum(values) + UNKNOWN_COUNT * values.count(0)
    if not (min(values) >= 0 and total < inf):
        raise ValueError("a count is negative, infinite or not a number; give counts from 0 on")
    return total


def _listed(strings: Iterable[str], name: str) -> Iterable[str]:
    """The same, which is not one string."""
    if isinstance(strings, str):
        raise TypeError(f"{name} is one string; give a list of strings")
    return strings
