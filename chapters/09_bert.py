"""Chapter 09: BERT hides words of a text and finds them again, and so learns to understand it."""

# %% [markdown]
# # Chapter 09 · BERT: pretraining to understand (预训练：理解语言)
#
# Labelled texts are rare: somebody has to read each one. Raw text is free, and it can set its own
# questions. Hide a word and ask for it. Put two sentences side by side and ask whether the second
# follows the first. The answers stand in the text; nobody wrote a label. This is
# **self-supervised learning** (自监督学习), and to do it on a lot of text before any task is known
# is **pretraining** (预训练). BERT (Devlin et al. 2019) is the encoder of chapter 07 with these two
# questions. This chapter builds both, counts BERT-base to the last parameter, and pretrains a small
# one beside tables that only count: whoever speaks of understanding has to beat counting first.
#
# **中文导读** 带标注的文本很少，因为每一条都要有人读过；原始文本却到处都是，还能自己出题：
# 遮住一个词让模型填，给出两句话让模型判断第二句是否紧接第一句。答案就在原文里，不需要人写标签，
# 这叫自监督学习；在还不知道具体任务之前，先在大量文本上这样训练，叫预训练。
# BERT 就是第 7 章的编码器加上这两道题。本章把两道题都做出来，把 BERT-base 的参数数到最后一个，
# 再训练一个小 BERT，并始终和“只会计数的表格”比较：想说它“理解”了，先要胜过计数。
#
# Run it from the root of the repository: `python chapters/09_bert.py`. `--quick` does less,
# `--seed 3` draws other numbers, `--data PATH` learns from your own text: a .txt file (a blank line
# between documents), a folder of them, or .jsonl with a field "text"; English or Chinese. The bands
# of the verdicts stay those that were measured on Python's documentation. F71 and the like are
# formulas of the documents that the course grew out of, "as printed" is as they have them, and G12
# and the like are what they leave out; `python -m tinygrad_llm.formulas F71 G12` shows two.

# %%
import sys
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, grad, metrics, models, nn, no_grad, plot, pretrain, training
from tinygrad_llm.data import corpora, pretraining
from tinygrad_llm.pretrain.rows import encode
from tinygrad_llm.tokenizers import WordPieceTokenizer as WordPiece
from tinygrad_llm.tokenizers.words import Segmenter
from tinygrad_llm.training.callbacks import Progress

lesson = begin(__file__, seconds=(480, 20), uses_data=True)
rng, quick, seed = lesson.rng, lesson.quick, lesson.options.seed
T, ROUNDS = (32, 1) if quick else (64, 10)  # tokens of a row; how often pairs are made of all


def prepare(source):  # documents to learn from and held out, the tokenizer, and both tasks
    train, held = pretrain.split_documents(pretrain.read_documents(source), 0.1, seed)
    tokenizer = WordPiece.train([d.text for d in train], 4000)
    task = pretrain.MaskedTask(train, held, tokenizer, T, seed=seed, rounds=ROUNDS)
    return train, held, tokenizer, task


train, held, tokenizer, task = lesson.own(prepare) or prepare("english")
V, PAD, MASK = len(tokenizer), tokenizer.pad_token_id, tokenizer.mask_token_id


def constant(array):  # a tensor that asks for no gradient
    return Tensor(array, device=lesson.device)


def largest(x):
    return np.abs(x).max()


# %% [markdown]
# ## 1 · Why both sides (为什么要看两边)
#
# GPT (chapter 08) reads from left to right, because it writes. Who wants to understand a text has
# all of it. "He opened the ___ of his car": the left says that it can be opened, the right that a
# car has it. How much is that worth? Hold out documents with a tenth of the text, count in the
# others which token most often stands behind each token, which before it, and which between each
# pair, and guess every token that is held out by these tables.
#
# The documents say that BERT joins two encoders, one that reads from left to right and one that
# reads from right to left (F75). That is ELMo's design (Peters et al. 2018), not BERT's: BERT is
# *one* encoder, and every token sees both sides in every layer. Is that more than a matter of
# words? Let h₂ be the state of the second word, and change its neighbours. If
#
#     Δ = h₂(x₁′, x₃′) − h₂(x₁′, x₃) − h₂(x₁, x₃′) + h₂(x₁, x₃)
#
# the **mixed second difference** (混合二阶差分, for small changes ∂²h₂/∂x₁∂x₃), is 0, then what the
# left says is added to what the right says, and neither can change what the other one means. A
# linear head on such states cannot even tell whether two neighbours are alike: it would need
# s(0) + t(0) < 0, s(1) + t(1) < 0, s(0) + t(1) > 0 and s(1) + t(0) > 0, and the sum of the first
# two is the sum of the last two. The program takes three words through two layers of both designs.
#
# **中文导读** 要写作只能从左往右看；要理解，整段文本都在眼前，左右两边各知道一部分。程序先用计数表
# 衡量：只看左邻、只看右邻、两边都看，猜词的准确率各是多少。文档说 BERT 把左到右、右到左两个编码器
# 拼接起来（F75），那其实是 ELMo；BERT 是一个编码器，每一层里每个词都同时看见两边。差别可以测出来：
# 拼接时左右的影响只能相加，混合二阶差分恒为 0，左边改变不了右边的含义，
# 连“两个邻居是否相同”都判断不了；BERT 的则不为 0。

# %%
lesson.heading("1 · Why both sides")
known, unseen = (encode(part, tokenizer, False).ids for part in (train, held))
streams = [[[i for ids in document for i in ids] for document in part] for part in (known, unseen)]
counts = defaultdict(Counter)  # (left, right) -> what stood between them; None: whatever it was
for ids in streams[0]:
    for left, word, right in zip([None, *ids], ids, [*ids[1:], None]):
        for key in ((left, right), (left, None), (None, right), (None, None)):
            counts[key][word] += 1
