"""Chapter 04: how a text becomes numbers: bytes, characters, words, pieces of words, and rows."""

# %% [markdown]
# # Chapter 04 · Text into numbers (把文字变成数字)
#
# The networks so far read pixels, which are numbers already. A text is none. Before a language
# model sees a sentence, the sentence has been cut into pieces, and each piece has been looked up in
# a list and replaced by its place there. A piece is a **token** (词元), the list is the
# **vocabulary** (词表), the place is the token's **id** (编号), and the program that does all this
# is the **tokenizer** (分词器). It is trained before the network is, on text alone and without any
# gradient. What it loses, no network brings back; what it cuts badly costs time and memory in every
# layer.
#
# This chapter builds the usual tokenizers from nothing, in English and in Chinese, and measures
# each on text that it has not seen: what it loses, how long the rows become, and what it costs when
# it was made for another language.
#
# **中文导读** 前几章的网络读的是像素，本来就是数字；文字不是。一句话进入模型之前，
# 先切成一小块一小块，每一小块叫一个词元；再到一张叫词表的表里，查出它在表里的位置，即编号，
# 用编号代替它。做这件事的程序叫分词器（和第 3 节的中文分词是两回事）。分词器先于网络训练，
# 只看文字，不用梯度。它丢掉的东西，网络再也找不回来；它切得不好，每一层都要多花时间和内存。
# 本章从零写出常用的几种分词器，中英文各一份，都在没见过的文字上衡量：丢了什么，序列变成多长，
# 用错了语言要付多大代价。
#
# Run it from the root of the repository: `python chapters/04_text_into_numbers.py`. `--quick` does
# less, `--seed 3` splits the texts in another way, and `--data letter.txt` measures a text of your
# own in section 8 and cuts its first sentence in section 9. Figures in the prose are those of the
# full run, over several seeds; the quick run learns from less text, and some come out otherwise.
# C03, C08 and C17 are programs in the documents (chapter 01 says what "the documents" are).

# %%
import re
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from chapters.text import clip
from tinygrad_llm import data, plot, tokenizers
from tinygrad_llm.data import corpora
from tinygrad_llm.tokenizers import WordPieceTokenizer as WordPiece
from tinygrad_llm.tokenizers import bytemap, patterns
from tinygrad_llm.tokenizers.words import remove_stop_words, segmentation, stem

lesson = begin(__file__, seconds=(20, 6), uses_data=True)
rng, seed = lesson.rng, lesson.options.seed
SHARE, LINEAR, COUNT = ({"scale": scale} for scale in ("share", "linear", "count"))
own = lesson.own(data.read_text)  # the lines of your text
READ, ASKED = (60_000, 6_000) if lesson.quick else (250_000, 25_000)  # bytes of each language
SIZES = (300, 2200) if lesson.quick else (300, 1200, 4800)  # of vocabularies


def up_to(texts, size):  # the first of the texts that have together so many bytes
    return texts[: 1 + np.searchsorted(np.cumsum([len(t.encode()) for t in texts]), size)]


def bpe_of(texts, size=SIZES[-1]):
    return tokenizers.ByteBPETokenizer.train(texts, size, special_tokens=())


parts = corpora.english.split_documents(corpora.english.documents(), seed=seed)
english = [[text for document in part for text in document.paragraphs] for part in parts]
topics, reviews, paragraphs = corpora.topics(), corpora.reviews(), corpora.paragraphs()
chinese = [*topics.texts, *reviews.texts, *paragraphs]
parts = data.three_way_split([0] * len(chinese), seed=seed)
chinese = [[chinese[i] for i in rng.permutation(part)] for part in parts]
train = {"English": up_to(english[0], READ), "Chinese": up_to(chinese[0], READ)}
held = {"English": up_to(english[2], ASKED), "Chinese": up_to(chinese[2], ASKED)}

# %% [markdown]
# ## 1 · Bytes and characters (字节与字符)
#
# A file holds **bytes** (字节), numbers from 0 to 255. Unicode gives each character of the world's
# scripts a number, its **code point** (码点), written U+4E2D, and UTF-8 writes a code point as one
# to four bytes: one for an English letter, three for most Chinese characters. Python's `str` is a
# row of code points, and `len` counts those: not bytes, and not always what you would call letters.
#
# For what the eye takes for one letter may be two code points: é is U+00E9, or e followed by the
# accent U+0301. The two look alike and are unequal, so a vocabulary would learn the word twice.
# **Normalization** (规范化) makes the choice: NFC joins what can be joined, NFD takes it apart.
# NFKC goes further and makes A of the full-width Ａ and 2 of ², which is a loss: x² becomes x2.
# (The program takes all lower-case Latin letters apart and joins them again.)
#
# Why not take bytes or characters for tokens, and be done? You can. But the rows are long, and an
# attention layer (chapter 06) compares every token with every other: half as many tokens are a
# quarter of the work. One token for each word, then? What is a word? Splitting at spaces gives an
# answer for English. A Chinese line has no spaces, so the whole line comes out as one "word", never
# seen before and never to be seen again. The tokenizer of C03 splits at spaces, and this is what it
# makes of a Chinese line; the program below does the same in both languages, and counts.
#
# **中文导读** 文件里存的是字节；Unicode 给每个字符一个码点；UTF-8 把一个码点写成一到四个字节，
# 英文字母一个，汉字大多三个。看上去一样的 é，可能是一个码点，也可能是两个，比较起来不相等，
# 所以要先规范化：NFC 能合就合，NFD 全部拆开，NFKC 还把全角 Ａ 变成 A、² 变成 2，x² 成了 x2，
# 意思就丢了。直接拿字节或字符当词元也行，只是序列太长：注意力要把词元两两比较，
# 词元少一半，计算量只剩四分之一。那么按词切？英文可以按空格切；
# 中文一行没有空格，按空格切，整行就成了一个“词”，以前没见过，以后也不会再见。
# C03 的分词器正是按空格切的，下面照样做一遍，数给你看。

