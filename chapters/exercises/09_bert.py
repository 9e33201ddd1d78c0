"""Property tests for the exercises of chapter 09."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from chapters.checks import Ask, exercise

IGNORED = -100
CHOOSE, FATE = [0.5, 0.0, 0.1, 0.15], [0.5, 0.85, 0.95, 0.8, 0.9]
"""Numbers for chance. Limits of F71 come last: the smallest input that fails has them only where
they matter."""

SCORES = [0.0, 1.0, -1.0, 2.0, 1000.0]


def filled(dtype: Any, shape: tuple[int, ...], values: list) -> st.SearchStrategy:
    """Arrays whose elements are drawn one by one from the values."""
    return arrays(dtype, shape, elements=st.sampled_from(values), fill=st.nothing())


@st.composite
def hidings(draw: st.DrawFn) -> tuple[Any, ...]:
    """ids, may, choose, fate and drawn (B, T), and the id of [MASK]."""
    shape = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    ids = 5 + np.arange(shape[0] * shape[1]).reshape(shape)
    may = draw(filled(bool, shape, [True, False]))
    choose, fate = draw(filled(float, shape, CHOOSE)), draw(filled(float, shape, FATE))
    return ids, may, choose, fate, ids[:, ::-1] + 10, draw(st.sampled_from([4, 3]))


@exercise("hide(ids, may, choose, fate, drawn, mask)", batch=hidings())
def hide(ask: Ask, batch: tuple[Any, ...]) -> None:
    """15 %, and of these 80/10/10; labels at the selected places alone."""
    ids, may, choose, fate, drawn, mask = batch
    selected = may & (choose < 0.15)
    fates = np.where(fate < 0.8, mask, np.where(fate < 0.9, drawn, ids))
    truth = np.where(selected, fates, ids)
    covered = selected & (fate < 0.8)
    edges = may & (choose <= 0.15)
    late = np.where(fate <= 0.8, mask, np.where(fate <= 0.9, drawn, ids))
    shown, labels = ask.parts(ask(*batch), "shown", "labels")
    mistakes = {
        "with ≤ in the place of <": np.where(edges, late, ids),
        "when all selected tokens become [MASK]": np.where(selected, mask, ids),
        "when special tokens and padding are hidden: look at may": np.where(
            choose < 0.15, fates, ids
        ),
        "when the 10 % with fate ≥ 0.9 are replaced too": np.where(
            selected, np.where(fate < 0.8, mask, drawn), ids
        ),
        "when the drawn tokens are left out": np.where(covered, mask, ids),
        "with the fates exchanged: a drawn token for 0.8 ≤ fate < 0.9": np.where(
            selected, np.where(fate < 0.8, mask, np.where(fate < 0.9, ids, drawn)), ids
        ),
        "with ≤ 0.9 in the place of < 0.9": np.where(
            selected, np.where(fate < 0.8, mask, np.where(fate <= 0.9, drawn, ids)), ids
        ),
        "with ≤ 0.8 in the place of < 0.8": np.where(
            selected, np.where(fate <= 0.8, mask, np.where(fate < 0.9, drawn, ids)), ids
        ),
        "with nothing hidden": ids,
    }
    ask.expect("the array shown", shown, truth, 1e-9, mistakes)
    _labels(ask, batch, shown, labels)


def _labels(ask: Ask, batch: tuple[Any, ...], shown: np.ndarray, labels: np.ndarray) -> None:
    """The labels of `hide`: the true tokens at the selected places, −100 elsewhere."""
    ids, may, choose, fate, _, _ = batch
    selected, edges = may & (choose < 0.15), may & (choose <= 0.15)
    covered = selected & (fate < 0.8)
    mistakes = {
        "when special tokens and padding are asked for: look at may": np.where(
            choose < 0.15, ids, IGNORED
        ),
        "when the answer is asked for everywhere: −100 where nothing was selected": ids,
        "with 0 where nothing is asked: it is a token; −100 is none": np.where(selected, ids, 0),
        "when labels are what is shown: they are the true tokens": np.where(
            selected, shown, IGNORED
        ),
        "when the tokens left as they were are not asked for": np.where(
            selected & (fate < 0.9), ids, IGNORED
        ),
        "when only [MASK] is asked for: all selected places are": np.where(covered, ids, IGNORED),
        "with ≤ in the place of <": np.where(edges, ids, IGNORED),
    }
    ask.expect("the array labels", labels, np.where(selected, ids, IGNORED), 1e-9, mistakes)


@st.composite
def sentences(draw: st.DrawFn) -> tuple[Any, ...]:
    """text_of (S,), the place of an A that has a next sentence, follows and drawn."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    text_of = np.repeat(np.arange(len(sizes)), sizes)
    firsts = np.flatnonzero(text_of[1:] == text_of[:-1])
    assume(len({*text_of[firsts]}) > 1)  # whichever A is, another text has a B
    drawn = draw(st.sampled_from([0.0, 0.25, 0.5, 0.7, 0.99]))
    return text_of, int(draw(st.sampled_from(firsts.tolist()))), draw(st.booleans()), drawn


