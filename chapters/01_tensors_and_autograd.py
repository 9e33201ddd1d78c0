"""Chapter 01: what a tensor is, what a gradient is, and how a tape of ops finds it."""

# %% [markdown]
# # Chapter 01 · Tensors and autograd (张量与自动求导)
#
# A language model learns by one rule: measure how wrong it is, ask in which direction each of its
# numbers should move, and move them a little. "In which direction" is a **gradient** (梯度). This
# chapter is about that one word: what a gradient is, how a program finds it for any expression,
# and how you can tell a right gradient from a wrong one. Everything later rests on it.
#
# **中文导读** 大模型的学习只靠一条规则：先衡量错了多少，再问每个参数该往哪个方向动，然后动一小步。
# “往哪个方向”就是梯度。本章讲三件事：梯度是什么；程序怎样为任意表达式求出梯度；
# 怎样判断一个梯度是对是错。后面各章都建立在这上面。
#
# The figure `01_map.png` shows the ideas of the course and how they build on each other, each with
# the place in the library where you find it; this chapter is its beginning.
#
# Run it from the root of the repository: `python chapters/01_tensors_and_autograd.py`. `--quick`
# does less, `--seed 3` draws other numbers.
#
# The course grew out of five Chinese articles, "the documents", on making and fine-tuning large
# models. F01 to F90 are the formulas that they print or describe; many are incomplete, some are
# wrong, and "as printed" means: as the article has it. G01 to G34 are formulas that the articles
# need and leave out. `python -m tinygrad_llm.formulas F11` shows one of them.
#
# **中文导读** 本课程源于五篇讲大模型开发与微调的中文文章（文中称 the documents）。
# F01–F90 是文章里的公式，有的不完整，有的写错了，“as printed”指原文的写法；
# G01–G34 是文章需要却没有写出的公式。

# This file is a script in cells: `# %%` begins one, and VS Code and Jupyter (with jupytext) run
# them one by one. As plain text it reads just as well: prose in comments, the code below it.
#
# **怎样打开** 每个 `# %%` 是一个单元，可在 VS Code 或 Jupyter（装有 jupytext）中逐个运行，
# 也可当作普通文本从上往下读。

# %%
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, detect_anomaly, grad, hessian, keep_values, no_grad, plot
from tinygrad_llm import functional as F
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import STEP
from tinygrad_llm.ops import Op
from tinygrad_llm.ops.elementwise import Tanh
from tinygrad_llm.ops.softmax import Softmax
from tinygrad_llm.tensor import apply
from tinygrad_llm.testing import GradientError, gradcheck

lesson = begin(__file__, seconds=(10, 3))
rng = lesson.rng
lesson.figure(plot.concept_map(), "map")


def leaf(array):
    """A float64 tensor that asks for its gradient."""
    return Tensor(np.array(array, dtype=float), requires_grad=True, device=lesson.device)


def constant(array):
    """A tensor that asks for none."""
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · What a tensor is (张量)
#
# A tensor is a block of memory with a way to read it: a **shape** (形状), a **dtype** (数据类型:
# how many bytes a number takes and what they mean) and **strides** (步幅: how many bytes to go to
# the next element along each axis). Another order of the axes is another way to read, no more, and
# so is another shape where strides can say it. The result is a **view** (视图): the same memory,
# nothing copied. Where strides cannot say it, as for all elements of a transpose in one row,
# `reshape` copies. **Broadcasting** (广播) goes one step further: a stride of 0 repeats a row.
#
# **中文导读** 张量是一块内存加一种读法：形状、数据类型、步幅。转置只改读法，不搬数据，
# 得到的叫视图；若步幅能表达新形状，改形状得到的也是视图，否则要复制。广播不复制：步幅为 0，
# 同一行被反复读。

# %%
lesson.heading("1 · What a tensor is")
x = constant(np.arange(6, dtype=np.float32).reshape(2, 3))
readings = {
    "x.T": x.T,
    "x.reshape(3, 2)": x.reshape(3, 2),
    "x.T.reshape(6)": x.T.reshape(6),
    "x[:, 1]": x[:, 1],
    "x[0] broadcast to (4, 3)": F.broadcast_to(x[0], (4, 3)),
    "x + x[0]": x + x[0],
}
rows = []
for name, tensor in readings.items():
    memory = "that of x" if np.shares_memory(tensor.numpy(), x.numpy()) else "its own"
    rows.append([name, tensor.shape, tensor.data.strides, memory])
lesson.table(["tensor", "shape", "strides (bytes)", "memory"], rows)
lesson.say(
    f"x has shape {x.shape} and dtype {x.dtype}, 4 bytes a number, so its strides are",
    f"{x.data.strides}. Only x + x[0] computed anything, and only x.T.reshape(6) was copied.",
)

