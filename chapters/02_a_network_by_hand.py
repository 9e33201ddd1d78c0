"""Chapter 02: layers, a network by hand, what trains it, and what to look at when it does not."""

# %% [markdown]
# # Chapter 02 · A network by hand (MLP) (手写一个神经网络)
#
# Chapter 01 could find the gradient of anything, but had nothing worth training. This chapter
# builds the first thing that is: a network that reads handwritten digits. First you work out every
# gradient of a small network with pencil and paper, in a dozen lines of NumPy, and hold each line
# against the tape and against finite differences. Then the library does the same, and you find out
# what makes a network learn and what stops it.
#
# **中文导读** 第 1 章能求任何表达式的梯度，但还没有值得训练的东西。本章造出第一个：
# 识别手写数字的网络。先用十来行 NumPy 亲手写出一个两层网络的全部梯度，逐行与自动求导、与差商对照；
# 再换成库里的模块，看什么让网络学得动，什么让它学不动。
#
# Run it from the root of the repository: `python chapters/02_a_network_by_hand.py`. `--quick` does
# less, `--seed 3` draws other numbers. As in chapter 01, F07 and the like are formulas of the five
# articles that the course grew out of ("the documents"), "as printed" is as they have them, and G02
# and the like are what they leave out; `python -m tinygrad_llm.formulas F07 F08` shows two.

# %%
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the folder where `chapters` lies

from chapters.lesson import begin
from tinygrad_llm import Tensor, data, diagnostics, grad, models, nn, no_grad, optim, plot
from tinygrad_llm import functional as F
from tinygrad_llm.files import save_safetensors
from tinygrad_llm.formulas import FORMS, numeric_gradient, relative_error
from tinygrad_llm.formulas.initialization import he_variance, xavier_variance
from tinygrad_llm.formulas.networks import draw_layers
from tinygrad_llm.formulas.neuron import relu, sigmoid, softmax

lesson = begin(__file__, seconds=(30, 8))
rng = lesson.rng


def leaf(array):  # a float64 tensor that asks for its gradient
    return Tensor(np.array(array, dtype=float), requires_grad=True, device=lesson.device)


def constant(array):  # a tensor that asks for none
    return Tensor(array, device=lesson.device)


# %% [markdown]
# ## 1 · From a neuron to a layer (从神经元到层)
#
# A neuron gives one number: act(Σᵢ wᵢxᵢ + b). Take H neurons that read the same x, write their
# weights as the columns of a matrix W and their biases as a row b: a **layer** (层). Take N
# samples, one a row of X, and one line computes all of them:
#
#     A = act(XW + b)        (N, in) @ (in, out) + (out,) -> (N, out)
#
# act is the **activation** (激活函数), a function applied to each number alone:
#
#     σ(z) = 1/(1 + e⁻ᶻ)                    the sigmoid: any number into 0 … 1, and 0 into ½
#     tanh z = (eᶻ − e⁻ᶻ)/(eᶻ + e⁻ᶻ)        any number into −1 … 1; near 0 it is almost z
#     ReLU(z) = max(0, z)                   negative numbers become 0, the others pass
#
# Without it two layers would be one: (XW₁ + b₁)W₂ + b₂ is again some XW + b.
#
# A **multilayer perceptron** (多层感知机), or MLP, is layers one after the other; those between
# the input and the output are **hidden layers** (隐藏层). Running it is the **forward
# pass** (前向传播): a₀ = x, aₗ = act(aₗ₋₁Wₗ + bₗ), and no act at the output: what comes out there
# depends on the task (section 3). F02 and F44 print the formula of one neuron and call it the
# network. F21 prints layers, but puts the last bias into the last hidden layer, and the output has
# none.
#
# Work one out before you run it, with x = (1, 2) and ReLU:
#
#     W₁ = [[½, −1, ¼], [¼, ½, −1]]    b₁ = (0, ½, 1)    W₂ = [[½], [1], [3]]    b₂ = −¼
#
#     z = (½ + ½ + 0, −1 + 1 + ½, ¼ − 2 + 1) = (1, ½, −¾)
#     h = (1, ½, 0)
#     y = ½ + ½ + 0 − ¼ = ¾
#
# Halves and quarters are exact in binary: the program must say ¾, to the last bit.
#
# **中文导读** 一个神经元只给出一个数。许多神经元读同一个输入，权重排成矩阵的列，就是一层；
# 层层相接就是多层感知机。样本排成行，一次矩阵乘法算完一批。
# F02、F44 把单个神经元的公式当成了整个网络，F21 把最后一层的偏置放错了位置。先手算上面的例子，
# 再看程序。

# %%
lesson.heading("1 · From a neuron to a layer")


def forward(x, weights, biases, act):
    """F02, F21: `act` after every layer but the last. x (N, in) -> (N, out)."""
    for W, b in zip(weights[:-1], biases):
        x = act(x @ W + b)
    return x @ weights[-1] + biases[-1]


weights = [np.array([[0.5, -1.0, 0.25], [0.25, 0.5, -1.0]]), np.array([[0.5], [1.0], [3.0]])]
biases, x = [np.array([0.0, 0.5, 1.0]), np.array([-0.25])], np.array([[1.0, 2.0]])
y, alone = forward(x, weights, biases, relu), FORMS["F44"].printed(x[0], weights[0][:, 0], 0.0)
lesson.say(f"forward: {y.item()}. F02 and F44 as printed, one neuron: {alone.item()}.")
X, even = rng.normal(size=(6, 3)), draw_layers(rng, (3, 4, 4, 4))
off = np.abs(FORMS["F21"].printed(X, *even) - forward(X, *even, sigmoid)).max()
lesson.say(f"F21 as printed, widths 3-4-4-4: no complaint, and outputs off by up to {off:.2f}.")
gap, bar = abs(y.item() - 0.75), ("F44", abs(alone.item() - 0.75))
lesson.claim("forward", "forward pass less the fractions: gap", gap, below=bar, scale="linear")
lesson.claim("F21", "F21 as printed, equal widths: gap", off, above=("rounding", 1e-12))

