"""Byte-level BPE and WordPiece as whole tokenizers; that by characters is in `characters`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tinygrad_llm.tokenizers.added import WHITE_SPACE, with_special
from tinygrad_llm.tokenizers.base import Tokenizer
from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.bytemap import to_utf8
from tinygrad_llm.tokenizers.checks import check_training
from tinygrad_llm.tokenizers.composition import compose
from tinygrad_llm.tokenizers.encoding import Columns, Span
from tinygrad_llm.tokenizers.sections import Normalized
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import (
    SPECIAL_TOKENS,
    WordPiece,
    join_pieces,
    train_wordpiece,
)


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
        pattern: str = "gpt2",
        normalization: str | None = None,
        add_prefix_space: bool = False,
        ignore_merges: bool = False,
        trim_offsets: bool = False,
        **common: Any,
    ):
        if normalization not in (None, "NFC"):
            raise ValueError(f"normalization is {normalization!r}; give 'NFC' or None")
        self.model = BPE(vocab, merges, pattern, ignore_merges)
        self._normalization = normalization
        self.add_prefix_space = add_prefix_space
        self.trim_offsets = trim_offsets
        super().__init__(vocab, **common)

    @property
    def merges(self) -> list[tuple[str, str]]:
        """Pairs of pieces, in the order in which they are joined."""
        return self.model.merges

    @property
    def normalization(self) -> str | None:
        """What is done to a text first."""
        return self._normalization

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
        pattern: str = "gpt2",
        progress: bool = False,
        normalization: str | None = None,
        add_prefix_space: bool = False,
        **common: Any,
    ) -> ByteBPETokenizer:
        """Learn merges from the texts, as `train_bpe` does, whose errors it raises; the special
        tokens are found in a text as they are written. The other arguments are the class's.

        >>> tokenizer = ByteBPETokenizer.train(["low lower lowest"], vocab_size=260)
        >>> tokenizer.tokenize("low slow")
        ['low', 'Ġ', 's', 'low']

        vocab_size: of the result, special tokens and the 256 bytes included; it is smaller where
            no pair is left that stands min_frequency times in the texts.
        """
        check_training(texts, vocab_size, special_tokens, min_frequency)
        rules: dict[str, Any] = {
            "normalization": normalization,
            "add_prefix_space": add_prefix_space,
        }
        prepared = (_prepared(text, **rules) for text in texts)
        vocab, merges = train_bpe(
            prepared, vocab_size, pattern, special_tokens, min_frequency, progress
        )
        common = with_special(common, special_tokens, vocab)
        return cls(vocab, merges, pattern=pattern, **rules, **common)

    def _columns(self, text: str) -> Columns:
        columns = super()._columns(text)
        if not self.trim_offsets:
            return columns
        ids, starts, ends, words = columns
        spans = [self._trimmed(text, *token) for token in zip(ids, starts, ends)]
        return Columns(ids, [start for start, _ in spans], [end for _, end in spans], words)

    def _trimmed(self, text: str, id: int, start: int, end: int) -> Span:
        """A span that neither begins nor ends with a space; an added token's, that may have taken
        white space into it, with no white space."""
        spaces = WHITE_SPACE if id in self._added_ids else " "
        inside = text[start:end]
        start = min(start + len(inside) - len(inside.lstrip(spaces)), end)
        return start, max(start, end - len(inside) + len(inside.rstrip(spaces)))

    def _normalize(self, text: str) -> Normalized:
        return compose(text) if self.normalization else (text, None)

    def _pieces(self, text: str) -> Columns:
        if not (self.add_prefix_space and _lacks_space(text)):
            return self.model.encode(text)
        ids, starts, ends, words = self.model.encode(f" {text}")
        return Columns(ids, [max(n - 1, 0) for n in starts], [n - 1 for n in ends], words)

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
        self._strip_accents = strip_accents
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
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        **common: Any,
    ) -> WordPieceTokenizer:
        """Learn a vocabulary from the texts, as `train_wordpiece` does, whose errors it raises; the
        special tokens are found in a text as they are written. The other arguments are the class's.

        >>> tokenizer = WordPieceTokenizer.train(["low lower lowest"], vocab_size=100)
        >>> tokenizer.tokenize("Lowest"), tokenizer.vocab_size
        (['lowe', '##s', '##t'], 21)

        vocab_size: of the result, special tokens and single characters included; it is smaller, as
            here, where no pair is left that stands min_frequency times in the texts.
        """
        rules: dict[str, Any] = {
            "lowercase": lowercase,
            "strip_accents": strip_accents,
            "tokenize_chinese_chars": tokenize_chinese_chars,
        }
        vocab = train_wordpiece(
            texts,
            vocab_size,
            special_tokens=special_tokens,
            min_frequency=min_frequency,
            progress=progress,
            **rules,
        )
        return cls(vocab, **rules, **with_special(common, special_tokens, vocab))

    @property
    def lowercase(self) -> bool:
        """Whether letters are made small."""
        return self.model.normalizer.lowercase

    @property
    def strip_accents(self) -> bool | None:
        """Whether accents are stripped; None does what lowercase does."""
        return self._strip_accents

    @property
    def tokenize_chinese_chars(self) -> bool:
        """Whether spaces are put around ideographs."""
        return self.model.normalizer.tokenize_chinese_chars

    @property
    def max_chars(self) -> int:
        """How many characters a word may have that is cut into pieces."""
        return self.model.max_chars

    def _usual_template(self) -> Template:
        if self.cls_token is None or self.sep_token is None:
            return Template.plain()
        return Template.around(self.cls_token, self.sep_token)

    def _normalize(self, text: str) -> Normalized:
        return self.model.normalizer.trace(text)

    def _pieces(self, text: str) -> Columns:
        return self.model.cut(text)

    def _join(self, ids: list[int], tokens: list[str]) -> str:
        return join_pieces(tokens)


def _prepared(text: str, normalization: str | None, add_prefix_space: bool) -> str:
    """What byte-level BPE cuts where it is given a text. Raises what `to_utf8` does."""
    to_utf8(text)
    text = compose(text)[0] if normalization else text
    return f" {text}" if add_prefix_space and _lacks_space(text) else text


def _lacks_space(text: str) -> bool:
    """Whether add_prefix_space puts one before the text."""
    return bool(text) and not text.startswith(" ")