# %% [markdown]
# ## 2 · A derivative is a slope (导数就是斜率)
#
# Move x by a small step h and see how far f moves: that quotient is a **finite difference** (差商).
# It needs no calculus, and so it is the judge of every gradient in this course.
#
#     forward (前向)       (f(x + h) − f(x)) / h
#     central (中心)       (f(x + h) − f(x − h)) / 2h
#     complex step (复步)  Im f(x + ih) / h,  with i² = −1
#
# How small should h be? Two errors pull against each other. **Truncation** (截断误差): the curve
# bends within the step; this error shrinks like h (forward) or h² (central). **Rounding**
# (舍入误差): two numbers that are nearly equal are subtracted, and the quotient is off by about
# ε/h, with ε the precision of the dtype. The complex step subtracts nothing, so h may be as small
# as you like; but f must be smooth, take complex numbers, and be written without |x|, max or
# comparisons.
#
# **中文导读** 让 x 动一小步 h，看 f 动多少，两者之商就是差商（有限差分）。它不用微积分，
# 所以是整门课程的“裁判”。h 太大，曲线在一步之内已经弯了（截断误差）；h 太小，两个几乎相等的数相减，
# 有效数字丢光（舍入误差）。中间有一个最佳点。复步法不做减法，没有这个矛盾。

# %%
lesson.heading("2 · A derivative is a slope")


# for real and complex x of any precision
def f(x):
    return np.exp(x) * np.sin(3.0 * x)


points = rng.uniform(0.5, 1.5, 20 if lesson.quick else 200).astype(np.float32)
exact = points.astype(np.float64)
slope = np.exp(exact) * (np.sin(3.0 * exact) + 3.0 * np.cos(3.0 * exact))  # by the product rule
steps = np.logspace(-16, 0, 65 if lesson.quick else 321)
methods = {
    "forward": lambda x, h: (f(x + h) - f(x)) / h,
    "central": lambda x, h: (f(x + h) - f(x - h)) / (2.0 * h),
    "complex step": lambda x, h: f(x + 1j * h).imag / h,
}
errors = {}
for name, method in methods.items():
    for at in (exact, points):
        error = [relative_error(slope, method(at, float(h))) for h in steps]
        errors[f"{name}, {at.dtype}"] = np.array(error)
del errors["complex step, float32"]
best = {name: error.min() for name, error in errors.items()}
rows = [[name, f"{steps[e.argmin()]:.0e}", f"{e.min():.1e}"] for name, e in errors.items()]
flat = "complex step, float64"  # below 1e-8 no step is better than another
best[flat] = errors[flat][steps < 1e-8].max()
rows[-1] = [flat, "any below 1e-8", f"{best[flat]:.1e}"]
lesson.table(["method", "best step h", "error there"], rows)
rule, tiny = (errors["central, float64"][np.searchsorted(steps, h)] for h in (STEP, 1e-12))
lesson.say(
    f"Errors: the largest of {len(points)} points, divided by the largest slope. The rule of",
    f"thumb for a central difference is h = ε^(1/3), in float64 {STEP:.0e}: there the error is",
    f"{rule:.0e}. Smaller is not better: at h = 1e-12 it is {tiny:.0e}. In float32 no difference",
    "gets below 1e-6, so every gradient check of this course runs in float64.",
)
theory = {"rounding, ε/h (float64)": np.finfo(np.float64).eps / steps}
theory["truncation, h²"] = np.where(steps > 1e-8, steps**2, np.nan)
lines = {flat: errors[flat]} | errors | theory  # the first lies below: the central one shows
labels = ("step h", "largest error / largest slope")
figure = plot.curves(steps, lines, "Error and step", *labels, log=True, lowest=list(errors)[:4])
lesson.figure(figure, "finite_differences")
bar, error = ("forward difference", best["forward, float64"]), best["central, float64"]
lesson.claim("central", "central difference, best h, float64: error", error, below=bar)
lesson.claim("rule", "central difference, h = ε^(1/3): error", rule, below=("h = 1e-12", tiny))
lesson.claim("complex", "complex step, h < 1e-8: error", best[flat], below=("central", error))
bar, error = ("what a check must see", 1e-6), best["central, float32"]
lesson.claim("float32", "central difference, best h, float32: error", error, above=bar)

