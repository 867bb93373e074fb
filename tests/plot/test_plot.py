"""Pictures: what is drawn is what the theory says."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import gamedyn as gd
from gamedyn.plot import image_grid, region, step_sets


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


@pytest.mark.parametrize("method", ["euler", "rk4", "ab3"])
def test_the_boundary_drawn_is_the_boundary(method):
    """Every vertex of the contour has amplification 1. Mutant: conjugated axes, a stretched grid."""
    ax = region([method])
    paths = [p for c in ax.collections for p in c.get_paths()]
    vertices = np.concatenate([p.vertices for p in paths if len(p.vertices)])
    growth = gd.stability.amplification(method, vertices[:, 0] + 1j * vertices[:, 1])
    assert len(vertices) > 50
    np.testing.assert_allclose(growth, 1, atol=0.02)  # a cell is 0.012 wide; ab3 has a corner


def test_points_are_h_times_the_eigenvalues():
    ax = region("rk4", eigenvalues=[-1 + 2j, -3], h=0.5)
    points = ax.lines[1].get_xydata()
    np.testing.assert_allclose(points, [[-0.5, 1.0], [-1.5, 0.0]])


def test_per_evaluation_shrinks_the_region():
    ax = region(["rk4"], per_evaluation=True)
    vertices = np.concatenate([p.vertices for c in ax.collections for p in c.get_paths() if len(p.vertices)])
    assert vertices[:, 0].min() == pytest.approx(-gd.stability.real_limit("rk4") / 4, abs=0.01)


def test_a_partitioned_method_has_no_region():
    with pytest.raises(gd.ArgumentError, match="players' blocks"):
        region(["alternating"])


def test_eigenvalues_need_a_step():
    with pytest.raises(gd.ArgumentError, match="h: expected a step"):
        region(["rk4"], eigenvalues=[-1.0])


def test_tiles_are_apart():
    """Two 8x8 tiles and a gap of one pixel. Mutant: no gap."""
    image = image_grid(np.zeros((2, 64)), columns=2).images[0].get_array()
    assert image.shape == (8, 17)
    assert bool(np.ma.getmaskarray(np.ma.masked_invalid(image))[:, 8].all())


def test_images_must_be_square():
    with pytest.raises(gd.ArgumentError, match="images"):
        image_grid(np.zeros((2, 63)))


def test_bars_end_where_the_intervals_do():
    steps = gd.stability.stable_steps("rk4", [0.01 + 1j, 0.01 - 1j])
    bar = step_sets({"rk4": steps}).patches[0]
    assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx(steps.intervals[0])


def test_plot_does_not_import_torch():
    code = "import gamedyn.plot, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