# %%
lesson.heading("1 · Bytes and characters")
rows = []
for text in ("café", unicodedata.normalize("NFD", "café"), "中文", "Ａ²", "😀"):
    points, nfkc = " ".join(f"{ord(c):04X}" for c in text), unicodedata.normalize("NFKC", text)
    rows.append([text, len(text), points, len(text.encode()), text.encode()[-3:].hex(" "), nfkc])
lesson.table(["text", "code points", "U+", "bytes", "the last three", "NFKC"], rows)
letters = [c for c in map(chr, range(0x61, 0x180)) if c.islower()]
apart = [unicodedata.normalize("NFD", letter) for letter in letters]
again = [unicodedata.normalize("NFC", letter) for letter in apart]
same, mended = (np.mean([a == b for a, b in zip(letters, each)]) for each in (apart, again))
lesson.say(f"Latin letters that stay as they are in NFD: {same:.1%}; then in NFC: {mended:.1%}.")
lesson.claim("NFC", "letters back in NFC", mended, above=("in NFD", same), **SHARE)

rows, unseen = [], {}
for name, lines in held.items():
    known = {word for line in train[name] for word in line.split()}
    found = [word for line in lines for word in line.split()]
    unseen[name] = np.mean([word not in known for word in found])
    rows.append([name, len(found) / len(lines), f"{unseen[name]:.1%}"])
lesson.table(["split at spaces", "words a line", "never seen"], rows)
bar = ("English", unseen["English"])
lesson.claim("C03", 'Chinese "words" never seen', unseen["Chinese"], above=bar, **SHARE)

# %% [markdown]
# ## 2 · A vocabulary of words (词的词表)
#
# Take the V most frequent words of the training text, give each an id, and let every other word be
# [UNK], the **unknown word** (未登录词). Words are here what BERT's normalizer makes of a text:
# lower case, each punctuation mark on its own, and each Chinese character on its own.
#
# How often is a word unknown? That depends on where you look. Over a third of the English words in
# the training text occur there only once; elsewhere other rare words stand in their places. So ask
# **held-out text** (留出文本), which had no part in making the vocabulary. C03 fits its tokenizer
# on training and test lines together: then no word of the test is unknown, and that says nothing
# about tomorrow's text. It is a leak (chapter 03b, section 2), although no label is in it. The last
# column of the table has such vocabularies.
#
# What becomes of an unknown word? C03's tokenizer drops it in silence, so that "the frobnicate call
# does not block" and "the call does not block" are one row of ids. [UNK] says at least that
# something stood there.
#
# And what of a long text? C03 cuts it to 128 tokens with Keras's `pad_sequences`, which by default
# takes tokens away **at the front**: of [1, 2, 3, 4, 5], to be three long, [3, 4, 5] stay. Is that
# the wrong end? Measure it, with **naive Bayes** (朴素贝叶斯), a classifier that needs no training
# loop: count how often each class uses each token, and guess the class under which the tokens of a
# text are most probable, as if they came independently of each other:
#
#     argmax_c  ln p(c) + Σ_t ln p(t|c),        p(t|c) = (count of t in class c + 1) / (their sum)
#
# In words: for each class c add up how probable the class is, p(c), and how probable each token t
# of the text is in it, p(t|c), all as logarithms; argmax_c is the class with the largest sum. If 慢
# stands three times among 1,000 tokens of bad reviews and never among 1,000 of good ones, one 慢
# speaks 3 + 1 to 0 + 1, four to one, for bad; without the + 1 it alone would decide everything.
#
# Here naive Bayes sees only the first or the last six characters of each text. News say first what
# they are about; customers say last what they think. So the default keeps the wrong end of news,
# and of reviews the better one. There is no right end: say which one you take, and look at what it
# costs.
#
# **中文导读** 取训练文字里最常见的 V 个词编号，其余一律是未登录词 [UNK]。未登录率要在留出文本上量，
# 也就是没参与造词表的文字。C03 把训练集和测试集放在一起造词表，测试集里自然没有生词：这是泄漏，
# 数字好看而已。它还把生词悄悄丢掉，不留痕迹。长文本呢？它默认从前面截，只留后面。这样截对不对？
# 用朴素贝叶斯试一试：每一类里各词元出现多少次，数一数，看这条文字在哪一类里概率最大。
# 这里每条只看开头或末尾六个字：新闻先说主题，留开头好；评论最后才下结论，留结尾好。
# 没有哪一头总是对的，所以要写明截哪一头。

# %%
lesson.heading("2 · A vocabulary of words")
normalizer = tokenizers.Normalizer()


def words_of(text):  # in lower case; each mark and each Chinese character on its own
    text = normalizer.normalize(text)
    return [text[start:end] for start, end in tokenizers.split_words(text)]


rows, word_counts = [], {}
for name, texts in train.items():
    word_counts[name] = counts = Counter(word for text in texts for word in words_of(text))
    found = [word for text in held[name] for word in words_of(text)]
    for size in SIZES:
        known = [dict(each.most_common(size)) for each in (counts, counts + Counter(found))]
        shares = [np.mean([word not in each for word in found]) for each in known]
        rows.append([name, size, *(f"{share:.1%}" for share in shares)])
    once = np.mean([n == 1 for n in counts.values()])
    lesson.say(f"{name}: {len(counts):,} different words, {once:.1%} of which occur once.")
lesson.table(["language", "words", "unknown, held out", "unknown, with leak"], rows)
lesson.claim("leak", "unknown Chinese words", shares[0], above=("with leak", shares[1]), **SHARE)


def accuracy(rows, labels):  # of naive Bayes, on a fifth of the rows; the mean of five splits
    ids = {token: i for i, token in enumerate(sorted({t for row in rows for t in row}))}
    counts = np.zeros((len(rows), len(ids)), np.float32)  # (N, V)
    for n, row in enumerate(rows):
        for token in row:
            counts[n, ids[token]] += 1.0
    y, scores = data.LabelEncoder.fit(labels).encode(labels), []
    for i in range(5):
        _, tested = data.stratified_split(y, 0.2, 100 * seed + i)
        classes = data.one_hot(y, y.max() + 1)  # (N, C)
        classes[tested] = 0.0
        sums = classes.T @ counts + 1.0  # (C, V)
        seen = sums.max(axis=0) > 1.0  # a token of the tested rows alone has no say
        log_p = np.where(seen, np.log(sums / sums[:, seen].sum(axis=1, keepdims=True)), 0.0)
        scored = counts[tested] @ log_p.T + np.log(classes.sum(axis=0))  # (tested rows, C)
        scores.append((scored.argmax(axis=1) == y[tested]).mean())
    return np.mean(scores)