# %% [markdown]
# ## 2 · Every gradient by hand (手算全部梯度)
#
# The heart of the chapter. Two layers, N samples, widths D, H, K, and the loss is the mean over the
# rows of ½‖y − t‖², where ‖ ‖² is the sum of the squares. ⊙ multiplies element by element, and
# ∂L/∂W has the slope of L in each weight at that weight's place:
#
#     Z₁ = XW₁ + b₁    A = tanh Z₁    Z₂ = AW₂ + b₂    Y = σ(Z₂)    L = 1/(2N) Σ (Y − T)²
#      (N, H)           (N, H)         (N, K)           (N, K)        one number
#
# Write Δ for the gradient in a layer's Z, its **error signal** (误差信号). Go backwards:
#
#     Δ₂ = (Y − T)/N ⊙ Y(1 − Y)       the slope of L in Y, times the slope of σ            F07
#     ∂L/∂W₂ = AᵀΔ₂,   ∂L/∂b₂ = Σₙ Δ₂                                                  F09, F11
#     Δ₁ = (Δ₂W₂ᵀ) ⊙ (1 − A²)         back along the weights, times the slope of tanh      F08
#     ∂L/∂W₁ = XᵀΔ₁,   ∂L/∂b₁ = Σₙ Δ₁                                                  F10, F12
#
# **Why the transpose?** Because of who feeds whom. Forward, hidden unit h goes into output k with
# the weight W₂[h, k]: the output *collects*, a sum over h. So a nudge of unit h moves every output
# k, each by W₂[h, k]. What L feels of that nudge is Σₖ Δ₂[n, k]·W₂[h, k]: each output sends its
# share of the blame back along the very weight by which it was fed, and now the unit collects, a
# sum over k. By the rule of the matrix product that sum is entry (n, h) of Δ₂W₂ᵀ: the same table of
# weights, summed over its other index. And AᵀΔ₂? The weight W₂[h, k] is used once by each sample,
# between A[n, h] and Δ₂[n, k], and uses add up (chapter 01, section 4): Σₙ A[n, h]·Δ₂[n, k], entry
# (h, k) of AᵀΔ₂.
#
# Shapes say the same. A gradient has the shape of what it belongs to, and from (N, K) and (H, K)
# only Δ₂W₂ᵀ makes (N, H). That is a fine check, but only while H ≠ K: on a square layer Δ₂W₂ fits
# too. It is wrong, and nothing complains. So the table below is made twice.
#
# In the documents σ′ enters Δ₂ twice (F07), F08 repeats factors and has no transpose, F09 and F10
# are transposed beside the documents' own z = Wx, and F11 and F12 forget that a batch has many rows
# and one bias. (In the tables "as printed" holds them against our rows, XW, where F09 and F10 are
# right; "for z = Wx" holds these two against the gradient of a W of shape (out, in), as the
# documents write it.) One rule they leave out: all four updates use the weights from before the
# step. Change W₂ first, and Δ₁ comes out wrong.
#
# **中文导读** 本章的核心：两层网络的每个梯度都手写出来。为什么要转置？前向时，
# 输出 k 沿权重 W[h,k] 收集各隐藏单元 h 的值，对 h 求和；所以动一动单元 h，
# 每个输出 k 都跟着动 W[h,k]。反向时，每个输出把自己那一份误差沿原来的权重送回去，
# 隐藏单元对 k 求和：同一张权重表，换一个下标求和，这就是 ΔWᵀ。而 AᵀΔ 是对样本求和：
# 每个样本都用了一次同一个权重，用几次就累加几次。形状也能提示，但方阵时写错了形状照样对得上，
# 不会报错，所以下表做两次。

# %%
lesson.heading("2 · Every gradient by hand")


def by_hand(X, T, p):
    """The gradient of L in Z₂, W₂, b₂, Z₁, W₁, b₁; then A and Y."""
    Z1 = X @ p["W1"] + p["b1"]  # (N, D) @ (D, H) + (H,) -> (N, H)
    A = np.tanh(Z1)  # (N, H)
    Z2 = A @ p["W2"] + p["b2"]  # (N, H) @ (H, K) + (K,) -> (N, K)
    Y = sigmoid(Z2)  # (N, K)
    D2 = (Y - T) / len(X) * Y * (1.0 - Y)  # (N, K); the 1/N of the mean is in here, once for all
    dW2 = A.T @ D2  # (H, N) @ (N, K) -> (H, K)
    db2 = D2.sum(axis=0)  # (K,)
    D1 = (D2 @ p["W2"].T) * (1.0 - A * A)  # (N, K) @ (K, H) -> (N, H), times tanh′
    dW1 = X.T @ D1  # (D, N) @ (N, H) -> (D, H)
    db1 = D1.sum(axis=0)  # (H,)
    return {"Z2": D2, "W2": dW2, "b2": db2, "Z1": D1, "W1": dW1, "b1": db1}, A, Y


def loss_of(X, T, p, tanh=np.tanh, sigmoid=sigmoid):
    """L, of arrays or of tensors. p["Z1"], p["Z2"] are zeros: to move them is to move Z₁, Z₂."""
    A = tanh(X @ p["W1"] + p["b1"] + p["Z1"])
    Y = sigmoid(A @ p["W2"] + p["b2"] + p["Z2"])
    return ((Y - T) ** 2).sum() / (2.0 * len(X))


def measure(X, T, p, name):
    """The gradient of L in p[name] by central differences."""
    return numeric_gradient(lambda a: loss_of(X, T, p | {name: a}), p[name])


def verdict(truth, form, arguments):
    """The error of a formula as printed, or what is wrong with its shape."""
    try:
        claimed = form(*arguments)
    except ValueError:
        return "does not fit"
    fits = claimed.shape == truth.shape
    return relative_error(truth, claimed) if fits else f"{claimed.shape} for {truth.shape}"


worst, keys = (0.0, 0.0), ("F07", "F09", "F11", "F08", "F10", "F12")
for D, H, K in ((3, 4, 2), (3, 3, 3)):
    shapes = {"Z2": (5, K), "W2": (H, K), "b2": (K,), "Z1": (5, H), "W1": (D, H), "b1": (H,)}
    p = {name: rng.normal(size=shape) * ("Z" not in name) for name, shape in shapes.items()}
    X, T, rows = rng.normal(size=(5, D)), rng.uniform(size=(5, K)), []
    g, A, Y = by_hand(X, T, p)
    t = {name: leaf(array) for name, array in p.items()}
    loss = loss_of(constant(X), constant(T), t, F.tanh, F.sigmoid)
    tape = dict(zip(t, (each.numpy() for each in grad(loss, [*t.values()]))))
    dY, slope = ((Y - T) / 5.0).ravel(), np.diag((Y * (1.0 - Y)).ravel())
    given = [(dY, slope), (A, g["Z2"]), (g["Z2"],), (g["Z2"], p["W2"], 1.0 - A * A)]
    for name, key, arguments in zip(p, keys, [*given, (X, g["Z1"]), (g["Z1"],)]):
        truth = measure(X, T, p, name)
        errors = [relative_error(truth, each[name]) for each in (g, tape)]
        theirs = [truth, truth.T] if "W" in name else [truth.ravel() if name == "Z2" else truth]
        cells = [verdict(each, FORMS[key].printed, arguments) for each in theirs]
        rows.append([key, name, *map("{:.0e}".format, errors), *cells, ""][:6])
        worst = [max(pair) for pair in zip(worst, errors)]
    lesson.table([f"{D}-{H}-{K}", "∂L/∂", "by hand", "by tape", "as printed", "for z = Wx"], rows)