@exercise("second(text_of, first, follows, drawn)", pair=sentences())
def second(ask: Ask, pair: tuple[Any, ...]) -> None:
    """The next sentence, or the drawn one of all other texts that follows something there."""
    text_of, first, follows, drawn = pair
    places, follower = np.arange(len(text_of)), np.diff(text_of, prepend=-1) == 0
    pools = {
        "": places[(text_of != text_of[first]) & follower],
        "of all sentences of other texts: leave out the first ones": places[
            text_of != text_of[first]
        ],
        "of all sentences: some are of A's own text": places,
        "of all sentences but A: some are of A's own text": places[places != first],
        "of all sentences but A and the next: some are of A's own text": places[
            (places != first) & (places != first + 1)
        ],
        "of A's own text: they must be of another one": places[text_of == text_of[first]],
        "of the texts after A's alone": places[(text_of > text_of[first]) & follower],
    }
    found = {name: int(p[int(len(p) * drawn)]) for name, p in pools.items() if len(p)}
    truth = first + 1 if follows else found[""]
    mistakes = {} if follows else {f"when B is drawn {n}": p for n, p in found.items() if n}
    if follows:
        mistakes["when A itself is taken: the next is first + 1"] = first
        mistakes["when follows is taken the other way round"] = found[""]
    else:
        mistakes["when follows is taken the other way round"] = first + 1
        other = pools[""]
        mistakes["as a place among the others: return its place among all"] = int(
            len(other) * drawn
        )
        mistakes["when the drawn place is rounded: ⌊n·drawn⌋"] = int(
            other[min(round(len(other) * drawn), len(other) - 1)]
        )
    got = ask(*pair)
    ask.expect("the place of B", got, truth, 1e-9, mistakes)


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Z (B, T, V), labels (B, T) with one at least that counts, z (B, 2) and pair_labels (B,)."""
    rows, places = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    Z = draw(filled(float, (rows, places, 3), SCORES))
    labels = draw(filled(int, (rows, places), [IGNORED, 0, 1, 2]))
    assume((labels != IGNORED).any())
    return Z, labels, draw(filled(float, (rows, 2), SCORES)), draw(filled(int, (rows,), [0, 1]))


@exercise("joint_loss(Z, labels, z, pair_labels)", batch=answers())
def joint_loss(ask: Ask, batch: tuple[np.ndarray, ...]) -> None:
    """The mean over the words that are asked for, plus the mean over the pairs."""
    Z, labels, z, pair_labels = batch
    asked, rows = labels != IGNORED, np.arange(len(z))
    words, pairs = _nll(Z[asked], labels[asked]), _nll(z, pair_labels)
    everywhere = _nll(Z.reshape(-1, Z.shape[2]), np.where(asked, labels, 0).ravel())
    each_row = [_nll(Z[i][asked[i]], labels[i][asked[i]]) for i in rows]
    by_row = np.mean([row.mean() for row in each_row if len(row)])
    nonzero = labels > 0
    mistakes = {
        "of the words alone": words.mean(),
        "of the pairs alone": pairs.mean(),
        "with one mean over all targets: each has its own": np.concatenate([words, pairs]).mean(),
        "when words are divided by all places: by those asked for": (
            words.sum() / asked.size + pairs.mean()
        ),
        "with sums in place of means": words.sum() + pairs.sum(),
        "with a sum over the words": words.sum() + pairs.mean(),
        "with a sum over the pairs": words.mean() + pairs.sum(),
        "with the mean of the two": (words.mean() + pairs.mean()) / 2,
        "when the label 0 of pairs is left out: it is a class": (
            words.mean() + (pairs[pair_labels > 0].mean() if pair_labels.any() else 0.0)
        ),
        "when the label 0 of words is left out: −100 is what does not count": (
            (_nll(Z[nonzero], labels[nonzero]).mean() if nonzero.any() else 0.0) + pairs.mean()
        ),
        "with a mean of rows: all hidden words of a batch count alike": by_row + pairs.mean(),
        "when −100 counts as the word 0": everywhere.mean() + pairs.mean(),
        "with the sign the other way": -(words.mean() + pairs.mean()),
        "with the labels of the pairs exchanged": words.mean() + _nll(z, 1 - pair_labels).mean(),
    }
    truth = words.mean() + pairs.mean()
    ask.expect("the loss", ask(*batch), truth, 1e-9, mistakes)


def _nll(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """−log softmax at the right class, (N, K) and (N,) -> (N,)."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    right = shifted[np.arange(len(classes)), classes]
    return np.log(np.exp(shifted).sum(axis=1)) - right


