r"""
What a penalty does to the spectrum
===================================

The Dirac-GAN with R1 of growing weight. Without it J has a pair on the imaginary axis: rotation for ever. The penalty
moves it to the left, until the pair meets on the real axis; after that one eigenvalue runs away to the left and
becomes stiff. The largest stable step per evaluation therefore has a best weight, one for each method.
"""

import matplotlib.pyplot as plt
import numpy as np

import gamedyn as gd

METHODS = ("euler", "alternating", "heun2", "rk4")
weights = np.linspace(0.02, 3.0, 40)
eigenvalues, limits = [], {name: [] for name in METHODS}
for weight in weights:
    game = gd.games.dirac_gan("nonsaturating", "r1", float(weight))
    lin = gd.spectrum.linearise(gd.flows.gradient(game), game.equilibrium_state())
    eigenvalues.append(lin.eigenvalues.values)
    for name, found in limits.items():
        found.append(gd.spectrum.stable_steps(name, lin).limit / gd.methods.get(name).evaluations)
eigenvalues = np.array(eigenvalues)

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for branch in eigenvalues.T:
    drawn = left.scatter(branch.real, branch.imag, c=weights, s=8)
left.set(xlabel="real part", ylabel="imaginary part", title="eigenvalues of J")
figure.colorbar(drawn, ax=left, label="weight of R1")
for name, found in limits.items():
    right.plot(weights, found, label=name)
right.set(xlabel="weight of R1", ylabel="largest stable step per evaluation", ylim=(0, None))
right.legend(frameon=False)
plt.show()

# %%
# The best weights, on this grid:

for name, found in limits.items():
    print(f"{name:12s} {weights[int(np.argmax(found))]:.2f}")
