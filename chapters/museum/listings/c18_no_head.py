"""A model without a head: there is no loss, and a number that stands in for one teaches nothing.

The body of BERT answers with states and knows no task, so its output has no loss, and the program
stops. It is tempting to train on a number that is there, such as the mean of the states. But a
layer norm comes last, so that mean is 0 for every text until the norm's own weights move, and then
it sinks below 0 without end. The mend is a head, hidden words, and labels only at these. The
listing has none of the three, and neither its number of epochs nor its data are defined anywhere.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, manual_seed, models

TITLE = "A model without a head (没有输出头的模型)"
SOURCE = "C18 of the documents, a loop that is called pretraining; F71"
SEEN = "At once an error: the output has no loss. Repaired with a mean of the states, it trains."
CHINESE = (
    "只取 BERT 的主体，输出只有各个位置的状态，没有任务，也就没有损失，程序当场报错。"
    "有人随手拿状态的平均值当损失：最后一层是层归一化，这个平均对任何文本都是 0，"
    "训练只要挪动归一化自己的参数，“损失”就降到负数，还能一直降下去，什么也没学到。"
    "预训练需要三样东西：输出头、被遮住的词、只在这些位置上的标签。"
)

MASK, WORDS, IGNORED = 11, 11, -100


def broken(model: models.BertForMaskedLM, words: np.ndarray, selected: np.ndarray) -> Tensor:
    """The loss of a step of pretraining. words (B, T) ids, selected (B, T) booleans -> ()."""
    return model.bert(words).last_hidden_state.mean()


def mended(model: models.BertForMaskedLM, words: np.ndarray, selected: np.ndarray) -> Tensor:
    """The loss of a step of pretraining. words (B, T) ids, selected (B, T) booleans -> ()."""
    hidden, labels = np.where(selected, MASK, words), np.where(selected, words, IGNORED)
    return model(hidden, labels=labels).loss


def small_model() -> models.BertForMaskedLM:
    """A BERT with weights large enough for a word that is seen to change what is said."""
    manual_seed(0)
    config = models.BertConfig(
        vocab_size=WORDS + 1,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        initializer_range=0.5,
        pad_token_id=None,
    )
    return models.BertForMaskedLM(config).astype("float64").eval()


def check(loss) -> None:
    """exp(−loss) is the probability of the hidden word: over all words it adds up to 1."""
    model, words = small_model(), np.array([[3, 1, 4, 1, 5, 9]])
    selected, total = np.arange(6)[None] == 2, 0.0
    for word in range(WORDS + 1):
        value = loss(model, np.where(selected, word, words), selected)
        total += float(np.exp(-value.item()))
    assert abs(total - 1.0) < 1e-9, (
        f"the probabilities of the {WORDS + 1} words that may be hidden add up to {total:.3g}"
    )
    value.backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    moved = sum(bool(np.abs(each.numpy()).max() > 1e-12) for each in slopes)
    number = len(list(model.parameters()))
    assert moved > number / 2, f"{moved} of {number} parameters have a gradient"
