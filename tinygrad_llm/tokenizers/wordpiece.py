"""WordPiece: words cut greedily into the longest pieces of a vocabulary, and its training.

Sources: Schuster & Nakajima 2012, "Japanese and Korean Voice Search"; Devlin et al. 2019, "BERT:
Pre-training of Deep Bidirectional Transformers for Language Understanding".
"""

from __future__ import annotations

import heapq
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tinygrad_llm.files import write_text
from tinygrad_llm.tokenizers.added import WHITE_SPACE
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_training, check_vocab, shown
from tinygrad_llm.tokenizers.normalize import Normalizer, split_words

UNKNOWN = "[UNK]"
PREFIX = "##"
"""Marks a piece that continues a word."""

SPECIAL_TOKENS = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")

_CACHED_WORDS = 100_000
"""Words whose pieces are kept; then all are forgotten, which keeps memory within bounds."""

_CACHED_LENGTH = 20
"""Longer words, in characters, are not kept: few come again, and all that is kept stays below
200 MB."""

_CLEANUP = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" do not", " don't"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)
"""What Hugging Face replaces, in this order, in each token with the space before it."""

_Pair = tuple[int, int]


class Piece(NamedTuple):
    """One token: its id, the span [start, end) of the original text, and which word it is of."""

    id: int
    start: int
    end: int
    word: int


