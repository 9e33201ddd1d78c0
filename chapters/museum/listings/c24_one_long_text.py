"""One long text: every batch is padded to it, and the model has no places for its end.

The whole file is encoded at once, so all rows are as long as its longest. One text of 600 tokens
among short ones makes nearly everything padding, and since the model has 512 positions, it stops at
the first batch. Of 500 tokens it would not stop, and only be slow. The obvious repair, to cut the
rows, cuts off [SEP] with the end. The mend is to let the tokenizer truncate, and to pad each batch
by itself. The listing also splits the file in its order and without regard to the classes, stops at
a line without a tab and does not say which, and holds out no test set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_llm.tokenizers import Tokenizer, WordPieceTokenizer

TITLE = "One long text in the file (文件里有一条长文本)"
SOURCE = "C24 of the documents, the reading of a labelled file for BERT"
SEEN = "Above 512 tokens an error at the first batch; below, nothing, but all is slow."
CHINESE = (
    "整个文件一次编码，所有行都补到全文件最长的那一条：只要有一条 600 个词元的文本，"
    "短句后面几乎全是填充，计算量却照付；模型只有 512 个位置，所以第一批就报错，不到 512 时只是慢。"
    "直接把编号切片截短，又会把结尾的 [SEP] 一起切掉，而且不报错。"
    "应当让分词器自己截断，每一批只补到本批最长；没有制表符的行要指出行号。"
)

PLACES, BATCH = 16, 4


def broken(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Batches of ids (BATCH, T), for a model with PLACES positions."""
    ids = tokenizer(texts, padding=True, return_tensors="np")["input_ids"]
    return [ids[i : i + BATCH] for i in range(0, len(ids), BATCH)]


def mended(tokenizer: Tokenizer, texts: Sequence[str]) -> list[np.ndarray]:
    """Batches of ids (BATCH, T), for a model with PLACES positions."""
    how = {"padding": True, "truncation": True, "max_length": PLACES, "return_tensors": "np"}
    groups = [texts[i : i + BATCH] for i in range(0, len(texts), BATCH)]
    return [tokenizer(group, **how)["input_ids"] for group in groups]


def check(batches_of) -> None:
    """Little padding, no row longer than the positions, and each one with its two ends."""
    vocab = {token: i for i, token in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "好"))}
    tokenizer = WordPieceTokenizer(vocab)
    texts = ["好" * 60 if i == 9 else "好" * (4 + i % 3) for i in range(32)]
    batches = batches_of(tokenizer, texts)
    pad, close = tokenizer.pad_token_id, tokenizer.sep_token_id
    rows = [row for batch in batches for row in batch]
    padding = sum(int((row == pad).sum()) for row in rows) / sum(map(len, rows))
    assert padding < 0.5, f"{padding:.0%} of the places are padding, for one text of 60 characters"
    longest = max(map(len, rows))
    assert longest <= PLACES, f"a row has {longest} tokens, and the model has {PLACES} positions"
    open_rows = sum(close not in row for row in rows)
    assert open_rows == 0, f"{open_rows} of {len(rows)} rows have lost their [SEP]"
    short = [int((row != pad).sum()) for row in rows]
    right = [min(len(text) + 2, PLACES) for text in texts]
    changed = sum(a != b for a, b in zip(short, right)) + abs(len(short) - len(right))
    assert changed == 0, f"{changed} of {len(texts)} texts have another number of tokens"
