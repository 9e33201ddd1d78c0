"""Chapter 06: how a token asks the others, in three lines, and the block that is built on it."""

# %% [markdown]
# # Chapter 06 · Attention (注意力)
#
# "The trophy does not fit into the suitcase because **it** is too big." To know what "it" is, a
# model must look at other words, and which ones depends on the sentence. No layer so far can do
# that: a linear layer has the same weights for every text. **Attention** (注意力) makes its weights
# anew from each text. It is three lines of NumPy, and every large language model is built of it.
# This chapter takes the lines apart: where the √ comes from, what a mask must do, what heads split,
# how order gets in, and what has to stand around attention so that a deep stack of it can learn. At
# the end a small network sorts digits, and you can watch where it looks.
#
# **中文导读** “奖杯放不进箱子，因为它太大了。”要弄懂“它”，模型必须去看别的词，看哪些由句子决定。
# 线性层对任何文本都用同一组权重，做不到这一点；注意力的权重则是根据每段文本现算出来的。
# 它只有三行代码，却是所有大语言模型的基础。本章把这三行拆开来看：根号从哪里来，掩码该怎么写，
# 多头分的是什么，词序怎样进来，叠得很深又需要什么。最后训练一个给数字排序的小网络，看它在“看”哪里。
#
# Run it from the root of the repository: `python chapters/06_attention.py`. `--quick` does less,
# `--seed 3` draws other numbers. F28 and the like are formulas of the documents that the course
# grew out of, "as printed" is as they have them, and G05 and the like are what they leave out;
# `python -m tinygrad_llm.formulas F28 G05` shows two.

# %%
import sys
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, grad, manual_seed, nn, no_grad, optim, plot
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.blocks import layer_norm
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import numeric_gradients

lesson = begin(__file__, seconds=(60, 10))
rng, quick = lesson.rng, lesson.quick


def leaf(array):  # a tensor that asks for its gradient
    return Tensor(array, requires_grad=True, device=lesson.device)


def constant(array):  # a tensor that asks for none
    return Tensor(array, device=lesson.device)


ask = F.scaled_dot_product_attention


# %% [markdown]
# ## 1 · A token must ask (词元要会提问)
#
# A **token** (词元) is a word or a piece of one, and here a row of D numbers (d in the documents
# and in chapter 07). A **recurrent network** (循环网络) reads a text token by token and keeps what
# it has read in one row,
#
#     h ← tanh(xₜ + hW)
#
# so what it knows of the first token has gone through W and tanh once for every token since. On the
# way back the gradient takes the same road, and it is multiplied by Wᵀ and by tanh′ ≤ 1 each time:
# it dies, as in the deep networks of chapter 02 (or, with a large W, explodes). A network cannot
# learn from what its gradient does not reach.
#
# Attention has no road. The last token asks every token directly, however far it is, and the
# gradient comes back in one step. The figure measures both: how much the last output feels of a
# token that lies k tokens back, on an axis on which decay by a factor is straight. The price: T
# tokens ask T tokens, which makes T² scores.
#
# **中文导读** 循环网络逐个读词，把读过的内容压在一行数里；第一个词的信息每过一个词就要乘一次 W，
# 梯度往回走也一样，走几十步就消失了。注意力没有这条长路：最后一个词直接问每一个词，
# 梯度一步就回来，与距离无关。代价是 T 个词两两相问，要算 T² 个分数。

# %%
lesson.heading("1 · A token must ask")
T, D = 64, 32
W = constant(rng.normal(0.0, D**-0.5, (D, D)))
x = leaf(rng.normal(size=(20, T, D)))


def recurrent(x):  # the state after the last token
    h = F.tanh(x[:, 0])
    for t in range(1, T):
        h = F.tanh(x[:, t] + h @ W)
    return h


def asking(x):  # what the last token hears; it asks with xW
    return ask(x[:, -1:] @ W, x, x)[:, 0]


felt, r = {}, constant(rng.normal(size=(20, D)))
for name, network in (("recurrent", recurrent), ("attention", asking)):
    g = np.linalg.norm(grad(network(x), x, r).numpy(), axis=-1).mean(axis=0)
    felt[name] = g[-2::-1]  # 1, 2, … T − 1 tokens back
back = {name: g[49] / g[0] for name, g in felt.items()}
said = "Of the gradient at 1 token back, left at 50: recurrent {:.1e}, attention {:.1e}."
lesson.say(said.format(*back.values()))
axes = "Gradient of the last output", "tokens back", "norm"
lesson.figure(plot.curves(range(1, T), felt, *axes, log="y"), "distance")
lesson.claim("forgets", "recurrent: gradient left", back["recurrent"], below=(name, back[name]))

# %% [markdown]
# ## 2 · How alike, and why √d_k (为什么除以 √d_k)
#
# A token asks with a row q, its **query** (查询); every token offers a row k, its **key** (键). How
# well they fit is their **score** (分数), the dot product q·k = Σᵢ qᵢkᵢ over d_k numbers: large
# where they point the same way, 0 where they have nothing to do with each other.
#
# How large is a score? Let the qᵢ and kᵢ be independent with mean 0 and variance 1. A product qᵢkᵢ
# has mean 0 and variance E qᵢ² · E kᵢ² = 1, and the variances of d_k independent terms add up:
#
#     E q·k = 0,     var q·k = d_k,     var (q·k/√d_k) = 1
#
# Scores go through a softmax. It looks at differences: with scores that lie √d_k = 32 apart (d_k =
# 1024), the best key gets all the weight and the others e⁻³² of it. The softmax is **saturated**
# (饱和), and that is a matter of training, not of taste: its slope is ∂aᵢ/∂sⱼ = aᵢ(δᵢⱼ − aⱼ), with
# δᵢⱼ = 1 for i = j and else 0, and where one a is 1 and the others are 0, all of that is 0. No
# gradient comes back, so the network cannot learn to look elsewhere. Dividing by √d_k keeps the
# scores near 1 and the softmax soft, whatever d_k is. The table has 16 keys: the variance of their
# scores, the largest weight, and as the gradient the norm of ∂L/∂s for a drawn ∂L/∂a of norm about
# 4; weight and gradient are medians over 300 queries.
#
# **中文导读** 查询 q 与键 k 的点积是分数：方向越一致，分数越大。若各分量独立，均值 0、方差 1，
# 则 d_k 项之和的方差是 d_k，分数的典型大小是 √d_k。分数之间差得太大，softmax 就只剩一个 1，
# 其余为 0，这叫饱和：此时它的斜率几乎全是 0，梯度回不来，模型学不会去看别处。
# 除以 √d_k 之后，不论 d_k 多大，分数的方差都是 1。