best = {key: each.most_common(1)[0][0] for key, each in counts.items()}


def guess(left, right):  # from both neighbours, else from the left one, else the right one
    keys = (left, right), (left, None), (None, right), (None, None)
    return next(best[key] for key in keys if key in best)


trios = [trio for ids in streams[1] for trio in zip(ids, ids[1:], ids[2:])]
ways = {"most frequent token": (0, 0), "left neighbour": (1, 0), "right neighbour": (0, 1)}
ways, right = {**ways, "both neighbours": (1, 1)}, {}
for name, (l, r) in ways.items():
    right[name] = np.mean([guess(a if l else None, c if r else None) == b for a, b, c in trios])
lesson.say(f"{len(train)} documents to learn from, {len(held)} held out; {V:,} different tokens.")
lesson.table(["guess by", "right"], [[name, f"{share:.3f}"] for name, share in right.items()])
x, y = rng.normal(size=(2, 1, 3, 16))
stacks = [nn.TransformerEncoder(2, 16, 4, norm="post").astype("float64") for _ in range(3)]
stacks = [stack.to(lesson.device) for stack in stacks]
past = np.tri(3, dtype=bool)[None, None]


def states(name, first, third):  # h₂, with x₁ and x₃ as they are or changed
    rows = constant(np.where(np.array([first, False, third])[:, None], y, x))
    if name == "one encoder":
        return stacks[0](rows).numpy()[0, 1]
    ways = zip(stacks[1:], (past, past.swapaxes(2, 3)))
    return np.concatenate([s(rows, mask=constant(m)).numpy()[0, 1] for s, m in ways])


mixed, rows = {}, []
for name in ("F75: two, joined", "one encoder"):
    here, third, first, both = (states(name, a, c) for a in (0, 1) for c in (0, 1))
    mixed[name] = largest(both - first - third + here)
    rows.append([name, largest(first - here), largest(third - here), f"{mixed[name]:.2g}"])
lesson.table(["h₂ moves by, when", "x₁ changes", "x₃ changes", "Δ"], rows)
both = right.pop("both neighbours")
bar = max(zip(right.values(), right))[::-1]
lesson.claim("sides", "both neighbours: right", both, above=bar, scale="share")
apart, together = mixed.values()
lesson.claim("mixed", "one encoder: Δ", together, above=("F75", apart))

# %% [markdown]
# ## 2 · Hidden words (掩码语言模型)
#
# A **masked language model** (掩码语言模型) learns by filling in. The documents say: hide some
# words, predict them (F71). That leaves open which, how, and what counts.
#
#     select    15 % of the tokens, each by itself; never [CLS], [SEP] and padding
#     show      of the selected ones 80 % as [MASK], 10 % as a drawn token, 10 % as they are
#     ask       for the true token at the selected places, and nowhere else
#
# Why so odd? With [MASK] alone the model would learn that a word which is *not* [MASK] needs no
# thought, and in use there is no [MASK]. So some selected words wear another word's face or their
# own, and the model must be ready to be asked about any place. Why 15 %? Each hidden word is a
# question, but takes context from the others. The labels are −100 at all other places, which the
# loss leaves out of its sum and its count; so the gradient there is exactly 0. (It does go on to
# other places *below* the last layer, through attention: they are asked for nothing, but they
# help.) A **copying model** (照抄模型) shows why: over all places it looks excellent, where it is
# asked it is hopeless. (The museum, chapter A, trains a model with a loss over all places.) For the
# same reason a model is *judged* with all that is asked for hidden by [MASK]: one in ten asked
# words stands there as it was, and is right by copying, which says nothing of the others.
#
# **Static masking** (静态掩码) draws once: 85 % of a text are then never asked for, however long
# you train. BERT drew ten versions beforehand, which leaves 20 %. **Dynamic masking** (动态掩码),
# as in RoBERTa (S57), draws other places each time that a text comes.
#
# **Whole words** (整词掩码): of "token ##izer" with only ##izer hidden, the answer is half given.
# So all pieces of a word are hidden together. In Chinese every character is a token and no ##
# says where a word ends; a dictionary has to find the words first (chapter 04).
#
# **中文导读** 文档只说“遮住一些词，预测它们”（F71），没说清遮多少、换成什么、哪里算分。
# BERT 的做法：每个词元以 15% 的概率被选中，其中 80% 换成 [MASK]，10% 换成随机词元，10% 保持原样；
# 只在选中的位置计算损失，其余标签为 −100，那里的梯度恰好是 0。若全用 [MASK]，
# 模型会以为没遮的词不用动脑，而实际使用时并没有 [MASK]。
# 评估时被问的词全部换成 [MASK]：原样留着的词照抄就对，说明不了什么。
# 只抽一次叫静态掩码，85% 的词永远不会被问到；BERT 预先抽十份，仍有约 20%；
# 动态掩码则每次读到同一段文本都重新抽位置。
# 整词掩码把一个词的各个词片一起遮住；中文按字切分，要先用词典分词，再按词来遮。

# %%
lesson.heading("2 · Hidden words")
special = np.isin(np.arange(V), tokenizer.all_special_ids)


def hide(ids):  # F71: ids (...) -> what is shown, and the labels
    selected, fate = ~special[ids] & (rng.random(ids.shape) < 0.15), rng.random(ids.shape)
    other = np.where(fate < 0.9, rng.choice(np.flatnonzero(~special), ids.shape), ids)
    shown = np.where(fate < 0.8, MASK, other)
    return np.where(selected, shown, ids), np.where(selected, ids, -100)