# %% [markdown]
# ## 3 · The chain rule and the tape (链式法则与计算图)
#
# Take one **neuron** (神经元, F01) with tanh, which bends any number into −1 … 1, and a squared
# error behind it. L is the **loss** (损失): how wrong the neuron is about its target t.
#
#     z = Σᵢ wᵢxᵢ + b,   y = tanh z = (eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ),   L = (y − t)²
#
# ∂L/∂w is the slope of L when only w moves and all else stands still; the slopes in all
# parameters, side by side, are the gradient, ∇L.
#
# By hand, from the end to the beginning: ∂L/∂y = 2(y − t). One step back, through tanh with
# tanh′ = 1 − tanh² (G01): δ = ∂L/∂z = 2(y − t)(1 − y²). One more: ∂L/∂wᵢ = δxᵢ and ∂L/∂b = δ.
# Each step multiplies what arrived by one local slope: the **chain rule** (链式法则). A program can
# do the same if it writes down which ops (算子) ran. That record is the **tape** (计算图): nodes
# in the order in which they were made. Reading it backwards is **backpropagation** (反向传播).
#
# A node waits until all its users have sent their part; only then is its gradient whole, and passed
# on. Reading backwards sees to that, for who uses a node was made after it. A tensor that asks for
# a gradient and was computed by no op, such as w, is a **leaf** (叶子). x, t and the exponent 2 are
# constants: they ask for no gradient, and so have no node.
#
# The hand and the tape do the same arithmetic and differ in the last bits at most (the last column
# of the second table). What the verdicts call the tape's error, here and in sections 4 and 9, is
# the rounding of the central difference that it is held against.
#
# **中文导读** 一个神经元，后面接平方误差。手算时从末端往回走，每退一步乘一个局部斜率，
# 这就是链式法则。程序把做过的运算按次序记成一条“带子”（计算图），再倒着读，就是反向传播。
# 一个结点要等所有用到它的结点都送来各自的一份，加齐以后才继续往回传。
# ∂L/∂w 是只动 w、其余不动时 L 的斜率；全部斜率合起来就是梯度 ∇L。

# %%
lesson.heading("3 · The chain rule and the tape")
x, t = rng.normal(size=3), 0.5
w, b = leaf(rng.normal(size=3)), leaf(rng.normal())
with keep_values():  # for the figure; a tape alone keeps only what its ops need
    p = w * constant(x)
    s = p.sum()
    z = s + b
    y = F.tanh(z)
    d = y - t
    loss = d**2

nodes = plot.tape(loss)
# A node has  op       the op that ran; None for a leaf
#             parents  for each input an edge, (the node that made it, which of its outputs);
#                      None for a constant
#             saved    what forward kept for backward
#             xp       the library of its arrays: NumPy, or CuPy on a GPU
# `needs` tells backward for each input whether its gradient is wanted.
arriving = {nodes[-1]: nodes[-1].xp.ones(())}
for node in reversed(nodes):  # when a node's turn comes, all that used it have been there
    if node.op is None:
        continue
    needs = tuple(edge is not None for edge in node.parents)
    parts = node.op.backward(node.xp, arriving[node], node.saved, needs)
    parts = parts if isinstance(parts, tuple) else (parts,)
    for edge, part in zip(node.parents, parts):
        if edge is not None:
            arriving[edge[0]] = arriving.get(edge[0], 0.0) + part

tensors = {"w": w, "b": b, "p": p, "s": s, "z": z, "y": y, "d": d, "L": loss}
called = dict(zip(nodes, tensors))  # both in the order in which they were made
rows = []
for node, (name, tensor) in zip(nodes, tensors.items()):
    used = ", ".join(called[edge[0]] for edge in node.parents if edge is not None)
    value, g = (constant(a).numpy().round(4).tolist() for a in (tensor.data, arriving[node]))
    rows.append([name, node.op.name if node.op else "leaf", used, str(value), str(g)])
lesson.table(["node", "op", "of", "value", "gradient that arrives"], rows)

delta = 2.0 * (y.item() - t) * (1.0 - y.item() ** 2)
by_hand = np.append(delta * x, delta)
loss.backward()
by_tape = np.append(w.grad.numpy(), b.grad.numpy())


def neuron_loss(parameters):
    """L as plain NumPy, of w and b in one vector."""
    return (np.tanh(parameters[:3] @ x + parameters[3]) - t) ** 2


measured = numeric_gradient(neuron_loss, np.append(w.numpy(), b.numpy()))
rows = []
for name, *three in zip(["w[0]", "w[1]", "w[2]", "b"], by_hand, by_tape, measured):
    rows.append([name, *(f"{gradient:.10f}" for gradient in three), f"{three[1] - three[0]:.0e}"])
