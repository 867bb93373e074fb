r"""
Training moves to the edge of stability
=======================================

A monitor takes the leftmost eigenvalue of J on a fixed batch while a small GAN learns digits from mini-batches. Times
the step, over the method's own limit, it comes to about 1 early and stays there, for three methods whose limits
differ by a factor of five: training sharpens the game until the step can just hold it. So a spectrum taken after
training tells which step was used, not which is best. `The study <../../theory/edge_of_stability.html>`__ does this
for all families, with intervals.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

import gamedyn as gd

images = torch.as_tensor(load_digits().data / 8 - 1, dtype=torch.float32)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for method, h, steps in (("euler", 0.2, 800), ("ab2", 0.1, 800), ("rk4", 0.8, 200)):
    draw = torch.Generator().manual_seed(0)
    generator, discriminator = (
        gd.games.mlp((16, 32, 32, 64), generator=draw),
        gd.games.mlp((64, 32, 32, 1), generator=draw),
    )
    fixed = (images[:512], torch.randn(512, 16, generator=draw))
    flow = gd.flows.gradient(gd.games.gan(generator, discriminator))
    flow = flow.with_term(gd.losses.squared_gradient(0.1, of="G", into="D"))
    monitor = gd.spectrum.SpectralMonitor(
        flow, method, batch=fixed, every=steps // 8, kinds=("leftmost",), k=1, tol=1e-2
    )
    stream = gd.batches(images, latent=16, batch_size=64, seed=0)
    run = gd.solve(flow, method, h=h, steps=steps, batches=stream, observers=[monitor])
    ratio = [record.ratios["leading"] for record in monitor.records]
    spent = [record.step * float(gd.methods.get(method).evaluations) for record in monitor.records]
    ax.plot(spent, ratio, ".-", label=f"{method}, h = {h}")
    values = ", ".join(f"{record.eigenvalues[0].real:.1f}" for record in monitor.records[-3:])
    print(f"{method:6s} ratios {ratio[0]:.2f} ... {ratio[-1]:.2f}; last eigenvalues {values}")
ax.axhline(1.0, color="gray", linewidth=0.8)
ax.set(xlabel="evaluations of the field", ylabel="step over the method's limit", ylim=(0, None))
ax.legend(frameon=False)
plt.show()