made, masking = task.train_dataset, task.masking
sample = [made[i] for i in range(min(len(made), 5000))]
read = masking(sample)
ids, may = read.unmasked, ~special[read.unmasked]
ours, library, rows = hide(ids), (read["input_ids"], read["labels"]), []
for name, (shown, labels) in {"these lines": ours, "the library": library}.items():
    asked = labels != -100
    masked, same = (shown[asked] == MASK).mean(), (shown[asked] == ids[asked]).mean()
    moved = (shown != ids)[~asked].sum()
    rows.append([name, asked.sum() / may.sum(), masked, 1.0 - masked - same, same, moved])
header = ["selected", "[MASK]", "another", "as it was", "changed elsewhere"]
cells = [[name, *(f"{each:.2%}" for each in shares), moved] for name, *shares, moved in rows]
lesson.table([f"of {may.sum():,} tokens", *header], cells)
off = max(abs(row[1] - 0.15) for row in rows)
lesson.claim("selected", "selected: off 15 %", off, below=("half a percent", 0.005), scale="share")
off = max(largest(np.subtract(row[2:5], (0.8, 0.1, 0.1))) for row in rows)
lesson.claim("fates", "80/10/10: off", off, below=("one percent", 0.01), scale="share")
copied, asked = ours[0] == ids, ours[1] != -100
everywhere, there = copied[may].mean(), copied[asked].mean()
lesson.say(f"Copying: right at {everywhere:.3f} of all places, at {there:.3f} of the selected.")
bar = ("all places", everywhere)
lesson.claim("copying", "copying: selected places right", there, below=bar, scale="share")

sizes = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2}
still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
small = task.new_model("tiny", **sizes, **still).astype("float64").to(lesson.device)
batch = masking(sample[:8])
inputs, asked = {name: constant(each) for name, each in batch.items()}, batch["labels"] != -100
answer = small(**inputs)
slopes = np.abs(grad(answer.mlm_loss, answer.last_hidden_state).numpy()).max(axis=2)
elsewhere, least = slopes[~asked].max(), slopes[asked].min()
lesson.say(f"Gradient in a state not asked: {elsewhere:g}; in one asked, at least {least:.1e}.")
bar = ("least where asked", least)
lesson.claim("unasked", "gradient where not asked", elsewhere, below=bar, scale="linear")
few = masking(sample[:200])
once, ever = few["labels"] != -100, few["labels"] != -100
for _ in range(9):
    once = once | (masking(sample[:200])["labels"] != -100)
    ever = ever | (masking.redraw(few, rng)["labels"] != -100)
static, dynamic = (each[~special[few.unmasked]].mean() for each in (once, ever))
lesson.say(f"Tokens asked for within ten epochs: static {static:.1%}, dynamic {dynamic:.1%}.")
lesson.say(f"By ten versions drawn beforehand, however long: {1 - 0.85**10:.1%}.")
lesson.claim("dynamic", "asked in ten epochs", dynamic, above=("static", static), scale="share")

sentences = ["the tokenizer reads books in the library", "图书馆的管理员把新书放回了书架上。"]
cutter, rows, torn = Segmenter(corpora.words()), [], Counter()
pieces = WordPiece.train([*sentences, "token tokens izer library book read reads"], 90)
for sentence in sentences:
    words = [w for word in sentence.split(" ") for w in (*cutter.best_path(word), " ")]
    encoded = pieces(sentence, return_offsets_mapping=True)
    numbers = pretraining.word_ids(encoded["offset_mapping"], words)
    for whole in (False, True):
        hider = pretraining.MaskedLanguageCollator(pieces, 0.3, 1.0, 0.0, whole_word_mask=whole)
        row = hider([{"input_ids": encoded["input_ids"], "word_ids": numbers}])
        for _ in range(200):
            row = hider.redraw(row, rng)
            hidden = row["labels"][0] != -100
            groups = [hidden[np.equal(numbers, n)] for n in {*numbers} - {-1}]
            torn[whole] += sum(each.any() and not each.all() for each in groups)
        names = pieces.convert_ids_to_tokens(row["input_ids"][0][1:-1])
        rows.append(["words" if whole else "pieces", " ".join(names).replace("[MASK]", "[·]")])
lesson.table(["hide by", "30 % hidden, one drawing"], rows)
lesson.say(f"Words torn in 400 drawings: by pieces {torn[False]}, by words {torn[True]}.")
lesson.claim("whole", "words torn", torn[True], below=("by pieces", torn[False]), scale="count")

# %% [markdown]
# ## 3 · Next sentences (下一句预测)
#
# Some tasks read two texts: does this answer fit that question? So BERT reads pairs, and learns to
# tell whether B follows A: **next-sentence prediction** (下一句预测).
#
#     [CLS] A [SEP] B [SEP]        segments 0 … 0 1 … 1
#     half of the pairs            B is what comes after A                        label 0, "is next"
#     the other half               B begins somewhere in another document         label 1, "random"
#
# Each token gets its position's row and its segment's row (G09); [CLS] stands for the pair. F72
# asks instead whether two sentences are of the same *paragraph*. That is another question: in a
# paragraph of n sentences n(n − 1) ordered pairs are "yes", and n − 1 of them follow; of five
# sentences that is one in five. It would never teach that order counts. The program counts how it
# is in the text itself. (Negatives must not be of A's document either: chapter A, "same paragraph",
# has the number.) And the two classes need examples of both: half and half, so that ½ is what a
# coin gets. If one class sends no gradient, as where label 0 is "ignored" (chapter A again), the
# model says always the same.
#
# A document's first sentence follows nothing: as a B it would always be "random", and the model
# would learn to spot beginnings. So no B is a first sentence.
#
# A and B are runs of sentences that fill a row of T tokens, not two single sentences. The lines
# below make the plainest form of pairs, and draw a document first, then its sentence: the sentences
# of short documents are then "random" more often than "next", which tells something again. The
# library draws among all sentences, cuts texts at random places, fills the rows and trims them, and
# sees to it that nothing but the text tells the label.
#
# **中文导读** 很多任务要读两段文本，所以 BERT 读句子对：[CLS] A [SEP] B [SEP]，判断 B 是否紧接 A。
# 一半样本是真正的下一句，另一半的 B 取自别的文档，这样瞎猜正好是 50%。F72 问的却是“是否同一段落”：
# n 句的段落里有 n(n−1) 个有序对，只有 n−1 个真正相接；五句的段落里，80% 的“正例”并不是下一句。
# 文档的首句不跟在任何句子后面，若让它作 B，标签就一定是“随机”，模型只要认出开头就行；
# 所以首句不作 B。
# 两个类都必须有样本、有梯度。

