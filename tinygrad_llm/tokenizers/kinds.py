"""The three kinds of tokenizers: by characters, byte-level BPE, WordPiece."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.added import WHITE_SPACE, AddedToken, Finder
from tinygrad_llm.tokenizers.base import Columns, Tokenizer
from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_training
from tinygrad_llm.tokenizers.composition import compose
from tinygrad_llm.tokenizers.encoding import Span
from tinygrad_llm.tokenizers.patterns import GPT2
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import (
    SPECIAL_TOKENS,
    Piece,
    WordPiece,
    join_pieces,
    train_wordpiece,
)


class CharTokenizer(Tokenizer):
    """One character (code point), one token.

    vocab: character -> id, special tokens among them; common: as for `Tokenizer`.

    A character that the vocabulary has not is unk_token, or a ValueError where there is none.
    """

    kind = "char"

    def __init__(self, vocab: Mapping[str, int], **common: Any):
        super().__init__(vocab, **common)
        self._characters = {token: id for token, id in self.vocab.items() if len(token) == 1}

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int | None = None,
        special_tokens: Sequence[str] = ("[PAD]", "[UNK]"),
        min_frequency: int = 1,
        progress: bool = False,
        **common: Any,
    ) -> CharTokenizer:
        """The most frequent characters of the texts, numbered by code point after the special
        tokens; of characters that are equally frequent the smaller ones.

        vocab_size: special tokens included; None takes all characters. special_tokens: found in a
        text as they are written. progress: show a bar that counts texts.

        Raises what `check_training` does; ValueError where no text has a character, and where
        vocab_size leaves no room for a character.
        """
        check_training(
            texts, 1 if vocab_size is None else vocab_size, special_tokens, min_frequency
        )
        room = None if vocab_size is None else vocab_size - len(special_tokens)
        if room is not None and room < 1:
            raise ValueError(
                f"vocab_size {vocab_size} leaves no room for a character beside "
                f"{len(special_tokens)} special tokens; give {len(special_tokens) + 1} or more"
            )
        counts = _count_characters(texts, progress)
        often = sorted((-n, c) for c, n in counts.items() if n >= min_frequency)[:room]
        tokens = [*special_tokens, *sorted(c for _, c in often)]
        vocab = {token: id for id, token in enumerate(dict.fromkeys(tokens))}
        return cls(vocab, **_with_added(common, special_tokens, vocab))

    def _pieces(self, text: str) -> Columns:
        known, unknown = self._characters, self.unk_token_id
        ids = [known.get(character, unknown) for character in text]
        if None in ids:
            place = ids.index(None)
            raise ValueError(
                f"character {text[place]!r} at position {place} is not in the vocabulary, and "
                "there is no unk_token; give one in special_tokens"
            )
        n = len(text)
        return ids, list(range(n)), list(range(1, n + 1)), list(range(n))

    def _join(self, ids: list[int], tokens: list[str]) -> str:
        return "".join(tokens)


class ByteBPETokenizer(Tokenizer):
    """Byte-level byte-pair encoding, as GPT-2, RoBERTa, Llama 3 and Qwen2 have it: see `bpe`.

    vocab, merges, pattern, ignore_merges: as for `BPE`; vocab holds all 256 bytes.
    normalization: "NFC" composes a text first, as Qwen2 does; None leaves it as it is.
    add_prefix_space: put a space before a text that begins with none, as RoBERTa does.
    trim_offsets: spans leave out the spaces that tokens begin with.
    common: as for `Tokenizer`.

    `decode(encode(text))` is the text, for every text without lone surrogates, where nothing is
    normalized or put before it.
    """

    kind = "bpe"

    def __init__(
        self,
        vocab: Mapping[str, int],
        merges: Sequence[tuple[str, str]],
        *,
        pattern: str = GPT2,
        normalization: str | None = None,
        add_prefix_space: bool = False,
        ignore_merges: bool = False,
        trim_offsets: bool = False,
        **common: Any,
    ):
        if normalization not in (None, "NFC"):
            raise ValueError(f"normalization is {normalization!r}; give 'NFC' or None")
        self.model = BPE(vocab, merges, pattern, ignore_merges)
        self.normalization = normalization
        self.add_prefix_space = add_prefix_space
        self.trim_offsets = trim_offsets
        super().__init__(vocab, **common)

    @property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs of pieces, in the order in which they are joined."""
        return self.model.merges

    @property
    def pattern(self) -> str:
        """The name of a pattern, or a regular expression, that cuts a text into pre-tokens."""
        return self.model.pattern

    @property
    def ignore_merges(self) -> bool:
        """Whether a pre-token that is a piece as a whole stays whole."""
        return self.model.ignore_merges

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = ("<|endoftext|>",),
        min_frequency: int = 2,
        pattern: str = GPT2,
        progress: bool = False,
        normalization: str | None = None,
        **common: Any,
    ) -> ByteBPETokenizer:
        """Learn merges from the texts, as `train_bpe` does, whose errors it raises; the special
        tokens are found in a text as they are written. The other arguments are the class's."""
        if normalization == "NFC" and not isinstance(texts, str):
            texts = (compose(text)[0] for text in texts)
        vocab, merges = train_bpe(
            texts, vocab_size, pattern, special_tokens, min_frequency, progress
        )
        common = _with_added(common, special_tokens, vocab)
        return cls(vocab, merges, pattern=pattern, normalization=normalization, **common)

    def _columns(self, text: str) -> Columns:
        ids, starts, ends, words = super()._columns(text)
        if self.trim_offsets:
            spans = [self._trimmed(text, *token) for token in zip(ids, starts, ends)]
            starts, ends = [start for start, _ in spans], [end for _, end in spans]
        return ids, starts, ends, words

    def _trimmed(self, text: str, id: int, start: int, end: int) -> Span:
        """A span that neither begins nor ends with a space; an added token's, that may have taken
        white space into it, with no white space."""
        spaces = WHITE_SPACE if id in self._added_ids else " "
        inside = text[start:end]
        start = min(start + len(inside) - len(inside.lstrip(spaces)), end)
        return start, max(start, end - len(inside) + len(inside.rstrip(spaces)))

    def _pieces(self, text: str) -> Columns:
        spans = None
        if self.normalization:
            text, spans = compose(text)
        if self.add_prefix_space and text and not text.startswith(" "):
            spans = [(0, 0), *(spans or ((i, i + 1) for i in range(len(text))))]
            text = " " + text
        columns: Columns = ([], [], [], [])
        ids, starts, ends, words = columns
        at = 0
        for word, (length, its, first, last) in enumerate(self.model.words(text)):
            ids += its
            starts += [at + place for place in first]
            ends += [at + place for place in last]
            words += [word] * len(its)
            at += length
        if spans is not None:
            starts[:] = [spans[place][0] for place in starts]
            ends[:] = [spans[place - 1][1] for place in ends]
        return columns

    def _join(self, ids: list[int], tokens: list[str]) -> str:
        known = self.model.bytes_of
        data = b"".join(
            to_utf8(token) if id in self._added_ids else known[id] for id, token in zip(ids, tokens)
        )
        return data.decode("utf8", errors="replace")


