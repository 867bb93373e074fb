r"""
A limit cycle, and its multipliers
==================================

Eigenvalues at stationary points do not say everything: this game has one stationary point, which is unstable, and a
cycle around it that everything ends on. Newton's method on the flow finds it, with the Floquet multipliers that say
whether it attracts.
"""

import matplotlib.pyplot as plt
import torch

import gamedyn as gd

game = gd.games.cyclic()
flow = gd.flows.gradient(game)
cycle = gd.spectrum.find_limit_cycle(flow, torch.tensor([0.5, 0.0], dtype=torch.float64))
print(cycle.status, cycle.kind, f"period {cycle.period:.4f}")

figure, ax = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
for start in ((0.05, 0.0), (1.6, 1.2), (-1.6, 0.4)):
    y0 = flow.initial_state().with_y(torch.tensor(start, dtype=torch.float64))
    control = gd.steps.Adaptive(rtol=1e-6, atol=1e-6)
    run = gd.solve(flow, "dopri5", h=control, t_span=(0.0, 10.0), y0=y0, save_at=[0.05 * k for k in range(201)])
    path = torch.stack([state.y for state in run.saved.values()])
    ax.plot(path[:, 0], path[:, 1], linewidth=1)
    ax.plot(*start, "k.", markersize=4)
ax.plot(0, 0, "k+")
ax.set(xlabel="x", ylabel="y", aspect="equal", title=f"three solves end on one cycle, period {cycle.period:.2f}")
plt.show()