# %%
lesson.heading("3 · Next sentences")


def next_pairs(documents):  # (A, B, label) of sentences, half and half
    whole = [document for document in documents if len(document) > 1]
    firsts = [(d, i) for d, document in enumerate(whole) for i in range(len(document) - 1)]
    labels = rng.permutation(np.arange(len(firsts)) % 2)
    for (d, i), label in zip(firsts, labels):
        other = (d + rng.integers(1, len(whole))) % len(whole)
        random = whole[other][rng.integers(1, len(whole[other]))]
        yield whole[d][i], random if label else whole[d][i + 1], label


plain = np.array([label for *_, label in next_pairs(known)])
halves = {"these lines": plain, "the library": made.labels}
rows = [[name, f"{len(each):,}", f"{1.0 - each.mean():.2%}"] for name, each in halves.items()]
lesson.table(["pairs", "how many", "B follows A"], rows)
row = min(sample[:200], key=lambda row: abs(len(row["input_ids"]) - 20))
segments, label = "".join(map(str, row["token_type_ids"])), row["next_sentence_label"]
tokens = " ".join(tokenizer.convert_ids_to_tokens(row["input_ids"]))
lesson.say(f"{tokens} Segments {segments}, label {label}.")
off = max(abs(each.mean() - 0.5) for each in halves.values())
lesson.claim("halves", "pairs: off one half", off, below=("one percent", 0.01), scale="share")
n = [len(pretrain.sentences(text)) for each in train for text in each.text.split("\n")]
sizes = {"of five sentences": np.array([5]), "of this text": np.array([k for k in n if k > 1])}
wrong = {name: 1.0 - (n - 1).sum() / (n * (n - 1)).sum() for name, n in sizes.items()}
rows = [[name, f"{share:.1%}"] for name, share in wrong.items()]
lesson.table(["F72: pairs of one paragraph", "are not next"], rows)
bar = ("next sentences", 0.0)
lesson.claim("paragraph", "F72: pairs not next", wrong["of this text"], above=bar, scale="share")

# %% [markdown]
# ## 4 · One loss for both (联合损失)
#
# The documents have hidden words and next sentences as two stages (F87). BERT learns both in every
# step, from the same rows:
#
#     L = L_MLM + L_NSP            each a mean over its own targets                    F87, G12
#
# Each over its own: a batch of 8 rows asks for dozens of words and for 8 labels. One mean over all
# of them would leave the pairs a hundredth or two of the loss. And with stages, what the first one
# has learnt is not asked for in the second, and may fade (chapter 08, section 7, shows how).
#
# The scores, from the last states h:
#
#     words    g = LN(GELU(hW + b)),   z = gEᵀ + c           at each place that is asked       G08
#     pairs    p = tanh(h₀W₁ + b₁),    z = pW₂ + b₂          h₀ of [CLS]
#
# (p is called the **pooler**, 池化层.)
#
# So the *embedding* E (V, D) is used twice (**tied weights**, 权重共享, chapter 07), and gradients
# of uses add up:
#
#     dE = Σ over places of what reaches their rows (scatter-add)  +  dZᵀg, the decoder's part
#
# Who takes the decoder's part alone, as if it had a matrix of its own, gets another gradient. The
# judge is a finite difference, along a drawn direction of all of E: the first column is how far the
# slope is off along it, as a share of it, which for a wrong dE depends on the direction. The second
# is the largest difference from the tape's dE, as a share of its largest entry.
#
# **中文导读** 文档把两个任务写成先后两个阶段（F87）。BERT 是每一步同时学：总损失等于两者之和，
# 各自在自己的目标上取平均。若把所有目标混在一起平均，句子对只占百分之一二。
# 解码用的矩阵就是词嵌入表 E（权重共享），E 用了两次，梯度等于两部分之和：
# 输入端的散射相加，加上解码端的 dZᵀh；只取后一部分就错了。

# %%
lesson.heading("4 · One loss for both")
head, E = small.predictions, small.bert.embeddings.words.weight
computed = {}
small.bert.embeddings.words.register_forward_hook(lambda m, i, o: computed.update(x=o))
head.norm.register_forward_hook(lambda m, i, o: computed.update(g=o.numpy()))
answer = small(**inputs)
truth, pair_labels = batch["labels"][asked], batch["next_sentence_label"]
bias, scores = head.bias.numpy(), answer.seq_relationship_logits.numpy()


def log_softmax(z):
    z = z - z.max(axis=1, keepdims=True)  # exp of 1000 overflows
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


