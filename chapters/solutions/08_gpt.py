"""Answers to the exercises of chapter 08; try yourself first."""

import numpy as np


def pack(documents, T, end):
    """A block may hold the end of one document and the beginning of the next."""
    row = [token for document in documents for token in [*document, end]]
    return np.array(row[: len(row) // T * T]).reshape(-1, T)


def shifted_loss(logits, ids, counted):
    """Place t is asked for token t + 1: the last logits and the first token have no partner."""
    z = logits[:, :-1] - logits[:, :-1].max(axis=-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))
    told = np.take_along_axis(log_p, ids[:, 1:, None], axis=-1)[..., 0]
    return -told[counted[:, 1:]].mean()


def bigram(ids, V):
    """The rule twice: for the empty context over 1/V, then for each h over that."""
    alone = np.bincount(ids, minlength=V)
    kinds = (alone > 0).sum()
    p = (alone + kinds / V) / (len(ids) + kinds)
    c = np.zeros((V, V))
    np.add.at(c, (ids[:-1], ids[1:]), 1.0)
    total, k = c.sum(axis=1, keepdims=True), (c > 0).sum(axis=1, keepdims=True)
    return np.where(total > 0, (c + k * p) / np.maximum(total + k, 1.0), p)


def top_p(logits, p):
    """A token stays while those before it have not reached p: so the one that crosses stays."""
    grown = np.exp(logits - logits.max())
    share = grown / grown.sum()
    order = np.argsort(-share)
    before = np.cumsum(share[order]) - share[order]
    kept = np.where(np.isin(np.arange(len(share)), order[before < p]), share, 0.0)
    return kept / kept.sum()
