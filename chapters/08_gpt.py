"""Chapter 08: a model that only learns to say what comes next, and what it can write then."""

# %% [markdown]
# # Chapter 08 · GPT: pretraining to generate (预训练与生成)
#
# Chapter 07's model learned from pairs that somebody had put together: English here, Chinese there.
# Such pairs are dear. Text alone is nearly free, and it sets a task by itself: cover what follows,
# guess it, look. Whoever guesses well must have picked up spelling, then words, grammar, and in the
# end something of what the text is about. That is **pretraining** (预训练), and a GPT is a decoder
# that has been through it.
#
# Here a small one reads the documentation of your own Python, character by character, a million of
# them. Before it may call itself a language model it has to beat those who only count: the
# n-grams. Then it writes, faster with a cache, bolder with a temperature; and at the end it goes on
# learning in a new field, and you see what that costs it in the old one.
#
# **中文导读** 第 7 章的模型要靠成对的英文和中文来学，这样的数据很贵。纯文本几乎不要钱，
# 而且自带题目：把后面的字盖住，猜，再揭开看。猜得准，就得学会拼写、词、语法，直到内容。
# 这就是预训练；GPT 就是这样训练出来的解码器。本章的小模型逐字符阅读你自己 Python 的文档，
# 约一百万个字符。它首先要胜过只靠计数的 n 元模型；然后用缓存加速、用温度调节地写；
# 最后到一个新领域继续学习，看它在旧领域付出什么代价。
#
# Run it from the root of the repository: `python chapters/08_gpt.py`. `--quick` does less,
# `--seed 3` draws other numbers, and `--data my.txt` (or a folder of .txt, or .jsonl with a field
# "text") puts your own text in the place of Python's; the bands of the verdicts stay those that
# were measured on Python's. F83 and the like are formulas of the documents that the course grew out
# of, and G11 and the like are what they leave out; `python -m tinygrad_llm.formulas F83 G11` shows
# two.

# %%
import copy
import itertools
import math
import re
import sys
import timeit
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, grad, models, nn, no_grad, plot
from tinygrad_llm.data.corpora.numerals import translation_pairs
from tinygrad_llm.data.pretraining import PackedBlocks
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.generation import generate, processors
from tinygrad_llm.pretrain import Document, read_documents, split_documents
from tinygrad_llm.pretrain.causal import CausalTask
from tinygrad_llm.tokenizers import CharTokenizer
from tinygrad_llm.training import Trainer, TrainingArguments
from tinygrad_llm.training.baselines import WittenBell
from tinygrad_llm.training.callbacks import Progress

lesson = begin(__file__, seconds=(360, 20), uses_data=True)
rng, quick, seed = lesson.rng, lesson.quick, lesson.options.seed
T = 32 if quick else 128  # places of a block
LINEAR, ROUNDING = {"scale": "linear"}, 1e-16  # what is less is called rounding
LEAST, LINES = 20_000, 1000 if quick else 4000  # characters of your own text; of section 7


def documents_of(path):  # your own documents
    found = read_documents(path)
    if (size := sum(len(document.text) for document in found)) < LEAST:
        raise ValueError(f"{path} has {size:,} characters; give at least {LEAST:,}")
    return found


own = lesson.own(documents_of)


def constant(array):  # a tensor that asks for no gradient
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · What comes next? (下一个是什么)
#
# A **language model** (语言模型) says of any text how probable it is. There are too many texts for
# a list; but a text is written one token after the other, and so its probability is a product, by
# the **chain rule of probability** (概率的链式法则):
#
#     P(w₁ … w_N) = Πₜ P(wₜ | w₁ … wₜ₋₁)        log P(w₁ … w_N) = Σₜ log P(wₜ | w₁ … wₜ₋₁)      F83
#
# Nothing is left out here: who knows what comes next, after every beginning, knows all about texts.
# F83 is right as printed, on the left. Computed like that, it is 0 after a few hundred characters,
# for the smallest float64 is 5·10⁻³²⁴; so add logarithms. Each factor is a distribution, a 1 that
# is shared out over the V tokens; then the V² texts of two tokens share a 1 as well. The program
# adds them up.
#
# Tokens are characters here, and one more, <|endoftext|>, behind each document, so that a model can
# learn where to stop. Whole documents are held out, a tenth of the text. (Section 7 brings another
# kind of text. Its characters are in the vocabulary now: later there is no room for them.)
#
# Where are the labels? Nobody has written any. The label of a place is the character that comes
# next: the labels are the inputs, **shifted by one** (错开一位). This is **self-supervised
# learning** (自监督学习): the text asks, and the text has the answers. A **block** of T characters
# asks T − 1 questions at once, for by the causal mask no place sees its answer. In `PackedBlocks`
# all documents follow each other in one row that is cut into blocks; its labels are the ids
# themselves, as with Hugging Face, because the *model* does the shift. Do it twice, and the model
# learns to say the character after next; do not do it, and it learns to copy (chapter A). So it is
# counted: how many labels are not what comes next?
#
# **中文导读** 语言模型给任何一段文本一个概率。由链式法则，它等于每一步“下一个词元”概率的乘积，
# 没有任何近似，所以只要学会预测下一个。连乘几百个字符，浮点数就下溢成 0，要改成对数相加。
# 标签不用人写：输入错开一位就是标签，这叫自监督学习。一块 T 个字符一次给出 T − 1 道题，
# 因果掩码保证每个位置看不到答案。库里的标签就是输入本身，错位由模型来做；
# 错两次或忘了错位都不报错，所以程序逐个数一遍。整篇文档留出十分之一。
# 第 7 节要用的另一种文本，字符要先放进词表，以后就加不进去了。

