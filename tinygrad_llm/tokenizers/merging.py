"""Learning merges: the most frequent pair of neighbours in the words is joined, again and again.

Source: Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import pairwise

_NONE = -1
"""Symbol of a place where no piece starts: between two words, or inside a merged piece."""

_SHIFT = 32
"""A pair of ids is one integer, first << 32 | second: it orders as the pair does, and is faster."""

_MASK = (1 << _SHIFT) - 1


def learn_merges(
    words: Iterable[tuple[Sequence[int], int]],
    vocab: dict[str, int],
    vocab_size: int,
    name_of: Callable[[str, str], str],
    forbidden: Container[str] = (),
    min_frequency: int = 2,
    progress: bool = False,
) -> list[tuple[str, str]]:
    """Join pairs until the vocabulary, which grows in place, is full or no frequent one is left.

    Of pairs that are equally frequent the one with the smaller ids is joined. Within a word a pair
    is joined from left to right; every two neighbours count, so that "aaa" has "aa" twice.

    Args:
        words: the distinct words, each as the ids of its pieces, and how often it occurs.
        vocab: piece -> id, from 0 up without gaps.
        vocab_size: pieces that the vocabulary may grow to.
        name_of: what two pieces are called together; where that is in the vocabulary, it is that
            piece.
        forbidden: pairs that would be called so are never joined.
        min_frequency: rarer pairs are not joined.
        progress: show a bar of the vocabulary's size.

    Returns:
        The pairs of pieces in the order in which they were joined.
    """
    from tqdm import tqdm

    row, pieces = _Row(words), list(vocab)
    merges: list[tuple[str, str]] = []
    with tqdm(total=vocab_size, initial=len(vocab), disable=not progress, desc="tokens") as bar:
        while len(vocab) < vocab_size:
            pair, count = row.most_frequent()
            if count < min_frequency:
                break
            first, second = pieces[pair >> _SHIFT], pieces[pair & _MASK]
            name = name_of(first, second)
            if name in forbidden:
                continue
            if name not in vocab:
                vocab[name] = len(vocab)
                pieces.append(name)
                bar.update()
            merges.append((first, second))
            row.join(pair, vocab[name])
    return merges


class _Row:
    """All distinct words in one row of symbols, linked to their neighbours, with its pairs.

    counts holds how often each pair of neighbours stands in the corpus, and places where its first
    symbols may stand in the row: joins leave places behind that no longer hold the pair. Arrays
    rather than lists: less memory.
    """

    def __init__(self, words: Iterable[tuple[Sequence[int], int]]):
        self.symbols = array("i", [_NONE])
        self.weights = array("q", [0])
        for word, count in words:
            self.symbols.extend(word)
            self.symbols.append(_NONE)
            self.weights.extend([count] * (len(word) + 1))
        self.left = array("i", range(-1, len(self.symbols) - 1))
        self.right = array("i", range(1, len(self.symbols) + 1))
        self._count()

    def _count(self) -> None:
        self.counts: defaultdict[int, int] = defaultdict(int)
        self.places: defaultdict[int, array[int]] = defaultdict(partial(array, "i"))
        for i, (a, b) in enumerate(pairwise(self.symbols)):
            if a >= 0 and b >= 0:
                pair = a << _SHIFT | b
                self.counts[pair] += self.weights[i]
                self.places[pair].append(i)
        self.queue = [(-count, pair) for pair, count in self.counts.items()]
        heapify(self.queue)

    def most_frequent(self) -> tuple[int, int]:
        """The pair to join next, taken off the queue, and its count; the count 0 if none is left.

        The queue's counts may be too high, never too low: a count that has fallen goes back in.
        """
        while self.queue:
            count, pair = heappop(self.queue)
            now = self.counts.get(pair, 0)
            if now == -count:
                return pair, now
            if now:
                heappush(self.queue, (-now, pair))
        return 0, 0

    def join(self, pair: int, new: int) -> None:
        """Put the new symbol for the pair everywhere, from left to right."""
        grown: set[int] = set()
        first, second = pair >> _SHIFT, pair & _MASK
        symbols, right = self.symbols, self.right
        for i in sorted(self.places.pop(pair)):
            j = right[i]
            if symbols[i] == first and symbols[j] == second:
                self._link(i, j, new, grown)
        del self.counts[pair]
        for other in grown:
            heappush(self.queue, (-self.counts[other], other))

    def _link(self, i: int, j: int, new: int, grown: set[int]) -> None:
        """Let the new symbol stand at i for those at i and j; note which pairs became more."""
        symbols, counts, places, weight = self.symbols, self.counts, self.places, self.weights[i]
        before, after = self.left[i], self.right[j]
        x, y = symbols[before], symbols[after]
        if x >= 0:
            counts[x << _SHIFT | symbols[i]] -= weight
            pair = x << _SHIFT | new
            counts[pair] += weight
            places[pair].append(before)
            grown.add(pair)
        if y >= 0:
            counts[symbols[j] << _SHIFT | y] -= weight
            pair = new << _SHIFT | y
            counts[pair] += weight
            places[pair].append(i)
            grown.add(pair)
        symbols[i], symbols[j] = new, _NONE
        self.right[i], self.left[after] = after, i