# %%
lesson.heading("2 · How alike, and why √d_k")
widths, measured = 4 ** np.arange(6), []
for d in widths:
    q, k, g = (rng.normal(size=(300, *each)) for each in ((1, d), (d, 16), (16,)))
    raw = (q @ k)[:, 0]
    for s in (raw, raw / d**0.5):
        a = softmax(s)
        ds = a * (g - (g * a).sum(axis=1, keepdims=True))
        size = np.linalg.norm(ds, axis=1)
        measured.append([s.var(), np.median(a.max(axis=1)), np.median(size)])
table = np.reshape(measured, (6, 6))
rows = [[int(d), *(f"{each:.2g}" for each in row)] for d, row in zip(widths, table)]
header = ["var", "weight", "gradient"]
lesson.table(["d_k", *header, *(f"scaled: {name}" for name in header)], rows)
variance, top, dead, scaled, soft, alive = table.T
lines = {"var q·k": variance, "d_k": widths, "var q·k/√d_k": scaled}
axes = "Scores of drawn queries and keys", "d_k", "variance"
lesson.figure(plot.curves(widths, lines, *axes, log=True), "variance")
lines = {"weight, q·k": top, "gradient, q·k": dead}
lines |= {"weight, q·k/√d_k": soft, "gradient, q·k/√d_k": alive}
axes = "Softmax of 16 scores", "d_k", "largest weight, norm of the gradient"
lesson.figure(plot.curves(widths, lines, *axes, log=True), "saturation")
off, bar = abs(variance[-1] / 1024.0 - 1.0), ("scaled", 1.0 - scaled[-1] / 1024.0)
lesson.claim("variance", "d_k = 1024: var q·k less d_k, share", off, below=bar, scale="share")
lesson.claim("dead", "d_k = 1024: gradient, not scaled", dead[-1], below=("scaled", alive[-1]))

# %% [markdown]
# ## 3 · Three lines (三行代码)
#
# Let T tokens ask, with the rows of Q (T, d_k), and S tokens answer, with keys K (S, d_k) and with
# **values** (值) V (S, E), what each of them has to say. Then
#
#     S = QKᵀ/√d_k              (T, S)    the scores
#     A = softmax(S)            (T, S)    each row made positive, with sum 1
#     O = AV                    (T, E)    each row a mean of the values            F28, F29, F45
#
# (S is the usual letter for both, the scores and the number of keys; the context tells which.) A
# row of A says how much a token listens to each other one; A is the **attention map** (注意力图).
# Q, K and V are made from the tokens by learned matrices: Q = XW_q, K = XW_k, V = XW_v. When they
# come from the same X it is **self-attention** (自注意力). What is learned is how to ask.
#
# By hand, with d_k = 4: q = (2, 0, 0, 0), the keys (0, 0, 0, 0), (0, 1, 0, 0), (ln 2, 0, 0, 0) and
# the values 4, 8, 2. The scores are 0, 0 and 2 ln 2/√4 = ln 2; their exponentials 1, 1 and 2, so
# the weights ¼, ¼ and ½; the output ¼·4 + ¼·8 + ½·2 = 4.
#
# Four ways to get it wrong, and none of them complains. F85 describes a weighted sum of the
# *similarities*: that is one number a token, and V is never read. F52 puts an activation after the
# sum; the softmax belongs before it, to the scores, and nothing comes after. The softmax goes along
# a row, over the keys: down the columns, tokens would compete for who may ask. And √d_k forgotten.
#
# **中文导读** 打分、归一化、取平均，一共三行。A 的每一行之和为 1，表示这个词对各个词分别关注多少；
# A 称为注意力图；输出是“值”的加权平均。Q、K、V 由可学习的矩阵从词元得到，学的是“怎样提问”。
# 字母 S 按习惯既指分数矩阵，也指键的个数，看上下文即可分清。先手算上面的例子，再看程序。
# 四种常见的错都不报错：把相似度（而不是值）加权求和（F85），求和之后再加激活（F52），
# softmax 沿错了方向，忘了除以 √d_k。

# %%
lesson.heading("3 · Three lines")


# F28, G06: Q (T, d_k), K (S, d_k), V (S, E) -> (T, E); seen is True where a key may be seen.
def attention(Q, K, V, seen=True):
    S = np.where(seen, Q @ K.T / np.sqrt(K.shape[-1]), -np.inf)
    A = softmax(S)
    return A @ V


