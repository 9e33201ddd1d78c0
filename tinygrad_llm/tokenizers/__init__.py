"""Floor 6: tokenizers: text cut into tokens of a vocabulary, and put together again."""

from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.normalize import Normalizer, split_words
from tinygrad_llm.tokenizers.wordpiece import (
    Piece,
    WordPiece,
    load_vocab,
    save_vocab,
    train_wordpiece,
)

__all__ = [
    "BPE",
    "Normalizer",
    "Piece",
    "WordPiece",
    "load_vocab",
    "save_vocab",
    "split_words",
    "train_bpe",
    "train_wordpiece",
]
