"""What a tokenizer answers is no dataset: its length counts columns, not texts.

A BatchEncoding is a dict of columns. With the labels its length is 4, whatever the number of texts,
and no integer is one of its keys, so that a trainer that asks for row 0 stops. (The DataLoader here
refuses it before.) The obvious repair is a class around it that gives rows and keeps the length:
then an epoch has 4 rows, of 4,000, nothing is reported, and the loss falls. A list made of it is a
list of the columns' names. The mend is a dataset of rows. The listing also never evaluates, though
its text says so, has no metric, sets no learning rate, and neither saves nor predicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_llm import data
from tinygrad_llm.tokenizers import BatchEncoding, CharTokenizer

TITLE = "Columns in the place of rows (把列当成了行)"
SOURCE = "C22 of the documents, a trainer that is given what the tokenizer answered"
SEEN = "A KeyError for row 0. Repaired with a class around it: nothing, but epochs are very short."
CHINESE = (
    "分词器返回的是“列的字典”：加上标签，长度总是 4，与有多少条文本无关，也不能用整数取出一行。"
    "常见的补救是包一层类，`__getitem__` 取对了行，`__len__` 却还是 len(编码)："
    "四千条数据，一轮只训练四条，损失照样下降，谁也看不出来。"
    "应当给出按行的数据集，长度等于文本的条数，每一行的编号和标签对得上。"
)


class _Wrapped:
    """Rows of an encoding, with its length."""

    def __init__(self, columns: dict):
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, index: int) -> dict:
        return {name: column[index] for name, column in self.columns.items()}


def broken(encoding: BatchEncoding, labels: np.ndarray) -> data.Dataset:
    """A dataset of N rows. encoding: columns (N, T), labels (N,)."""
    return _Wrapped({**encoding, "labels": labels})


def mended(encoding: BatchEncoding, labels: np.ndarray) -> data.Dataset:
    """A dataset of N rows. encoding: columns (N, T), labels (N,)."""
    return data.ArrayDataset(**encoding, labels=labels)


def epoch(dataset: data.Dataset) -> Sequence[tuple]:
    """The ids and the label of each row of an epoch; a batch without names has none."""
    batches = [batch for batch in data.DataLoader(dataset, 4) if isinstance(batch, dict)]
    return [
        (row.tolist(), int(label))
        for batch in batches
        for row, label in zip(batch["input_ids"], batch["labels"])
    ]


def check(dataset_of) -> None:
    """An epoch has each text once, with its own label."""
    texts = [f"{city}队赢了" for city in "北上广深津渝杭宁汉蓉"]
    tokenizer, labels = CharTokenizer.train(texts), np.arange(10) % 2
    how = {"padding": True, "return_tensors": "np", "return_token_type_ids": True}
    encoding = tokenizer(texts, **how)
    rows = epoch(dataset_of(encoding, labels))
    assert len(rows) == 10, f"an epoch has {len(rows)} rows, and there are 10 texts"
    wanted = list(zip(encoding["input_ids"].tolist(), labels.tolist()))
    wrong = sum(row not in rows for row in wanted)
    assert wrong == 0, f"{wrong} of 10 texts come without their label, or not at all"
