"""Scores: known answers, floors, what does not apply, what is not finite."""

from __future__ import annotations

import math
import pickle
import warnings

import numpy as np
import pytest
import torch
from torch import nn

import gamedyn as gd
from gamedyn.training import data, scores
from gamedyn.training.scores._types import Features

ALL = sorted(scores.members())


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GAMEDYN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def points(n, shift=0.0, scale=1.0, seed=0, size=3):
    return shift + scale * torch.randn(n, size, generator=torch.Generator().manual_seed(seed))


def cloud(n=4000, seed=0):
    return data.load("tensors", samples=points(n, seed=seed), labels=torch.arange(n) % 2)


class TestFrechet:
    def test_of_normals_is_the_closed_form(self):
        # |m|^2 + sum (s - t)^2 for diagonal covariances; rejects: a root of the covariance forgotten, n for n - 1
        made = points(20_000, seed=3) * torch.tensor([1.0, 2.0, 0.5]) + torch.tensor([0.3, 0.0, -0.4])
        score = scores.Scorer(cloud(20_000), ["frechet"], count=20_000)
        assert score(made)["frechet"] == pytest.approx(0.25 + 1.0 + 0.25, rel=0.04)

    def test_is_that_of_scipy_s_matrix_root(self):
        from scipy.linalg import sqrtm

        real, made = cloud(500), points(400, 0.2, 1.1, seed=5)
        a, b = real.samples.double().numpy(), made.double().numpy()
        m, n, C, D = a.mean(0), b.mean(0), np.cov(a.T), np.cov(b.T)
        expected = ((m - n) ** 2).sum() + np.trace(C + D - 2 * np.real(sqrtm(C @ D)))
        assert scores.Scorer(real, ["frechet"], count=400)(made)["frechet"] == pytest.approx(expected, rel=1e-9)

    def test_sums_are_in_float64(self):
        # rejects: float32 sums, whose covariance of samples at 1e4 is noise
        real = data.load("tensors", samples=1e4 + points(2000))
        assert scores.Scorer(real, ["frechet"], count=1000)(real.samples)["frechet"] < 1e-6

    def test_blocks_do_not_matter(self):
        score, made = scores.Scorer(cloud(), ["frechet"], count=900), points(900, 0.1, seed=2)
        apart = score([made[:200], made[200:]])["frechet"]
        assert score(made)["frechet"] == pytest.approx(apart, rel=1e-10)
        assert score(made)["n"] == 900

    def test_what_is_not_finite_is_infinitely_far(self):
        made = points(900)
        made[7, 1] = math.nan
        found = scores.Scorer(cloud(), ["frechet", "kernel", "precision_recall", "density_coverage"], count=900)(made)
        assert found["frechet"] == found["kernel"] == math.inf
        assert found["precision"] == found["coverage"] == 0

    def test_distances_on_others_than_inception_are_no_fid(self):
        assert scores.pixels((1, 8, 8)).distance == "Frechet distance (pixels)"
        assert Features("inception", nn.Flatten(), 2048).distance == "FID"


def test_kernel_is_unbiased_and_sees_a_shift():
    # rejects: the biased estimate, whose mean between equal distributions is above 0
    score = scores.Scorer(cloud(), ["kernel"], count=2000)
    near, far = score(points(2000, seed=9)), score(points(2000, 0.5, seed=9))
    assert abs(near["kernel"]) < 4 * near["kernel_std"] / 10  # of a mean over 100 subsets that overlap
    assert far["kernel"] > 20 * abs(near["kernel"])


def test_few_samples_are_far_or_refused():
    # rejects: torchmetrics' own error, subsets with more samples than there are
    score = scores.Scorer(cloud(), ["frechet", "kernel"], count=2000)
    assert score(points(1))["frechet"] == math.inf
    few = score(points(10, seed=9))
    assert math.isfinite(few["frechet"])
    assert math.isfinite(few["kernel"])
    with pytest.raises(gd.ArgumentError, match="at least 4 real samples"):
        scores.Scorer(cloud(3), ["frechet"])


