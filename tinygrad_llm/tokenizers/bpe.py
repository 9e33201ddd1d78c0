"""Byte-level byte-pair encoding: train merges on texts, encode with character spans, decode.

Sources: Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units, for the
merges; Radford et al. 2019, Language Models are Unsupervised Multitask Learners, for the bytes.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from itertools import pairwise

from tinygrad_llm.tokenizers.bytemap import (
    ALPHABET,
    BYTE_TO_CHARACTER,
    character_of_byte,
    from_piece,
    to_piece,
    to_utf8,
)
from tinygrad_llm.tokenizers.checks import check_training, check_vocab, shown
from tinygrad_llm.tokenizers.patterns import GPT2, compile_pattern, split

_NONE = -1
"""Symbol of a place where no piece starts: between two words, or inside a merged piece."""

_SHIFT = 32
"""A pair of ids is one integer, first << 32 | second: it orders as the pair does, and is faster."""

_MASK = (1 << _SHIFT) - 1

_CACHED_WORDS = 1 << 17
"""As many pre-tokens are kept; then the memory starts anew."""

_CACHED_TOKENS = 16
"""Pre-tokens of more tokens are not kept: few come again, and all that is kept stays below
200 MB."""

Token = tuple[int, int, int]
"""Id, and the characters start to end (exclusive) that it covers, some of them only in part."""

Word = tuple[int, Sequence[int], Sequence[int], Sequence[int]]
"""A pre-token's length in characters; its tokens' ids, and where they start and end in it."""


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str = GPT2,
    special_tokens: Sequence[str] = (),
    min_frequency: int = 2,
    progress: bool = False,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Learn merges: join the most frequent pair of neighbours, again and again.

    Of pairs that are equally frequent the one with the smaller ids is joined. Ids: special tokens,
    then the 256 bytes in the order of GPT-2's map, then the merged pieces. No pair is joined to the
    name of a special token.

    Args:
        texts: the corpus; special tokens in it are text as any other.
        vocab_size: of the result, which is smaller if no frequent pair is left.
        pattern: name of a pattern or a regular expression; see patterns.compile_pattern.
        special_tokens: get the ids 0, 1, ...
        min_frequency: rarer pairs are not joined.
        progress: show a bar of the vocabulary's size.

    Returns:
        The id of every piece, and the pairs of pieces in the order in which they were joined.

    Raises:
        TypeError: what `check_training` raises; one of the texts is none.
        ValueError: what `check_training` raises; the corpus is empty or has a lone surrogate,
            vocab_size does not hold bytes and special tokens, or a special token is the character
            of a byte.
    """
    check_training(texts, vocab_size, special_tokens, min_frequency)
    vocab = _first_ids(special_tokens)
    if vocab_size < len(vocab):
        raise ValueError(
            f"vocab_size must be at least {len(vocab)} (256 bytes and {len(special_tokens)} "
            f"special tokens), not {vocab_size}"
        )
    row = _Row(_count_words(texts, pattern), [vocab[c] for c in BYTE_TO_CHARACTER])
    return vocab, _learn(row, vocab, vocab_size, set(special_tokens), min_frequency, progress)


def _first_ids(special_tokens: Sequence[str]) -> dict[str, int]:
    """Ids of the special tokens and of the bytes' characters."""
    vocab: dict[str, int] = {}
    for token in special_tokens:
        if token in ALPHABET:
            raise ValueError(f"special token {token!r} is the character of a byte; leave it out")
        vocab[token] = len(vocab)
    return vocab | {c: len(vocab) + i for i, c in enumerate(ALPHABET)}


def _count_words(texts: Iterable[str], pattern: str) -> Counter[bytes]:
    """How often each pre-token, as UTF-8, stands in the texts."""
    compiled = compile_pattern(pattern)
    words: Counter[str] = Counter()
    for text in texts:
        to_utf8(text)
        words.update(split(compiled, text))
    if not words:
        raise ValueError("the corpus is empty: no text has a character")
    return Counter({word.encode("utf8"): count for word, count in words.items()})


class _Row:
    """All distinct words in one row of symbols, linked to their neighbours, with its pairs.

    counts holds how often each pair of neighbours stands in the corpus, and places where its first
    symbols may stand in the row: joins leave places behind that no longer hold the pair. Arrays
    rather than lists: half the memory, about 80 bytes a symbol with all that belongs to it.
    """

    def __init__(self, words: Counter[bytes], byte_ids: list[int]):
        self.symbols = array("i", [_NONE])
        self.weights = array("q", [0])
        for word, count in words.items():
            self.symbols.extend([byte_ids[byte] for byte in word])
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


def _learn(
    row: _Row,
    vocab: dict[str, int],
    vocab_size: int,
    special: set[str],
    min_frequency: int,
    progress: bool,
) -> list[tuple[str, str]]:
    """Join pairs until the vocabulary, which grows in place, is full or no frequent one is left."""
    from tqdm import tqdm

    pieces = {id: piece for piece, id in vocab.items()}
    merges: list[tuple[str, str]] = []
    with tqdm(total=vocab_size, initial=len(vocab), disable=not progress, desc="merges") as bar:
        while len(vocab) < vocab_size:
            pair, count = row.most_frequent()
            if count < min_frequency:
                break
            first, second = pieces[pair >> _SHIFT], pieces[pair & _MASK]
            if first + second not in special:
                new = vocab.setdefault(first + second, len(vocab))
                pieces[new] = first + second
                merges.append((first, second))
                row.join(pair, new)
                bar.update(len(vocab) - bar.n)
    return merges