# %%
lesson.heading("1 · What comes next?")
documents = own or read_documents("english")[:: 4 if quick else 1]
train, held = split_documents(documents, share=0.1, seed=seed)
lines = rng.permutation(sorted({each.english for each in translation_pairs(LINES, seed)}))
pages = [[f"{line}\n" for line in lines[i : i + 40]] for i in range(0, len(lines), 40)]
pages = [Document(f"page {i}", tuple(page)) for i, page in enumerate(pages)]
new, new_held = split_documents(pages, share=0.2, seed=seed)
texts = [document.text for document in [*train, *new]]
tokenizer = CharTokenizer.train(texts, 2000, special_tokens=("[UNK]", "<|endoftext|>"))
END, V = tokenizer.eos_token_id, len(tokenizer)


def packed(documents):  # all of them in one row, each followed by END
    return np.concatenate([[*tokenizer.encode(each.text), END] for each in documents])


learn_ids, held_ids, new_ids, new_held_ids = map(packed, (train, held, new, new_held))
said = "{:,} characters of {} documents to learn from, {:,} of {} held out; V = {} tokens."
lesson.say(said.format(len(learn_ids), len(train), len(held_ids), len(held), V))
shown = [tokenizer.decode([i]).replace("\n", "⏎").replace(" ", "␣") for i in learn_ids[:13]]
rows = [["reads", *shown[:-1]], ["is to say", *shown[1:]]]
lesson.table(["place", *map(str, range(1, 13))], rows)