k = np.array([[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [np.log(2.0), 0.0, 0.0, 0.0]])
y = attention(np.array([[2.0, 0.0, 0.0, 0.0]]), k, np.array([[4.0], [8.0], [2.0]])).item()
Q, K, V = rng.normal(size=(3, 40, 12))
S, O = Q @ K.T / 12**0.5, attention(Q, K, V)
ways = {
    "the library": ask(constant(Q), constant(K), constant(V)).numpy(),
    "F85: weights × similarities": (softmax(S) * S).sum(axis=1, keepdims=True),
    "F52: a softmax after the sum": softmax(softmax(S) @ V),
    "F52: a ReLU after the sum": np.maximum(softmax(S) @ V, 0.0),
    "softmax down the columns": softmax(S.T).T @ V,
    "without √d_k": softmax(Q @ K.T) @ V,
}
gaps = {name: np.abs(each - O).max() for name, each in ways.items()}
lesson.say(f"By hand: {y:.12g}. 40 tokens, and how far outputs are from those of the three lines:")
lesson.table(["", "largest gap"], [[name, f"{gap:.2g}"] for name, gap in gaps.items()])
bar, right = ("no √d_k", gaps["without √d_k"]), ("the library", gaps["the library"])
lesson.claim("same", "the library: gap to three lines", right[1], below=bar)
lesson.claim("F85", "F85: gap", gaps["F85: weights × similarities"], above=right)
lesson.claim("F52", "F52, softmax: gap", gaps["F52: a softmax after the sum"], above=right)

# %% [markdown]
# **Backwards.** Let G be the gradient that arrives, of the shape of O. O = AV is a matrix product,
# and so is S; chapter 02 has the rule. Between them stands the softmax, where a weight depends on
# *all* scores of its row: ∂aᵢ/∂sⱼ = aᵢ(δᵢⱼ − aⱼ) has a second term, which takes a mean away (G05):
#
#     dV = AᵀG,   dA = GVᵀ
#     dS = A ⊙ (dA − rowsum(dA ⊙ A))
#     dQ = dS K/√d_k,   dK = dSᵀ Q/√d_k
#
# The second term says: what counts for a score is how much better its value is than the mean of
# what the token hears anyway. So the rows of dS sum to 0, as they must, for adding the same number
# to all scores of a row changes nothing. Without it, with a(1 − a) for a slope as if each weight
# had a sigmoid of its own, training still runs, and learns badly.
#
# **中文导读** 反向只有 softmax 一处要小心：一行里的每个权重都依赖这一行的全部分数，
# 所以 dS 里要减去一项“加权平均”。直观地说：某个键值得多看，是因为它的值比现在听到的平均更有用。
# 因此 dS 每行之和为 0。若当成逐元素的 a(1 − a)，程序照样能跑，只是梯度错了。


# %%
def by_hand(Q, K, V, G):  # G05: the gradients in Q, K and V
    A = softmax(Q @ K.T / np.sqrt(K.shape[-1]))
    dV, dA = A.T @ G, G @ V.T
    dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True)) / np.sqrt(K.shape[-1])
    return dS @ K, dS.T @ Q, dV


Q, K, V, G = (rng.normal(size=shape) for shape in ((5, 6), (4, 6), (4, 3), (5, 3)))
leaves, ends, rows = [leaf(array) for array in (Q, K, V)], [Q.size, Q.size + K.size], []
truths = np.split(numeric_gradients(lambda *p: (G * attention(*p)).sum(), Q, K, V), ends)
tape = [each.numpy() for each in grad(ask(*leaves), leaves, constant(G))]
slopes = np.split(FORMS["G05"].mistake(Q, K, V, G), ends)
for truth, *claimed in zip(truths, by_hand(Q, K, V, G), tape, slopes):
    rows.append([relative_error(truth, each.ravel()) for each in claimed])
cells = [[f"d{'QKV'[i]}", *(f"{error:.1e}" for error in row)] for i, row in enumerate(rows)]
lesson.table(["5 ask 4", "by hand", "by the tape", "with a(1 − a)"], cells)
hand, taped, mistaken = np.max(rows, axis=0)
lesson.agrees("hand", "G05: dQ, dK, dV by hand", hand, ("a(1 − a)", mistaken))
lesson.agrees("tape", "the same by the tape", taped, ("a(1 − a)", mistaken))

# %% [markdown]
# ## 4 · Who may be seen (掩码)
#
# Texts in a batch have different lengths, so short ones are filled up with **padding** (填充),
# tokens that mean nothing and must not be heard. And a model that learns to write must not see the
# word that it is to guess: token i may see the tokens j ≤ i. What may be seen is a **mask** (掩码),
# and there is one right place for it: the score becomes −∞ *before* the softmax (G06). Then its
# weight is e^−∞ = 0, and the others share the 1 among themselves.
#
#     weights × mask, afterwards     the weights of a row no longer sum to 1
#     scores × mask                  a score of 0 is a score like any other: e⁰ = 1
#     all ones (F79, as printed)     no mask at all; the documents' own code does this
#     scores − 10⁹                   right, until a row may see nothing: then it sees everything
#
# A row that may see nothing does occur: in a text that is all padding. With −∞ alone its softmax is
# 0/0, NaN; one such row makes the loss NaN, and after the next step every weight of the network. In
# the library it hears 0 and sends back 0. The table has a text of four tokens with two of padding:
# how much weight stays on the four, and how far what they hear is from what they hear without the
# padding. Its last column is the sum of a row's weights where all six tokens are padding.
#
# **中文导读** 短文本要补齐，补上的填充不该被听见；负责生成文本的模型不能偷看后面的词。
# 正确做法只有一处：在 softmax 之前把不许看的分数设为 −∞，权重自然是 0，其余的仍然加起来等于 1。
# softmax 之后再乘掩码，一行的权重和就不是 1；分数乘掩码也不对，因为 e⁰ = 1；
# 全 1 的掩码（F79）等于没有。一整行都不许看时，朴素写法得到 NaN，减 10⁹ 则变成什么都看见；
# 本库此时输出 0，梯度也是 0。

# %%
lesson.heading("4 · Who may be seen")
ids, X = np.array([7, 3, 9, 4, 0, 0]), rng.normal(size=(6, 8))  # 0 is the padding
real, nothing, S = FORMS["F79"].corrected(ids, 0), np.zeros(6), X @ X.T / 8**0.5
x = leaf(X)
ways = {
    "the library": lambda m: ask(x, x, x, constant(m > 0), return_weights=True)[1].numpy(),
    "−∞ before the softmax": lambda m: softmax(np.where(m > 0, S, -np.inf)),
    "weights × mask": lambda m: softmax(S) * m,
    "scores × mask": lambda m: softmax(S * m),
    "all ones (F79)": lambda m: softmax(S * FORMS["F79"].printed(ids, 0)),
    "scores − 10⁹": lambda m: softmax(S - 1e9 * (1.0 - m)),
}
gaps, sums, rows = {}, {}, []
for name, way in ways.items():
    gaps[name] = np.abs(way(real)[:4] @ X - attention(X[:4], X[:4], X[:4])).max()
    with np.errstate(invalid="ignore"):  # ∞ − ∞
        sums[name] = way(nothing).sum(axis=1).max()
    kept = way(real)[:4, :4].sum(axis=1).min()
    rows.append([name, f"{kept:.3f}", f"{gaps[name]:.1g}", f"{sums[name]:.3g}"])