class BPE:
    """Encodes texts with a vocabulary and its merges, and decodes ids.

    Args:
        vocab: id of every piece; all 256 bytes of GPT-2's map are among them.
        merges: pairs of pieces; of the pairs in a word the earliest of these is joined first.
        pattern: name of a pattern or a regular expression; see patterns.compile_pattern.
        ignore_merges: a pre-token that is a piece of the vocabulary as a whole is that piece,
            whether or not merges lead to it (Llama 3).

    Raises:
        TypeError, ValueError: what `check_vocab` raises; a byte is missing, or a merge is no pair
            of pieces of the vocabulary.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        pattern: str = GPT2,
        ignore_merges: bool = False,
    ):
        check_vocab(vocab)
        _check_bytes(vocab)
        self.vocab = dict(vocab)
        self.merges = list(merges)
        self.pattern = pattern
        self.ignore_merges = ignore_merges
        self._compiled = compile_pattern(pattern)
        self._byte_ids = [vocab[character] for character in BYTE_TO_CHARACTER]
        self._ranks = _ranks(vocab, self.merges)
        self.bytes_of = {id: from_piece(piece) for piece, id in vocab.items()}
        self._cache: dict[str, Word] = {}

    def encode(self, text: str) -> list[Token]:
        """The text's tokens: id and the span of characters in the text, start to end (exclusive).

        A character's bytes share its span, so that tokens which part a character overlap.

        Raises:
            TypeError: text is no string.
            ValueError: text holds a lone surrogate; names its position.
        """
        tokens, at = [], 0
        for length, ids, starts, ends in self.words(text):
            tokens += [(id, at + start, at + end) for id, start, end in zip(ids, starts, ends)]
            at += length
        return tokens

    def words(self, text: str) -> Iterator[Word]:
        """The pre-tokens in order. Raises what `encode` raises."""
        to_utf8(text)
        cache = self._cache
        for word in split(self._compiled, text):
            yield cache.get(word) or self._encode_word(word)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids; U+FFFD where their bytes are no UTF-8.

        Raises:
            ValueError: an id is not in the vocabulary.
        """
        try:
            data = b"".join([self.bytes_of[id] for id in ids])
        except KeyError as error:
            raise ValueError(f"id {error.args[0]} is not in the vocabulary") from None
        return data.decode("utf8", errors="replace")

    def _encode_word(self, word: str) -> Word:
        """A pre-token's tokens, kept for the next time."""
        data = word.encode("utf8")
        characters = character_of_byte(data)
        whole = self.vocab.get(to_piece(data)) if self.ignore_merges else None
        if whole is not None:
            joined = [(whole, 0)]
        else:
            joined = _join([self._byte_ids[byte] for byte in data], self._ranks)
        ids, first_bytes = zip(*joined)
        starts = tuple([characters[byte] for byte in first_bytes])
        ends = tuple([characters[byte - 1] + 1 for byte in (*first_bytes[1:], len(data))])
        if len(ids) <= _CACHED_TOKENS:
            self._keep(word, (len(word), ids, starts, ends))
        return len(word), ids, starts, ends

    def _keep(self, word: str, found: Word) -> None:
        if len(self._cache) >= _CACHED_WORDS:
            self._cache.clear()
        self._cache[word] = found  # tuples of integers are no work for the garbage collector


def _check_bytes(vocab: Mapping[str, int]) -> None:
    """Every byte is there."""
    for byte, character in enumerate(BYTE_TO_CHARACTER):
        if character not in vocab:
            raise ValueError(f"vocab lacks {character!r}, the piece of the byte {byte}")


def _ranks(
    vocab: Mapping[str, int], merges: Sequence[tuple[str, str]]
) -> dict[tuple[int, int], tuple[int, int]]:
    """For each pair of ids the merge's rank and the id of what it makes."""
    ranks = {}
    for rank, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or len(merge) != 2:
            raise ValueError(f"merge {rank} is {shown(merge)}; give two pieces, (first, second)")
        first, second = merge
        for piece in (first, second, first + second):
            if piece not in vocab:
                raise ValueError(
                    f"merge {rank}, {first!r} and {second!r}, needs {piece!r}, which vocab lacks"
                )
        ranks[vocab[first], vocab[second]] = rank, vocab[first + second]
    return ranks


def _join(
    symbols: list[int], ranks: dict[tuple[int, int], tuple[int, int]]
) -> list[tuple[int, int]]:
    """Join a word's symbols, lowest rank first and then leftmost; ids and where they start.

    A queue of the pairs makes it O(n log n) for n symbols.
    """
    n = len(symbols)
    symbols = [*symbols, _NONE]
    left, right = list(range(-1, n)), [*range(1, n + 1), n]
    find = ranks.get
    queue = [(f[0], i) for i, pair in enumerate(pairwise(symbols)) if (f := find(pair))]
    heapify(queue)
    while queue:
        rank, i = heappop(queue)
        j = right[i]
        now, new = find((symbols[i], symbols[j])) or (_NONE, _NONE)
        if now != rank:  # an earlier join has changed what stands here
            continue
        symbols[i], symbols[j], right[i] = new, _NONE, right[j]
        left[right[i]] = i
        for k in (left[i], i):
            if found := find((symbols[k], symbols[right[k]])):
                heappush(queue, (found[0], k))
    return [(id, i) for i, id in enumerate(symbols) if id >= 0]