bare = relative_error(g["Z1"], (g["Z2"] @ p["W2"]) * (1.0 - A * A))
late = relative_error(g["Z1"], (g["Z2"] @ (p["W2"] - g["W2"]).T) * (1.0 - A * A))
lesson.say("The numbers are errors against central differences, as parts of the largest entry.")
lesson.say(f"3-3-3: Δ₁ from Δ₂W₂ is off by {bare:.2f}, from a W₂ updated too early by {late:.3f}.")
lesson.agrees("hand", "six gradients by hand", worst[0], ("no transpose", bare))
lesson.agrees("tape", "the same by the tape", worst[1], ("no transpose", bare))
for i, column, text in ((0, 4, "F07 as printed"), (3, 4, "F08 as printed"), (4, 5, "F10, z = Wx")):
    lesson.claim(keys[i], text, rows[i][column], above=("hand", worst[0]))

# %% [markdown]
# **What does a finite difference prove?** That at *these* inputs the code computes the slope of
# *this* function, to about nine digits. It cannot prove that the function is the one you meant:
# the gradient of a wrong loss can be perfectly right (section 3). It says nothing about inputs
# that were not drawn, about branches that they did not take, or about float32. So draw inputs of
# both signs and more than one shape, a square one and one that is not, and test the values of the
# forward pass on their own, as section 1 did.
#
# Now let the gradients move something. α is the **learning rate** (学习率), and a
# **step** (更新步) is W ← W − α ∂L/∂W, the same for every parameter. The program below does it
# twice, by hand with NumPy and by `backward` with `optim.SGD`, and compares where L ends. The loop
# in `descend` is that of every training in this course: forget the old gradients, run forward, run
# backward, step.
#
# **中文导读** 差商证明什么？证明在这些输入上，代码算出的确是“这个函数”的斜率。
# 它不能证明这个函数就是你想要的：损失写错了，梯度照样可以“正确”。它也管不到没有抽到的输入和分支。
# 下面用这些梯度真正更新权重：手算一遍，自动求导一遍，最后比较。
# descend 里的循环就是以后所有训练的循环：清梯度、前向、反向、更新。


# %%
def descend(optimizer, loss, batches):
    """The loop of every training: one step for each batch; the losses before the steps."""
    losses = []
    for batch in batches:
        optimizer.zero_grad()  # .grad accumulates
        value = loss(*batch)
        value.backward()
        optimizer.step()
        losses.append(value.item())
    return losses


weights = ("W2", "b2", "W1", "b1")
sgd, x, targets = optim.SGD([t[name] for name in weights], lr=1.0), constant(X), constant(T)
losses = descend(sgd, lambda: loss_of(x, targets, t, F.tanh, F.sigmoid), [()] * 301)
for _ in range(300):
    g, _, _ = by_hand(X, T, p)
    p = p | {name: p[name] - 1.0 * g[name] for name in weights}
end, start, same = loss_of(X, T, p), *losses[::300]
lesson.say(f"300 steps: L = {start:.4f} → {end:.6f} by hand, {same:.6f} by the tape and optim.SGD.")
lesson.claim("descent", "300 steps by hand: loss", end, below=("start", start))

# %% [markdown]
# ## 3 · Output and loss belong together (输出与损失要配套)
#
# F06 ends every network in the same act. But the output must be able to *say* the answer:
#
#     task                        output          loss                       Δ at the output
#     regression (回归)            linear: Y = Z   MSE (均方误差), F46         2(Y − T)/(NK)
#     yes or no                   sigmoid         binary cross-entropy, F23   (Y − T)/N
#     one of V classes (分类)      softmax: P      cross-entropy, F47          (P − Y)/N
#
# N rows, K outputs (one for yes or no). MSE = 1/(NK) Σ (Y − T)², the mean over rows and outputs;
# section 2 had 1/(2N) in place of 1/(NK), which scales Δ too and moves no minimum. Z before the
# softmax are the **logits** (未归一化分数), and the softmax makes probabilities of them, pⱼ = e^zⱼ
# / Σₖ e^zₖ. **Cross-entropy** (交叉熵) is −ln of the probability that the right class got, the mean
# over the rows; binary, with p = σ(z): −[t ln p + (1 − t) ln(1 − p)]. Each loss fits its output: Δ
# is a multiple of the plain difference (G02). In one row with the loss l,
#
#     softmax, c the right class   l = −ln p_c = −z_c + ln Σₖ e^zₖ
#                                  ∂l/∂zⱼ = e^zⱼ / Σₖ e^zₖ − yⱼ = pⱼ − yⱼ,  y_c = 1, the other y = 0
#     sigmoid                      ∂l/∂p = (p − t) / (p(1 − p)),  ∂p/∂z = p(1 − p)
#                                  ∂l/∂z = p − t
#
# and the mean over N rows brings the 1/N. The slope of sigmoid and softmax cancels; the linear
# output has slope 1, and there is nothing to cancel.
#
# Put a ReLU at the output of a regression (F44), and no negative target can be reached; once the
# output is 0 for every sample, so is its slope, and the neuron stays there for ever. F47 as printed
# forgets to sum over the classes. And to treat the softmax as if each output hung on its own logit
# alone, with p(1 − p) for a slope, is the usual mistake of those who derive (P − Y)/N for the first
# time.
#
# A number to remember: with all logits equal every class has probability 1/V, and so the loss is
# ln V. A network that has not learned yet should start near it. And logits in the thousands must
# not overflow: subtract the largest of the row first, which changes no probability.
#
# **中文导读** 输出要能“说出”答案，损失要与输出配套：回归用线性输出加均方误差，
# 分类用 softmax 加交叉熵。配对得当，输出处的误差信号就是“预测减目标”再乘一个常数（分类时是 1/N）。
# 回归的输出若用 ReLU，负的目标永远达不到，而且梯度恰为零，再也学不动。
# V 个类别全猜一样时损失是 ln V：没训练的网络应从这附近开始。

# %%
lesson.heading("3 · Output and loss belong together")


def fit_line(act, x, targets):
    """Descend on the MSE of act(wx + b) -> at the end the MSE, and its slope in w."""
    w, b = leaf(rng.normal()), leaf(rng.normal())
    optimizer, x, targets = optim.SGD([w, b], lr=0.2), constant(x), constant(targets)
    losses = descend(optimizer, lambda: ((act(w * x + b) - targets) ** 2).mean(), [()] * 101)
    return losses[-1], w.grad.item()


x, rows = rng.uniform(-1.0, 1.0, 32), []
for name, targets in (("y = 2x − 1", 2.0 * x - 1.0), ("y = −1", np.full(32, -1.0))):
    for output, act in (("linear", nn.Identity()), ("ReLU", F.relu)):
        rows.append([name, output, *fit_line(act, x, targets)])
