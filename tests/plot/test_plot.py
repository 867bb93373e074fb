"""Pictures: what is drawn is what the theory says."""

import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")
import matplotlib.pyplot as plt

import gamedyn as gd
from gamedyn._lib.errors import ArgumentError
from gamedyn.plot import boundary_locus, damping_and_phase, image_grid, partitioned_region, region, step_sets
from gamedyn.stability import stable_steps


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


def test_the_ring_is_around_what_binds():
    # euler is bound by the rotation, rk4 by the stiff one (numerics.md 1); rejects: the leftmost for both
    ax = region(["euler", "rk4"], eigenvalues=[-0.046 + 0.499j, -0.046 - 0.499j, -2.1625], h=0.5)
    rings = [line.get_xydata() for line in ax.lines if line.get_markerfacecolor() == "none"]
    np.testing.assert_allclose(rings[0], [[-0.023, 0.2495], [-0.023, -0.2495]])
    np.testing.assert_allclose(rings[1], [[-1.08125, 0]])


def test_no_ring_is_around_what_the_flow_amplifies():
    # rejects: a ring that sits on a growing mode, which binds no step
    ax = region("euler", eigenvalues=[-2.0, -1.0, 0.1], h=0.5)
    (ring,) = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert list(ring.get_xdata()) == [-1.0]


@pytest.mark.parametrize("methods", [["euler", "dop853"], ["bdf6"], ["trapezoid"], ["pece_ab2_am2", "rodas3"]])
def test_the_window_shows_what_is_bounded(methods):
    ax = region(methods)
    left, right, bottom, top = *ax.get_xlim(), *ax.get_ylim()
    assert left < 0 < right
    assert bottom == -top
    if "dop853" in methods:
        assert left < -gd.stability.real_limit("dop853") < 0.8 * left
    if "bdf6" in methods:
        assert top > 17.6  # its unstable band (methods.md b5)


def test_damping_and_phase_are_those_of_the_step():
    # rk4 at y = 1: R(i) = 1/2 + 1/24 + i (1 - 1/6); rejects: log10, degrees, the sign of the phase error
    left, right = damping_and_phase("rk4", to=2.0)
    y, damping = left.lines[0].get_data()
    phase = right.lines[0].get_ydata()
    at, R = np.argmin(np.abs(y - 1)), complex(1 - 1 / 2 + 1 / 24, 1 - 1 / 6)
    assert damping[at] == pytest.approx(np.log(abs(R)), abs=1e-12)
    assert phase[at] == pytest.approx(np.angle(R) - 1, abs=1e-12)


def test_the_locus_of_ab2_crosses_the_axis_at_its_limit():
    line = boundary_locus("ab2").lines[0].get_xydata()
    real = line[np.abs(line[:, 1]) < 1e-12, 0]
    assert real.min() == pytest.approx(-gd.stability.real_limit("ab2"), abs=1e-12)
    with pytest.raises(gd.ArgumentError, match="linear multistep"):
        boundary_locus("rk4")


def test_the_partitioned_region_of_alternating():
    # x' = -w y, y' = w x - d y, x first: det = 1 - d h, trace = 2 - d h - (w h)^2; stable iff (wh)^2 <= 4 - 2 dh
    ax = partitioned_region("alternating", points=41)
    vertices = np.concatenate([p.vertices for c in ax.collections for p in c.get_paths() if len(p.vertices)])
    inside = vertices[(vertices[:, 0] > 0.2) & (vertices[:, 0] < 1.9) & (vertices[:, 1] > 0.2)]
    assert len(inside) > 10
    np.testing.assert_allclose(inside[:, 1], 2 - inside[:, 0] ** 2 / 2, atol=0.03)
    with pytest.raises(gd.UnknownNameError, match="damped"):
        partitioned_region("alternating", damped="third")


def test_each_method_is_told_apart():
    ax = region(["euler", "rk4", "heun2"])
    lines = [(line.get_color(), line.get_linestyle()) for line in ax.get_legend().get_lines()]
    assert len(set(lines)) == 3


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


@pytest.mark.parametrize(
    "draw",
    [
        lambda: region([]),
        lambda: region("rk4", eigenvalues=[], h=0.5),
        lambda: region("rk4", eigenvalues="abc", h=0.5),
        lambda: boundary_locus([]),
        lambda: damping_and_phase([]),
        lambda: partitioned_region("strang", points=1),
        lambda: partitioned_region("strang", points="x"),
        lambda: step_sets({"a": 3}),
        lambda: step_sets("abc"),
        lambda: image_grid("abc"),
        lambda: image_grid(np.zeros((0, 0))),
    ],
)
def test_bad_input_is_named(draw):
    with pytest.raises(gd.ArgumentError):
        draw()


def test_eigenvalues_alone():
    ax = region([], eigenvalues=[-1.0, -2.0], h=0.5)
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[-0.5, 0], [-1.0, 0]])


def test_step_sets_of_methods_on_a_spectrum():
    """The bars are those of the sets. Rejects: a spectrum that is not used, labels lost."""
    modes = [-1 + 2j, -1 - 2j]
    ax = step_sets(["euler", "rk4"], modes)
    given = step_sets({m: stable_steps(m, modes) for m in ("euler", "rk4")})
    assert [t.get_text() for t in ax.get_yticklabels()] == ["euler", "rk4"]
    assert [b.get_bbox().bounds for b in ax.patches] == [b.get_bbox().bounds for b in given.patches]
    for arguments in (({"rk4": stable_steps("rk4", modes)}, modes), (["rk4"], None), ({}, None), ([], modes)):
        with pytest.raises(ArgumentError):
            step_sets(*arguments)
    plt.close("all")
