"""Learning merges: equal to counting anew for each, whatever the words, names and limits."""

import tracemalloc
from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers.merging import learn_merges

WORDS = st.dictionaries(st.text("abc", min_size=1, max_size=12), st.integers(1, 5), min_size=1)


def plus(first, second):
    return first + second


def learn(counts, size, **options):
    vocab = {letter: id for id, letter in enumerate("abc")}
    words = [([vocab[letter] for letter in word], n) for word, n in counts.items()]
    merges = learn_merges(words, vocab, size, options.pop("name_of", plus), **options)
    return list(vocab), merges


def by_counting(counts, size, forbidden=(), least=2):
    """All pairs of all words are counted for each merge."""
    vocab, merges, words = list("abc"), [], {word: list(word) for word in counts}
    while len(vocab) < size:
        pairs = Counter()
        for word, spelt in words.items():
            for pair in pairwise(spelt):
                pairs[pair] += counts[word]
        pairs = {p: n for p, n in pairs.items() if n >= least and "".join(p) not in forbidden}
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], vocab.index(p[0]), vocab.index(p[1])))
        token = "".join(best)
        vocab += [token] * (token not in vocab)
        merges.append(best)
        for spelt in words.values():
            place = 0
            while place < len(spelt) - 1:
                if (spelt[place], spelt[place + 1]) == best:
                    spelt[place : place + 2] = [token]
                place += 1
    return vocab, merges


@given(WORDS, st.integers(3, 30), st.integers(1, 4), st.sets(st.sampled_from(["ab", "aa", "abc"])))
def test_merges_equal_those_by_counting(counts, size, least, forbidden):
    found = learn(counts, size, min_frequency=least, forbidden=forbidden)
    assert found == by_counting(counts, size, forbidden, least)


def test_a_run_is_joined_from_left_to_right_and_all_its_pairs_count():
    assert learn({"aaaaa": 1, "bc": 3}, 5) == (
        ["a", "b", "c", "aa", "bc"],
        [("a", "a"), ("b", "c")],
    )
    assert learn({"aaaaa": 1}, 5, min_frequency=1)[1] == [("a", "a"), ("aa", "a")]


def test_a_pair_may_come_again_where_two_pairs_have_one_name():
    def in_order(first, second):
        return "".join(sorted(first + second))

    words = {"abc": 5, "bac": 3, "ba": 1}
    vocab, merges = learn(words, 9, name_of=in_order)
    assert vocab == ["a", "b", "c", "ab", "abc"]
    assert merges == [("a", "b"), ("ab", "c"), ("b", "a"), ("ab", "c")]
    # What was joined the first time does not count the second time.
    assert learn(words, 9, name_of=in_order, min_frequency=4)[1] == merges[:3]


def test_many_merges_of_long_words_take_little_room():
    """Arrays: about 80 bytes a symbol, where lists of words with sets of places took far more."""
    counts = {"".join("abc"[(i * i + j * j * j) % 3] for j in range(200)): 2 for i in range(100)}
    symbols = sum(map(len, counts))
    tracemalloc.start()
    learn(counts, 400)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * symbols
