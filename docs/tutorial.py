"""Train a tiny GAN, linearise it, predict the largest stable step of four methods, and measure it.

The page docs/tutorial.md shows this file in pieces; tests/docs runs it.
"""

# [game]
import torch
from torch.nn.functional import softplus

import gamedyn as gd


class Discriminator(torch.nn.Module):
    """`D(x) = u_1 x + u_2 x^2 + u_0`: it compares means and variances."""

    def __init__(self):
        """Three parameters, all zero at first."""
        super().__init__()
        self.linear = torch.nn.utils.skip_init(torch.nn.Linear, 2, 1, dtype=torch.float64)
        torch.nn.init.zeros_(self.linear.weight)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        """Outputs (n, 1) for samples (n, 1)."""
        return self.linear(torch.cat([x, x**2], 1))


def losses(G, D, batch):
    """Non-saturating losses on (real samples, latents)."""
    real, z = batch
    fake = D(G(z))
    return {"G": softplus(-fake).mean(), "D": softplus(fake).mean() + softplus(-D(real)).mean()}


random = torch.Generator().manual_seed(0)
real = 1.0 + 0.5 * torch.randn(256, 1, generator=random, dtype=torch.float64)
z = torch.randn(256, 1, generator=random, dtype=torch.float64)
batch = (real, z)

generator = torch.nn.utils.skip_init(torch.nn.Linear, 1, 1, dtype=torch.float64)
torch.nn.init.ones_(generator.weight)
torch.nn.init.zeros_(generator.bias)
game = gd.Game({"G": generator, "D": Discriminator()}, losses)

# [flow]
flow = gd.flows.gradient(game, rates={"G": 1.0, "D": 4.0})
flow = flow.with_term(gd.losses.weight_decay(0.1, into="D"))

# [train]
run = gd.solve(flow, "rk4", h=0.2, steps=1000, batch=batch)
print(run)
with game.at(run.state) as players:
    samples = players["G"](z)
print(f"real: mean {float(real.mean()):.4f}, std {float(real.std()):.4f}")
print(f"made: mean {float(samples.mean()):.4f}, std {float(samples.std()):.4f}")

# [linearise]
point = gd.spectrum.find_equilibrium(flow, run.state, batch)
lin = gd.spectrum.linearise(flow, point.state, batch)
print(f"|v| = {point.norm:.0e}")
for value in lin.eigenvalues.values:
    print(f"{value:.4f}")

# [predict]
METHODS = ("euler", "heun2", "rk4", "alternating")
predicted = {method: gd.spectrum.stable_steps(method, lin) for method in METHODS}
for method, steps in predicted.items():
    print(f"{method:12s} h < {steps.first[1]:.4f}, sensitivity {steps.sensitivity:.2f}")

# [measure]
radius = {}
for method, steps in predicted.items():
    limit = steps.first[1]
    radius[method] = [
        gd.spectrum.step_radius(flow, method, point.state, share * limit, batch) for share in (0.98, 1.0, 1.02)
    ]
    print(f"{method:12s}", *(f"{x:.5f}" for x in radius[method]))

# [decay]
moved = point.state.with_y(point.state.y + 1e-4)
distance = {}
for share in (0.95, 1.05):
    h = share * predicted["rk4"].first[1]
    after = gd.solve(flow, "rk4", h=h, steps=60, y0=moved, batch=batch).state
    distance[share] = float((after.y - point.state.y).norm() / (moved.y - point.state.y).norm())
    print(f"rk4 at {share} of its limit: distance times {distance[share]:.2g} after 60 steps")