lesson.table(["target", "output", "MSE after 100 steps", "slope in w"], rows)
lesson.claim("regression", "y = 2x − 1, linear output: MSE", rows[0][2], below=("the aim", 1e-4))
lesson.claim("relu", "y = −1, ReLU: MSE", rows[3][2], above=("linear", rows[2][2]), scale="linear")

Z, ids = 2.0 * rng.normal(size=(6, 10)), rng.integers(10, size=6)
P, Y = softmax(Z), np.eye(10)[ids]
truth = numeric_gradient(lambda Z: FORMS["F47"].corrected(softmax(Z), Y), Z)
good, bad = (relative_error(truth, g) for g in ((P - Y) / 6.0, FORMS["G02"].mistake(Z, Y)))
same, huge = (F.cross_entropy(constant(k * Z), constant(ids)).item() for k in (0.0, 1000.0))
lesson.say(f"(P − Y)/N is off by {good:.0e}, p(1 − p) by {bad:.2f}. ln 10 = {np.log(10.0):.9f}.")
lesson.say(f"Cross-entropy of equal logits: {same:.9f}; of logits in the thousands: {huge:.0f}.")
lesson.agrees("softmax", "G02: (P − Y)/N", good, ("p(1 − p)", bad))

# %% [markdown]
# ## 4 · From functions to modules (从函数到模块)
#
# A dictionary of arrays was fine for two layers. For more, put the parameters and the function
# that uses them into one object: a **module** (模块). It may hold other modules; whatever is a
# `Parameter` or a `Module` among its attributes belongs to it, so that an optimizer, a file or a
# summary can find all of it by name.
#
# The weights by name are the **state dict** (状态字典): copy it, save it, load it into another
# module of the same shapes. One trap here is silent. Our weights are (in, out), for Y = XW + b;
# PyTorch's are (out, in). Where in ≠ out the wrong way round does not fit. A square matrix does.
# So our files carry a tag, `layout`, and a file without a tag is refused until you say which it
# is.
#
# **中文导读** 把参数和用到它们的函数放进一个对象，就是模块；模块里还能有模块，参数按名字找得到。
# 按名字排好的全部权重叫状态字典，可以保存和加载。有个无声的陷阱：本库的权重是“入×出”，
# PyTorch 是“出×入”；方阵放反了不会报错，结果却全错。所以文件里带 layout 标记，
# 没有标记就要求你说明。

# %%
lesson.heading("4 · From functions to modules")


class Affine(nn.Module):  # Y = XW + b
    def __init__(self, n_in, n_out):
        self.weight = nn.Parameter(rng.normal(0.0, n_in**-0.5, (n_in, n_out)))
        self.bias = nn.Parameter(np.zeros(n_out))

    def forward(self, x):
        return x @ self.weight + self.bias


model = nn.Sequential(Affine(64, 128), nn.Tanh(), Affine(128, 10))
found = [f"{name} {parameter.shape}" for name, parameter in model.named_parameters()]
lesson.say(f"Affine, tanh, Affine finds its parameters: {', '.join(found)}. From the library:")
print(models.MLP([64, 128, 10], "tanh").summary(np.zeros((64, 64), np.float32)) + "\n")
model, x = models.MLP([8, 8, 8]).to(lesson.device), constant(np.eye(8, dtype=np.float32))
wanted, gaps = model(x).numpy(), {}
with tempfile.TemporaryDirectory() as folder:
    ours, theirs = Path(folder, "ours.safetensors"), Path(folder, "torch.safetensors")
    nn.save_weights(model, ours)
    save_safetensors(theirs, {name: p.numpy().T for name, p in model.named_parameters()})
    for path, layout in ((ours, None), (theirs, "torch"), (theirs, "in_out")):
        nn.load_weights(model, path, layout)
        gaps[f"{path.name}, layout={layout!r}"] = np.abs(model(x).numpy() - wanted).max()
lesson.table(["loaded from", "gap of the outputs"], [[k, f"{gap:.2g}"] for k, gap in gaps.items()])
_, right, wrong = gaps.values()
lesson.claim("layout", "square weights the wrong way round: gap", wrong, above=("right", right))

# %% [markdown]
# ## 5 · What a hidden layer is for: XOR (异或)
#
# XOR is 1 where exactly one of two bits is 1. Without a hidden layer the boundary is a straight
# line, and no line parts {01, 10} from {00, 11}. Suppose one did, with z = w₁x₁ + w₂x₂ + b: then b
# and w₁ + w₂ + b are not positive, so their sum w₁ + w₂ + 2b is not. But it is also the sum of b +
# w₁ and b + w₂, which are positive. At best 3 of 4 are right. A hidden layer bends the plane
# first.
#
# Some weights of two hidden units solve it; does descent find them? F26 says that repeating to
# convergence gives the optimal θ. It gives a place where the slope is nearly zero, and that need
# not be the lowest: an MLP's loss is **non-convex** (非凸), with valleys and plateaus. Fifteen
# networks of each width try; the table has the highest loss at which one ended, and the steepest
# slope there. A loss near 0.35 = ½ ln 2 is such a plateau: two points right, two undecided.
#
# **中文导读** 异或不能用一条直线分开：没有隐藏层时，四个点最多对三个。有了隐藏层就可以。
# 两个隐藏单元原则上够用，但梯度下降未必找得到：F26 说“收敛即最优”，
# 实际只能保证走到斜率近乎零的地方。单元多一些，路就多一些。

# %%
lesson.heading("5 · What a hidden layer is for: XOR")
bits, wanted = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]]), np.float32([[0], [1], [1], [0]])
lines = bits @ rng.normal(size=(2, 10_000)) + rng.normal(size=10_000)
best, x, t = ((lines > 0.0) == wanted).sum(axis=0).max(), constant(bits), constant(wanted)


def learn_xor(width):
    """Train one network -> its loss, the norm of its steepest gradient, how many are right."""
    model = models.MLP([2, width, 1], "tanh").to(lesson.device)
    sgd = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    loss = descend(sgd, lambda: F.binary_cross_entropy_with_logits(model(x), t), [()] * 200)[-1]
    right = ((model(x).numpy() > 0.0) == wanted).sum()
    return loss, max(diagnostics.gradient_norms(model).values()), right


won, rows = {}, []
for width in (2, 8):
    runs = [learn_xor(width) for _ in lesson.progress(range(15), f"XOR, width {width}")]
    won[width] = sum(right == 4 for _, _, right in runs)
    rows.append([width, f"{won[width]} of 15", *(f"{each:.2g}" for each in max(runs)[:2])])
lesson.table(["hidden units", "networks with all four right", "highest loss", "its slope"], rows)
lesson.claim("line", "XOR by a line: right of 4", best, below=("hidden layer", 4), scale="count")
lesson.claim("xor", "XOR, 8 units: solved of 15", won[8], above=("2 units", won[2]), scale="count")

