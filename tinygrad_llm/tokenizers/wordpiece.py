"""WordPiece: words cut greedily into the longest pieces of a vocabulary, its training, its file.

Sources: Schuster & Nakajima 2012, "Japanese and Korean Voice Search"; Devlin et al. 2019, "BERT:
Pre-training of Deep Bidirectional Transformers for Language Understanding".
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tinygrad_llm.files import write_text
from tinygrad_llm.tokenizers.added import WHITE_SPACE
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_training, check_vocab, read_utf8, shown
from tinygrad_llm.tokenizers.encoding import Columns
from tinygrad_llm.tokenizers.merging import learn_merges
from tinygrad_llm.tokenizers.normalize import Normalizer, split_words

UNKNOWN = "[UNK]"
PREFIX = "##"
"""Marks a piece that continues a word."""

SPECIAL_TOKENS = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]")

_CACHED_CHUNKS = 100_000
"""Chunks whose pieces are kept; then all are forgotten, which keeps memory within bounds."""

_CACHED_LENGTH = 20
"""Longer chunks, in characters, are not kept: few come again, and what is kept stays bounded."""

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

_Pieces = tuple[tuple[int, int, int, int], ...]
"""Of each piece of a chunk: id, start and end in it, number of its word in it."""


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
        self.normalizer = Normalizer(lowercase, strip_accents, tokenize_chinese_chars)
        self.max_chars = max_chars
        self._longest = max(map(len, vocab))
        self._cache: dict[str, _Pieces] = {}

    def encode(self, text: str) -> Columns:
        """The pieces of the text in order; a word that the vocabulary cannot spell is "[UNK]" as
        a whole. TypeError where `text` is not a string."""
        normalized, spans = self.normalizer.trace(text)
        return self.cut(normalized).traced(spans)

    def cut(self, normalized: str) -> Columns:
        """The pieces of a text that is normalized already, with their places in it.

        What stands between spaces is a chunk of it, and no word goes beyond one.
        """
        columns, cache, at, word = Columns.empty(), self._cache, 0, 0
        ids, starts, ends, words = columns
        for chunk in normalized.split(" "):
            if chunk:
                for id, start, end, number in cache.get(chunk) or self._cut_chunk(chunk):
                    ids.append(id)
                    starts.append(at + start)
                    ends.append(at + end)
                    words.append(word + number)
                word = words[-1] + 1
            at += len(chunk) + 1
        return columns

    def _cut_chunk(self, chunk: str) -> _Pieces:
        """The pieces of a chunk, kept for the next time."""
        found = []
        for number, (start, end) in enumerate(split_words(chunk)):
            for id, length in self._cut_word(chunk[start:end]):
                found.append((id, start, start + length, number))
                start += length
        pieces = tuple(found)
        if len(chunk) <= _CACHED_LENGTH:
            self._keep(chunk, pieces)
        return pieces

    def _keep(self, chunk: str, pieces: _Pieces) -> None:
        if len(self._cache) >= _CACHED_CHUNKS:
            self._cache.clear()
        self._cache[chunk] = pieces  # tuples of integers are no work for the garbage collector

    def _cut_word(self, word: str) -> list[tuple[int, int]]:
        """Id and characters of each piece: the longest that the word begins with, then the longest
        of the rest, and so on; "[UNK]" alone where that does not end or the word is too long."""
        pieces: list[tuple[int, int]] = []
        start = 0
        while start < len(word) <= self.max_chars:
            piece = self._longest_piece(word, start)
            if piece is None:
                break
            pieces.append(piece)
            start += piece[1]
        return pieces if start == len(word) else [(self.vocab[UNKNOWN], len(word))]

    def _longest_piece(self, word: str, start: int) -> tuple[int, int] | None:
        prefix = PREFIX if start else ""
        for end in range(min(len(word), start + self._longest), start, -1):
            number = self.vocab.get(prefix + word[start:end])
            if number is not None:
                return number, end - start
        return None


def join_pieces(tokens: Iterable[str]) -> str:
    """The text of tokens: pieces with "##" join on, other tokens follow a space, and the space
    before a stop, a comma or "'s" goes as in Hugging Face's decoder."""
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
    for number, token in enumerate(_lines(Path(path)), start=1):
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
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
) -> dict[str, int]:
    """A vocabulary, token -> id, learnt from the texts.

    As the `tokenizers` library does, the pair of neighbouring pieces that occurs most often is
    merged into a new token, again and again (byte pair encoding, Sennrich et al. 2016, with "##"
    before a piece that continues a word); Schuster & Nakajima 2012 choose by likelihood instead.
    Of pairs that occur equally often the one with the smaller ids comes first. Ids: the special
    tokens, the characters by code point, those that continue a word, and the merges. Merging ends
    at `vocab_size` tokens or where no pair occurs `min_frequency` times; fewer tokens are possible.

    lowercase, strip_accents, tokenize_chinese_chars: as in `Normalizer`; a `WordPiece` with the
    same three knows every word of the texts that is not too long.
    progress: show a bar that counts tokens.
    Raises what `check_training` does; ValueError where `special_tokens` lacks "[UNK]", where no
    text has a word, and where the special tokens and single characters alone are more than
    `vocab_size`.
    """
    check_training(texts, vocab_size, special_tokens, min_frequency)
    if UNKNOWN not in special_tokens:
        raise ValueError(f"special_tokens lacks {UNKNOWN}, which unknown words become; add it")
    normalizer = Normalizer(lowercase, strip_accents, tokenize_chinese_chars)
    counts = _count_words(texts, normalizer)
    if not counts:
        raise ValueError("the corpus is empty: no text has a word")
    vocab = _alphabet(sorted(counts), special_tokens)
    if len(vocab) > vocab_size:
        raise ValueError(
            f"vocab_size {vocab_size} is less than the {len(vocab)} special tokens and single "
            f"characters of the texts; give {len(vocab)} or more"
        )
    words = ((_spell(word, vocab), count) for word, count in counts.items())
    learn_merges(words, vocab, vocab_size, _joined, (), min_frequency, progress)
    return vocab


def _joined(first: str, second: str) -> str:
    return first + second.removeprefix(PREFIX)


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


def _after(token: str) -> str:
    """What a token adds to the text before it."""
    return token[len(PREFIX) :] if token.startswith(PREFIX) else f" {token}"


def _clean_up(text: str) -> str:
    for written, meant in _CLEANUP:
        text = text.replace(written, meant)
    return text


def _lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, ended by \\n or \\r\\n alone, without white space at their ends;
    ValueError where there is none."""
    text = read_utf8(path)
    if not text:
        raise ValueError(f"{path} is empty; a vocabulary has one token a line")
    return [line.rstrip(WHITE_SPACE) for line in text.removesuffix("\n").split("\n")]


def _check_vocab(vocab: Mapping[str, int]) -> None:
    """TypeError or ValueError, by name, where it is no vocabulary with "[UNK]"."""
    check_vocab(vocab)
    if UNKNOWN not in vocab:
        raise ValueError(f"vocab has no {UNKNOWN}, which stands for unknown words; add it")
