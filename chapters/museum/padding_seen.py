"""A mask of ones: every word listens to the padding, and a text's vector depends on its batch.

Texts of a batch are filled up to one length. Without a mask, or with one that is 1 everywhere (F79,
as printed), attention hears the padding like words. Training hides it, because the padding is the
same mixture as long as batches are drawn alike; then a single text comes, without padding, and gets
another answer. The mend is a mask of 1 where the id is not that of the padding.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, nn, no_grad

TITLE = "Padding that is listened to (填充也被“听见”了)"
SOURCE = (
    "F79, from a published listing; asked about in huggingface/transformers #278 (2019) and often"
)
SEEN = "The same text gets another answer when a longer one stands in its batch."
CHINESE = (
    "一批文本要补齐到同样长度。掩码全是 1（F79），注意力就把填充当成词来听："
    "同一句话，换一批同伴，结果就不同；训练时看不出来，上线后单独来一句就变了样。"
    "正确的掩码：编号不是填充的位置为 1，是填充的为 0。"
)


def broken(ids: np.ndarray, pad: int) -> np.ndarray:
    """The attention mask (B, T) of ids (B, T)."""
    return np.ones(ids.shape, dtype=bool)


def mended(ids: np.ndarray, pad: int) -> np.ndarray:
    """The attention mask (B, T) of ids (B, T)."""
    return ids != pad


def states(encoder: nn.Module, words: np.ndarray, ids: np.ndarray, mask_of) -> np.ndarray:
    """Hidden states (B, T, D) of ids (B, T), 0 the padding; words (V, D) are the embeddings."""
    device = next(iter(encoder.parameters())).device
    x, mask = Tensor(words[ids], device=device), Tensor(mask_of(ids, 0), device=device)
    with no_grad():
        return encoder(x, mask=mask).numpy()


def check(mask_of) -> None:
    """Six places of padding must not move the states of the words."""
    rng = np.random.default_rng(0)
    encoder = nn.TransformerEncoder(1, 8, 2).astype("float64")
    words, ids = rng.normal(size=(10, 8)), rng.integers(1, 10, size=(1, 4))
    alone = states(encoder, words, ids, mask_of)
    filled = states(encoder, words, np.pad(ids, ((0, 0), (0, 6))), mask_of)[:, :4]
    moved = np.abs(filled - alone).max()
    assert moved < 1e-12, f"with 6 places of padding the states of the words move by {moved:.2g}"
