r"""
Start here: a GAN trained by rk4, and which step is stable
==========================================================

A GAN has two players, each descending its own loss. Together the losses define a vector field :math:`v`, and training
is solving :math:`dy/dt = v(y)`. Here a small GAN learns handwritten digits by the classical Runge-Kutta method of
order 4; then its Jacobian says which steps are stable where training ended. Fifteen minutes to read, half a minute to
run.

Install it with ``pip install "gamedyn[plot,data]"``.
"""

# %%
# Players, losses, batches
# ------------------------
# Players are ordinary modules. ``losses`` gets them in the order given to ``Game``, and a batch: here real images and
# noise.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import softplus

import gamedyn as gd

draw = torch.Generator().manual_seed(0)
images = torch.as_tensor(load_digits().data / 8 - 1, dtype=torch.float32)  # 1,797 images of 8 x 8 pixels
generator = gd.games.mlp((16, 32, 32, 64), generator=draw)
discriminator = gd.games.mlp((64, 32, 32, 1), generator=draw)


def losses(G, D, batch):
    """The non-saturating loss."""
    real, z = batch
    fake = D(G(z))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}


game = gd.Game({"G": generator, "D": discriminator}, losses)

# %%
# The flow, and its solution
# --------------------------
# ``flows.gradient`` makes the field: :math:`v_i = -\mathrm{rate}_i \nabla_i L_i`. A penalty is a named term of it;
# this one, of ODE-GAN, adds damping. A step ``h`` gives player i the learning rate ``h * rate_i``. Your modules are
# left as they were; the result is ``run.state``.

flow = gd.flows.gradient(game, rates={"G": 1.0, "D": 1.0})
flow = flow.with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
stream = gd.batches(images, latent=16, batch_size=64, seed=0)
run = gd.solve(flow, "rk4", h=0.4, steps=1000, batches=stream)
print(run)

# %%
# What it has learnt: real digits above, made ones below.

noise = torch.randn(16, 16, generator=draw)
with game.at(run.state) as players, torch.no_grad():
    made = players["G"](noise)
figure, axes = plt.subplots(2, 16, figsize=(8, 1.3), layout="constrained")
for column in range(16):
    for row, picture in zip(axes, (images[column], made[column]), strict=True):
        row[column].imshow(picture.reshape(8, 8), cmap="gray_r", vmin=-1, vmax=1)
        row[column].set_axis_off()

# %%
# Which step is stable there?
# ---------------------------
# ``linearise`` takes the Jacobian :math:`J = \partial v / \partial y` on a fixed batch; training damps the modes
# whose eigenvalues have negative real parts. A step h of a method damps them as long as every :math:`h \lambda` lies
# in the method's region of stability. For each method the eigenvalues that it amplifies at any step belong to the
# flow, not to the method, and are left out here.

batch = (images[:256], torch.randn(256, 16, generator=draw))
J = gd.spectrum.GameJacobian(flow, run, batch)
leading = J.eigenpairs(6, "leftmost", tol=1e-4)
print("leftmost eigenvalues:", leading.values.round(2))
for method in ("euler", "heun2", "rk4", "kg52"):
    steps = gd.stability.stable_steps(method, leading.values)
    evaluations = gd.methods.get(method).evaluations
    print(f"{method:6s} damps them up to h = {steps.limit:.3f}, {steps.limit / evaluations:.3f} per evaluation")

# %%
# The picture: eigenvalues times the step of this run over the regions. The leftmost one has come near the boundary of
# rk4's region by itself. That is no accident: `training sharpens the game until it does
# <../../theory/edge_of_stability.html>`__.

ax = gd.plot.region(["euler", "rk4"], eigenvalues=leading.values, h=0.4)
# sphinx_gallery_thumbnail_number = 2
ax.set_title("six leftmost eigenvalues of J, times h = 0.4")

# %%
# Where to go on
# --------------
#
# - You have eigenvalues or a Jacobian from elsewhere: `a spectrum from elsewhere <../../tutorials/jacobian.html>`__.
# - You want to compare methods, steps, penalties: `an ablation <../../tutorials/ablation.html>`__.
# - You have a game with several players: `a game <../../tutorials/game.html>`__.
# - You want to train a GAN of your own: `a GAN <../../tutorials/gan.html>`__.
# - Whatever the words mean: `sign convention and symbols <../../theory/sign.html>`__.
