"""Characters that the vocabulary has not met are left out, and "not good" reads as "good".

The listing cuts texts into words and drops, without a word about it, all that its vocabulary does
not know. What is new in a text is often what it says. To have nothing new, the listing learned its
vocabulary from the test texts as well, so that its score knows no new words, and every later text
has some. It also cut long texts at their beginning, took a Chinese line for one word, put no marks
at the ends and made no mask. The mend is a vocabulary of the training texts alone, with an id for
all that is unknown, which the model learns to live with.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_llm.tokenizers import CharTokenizer

Rows = list[list[int]]

TITLE = "New words, dropped without a word (没见过的字被悄悄丢掉)"
SOURCE = "C03 of the documents, the preparation of texts for a language model"
SEEN = "Nothing. Some texts are a little shorter, and say the opposite."
CHINESE = (
    "词表里没有的字，编码时直接被丢掉，也不报错：训练集里没有“不”字，“不好看”就读成了“好看”。"
    "有人干脆把测试集也拿来建词表，这样测试时就没有生字了，可那分数说明不了模型遇到生字会怎样。"
    "词表只能从训练集来，没见过的字一律编成同一个“未知”编号。"
)


def broken(train: Sequence[str], test: Sequence[str]) -> Rows:
    """The ids of the test's texts, by a vocabulary of characters."""
    vocab = CharTokenizer.train(train).vocab
    return [[vocab[each] for each in text if each in vocab] for text in test]


def mended(train: Sequence[str], test: Sequence[str]) -> Rows:
    """The ids of the test's texts, by a vocabulary of characters."""
    tokenizer = CharTokenizer.train(train)
    return [tokenizer.encode(text) for text in test]


def check(encode) -> None:
    """A new character is one id, the same for all, which is neither a known one's nor padding's."""
    train = ["这部电影好看", "我喜欢这个故事", "服务很好", "他去过北京"]
    test = ["这部电影不好看", "我讨厌这个故事", "服务很差", "他没去过北京"]
    rows = encode(train, train + test)
    known = {id for row in rows[:4] for id in row}
    pairs = [pair for text, row in zip(test, rows[4:]) for pair in zip(text, row)]
    lost = sum(map(len, test)) - sum(map(len, rows[4:]))
    assert lost == 0, f"5 characters of the test are new, and {lost} of them leave no trace"
    new = [id for each, id in pairs if each in "不讨厌差没"]
    mistaken = sum(id in known or id == 0 for id in new)
    assert mistaken == 0, f"{mistaken} of 5 new characters are read as known ones, or as padding"
    own = len(set(new))
    assert own == 1, f"the 5 new characters have {own} ids: the vocabulary has read the test"