def commonest(labels):  # the accuracy of one answer for all
    return max(Counter(labels).values()) / len(labels)


rows, scores = [], []
for name, corpus in (("news", topics), ("reviews", reviews)):
    ends = [text[:6] for text in corpus.texts], [text[-6:] for text in corpus.texts], corpus.texts
    scores += [*(accuracy(each, corpus.labels) for each in ends), commonest(corpus.labels)]
    rows.append([name, *(f"{share:.1%}" for share in scores[-4:])])
lesson.table(["accuracy from", "first 6", "last 6", "all characters", "one class for all"], rows)
first, last, _, _, early, late, *_ = scores
lesson.claim("first", "news, first 6", first, above=("last 6", last), **SHARE)
lesson.claim("last", "reviews, last 6", late, above=("first 6", early), **SHARE)

# %% [markdown]
# ## 3 · What was done before subwords (子词之前的办法)
#
# Where every word is an id of its own, "block", "blocks" and "blocking" are three strangers, and
# much of a text is "the" and "of". So texts were prepared.
#
# **Stop words** (停用词) hold a sentence together and say little about its subject; drop them.
# **Stemming** (词干提取) cuts endings off by rule (Porter 1980): "connection", "connected" and
# "connecting" become "connect", and "universe" and "university" both "univers". **Lemmatization**
# (词形还原) looks words up in a dictionary instead, where "better" leads to "good". Chinese needs
# neither of the two, for its words have no endings.
#
# What Chinese needed was **word segmentation** (中文分词): to find the words, with a dictionary.
# Take the longest word that fits, from left to right, and 放进口袋 (put into the pocket) becomes
# 放/进口/袋: put, import, bag. Take it from right to left, and 浪费钱 (to waste money) becomes
# 浪/费钱. A better way weighs the whole. Let p(w) be the share of the word w among all words, and
# look for the cut that is most probable if words come independently:
#
#     min over cuts of  Σ −ln p(w):    best[0] = 0,  best[j] = min_{i<j} best[i] − ln p(text[i:j])
#
# There are 2ⁿ⁻¹ cuts of n characters, but the best way to place j needs only the best ways to the
# places before it: **dynamic programming** (动态规划). And p? It is counted in texts that nobody
# has cut: cut them by the present counts, count what comes out, and again, until nothing changes.
# The program tries the three on thirty phrases from these texts, cut by hand, of which the table
# shows four; F1 as in chapter 03b, where a word is right if both its ends are. They are phrases on
# which the first two ways differ, which happens in one sentence of thirteen; elsewhere all three
# nearly always agree. (On these thirty, the first two happen to be right equally often.)
# The best path is no oracle: 都皱眉头 (all frown) is 都/皱/眉头, but 皱眉 and 头 are frequent
# enough together to win.
#
# Did it help? Naive Bayes tells from which of ten packages of the standard library a paragraph is,
# and whether a review is good, bad or mixed, on the same splits for each kind of token. In English,
# stop words and stems together are worth three to five points in a hundred. In Chinese, words are
# about as good as characters, and to drop stop words costs one to two points: 才, 还 and 就 say
# little about the subject and much about the mood. And the last row of each table, **subwords**
# (子词) by byte-pair encoding (section 4), learnt from other texts, is as good as the best or
# better in English, and within two points of the best in Chinese, with no list, no rules and no
# dictionary. "block" and "ing" are tokens already, and what a "the" is worth the counts find out.
# That is why nothing is prepared for language models; and one that is to write or to translate
# needs every "not" and every 的.
#
# **中文导读** 每个词各占一个编号时，block、blocks、blocking 互不相识，而 the、of 又占了一大片。
# 从前的办法是先去掉停用词，再用规则砍掉词尾（词干提取），或者查词典还原（词形还原）。中文没有词尾，
# 要做的是分词：查词典，从左往右取最长的词，“放进口袋”会切出“进口”；从右往左，“浪费钱”会切出“费钱”。
# 更好的办法是给整句打分，用动态规划找总概率最大的切法；词频从没切过的文字里反复切、反复数得来。
# 它也会错：“都皱眉头”切成了“都/皱眉/头”。有没有用？英文去停用词加词干，提高三到五个百分点；
# 中文按词与按字差不多，去停用词反而损失一到两个百分点：“才”“还”“就”与主题无关，却透露态度。
# 而字节级 BPE 的子词什么都不用准备，英文里不输最好的，中文里与最好的相差不到两个百分点。

# %%
lesson.heading("3 · What was done before subwords")
BY_HAND = """放/进/口袋 任务/完成/就/转/给 浪费/钱 都/皱/眉头 不过/十/分钟 我/说/明天 熬/成/果酱
恶心/得/我/立刻 教/学生/互相 弹/唱/歌手 听/过/分贝/读数 挑/几/个/体重/大/的 温暖/有/力量 回/本/周期
同/城里/学生 题/的/七/成/分数 楼下/去/跳 客服/气/得/发抖 却/不/知道 气体/会/钻/进 汁水/流/光
切/了/下/面条 转机/出现/在 她/没有/用/它 工地/上/用 在/草地/上/围 最好/在/下午 学校/期中/考
没/什么/特别/的 站台/上/的/花"""
gold = [phrase.split("/") for phrase in BY_HAND.split()]
counts = segmentation.learn_counts(train["Chinese"], corpora.words())
cutter, rows, f1 = segmentation.Segmenter(counts), [], {}
ways = {"forward": cutter.forward, "backward": cutter.backward, "best path": cutter.best_path}
for name, way in ways.items():
    found = [way("".join(phrase)) for phrase in gold]
    f1[name] = segmentation.span_scores(found, gold).f1
    right = sum(ours == by_hand for ours, by_hand in zip(found, gold))
    rows.append([name, *map("/".join, found[:4]), right, f"{f1[name]:.1%}"])