lesson.table(["gradient in", "by hand", "by the tape", "central difference", "tape − hand"], rows)
lesson.figure(plot.graph(loss, tensors), "graph")
mistaken = 2.0 * (y.item() - t) * np.append(x, 1.0)
error, worse = (relative_error(measured, each) for each in (by_tape, mistaken))
lesson.agrees("neuron", "F01: gradient by the tape", error, ("tanh′ forgotten", worse))

# %% [markdown]
# ## 4 · A value that is used twice (累加，不是覆盖)
#
# F48 says of backpropagation only that the gradient is ∂L/∂θ. True, and no help: the rule that
# matters is what to do where a value is used twice. In x·x each of the two uses sends back g·x.
# They **add up** (累加) to 2x. A program that lets the second **overwrite** (覆盖) the first finds
# x: half the truth, and no error message. A word that occurs twice in a sentence reads its row of
# the **embedding** (嵌入) table twice: the same trap (G04).
#
# **中文导读** 同一个量用了两次，就有两份梯度回来，必须相加：x·x 得 2x。若后到的覆盖先到的，只得 x，
# 恰好少一半，而且不报错。句子里重复出现的词会两次读取嵌入表的同一行，道理相同。

# %%
lesson.heading("4 · A value that is used twice")
x, v = leaf(rng.uniform(0.5, 2.0, 5)), rng.normal(size=5)
adding, overwriting, rows = {}, {}, []
for n in (2, 3, 4):
    y = x
    for _ in range(n - 1):
        y = y * x
    measured = numeric_gradient(lambda at, k=n: (v * at**k).sum(), x.numpy())
    contributions = [v * x.numpy() ** (n - 1)] * n
    overwriting[n] = relative_error(measured, FORMS["F48"].mistake(contributions))
    adding[n] = relative_error(measured, by_tape := grad(y, x, v).numpy())
    gap = np.abs(by_tape - sum(contributions)).max()
    rows.append(["·".join("x" * n), f"{adding[n]:.1e}", f"{gap:.0e}", f"{overwriting[n]:.4f}"])
lesson.table(["expression", "error, adding", "tape − hand", "error, overwriting"], rows)
ids, table, g = np.array([2, 0, 2]), leaf(rng.normal(size=(4, 3))), rng.normal(size=(3, 3))
measured = numeric_gradient(lambda at: (g * at[ids]).sum(), table.numpy())
scattered = relative_error(measured, grad(F.embedding(constant(ids), table), table, g).numpy())
assigned = relative_error(measured, FORMS["G04"].mistake(ids, g, 4))
lesson.say(
    "Used k times and overwritten, only 1/k of the gradient is left. In an embedding that reads",
    f"row 2 twice, adding has an error of {scattered:.0e}, assigning one of {assigned:.2f}.",
)
right, wrong = ("adding", adding[2]), ("overwriting", overwriting[2])
lesson.agrees("accumulate", "F48: x·x, adding", right[1], wrong)
lesson.claim("overwrite", "F48: x·x, overwriting: error", wrong[1], above=right, scale="linear")
lesson.agrees("embedding", "G04: id read twice", scattered, ("assigning", assigned))

# %% [markdown]
# ## 5 · An op, and one by your own hand (自己写一个算子)
#
# An **op** is a class with two functions side by side. `forward` computes, and says what to save.
# `backward` gets g, the gradient of the output, and returns g times the local slope (vᵀJ, the
# **vector–Jacobian product**, 向量–雅可比积: J is the matrix of the slopes of every output in every
# input, and v is g). That is all the engine must know. Because `backward` is written with operators
# and `xp`, it also runs on Tensors, with a tape of its own: second derivatives come for free.
#
# What may be saved? Inputs and outputs of the op: those are on the tape. An array in between is
# not, and saved it would cut the second derivative off, so the engine refuses it. Compute the rest
# again in `backward`, or keep it as `Cached(a)` (`from tinygrad_llm.ops import Cached`): a plain
# backward reads `a`; one that is itself recorded finds None there, and computes it again.
#
# **中文导读** 一个算子就是两个并排的函数：forward 计算并说明要保存什么，
# backward 把传来的梯度 g 乘上局部斜率。backward 本身也能被记录，所以二阶导数不用另写。
# 可以保存的只有输入和输出；中间量要重新计算，或者包成 Cached。

# %%
lesson.heading("5 · An op, and one by your own hand")
lesson.source(Tanh)


class Cube(Op):
    """y = x³;  dx = g·3x²."""

    @staticmethod
    def forward(xp, x):
        return x * x * x, (x,)

    @staticmethod
    def backward(xp, g, saved, needs):
        (x,) = saved
        dx = g * 3.0 * x * x
        return dx


