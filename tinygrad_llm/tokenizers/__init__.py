"""Floor 6: tokenizers: text cut into tokens of a vocabulary, and put together again.

>>> tokenizer = CharTokenizer.train(["to be, or not to be"])
>>> batch = tokenizer(["to be", "not"], padding=True, return_tensors="np")
>>> batch["input_ids"].shape, tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
((2, 5), ['to be', 'not'])
"""

from tinygrad_llm.tokenizers.added import AddedToken
from tinygrad_llm.tokenizers.base import Tokenizer
from tinygrad_llm.tokenizers.batch import BatchEncoding
from tinygrad_llm.tokenizers.bpe import BPE, train_bpe
from tinygrad_llm.tokenizers.characters import CharTokenizer
from tinygrad_llm.tokenizers.encoding import Columns, Encoding
from tinygrad_llm.tokenizers.kinds import ByteBPETokenizer, WordPieceTokenizer
from tinygrad_llm.tokenizers.normalize import Normalizer, split_words
from tinygrad_llm.tokenizers.streaming import TextStream
from tinygrad_llm.tokenizers.template import Template
from tinygrad_llm.tokenizers.wordpiece import (
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
    "Columns",
    "Encoding",
    "Normalizer",
    "Template",
    "TextStream",
    "Tokenizer",
    "WordPiece",
    "WordPieceTokenizer",
    "load_vocab",
    "save_vocab",
    "split_words",
    "train_bpe",
    "train_wordpiece",
]