class TestNeighbours:
    def test_an_offset_changes_nothing(self):
        # rejects: distances by squares of float32, which an offset swallows
        near = scores.Scorer(cloud(500), ["precision_recall", "density_coverage"], count=500)(points(500, seed=7))
        moved = data.load("tensors", samples=points(500, 1e4, 1.0).double().float())
        far = scores.Scorer(moved, ["precision_recall", "density_coverage"], count=500)(points(500, 1e4, seed=7))
        for name in ("precision", "recall", "density", "coverage"):
            assert far[name] == pytest.approx(near[name], abs=0.01)

    def test_precision_falls_with_samples_outside_and_recall_with_modes_lost(self):
        # rejects: the two exchanged
        score = scores.Scorer(cloud(), ["precision_recall", "density_coverage"], count=4000)
        same, wide, narrow = (score(points(4000, scale=s, seed=4)) for s in (1.0, 4.0, 0.1))
        assert min(same["precision"], same["recall"]) > 0.9
        assert same["coverage"] == pytest.approx(1 - 2**-5, abs=0.012)  # Naeem et al., eq. (5), of as many samples
        assert wide["precision"] < 0.5 < wide["recall"]
        assert narrow["recall"] < 0.2 < 0.9 < narrow["precision"]
        assert same["density"] == pytest.approx(1, abs=0.1)
        assert narrow["coverage"] < 0.3

    def test_by_hand(self):
        # three real points on a line, k of the measure lowered to 1: balls of radius 1, 1 and 3
        from gamedyn.training.scores import manifold
        from gamedyn.training.scores._types import Reference

        real = torch.tensor([[0.0], [1.0], [4.0]]).double()
        reference = Reference(scores.pixels((1,)), real.float(), real, None, None, 0.0, 2)
        account = manifold._DensityCoverage.__new__(manifold._DensityCoverage)
        manifold._Neighbours.__init__(account, reference, 1)
        account.add(torch.zeros(2, 1), torch.tensor([[0.5], [9.0]]).double())
        assert account.result() == {"density": 2 / 2, "coverage": pytest.approx(2 / 3)}


class TestModes:
    def mixture(self):
        return scores.Scorer(data.load("mixture", count=16_000), ["modes", "within"], count=1600)

    def test_of_a_mixture(self):
        # half of the modes, evenly: KL log 2; rejects: the other direction of the divergence, which is infinite
        real = data.load("mixture", count=16_000)
        made = real.samples[real.labels < 8][:1600]
        found = self.mixture()(made)
        assert found["modes"] == 8
        assert found["modes_kl"] == pytest.approx(math.log(2), abs=1e-3)
        assert found["within"] == pytest.approx(1 - math.exp(-4.5), abs=0.01)

    def test_a_mode_is_hit_within_three_sigma(self):
        real = data.load("mixture", count=1600)
        assert self.mixture()(real.centres + 3.2 * 0.02 / 2**0.5)["modes"] == 0
        assert self.mixture()(real.centres + 2.8 * 0.02 / 2**0.5)["modes"] == 16

    def test_the_floor_is_the_mean_of_samples_of_the_truth(self):
        # (K - 1) / (2 n): rejects: K for K - 1, n for 2 n
        score, real = self.mixture(), data.load("mixture", count=64_000)
        draw = torch.Generator().manual_seed(0)
        found = [score(real.samples[torch.randint(64_000, (800,), generator=draw)]) for _ in range(60)]
        mean = sum(f["modes_kl"] for f in found) / 60
        assert found[0]["modes_kl_floor"] == 15 / 1600
        assert mean == pytest.approx(15 / 1600, rel=0.15)

    def test_by_a_classifier(self):
        digits = data.load("digits")
        score = scores.Scorer(digits, ["modes"], features="classifier", count=900, progress=False)
        found = score(digits.samples[digits.labels < 3])
        assert found["modes"] == 3
        assert found["accuracy"] > 0.97
        assert score.floor["floor.modes"] == 10

    def test_of_stacked_digits_there_are_a_thousand(self):
        stacked = data.load("stacked_digits", count=5000)
        score = scores.Scorer(stacked, ["modes"], features="classifier", count=2000, progress=False)
        found = score(stacked.samples[stacked.labels % 2 == 0][:2000])
        assert 480 <= found["modes"] <= 540
        assert math.isfinite(score.floor["floor.modes_kl"])

    def test_need_a_classifier_or_centres(self):
        with pytest.raises(gd.ArgumentError, match='features = "classifier"'):
            scores.Scorer(cloud(), ["modes"])
        with pytest.raises(gd.ArgumentError, match="whose centres are known"):
            scores.Scorer(cloud(), ["within"])