log_p = log_softmax(computed["g"] @ E.numpy().T + bias)
words = -log_p[np.arange(len(truth)), truth]
pairs = -log_softmax(scores)[np.arange(len(scores)), pair_labels]
joint, mixture = words.mean() + pairs.mean(), np.concatenate([words, pairs]).mean()
library, reached = answer.loss.item(), [E, computed["x"], answer.seq_relationship_logits]
total, dx, pulls = (each.numpy() for each in grad(answer.loss, reached))
share = pairs.sum() / (words.sum() + pairs.sum())
rows = [["L_MLM + L_NSP", f"{joint:.4f}", f"{joint - library:.0e}", f"{pairs.mean() / joint:.1%}"]]
rows.append(["one mean", f"{mixture:.4f}", f"{mixture - library:.2f}", f"{share:.1%}"])
targets = f"{len(words)} words, {len(pairs)} pairs"
lesson.table([targets, "loss", "less the library's", "of it for pairs"], rows)
least = [np.abs(pulls[pair_labels == label]).min() for label in (0, 1)]
lesson.say("Least gradient of a pair: label 0 {:.3f}, label 1 {:.3f}.".format(*least))
off, bar = max(abs(joint - library), 1e-15), ("one mean", abs(mixture - library))
lesson.claim("joint", "joint loss: off the library's", off, below=bar)
lesson.claim("classes", "a pair's least gradient", min(least), above=("label 0 ignored", 0.0))

decoder = ((np.exp(log_p) - np.eye(V)[truth]) / len(words)).T @ computed["g"]
scattered = np.zeros_like(total)
np.add.at(scattered, batch["input_ids"], dx)
direction, losses = rng.normal(size=E.shape), []
for step in (2e-6, -4e-6):
    E.data = constant(E.numpy() + step * direction).data
    losses.append(small(**inputs).loss.item())
slope = (losses[0] - losses[1]) / 4e-6
parts = {"both": scattered + decoder, "scatter-add": scattered, "decoder's": decoder}
errors = {name: abs((each * direction).sum() / slope - 1.0) for name, each in parts.items()}
apart = {name: largest(each - total) / largest(total) for name, each in parts.items()}
rows = [[name, f"{errors[name]:.1e}", f"{apart[name]:.1e}"] for name in parts]
lesson.table(["dE", "off the finite difference", "off the tape"], rows)
bar = ("the decoder's part off the tape", apart["decoder's"])
lesson.agrees("tied", "G12: dE of both parts", errors["both"], bar)

# %% [markdown]
# ## 5 · Every parameter of BERT-base (数参数)
#
# BERT-base has V = 30,522 word pieces, D = 768, 12 blocks, 512 places and 2 segments. Count it:
#
#     embeddings    (V + 512 + 2)·D + 2D             words, places, segments, a norm
#     a block       12D² + 13D                       chapter 06
#     pooler        D² + D                           tanh(h₀W + b), of [CLS]
#
# "110 million" is what is usually said. The program builds the model without memory for its
# weights, shapes alone, and counts. The head for words adds little, because its matrix is E.
#
# **中文导读** 按上面的公式数 BERT-base 的参数，一个不差是 109,482,240（含 pooler）。程序只建形状，
# 不分配内存。填词的输出层几乎不增加参数，因为矩阵就是词嵌入表。

# %%
lesson.heading("5 · Every parameter of BERT-base")
with nn.no_storage():
    base = models.BertForPreTraining(models.BertConfig.preset("base"))
D, vocabulary = 768, 30_522
by_hand = {"embeddings": (vocabulary + 512 + 2) * D + 2 * D, "encoder": 12 * (12 * D**2 + 13 * D)}
by_hand["pooler"] = D**2 + D
counted = {name: sum(p.size for p in m.parameters()) for name, m in base.bert.named_children()}
rows = [[name, f"{by_hand[name]:,}", f"{counted[name]:,}"] for name in by_hand]
bert, both = sum(counted.values()), sum(p.size for p in base.parameters())
rows.append(["BERT-base", f"{sum(by_hand.values()):,}", f"{bert:,}"])
lesson.table(["part", "by hand", "counted"], rows)
lesson.say(f"Both heads: {both - bert:,} more; not tied, another {vocabulary * D:,}.")
off, bar = abs(bert - 109_482_240), ("without the pooler", D**2 + D)
lesson.claim("count", "BERT-base less 109,482,240", off, below=bar, scale="count")

# %% [markdown]
# ## 6 · A loop that trains nothing (没有损失的训练)
#
# One of the documents shows "pretraining" as a loop over a model without heads, which calls
# `outputs.loss.backward()` (C18). The bare encoder gives states, and no loss: there is nothing to
# train it by. What is missing is all of sections 2 to 4: hidden words, pairs, labels, heads. The
# program prints what the two models have.
#
# **中文导读** 有一篇文档的“预训练”循环用的是不带任务头的模型，却调用 outputs.loss（C18）。
# 这样的模型只输出状态，没有损失，什么也学不到；缺的正是第 2 至第 4 节的遮词、句子对、标签和输出头。

