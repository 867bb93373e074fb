r"""
A method made for a spectrum
============================

Given the eigenvalues of a game, ``tailor`` looks for the Runge-Kutta method with so many stages that takes the
longest stable step per evaluation on them. It is an ordinary method afterwards: it steps the game, and its region is
drawn from its coefficients.
"""

import matplotlib.pyplot as plt
import numpy as np

import gamedyn as gd

samples = np.random.default_rng(0).standard_normal((200, 6)) * [3, 2, 2, 1, 1, 1]
game = gd.games.affine_quadratic_gan(samples, q=3, loss="wasserstein")
flow = gd.flows.gradient(game)
spectrum = gd.spectrum.linearise(flow, game.equilibrium_state()).eigenvalues
made = gd.stability.tailor(spectrum, stages=5)
print(made)

ax = gd.plot.region([made.method, "rk4"], eigenvalues=spectrum, h=0.95 * made.limit)
ax.set_title("rings: what binds at 0.95 of the limit")
plt.show()

# %%
# It steps the game it was made for, and stays where rk4 with as many evaluations leaves.

steps = 200
rest = game.equilibrium_state()
near = rest.with_y(rest.y + 1e-4)
own = gd.solve(flow, made.method, h=0.95 * made.limit, steps=steps, y0=near)
rk4 = gd.solve(flow, "rk4", h=0.95 * made.limit * 4 / 5, steps=steps * 5 // 4, y0=near, throw=False)
for name, run in (("tailored", own), ("rk4", rk4)):
    distance = float((run.state.y - rest.y).norm())
    print(f"{name:9s} {run.status:10s} {run.stats['evaluations']:4.0f} evaluations, distance {distance:.2g}")