class TestClassifier:
    def test_is_kept_and_a_damaged_one_trained_again(self, tmp_path):
        # rejects: one of other data or other settings used again, a damaged file that ends the run
        digits = data.load("digits").shard(0, 4)
        first = scores.classifier(digits, folder=tmp_path, epochs=1, progress=False)
        (kept,) = tmp_path.iterdir()
        before = kept.stat().st_mtime_ns
        again = scores.classifier(digits, folder=tmp_path, epochs=1, progress=False)
        assert kept.stat().st_mtime_ns == before
        assert torch.equal(first(digits.samples[:9]), again(digits.samples[:9]))
        assert first.accuracy == again.accuracy
        kept.write_bytes(kept.read_bytes()[:-100])
        mended = scores.classifier(digits, folder=tmp_path, epochs=1, progress=False)
        torch.testing.assert_close(mended(digits.samples[:9]), first(digits.samples[:9]))
        scores.classifier(digits.shard(0, 2), folder=tmp_path, epochs=1, progress=False)
        scores.classifier(digits.shard(1, 4), folder=tmp_path, epochs=1, progress=False)  # as many others
        scores.classifier(digits, folder=tmp_path, epochs=1, seed=1, progress=False)
        assert len(list(tmp_path.iterdir())) == 4

    def test_is_not_trained_on_what_it_is_tested_on(self):
        from gamedyn.training.scores.classifiers import _split

        digits = data.load("digits")
        x, y, (other, labels) = _split(digits, 1, 0)
        assert (len(x), len(other)) == (1438, 359)
        rows = torch.cat([x, other]).flatten(1)
        assert torch.equal(torch.sort(rows.sum(1)).values, torch.sort(digits.samples.flatten(1).sum(1)).values)
        assert torch.equal(torch.bincount(torch.cat([y, labels])), torch.bincount(digits.labels))

    def test_planes_are_those_of_stacked_digits_alone(self, tmp_path):
        # rejects: the digits' classifier for any thousand classes of three channels
        mine = data.load("tensors", samples=torch.rand(2000, 3, 8, 8), labels=torch.arange(2000) % 1000)
        made = scores.classifier(mine, folder=tmp_path, epochs=1, progress=False)
        assert made(mine.samples[:2]).shape == (2, 128)

    def test_few_samples_are_refused(self, tmp_path):
        few = data.load("tensors", samples=torch.rand(4, 1, 8, 8), labels=torch.arange(4) % 2)
        with pytest.raises(gd.ArgumentError, match="at least 5 samples"):
            scores.classifier(few, folder=tmp_path, progress=False)

    def test_needs_labels(self):
        with pytest.raises(gd.ArgumentError, match="a data set with labels"):
            scores.classifier(data.load("tensors", samples=points(9)))