# %%
lesson.heading("6 · A loop that trains nothing")
plain = {name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
keys = ("last_hidden_state", "pooler_output", "mlm_loss", "nsp_loss", "loss")
for name, output in (("no head", small.bert(**plain)), ("with heads", small(**inputs))):
    has = [key for key in keys if getattr(output, key, None) is not None]
    lesson.say(f"{name}: {', '.join(has)}.")

# %% [markdown]
# ## 7 · Pretraining (开始预训练)
#
# The text is the prose of Python's own documentation, about a megabyte; BERT had 3.3 billion words.
# Documents with a tenth of it are held out *whole*; tables and word pieces are learnt from the
# others alone. The model is a BERT of two blocks and over 800,000 parameters, without dropout
# (BERT has .1). The Trainer of chapter 03b does the rest; BERT's post-norm blocks need the warm-up.
# Weights begin with a deviation of 0.05 in place of BERT's 0.02: with D = 128 in place of 768 that
# gives sums of the same size. Positions, which BERT learns from drawn rows, begin as the sinusoids
# of chapter 06: else attention has to find out, place by place, who stands beside whom, which takes
# thousands of steps.
#
# What must be beaten, on the same hidden words and the same pairs:
#
#     words    the most frequent token; the left neighbour's table; both neighbours' table
#     pairs    a coin; **word overlap** (词重叠): B follows A if they share enough rare words
#
# Word overlap sees the pairs with nothing hidden; the last row has what BERT says of them so. Read
# the table with its intervals. Many words cannot be known; the most frequent guess gets one in
# twenty. BERT ends far above what the left side knows, and above the table of *both* neighbours,
# which on so little text is a strong guess: manuals say the same thing in the same words again and
# again. BERT-base had twenty thousand times our text, and there tables end, for none of them holds
# what stands ten words away.
#
# At the pairs this BERT does **not** beat counting: word overlap gets more of them. That is a whole
# method of its own, made for this one question; who needs only that answer, on so little text,
# should count. But a table answers its one question. A model gives states, and those are what
# pretraining is for; chapter 11 uses them. The pairs stay near one half for long, as the first rows
# show, for one label a row says little. So judge no pretraining by its first minutes.
#
# The documents' own settings stand in a row of their own: a rate of 5e-5 for three epochs (J4).
# That is a rate for fine-tuning, which shall keep what a model knows; one that knows nothing it
# hardly moves.
#
# RoBERTa (S57, Liu et al. 2019) took next sentences out and lost nothing: in its tables some tasks
# even gained. Its rows are runs of whole sentences. `MaskedTask(next_sentence=False)` makes such
# rows, and `python -m tests.benchmarks.learning.recipes` measures what dynamic masking, next
# sentences and sinusoids each are worth, in small and over three seeds.
#
# **中文导读** 语料是 Python 自带文档里的英文，约一百万字符；按字符数留出十分之一，整篇留出，
# 各种计数表和词表也只从其余文档学。模型两块，八十多万参数，用第 3b 章的训练器训练。
# 位置向量从第 6 章的正弦开始（之后照样学习），否则模型要花几千步才弄清谁挨着谁；
# 动态掩码、下一句预测、正弦起点各有多大作用，可以用脚本在三个种子上量。
# 对照都在同一批遮住的词、同一批句子对上计算：最常见词元、左邻表、两邻表；抛硬币、词重叠。
# 猜词远胜左邻表，也胜过“两邻表”：语料这么小，手册里又总是同样的话，两邻表是很强的对手。
# 在句子对上，这个小 BERT 没有胜过词重叠；但计数表只会回答这一个问题，
# 而 BERT 的每个状态都可以拿去做别的任务（第 11 章）。句子对的准确率会长时间停在一半，
# 因为每行只有一个标签，所以不要只看头几分钟就下结论。
# 表里还有一行是文档自己的设置（学习率 5e-5、三轮，J4）：这是微调用的学习率，
# 对一个什么都还不会的模型来说太小，几乎学不动。

# %%
lesson.heading("7 · Pretraining")
shape = {"num_hidden_layers": 1 if quick else 2, "intermediate_size": 256}
shape |= {"num_attention_heads": 4, "initializer_range": 0.05}


def learn(model, steps, evaluations, **settings):  # the Trainer after so many steps of 16 rows
    settings |= {"weight_decay": 0.01, "seed": seed, "quiet": True, "max_steps": steps}
    settings |= {"eval_steps": steps // evaluations, "per_device_train_batch_size": 16}
    args = training.TrainingArguments(**settings)
    trainer = training.Trainer(model, args, callbacks=[Progress(None)], **task.trainer_arguments())
    trainer.train()
    return trainer


epochs = 50 if quick else round(3 * len(made) / ROUNDS / 16)  # steps that read the text thrice
printed = task.new_model("tiny", **shape, **still).to(lesson.device)
printed = learn(printed, epochs, 1, learning_rate=5e-5).log.history[-1]
model = task.new_model("tiny", **shape, **still).to(lesson.device)
before = model.bert.embeddings.words.weight.numpy().copy()
steps = 300 if quick else 10_500
trainer = learn(model, steps, 2 if quick else 14, learning_rate=1.5e-3, warmup_ratio=0.1)
evals = [row for row in trainer.log.history if row["kind"] == "eval"]
final = {key.removeprefix("eval_"): value for key, value in evals[-1].items()}
batch = task.data_collator([*task.eval_dataset])
ids, labels = batch["input_ids"], batch["labels"]
asked = np.argwhere(labels != -100)
both = np.mean([guess(*ids[i, [t - 1, t + 1]]) == labels[i, t] for i, t in asked])
with no_grad():  # the pairs as they are: nothing hidden
    kept = {name: constant(batch[name]) for name in ("attention_mask", "token_type_ids")}
    said = model.eval()(constant(batch.unmasked), **kept).seq_relationship_logits.numpy()
final["nsp_accuracy"] = (said.argmax(axis=1) == batch["next_sentence_label"]).mean()
keys = ("mlm_loss", "mlm_accuracy", "nsp_loss", "nsp_accuracy")
shown = evals[::-2][::-1]
rows = [[row["step"], *(f"{row[f'eval_{key}']:.3f}" for key in keys)] for row in shown]
rows.append([f"J4: 5e-5, {epochs} steps", *(f"{printed[f'eval_{key}']:.3f}" for key in keys)])
bars = {"most frequent, coin": ("unigram_loss", "unigram_accuracy", "half_loss", "half")}
bars["left neighbour, overlap"] = ("", "left_neighbour_accuracy", "", "word_overlap")
final[""], final["both"] = np.nan, both
bars["both neighbours"] = ("", "both", "", "")
bars["this BERT, nothing hidden"] = ("", "", "", "nsp_accuracy")
for name, each in bars.items():
    rows.append([name, *(f"{final[key]:.3f}" if key else "" for key in each)])
lesson.table(["held out, step", "words: loss", "right", "pairs: loss", "right"], rows)
interval = {}
for kind, count in task.targets.items():
    interval[kind] = metrics.wilson_interval(round(final[f"{kind}_accuracy"] * count), count)
said = [f"{kind} {low:.3f} … {high:.3f}" for kind, (low, high) in interval.items()]
size = sum(p.size for p in model.parameters())
lesson.say(f"{size:,} parameters, {steps} steps of 16 pairs, {trainer.state.seconds:.0f} s.")
lesson.say(f"95 % intervals at the end: {', '.join(said)}.")
history = {"words: loss over the most frequent's": ("mlm_loss", "unigram_loss")}
history |= {"pairs: loss over a coin's": ("nsp_loss", "half_loss")}
history |= {"words: accuracy": ("mlm_accuracy",), "pairs: accuracy": ("nsp_accuracy",)}
history |= {"left neighbour: accuracy": ("left_neighbour_accuracy",)}
history |= {"word overlap: accuracy": ("word_overlap",)}
at = [row["step"] for row in evals]
for name, (key, *over) in history.items():
    history[name] = at, [row[f"eval_{key}"] / (final[over[0]] if over else 1.0) for row in evals]
lesson.figure(plot.training_curves(history, "Pretraining: held-out text"), "training")
bar = ("most frequent", final["unigram_accuracy"]) if quick else ("both neighbours", both)
lesson.claim("mlm", "words: low end of interval", interval["mlm"].low, above=bar, scale="share")
if not quick:  # after so few steps the pairs are still at one half
    lesson.claim("nsp", "pairs right", final["nsp_accuracy"], above=("asked", 0.7), scale="share")
bar = ("all alike", np.log(V)) if quick else ("most frequent", final["unigram_loss"])
lesson.claim("loss", "words: loss", final["mlm_loss"], below=bar, scale="linear")

# %% [markdown]
# ## 8 · What it has learnt (学到了什么)
#
# **Filling in.** Places of held-out texts, drawn by chance among tokens of four letters or more;
# each with one word hidden. In brackets stands what was there; below it the five tokens that BERT
# finds most probable, and what the tables say. Most guesses are wrong, as the accuracy says; look
# for those that fit by grammar, or by subject, and at how little BERT is sure of.
#
# **Where it looks.** For each head, how much weight a token gives to its left and right neighbour,
# to the same token elsewhere in the row, and to [CLS] and [SEP]. The figure shows the head that
# looks most at neighbours and the one that looks most at [CLS] and [SEP], on one pair. Nobody told
# a head to look left and right; some do it all the same. Word overlap would need heads that look
# for equal tokens. Compare their column with the last row, a head that looks at all places alike:
# how the pairs are told is not to be seen in the maps. Maps show where a head looks, not why.
#
# **Neighbours by embedding** (词向量近邻). Before training the rows of E are drawn, so the nearest
# rows of a token are noise; after it some are of its kind, as "classes" of "class", and many only
# occur in the same sentences. They are sought among the 800 most frequent tokens.
#
# **中文导读** 先在留出的文本里随机遮一个词，看模型最有把握的五个答案，旁边是计数表的答案；
# 再看各个注意力头把权重放在哪里：左右邻居、别处相同的词、特殊词元；最后看词向量的近邻：
# 训练前是随机的，训练后有些是同类词，许多只是常出现在同样的句子里。

# %%
lesson.heading("8 · What it has learnt")
names = np.array(tokenizer.convert_ids_to_tokens(range(V)))
letters = np.array([name.isalpha() and (len(name) > 3 or not name.isascii()) for name in names])


def read_row(row, ids):  # the model's answer to one row, with these ids
    inputs = {"input_ids": ids, "token_type_ids": row["token_type_ids"]}
    with no_grad():
        return model(**{n: constant(a[None]) for n, a in inputs.items()}, output_attentions=True)


for number in rng.permutation(len(task.eval_dataset))[:6]:
    row = task.eval_dataset[number]
    ids = row["input_ids"]
    candidates = np.flatnonzero(letters[ids[5:-5]]) + 5
    if not len(candidates):
        continue
    place = rng.choice(candidates)
    hidden = np.where(np.arange(len(ids)) == place, MASK, ids)
    logits = read_row(row, hidden).logits_at(constant(hidden[None] == MASK)).numpy()
    p = np.exp(log_softmax(logits)[0])
    left, right = tokenizer.decode(ids[place - 5 : place]), tokenizer.decode(ids[place + 1 :][:5])
    lesson.say(f"… {left} [{names[ids[place]]}] {right} …")
    top = ", ".join(f"{names[i]} {p[i]:.2f}" for i in np.argsort(-p)[:5])
    tables = [names[guess(ids[place - 1], c)] for c in (None, ids[place + 1])]
    lesson.say("BERT: {}. Left neighbour: {}; both: {}.".format(top, *tables))

looks, even = [], []
for row in [*task.eval_dataset][:100]:
    ids, places = row["input_ids"], np.arange(len(row["input_ids"]))
    apart = places[:, None] - places
    kinds = [np.abs(apart) == 1, (ids[:, None] == ids) & (apart != 0), special[ids] & (apart < T)]
    maps = np.stack([each.numpy()[0] for each in read_row(row, ids).attentions])
    looks.append([(maps * kind).sum(axis=-1)[..., ~special[ids]].mean(axis=-1) for kind in kinds])
    even.append([kind[~special[ids]].mean() for kind in kinds])
looks, even = np.mean(looks, axis=0), np.mean(even, axis=0)
header = ["weight on", "neighbours", "equal tokens", "[CLS], [SEP]"]
where = [*np.ndindex(looks.shape[1:])]
rows = [[f"block {b + 1}, head {h + 1}", *(f"{x[b, h]:.2f}" for x in looks)] for b, h in where]
lesson.table(header, [*rows, ["all alike", *(f"{each:.2f}" for each in even)]])
row, panels = min(task.eval_dataset, key=lambda row: abs(len(row["input_ids"]) - 22)), {}
maps, tokens = read_row(row, row["input_ids"]).attentions, names[row["input_ids"]]
for kind, each in zip(header[1::2], looks[::2]):
    b, h = np.unravel_index(each.argmax(), each.shape)
    panels[f"{kind}: block {b + 1}, head {h + 1}"] = maps[b].numpy()[0, h]
lesson.figure(plot.attention_maps(panels, tokens, tokens, "Which token looks where"), "maps")
if not quick:  # so soon no head looks anywhere
    bar = ("all alike", even[0])
    lesson.claim("looks", "a head: weight on neighbours", looks[0].max(), above=bar, scale="share")

often = [i for i, _ in counts[None, None].most_common(800)]
after = model.bert.embeddings.words.weight.numpy()


def nearest(table, token):
    rows = table[often] / np.linalg.norm(table[often], axis=1, keepdims=True)
    order = np.argsort(-rows @ rows[often.index(token)])
    return " ".join(names[often[i]] for i in order[1:5])[:32]


asked = [i for i in often if letters[i]][5:65:10]
rows = [[names[i], nearest(before, i), nearest(after, i)] for i in asked]
lesson.table(["token", "nearest before", "nearest after training"], rows)

# %% [markdown]
# ## 9 · Not an autoencoder (不是自编码器)
#
# BERT is often called an **autoencoder** (自编码器, S67), a model that learns to give back all of
# its input. BERT is asked for 15 % of it, and what it says elsewhere enters no loss (section 2).
# The program lets it name the tokens that it was not asked for. It gets many of them all the same:
# it cannot tell them from the one in ten asked for as it stands, and there the loss wants copying.
# That is a by-product, and the other 85 % of the answers were never judged. The right word is
# **denoising** (去噪): from a damaged text it finds what was there, at the damaged places.
#
# **中文导读** 常有人把 BERT 叫作自编码器（S67）。自编码器要还原全部输入，
# BERT 只在 15% 的位置被提问，其余位置说什么都不进入损失。没被问到的词它也能认出不少：
# 它分不清哪些可见的词会被提问，而被问到时照抄就对；这只是副产品，其余 85% 从未被评判。
# 准确的说法是“去噪”：从被破坏的文本里找回被破坏的词。

# %%
lesson.heading("9 · Not an autoencoder")
batch = masking([task.eval_dataset[i] for i in range(min(64, len(task.eval_dataset)))])
asked, text = batch["labels"] != -100, ~special[batch.unmasked]
with no_grad():
    output = model(**{name: constant(each) for name, each in batch.items()})
    answers = output.logits.numpy().argmax(axis=2) == batch.unmasked
given = answers[text & ~asked].mean()
share = output.targets / text.sum()
lesson.say(f"Asked for: {share:.1%} of the tokens. Of the others given back: {given:.1%}.")
bar = ("an autoencoder", 0.0)
lesson.claim("denoising", "tokens that no loss asks for", 1.0 - share, above=bar, scale="share")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 09 my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `hide(ids, may, choose, fate, drawn, mask)`: 15 % and 80/10/10 for ids (B, T), with all chance
#    given: may (B, T) is False where nothing may be hidden, choose and fate (B, T) are numbers in
#    [0, 1), drawn (B, T) other tokens, mask the id of [MASK]. Select where choose < 0.15; show
#    [MASK] for fate < 0.8, the drawn token for fate < 0.9, else the token. Return (shown, labels),
#    labels −100 where nothing is asked.
#    按 15% 与 80/10/10 遮词，随机数都由参数给出；返回模型看到的输入和标签（不提问处为 −100）。
# 2. `second(text_of, first, follows, drawn)`: which sentence is B. text_of (S,) has for each
#    sentence the number of its text, in order; first is A's place. Return first + 1 where follows
#    is True; else of all sentences of other texts but their first ones, in order, the one at drawn,
#    a number in [0, 1): of n of them the one at ⌊n·drawn⌋.
#    句子对的第二句：follows 为真取下一句，否则按 drawn 从别的文本里取一句，首句除外；返回它的编号。
# 3. `joint_loss(Z, labels, z, pair_labels)`: L_MLM + L_NSP for scores Z (B, T, V) and z (B, 2),
#    with labels (B, T), −100 where nothing is asked, and pair_labels (B,), the class of each pair,
#    0 "is next" or 1 "random"; the score of class k is z[:, k]. Scores may be as large as 1000.
#    联合损失：两项各自在自己的目标上取平均再相加；分数很大也不能溢出。
# 4. `whole_words(tokens, choose)`: tokens, a list of word pieces with [CLS], [SEP] and [PAD], one
#    text or a pair, and choose (T,). A piece that begins with ## belongs to the piece before it;
#    after a special token, where a text was cut, it begins a word. A word is selected where the
#    number at its *first* piece is below 0.15. Return booleans (T,), never True at the three
#    special tokens.
#    整词掩码：一个词的全部词片共用第一个词片的随机数；特殊词元之后的词片算一个词的开头；
#    特殊词元永远不选。返回布尔数组。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