lesson.table(["mask", "least on the text", "gap of outputs", "all padding"], rows)
back = grad(ask(x, x, x, constant(nothing > 0)), x, constant(X)).numpy()
lesson.say(f"All padding, the library: gradients of {np.abs(back).max():g}.")
right = ("the library", gaps["the library"])
for key, name in (("F79", "all ones (F79)"), ("after", "weights × mask")):
    lesson.claim(key, f"padding, {name}: gap", gaps[name], above=right)
bar, heard = ("−10⁹", sums["scores − 10⁹"]), sums["the library"]
lesson.claim("blind", "all padding: sum of weights", heard, below=bar, scale="linear")

# %% [markdown]
# **The future.** The mask j ≤ i is the **causal mask** (因果掩码). Does anything leak? Do not
# believe a picture of a triangle: ask the gradient. The **influence** (影响) of token j on output i
# is the norm of the gradient of output i in xⱼ; above the diagonal it must be 0, not small: 0. Look
# at the third row of the table. There the mask was multiplied on after the softmax; the forbidden
# weights are 0, the picture is a perfect triangle, and the future leaks all the same, through the
# denominator of the softmax.
#
# F40 calls MHA(dec, ctx, ctx) the self-attention of a decoder (chapter 07): what writes a text. But
# there the decoder asks the context alone, the text that it reads: that is **cross-attention**
# (交叉注意力), and no token of the target hears of any other (last row). A decoder needs both.
#
# **中文导读** 因果掩码只许看自己和前面。有没有泄漏，不要看图，要看梯度，也就是“影响”：
# 输出 i 对后面的 xⱼ 的梯度必须恰好是 0。softmax 之后再乘掩码，注意力图上是完美的三角形，
# 未来的信息却从分母里漏了出来。F40 把交叉注意力当成了自注意力：目标句里的词互相听不见。
# 解码器两者都要。


# %%
# [i, j]: the norm of the gradient of output i in token j, for a drawn text and cotangent.
def influence(attend, tokens, width=8):
    x, r = leaf(rng.normal(size=(tokens, width))), constant(rng.normal(size=width))
    y = attend(x)
    rows = [grad(y[i], x, r, retain_graph=True).numpy() for i in range(tokens)]
    return np.linalg.norm(rows, axis=-1)


past, context = constant(np.tri(6)), constant(rng.normal(size=(9, 8)))
ways = {
    "causal: −∞ before": lambda x: ask(x, x, x, is_causal=True),
    "no mask": lambda x: ask(x, x, x),
    "causal: weights × mask": lambda x: (F.softmax(x @ x.T / 8**0.5, axis=-1) * past) @ x,
    "F40 as printed": lambda x: ask(x, context, context),
}
found = {name: influence(attend, 6) for name, attend in ways.items()}
future = {name: np.triu(each, 1).max() for name, each in found.items()}
behind = {name: np.tril(each, -1).max() for name, each in found.items()}
rows = [[name, f"{future[name]:.3g}", f"{behind[name]:.3g}"] for name in ways]
lesson.table(["largest influence", "of a later token", "of an earlier one"], rows)
none, bar = future["causal: −∞ before"], ("no mask", future["no mask"])
lesson.claim("leak", "causal: from the future", none, below=bar, scale="linear")
leak, deaf = future["causal: weights × mask"], behind["F40 as printed"]
lesson.claim("triangle", "weights × mask: from the future", leak, above=("−∞ before", none))
bar = ("causal", behind["causal: −∞ before"])
lesson.claim("F40", "F40 as printed: from earlier tokens", deaf, below=bar, scale="linear")

# %% [markdown]
# ## 5 · Heads (多头)
#
# A token has one row of A, and its weights sum to 1: what goes to one word is taken from another.
# But "it" has to find a noun, and a verb, and whether there is a "not". So let h **heads** (头) ask
# side by side, each with matrices of its own that make d_k = D/h numbers of the D. Together they
# are **multi-head attention** (多头注意力):
#
#     headᵢ = Attention(XWᵢ^Q, XWᵢ^K, XWᵢ^V)        (T, D/h), each with a map of its own
#     MHA = Concat(head₁, …, head_h) W^O             (T, D)                        F30, F31
#
# F31 prints headᵢ = Attention(Q, K, V)Wᵢ: the matrices come *after* attention. Then all heads share
# one map A, and with matrix products everything folds up:
#
#     Concat(AVW₁, …, AVW_h) W^O = AV · [W₁ … W_h]W^O = AV · W
#
# one head times one matrix. The table fits the best such W to both, and has the share of the
# output's norm that is left over: 0 where one map and one matrix would have done.
#
# F86 says that the heads split the sequence. They split the *features*: each head sees all tokens,
# with a part of their numbers. In code the two are one line apart, and both give the right shape:
#
#     x.reshape(T, h, D/h).swapaxes(0, 1)     (h, T, D/h), the features of each token split
#     x.reshape(h, T, D/h)                    (h, T, D/h), and head 1 has the first T/h tokens
#
# The second one is a real bug that trains without a complaint. The influence shows it: no token of
# the first half of a text hears of the second.
#
# **中文导读** 一张注意力图只能表达一种关注；多个头并排提问，各有各的矩阵、各有各的图，再拼起来。
# F31 把投影写在注意力之后，于是所有头共用一张图，整个式子塌缩成单头乘一个矩阵。
# F86 说多头把序列分段，其实分的是特征：每个头都看得到全部词。reshape 之后忘了交换轴，
# 形状一样，也不报错，却恰好把序列切开了：前半句听不到后半句。