# %% [markdown]
# ## 6 · The step (更新的一步)
#
# Backpropagation finds the gradient; what to do with it is the affair of an
# **optimizer** (优化器). The two are often mixed up. With g the gradient in the weights:
#
#     SGD       w ← w − α g                              F13, F51
#     momentum  v ← μ v + g,   w ← w − α v
#     Adam      m ← β₁m + (1 − β₁)g,  v ← β₂v + (1 − β₂)g²            F14, F15
#               w ← w − α m̂/(√v̂ + ε),  m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)      F16–F18
#
# SGD is **stochastic gradient descent** (随机梯度下降): g from one sample, or a few, drawn anew
# for each step. **Momentum** (动量) adds up what gradients have in common and cancels what changes
# sign. **Adam** divides by the size that g usually has, so that every weight moves about α a step.
# m and v begin at 0 and are too small at first, v the more so: after one step m is a tenth of g,
# but √v only √0.001 = 0.032 of |g|. Without a correction the first step would be 0.1/0.032 = 3.16
# times α: too large. The division by 1 − βᵗ takes that out, and the first step is −α·sign(g), but
# for ε.
#
# F13 prints the gradient in the input, ∇ₓL, and F14 and F15 feed Adam with the same wrong variable.
# In one dimension the shapes agree, and nothing warns. But the slope of L in x is w·dz, with dz the
# slope in z = wx: w itself is a factor of its own step, w ← w(1 − α·dz). Near w = 0, dz = σ(0) − t
# is ½ or −½, here as often the one as the other, and with α = ½ a step multiplies w by ¾ or by 1¼,
# the two together by 15/16 < 1: w shrinks. At w = 0 it stops, and the loss there is ln 2 = 0.693,
# that of a guess; in the table below this is where it ends.
#
# How large may α be? In a valley ½λw² a step multiplies w by 1 − αλ: beyond α = 2/λ it overshoots
# farther than it came. λ is the **curvature** (曲率); the steepest direction sets the limit, and
# the flattest has to live with it (F70, F84). The last table and the figure have the loss ½(w₁² +
# 100w₂²): there 2/λ is 0.02, and α = 0.021 diverges. Momentum and Adam get farther in the end.
#
# **中文导读** 反向传播只求梯度，怎样走一步是优化器的事，两者常被混为一谈。动量累加各步一致的方向；
# Adam 除以梯度的平常大小，每个权重每步大约走 α，第一步除 ε 外就是 −α·sign(g)。
# F13 原文误写成对输入求梯度（F14、F15 也一样），一维时形状一样，不报错，w 却被推向 0，
# 损失停在 ln 2。学习率的上限由最陡的方向决定：α 超过 2/λ 就发散，太小又走不动。

# %%
lesson.heading("6 · The step")
x, rows = rng.normal(size=60), []
seen = x + 0.3 * rng.normal(size=60)
t = (seen > np.median(seen)).astype(float)
for name in ("F13 as printed: gradient in x", "mended: gradient in w"):
    w = 0.1
    for i in rng.integers(60, size=300):
        dz = sigmoid(w * x[i]) - t[i]  # the slope of the loss in z = wx
        w -= 0.5 * dz * (w if "printed" in name else x[i])
    rows.append([name, *(FORMS["F24"].corrected(each * x, t) for each in (0.1, w))])
lesson.table(["logistic regression by SGD", "loss at the start", "after 300 steps"], rows)
bar = ("mended", rows[1][2])
lesson.claim("F13", "F13 as printed, 300 steps: loss", rows[0][2], above=bar, scale="linear")

w, m, v, first = np.ones(3), np.zeros(3), np.zeros(3), np.array([1e-3, -5.0, 300.0])
parameter = Tensor(np.ones(3, np.float32), requires_grad=True, device=lesson.device)
adam, rows = optim.Adam([parameter], lr=0.01), []
for step in range(1, 21):
    g = first * (rng.normal(size=3) if step > 1 else 1.0)
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    change = m / (1.0 - 0.9**step) / (np.sqrt(v / (1.0 - 0.999**step)) + 1e-8)
    rows = rows or [*zip(g, change, m / np.sqrt(v))]
    w = w - 0.01 * change
    parameter.grad = constant(g.astype(np.float32))
    adam.step()
lesson.table(["first gradient", "Adam's first step / (−α)", "without the correction"], rows)
gap = np.abs(parameter.numpy() - w).max()
lesson.claim("adam", "optim.Adam less Adam by hand, 20 steps", gap, below=("one step", 0.01))

curvature, start = constant(np.array([1.0, 100.0])), rng.uniform(0.9, 1.1, 2)


def valley(optimizer, rate, **settings):
    w = leaf(start)
    optimizer = optimizer([w], lr=rate, **settings)
    return descend(optimizer, lambda: (0.5 * curvature * w * w).sum(), [()] * 101)


lines = {
    f"SGD, α = {rate}": valley(optim.SGD, rate) for rate in (0.0002, 0.002, 0.01, 0.019, 0.021)
}
lines["momentum 0.9, α = 0.01"] = valley(optim.SGD, 0.01, momentum=0.9)
lines["Adam, α = 0.1"] = valley(optim.Adam, 0.1)
rows = [[name, losses[0], f"{losses[-1]:.1e}"] for name, losses in lines.items()]
lesson.table(["curvatures 1 and 100: 2/λ = 0.02", "loss at the start", "after 100 steps"], rows)
figure = plot.curves(range(1, 102), lines, "Learning rates", "step", "loss", log=True)
lesson.figure(figure, "learning_rates")
good, bad = lines["SGD, α = 0.019"][-1], lines["SGD, α = 0.021"][-1]
lesson.claim("diverges", "SGD, α = 2.1/λ, 100 steps: loss", bad, above=("1.9/λ", good))