lesson.table(["", *map("".join, gold[:4]), "right", "F1"], rows)
best, bar = f1.pop("best path"), max(f1, key=f1.get)
lesson.claim("path", "best path: F1", best, above=(bar, f1[bar]), **SHARE)


def compared(kinds, labels):  # prints a row for each kind of tokens; kind -> accuracy
    rows, scores = [], {name: accuracy(tokens, labels) for name, tokens in kinds.items()}
    for name, tokens in kinds.items():
        every = [token for row in tokens for token in row]
        rows.append([name, len(every) / len(tokens), len(set(every)), f"{scores[name]:.1%}"])
    one = f"accuracy (one class: {commonest(labels):.1%})"
    lesson.table(["tokens", "a text", "different ones", one], rows)
    return scores


labelled, packages = corpora.english.labelled(), corpora.english.PACKAGES
others = [d for d in corpora.english.documents() if d.package not in packages]  # nothing labelled
pieces = bpe_of(up_to([text for d in others for text in d.paragraphs], READ), 3000)
kinds = {"words": [words_of(row.text) for row in labelled]}
kinds["no stop words"] = [remove_stop_words(row, "english") for row in kinds["words"]]
stems = {word: stem(word) for word in set().union(*kinds["no stop words"])}
kinds["no stop words, stems"] = [[stems[word] for word in row] for row in kinds["no stop words"]]
kinds["byte BPE"] = [pieces.encode(row.text) for row in labelled]
scores = compared(kinds, [row.label for row in labelled])
bar, best = ("words", scores["words"]), scores["no stop words, stems"]
lesson.claim("stems", "no stop words, stems", best, above=bar, **SHARE)
lesson.claim("pieces", "byte BPE, as it is", scores["byte BPE"], above=bar, **SHARE)

pieces = bpe_of(up_to([*topics.texts, *paragraphs], READ), 3000)
kinds = {"characters": reviews.texts, "words": [cutter.best_path(text) for text in reviews.texts]}
kinds["no stop words"] = [remove_stop_words(row, "chinese") for row in kinds["words"]]
kinds["byte BPE"] = [pieces.encode(text) for text in reviews.texts]
scores = compared(kinds, reviews.labels)
bar = ("words", scores["words"])
lesson.claim("stop words", "reviews, no stop words", scores["no stop words"], below=bar, **SHARE)

# %% [markdown]
# ## 4 · Byte-pair encoding from zero (从零写 BPE)
#
# The heart of the chapter. **Byte-pair encoding** (字节对编码), BPE (Sennrich et al. 2016), begins
# with single bytes and does one thing, again and again: count all pairs of neighbours in the
# corpus, and join the most frequent pair into one new piece, a **merge** (合并). What is frequent
# becomes one token, and what is rare stays in pieces: in the first table "newest" is whole after
# seven merges, and "lower" is still low·e·r. Nothing is ever unknown, for every byte is a piece.
#
# Two things make it practical. A pattern cuts the text beforehand, at spaces, at punctuation,
# between letters and digits, and no merge goes across such a cut; a **pre-token** (预切分片段) such
# as " the" takes its space along. So " token", inside a sentence, and "token", at its beginning,
# are different pieces, learnt apart and cut differently (section 5 has a table). And equal
# pre-tokens are counted once, with their number. Bytes are written as visible characters, so that
# pieces can stand in a file: the space is Ġ, and the three bytes of 中 are ä¸Ń. That is a spelling,
# not an error.
#
# The lines of `learn` and `join` are the whole of it. Follow the first table: e and s are joined
# because they stand together in "newest", six times, and in "widest", three times. Of pairs that
# are equally frequent the one with the smaller ids comes first, and this is no detail: programs
# that break ties in different ways have different vocabularies. The library's `train_bpe` gives the
# same merges much faster, for it counts anew only what a merge has changed. Forget to weigh each
# word by how often it occurs, and the merges are others.
#
# To encode a new text the merges are replayed, the earliest first (this is not the same as taking
# the longest piece that fits). And since learning never looks back, the first 1,000 merges are the
# same whether you stop there or go on to 4,800. One training gives all smaller vocabularies, by
# cutting the list; section 8 does so.
#
# **中文导读** 本章的核心。BPE 从单个字节出发，反复只做一件事：数一数所有相邻的对，
# 把出现最多的一对合成一个新词元。常见的变成整块，少见的留成碎片；字节永远在词表里，
# 所以没有未登录词。计数之前先按空格、标点预切分，合并不跨过切口，单词连同前面的空格算一段，
# 所以句中的“ token”和句首的“token”是两回事，切法也不同；相同的片段只数一次，记下次数。
# 次数一样多时先合哪一对，必须规定清楚，否则两个程序得到两份词表。编码新文字时，按学到的先后顺序，
# 把这些合并重做一遍，这与“从左取最长”不是一回事。先学的合并不受后学的影响，所以训练一次，
# 截短就得到所有较小的词表。

# %%
lesson.heading("4 · Byte-pair encoding from zero")


def learn(words, steps, weigh=lambda n: n):  # merges, the words cut by them, the last pair's count
    ids = {character: i for i, character in enumerate(bytemap.ALPHABET)}
    cut, merges = {word: list(bytemap.to_piece(word.encode())) for word in words}, []
    for _ in range(steps):
        pairs = Counter()
        for word, symbols in cut.items():
            for pair in pairwise(symbols):
                pairs[pair] += weigh(words[word])
        best = max(pairs, key=lambda pair: (pairs[pair], -ids[pair[0]], -ids[pair[1]]))
        cut = {word: join(symbols, best) for word, symbols in cut.items()}
        ids.setdefault("".join(best), len(ids))
        merges.append(best)
    return merges, cut, pairs[best]


def join(symbols, pair):  # the pair as one symbol wherever it stands, from left to right
    joined = []
    for symbol in symbols:
        if joined and (joined[-1], symbol) == pair:
            joined[-1] += symbol
        else:
            joined.append(symbol)
    return joined


toy, rows = {"low": 5, "lower": 2, "newest": 6, "widest": 3}, []
for step in range(1, 9):
    merges, cut, count = learn(toy, step)
    rows.append([step, " + ".join(merges[-1]), count, *map("·".join, cut.values())])