class TestNetworks:
    def test_efficientnet_s_weights_and_answers(self):
        # a fixed input's features, to three digits: rejects weights or a scaling of images that are others
        features = scores.efficientnet_lite0()
        assert features.digest == "579344248a93e230"
        images = torch.linspace(-1, 1, 2 * 28 * 28).reshape(2, 1, 28, 28)
        found = features(images)
        assert found.shape == (2, 1280)
        assert float(found.mean()) == pytest.approx(LITE0[0], rel=1e-3)
        assert float(found[0].norm()) == pytest.approx(LITE0[1], rel=1e-3)
        torch.testing.assert_close(found, features(images.expand(-1, 3, -1, -1)))

    def test_inception_s_file(self, tmp_path):
        # a network of the file's kind: bytes in, 2,048 features out
        class Net(nn.Module):
            def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
                flat = x.float().mean((2, 3))
                return flat.repeat(1, 683)[:, :2048] if return_features else flat

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.script(Net()).save(str(tmp_path / "net.pt"))
        features = scores.inception(tmp_path / "net.pt")
        assert features.distance == "FID"
        assert float(features(torch.full((1, 1, 8, 8), 1.0))[0, 0]) == 255
        assert float(features(torch.full((1, 3, 8, 8), -1.0))[0, 0]) == 0
        (tmp_path / "bad.pt").write_bytes(b"no")
        with pytest.raises(gd.ArgumentError, match="TorchScript Inception"):
            scores.inception(tmp_path / "bad.pt")

    def test_a_score_without_its_network(self):
        digits = data.load("digits")
        with pytest.raises(gd.ArgumentError, match="features_file"):
            scores.features("inception", digits)
        with pytest.raises(gd.ArgumentError, match="did you mean 'pixels'"):
            scores.features("pixel", digits)
        with pytest.raises(gd.ArgumentError, match="images for efficientnet_lite0"):
            scores.features("efficientnet_lite0", cloud())


LITE0 = (0.031737, 7.42410)


class TestScorer:
    def test_the_floor_is_that_of_real_samples(self):
        # halves where there are no test samples, and it says so; test samples against all where there are
        digits = data.load("digits")
        score = scores.Scorer(digits, ["frechet"], count=2000)
        assert score.floor["floor.n"] == 898
        assert 0.15 < score.floor["floor.frechet"] < 0.5  # usage.md: .26 for one split
        held = gd.training.data.DataSet("x", digits.samples[:900], test=(digits.samples[900:], digits.labels[900:]))
        assert scores.Scorer(held, ["frechet"], count=800).floor["floor.n"] == 800

    def test_it_can_go_to_another_process(self):
        score = scores.Scorer(cloud(), ["frechet", "modes"], features=labelled(), count=500)
        again = pickle.loads(pickle.dumps(score))
        made = points(500, seed=8)
        assert again(made)["frechet"] == score(made)["frechet"]

    @pytest.mark.parametrize(("name", "plain"), [("fid", "frechet"), ("kid", "kernel")])
    def test_a_name_of_inception_is_not_that_of_pixels(self, name, plain):
        # rejects: a distance on pixels that a table calls FID
        with pytest.raises(gd.ArgumentError, match=f'"{name}" with the features of Inception.*"{plain}" is the same'):
            scores.Scorer(cloud(), [name], count=500)
        assert scores.Scorer(cloud(), [plain], count=500).measures[0].name == plain

    def test_which_is_better(self):
        score = scores.Scorer(data.load("digits"), ["modes", "frechet"], features="classifier", count=100)
        assert [score.better(n) for n in ("modes", "modes_kl", "frechet")] == ["larger", "smaller", "smaller"]

    def test_names(self):
        with pytest.raises(gd.ArgumentError, match="did you mean 'frechet'"):
            scores.Scorer(cloud(), ["frechett"])
        with pytest.raises(gd.ArgumentError, match="at least one"):
            scores.Scorer(cloud(), [])
        score = scores.Scorer(cloud(), ["frechet", "precision_recall"], count=500)
        assert (score.best, score.better("frechet"), score.better("recall")) == ("frechet", "smaller", "larger")
        with pytest.raises(gd.ArgumentError, match="kernel"):
            score.better("kernel")

    @pytest.mark.parametrize("name", ALL)
    def test_every_measure_gives_what_it_names(self, name):
        real = data.load("mixture", count=3200)
        found = scores.Scorer(real, [name], count=800)(real.samples[:800])
        assert set(scores.get(name).numbers) <= set(found)
        assert all(math.isfinite(found[k]) for k in scores.get(name).numbers)


class Halves:
    """Labels of points: the sign of the first number."""

    def __call__(self, x):
        return (x[:, 0] > 0).long()


def labelled():
    return Features("halves", nn.Flatten(), 3, labels=Halves(), classes=2)