# %% [markdown]
# ## 7 · Handwritten digits (手写数字)
#
# 1,797 pictures of 8×8 pixels, ten classes. An **epoch** (轮) goes over all training samples once,
# in a new order, in **mini-batches** (小批量) of 64. The network is 64–128–10 with ReLU, trained by
# SGD with momentum 0.9, from weights drawn as in section 9, and a learning rate that falls from
# 0.2 towards 0, by the same amount after each epoch; a fifth of the hidden units are left out by
# chance at each step (dropout, section 10).
#
# How good is it? On pictures that it has not seen: the **test set** (测试集). One split into train
# and test is one draw, and luck is part of it. So the program draws several,
# **stratified** (分层), which means each class in its proportion, trains afresh on each, and reads
# each test set once for each model. All settings were fixed before these splits were drawn, so
# nothing is chosen by a score here, and no third part, a validation set, is needed; whoever tunes
# a setting needs one. (They were tried on other splits of the same pictures, which may flatter
# them a little.)
#
# Beside it stand **logistic regression** (逻辑回归), the same network without its hidden layer,
# and **nearest neighbour** (最近邻): the label of the most similar training picture. Both networks
# meet the same splits, so compare them **paired** (配对): the mean of the n differences, ± t·s/√n,
# is a 95 % **confidence interval** (置信区间). s is their standard deviation, and t leaves 2.5 %
# out at each end: it is the 97.5 % point of Student's t with n − 1 degrees of freedom, 2.262 for n
# = 10 (for the 6 of a quick run 2.571). The splits share training data; a correction for that
# (Nadeau & Bengio 2003) takes s²·(1/n + n_test/n_train) in place of s²/n. It is printed too, and is
# the honest one of the two: the verdict, on the uncorrected one, is easier to pass, and of seeds 0
# to 9 there is one (7) whose corrected interval just reaches 0. Nearest neighbour is better than
# both on pictures this small and clean: print such a baseline before you are proud of a network.
#
# In the figure of the confusion matrix, recall (召回率) is the share of a true class that was
# found, precision (精确率) the share of a predicted class that was right. In that of the training
# losses the networks with hidden layers are measured with dropout at work, which makes them look
# worse; logistic regression has no hidden units to drop.
#
# **Depth** (深度): each layer works on what the one before it made, and so the documents expect
# more of more layers. The default run trains networks of two and four hidden layers of 128 units in
# the same way. On these pictures two do about as well as one, and four do worse: a deeper network
# can say more, but it is harder to train, which is what sections 8 and 9 are about.
#
# **中文导读** 1797 张 8×8 的手写数字。测试集只用来看一次成绩，不参与任何选择；
# 这里的超参数事先定好，所以不需要验证集。只分一次训练集和测试集有运气成分，因此分层随机划分多次，
# 每次重新训练。旁边放两个基线：没有隐藏层的逻辑回归，以及最近邻。两个模型用同样的划分，成对比较，
# 并给出 95% 置信区间。在这么小、这么干净的图上，最近邻比两个网络都好。再加深网络：同样的训法下，
# 两个隐藏层与一个差不多，四个反而更差；越深越难训练，见第 8、9 节。

# %%
lesson.heading("7 · Handwritten digits")
pixels, labels = data.load_digits()


def train(model, images, labels, rate, epochs):
    """SGD with momentum, the learning rate falling to 0; the mean loss of each epoch."""
    sgd, losses = optim.SGD(model.train().parameters(), lr=rate, momentum=0.9), []
    for epoch in range(epochs):
        sgd.param_groups[0]["lr"] = rate * (1.0 - epoch / epochs)
        batches = (map(constant, batch) for batch in data.minibatches(images, labels))
        losses.append(np.mean(descend(sgd, lambda x, y: F.cross_entropy(model(x), y), batches)))
    return losses


def predict(model, images):
    """The class with the largest logit, for each image; without dropout."""
    with no_grad():
        return model.eval()(constant(images)).numpy().argmax(axis=1)


count, epochs, t = (6, 25, 2.571) if lesson.quick else (10, 30, 2.262)
scores, history = {"nearest neighbour": []}, {}
networks = {"logistic regression": [64, 10], "MLP 64-128-10": [64, 128, 10]}
networks |= {f"{n} hidden layers": [64, *[128] * n, 10] for n in (2, 4) if not lesson.quick}
for i in lesson.progress(range(count), "digits"):
    learn, test = data.stratified_split(labels, 0.2, seed=7000 + 100 * lesson.options.seed + i)
    near = (pixels[learn] ** 2).sum(axis=1) - 2.0 * pixels[test] @ pixels[learn].T
    guesses = {"nearest neighbour": labels[learn][near.argmin(axis=1)]}
    for name, widths in networks.items():
        model = models.MLP(widths, dropout=0.2).to(lesson.device)
        history[f"{name}, loss"] = train(model, pixels[learn], labels[learn], 0.2, epochs)
        guesses[name] = predict(model, pixels[test])
    for name, guess in guesses.items():
        scores.setdefault(name, []).append((guess == labels[test]).mean())
rows = [[name, f"{np.mean(each):.4f}", f"{min(each):.4f}"] for name, each in scores.items()]
lesson.table(["classifier", f"test accuracy, mean of {count}", "lowest"], rows)
_, line, mlp, *_ = map(np.array, scores.values())
gain, spread = (mlp - line).mean(), t * (mlp - line).std(ddof=1)
half, wide = (spread * each**0.5 for each in (1.0 / count, 1.0 / count + 0.25))
lesson.say(f"MLP − logistic regression: {gain:.4f} ± {half:.4f} (corrected: ± {wide:.4f}).")
lesson.claim("digits", "digits, mean accuracy", mlp.mean(), above=("aim", 0.97), scale="share")
lesson.claim("worst", "digits, worst split", mlp.min(), above=("aim", 0.955), scale="share")
ends = "MLP − logistic regression, lower end (uncorrected)"
lesson.claim("gain", ends, gain - half, above=("none", 0.0), scale="linear")
true, guessed = labels[test], guesses["MLP 64-128-10"]
wrong = np.flatnonzero(guessed != true)[:10]
names = [*map(str, true[:10]), *(f"{true[i]} read as {guessed[i]}" for i in wrong)]
shown = pixels[test[[*range(10), *wrong]]]
lesson.figure(plot.images(shown, names, 5, "Ten digits, then misread ones"), "digits")
lesson.figure(plot.confusion_matrix(true, guessed, title="Digits, last split"), "confusion")
lesson.figure(plot.training_curves(history, "Digits, last split", "epoch", log=True), "training")

# %% [markdown]
# ## 8 · What activations do to gradients (激活函数与梯度)
#
# Section 2 gave the recipe: Δₗ = (Δₗ₊₁Wₗ₊₁ᵀ) ⊙ act′(Zₗ). Every layer multiplies what comes back by
# its weights and by the slope of its activation. G01 has the slopes:
#
#     σ′ = σ(1 − σ) ≤ ¼        tanh′ = 1 − tanh² ≤ 1        ReLU′ = 1 where z > 0, else 0
#
# A factor of at most ¼ at each of nine hidden layers makes (¼)⁹ ≈ 4·10⁻⁶ at most, if the products
# with the weights keep the size of Δ as it is: the gradient **vanishes** (梯度消失), and the first
# layers do not learn. With weights that are too large the same product **explodes** (梯度爆炸).
# tanh near 0 and a ReLU that is on have a slope of 1, and that is why they took the sigmoid's
# place in hidden layers. The program measures it in networks of ten layers that have not been
# trained yet.
#
# **中文导读** 误差信号每往回走一层，就乘一次权重和一次激活函数的斜率。sigmoid 的斜率最大也只有 ¼，
# 九个隐藏层乘下来不到百万分之四，前面的层几乎收不到梯度，这就是梯度消失；权重太大则相反，会爆炸。
# tanh 在零附近、ReLU 在正半轴斜率为 1，所以隐藏层多用它们。