x = leaf([1.0, 2.0])
first = grad(apply(Cube, x).sum(), x, create_graph=True)
cube = gradcheck(lambda x: apply(Cube, x), x, name="Cube")
lesson.agrees("cube", "Cube, the op of this chapter, order 1 and 2", cube)
lesson.say(
    "The library's tanh is above; the file of this chapter has Cube, which is yours to break.",
    f"At x = 1, 2: slope {first.tolist()}, second derivative {grad(first.sum(), x).tolist()};",
    f"gradcheck (section 7) agrees to {cube:.0e}.",
)

# %% [markdown]
# ## 6 · A test that cannot fail (测不出错的测试)
#
# An output with many elements has no single slope. A test must weigh the elements by some v, the
# **cotangent** (余切向量; no kin of the cotangent of an angle), and compare vᵀJ. The lazy choice is
# ones, `y.sum().backward()`. Now take **softmax** (归一化指数函数, G02), pⱼ = e^xⱼ / Σₖ e^xₖ, which
# makes any numbers positive and their sum 1. As that sum is 1 whatever x is, its gradient is zero,
# exactly. A backward that returns zeros, always, passes that test. A drawn v catches it.
#
# **中文导读** 检验向量输出的梯度时，要给各个输出配权重 v。v 叫余切向量，与三角函数的余切无关。
# 若 v 全取 1，softmax 的输出之和恒为 1，梯度恒为零：一个永远返回零的错误实现也能通过。
# v 必须随机抽取。

# %%
lesson.heading("6 · A test that cannot fail")


class ZeroSoftmax(Softmax):
    # The forward is right, the backward is wrong: it returns zeros.
    @staticmethod
    def backward(xp, g, saved, needs):
        return g * 0.0


x = leaf(rng.normal(size=(8, 8)))
gaps = {}
for weights, v in (("ones", np.ones(x.shape)), ("drawn", rng.normal(size=x.shape))):
    measured = numeric_gradient(lambda at, v=v: (v * softmax(at)).sum(), x.numpy())
    for op in (Softmax, ZeroSoftmax):
        claimed = grad(apply(op, x, axis=-1), x, v).numpy()
        gaps[op, weights] = float(np.abs(measured - claimed).max())
rows = []
for name, op in (("right backward", Softmax), ("backward returns zeros", ZeroSoftmax)):
    rows.append([name, f"{gaps[op, 'ones']:.0e}", f"{gaps[op, 'drawn']:.0e}"])
lesson.table(["largest gap to the central difference", "v = ones", "v drawn"], rows)
try:
    gradcheck(lambda x: apply(ZeroSoftmax, x, axis=-1), x)
except GradientError as error:
    lesson.say(f"The library's own check draws v. It says: {error}.")
bar, gap = ("v = ones", gaps[ZeroSoftmax, "ones"]), gaps[ZeroSoftmax, "drawn"]
lesson.claim("hole", "a softmax whose backward is zero: gap under a drawn v", gap, above=bar)
lesson.agrees("passes", "the same under v = ones: it passes", bar[1])

# %% [markdown]
# ## 7 · Thirty functions before the judge (检验三十个函数)
#
# `gradcheck(fn, inputs, order=2)` does what the last sections did by hand: drawn cotangents, finite
# differences in float64, for the gradient and for the gradient of the gradient. It raises when an
# error exceeds 1e-6, and returns the worst error. Inputs have both signs: ReLU is max(0, x), and a
# wrong one that passes everything is right wherever x > 0. And they keep away from kinks
# (折点，即不可导点: |x| and ReLU at 0), where there is no slope to compare with.
#
# **中文导读** gradcheck 把前几节的手工检验变成一个函数：
# 随机余切向量、float64 差商、一阶和二阶导数。输入有正有负，否则“全部放行”的 ReLU 也能过关。
# 运行输出的表列出每个函数的最大误差，都应小于 1e-6。

# %%
lesson.heading("7 · Thirty functions before the judge")
named = "exp log sqrt sin tanh sigmoid relu gelu silu softplus abs softmax log_softmax logsumexp"
reductions = [F.sum, F.mean, F.var, F.std, F.max, F.prod]
of_one = {name: getattr(F, name) for name in named.split()} | {
    "x ** 3": lambda x: x**3,
    **{each.__name__: lambda x, each=each: each(x, axis=1) for each in reductions},
    "x[[1, 0, 1]]": lambda x: x[[1, 0, 1]],
    "cross_entropy": lambda x: F.cross_entropy(x, constant([2, 0])),
}
of_two = {
    "a + b": lambda a, b: a + b,
    "a - b": lambda a, b: a - b,
    "a * b": lambda a, b: a * b,
    "a / b": lambda a, b: a / b,
    "a ** b": lambda a, b: a**b,
    "a @ b.T": lambda a, b: a @ b.T,
    "maximum": F.maximum,
}


