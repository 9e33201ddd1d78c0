"""Floor 6: tokenizers: text cut into tokens of a vocabulary, and put together again."""

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.base import Tokenizer
from tinygrad_llm.tokenizers.batch import BatchEncoding
from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.encoding import Encoding
from tinygrad_llm.tokenizers.kinds import ByteBPETokenizer, CharTokenizer, WordPieceTokenizer
from tinygrad_llm.tokenizers.normalize import Normalizer, split_words
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import (
    Piece,
    WordPiece,
    load_vocab,
    save_vocab,
    train_wordpiece,
)

__all__ = [
    "BPE",
    "AddedToken",
    "BatchEncoding",
    "ByteBPETokenizer",
    "CharTokenizer",
    "Encoding",
    "Normalizer",
    "Piece",
    "Template",
    "Tokenizer",
    "WordPiece",
    "WordPieceTokenizer",
    "load_vocab",
    "save_vocab",
    "split_words",
    "train_bpe",
    "train_wordpiece",
]
