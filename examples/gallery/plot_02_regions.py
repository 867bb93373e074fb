r"""
Regions of stability
====================

On :math:`y' = \lambda y` a step of a method multiplies y by a number that depends on :math:`h \lambda` alone. Where
its modulus is at most 1 no mode of a linear game grows. Six methods, drawn from the coefficients that step a game,
too.
"""

import matplotlib.pyplot as plt

import gamedyn as gd

METHODS = ("euler", "rk4", "kg52", "ab3", "bdf2", "gauss4")

figure, axes = plt.subplots(2, 3, figsize=(8, 5.4), layout="constrained")
for ax, name in zip(axes.flat, METHODS, strict=True):
    gd.plot.region(name, ax=ax)
    ax.set_title(f"{name}, order {gd.methods.get(name).order}")

# %%
# Games rotate: eigenvalues lie beside the imaginary axis. Penalties damp: they move to the left. What counts is how
# far the region reaches on either axis for one evaluation of the field.

for name in METHODS:
    sheet = gd.stability.sheet(name)
    print(f"{name:7s} real {sheet['real limit']:8.4f}   imaginary {sheet['imaginary limit']:8.4f}")