blocks = learn_ids[: len(learn_ids) // T * T].reshape(-1, T)
inputs, labels = blocks[:, :-1], blocks[:, 1:]  # the shift is that, and no more
batch = PackedBlocks([tokenizer.encode(each.text) for each in train], T, END).take(np.arange(100))
wrong = (batch["labels"][:, 1:] != labels[:100]).sum() + (batch["input_ids"] != blocks[:100]).sum()
copied = (batch["labels"][:, :-1] != labels[:100]).sum()
trigram = WittenBell(3).fit(learn_ids, V)
first = trigram.probabilities([])
pairs = first[:, None] * np.array([trigram.probabilities([i]) for i in range(V)])
logs = trigram.logprobs(held_ids)
with np.errstate(under="ignore"):
    alive = int((np.cumprod(np.exp(logs)) > 0.0).sum())
lesson.say(f"The probabilities of all {V * V:,} texts of two tokens: sum {pairs.sum():.15g}.")
lesson.say(f"Held out: the product is 0 after {alive} characters; log P of all: {logs.sum():,.0f}.")
bar = "unshifted", copied
lesson.claim("shift", "labels that are not what comes next", wrong, below=bar, **LINEAR)
off = max(abs(pairs.sum() - 1.0), ROUNDING)
lesson.claim("sum", "Σ P of all pairs: off by", off, below=("rounding", 1e-12))
lesson.claim("product", "F83 multiplied: 0 after", alive, below=("the text", len(logs)), **LINEAR)

# %% [markdown]
# ## 2 · The loss, and perplexity (损失与困惑度)
#
# A model gives logits z (T, V), and a softmax makes probabilities of a row. How bad is it? By how
# much the text surprises it, on the mean over all tokens of the corpus; m is 0 at padding, else 1:
#
#     L = −1/Σₜ mₜ · Σₜ mₜ log P(wₜ | w₁ … wₜ₋₁)        **perplexity** (困惑度) = e^L          G11
#
# L is in **nats** (奈特) a token (divided by ln 2, in bits). A perplexity of k says: as unsure as
# among k equally likely tokens. Who knows nothing has L = ln V, here about 4.6, perplexity V.
#
# The mean comes first, then the exponential. Programs often print the mean of the perplexities of
# their batches, which is another number, and with batches of one size never a smaller one: e^x
# bends upwards, so that one hard batch outweighs many easy ones. (G11's example has 4.6 and 44.7.)
# The table has one model, section 1's trigram, on one text, with three perplexities; in pieces it
# looks worse. And perplexities compare only where the tokens are the same; where they are not,
# count nats a character.
#
# **中文导读** 损失是语料中所有词元的平均“意外程度” −log P，单位是奈特；困惑度是 e 的 L 次方：
# 困惑度为 k，相当于在 k 个同样可能的词元里猜。什么都不知道时 L = ln V。先求平均再取指数；
# 把每批的困惑度拿来平均是另一个数，各批一样大时只会更大：下表是同一个模型、
# 同一段文本的三个数。词元不同，困惑度不可比，要换算成每个字符多少奈特。

# %%
lesson.heading("2 · The loss, and perplexity")
sizes = {"n_layer": 2, "n_embd": 64, "n_head": 2} if quick else {"n_layer": 4, "n_head": 4}
sizes |= dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
sizes |= {"initializer_range": 0.08, "positions": "rotary"}  # section 5 says why
task = CausalTask(train, held, tokenizer, block_size=T)
new_model = partial(task.new_model, "tiny", **sizes)
fresh = new_model().astype("float64").to(lesson.device)
three = blocks[:3]
real = np.arange(T) < np.array([[T], [10], [3]])  # two of the texts are mostly padding
answer = fresh(constant(three), labels=constant(np.where(real, three, -100)))
P, m = softmax(answer.logits.numpy())[:, :-1], real[:, 1:]  # nothing follows the last place


def mean_loss(labels):
    return -(m * np.log(np.take_along_axis(P, labels[..., None], axis=-1)[..., 0])).sum() / m.sum()


apart = [abs(mean_loss(y) - answer.loss.item()) for y in (three[:, 1:], three[:, :-1])]
gap, slip = max(apart[0], ROUNDING), apart[1]
said = "A new model's loss: by hand {:.4f}, by the library {:.4f}; ln V = {:.4f}."
lesson.say(said.format(mean_loss(three[:, 1:]), answer.loss.item(), math.log(V)))
ends, G11 = np.flatnonzero(held_ids == END)[:-1] + 1, math.exp(-logs.mean())
cuts = {"documents": ends, "stretches of 64 tokens": np.arange(64, len(logs), 64)}
rows = [["e to the mean over all tokens (G11)", G11]]
for name, places in cuts.items():
    rows.append([f"mean over {name}", np.mean([np.exp(-s.mean()) for s in np.split(logs, places)])])
lesson.table(["a trigram, held out", "perplexity"], rows)
lesson.claim("loss", "loss by hand: gap", gap, below=("unshifted", slip))
in_nats, bar = math.log(rows[2][1]), ("that of G11's", math.log(G11))
lesson.claim("perplexity", "log of the mean of perplexities", in_nats, above=bar, **LINEAR)

# %% [markdown]
# ## 3 · Those who only count (只会计数的对手)
#
# What does 1.5 nats a character mean, is it good? Ask what is to be had for nothing. An **n-gram**
# (n 元模型) looks at the n − 1 characters before, and at how often what followed them in the
# training text. The longer the context the better it knows; but long contexts are rare, and after
# one that never occurred it knows nothing at all. So mix: Witten and Bell's rule goes back to a
# context shorter by one, h′, the more so the more *kinds* of tokens have followed h already:
#
#     P(w | h) = (c(hw) + k(h)·P(w | h′)) / (c(h) + k(h))
#
# c counts, k(h) is the number of different tokens seen after h, and under the empty context lies
# 1/V. "Has something new come here often? Then expect it again." No token has probability 0; that
# is **smoothing** (平滑). The bigram is written out below and held against the library's.
#
# On the text that it has counted, an n-gram is better with every order; on the held-out text the
# gain ends at 5 or 6. The gap between the two columns is **overfitting** (过拟合), without a single
# gradient. The 5-gram is a serious opponent: it has read the same text, and remembers every five
# characters of it.
#
# **中文导读** 每个字符 1.5 奈特算好还是坏？先看不用神经网络能做到多少。n 元模型看前 n − 1 个字符，
# 数一数后面各跟过什么。上下文越长越准，但也越少见，所以要平滑：Witten–Bell 规则看“这个上下文后面
# 出现过多少种不同的字符”，种类越多，就越多地退回到短一个字符的上下文。二元模型在下面手写，
# 与库对照。在数过的文本上阶数越高越好，在留出的文本上到五六阶就不再进步，两列之差就是过拟合。

# %%
lesson.heading("3 · Those who only count")


def bigram(ids):  # (V, V): row h has P(w | h) by Witten and Bell's rule
    alone = np.bincount(ids, minlength=V)
    p = (alone + (alone > 0).sum() / V) / (len(ids) + (alone > 0).sum())
    c = np.bincount(ids[:-1] * V + ids[1:], minlength=V * V).reshape(V, V)
    total, k = c.sum(axis=1, keepdims=True), (c > 0).sum(axis=1, keepdims=True)
    return np.where(total > 0, (c + k * p) / np.maximum(total + k, 1), p)


counted = {order: WittenBell(order).fit(learn_ids, V) for order in range(1, 7)}
by_library = np.array([counted[2].probabilities([h]) for h in range(V)])
gap = max(np.abs(bigram(learn_ids) - by_library).max(), ROUNDING)
bars = {order: -each.logprobs(held_ids)[1:].mean() for order, each in counted.items()}
rows = [[n, c.nats(learn_ids), bars[n], math.exp(bars[n])] for n, c in counted.items()]
rows = [["none", *[math.log(V)] * 2, float(V)], *rows]
lesson.table(["order", "nats, counted text", "nats, held out", "perplexity"], rows)
lesson.claim("bigram", "bigram by hand: gap", gap, below=("rounding", 1e-12))
lesson.claim("counts", "5-gram: nats, held out", bars[5], above=("learnt", rows[5][1]), **LINEAR)

# %% [markdown]
# ## 4 · The machine (模型)
#
# A GPT is chapter 07's decoder without an encoder: no cross-attention, so two sublayers a block.
# GPT-2's form (2019) is: pre-norm blocks with a GELU, one more norm behind the last block, tied
# weights, and learned positions. Its parameters can be counted by hand:
#
#     tokens V·D    positions T·D    L blocks, 12D² + 13D each    the last norm 2D
#
# A block has 4D² + 4D in the attention's four matrices and biases, 8D² + 5D in the feed-forward
# network, and 4D in two norms. Only D and L make a model large: from our 0.8 million to the 175
# billion of GPT-3 there is no new idea in this line. How does one count those without having them?
# `nn.no_storage` makes parameters that have a shape and no values. (Ours has one thing of later
# models: **rotary positions**, of chapter 06, which have no parameters. Section 5 says why.)
#
# One thing must hold exactly, and before any training: no place may feel a later one, or it would
# read its answer. The test is chapter 06's: the gradient of a place's logits in the embeddings of
# later places is 0, not almost 0. The claim is held against the same model without its mask.
#
# **中文导读** GPT 是去掉编码器和交叉注意力的解码器，每块两个子层。GPT-2 的形式：前置归一化、GELU、
# 末尾再加一次归一化、输出与嵌入共享权重、可学习的位置。
# 参数可以手算：V·D + T·D + L(12D² + 13D) + 2D，
# 从我们的 80 万到 GPT-3 的 1750 亿，公式没有变，变的只是 D 和 L。no_storage 只记形状不占内存，
# 再大的模型也数得了。本章的模型改用第 6 章的旋转位置，它没有参数。训练前必须确认没有偷看：
# 某个位置的输出对后面各位置的梯度恰好是 0，而不是接近 0。

# %%
lesson.heading("4 · The machine")
model = new_model().to(lesson.device)
L, D = model.config.n_layer, model.config.n_embd
parts = {"tokens": V * D, "blocks": L * (12 * D**2 + 13 * D), "norm": 2 * D}
size = sum(p.size for p in model.parameters())
lesson.table([*parts, "by hand", "in the model"], [[*parts.values(), sum(parts.values()), size]])
sized = {name: models.GPT2Config.preset(name) for name in models.gpt2.PRESETS}
big = {"n_layer": 96, "n_embd": 12_288, "n_head": 96, "n_positions": 2048}
sized["GPT-3's sizes"], count = models.GPT2Config(**big), {}
tracemalloc.start()
with nn.no_storage():
    for name, config in sized.items():
        count[name] = sum(p.size for p in models.GPT2LMHeadModel(config).parameters())
taken = tracemalloc.get_traced_memory()[1] / 2**30
tracemalloc.stop()
rows = [[k, c.n_layer, c.n_embd, f"{count[k]:,}", count[k] / 2**28] for k, c in sized.items()]
lesson.table(["preset", "L", "D", "parameters", "GiB in float32"], rows)
lesson.say(f"Memory that was taken to count them: {taken:.4f} GiB.")
off = abs(count["base"] - 124_439_808)


def felt(later):  # at a place in the middle, of the later places' embeddings, or of the others
    entered = []
    remove = fresh.tokens.register_forward_hook(lambda *call: entered.append(call[-1]))
    z = fresh(constant(blocks[:1])).logits[0, T // 2]
    remove()
    slopes = np.abs(grad(z.sum(), entered[0]).numpy()[0])
    return (slopes[T // 2 + 1 :] if later else slopes[: T // 2 + 1]).max()


leak, past = felt(later=True), felt(later=False)
for layer in fresh.decoder.layers:
    layer.causal = False
lesson.table(["slope in", "earlier places", "later places"], [["the model", past, leak]])
bar = ("unmasked", felt(later=True))
lesson.claim("leak", "causal leak", leak, below=bar, **LINEAR)
short = sum(parts.values()) - parts["norm"]
bar = ("no last norm", abs(size - short))
lesson.claim("size", "parameters by hand: off by", abs(size - short - 2 * D), below=bar, **LINEAR)
lesson.claim("base", "base, 124,439,808: off by", off, below=("no last norm", 2 * 768), **LINEAR)
lesson.claim("memory", "GiB taken by counting", taken, below=("base", count["base"] / 2**28))

# %% [markdown]
# ## 5 · Pretraining (预训练)
#
# All is in place: blocks, labels, loss, model. `CausalTask` holds the data together, and the
# `Trainer` is chapter 03's, with AdamW, a warm-up and a cosine. There is no dropout: the model
# reads the text only a few times, and is far from knowing it by heart.
#
# Three settings are not GPT-2's. The learning rate is high, 4e-3, because the model is small. With
# learned positions "look at the character before" is another pair of rows at each place, and must
# be learned T times; with rotary ones it is the same everywhere, and learned once. And the weights
# are drawn with a deviation of 0.08, about 1/√D: GPT-2's 0.02 is for D = 768 and more, and in a
# narrow model it lets the blocks whisper, until hundreds of steps have made them loud enough. The
# first table says what the last two are worth, after only a hundred steps.
#
# The figure has the loss over the steps, and the n-grams as lines. The model overtakes them one by
# one: frequencies first, then pairs, then spelling. Each line is what is to be had from so much
# context, so where the curve crosses it, the model has learned to use more.
#
# How much more? The second figure sorts the held-out characters by how many stand before them in
# their block. Where the model sees one character it is no better than a bigram, and with four it
# lies between the n-grams that see three and four. But these stay where they are, and the model's
# line goes on falling, slowly: contexts of six characters and more are too rare to be counted, one
# has to generalize. Soon it is flat. So small a model, after so few steps, makes little use of a
# whole sentence. (The second table reads in windows that overlap by half, and takes each character
# from the window in which more stands before it. The n-grams always see all of their context.)
#
# **中文导读** 训练用第 3 章的训练器：AdamW、预热加余弦；文本只读几遍，背不下来，所以不用 dropout。
# 有三处与 GPT-2 不同：学习率高（模型小）；旋转位置（“看前一个字符”处处相同，只需学一次）；
# 初始标准差 0.08 ≈ 1/√D（0.02 是给 D ≥ 768 的）。第一张表给出后两处各值多少。
# 第一幅图里损失曲线依次越过各阶 n 元模型的线：先学频率，再学字符对，再学拼写。
# 第二幅图按前文长度画损失：只看得到一个字符时，GPT 不比二元模型强；看到四个时介于四元与五元之间；
# 此后 n 元模型停住了，GPT 的曲线还在缓慢下降：更长的上下文太稀少，无法计数，只能靠泛化。
# 但曲线很快变平：这么小的模型，还不大会用整句话。

# %%
lesson.heading("5 · Pretraining")
STEPS, TRIAL, B = (200, 0, 12) if quick else (2400, 100, 6)


def trained(model, task, steps, rate, **more):  # by the library; the rows of its log
    plan = {"learning_rate": rate, "lr_scheduler_type": "cosine", "warmup_steps": steps // 20}
    plan |= {"max_steps": steps, "per_device_train_batch_size": B, "weight_decay": 0.1}
    plan |= {"optim_args": {"betas": (0.9, 0.99)}, "save_strategy": "no", "quiet": True}
    plan |= {"seed": seed, **more}
    given = {"callbacks": [Progress(None)], **task.trainer_arguments()}
    trainer = Trainer(model, TrainingArguments(**plan), **given)
    trainer.train()
    return trainer.history


def surprise(model, ids):  # −log P of all tokens but the first, and its mean at each place
    found, by_place = np.zeros(len(ids) - 1), []
    starts = np.append(np.arange(0, len(ids) - T, T // 2), len(ids) - T)[::-1]
    for some in np.array_split(starts, -(-len(starts) // 64)):
        places = some[:, None] + np.arange(T)
        with nn.evaluating(model):
            z = model(constant(ids[places])).logits.numpy()[:, :-1]
        nats = -np.log(np.take_along_axis(softmax(z), ids[places][:, 1:, None], axis=-1)[..., 0])
        found[places[:, :-1]] = nats  # the earlier of two windows comes later, and stays
        by_place.append(nats)
    return found.mean(), np.concatenate(by_place).mean(axis=0)


if not quick:
    own_init = {"initializer_range": 0.02}
    kinds = {"GPT-2's own": own_init | {"positions": "learned"}, "rotary": own_init}
    for name, changes in (kinds | {"rotary, deviation 0.08": {}}).items():
        learner = new_model(**changes).to(lesson.device)
        kinds[name] = trained(learner, task, TRIAL, 4e-3, eval_steps=TRIAL)[-1]["eval_loss"]
    lesson.table([f"after {TRIAL} steps, held out", "nats a character"], [*kinds.items()])
    original, _, ours = kinds.values()
    lesson.claim("settings", f"nats after {TRIAL} steps", ours, below=("GPT-2's own", original))

begun = timeit.default_timer()
history = trained(model, task, STEPS, 4e-3, eval_steps=STEPS // (4 if quick else 6))
used = timeit.default_timer() - begun
nats, by_place = surprise(model, held_ids)
rows = [[f"{n}-gram", bars[n], math.exp(bars[n])] for n in (1, 2, 3, 4, 5)]
lesson.table(["held out", "nats a character", "perplexity"], [*rows, ["GPT", nats, math.exp(nats)]])
said = "{} steps of {} blocks in {:.0f} s, {:.1f} passes over the text."
lesson.say(said.format(STEPS, B, used, STEPS * B * T / len(learn_ids)))
evals, steps = ([row for row in history if row["kind"] == kind] for kind in ("eval", "train"))
steps = [row for row in steps if row["loss"] < math.log(V) - 1.0]  # the first ones fall steeply
curve = {"training": ([row["step"] for row in steps], [row["loss"] for row in steps])}
curve["held out"] = [row["step"] for row in evals], [row["eval_loss"] for row in evals]
curve |= {f"{n}-gram": ([0, STEPS], [bars[n]] * 2) for n in (1, 2, 3, 4, 5)}
lesson.figure(plot.training_curves(curve, "Nats a character"), "training")
edges = [1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 23, 27, 31]  # of groups of places
lines = {"GPT": [by_place[a - 1 : b - 1].mean() for a, b in itertools.pairwise(edges)]}
lines |= {f"{n}-gram": [bars[n]] * (len(edges) - 1) for n in (2, 3, 4, 5)}
axes = "Held out, by how much stands before", "characters before", "nats a character"
lesson.figure(plot.curves(edges[:-1], lines, *axes), "context")
bar = ("bigram", bars[2]) if quick else ("5-gram", bars[5])
lesson.claim("pretrained", "GPT: nats, held out", nats, below=bar, **LINEAR)
if not quick:
    bar, late = ("after 4", by_place[3]), by_place[T // 2 :].mean()
    lesson.claim("context", f"GPT: nats after {T // 2} and more", late, below=bar, **LINEAR)

# %% [markdown]
# ## 6 · Writing (生成)
#
# In use the model's answer is a distribution, and something must be picked. **Greedy** (贪心) takes
# the most probable character. Where there is no one right answer that ends in circles, and from
# every beginning in similar ones. **Sampling** (采样) draws. How boldly, says the **temperature**
# (温度) τ:
#
#     pᵢ = exp(zᵢ/τ) / Σⱼ exp(zⱼ/τ)
#
# Towards τ = 0 that is greedy, towards ∞ an even draw. At τ = 1 the model writes what it believes,
# with all its mistakes: of a hundred improbable characters each has its small chance, and together
# they get their way often enough to spoil many a word. So one cuts the tail off. **Top-k** keeps
# the k most probable characters. **Top-p** keeps the fewest that have the probability p together,
# the one that crosses p included: few where the model is sure, many where it is not.
#
# What is a good text? Nobody knows a number for it; each of these sees a part, and stands beside
# that of the held-out text, which really goes on after these beginnings. **Entropy** (熵): how many
# nats of choice are left at a place. **Distinct-2**: the share of pairs of words that are
# different; low means repetition. New words: the share that stand nowhere in the training text;
# human authors have some, too. Copied: the share of all strings of 20 characters that stand
# literally in the training text. A model that copies everything has a fine perplexity and says
# nothing. Compare with the last row: documentation repeats itself, and this model copies less than
# its authors did. A cool model copies more than a hot one; only greedy writes in its own circles.
#
# **中文导读** 模型给出的是分布，还要从中选一个。贪心总取最可能的，容易兜圈子；采样按概率抽。
# 温度 τ 调节胆量：越低越保守，越高越乱。τ = 1 时，许多小概率字符加起来也常被抽中，要剪掉尾巴：
# top-k 只留最可能的 k 个，top-p 留下概率之和刚达到 p 的最少几个。文本好坏没有单一指标：熵看余地，
# distinct-2 看重复，新词看胡编，20 字符串照抄率看背诵；都与真实的留出文本对照：文档本来就爱重复，
# 模型抄的比作者还少。温度低时抄得多些。

# %%
lesson.heading("6 · Writing")
N, PROMPT, COPY = 64, 8, 20  # texts, tokens that they begin with, tokens of a copied string
starts = rng.integers(0, len(held_ids) - T, N)
true = held_ids[starts[:, None] + np.arange(T)]
with nn.evaluating(model):
    z = model(constant(true)).logits.numpy()[:, PROMPT:].reshape(-1, V)
WARMTH = (0.4, 0.7, 1.0, 1.3)
ways = {"greedy": {"top_k": 1}} | {f"τ = {t:g}": {"temperature": t} for t in WARMTH}
ways |= {"top-k 5": {"top_k": 5}, "top-p 0.8": {"top_p": 0.8}}
lexicon = {word for each in train for word in re.findall(r"\w+", each.text)}
mixing = rng.integers(1, 2**63, COPY).astype(np.uint64)


def strings(ids):  # (…, n) → (…, n − 19): a number for each string of 20 tokens
    return np.lib.stride_tricks.sliding_window_view(ids.astype(np.uint64), COPY, axis=-1) @ mixing


def read(row):
    return tokenizer.decode(row).replace(tokenizer.eos_token, "\n")


def told(ids):  # distinct-2, new words, copied strings of what stands behind the beginnings
    lines = [re.findall(r"\w+", read(row))[1:-1] for row in ids[:, PROMPT:]]  # the whole words
    pairs = [pair for words in lines for pair in itertools.pairwise(words)]
    words = [word for line in lines for word in line]
    unheard = sum(word not in lexicon for word in words) / max(1, len(words))
    copied = np.isin(strings(ids[:, PROMPT:]), learned).mean()
    return len({*pairs}) / max(1, len(pairs)), unheard, copied


learned, written, rows = np.unique(strings(learn_ids)), {}, []
for name, way in lesson.progress(ways.items(), "writing"):
    how = {} if name == "greedy" else {"do_sample": True, "seed": seed, **way}
    how |= {"max_new_tokens": T - PROMPT, "eos_token_id": None}
    written[name], scores = generate(model, true[:, :PROMPT], **how), z
    for setting, value in way.items():
        scores = getattr(processors, setting)(scores, value)
    p = softmax(scores)
    entropy = np.abs(p * np.log(np.where(p > 0.0, p, 1.0))).sum(axis=-1).mean()
    rows.append([name, float(entropy), *told(written[name])])
rows.append(["held-out text", "", *told(true)])
lesson.table(["", "entropy, nats", "distinct-2", "new words", f"copied, {COPY}"], rows)
for name in ("greedy", "τ = 0.7", "τ = 1.3", "top-p 0.8"):
    lesson.say(f"{name}:", *(f"[{' '.join(read(row).split())}]" for row in written[name][:2]))
scores = {row[0]: row[1:] for row in rows}
warm = [scores[f"τ = {t:g}"] for t in WARMTH]
lines = dict(zip(("distinct-2", "new words", f"copied, {COPY}"), list(zip(*warm))[1:]))
axes = "What a temperature does to texts", "temperature τ", "share"
lesson.figure(plot.curves(WARMTH, lines, *axes, log="y"), "temperature")
cool, hot, still = warm[0], warm[-1], scores["greedy"]
lesson.claim("circles", "greedy: distinct-2", still[1], below=("τ = 1", warm[2][1]), scale="share")
bar = ("held-out text", scores["held-out text"][2])
lesson.claim("hot", "τ = 1.3: new words", hot[2], above=bar, scale="share")
if not quick:
    bar = ("τ = 1.3", hot[3])
    lesson.claim("copies", "τ = 0.4: copied", cool[3], above=bar, scale="share")

# %% [markdown]
# **The cache.** What is written never changes, so its keys and values are kept (chapter 07), and
# each new character is one row through the network instead of all rows again: N rows for N
# characters, in place of N(N + 1)/2. The answers must be the same; in float64 they are, to within
# 1e-10. How much faster it is hangs on the machine and on the length: a short text is mostly
# overhead, whichever way it is written. (Here a new model writes eight texts side by side, for
# weights have no part in the time; rotary positions have no end, so it may go beyond T.)
#
# **中文导读** 写过的部分不变，键和值存起来，每个新字符只算一行：N 个字符从 N(N + 1)/2 行减到 N 行。
# 结果必须相同（float64 下差不超过 1e-10）。快多少取决于机器和长度：文本越长，缓存越划算。

# %%
double = copy.deepcopy(model).astype("float64")
with no_grad():
    cache, ids = double.new_cache(), constant(true[:8])
    by_one = [double(ids[:, t : t + 1], cache=cache).logits.numpy() for t in range(T)]
    off = np.abs(np.concatenate(by_one, axis=1) - double(ids).logits.numpy()).max()


class Whole(models.GPT2LMHeadModel):
    def forward(self, input_ids, position_ids=None):  # without a cache, for it names none
        return super().forward(input_ids, position_ids=position_ids, logits_to_keep=1)


pair = [kind(model.config).to(lesson.device) for kind in (models.GPT2LMHeadModel, Whole)]
rows, read_rows = [], []
for each in pair:
    each.tokens.register_forward_hook(lambda module, ids, x: read_rows.append(x.shape[1]))
for length in lesson.progress((32, 128) if quick else (32, 128, 256), "with and without a cache"):
    given, row = {"max_new_tokens": length, "eos_token_id": None}, [length]
    for each in pair:
        read_rows.clear()
        begun = timeit.default_timer()
        generate(each, true[:8, :1], **given)
        row += [sum(read_rows), 8 * length / (timeit.default_timer() - begun)]
    rows.append([*row, row[2] / row[4]])
header = ["characters", "rows", "a second", "rows, no cache", "a second", "speed-up"]
lesson.table(header, rows)
lesson.claim("cache", "cache, full pass: logits apart", off, below=("the limit", 1e-10))
fewer, faster = rows[-1][3] / rows[-1][1], rows[-1][5]
lesson.claim("rows", f"{length} characters: times fewer rows", fewer, above=("no cache", 1.0))
lesson.claim("speed", f"{length} characters: times as fast", faster, above=("no cache", 1.0))

# %% [markdown]
# ## 7 · A new field (领域继续预训练)
#
# The texts of chapter 07, numbers in words and dates ("five hundred sixty-eight thousand", "22
# October 1924"), are English too, but of a kind that the library's documentation does not have. How
# well does the model read a page of them? Badly: the table says, worse than a bigram reads Python.
# Then it goes on learning, on four fifths of the pages, for a few steps more: **domain-adaptive
# pretraining** (领域继续预训练). Beside it stand two 5-grams, one of which has counted old text and
# new, and a model that begins from scratch and reads the new text alone, with as many steps: the
# difference between the two is what pretraining has brought.
#
# Nothing is free. While it learns the new field it is no longer asked about the old one, and what
# it knew there gets overwritten: **forgetting** (遗忘). The last columns measure it: a hundred
# steps can undo thousands. The mend is to go on asking: **replay** (回放), half of the text from
# the old one. The new field then gets half of the steps, and nearly all of the old is kept.
#
# **中文导读** 第 7 章的英文数词和日期也是英语，却是文档里没有的一种。模型起初读得很差；
# 用其中五分之四继续预训练一百步，领域困惑度大幅下降。旁边是五元模型（其中一个把新旧文本都数过），
# 以及只读新文本、步数相同、从头训练的模型，与它之差就是预训练的好处。
# 代价是遗忘：学新领域时不再复习旧文本，一百步就能毁掉几千步学到的东西。
# 补救的办法是回放：一半的文本仍取自旧文本，旧的几乎都保住了。

# %%
lesson.heading("7 · A new field")
MORE = 60 if quick else 100
order = rng.permutation(len(train))
enough = 1 + np.searchsorted(np.cumsum([len(train[i].text) for i in order]), len(new_ids))
some_old = [train[i] for i in order[:enough]]  # as much text as there is of the new


def heard(nats):  # on the new field and on the old text
    return nats(new_held_ids), nats(held_ids)


def reads(learner):
    return heard(lambda ids: surprise(learner, ids)[0])


def gone_on(learner, documents):
    task = CausalTask(documents, new_held, tokenizer, block_size=T, orders=(1,))
    trained(learner, task, MORE, 2e-3, eval_strategy="no")
    return reads(learner)


both = WittenBell(5).fit(np.concatenate([learn_ids, new_ids]), V)
found = {"5-gram of the old text": heard(lambda ids: -counted[5].logprobs(ids)[1:].mean())}
found["5-gram of both"] = heard(lambda ids: -both.logprobs(ids)[1:].mean())
found["from scratch, new text"] = scratch = gone_on(new_model().to(lesson.device), new)
found["pretrained"] = before = reads(model)
found["… and the new text"] = after = gone_on(copy.deepcopy(model), new)
found["… with replay"] = replayed = gone_on(copy.deepcopy(model), [*new, *some_old])
rows = [[name, a, math.exp(a), b, math.exp(b)] for name, (a, b) in found.items()]
lesson.table(["nats, held out", "numbers", "perplexity", "old text", "perplexity"], rows)
fall = 1.0 - math.exp(after[0] - before[0])
lesson.say(f"On numbers and dates the perplexity has fallen by {fall:.1%}, in {MORE} steps.")
lesson.claim("domain", "numbers: fall of perplexity", fall, above=("aim", 0.1), scale="share")
lesson.claim("start", "numbers: nats", after[0], below=("from scratch", scratch[0]), **LINEAR)
bar = ("before", before[1])
lesson.claim("forgets", "old text: nats afterwards", after[1], above=bar, **LINEAR)
bar = ("without", after[1])
lesson.claim("replay", "old text: nats with replay", replayed[1], below=bar, **LINEAR)

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 08 my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `pack(documents, T, end)`: documents are lists of ids. Follow each with the id end, put them
#    into one row, and cut it into blocks, an array (N, T); what fills no block is left out.
#    把文档接成一行，每篇后面放 end，再切成长度为 T 的块；不足一块的尾巴丢掉。
# 2. `shifted_loss(logits, ids, counted)`: logits (B, T, V) of a causal model that has read ids
#    (B, T); counted (B, T) is True at real tokens and False at padding. Return the mean of −log P
#    over all tokens that count, but the first of each row, which nobody foretold. Logits may be as
#    large as 1000.
#    错开一位的损失：按所有要计数的词元求平均（不是先按行平均）；每行第一个词元没人预测，不算。
# 3. `bigram(ids, V)`: Witten and Bell's P(w | h) as an array (V, V), a row for each h, counted on
#    ids (N,): from the formula alone, without a look at section 3's code. P(w) is made by the same
#    rule, from the counts of all N ids, over 1/V; after an h that nothing follows it is P(w | h).
#    Witten–Bell 二元模型，返回 (V, V)；P(w) 用同一规则由全部 N 个词元得到；没有后继的 h，用 P(w)。
# 4. `top_p(logits, p)`: logits (V,), no two alike, and 0 < p ≤ 1. Return the probabilities (V,)
#    from which is drawn: those of the fewest most probable tokens whose sum is at least p, divided
#    by their sum; 0 elsewhere.
#    top-p 采样的概率：保留概率之和不小于 p 的最少几个词元，重新归一化，其余为 0。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