# %%
lesson.heading("8 · What activations do to gradients")
x, y, norms, rows = constant(pixels[:256]), constant(labels[:256]), {}, []
for act in ("sigmoid", "tanh", "relu"):
    model = models.MLP([64] * 10 + [10], act).to(lesson.device)
    F.cross_entropy(model(x), y).backward()
    every = [v for name, v in diagnostics.gradient_norms(model).items() if "weight" in name]
    norms[act], first, last = dict(zip(map(str, range(1, 11)), every)), every[0], every[-1]
    rows.append([act, first, last, first / last])
lesson.table(["activation", "gradient's norm in layer 1", "in layer 10", "ratio"], rows)
lesson.figure(plot.by_depth(norms, "Gradients of the weights by layer"), "gradients_by_depth")
lesson.claim("sigmoid", "sigmoid, layer 1 / layer 10", rows[0][3], below=("tanh", rows[1][3]))

# %% [markdown]
# ## 9 · How to begin: initialization (初始化)
#
# Forward, Z = Σ wᵢxᵢ over n inputs, with weights drawn independently around 0 with variance v,
# has the mean square n·v·s, where s is that of the inputs: the cross terms cancel on average. A
# ReLU then lets half of it pass, for Z is as often negative as positive. So twenty ReLU layers
# multiply the mean square by (½n·v)²⁰, and ½n·v = 1 asks for v = 2/n. The
# **initialization** (初始化) decides whether the signal fades or explodes before any learning
# begins (G16).
#
#     zeros         no signal, no gradient in any weight matrix, for ever
#     all equal     all units of a layer compute the same and get the same gradient: one unit in
#                   128 copies; only chance breaks the **symmetry** (对称性)
#     Xavier        v = 2/(n_in + n_out): right for what is straight near 0, such as tanh
#     He            v = 2/n_in: what ReLU needs, as derived above
#
# Under ReLU each Xavier layer halves the mean square: (½)²⁰ ≈ 10⁻⁶.
#
# The second figure has tanh networks with five hidden layers, before training, after one epoch and
# after five (steps 0, 16, 80); each row has a scale of its own, so look at its numbers. Started too
# small, the deeper values lie in a heap at 0; too large, they stick to ±1, where tanh is flat: the
# units are **saturated** (饱和).
#
# The third figure has the gradients that come back to the same layers, as powers of ten. Too small:
# at every step they are hundreds of times smaller in layer 1 than in layer 4, and nothing learns.
# Before training, at step 0, too large: they grow on the way back; Xavier: alike in both layers. At
# step 80 the too large ones grow no longer: the middle of layer 1 has fallen to that of 4 or below,
# and they are spread over more powers of ten. Xavier's have become smaller, in both layers alike.
#
# **中文导读** 权重的方差决定信号经过二十层之后是消失、爆炸还是保持原样。全零：没有梯度；全相等：
# 同层单元永远一模一样，必须靠随机打破对称。tanh 用 Xavier，ReLU 用 He（方差多一倍，
# 补上被 ReLU 截掉的一半）。图中可以看到：起始权重太小，深层的值挤在零附近；太大，tanh 饱和在 ±1。

# %%
lesson.heading("9 · How to begin: initialization")


def drawn(model, std):
    """The model with every weight matrix drawn anew."""
    for weight in (each for each in model.parameters() if each.ndim == 2):
        nn.init.normal_(weight, 0.0, std)
    return model.to(lesson.device)


xavier, he = xavier_variance(64, 64) ** 0.5, he_variance(64) ** 0.5
learn, squares, rows = learn[:1024], {}, []
starts = {"zeros": 0.0, "too small": 0.02, "too large": 0.4, "Xavier": xavier, "He": he}
for name, std in starts.items():
    model = drawn(models.MLP([64] * 21 + [10]), std)
    with no_grad(), diagnostics.watch(model) as seen:
        model(x)
    layers = [np.square(each[0]).mean() for each in seen.activations.values()][1::2]
    squares[name] = {str(i): each for i, each in enumerate(layers, 1)}
    with np.errstate(all="ignore"):  # "too large" may overflow
        train(model, pixels[learn], labels[learn], 0.01, 6 if lesson.quick else 15)
    score = (predict(model, pixels[learn]) == labels[learn]).mean()
    rows.append([name, std, float(layers[-1]), score])
lesson.table(["20 ReLU layers", "std", "mean square after them", "training accuracy"], rows)
lesson.figure(plot.by_depth(squares, "Mean square by layer", "mean square"), "initialization")
*_, low, top = rows
lesson.claim("fades", "Xavier, 20 ReLU layers: mean square", low[2], below=("He", top[2]))
lesson.claim("deep", "He, 20 layers: accuracy", top[3], above=("Xavier", low[3]), scale="share")

shown = {"activations": {}, "gradients": {}}
for name, std in (("too small", 0.02), ("too large", 1.0), ("Xavier", xavier)):
    model = drawn(models.MLP([64] * 5 + [10], "tanh"), std)
    for epochs in (0, 1, 4):
        train(model, pixels[learn], labels[learn], 0.05, epochs)
        with diagnostics.watch(model) as seen:
            F.cross_entropy(model(x), y).backward()
        for what, layer in ((what, layer) for what in shown for layer in (1, 4)):
            cells = shown[what].setdefault(f"{name}, layer {layer}", [])
            cells += vars(seen)[what][f"layers.{2 * layer - 1}"]
for what, each in shown.items():
    figure = plot.histograms(each, f"{what.title()} by layer", [0, 16, 80], what == "gradients")
    lesson.figure(figure, what)
equal = {name: np.full_like(array, 0.3) * ("Z" not in name) for name, array in p.items()}
spread = np.ptp(by_hand(X, T, equal)[0]["W1"], axis=1).max()
lesson.say(f"Section 2's network with equal weights: the columns of ∂L/∂W₁ differ by {spread:.0e}.")

# %% [markdown]
# ## 10 · Two layers for later: dropout and embedding (随机失活与嵌入)
#
# **Dropout** (随机失活) zeroes each value with probability p in training, so that no unit can lean
# on one other unit alone. F61 stops there: then the mean shrinks to 1 − p. F50 prints the factor
# 1/(1 − p) alone, and drops nothing. Together they are right: y = m ⊙ x/(1 − p), m drawn anew,
# with mean x and variance x²·p/(1 − p) in training, and the identity after `model.eval()`. Forget
# `eval()`, and the same question gets another answer each time.
#
# An **embedding** (嵌入) is a table with a row for each id. Reading row 2 is the same as
# multiplying a **one-hot** (独热) row by a matrix, without the multiplication; backward, an id
# that occurs twice adds up two gradients (G04). Chapter 04 makes ids out of text.
#
# **中文导读** 随机失活：训练时以概率 p 把值置零，其余除以 1 − p，均值不变；评估时什么也不做，
# 别忘了调用 eval()。F61 只有置零，F50 只有系数，各对一半。嵌入就是查表，等于独热向量乘矩阵。