lesson.table(["step", "joined", "times", *(f"{word} ×{n}" for word, n in toy.items())], rows)
steps = 20 if lesson.quick else 60
sample = [*up_to(train["English"], 10_000), *up_to(train["Chinese"], 10_000)]
pattern = patterns.compile_pattern("gpt2")
words = Counter(piece for text in sample for piece in patterns.split(pattern, text))
_, theirs = tokenizers.train_bpe(sample, 256 + steps)
ours, careless = (learn(words, steps, weigh)[0] for weigh in (lambda n: n, lambda n: 1))
off, wrong = (sum(a != b for a, b in zip(each, theirs)) for each in (ours, careless))
lesson.say(f"Of {steps} merges {off} are not train_bpe's; if each word counts once, {wrong}.")
lesson.claim("merges", "merges not train_bpe's", off, below=("words count once", wrong), **COUNT)

# %% [markdown]
# ## 5 · WordPiece (词片)
#
# BERT's tokenizer, **WordPiece** (词片), is of another make (Devlin et al. 2019). It normalizes
# first: **uncased** (不分大小写), it makes all letters lower case and drops accents; **cased**
# (区分大小写), it leaves them. It puts spaces around every Chinese character, so that no piece is
# longer than one of them: Chinese BERT reads characters. Pieces are made of characters, not of
# bytes, and one that continues a word begins with ##. A word is cut by **greedy longest match**
# (贪心最长匹配): take the longest piece that the word begins with, then the longest that the rest
# begins with, and so on. If nothing fits at some place, the whole word is [UNK], also where only
# its last character is strange. (The vocabulary is learnt much as BPE's, here and in Hugging Face's
# library by counts of pairs; Schuster & Nakajima 2012 choose by likelihood.)
#
# Can the text be got back? decode(encode(text)) = text is a **round trip** (往返还原). Byte-level
# BPE makes it with every string there is, also with drawn code points that nobody ever wrote.
# Characters make it where each of them is known. Uncased WordPiece never does, here: which letters
# were capitals, and whether a space stood before a mark, is gone. The text comes back up to
# normalization and spaces, and no network behind it will know whether "us" was "US".
#
# **中文导读** BERT 用的 WordPiece 先规范化：不分大小写的（uncased）全部小写、去掉重音，
# 区分大小写的（cased）保留；每个汉字两边加空格，所以中文 BERT 其实是按字读的。
# 词的第一块照原样写，接在后面的每一块前面加 ##。切词用贪心最长匹配：每次取能匹配的最长一块；
# 哪怕只有最后一个字符对不上，整个词也变成 [UNK]。编码再解码能不能还原？
# 字节级 BPE 对任何字符串都能；按字符的，只要每个字符都见过；小写的 WordPiece 不能，
# 大小写和标点旁边的空格已经丢了，只能还原到“规范化以后”的样子。

# %%
lesson.heading("5 · WordPiece")


def longest_first(word, vocabulary, choose=max):  # the longest piece that fits, then the next
    pieces, start = [], 0
    while start < len(word):
        mark, ends = "##" if start else "", range(start + 1, len(word) + 1)
        fitting = [end for end in ends if mark + word[start:end] in vocabulary]
        if not fitting:
            return ["[UNK]"]
        pieces.append(mark + word[start : choose(fitting)])
        start = choose(fitting)
    return pieces


wordpiece = {name: WordPiece.train(texts, SIZES[-1]) for name, texts in train.items()}
bpe = {name: bpe_of(texts) for name, texts in train.items()}
small = wordpiece["English"]
different = {word for text in held["English"] for word in words_of(text)}
theirs = [small.tokenize(word) for word in different]
cuts = ([longest_first(word, small.vocab, end) for word in different] for end in (max, min))
off, wrong = (sum(a != b for a, b in zip(each, theirs)) for each in cuts)
lesson.say(f"Cut unlike the library, of {len(theirs):,} words: {off}; shortest first: {wrong:,}.")
lesson.claim("greedy", "words cut otherwise", off, below=("shortest first", wrong), **COUNT)
words = (" tokenizer", "tokenizer", "Tokenizers", "tokenizer中", "tokenizer😀", "naïve")
both = small.tokenize, bpe["English"].tokenize
rows = [[w.replace(" ", "␣"), *(" ".join(tokenize(w)) for tokenize in both)] for w in words]
lesson.table(["word", "WordPiece", "byte BPE"], rows)


def returns(tokenizer, texts, seen=str):  # the share of texts that decoding gives back
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
    return np.mean([seen(tokenizer.decode(i)) == seen(text) for i, text in zip(ids, texts)])


def bare(text):  # what an uncased WordPiece sees of it
    return normalizer.normalize(text).replace(" ", "")


codes = rng.integers(0x110000 - 0x800, size=(200, 8))  # as many as there are code points, less
codes += 0x800 * (codes >= 0xD800)  # 0x800 surrogates from D800 on, which are no characters
drawn = ["".join(map(chr, row)) for row in codes]
kinds = {"byte BPE": bpe["English"], "characters": tokenizers.CharTokenizer.train(train["English"])}
kinds["WordPiece, cased"] = WordPiece.train(train["English"], SIZES[-1], lowercase=False)
kinds["WordPiece, uncased"], back = small, {}
for name, each in kinds.items():
    back[name] = [returns(each, texts) for texts in (drawn, *held.values())]
    back[name].append(returns(each, held["English"], bare))
rows = [[name, *(f"{share:.1%}" for share in shares)] for name, shares in back.items()]
lesson.table(["made from English", "drawn", *held, "English, normalized, no spaces"], rows)
bar = ("characters", back["characters"][0])
lesson.claim("bytes", "round trips of byte BPE, drawn", back["byte BPE"][0], above=bar, **SHARE)
_, exact, _, normal = back["WordPiece, uncased"]
lesson.claim("uncased", "round trips, uncased", exact, below=("normalized", normal), **SHARE)

