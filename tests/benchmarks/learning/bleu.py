"""Corpus BLEU-4 over characters, as is usual for Chinese (Papineni et al. 2002)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

LONGEST = 4


def corpus_bleu(written: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """100·BP·exp(¼ Σ ln p_n) over all texts together, n = 1 … 4; spaces do not count.

    references: one or more right answers for each text. p_n: the share of the n-grams written that
    a reference has, each as often as there at most. BP: e^(1 − r/c) where the c characters written
    are fewer than the r of the references nearest in length. 0 where some p_n is.
    """
    met, made = [0] * LONGEST, [0] * LONGEST
    length, nearest = 0, 0
    for text, answers in zip(written, references, strict=True):
        text, answers = _packed(text), [_packed(answer) for answer in answers]
        length += len(text)
        nearest += min((abs(len(a) - len(text)), len(a)) for a in answers)[1]
        for n in range(LONGEST):
            grams = _grams(text, n + 1)
            allowed = Counter[str]()
            for answer in answers:
                allowed |= _grams(answer, n + 1)
            met[n] += (grams & allowed).total()
            made[n] += grams.total()
    if not min(met):
        return 0.0
    mean = sum(math.log(m / n) for m, n in zip(met, made)) / LONGEST
    return 100.0 * math.exp(mean + min(0.0, 1.0 - nearest / length))


def _packed(text: str) -> str:
    return "".join(text.split())


def _grams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))