SPECIAL = ("[CLS]", "[SEP]", "[PAD]")


@st.composite
def rows(draw: st.DrawFn) -> tuple[list[str], np.ndarray]:
    """Pieces of words of one text or two, and a number for each; a text may begin in a word."""
    tokens = ["[CLS]"]
    for _ in range(draw(st.integers(1, 2))):
        for word in range(draw(st.integers(1, 2))):
            begin = draw(st.integers(0, 1)) if word == 0 else 0
            tokens += ["un", "##law", "##ful"][begin : begin + draw(st.integers(1, 3))]
        tokens.append("[SEP]")
    tokens += ["[PAD]"] * draw(st.integers(0, 1))
    return tokens, draw(filled(float, (len(tokens),), [0.0, 0.1, 0.15, 0.5]))


@exercise("whole_words(tokens, choose)", row=rows())
def whole_words(ask: Ask, row: tuple[list[str], np.ndarray]) -> None:
    """All pieces of a word go with the number at its first piece."""
    tokens, choose = row
    may = np.array([token not in SPECIAL for token in tokens])
    goes_on = np.array([token.startswith("##") for token in tokens])
    reaching = goes_on.copy()  # across [CLS] and [SEP] too
    goes_on[1:] &= may[:-1]
    places, low = np.arange(len(tokens)), choose < 0.15
    start, far = (np.maximum.accumulate(np.where(on, 0, places)) for on in (goes_on, reaching))
    one_text = np.cumsum(np.array(tokens) == "[SEP]") == 0
    words = [places[start == i] for i in sorted({*start})]
    any_of, all_of = np.zeros(len(tokens), bool), np.zeros(len(tokens), bool)
    for word in words:
        any_of[word], all_of[word] = low[word].any(), low[word].all()
    last = np.array([places[start == start[i]][-1] for i in places])
    truth = low[start] & may
    mistakes = {
        "piece by piece: the number of a word is that at its first piece": low & may,
        "when special tokens may be hidden": low[start],
        "of the first pieces alone: the others go with them": low & may & ~goes_on,
        "when one low number in a word is enough": any_of & may,
        "when all numbers of a word must be low": all_of & may,
        "by the number at the last piece": low[last] & may,
        "when a word reaches across [CLS] or [SEP]: there a piece begins a word": low[far] & may,
        "when a piece after [CLS] or [SEP] is never selected": truth & ~(reaching & ~goes_on),
        "of the first text alone": truth & one_text,
        "with ≤ in the place of <": (choose <= 0.15)[start] & may,
        "the other way round: True is what is selected": ~truth & may,
    }
    got = ask(tokens, choose)
    ask.expect("the selection", got, truth, 1e-9, mistakes)
    if np.asarray(got).dtype != bool:
        ask.fail(f"the selection has dtype {np.asarray(got).dtype}, expected bool")


EXERCISES = [hide, second, joint_loss, whole_words]
