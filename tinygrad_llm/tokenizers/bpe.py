"""Byte-level byte-pair encoding: training on texts, and encoding with the characters of each token.

Sources: Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units, for the
merges; Radford et al. 2019, Language Models are Unsupervised Multitask Learners, for the bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise
from operator import add

from tinygrad_llm.tokenizers.bytemap import (
    ALPHABET,
    BYTE_TO_CHARACTER,
    character_of_byte,
    from_piece,
    to_piece,
    to_utf8,
)
from tinygrad_llm.tokenizers.checks import check_training, check_vocab, shown
from tinygrad_llm.tokenizers.encoding import Columns
from tinygrad_llm.tokenizers.merging import learn_merges
from tinygrad_llm.tokenizers.patterns import compile_pattern, known_name, split

_NONE = -1
"""Symbol of a place where no piece starts any more, as it is inside a merged one."""

_CACHED_WORDS = 1 << 17
"""As many pre-tokens are kept; then the memory starts anew."""

_CACHED_TOKENS = 16
"""Pre-tokens of more tokens are not kept: few come again, and what is kept stays bounded."""

_Pieces = tuple[tuple[int, int, int], ...]
"""Of each token of a pre-token: id, start and end in it."""


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    pattern: str = "gpt2",
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
    ids = [vocab[character] for character in BYTE_TO_CHARACTER]
    words = _count_words(texts, pattern)
    spelt = (([ids[byte] for byte in word], count) for word, count in words.items())
    special = frozenset(special_tokens)
    return vocab, learn_merges(spelt, vocab, vocab_size, add, special, min_frequency, progress)


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


class BPE:
    """Encodes texts with a vocabulary and its merges.

    bytes_of has the bytes of every id; joined they are the text in UTF-8.

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
        pattern: str = "gpt2",
        ignore_merges: bool = False,
    ):
        check_vocab(vocab)
        check_bytes(vocab)
        self.vocab = dict(vocab)
        self.merges = list(merges)
        check_merges(vocab, self.merges)
        self._compiled = compile_pattern(pattern)
        self.pattern = known_name(pattern)
        self.ignore_merges = ignore_merges
        self._byte_ids = [vocab[character] for character in BYTE_TO_CHARACTER]
        self._ranks = {
            (vocab[first], vocab[second]): (rank, vocab[first + second])
            for rank, (first, second) in enumerate(self.merges)
        }
        self.bytes_of = {id: from_piece(piece) for piece, id in vocab.items()}
        self._cache: dict[str, _Pieces] = {}

    def encode(self, text: str) -> Columns:
        """The text's tokens, with the characters that each covers, some of them only in part: a
        character's bytes share its span. A word is a pre-token.

        Raises:
            TypeError: text is no string.
            ValueError: text holds a lone surrogate; names its position.
        """
        to_utf8(text)
        columns, cache, at = Columns.empty(), self._cache, 0
        ids, starts, ends, words = columns
        for number, word in enumerate(split(self._compiled, text)):
            for id, start, end in cache.get(word) or self._encode_word(word):
                ids.append(id)
                starts.append(at + start)
                ends.append(at + end)
                words.append(number)
            at += len(word)
        return columns

    def _encode_word(self, word: str) -> _Pieces:
        """A pre-token's tokens, kept for the next time."""
        data = word.encode("utf8")
        characters = character_of_byte(data)
        whole = self.vocab.get(to_piece(data)) if self.ignore_merges else None
        if whole is not None:
            joined = [(whole, 0)]
        else:
            joined = _join([self._byte_ids[byte] for byte in data], self._ranks)
        ids, first_bytes = zip(*joined)
        starts = [characters[byte] for byte in first_bytes]
        ends = [characters[byte - 1] + 1 for byte in (*first_bytes[1:], len(data))]
        pieces = tuple(zip(ids, starts, ends))
        if len(pieces) <= _CACHED_TOKENS:
            self._keep(word, pieces)
        return pieces

    def _keep(self, word: str, pieces: _Pieces) -> None:
        if len(self._cache) >= _CACHED_WORDS:
            self._cache.clear()
        self._cache[word] = pieces  # tuples of integers are no work for the garbage collector


def check_bytes(vocab: Mapping[str, int]) -> None:
    """ValueError where a byte has no piece."""
    for byte, character in enumerate(BYTE_TO_CHARACTER):
        if character not in vocab:
            raise ValueError(
                f"vocab lacks {character!r}, the piece of the byte {byte}; byte-level BPE needs "
                "all 256"
            )


def check_merges(vocab: Mapping[str, int], merges: Iterable[tuple[str, str]]) -> None:
    """ValueError where a merge is no pair, or the vocabulary lacks a piece that it needs."""
    for rank, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or len(merge) != 2:
            raise ValueError(f"merge {rank} is {shown(merge)}; give two pieces, (first, second)")
        first, second = merge
        for piece in (first, second, first + second):
            if piece not in vocab:
                raise ValueError(
                    f"merge {rank}, {shown(first)} and {shown(second)}, needs {shown(piece)}, "
                    "which vocab lacks; take both from one source"
                )


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