# %% [markdown]
# ## 6 · Rows for a network (整理成网络能读的行)
#
# Ids alone are not yet what a network reads. Around a text stand **special tokens** (特殊词元):
# BERT's [CLS] at the front, whose output answers for the whole row, and [SEP] after each text; GPT
# has one that ends a text. A pair of texts is one row, with a **type id** (句段编号) that says
# which text a token is of. The rows of a batch must be equally long: **padding** (填充) fills up
# the shorter ones, and the **attention mask** (注意力掩码) has a 1 for each token that counts and a
# 0 for each that was filled in. **Truncation** (截断) shortens rows that are too long, and
# **offsets** (偏移) say from which characters of the text a token came.
#
# C08 adds no special tokens, computes the lengths of its rows and drops them, and so has no mask.
# The mend: encode with special tokens, and mask = (0, 1, 2, …) < length. Does it matter? Take a
# network that only takes the mean of a row's vectors. With the mask no mean changes when 20 more
# columns are filled in; without it the [PAD]s have a say, some means move by more than their usual
# size, and the same text gets another answer in another batch.
#
# A text that is longer than the network reads is cut into **windows** (窗口). How many tokens one
# shares with the next is called **stride** (重叠步幅) in Hugging Face's libraries. Questions whose
# answers are spans of a text put it to the test: an answer of n tokens is whole in some window if
# the stride is n − 1 or more. (A longer one may be whole by luck.) With stride 0 some are cut in
# two; cut off, all that come late are lost. And an answer must be cut out of the text by its
# offsets: decoded tokens have lost capitals and spaces, and only about half of the answers that
# are whole in a window come back from them (the last two columns).
#
# **中文导读** 有了编号还不够。句首句尾要加特殊词元；两段文字拼成一行时要标明谁是谁；
# 一批里各行要一样长，短的要填充，并用掩码说明哪些是真的、哪些是填的。C08 不加特殊词元，
# 算出了长度又扔掉，没有掩码，于是同一句话换一批数据，输出就变了。太长的文字切成互相重叠的窗口：
# 重叠不少于答案的词元数减一，答案就一定完整地落在某个窗口里。抽取答案要按偏移回原文去取，
# 不能拿词元拼，拼出来大小写和空格都不对。

# %%
lesson.heading("6 · Rows for a network")
pair, rows = ("Join the pair.", "It is the commonest."), []
width = len(small.encode(*pair)) + 2
row = small(*pair, padding="max_length", max_length=width).encodings[0]
for i, (start, end) in enumerate(row.offsets):
    text = pair[row.sequence_ids[i] or 0][start:end] or "–"
    cells = row.type_ids[i], row.attention_mask[i], f"{start}–{end}", text
    rows.append([row.tokens[i], row.ids[i], *cells])
lesson.table(["token", "id", "type", "mask", "offsets", "text there"], rows)

texts, vectors, means = held["English"][:16], rng.normal(size=(len(small), 8)), []
lengths = np.array([len(small.encode(text)) for text in texts])
for width in (int(lengths.max()), int(lengths.max()) + 20):
    ids = small(texts, padding="max_length", max_length=width, return_tensors="np")["input_ids"]
    mask, x = np.arange(width) < lengths[:, None], vectors[ids]  # (B, T), (B, T, D)
    masked = (x * mask[..., None]).sum(axis=1) / lengths[:, None]  # (B, D)
    means.append((masked, x.mean(axis=1)))
moved, unmasked = (np.abs(a - b).max() for a, b in zip(*means))
size = np.abs(masked).mean()
lesson.say(f"Means of size {size:.2f} move by {moved:g} with the mask, by {unmasked:.2f} without.")
lesson.claim("mask", "means moved by 20 [PAD]s", moved, below=("no mask", unmasked), **LINEAR)

questions, rows, lost = corpora.english.questions(), [], []
questions = [questions[i] for i in rng.permutation(len(questions))[: 120 if lesson.quick else 600]]
questions = [each for each in questions if len(small.tokenize(each.question)) <= 40]
for name, stride in (("cut off", 0), ("windows, 0", 0), ("windows, 16", 16), ("windows, 40", 40)):
    windows, right = 0, []  # right, of each answer that is whole: by offsets, by decoding
    for text, question, answer, start in questions:
        length = {"max_length": 96, "stride": stride, "return_overflowing_tokens": True}
        found = small(question, text, truncation="only_second", **length).encodings
        found = found[:1] if name == "cut off" else found
        windows += len(found)
        for row in found:
            a, b = (row.char_to_token(i, 1) for i in (start, start + len(answer) - 1))
            if a is not None and b is not None:
                cut, decoded = text[row.offsets[a][0] : row.offsets[b][1]], row.ids[a : b + 1]
                right.append((cut == answer, small.decode(decoded) == answer))
                break
    lost.append(1.0 - len(right) / len(questions))
    by_offsets, decoded = np.mean(right, axis=0)
    shares = (f"{share:.1%}" for share in (lost[-1], by_offsets, decoded))
    rows.append([name, windows / len(questions), *shares])
lesson.table(["rows of 96", "a question", "answers lost", "by offsets", "by decoding"], rows)
lesson.say(f"Longest answer: {max(len(small.tokenize(q.answer)) for q in questions)} tokens.")
lesson.claim("windows", "answers lost, stride 40", lost[-1], below=("cut off", lost[0]), **SHARE)
lesson.claim("offsets", "answers by offsets", by_offsets, above=("by decoding", decoded), **SHARE)

# %% [markdown]
# ## 7 · Labels are numbers, too (标签也要编号)
#
# A text has one label, and a `LabelEncoder` numbers the classes, 0 … C − 1 (chapter 03b, section 1,
# which also shows that a number and its one-hot row have the same cross-entropy). It is fitted once
# and kept with the model: a second one, fitted on rows where a class is missing, gives the same
# names other numbers.
#
# Where each word has a label, as in finding names, words and tokens must be kept together, for one
# word may be several tokens. The usual way of **label alignment** (标签对齐): the first token of a
# word gets the word's label, and all other tokens get −100, which the loss leaves out. Which token
# is of which word the tokenizer knows (`word_ids`). To count labels off against tokens, one by one,
# goes wrong from the first word on that is cut. In the program words are single Chinese characters,
# of which a byte-level BPE cuts the rare ones into two or three; the scores are over the characters
# of names.
#
# **中文导读** 类别名编成 0 到 C−1，编码表要和模型一起保存。若每个词各有一个标签（如找人名、地名），
# 一个词可能被切成几个词元：标签给第一个词元，其余填 −100，计算损失时跳过。哪个词元属于哪个词，
# 要问分词器；一个对一个地数，碰到第一个被切开的词，后面就全错位了。