class WordPiece:
    """Cuts a text into pieces of a vocabulary as BERT does (Devlin et al. 2019).

    vocab: token -> id, "[UNK]" among them, a continuing piece written with "##" before it.
    lowercase, strip_accents, tokenize_chinese_chars: as in `Normalizer`.
    max_chars: a longer word, counted after normalization, is "[UNK]".

    Special tokens in a text, such as "[MASK]", are ordinary text here. Raises TypeError where
    `vocab` is not a mapping of str to int, ValueError where "[UNK]" is missing, where two tokens
    share an id, and where `max_chars` is below 1.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        max_chars: int = 100,
    ):
        _check_vocab(vocab)
        if max_chars < 1:
            raise ValueError(f"max_chars is {max_chars}; give 1 or more")
        self.vocab = dict(vocab)
        self.tokens = {number: token for token, number in vocab.items()}
        self.normalizer = Normalizer(lowercase, strip_accents, tokenize_chinese_chars)
        self.max_chars = max_chars
        self._longest = max(map(len, vocab))
        self._cache: dict[str, list[_Pair]] = {}

    def encode(self, text: str) -> list[Piece]:
        """The pieces of the text in order; a word that the vocabulary cannot spell is "[UNK]" as
        a whole. TypeError where `text` is not a string."""
        return self._pieces(*self.normalizer.trace(text))

    def cut(self, normalized: str, spans: Sequence[tuple[int, int]]) -> list[Piece]:
        """The pieces of a text that is normalized already; spans, of one character each, say where
        its characters come from."""
        return self._pieces(normalized, [start for start, _ in spans])

    def _pieces(self, normalized: str, origins: Sequence[int]) -> list[Piece]:
        cache, pieces = self._cache, []
        for number, (start, end) in enumerate(split_words(normalized)):
            word = normalized[start:end]
            for id, length in cache.get(word) or self._cut(word):
                last = start + length - 1
                pieces.append(Piece(id, origins[start], origins[last] + 1, number))
                start += length
        return pieces

    def decode(self, ids: Iterable[int]) -> str:
        """The text of the ids: pieces with "##" join on, other tokens follow a space, and the
        space before a stop, a comma or "'s" goes as in Hugging Face's decoder.

        Raises ValueError for an id that the vocabulary does not have.
        """
        return join_pieces(map(self._token, ids))

    def _token(self, number: int) -> str:
        if number not in self.tokens:
            raise ValueError(
                f"id {number} is not in the vocabulary of {len(self.tokens)} tokens; "
                "decode ids made with this vocabulary"
            )
        return self.tokens[number]

    def _cut(self, word: str) -> list[_Pair]:
        """(id, characters) of each piece of a word, kept for the next time."""
        known = self._greedy(word) if len(word) <= self.max_chars else None
        pieces = known or [(self.vocab[UNKNOWN], len(word))]
        if len(word) <= _CACHED_LENGTH:
            self._keep(word, pieces)
        return pieces

    def _keep(self, word: str, pieces: list[_Pair]) -> None:
        if len(self._cache) >= _CACHED_WORDS:
            self._cache.clear()
        self._cache[word] = pieces

    def _greedy(self, word: str) -> list[_Pair] | None:
        """The longest piece that the word begins with, then the longest of the rest, and so on;
        None where no piece fits."""
        pieces: list[_Pair] = []
        start = 0
        while start < len(word):
            piece = self._longest_piece(word, start)
            if piece is None:
                return None
            pieces.append(piece)
            start += piece[1]
        return pieces

    def _longest_piece(self, word: str, start: int) -> _Pair | None:
        prefix = PREFIX if start else ""
        for end in range(min(len(word), start + self._longest), start, -1):
            number = self.vocab.get(prefix + word[start:end])
            if number is not None:
                return number, end - start
        return None


def join_pieces(tokens: Iterable[str]) -> str:
    """The text of tokens, written as `WordPiece.decode` says."""
    return "".join(
        _clean_up(_after(token) if place else token) for place, token in enumerate(tokens)
    )


def load_vocab(path: str | os.PathLike[str]) -> dict[str, int]:
    """Token -> id of a vocab.txt: one token a line, whose id is the number of lines before it.

    White space at the end of a line is no part of a token, and a byte order mark is left out.

    Raises ValueError where the file is empty, is not UTF-8, has an empty or a repeated line, or
    lacks "[UNK]"; OSError where it cannot be read.
    """
    vocab: dict[str, int] = {}
    for number, token in enumerate(_lines(path), start=1):
        if not token:
            raise ValueError(f"{path}: line {number} is empty; give each token a line")
        if token in vocab:
            raise ValueError(
                f"{path}: line {number} repeats {shown(token)} of line {vocab[token] + 1}; keep one"
            )
        vocab[token] = number - 1
    if UNKNOWN not in vocab:
        raise ValueError(f"{path} has no line {UNKNOWN}, which stands for unknown words; add it")
    return vocab


def save_vocab(path: str | os.PathLike[str], vocab: Mapping[str, int]) -> None:
    """Write a vocab.txt, completely or not at all, that `load_vocab` reads back.

    Raises ValueError where the ids are not 0, 1, 2, ..., or a token is empty, has a line break or
    ends with white space.
    """
    _check_vocab(vocab)
    tokens = sorted(vocab, key=lambda token: vocab[token])
    if [vocab[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError("the ids of the vocabulary have gaps; number its tokens 0, 1, 2, ...")
    for token in tokens:
        if not fits_a_line(token):
            raise ValueError(f"token {shown(token)} does not fit on a line of its own; take it out")
    write_text(path, "".join(f"{token}\n" for token in tokens))


def fits_a_line(token: str) -> bool:
    """Whether a vocab.txt can hold the token: no line feed in it, no white space at its end."""
    return "\n" not in token and token[-1] not in WHITE_SPACE


def train_wordpiece(
    texts: Iterable[str],
    vocab_size: int,
    lowercase: bool = True,
    special_tokens: Sequence[str] = SPECIAL_TOKENS,
    min_frequency: int = 2,
    progress: bool = False,
) -> dict[str, int]:
    """A vocabulary, token -> id, learnt from the texts.

    As the `tokenizers` library does, the pair of neighbouring pieces that occurs most often is
    merged into a new token, again and again (byte pair encoding, Sennrich et al. 2016, with "##"
    before a piece that continues a word); Schuster & Nakajima 2012 choose by likelihood instead.
    Of pairs that occur equally often the one with the smaller ids comes first. Ids: the special
    tokens, the characters by code point, those that continue a word, and the merges. Merging ends
    at `vocab_size` tokens or where no pair occurs `min_frequency` times; fewer tokens are possible.

    progress: show a bar that counts tokens.
    Raises what `check_training` does; ValueError where `special_tokens` lacks "[UNK]", where no
    text has a word, and where the special tokens and single characters alone are more than
    `vocab_size`.
    """
    check_training(texts, vocab_size, special_tokens, min_frequency)
    if UNKNOWN not in special_tokens:
        raise ValueError(f"special_tokens lacks {UNKNOWN}, which unknown words become; add it")
    counts = _count_words(texts, Normalizer(lowercase))
    if not counts:
        raise ValueError("the corpus is empty: no text has a word")
    vocab = _alphabet(sorted(counts), special_tokens)
    if len(vocab) > vocab_size:
        raise ValueError(
            f"vocab_size {vocab_size} is less than the {len(vocab)} special tokens and single "
            f"characters of the texts; give {len(vocab)} or more"
        )
    with _bar(progress, vocab_size, len(vocab)) as bar:
        for token in _Merging(counts, vocab).tokens(min_frequency, vocab_size):
            bar.update(token not in vocab)
            vocab.setdefault(token, len(vocab))
    return vocab


class _Merging:
    """Words as lists of ids, how often each pair of neighbours occurs, and where.

    A heap holds (-occurrences, pair); occurrences that went down since are seen when the entry
    comes up, and it is put back with what is true now.
    """

    def __init__(self, counts: Mapping[str, int], vocab: Mapping[str, int]):
        self.names = list(vocab)
        self.ids = dict(vocab)
        self.words = [_spell(word, vocab) for word in sorted(counts)]
        self.weights = [counts[word] for word in sorted(counts)]
        self.pairs: Counter[_Pair] = Counter()
        self.places: defaultdict[_Pair, set[int]] = defaultdict(set)
        for place, word in enumerate(self.words):
            for pair in pairwise(word):
                self.pairs[pair] += self.weights[place]
                self.places[pair].add(place)
        self.heap = [(-count, pair) for pair, count in self.pairs.items()]
        heapq.heapify(self.heap)

    def tokens(self, min_frequency: int, vocab_size: int) -> Iterator[str]:
        """The tokens that the merges make, the most frequent pair first."""
        while len(self.names) < vocab_size and self.heap:
            count, pair = heapq.heappop(self.heap)
            if -count != self.pairs[pair]:
                heapq.heappush(self.heap, (-self.pairs[pair], pair))
            elif -count < min_frequency:
                return
            else:
                yield self._merge(pair)

    def _merge(self, pair: _Pair) -> str:
        """Merge the pair in every word that has it, and return the token that it becomes."""
        left, right = (self.names[number] for number in pair)
        token = left + right.removeprefix(PREFIX)
        if token not in self.ids:
            self.ids[token] = len(self.names)
            self.names.append(token)
        grown = set()
        for place in self.places.pop(pair, ()):
            for neighbours, change in _merge_word(self.words[place], pair, self.ids[token]):
                self.pairs[neighbours] += change * self.weights[place]
                if change > 0:
                    self.places[neighbours].add(place)
                    grown.add(neighbours)
        for neighbours in grown:
            heapq.heappush(self.heap, (-self.pairs[neighbours], neighbours))
        return token


def _merge_word(word: list[int], pair: _Pair, merged: int) -> list[tuple[_Pair, int]]:
    """Put `merged` in the place of each `pair` in the word, from the left; return the pairs of
    neighbours that are one fewer (-1) and one more (+1)."""
    changes: list[tuple[_Pair, int]] = []
    left, right = pair
    place = 0
    while place < len(word) - 1:
        if word[place] == left and word[place + 1] == right:
            word[place : place + 2] = [merged]
            if place > 0:
                before = word[place - 1]
                changes += [((before, left), -1), ((before, merged), 1)]
            if place < len(word) - 1:
                after = word[place + 1]
                changes += [((right, after), -1), ((merged, after), 1)]
        place += 1
    return changes


def _count_words(texts: Iterable[str], normalizer: Normalizer) -> Counter[str]:
    """How often each word occurs. A space parts words before and after normalization alike, so
    that what stands between spaces is normalized once however often it occurs."""
    chunks: Counter[str] = Counter()
    for text in texts:
        to_utf8(text)
        chunks.update(text.split(" "))
    words: Counter[str] = Counter()
    for chunk, count in chunks.items():
        normalized = normalizer.normalize(chunk)
        for start, end in split_words(normalized):
            words[normalized[start:end]] += count
    return words


def _alphabet(words: Sequence[str], special_tokens: Sequence[str]) -> dict[str, int]:
    """Special tokens, then single characters, then those that continue a word, numbered."""
    characters = sorted(set().union(*words))
    continuing = (PREFIX + character for word in words for character in word[1:])
    return _numbered([*special_tokens, *characters, *continuing])


def _numbered(tokens: Iterable[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(dict.fromkeys(tokens))}


def _spell(word: str, vocab: Mapping[str, int]) -> list[int]:
    """The ids of a word's characters."""
    return [vocab[word[0]], *(vocab[PREFIX + character] for character in word[1:])]


def _bar(shown: bool, total: int, done: int) -> Any:
    from tqdm import tqdm

    return tqdm(total=total, initial=done, disable=not shown, desc="tokens", unit="token")


def _after(token: str) -> str:
    """What a token adds to the text before it."""
    return token[len(PREFIX) :] if token.startswith(PREFIX) else f" {token}"


def _clean_up(text: str) -> str:
    for written, meant in _CLEANUP:
        text = text.replace(written, meant)
    return text


def _lines(path: str | os.PathLike[str]) -> list[str]:
    """The lines of a UTF-8 file, ended by \\n or \\r\\n alone, without white space at their ends;
    ValueError where there is none."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    if not text:
        raise ValueError(f"{path} is empty; a vocabulary has one token a line")
    return [line.rstrip(WHITE_SPACE) for line in text.removesuffix("\n").split("\n")]


def _check_vocab(vocab: Mapping[str, int]) -> None:
    """TypeError or ValueError, by name, where it is no vocabulary with "[UNK]"."""
    check_vocab(vocab)
    if UNKNOWN not in vocab:
        raise ValueError(f"vocab has no {UNKNOWN}, which stands for unknown words; add it")