# %%
lesson.heading("5 · Heads")
D, h, T = 8, 2, 40
X, last = rng.normal(size=(T, D)), rng.normal(0.0, D**-0.5, (D, D))
Wq, Wk, Wv = rng.normal(0.0, D**-0.5, (3, h, D, D // h))
mean = attention(X, X, X)  # what all heads of F31 have in common
forms = {"F31 as printed": [mean @ W for W in Wv]}
forms["mended"] = [attention(X @ Wq[i], X @ Wk[i], X @ Wv[i]) for i in range(h)]
left = {}
for name, parts in forms.items():
    output = np.concatenate(parts, axis=1) @ last
    W, *_ = np.linalg.lstsq(mean, output, rcond=None)
    left[name] = np.linalg.norm(output - mean @ W) / np.linalg.norm(output)
maps = [softmax(X @ Wq[i] @ (X @ Wk[i]).T / (D // h) ** 0.5) for i in range(h)]
apart = np.abs(maps[0] - maps[1]).sum(axis=1).mean() / 2.0
lesson.table(["two heads", "left after one map × W"], [[n, f"{e:.2g}"] for n, e in left.items()])
lesson.say(f"Mended, the maps of the two heads place {apart:.0%} of their weight differently.")


# Self-attention of x (T, D) in h heads, without matrices, split in one of two ways.
def heads(x, split):
    q = x.reshape(len(x), h, -1).swapaxes(0, 1) if split == "features" else x.reshape(h, len(x), -1)
    y = ask(q, q, q)
    return (y.swapaxes(0, 1) if split == "features" else y).reshape(*x.shape)


across = {}
for split in ("features", "sequence"):
    across[split] = influence(partial(heads, split=split), 6)[:3, 3:].max()
said = "Influence of a text's second half on the first: features split {:.3g}, sequence {:.3g}."
lesson.say(said.format(*across.values()))
counts = [sum(p.size for p in nn.MultiHeadAttention(64, n).parameters()) for n in (1, 8)]
lesson.say("Parameters with D = 64: one head {:,}, eight heads {:,}.".format(*counts))
one, many = left.values()
lesson.claim("F31", "F31 as printed: not one map × W", one, below=("mended", many))
lesson.claim("heads", "mended: not one map × W", many, above=("printed", one), scale="share")
bar = ("features", across["features"])
lesson.claim("F86", "sequence split: influence", across["sequence"], below=bar, scale="linear")

# %% [markdown]
# ## 6 · Where a token stands (位置)
#
# Attention takes a mean, and a mean knows no order. Permute the tokens and the outputs come out
# permuted, otherwise the same: f(PX) = P f(X) for every permutation P. The layer is
# **equivariant** (等变), and "dog bites man" is "man bites dog". So the place has to be told (F78):
#
#     sinusoidal   PE[p, 2i] = sin(p ωᵢ),  PE[p, 2i + 1] = cos(p ωᵢ),  ωᵢ = 10000^(−2i/D)      G09
#     learned      a row of parameters for each place, up to a longest text
#     rotary       q and k turned: their numbers i and i + d_k/2 are a pair, its angle p ωᵢ
#
# (There the D of ωᵢ is d_k.) **Sinusoidal positions** (正弦位置编码) are added to the tokens and
# cost no parameter. They are like the hands of many clocks, each slower than the last; a hand is
# the pair of columns 2i and 2i + 1. By sin a sin b + cos a cos b = cos(a − b),
#
#     PE[p] · PE[p + k] = Σᵢ cos(k ωᵢ)       whatever p is: only the distance counts
#
# So nearness is in them: in the figure the product falls over the first places, and then it waves.
#
# **Learned positions** (可学习位置编码) are added too: BERT and GPT-2 have them. **Rotary
# positions** (旋转位置编码) add nothing, but turn queries and keys. Two vectors turned by the same
# angle keep their dot product, so a score depends on the distance alone, and a text that is moved
# gives the same outputs. With the other two that is not so.
#
# Both columns of the table are largest differences, divided by the outputs' standard deviation. Its
# last row is a causal mask without positions. The first token sees one token, the second two: order
# gets in by the number that one sees.
#
# **中文导读** 注意力取平均，平均不分先后：词序打乱，输出只是跟着打乱，这叫等变，“狗咬人”
# 等于“人咬狗”。所以必须告诉它位置。正弦编码像一排快慢各异的钟表指针，两个位置的点积只取决于距离，
# 先降后起伏；可学习编码每个位置一行参数，长度有上限；旋转编码把 q 和 k 按位置转一个角度，
# 分数只与距离有关，整段平移，输出不变。表中两列都是最大差除以输出的标准差。表的最后一行：
# 有因果掩码时，每个词看到的个数不同，也带进了次序。

# %%
lesson.heading("6 · Where a token stands")
D, T = 16, 12
plain, turning = nn.MultiHeadAttention(D, 2), nn.MultiHeadAttention(D, 2, rotary=nn.Rotary(D // 2))
clocks, learned = nn.SinusoidalPositions(D), nn.LearnedPositions(64, D)
nn.init.normal_(learned.weight, std=0.5)  # 0.02 at first; training makes them larger
for module in (plain, turning, clocks, learned):
    module.to(lesson.device)
X, order, where = rng.normal(size=(1, T, D)).astype("float32"), rng.permutation(T), np.arange(T)
ways = {
    "none": lambda x, places: plain(x),
    "sinusoidal": lambda x, places: plain(clocks(x, places)),
    "learned": lambda x, places: plain(learned(x, places)),
    "rotary": lambda x, places: turning(x, positions=places),
    "none, causal": lambda x, places: plain(x, is_causal=True),
}


def placed(name, X, places):
    with no_grad():
        return ways[name](constant(X), places).numpy()


permuted, moved, rows = {}, {}, []
for name in ways:
    y = placed(name, X, where)
    permuted[name] = np.abs(placed(name, X[:, order], where) - y[:, order]).max() / y.std()
    moved[name] = np.abs(placed(name, X, where + 5) - y).max() / y.std()
    rows.append([name, f"{permuted[name]:.1g}", f"{moved[name]:.1g}"])
lesson.table(["positions", "|f(PX) − P f(X)|", "the text moved by 5: change"], rows)
table, steps = nn.sinusoidal(np.arange(200), 64), np.arange(100)
law = np.cos(steps[:, None] * 10000.0 ** (-np.arange(32) / 32)).sum(axis=1)
dots = {f"p = {p}": table[p + steps] @ table[p] for p in (0, 50)}
off, axes = max(np.abs(each - law).max() for each in dots.values()), ("distance k", "PE·PE")
lesson.figure(plot.curves(steps, dots, "PE[p] · PE[p + k], D = 64", *axes), "positions")
none, bar = ("none", permuted["none"]), ("sinusoidal", permuted["sinusoidal"])
lesson.claim("order", "no positions: permuted gap", none[1], below=bar)
lesson.claim("sees", "rotary: permuted gap", permuted["rotary"], above=none)
bar = ("sinusoidal", moved["sinusoidal"])
lesson.claim("rotary", "rotary, moved: change", moved["rotary"], below=bar)
lesson.claim("clocks", "PE·PE less Σ cos: gap", off, below=("PE·PE", 32.0))

# %% [markdown]
# ## 7 · What lets it be deep (残差与层归一化)
#
# Attention alone takes means. To do more, it is stacked, and what is stacked is a **block** (块):
# attention and a small network (section 8), each with what stands around it. (PyTorch, and so the
# library, says TransformerLayer.) But twelve blocks, bare, do not learn. Two things help, and F33
# and its diagram have neither.
#
# **Layer norm** (层归一化, G07) brings each token to mean 0 and deviation 1, over its D numbers,
# and lets two learned rows, γ and β, scale and shift it again:
#
#     x̂ = (x − mean x)/s,   s = √(var x + ε),   y = γ ⊙ x̂ + β
#     dx = [ĝ − mean ĝ − x̂ · mean(ĝ ⊙ x̂)]/s,   ĝ = γ ⊙ g
#
# Why the two means? Add a constant to every number of x, or multiply x by a positive constant: x̂
# stays (but for ε). So no gradient may point along (1, …, 1) or along x̂, and the two terms take
# just these two parts out of ĝ. Who treats mean and s as constants, dx = ĝ/s, forgets both.
#
# The **residual connection** (残差连接, F76) adds to x what the layer f makes of it, in place of
# putting it there. Its Jacobian is 1 + ∂f/∂x: whatever f does, the gradient also comes back by the
# 1, through any number of blocks. Where the norm stands makes four kinds:
#
#     bare        f(x)                    every f multiplies: the gradient dies, or explodes
#     post-norm   LN(x + f(x))            Vaswani 2017, BERT
#     pre-norm    x + f(LN(x))            GPT-2 and most since: from end to end an untouched sum
#     ReZero      x + α f(x), α = 0       begins as the identity; each α is learned
#
# Twelve blocks at their start: the figure has the norm of the gradient that arrives at each, the
# table what arrives at the first block as a share of that at the last. Then the same twelve learn
# to sort six digits (section 9) for some steps, all with one learning rate. A guess has ln 10 =
# 2.303, and the bare blocks stay there. Which of the others wins in the long run, such a start does
# not tell. In large Transformers post-norm often fails without a warm-up (chapter 03a), and
# pre-norm can do without it (Xiong 2020).
#
# **中文导读** 叠起来的单位叫块：注意力加一个小网络，连同各自的残差与归一化。要叠得深，
# 需要两样东西。层归一化把每个词元的 D 个数化为均值 0、标准差 1；给 x 的每个数加同一个常数，
# 或乘同一个正常数，x̂ 都不变（只差 ε 的影响），所以梯度里必须减掉这两个方向，
# 这就是公式里的两个平均，忘了就错。残差连接是 x + f(x)：不论 f 怎样，梯度都能沿那个“1”直接回来。
# 归一化放在和之后是 post-norm，放在 f 之前是 pre-norm；ReZero 用从 0 开始的 α。什么都不加的十二块，
# 梯度传到第一块几乎为零，根本学不动。

# %%
lesson.heading("7 · What lets it be deep")
x, g = rng.normal(size=(2, 3, 6))
(gamma, beta), form = rng.normal(size=(2, 6)), FORMS["G07"]
truth, asked = numeric_gradient(lambda x: (g * layer_norm(x, gamma, beta)).sum(), x), leaf(x)
tape = grad(F.layer_norm(asked, constant(gamma), constant(beta)), asked, constant(g)).numpy()
claimed = {"G07": form.corrected(x, gamma, g), "ĝ/s": form.mistake(x, gamma, g)}
claimed = {name: each[: x.size].reshape(x.shape) for name, each in claimed.items()}
claimed["the tape"] = tape
errors = {name: relative_error(truth, each) for name, each in claimed.items()}
rows = [[n, f"{errors[n]:.1e}", f"{np.abs(e.sum(axis=-1)).max():.1g}"] for n, e in claimed.items()]
lesson.table(["dx of a layer norm", "error", "part along (1, …, 1)"], rows)
bar = ("means forgotten", errors["ĝ/s"])
lesson.agrees("norm", "G07: dx", errors["G07"], bar)
lesson.agrees("norm tape", "layer norm, dx by the tape", errors["the tape"], bar)


# Digits (B, 6) -> scores (B, 6, 10) of the digit at each place when they are sorted.
class Sorter(nn.Module):
    def __init__(self, blocks=2, norm="pre", positions=True):
        self.digits, self.head = nn.Embedding(10, 32), nn.Linear(32, 10)
        self.places = nn.LearnedPositions(6, 32) if positions else nn.Identity()
        self.encoder = nn.TransformerEncoder(blocks, 32, 2, 64, norm=norm)
        self.to(lesson.device)

    def forward(self, digits, mask=None, maps=None):
        x = self.places(self.digits(constant(digits)))
        return self.head(self.encoder(x, mask=mask, maps=maps))


# Train on batches of 64 of the rows (N, 6), each read once -> the losses.
def learn(model, rows, steps, rate=0.003, **how):
    optimizer, losses = optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0), []
    schedule = optim.linear(optimizer, steps, warmup_ratio=0.05)
    for i in range(steps):
        batch = rows[64 * i : 64 * (i + 1)]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(batch, **how), constant(np.sort(batch, axis=1)))
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


# The norms of the gradients that arrive at the inputs of the blocks.
def gradient_by_block(blocks):
    states = [leaf(rng.normal(size=(4, 16, 32)).astype("float32"))]
    for block in blocks:
        states.append(block(states[-1]))
    r = rng.normal(size=(4, 16, 32)).astype("float32")
    arriving = grad(states[-1], states[:-1], constant(r))
    return np.array([np.linalg.norm(g.numpy()) for g in arriving])


flow, ends = {}, {}
digits, steps = rng.integers(10, size=(64 * 150, 6)), 15 if quick else 150
for name in lesson.progress(("bare", "post", "pre", "rezero"), "12 blocks"):
    deep = Sorter(blocks=12, norm=name)
    flow[name] = gradient_by_block(deep.encoder.layers)
    ends[name] = np.mean(learn(deep, digits, steps, 0.002)[-5:])
share = {name: each[0] / each[-1] for name, each in flow.items()}
rows = [[name, f"{each:.2g}", f"{ends[name]:.3f}"] for name, each in share.items()]
lesson.table(["12 blocks", "gradient, first/last", f"sorting, loss after {steps} steps"], rows)
lines = {f"{name}: first/last {share[name]:.2g}": each for name, each in flow.items()}
axes = "Gradient at the input of each block, at the start", "block", "norm of the gradient"
lesson.figure(plot.curves(range(1, 13), lines, *axes, log="y"), "depth")
bare = ("bare", share.pop("bare"))
lesson.claim("bare", "bare: gradient, first/last", bare[1], below=("pre", share["pre"]))
lesson.claim("flow", "the others: least first/last", min(share.values()), above=bare)
bar, loss = ("bare", ends["bare"]), ends["pre"]
lesson.claim("deep", "pre-norm, 12 blocks: loss", loss, below=bar, scale="linear")

# %% [markdown]
# ## 8 · The rest of the block (块的另一半)
#
# Attention moves what is there from token to token; the only thing in it that bends is the softmax.
# So each block has a second half, a **feed-forward network** (前馈网络, F32), a small MLP with a
# hidden layer of 4D:
#
#     FFN(x) = max(0, xW₁ + b₁)W₂ + b₂        for each position alone, with the same weights
#
# After the heads are joined, once: F73 applies it to each head's output, which has d_k numbers and
# does not fit W₁. And it is one network of two linear maps: F77 speaks of two networks, which would
# be twice the parameters. A block is then, with pre-norm (for the library each sum with its norm is
# a part of its own: attention_sum and feed_forward_sum in the table),
#
#     x ← x + MHA(LN(x));   x ← x + FFN(LN(x))
#
#     attention 4D² + 4D,  feed-forward 8D² + 5D,  two norms 4D:  12D² + 13D parameters
#
# Two thirds of such a block's parameters are in its feed-forward network. (F37 puts one more linear
# layer behind the last block of an encoder, which is what reads a text in chapter 07; the
# Transformer has none there.)
#
# **中文导读** 注意力只在词元之间搬运信息；前馈网络则对每个位置单独加工，隐藏层宽 4D，
# 各位置共用权重。它接在多头拼接之后，只有一个，由两个线性变换组成：F73 说作用于每个头，
# 形状对不上；F77 说成两个网络，参数会多一倍。一个块共 12D² + 13D 个参数，三分之二在前馈网络里。

# %%
lesson.heading("8 · The rest of the block")
block, feed = nn.TransformerLayer(64, 8, norm="pre"), nn.FeedForward(8, 32)
sizes = {name: sum(p.size for p in part.parameters()) for name, part in block.named_children()}
count, weights = sum(sizes.values()), sum(p.size for p in feed.parameters() if p.ndim == 2)
rows = [[name, f"{each:,}", f"{each / count:.0%}"] for name, each in sizes.items()]
lesson.table(["a block, D = 64", "parameters", "share"], [*rows, ["all", f"{count:,}", "100%"]])
W1, W2 = (constant(rng.normal(size=shape)) for shape in ((8, 32), (32, 8)))
found = influence(lambda x: F.relu(x @ W1) @ W2, 6)
own, others = found.diagonal().min(), (found * (1.0 - np.eye(6))).max()
lesson.say(f"FFN, influence of a token on itself: {own:.3g} or more; on others: {others:g}.")
lesson.say(f"With D = 8, one network has {weights} weights, two (F77) would have {2 * weights}.")
lesson.claim("alone", "FFN: influence on others", others, below=("itself", own), scale="linear")
off, bar = abs(count - (12 * 64**2 + 13 * 64)), ("F37", 64**2 + 64)
lesson.claim("count", "parameters less 12D² + 13D", off, below=bar, scale="count")

# %% [markdown]
# ## 9 · A network that sorts (让网络学会排序)
#
# In: six digits in any order. Out, at each place, one of ten digits: which comes there when they
# are sorted. Nothing is told but examples. Place 3 must find the third smallest, and for that it
# has to hear of all others: no layer that looks at one token alone can do it. The network is two
# pre-norm blocks with D = 32, two heads and 64 hidden numbers, between an embedding of the digits
# and a linear layer.
#
# **Never seen** must mean something. There are 10⁶ inputs, but those with the same digits have the
# same answer, and 5,005 answers could be learned by heart. So a fifth of the *answers* is held out,
# with all of its inputs: no order of these digits is ever seen in training, and each training row
# is read once. Every score in the table is of rows held out; "right" means all six places.
#
#     copy the input             right where the row happened to be sorted
#     most frequent digit        at each place the one that is most frequent there in training
#     without attention          a mask by which each token sees itself alone
#     without positions          equal digits, equal answers, wherever they stand: the places of a
#                                row cannot be told from each other
#
# The last two are trained for fewer steps. More would not help: what they need does not reach them.
#
# **What does it look at?** The figure has the maps of the two blocks, for a held-out row. Look at
# the second block: in one head or the other, the place that is to say the smallest looks at the
# smallest digit, wherever it stands, the last place at the largest, and most places between at
# theirs. Nobody told the network to fetch its answer: it found that out. The first block is more
# spread out, as if it took stock of who is there. The last table measures it over all held-out
# rows: how much of the weight lies on tokens that are the answer. A map is a clue, not a proof: it
# says where a mean was taken, not what was done with it.
#
# **中文导读** 输入六个乱序的数字，输出每个位置上排好序的数字；网络只有两块，D = 32，两个头。
# 要说出“第三小”，必须听到其余所有数字。“没见过”要当真：数字相同、次序不同的输入答案相同，
# 只按输入划分，模型可以背答案；所以把五分之一的“答案”连同它的全部排列都留出来，训练中从未出现。
# 对照有四个：照抄输入、每个位置猜最常见的数字、去掉注意力、去掉位置。最后看注意力图：
# 第二块的某个头里，负责输出最小值的位置盯住最小的那个数字，不管它站在哪里；负责最大值的盯住最大的，
# 中间的位置也多半找到了自己的答案，没有人教过它这样做。第一块比较分散，像是在清点有哪些数字。
# 注意力图是线索，不是证明：它只说明平均取自哪里，没说明拿去做了什么。

# %%
lesson.heading("9 · A network that sorts")
every = np.stack([np.arange(10**6) // 10**i % 10 for i in range(6)], axis=1)
answers, which = np.unique(np.sort(every, axis=1) @ 10 ** np.arange(6), return_inverse=True)
shuffled, unseen = rng.permutation(10**6), rng.random(len(answers)) < 0.2
held = unseen[which[shuffled]]
train, test = every[shuffled[~held]], every[shuffled[held]][:2000]
wanted = np.sort(test, axis=1)
common = [np.bincount(column).argmax() for column in np.sort(train, axis=1).T]
alone = constant(np.eye(6, dtype=bool)[None, None])


def score(guess):  # of the held-out rows, and of their places, the shares that are right
    return (guess == wanted).all(axis=1).mean(), (guess == wanted).mean()


def trained(seed, steps, positions=True, mask=None):  # a model, and its scores
    manual_seed(1000 * lesson.options.seed + seed)
    model = Sorter(positions=positions)
    learn(model, train, steps, mask=mask)
    with no_grad():
        return model, score(model(test, mask=mask).numpy().argmax(axis=-1))


count, steps, fewer = (1, 600, 150) if quick else (3, 1000, 500)
scores = {"copy the input": score(test), "most frequent digit": score(np.array(common))}
_, scores["without attention"] = trained(8, fewer, mask=alone)
_, scores["without positions"] = trained(9, fewer, positions=False)
for seed in lesson.progress(range(count), "sorting"):
    model, scores[f"seed {seed}"] = trained(seed, steps)
rows = [[name, f"{whole:.4f}", f"{place:.4f}"] for name, (whole, place) in scores.items()]
lesson.table([f"{len(test):,} rows held out", "right", "places right"], rows)
size = sum(p.size for p in model.parameters())
lesson.say(f"{size:,} parameters; {steps} steps of 64 rows, the two controls {fewer} steps.")
whole = {name: each[0] for name, each in scores.items()}
least, fewest = map(min, zip(*(scores[f"seed {seed}"] for seed in range(count))))

maps, drawn, shown = [], [], next(row for row in test if len(set(row)) == 6)
with no_grad():
    model(test, maps=maps)
    model(shown[None], maps=drawn)
here = (test[:, None, :] == wanted[:, :, None])[:, None]  # (N, 1, place, token)
looks = [(each.numpy() * here).sum(axis=-1).mean() for each in maps]
chance = here.sum(axis=-1).mean() / 6.0
rows = [[f"block {i + 1}", f"{share:.3f}"] for i, share in enumerate(looks)]
lesson.table(["weight on the answer's digit", "share"], [*rows, ["all alike", f"{chance:.3f}"]])
panels = {f"block {i // 2 + 1}, head {i % 2 + 1}": drawn[i // 2][0, i % 2] for i in range(4)}
places = [f"place {i + 1}: {digit}" for i, digit in enumerate(np.sort(shown))]
figure = plot.attention_maps(panels, places, shown, "Which input digit each place looks at", 2)
lesson.figure(figure, "maps")
bar = ("aim", 0.99)
lesson.claim("sorts", "sorting, worst seed: rows right", least, above=bar, scale="share")
best = max((share, name) for name, share in whole.items() if not name.startswith("seed"))
lesson.claim("beats", "sorting: rows right", least, above=best[::-1], scale="share")
for key in ("without attention", "without positions"):
    share = scores[key][1]
    lesson.claim(key, f"{key}: places right", share, below=("with", fewest), scale="share")
lesson.claim("looks", "block 2: weight on answer", looks[1], above=("alike", chance), scale="share")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np`, and grade them:
# `python -m chapters check 06 my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `attention(Q, K, V, seen)`: Q (T, d), K (S, d), V (S, E), and seen (T, S) is True where a query
#    may see a key. Return (T, E). A query that may see nothing gets zeros. Scores may be as large
#    as 1000.
#    缩放点积注意力；不许看的键权重为 0；什么都看不到的查询输出 0；分数很大也不能溢出。
# 2. `decoder_mask(ids, pad)`: ids (B, T) of texts, filled up with the id `pad`, which may be any.
#    Return booleans (B, T, T), True where token i of text b may see token j: not later than i, and
#    no padding.
#    因果掩码与填充掩码合在一起，返回布尔数组 (B, T, T)；pad 可以是任意编号。
# 3. `split_heads(x, heads)`: x (B, T, D) -> (B, heads, T, D/heads), so that each head has some of
#    the features of every token.
#    把特征（而不是序列）分给各个头。
# 4. `sinusoidal(length, width)`: the table of G09, (length, width) in float64, for places 0, 1, …;
#    width is even.
#    正弦位置编码表，类型为 float64。
# 5. `layer_norm_backward(x, gamma, g)`: y = γx̂ + β over the last axis, with ε = 1e-5 and the
#    variance divided by D; x and g, the gradient that arrives, are (N, D). Return (dx, dgamma,
#    dbeta).
#    层归一化的反向：返回 (dx, dgamma, dbeta)，形状各与 x、γ、β 相同。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