# %%
lesson.heading("7 · Labels are numbers, too")
names, kept, counted = corpora.names()[: 200 if lesson.quick else None], [], []
tags = data.LabelEncoder.fit(tag for sentence in names for tag in sentence.tags)
for sentence in names:
    row = bpe["Chinese"](sentence.words, is_split_into_words=True).encodings[0]
    codes, (_, firsts) = tags.encode(sentence.tags), np.unique(row.word_ids, return_index=True)
    labels, named = np.full(len(row), -100), np.array(sentence.tags) != "O"
    labels[firsts] = codes
    kept.extend((labels[labels >= 0] == codes)[named])
    counted.extend((np.resize(codes, len(row))[firsts] == codes)[named])
kept, counted = np.mean(kept), np.mean(counted)
lesson.say(f"Labels at the right characters: {kept:.1%} by word_ids, {counted:.1%} by counting.")
lesson.claim("aligned", "labels right by word_ids", kept, above=("by counting", counted), **SHARE)

# %% [markdown]
# ## 8 · What a vocabulary costs elsewhere (词表换了语言)
#
# C17 gives a Chinese sentence to a model whose vocabulary was made for English. What is lost can be
# counted before anything is trained: the share of a text's characters, spaces aside, that lie in
# unknown tokens, in the first figure over the size of the vocabulary. English vocabularies of words
# or of WordPiece lose over 99 % of the Chinese text, however large they are; digits and Latin
# letters remain. (BERT's published English vocabulary, made from far more text, holds some of the
# commonest Chinese characters, and loses less. Count it before you use it.) The other way round it
# is no better: Chinese words, which are here single characters, lose over 99 % of the English text,
# for Chinese texts have hardly any Latin letters. Of Chinese they lose 1 % or less.
#
# Some vocabularies stop short of the size that was asked for: the training text has no more words,
# or no pair of pieces occurs twice in it any longer (`min_frequency` is 2).
#
# Byte-level BPE loses nothing anywhere. Its price is length. **Compression** (压缩比), here the
# UTF-8 bytes that a token stands for, grows with the size of the vocabulary, but by less and less
# for each doubling (second figure). In English WordPiece looks better there than BPE, for it has
# thrown spaces and capitals away before it begins; in Chinese it is worse, for it reads single
# characters, three bytes each, where BPE has words. And a larger vocabulary is not free: each token
# has its row of numbers in the network, and rows of rare tokens are hardly ever trained.
#
# On Chinese, the BPE that learnt from English has nothing to join: each character costs three
# tokens, one a byte, about three and a half times as many as with a vocabulary of its own. (The
# Chinese one makes of English one token a letter, for the same reason as above.) The text that a
# model can read at once is shorter by as much, and a service that is paid by the token is dearer.
# Made from both languages, of the same size, a vocabulary costs each of them about a tenth of its
# compression; that is what multilingual models do.
#
# For a text of your own, as for the two languages, the WordPiece line is that of the vocabulary
# that loses less of it: [UNK] for a long word would look like good compression.
#
# And once more: on the text that a vocabulary was made from, compression looks better than it is.
#
# **中文导读** C17 把中文交给英文词表。丢多少，训练之前就能数出来：落在未登录词里的字符占几成。
# 英文词表丢掉 99% 以上的汉字，词表再大也没用；反过来，中文词表也丢掉 99% 以上的英文，
# 因为中文文字里几乎没有拉丁字母。字节级 BPE 什么都不丢，代价是长度：
# 从英文学来的 BPE 没有汉字可合并，一个字要三个词元，大约是中文词表的三倍半；从中文学来的，
# 一个英文字母要一个词元。同样长的窗口，能读的字就少得多，按词元收费也贵得多。
# 两种语言一起训练，词表大小不变，压缩比各降一成左右，多语言模型就是这样做的。
# 压缩比指每个词元代表多少字节，词表越大越高，但每翻一倍多得的越来越少；
# 英文里 WordPiece 看上去更高，是因为它先丢掉了空格和大小写；中文里它反而低，因为它按字切，
# BPE 却能把词合成一块。有的词表不到要求的大小：训练文字里没有更多的词，或者没有哪一对再出现两次。
# 还有，要在留出文本上量，在训练文字上量会偏高。

# %%
lesson.heading("8 · What a vocabulary costs elsewhere")
asked = held | ({clip(f"your {Path(lesson.data).name}", 16): own} if own else {})


def lost_in(tokenizer, texts):  # the share of characters, spaces aside, in unknown tokens
    gone, unknown = 0, tokenizer.unk_token_id
    for row in tokenizer(texts, add_special_tokens=False).encodings:
        gone += sum(b - a for i, (a, b) in zip(row.ids, row.offsets) if i == unknown)
    return gone / sum(len(text.replace(" ", "")) for text in texts)


def bytes_a_token(tokenizer, texts):
    tokens = sum(map(len, tokenizer(texts, add_special_tokens=False)["input_ids"]))
    return sum(len(text.encode()) for text in texts) / tokens


def smaller(tokenizer):  # what its training would have given for each size
    for size in SIZES:
        vocab = {token: i for token, i in tokenizer.vocab.items() if i < size}
        if isinstance(tokenizer, WordPiece):
            yield WordPiece(vocab)
        else:
            merges = [pair for pair in tokenizer.merges if "".join(pair) in vocab]
            yield tokenizers.ByteBPETokenizer(vocab, merges)


def whole_words(counts, size):  # a WordPiece without ##: it knows a word as a whole, or not
    common = [word for word, _ in counts.most_common(size - 1)]
    return WordPiece({word: i for i, word in enumerate(["[UNK]", *common])})