class WordPieceTokenizer(Tokenizer):
    """WordPiece as BERT has it: see `wordpiece`.

    vocab, lowercase, strip_accents, tokenize_chinese_chars, max_chars: as for `WordPiece`; common:
    as for `Tokenizer`. Where "[CLS]" and "[SEP]" have their roles, the template is BERT's.
    """

    kind = "wordpiece"

    def __init__(
        self,
        vocab: Mapping[str, int],
        *,
        lowercase: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        max_chars: int = 100,
        model_input_names: Sequence[str] = ("input_ids", "token_type_ids", "attention_mask"),
        **common: Any,
    ):
        self.model = WordPiece(vocab, lowercase, strip_accents, tokenize_chinese_chars, max_chars)
        self.lowercase = lowercase
        self.strip_accents = strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.max_chars = max_chars
        super().__init__(vocab, model_input_names=model_input_names, **common)

    @classmethod
    def train(
        cls,
        texts: Iterable[str],
        vocab_size: int,
        lowercase: bool = True,
        special_tokens: Sequence[str] = SPECIAL_TOKENS,
        min_frequency: int = 2,
        progress: bool = False,
        **common: Any,
    ) -> WordPieceTokenizer:
        """Learn a vocabulary from the texts, as `train_wordpiece` does, whose errors it raises; the
        special tokens are found in a text as they are written."""
        vocab = train_wordpiece(
            texts, vocab_size, lowercase, special_tokens, min_frequency, progress
        )
        return cls(vocab, lowercase=lowercase, **_with_added(common, special_tokens, vocab))

    def _is_early(self, token: AddedToken) -> bool:
        return not token.normalized

    def _look_for_added(self) -> None:
        super()._look_for_added()
        normalize = self.model.normalizer.normalize
        later = {normalize(token.content): token for token in self.added_tokens if token.normalized}
        later.pop("", None)  # Nothing is left of it that could be found.
        self._normalized_finder = Finder(later) if later else None

    def _usual_template(self) -> Template:
        if self.cls_token is None or self.sep_token is None:
            return Template.plain()
        return Template.around(self.cls_token, self.sep_token)

    def _pieces(self, text: str) -> Columns:
        if self._normalized_finder is None:
            return _columns(self.model.encode(text))
        normalized, spans = self.model.normalizer(text)
        rows: list[Piece] = []
        for start, end, added in self._normalized_finder.sections(normalized):
            words = rows[-1].word + 1 if rows else 0
            if added:
                rows.append(Piece(added.id, spans[start][0], spans[end - 1][1], words))
            else:
                found = self.model.cut(normalized[start:end], spans[start:end])
                rows += [Piece(id, a, b, words + word) for id, a, b, word in found]
        return _columns(rows)

    def _join(self, ids: list[int], tokens: list[str]) -> str:
        return join_pieces(tokens)


def _columns(pieces: list[Piece]) -> Columns:
    if not pieces:
        return [], [], [], []
    ids, starts, ends, words = map(list, zip(*pieces))
    return ids, starts, ends, words


def _with_added(
    common: dict[str, Any], special_tokens: Sequence[str], vocab: Mapping[str, int]
) -> dict[str, Any]:
    """The arguments for a tokenizer whose special tokens are all found, with a role or without."""
    given = common.get("added_tokens", ())
    named = {token.content for token in given}
    more = [AddedToken(token, vocab[token]) for token in special_tokens if token not in named]
    return {**common, "added_tokens": [*given, *more]}


def _count_characters(texts: Iterable[str], progress: bool) -> Counter[str]:
    from tqdm import tqdm

    counts: Counter[str] = Counter()
    for text in tqdm(texts, disable=not progress, desc="texts"):
        to_utf8(text)
        counts.update(text)
    if not counts:
        raise ValueError("the corpus is empty: no text has a character")
    return counts
