"""A classifier reads the first place of a text, where [CLS] should stand, and finds a word there.

BERT was pretrained on "[CLS] words [SEP]", and its classifier looks at the first state alone (F87).
The listing cuts texts into words and goes on, so that the first word takes that place; and a text
that is cut to its length loses its end. The model learns something all the same, but not what it
was pretrained for. The listing counted lengths and threw them away, so that there was no mask; it
took out [PAD] where none could be; and it had three rows to learn from, two to check, and no test.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_llm.tokenizers import Template, WordPieceTokenizer

Batch = tuple[np.ndarray, np.ndarray]
"""ids (B, T) and attention mask (B, T), 1 at what is no padding."""

TITLE = "A text without [CLS] (句首没有 [CLS])"
SOURCE = "C08 of the documents, the data of a BERT classifier"
SEEN = "Nothing: it trains. The accuracy is lower than others report."
CHINESE = (
    "BERT 预训练时，每句话前面有 [CLS]，后面有 [SEP]，分类器只看第一个位置的状态。"
    "原程序只切词，没有加这两个标记，于是第一个词占了 [CLS] 的位置；"
    "加了标记再截断的，又常常把 [SEP] 截掉。它照样能训练，只是预训练学到的本事用不上。"
    "应当先截断、再加标记、最后补齐，掩码里把标记也算上。"
)


def broken(tokenizer: WordPieceTokenizer, texts: Sequence[str], length: int) -> Batch:
    """Rows for a model of `length` places at most."""
    batch = tokenizer(
        list(texts), add_special_tokens=False, padding=True, truncation=True, max_length=length,
        return_tensors="np",
    )  # fmt: skip
    return batch["input_ids"], batch["attention_mask"]


def mended(tokenizer: WordPieceTokenizer, texts: Sequence[str], length: int) -> Batch:
    """Rows for a model of `length` places at most."""
    batch = tokenizer(
        list(texts), padding=True, truncation=True, max_length=length, return_tensors="np"
    )
    return batch["input_ids"], batch["attention_mask"]


def check(prepare) -> None:
    """[CLS] is first, [SEP] last before the padding, and the mask has all that lies between."""
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefg"]
    vocab = {token: id for id, token in enumerate(tokens)}
    tokenizer = WordPieceTokenizer(vocab, template=Template.around("[CLS]", "[SEP]"))
    ids, mask = prepare(tokenizer, ["a b c", "d", "a b c d e f g"], 6)
    headless = int(np.sum(ids[:, 0] != vocab["[CLS]"]))
    assert headless == 0, f"{headless} of 3 texts begin with a word in the place of [CLS]"
    deaf = int(np.sum((ids != 0) != (mask != 0)))
    assert deaf == 0, f"the mask is wrong at {deaf} of {ids.size} places"
    endless = sum(row[row != 0][-1] != vocab["[SEP]"] for row in ids)
    assert endless == 0, f"{endless} of 3 texts do not end with [SEP]"
    expected = [[2, 4, 5, 6, 3, 0], [2, 7, 3, 0, 0, 0], [2, 4, 5, 6, 7, 3]]
    other = sum(map(list.__ne__, ids.tolist(), expected))
    assert other == 0, f"{other} of 3 texts have other words, or padding between them"