def over_size(lines, measure):  # text -> line -> (sizes, values)
    panels = {name: {} for name in asked}
    for name, texts in asked.items():
        for line, made in lesson.progress(lines.items(), name):
            panels[name][line] = [*map(len, made)], [measure(each, texts) for each in made]
    return panels


words = {f"{name} words": [whole_words(word_counts[name], n) for n in SIZES] for name in train}
sized = {"English": [*smaller(small)], "Chinese": [wordpiece["Chinese"]]}
lines = words | {"English WordPiece": sized["English"], "byte BPE": [*smaller(bpe["English"])]}
panels = over_size(lines, lost_in)
lesson.figure(plot.by_vocabulary(panels, "Unknown", "share of characters", share=True), "unknown")
rows = [[name, *(f"{panel[name][1][-1]:.1%}" for panel in panels.values())] for name in lines]
lesson.table(["largest vocabulary", *panels], rows)
foreign, home = (panels["Chinese"][f"{name} words"][1][-1] for name in held)
lesson.claim("C17", "Chinese lost, English words", foreign, above=("Chinese words", home), **SHARE)

bpe["both"] = bpe_of(train["English"] + train["Chinese"])
letters = tokenizers.CharTokenizer.train(train["English"] + train["Chinese"])
lines = {f"byte BPE, {name}": [*smaller(each)] for name, each in bpe.items()}
panels = over_size(lines | {"characters": [letters]}, bytes_a_token)
for name, texts in asked.items():  # the WordPiece that loses less of the text
    made = min(sized.values(), key=lambda made: lost_in(made[-1], texts))
    panels[name]["WordPiece"] = [*map(len, made)], [bytes_a_token(each, texts) for each in made]
lesson.figure(plot.by_vocabulary(panels, "Compression", "UTF-8 bytes a token"), "compression")
rows, cost = [], {}
for name, texts in asked.items():
    size = np.mean([len(character.encode()) for text in texts for character in text])
    for line, (sizes, values) in panels[name].items():
        cost[name, line] = size / values[-1]
        rows.append([name, line, sizes[-1], f"{values[-1]:.2f}", f"{cost[name, line]:.2f}"])
lesson.table(["text", "tokenizer", "size", "bytes a token", "tokens a character"], rows)
foreign, home = (cost["Chinese", f"byte BPE, {name}"] for name in held)
lesson.claim("price", "tokens a character, English BPE", foreign, above=("its own", home), **LINEAR)
fresh = panels["Chinese"]["byte BPE, Chinese"][1][-1]
seen = bytes_a_token(bpe["Chinese"], up_to(train["Chinese"], ASKED))
lesson.say(f"Chinese BPE, bytes a token: {fresh:.2f} held out, {seen:.2f} in its training text.")
lesson.claim("held out", "bytes a token, held out", fresh, below=("training text", seen), **LINEAR)

# %% [markdown]
# ## 9 · Pieces (看一看切法)
#
# Two figures show how one sentence of each language is cut by all of them, and a third one the
# first sentence of your own text. ␣ is a space, a hatched piece is unknown, and bytes that make no
# character stand there in hexadecimal. Look at what byte-level BPE makes of the language that it
# was not made for.
#
# **中文导读** 两张图把同一句话的各种切法并排画出来，你自己的文字另有一张：␣ 是空格，
# 斜线是未登录词，凑不成字符的字节写成十六进制。

# %%
lesson.heading("9 · Pieces")
sentences = {"english": "The tokenizer returned an iterator.", "chinese": "她把方言放进口袋。"}
sentences |= {"own": re.split("(?<=[.?!。？！])", own[0].strip())[0][:80]} if own else {}
kinds = {"characters": letters} | {name: made[-1] for name, made in words.items()}
kinds |= {f"{name} WordPiece": each for name, each in wordpiece.items()}
kinds |= {f"byte BPE, {name}": each for name, each in bpe.items()}
for name, sentence in sentences.items():
    cuts = {kind: each.tokenize(sentence) for kind, each in kinds.items()}
    cuts |= {f"byte BPE, {k}": [*map(bytemap.from_piece, cuts[f"byte BPE, {k}"])] for k in bpe}
    lesson.figure(plot.pieces(cuts, sentence), f"pieces_{name}")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 04 my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `merge_step(words)`: one step of byte-pair encoding. words: a dict from a tuple of symbols to
#    how often that word occurs, such as {("l", "o", "w"): 5}. Count all pairs of neighbours, take
#    the most frequent one (of equally frequent ones the smallest, as Python compares tuples: on
#    purpose not section 4's rule, for there are no ids here), and join it wherever it stands, from
#    left to right. Return (pair, the new dict). A dict without any pair does not occur.
#    BPE 的一步：数相邻的对，取最多的（一样多时取元组最小的，与第 4 节的规定故意不同），
#    从左到右合并；返回这一对和新的词典。
# 2. `longest_match(word, vocabulary)`: the pieces of a word as WordPiece cuts it, a list; in the
#    vocabulary, a set, pieces that continue a word have ## before them. Where nothing fits, the
#    whole word is ["[UNK]"]. An empty word does not occur.
#    WordPiece 的贪心最长匹配；只要有一处对不上，整个词就是 ["[UNK]"]。
# 3. `decode(tokens, byte_of)`: the text of byte-level tokens. byte_of: a dict from each character
#    that tokens are written with to its byte. The bytes of one character may lie in several
#    tokens; bytes that make no character become U+FFFD, as bytes.decode(errors="replace") does it.
#    把字节级词元还原成文字；一个字符的字节可能分在几个词元里，凑不成字符的变成 U+FFFD。
# 4. `pad(rows, pad_id)`: rows of ids, lists of unequal lengths. Return (ids, mask), two arrays of
#    integers (B, T) with T the longest: filled up at the right with pad_id; 1 for what was in the
#    row, which may hold pad_id itself, and 0 for what was filled in. Empty rows do not occur.
#    在右边填充到一样长，并给出掩码；行里原来也可能就有 pad_id。
# 5. `best_cut(text, costs)`: the words, from the dict costs, that make the text and whose costs
#    have the smallest sum, a list. Each single character is in costs; of equally cheap cuts any. An
#    empty text does not occur.
#    用动态规划找出代价之和最小的切法。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