def spaced(count, signs):
    """`count` inputs (2, 3), none near 0, with no two sizes equal or nearly so."""
    values = 0.5 + 0.25 * rng.permutation(6 * count) + rng.uniform(0.0, 0.1, 6 * count)
    return [leaf(part) for part in (values * rng.choice(signs, 6 * count)).reshape(count, 2, 3)]


worst = {}
for name, fn in lesson.progress((of_one | of_two).items(), "gradcheck"):
    count, draws = 2 if name in of_two else 1, 1 if lesson.quick else 3
    signs = [1.0] if name in ("log", "sqrt", "a ** b") else [-1.0, 1.0]
    worst[name] = max(gradcheck(fn, spaced(count, signs), name=name) for _ in range(draws))
cells = [[name, f"{error:.0e}"] for name, error in worst.items()]
rows = [[*a, *b, *c] for a, b, c in zip(cells[0::3], cells[1::3], cells[2::3])]
lesson.table(["function", "error"] * 3, rows)
last = max(worst, key=worst.get)
lesson.say(f"The worst of the {len(worst)} is {last}, with a relative error of {worst[last]:.0e}.")
statement = f"the worst of {len(worst)} functions, order 1 and 2"
lesson.agrees("ops", statement, worst[last])

# %% [markdown]
# ## 8 · The slope of a slope (二阶导数)
#
# The backward pass is made of ops too, so it can be put on a tape: `create_graph=True`. The
# gradient of a gradient is the **second derivative** (二阶导数). **Newton's method** (牛顿法) uses
# it to find a minimum:
#
#     x ← x − f′(x) / f″(x),   and in several dimensions   x ← x − H⁻¹∇f
#
# with the **Hessian** (海森矩阵) H of all second derivatives. Near a minimum it doubles the
# number of right digits with each step; far from one it may leap uphill first, as its second step
# does in the figure. **Gradient descent** (梯度下降), x ← x − α∇f, needs no H, and so it is what
# large models use; but down a narrow valley it creeps.
#
# **中文导读** 反向传播本身也由算子组成，同样可以记录、再求导，得到二阶导数。牛顿法利用它，
# 接近极小点时每走一步有效数字大约翻倍（离得远时可能先跳上坡，如图）；梯度下降不需要海森矩阵，
# 但在狭长的谷里走得很慢。

# %%
lesson.heading("8 · The slope of a slope")
position, rows = 0.0, []
for step in range(6):
    at = leaf(position)
    first = grad(F.exp(at) - 2.0 * at, at, create_graph=True)
    second = grad(first, at)
    rows.append([step, f"{position:.15f}", f"{abs(position - np.log(2.0)):.0e}"])
    position -= first.item() / second.item()
lesson.say("Newton's method on eˣ − 2x, whose minimum is at ln 2:")
lesson.table(["step", "x", "distance"], rows)


# Rosenbrock's curved valley (1960), lowest at (1, 1)
def valley(x, y):
    return (1.0 - x) ** 2 + 100.0 * (y - x * x) ** 2


def value(at):
    return valley(at[0], at[1])


def gradient(at):
    at = leaf(at)
    return grad(value(at), at).numpy()


patience = 500 if lesson.quick else 2000
start = np.array([-1.2, 1.0]) + rng.uniform(-0.1, 0.1, 2)
moves = {
    "Newton": lambda at: np.linalg.solve(hessian(value, leaf(at)).numpy(), gradient(at)),
    "gradient descent": lambda at: 1e-3 * gradient(at),
}
ways = {name: [start] for name in moves}
for name, way in ways.items():
    while np.abs(way[-1] - 1.0).max() > 1e-6 and len(way) <= patience:
        way.append(way[-1] - moves[name](way[-1]))
rows = [[name, len(way) - 1, f"{np.abs(way[-1] - 1.0).max():.0e}"] for name, way in ways.items()]
lesson.say(f"Rosenbrock's valley, to within 1e-6 of the minimum, or for {patience} steps:")
lesson.table(["method", "steps", "distance at the end"], rows)
figure = plot.descent(valley, ways, ((-1.7, 1.7), (-4.2, 2.5)), "Two ways to the minimum at (1, 1)")
lesson.figure(figure, "newton")

