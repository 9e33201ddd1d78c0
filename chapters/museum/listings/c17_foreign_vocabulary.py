"""A vocabulary of English for Chinese text: nearly every character becomes the unknown token.

The model's name says "uncased", and nobody looks for which language it was made. A WordPiece
tokenizer has no bytes to fall back on: a character that is not in its vocabulary is [UNK], and two
sentences of equal length are then the same row of ids. Training goes on, with nothing to learn
from. (BERT's English vocabulary holds some common characters, so there the loss is not total.) Byte
BPE loses nothing, but an English one takes a token for each byte. The mend is a tokenizer made from
texts of the language; before anything is trained, print the share that is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_llm.data import corpora
from tinygrad_llm.tokenizers import Tokenizer, WordPieceTokenizer

TITLE = "A vocabulary of another language (词表是另一种语言的)"
SOURCE = "C17 of the documents, an English model that is given a Chinese sentence"
SEEN = "No error: ids and vectors come out, and the classes cannot be told apart."
CHINESE = (
    "把中文交给为英文训练的词表，词表里没有的字一律变成 [UNK]：字数相同的两句话，编号一模一样，"
    "模型根本分不出“体育”和“科技”，训练却照常进行，一个错误也不报。"
    "字节级 BPE 不会丢字，但英文的词表要三个词元才凑成一个汉字。"
    "应当用本语言的文本训练词表，并在训练之前先打印未登录词的比例。"
)

ENGLISH = ("the team won the final match", "a new phone has a better camera", "the new team")


def broken(texts: Sequence[str]) -> Tokenizer:
    """A tokenizer for texts like these."""
    return WordPieceTokenizer.train(ENGLISH, 200)


def mended(texts: Sequence[str]) -> Tokenizer:
    """A tokenizer for texts like these."""
    return WordPieceTokenizer.train(texts, 3000)


def check(tokenizer_for) -> None:
    """Of unseen texts few characters are lost, and a character costs no more than a token."""
    rows = corpora.topics().texts
    tokenizer, texts = tokenizer_for(rows[::2]), rows[1::36]
    encoded = tokenizer(texts, add_special_tokens=False).encodings
    unknown = tokenizer.unk_token_id
    spans = [span for row in encoded for i, span in zip(row.ids, row.offsets) if i == unknown]
    lost = sum(end - start for start, end in spans) / sum(map(len, texts))
    different = len({tuple(row.ids) for row in encoded})
    assert lost < 0.05, (
        f"{lost:.0%} of the characters are unknown: {len(texts)} texts, {different} rows of ids"
    )
    each = sum(map(len, encoded)) / sum(map(len, texts))
    assert each < 1.5, f"a character costs {each:.1f} tokens"