# %%
lesson.heading("10 · Two layers for later: dropout and embedding")
ones, rows = np.ones(100_000 if lesson.quick else 1_000_000), []
for p in (0.1, 0.5):
    layer = nn.Dropout(p)
    y = layer(constant(ones)).numpy()
    found = {"nn.Dropout": y, "after eval()": layer.eval()(constant(ones)).numpy()}
    found |= {key: FORMS[key].printed(ones, y > 0.0, p, True) for key in ("F50", "F61")}
    rows += [[f"{k}, p = {p}", f"{v.mean():.4f}", f"{v.var():.4f}"] for k, v in found.items()]
lesson.table(["of ones", "mean", "variance"], rows)
lesson.claim("dropout", "dropout: mean of ones", y.mean(), above=("F61", 1.0 - p), scale="linear")
table, ids = nn.Embedding(5, 3).to(lesson.device), np.array([2, 0, 2])
gap = np.abs(table(constant(ids)).numpy() - np.eye(5)[ids] @ table.weight.numpy()).max()
table(constant(ids)).sum().backward()
sums = table.weight.grad.numpy()[:, 0].tolist()
lesson.say(f"Embedding against one-hot rows: gap {gap:.0e}. Ids 2, 0, 2 give gradients {sums}.")

# %% [markdown]
# ## 11 · When it does not learn (学不动的时候)
#
# Look in this order; each look is cheap. `chapters/failures.md` says what to do about each
# finding.
#
# 1. The first loss: about ln V, here 2.30. From 2.2 to 3 is usual; at 10 the weights begin too
#    large.
# 2. One batch (`overfit_one_batch`): a sound network learns 32 samples by heart. If it cannot, the
#    fault is in the model, the loss or the gradient, and more data will not help.
# 3. Gradients by layer (`gradient_norms`): zero, vanishing, or NaN?
# 4. **Dead units** (死亡单元, `dead_units`): a ReLU that is 0 for every sample gets no gradient,
#    ever. A learning rate that is too high knocks units out by one large step.
# 5. Only then the data: labels that belong to other pictures pass looks 1 to 4. A network can
#    learn nonsense by heart; only pictures it has not seen tell.
#
# Three faults are planted below; looks 1, 2, 4 and 5 are the columns. A softmax before
# `F.cross_entropy`, which has one inside, leaves logits between 0 and 1, and so a loss of at least
# ln(e + 9) − 1 = 1.46, however long it learns. Look 2 has a learning rate of its own, and so does
# not see the fault in the last row; look 4 does.
#
# **中文导读** 学不动时按顺序检查：初始损失是否约为 ln V；能否记住一小批样本；
# 各层梯度是否为零或 NaN；有多少死亡单元；最后才怀疑数据。标签错位能通过前四关，
# 只有没见过的样本能揭穿它。下面埋了三个错误，看各列数字，想想每一个是被哪一步检查发现的。

# %%
lesson.heading("11 · When it does not learn")
learn, test = data.stratified_split(labels, 0.2, seed=7000 + 100 * lesson.options.seed + 99)


def examine(fault, last=nn.Identity, rate=0.1, labels_of=labels[learn]):
    """Train a network with a fault -> a row of what the looks above find."""
    model = nn.Sequential(models.MLP([64, 128, 10]), last()).to(lesson.device)
    x, y = constant(pixels[learn[:32]]), constant(labels_of[:32])
    batch = diagnostics.overfit_one_batch(model, lambda m: F.cross_entropy(m(x), y), steps=100)
    train(model, pixels[learn], labels_of, rate, 5)
    dead = diagnostics.dead_units(model, constant(pixels[learn]))["0.layers.1"].dead
    score = (predict(model, pixels[test]) == labels[test]).mean()
    return [fault, batch[0], batch[-1], dead, score]


ok, fast = examine("none: sound"), examine("learning rate 5", rate=5.0)
mixed = examine("labels shuffled", labels_of=rng.permutation(labels[learn]))
twice = examine("softmax before the loss", last=nn.Softmax)
rows = [ok, mixed, twice, fast]
lesson.table(["fault", "first loss", "on one batch", "dead, of 128", "test accuracy"], rows)
lesson.claim("mixed", "shuffled labels by heart: loss", mixed[2], below=("ln 10", np.log(10.0)))
lesson.claim("twice", "softmax twice: loss", twice[2], above=("sound", ok[2]), scale="linear")
lesson.claim("dead", "learning rate 5: dead units", fast[3], above=("sound", ok[3]), scale="count")

# %% [markdown]
# ## Exercises (练习)
#
# Write these into a file of your own, `my_solution.py`, with `import numpy as np` and
# `from tinygrad_llm.nn import Module, Parameter`, and grade them:
# `python -m chapters check 02 my_solution.py`. For each one that fails you get the smallest input
# that shows it. Answers are in `chapters/solutions/`; try first.
#
# 1. `linear_backward(X, W, delta)`: Y = XW + b, and delta is ∂L/∂Y. Return (dX, dW, db). Try it on
#    a square W before you trust it.
#    线性层的反向：返回 (dX, dW, db)，形状各与 X、W、b 相同；方阵时也要对。
# 2. `network_gradients(X, T, W1, b1, W2, b2)`: with the output Y = tanh(XW₁ + b₁)W₂ + b₂, linear
#    here, unlike in section 2, the loss is the mean over the rows of ½‖y − t‖², where ‖ ‖² is the
#    sum of squares over the outputs. Return (dW1, db1, dW2, db2).
#    两层网络的全部梯度；注意这里输出是线性的，损失对行取平均。
# 3. `cross_entropy_gradient(logits, labels)`: the gradient of the mean cross-entropy in the logits
#    (N, V), for integer labels (N,). Logits may be as large as 1000. A row with the label −100
#    counts neither in the sum nor in the mean, and its gradient is 0.
#    交叉熵对 logits 的梯度；logits 很大也不能溢出；标签为 −100 的行不计入。
# 4. `adam_step(w, g, m, v, t)`: one step of Adam with a learning rate of 0.001, β = (0.9, 0.999)
#    and ε = 1e-8; t counts from 1. Return the new (w, m, v), and leave what you were given
#    unchanged.
#    用 Adam 更新一步；返回新的 (w, m, v)，不得改动输入。
# 5. `class Scale(Module)`: y = x·weight + bias, with `weight` ones and `bias` zeros of shape
#    (features,), made by `Scale(features)`. Its parameters must be found, and learn.
#    自己写一个模块：逐特征缩放再平移；参数要能被找到，并且能训练。
#
# **中文导读** 把答案写进自己的文件，用上面的命令批改；不通过时会给出能复现错误的最小输入。

# %%
lesson.close()