by_tape = hessian(value, leaf(start)).numpy()
slopes = [lambda at: gradient(at)[0], lambda at: gradient(at)[1]]
quotients = [lambda at, i=i: numeric_gradient(value, at)[i] for i in (0, 1)]
rows = [[numeric_gradient(each, start) for each in pair] for pair in (slopes, quotients)]
once, twice = (relative_error(by_tape, np.array(pair)) for pair in rows)
few, bar = len(ways["Newton"]) - 1, ("gradient descent, cut off there", patience)
lesson.claim("newton", "Newton: steps to the minimum", few, below=bar, scale="count")
bar = ("differences of differences", twice)
lesson.agrees("hessian", "Hessian against differences of gradients", once, bar)

# %% [markdown]
# ## 9 · Broadcasting backwards is a sum (广播的反向是求和)
#
# A **bias** (偏置) b of shape (K,) is added to every row of a **batch** (批) XW of shape (N, K). It
# was used N times, so by section 4 its gradient is the sum over the rows. F11 and F12 print
# b ← b − αδ. With one sample that is right. With a batch δ has shape (N, K), and here NumPy's own
# broadcasting turns against you: b − αδ is no error, b silently becomes a matrix. The mend:
# ∂L/∂b = Σₙ Δₙ (G03).
#
# **中文导读** 偏置被加到一批里的每一行，等于用了 N 次，所以梯度要按行求和。
# F11、F12 原文的 b ← b − αδ 只对单个样本成立；对一批样本，NumPy 会悄悄把 b 广播成矩阵，也不报错。

# %%
lesson.heading("9 · Broadcasting backwards is a sum")
X, W, b = rng.normal(size=(5, 3)), rng.normal(size=(3, 2)), leaf(rng.normal(size=2))
v = rng.normal(size=(5, 2))  # ∂L/∂Z
(constant(X) @ constant(W) + b).backward(v)
measured = numeric_gradient(lambda at: (v * (X @ W + at)).sum(), b.numpy())
printed = FORMS["F11"].printed(v)
summed, one_row = (relative_error(measured, each) for each in (b.grad.numpy(), v[0]))
rows = [
    ["F11 as printed: δ", printed.shape, "not a gradient of b"],
    ["δ of one sample", v[0].shape, f"{one_row:.2f}"],
    ["F11 mended: Σ over the rows", b.grad.shape, f"{summed:.0e}"],
]
lesson.table(["gradient of b, which is (2,)", "shape", "error"], rows)
lesson.say(f"As printed, b − αδ has shape {(b.numpy() - 0.1 * printed).shape}: no error, no bias.")
lesson.agrees("bias", "F11: Σ over the batch", summed, ("δ of one sample", one_row))

# %% [markdown]
# ## 10 · In place, and off the tape (原地修改与 no_grad)
#
# Backward needs what forward saved. Writing over it, an **in-place change** (原地修改), would make
# the gradient wrong without a word. So every memory counts its versions, and the tape compares
# them. What belongs outside the tape, such as the update of a weight, goes under `no_grad()`.
#
# **中文导读** 反向传播要用到前向保存的值。把它们改掉，梯度就悄悄错了。所以引擎给每块内存记版本号，
# 改过就报错。更新参数这类不该记录的操作，放在 no_grad() 里。

# %%
lesson.heading("10 · In place, and off the tape")


def complaint(action):
    """What the engine says against `action`."""
    try:
        action()
    except (RuntimeError, FloatingPointError) as error:
        return str(error)
    return "nothing"


x = leaf([0.0, 1.0])
y = F.exp(x)
with no_grad():
    y[0] = 5.0
lesson.say("Change a saved value, then run backward:", complaint(y.sum().backward))
lesson.say("Change a leaf while the tape listens:", complaint(lambda: x.__setitem__(0, 5.0)))
square = (x * x).sum()
square.backward()
lesson.say("Run backward twice:", complaint(square.backward))

# %% [markdown]
# ## 11 · What stays in memory (什么会留在内存里)
#
# `.grad` **accumulates** (梯度累积) over calls of `backward`: section 4 again, over calls. That is
# useful for a large batch in pieces, and a classic mistake in a training loop: set `.grad` to None
# before each step. The second trap: a loss holds its whole tape. Keep a list of losses "for a
# plot", and you keep every array that an op has saved, of every step. Keep `loss.item()`, a number.
#
# **中文导读** 多次调用 backward，.grad 会一直累加；训练循环里每步之前要清空。另一个陷阱：
# loss 连着整张计算图，把每步的 loss 存进列表，就把每步保存的中间结果全留在了内存里。

# %%
lesson.heading("11 · What stays in memory")
rows = []
for clear in (True, False):
    w = leaf(0.0)
    for _ in range(30):
        w.grad = None if clear else w.grad
        ((w - 3.0) ** 2).backward()
        with no_grad():
            w -= 0.1 * w.grad
    rows.append(["cleared" if clear else "never cleared", f"{abs(w.item() - 3.0):.4f}"])
lesson.table([".grad before each step", "distance from the minimum after 30 steps"], rows)

batch, W = constant(rng.normal(size=(256, 64))), leaf(rng.normal(size=(64, 64)))
losses = [F.tanh(batch @ W).mean() for _ in range(20)]
saved = {id(a): a for loss in losses for node in plot.tape(loss) for a in node.saved}
arrays = [a for a in saved.values() if type(a) is type(batch.data)]
kept, numbers = sum(a.nbytes for a in arrays), sys.getsizeof(0.0) * len(losses)
alive = f"{len(arrays)} arrays alive, {kept / 2**20:.1f} MiB"
lesson.say(f"A list of 20 losses keeps {alive}. 20 numbers take {numbers} bytes.")
lesson.claim("memory", "bytes that 20 losses keep", kept, above=("20 numbers", numbers))

# %% [markdown]
# ## 12 · Where NaN comes from (NaN 从哪里来)
#
# **NaN** is "not a number": 0/0, ∞ − ∞, 0·∞. One NaN in a loss poisons every weight. Its usual
# sources are an overflow (溢出) in exp, and a branch of `where` that was not taken: forward ignores
# log 0, but backward multiplies its slope 1/0 by 0. The mend is to make the input of the dangerous
# branch safe before it is used. `detect_anomaly()` (异常检测) names the op and the line.
#
# **中文导读** NaN 常见来源：exp 溢出后相减相除；where 中没有选中的分支，前向不看它，
# 反向却要算 0 乘无穷。办法是先把危险分支的输入换成安全值。detect_anomaly 会指出是哪个算子、哪一行。

# %%
lesson.heading("12 · Where NaN comes from")


def careless(x):
    return F.where(x > 0.0, F.log(x), 0.0)


def careful(x):
    return F.where(x > 0.0, F.log(F.where(x > 0.0, x, 1.0)), 0.0)


cases = {
    "where(x > 0, log x, 0)": (careless, [0.0, 1.0]),
    "the same, log of a safe x": (careful, [0.0, 1.0]),
    "eˣ / Σ eˣ": (lambda x: (F.exp(x) / F.exp(x).sum())[0], [1000.0, 0.0]),
    "softmax, shifted by max x": (lambda x: F.softmax(x)[0], [1000.0, 0.0]),
}


rows = []
with np.errstate(all="ignore"):
    for name, (fn, at) in cases.items():
        x = leaf(at)
        y = fn(x).sum()
        rows.append([name, str(at), str(y.item()), str(grad(y, x).tolist())])
    with detect_anomaly():
        found = complaint(lambda: careless(leaf([0.0, 1.0])).sum().backward())
lesson.table(["function", "x", "value (sum)", "gradient"], rows)
lesson.say("detect_anomaly says:", found.replace(str(Path(__file__).parent), "…"))

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np` and
# `from tinygrad_llm.ops import Op`, and grade them: `python -m chapters check 01 my_solution.py`.
# For each one that fails you get the smallest input that shows it.
# Answers are in `chapters/solutions/`; try first.
#
# 1. `softplus_gradient(x)`: the derivative of ln(1 + eˣ), elementwise, for an array x of any shape
#    and any size of numbers. No NaN at x = 1000.
#    softplus 的导数，逐元素计算；x 很大时也不能出现 NaN。
# 2. `central_difference(f, x, h)`: f maps an array to one number. Return the array, shaped like x,
#    of (f(x + h) − f(x − h)) / 2h for each element. Leave x as it was.
#    逐个元素求中心差商，返回与 x 同形状的数组，不得改动 x。
# 3. `backward(tape)`: a tape is a list of nodes; node i is a list of pairs (j, slope): it used the
#    earlier node j, and ∂(node i)/∂(node j) along this use is slope. A leaf is []. Return the list
#    of derivatives of the last node in every node. x·x at x = 3 is [[], [(0, 3.0), (0, 3.0)]], and
#    the answer [6.0, 1.0].
#    倒着读计算图：求最后一个结点对每个结点的导数；一个结点用了几次，就累加几次。
# 4. `unbroadcast(g, shape)`: an array of `shape` was broadcast to the shape of g. Return the
#    gradient of the array, of its shape.
#    广播的反向：把 g 求和，还原成广播之前的形状。
# 5. `class Swish(Op)`: y = x·σ(x), where σ(x) = 1/(1 + e⁻ˣ), with forward and backward as in
#    section 5. Its second derivative is tested too. Which values may it save? (Section 5 says.)
#    自己写一个算子，二阶导数也会检验；哪些量可以保存，见第 5 节。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
