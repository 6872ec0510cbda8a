"""Data sets: every format read, every damage told in a sentence; batches and augmentation."""
import gzip
import io
import pickle
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from minicnn.data import (CIFAR10_PARTS, IDX_FILES, Pictures, batches, cifar10, cropped, fashion_mnist, flipped,
                          folder_of_pictures, in_turn, mnist, normalize, read_idx, shifted)
from minicnn.errors import DataError, SettingError
from minicnn.images import Preprocessing, preprocess


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype(np.uint8).tobytes()


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No data set in any of the usual places."""
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr("minicnn.data.__file__", str(tmp_path / "a" / "b" / "data.py"))


def write_mnist(folder, pack=False):
    folder.mkdir(parents=True)
    rng, arrays = np.random.default_rng(0), []
    for name, count in zip(IDX_FILES, (5, 5, 3, 3)):
        arrays.append(rng.integers(0, 256, (count, 28, 28)) if "images" in name else rng.integers(0, 10, count))
        content = idx(arrays[-1])
        (folder / (f"{name}.gz" if pack else name)).write_bytes(gzip.compress(content) if pack else content)
    return arrays


@pytest.mark.parametrize("read, name", [(mnist, "mnist"), (fashion_mnist, "fashion_mnist")])
@pytest.mark.parametrize("pack", [False, True])
def test_idx_files_packed_or_not(tmp_path, nowhere, monkeypatch, read, name, pack):
    arrays = write_mnist(tmp_path / "data" / name, pack)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "data"))
    for train, test in (read(), read(tmp_path / "data" / name), read(str(tmp_path / "data"))):
        assert train.images.shape == (5, 1, 28, 28) and train.images.dtype == np.uint8 and len(test) == 3
        assert np.array_equal(train.images[:, 0], arrays[0]) and np.array_equal(test.labels, arrays[3])
        assert train.labels.dtype == np.int64 and len(train.classes) == 10
    assert len(train[1:3]) == 2 and np.array_equal(train[np.array([4, 0])].labels, arrays[1][[4, 0]])


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\x89PNG....", idx(np.zeros((2, 2)))[:-1], idx(np.zeros((2, 2))) + b"x",
                                     b"\0\0\x08\x01" + np.array([2**31], ">u4").tobytes(), b"\0\0\x08\x09" + bytes(40),
                                     b"\0\0\x08\x03" + bytes(5)])
@pytest.mark.parametrize("pack", [False, True])
def test_damaged_idx_files(tmp_path, content, pack):
    path = tmp_path / ("file.gz" if pack else "file")
    path.write_bytes(gzip.compress(content) if pack else content)
    with pytest.raises(DataError, match="download it again") as told:
        read_idx(path)
    assert "\n" not in str(told.value)


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(np.zeros((2, 2))) + bytes(10_000_000)))
    tracemalloc.start()
    with pytest.raises(DataError, match="more"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    path.write_bytes(gzip.compress(idx(np.zeros((50, 50))))[:-9])
    with pytest.raises(DataError, match="cannot be read"):
        read_idx(path)


def test_a_damaged_gzip_stream_and_a_claim_of_too_much(tmp_path):
    content = bytearray(gzip.compress(idx(np.random.default_rng(0).integers(0, 256, (50, 50)))))
    for at in range(20, 200, 30):
        damaged = bytearray(content)
        damaged[at] ^= 0x55
        (tmp_path / "file.gz").write_bytes(damaged)
        with pytest.raises(DataError, match="download it again") as told:
            read_idx(tmp_path / "file.gz")
        assert "\n" not in str(told.value) and str(told.value).count("download it again") == 1
    (tmp_path / "file").write_bytes(b"\0\0\x08\x02" + np.array([2**20, 2**20], ">u4").tobytes())
    with pytest.raises(DataError, match="claims to hold 1,099,511,627,776 bytes"):
        read_idx(tmp_path / "file")
    (tmp_path / "file").write_bytes(idx(np.zeros((3, 3)))[:-2])
    with pytest.raises(DataError, match=r"should hold \(3, 3\) bytes, but has 7"):
        read_idx(tmp_path / "file")


def test_one_set_is_never_read_as_the_other(tmp_path, nowhere, monkeypatch):
    digits, clothes = write_mnist(tmp_path / "flat"), tmp_path / "flat" / "fashion_mnist"
    write_mnist(clothes)
    for name in IDX_FILES[::2]:
        (clothes / name).write_bytes(idx(np.full((5 if "train" in name else 3, 28, 28), 7)))
    assert (fashion_mnist(tmp_path / "flat")[0].images == 7).all() and (fashion_mnist(clothes)[0].images == 7).all()
    assert np.array_equal(mnist(tmp_path / "flat")[0].images[:, 0], digits[0])
    with pytest.raises(DataError, match="are not in"):
        mnist(clothes)
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path / "flat"))
    assert (fashion_mnist()[0].images == 7).all()
    with pytest.raises(DataError, match="are not in"):
        mnist()


def test_some_packed_and_some_not_and_what_is_missing(tmp_path):
    arrays = write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / IDX_FILES[2]
    (tmp_path / "mnist" / f"{IDX_FILES[2]}.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert np.array_equal(mnist(tmp_path)[1].images[:, 0], arrays[2])
    (tmp_path / "mnist" / IDX_FILES[3]).unlink()
    with pytest.raises(DataError, match=f"the files {IDX_FILES[3]} are not in"):
        mnist(tmp_path)


@pytest.mark.parametrize("images, labels, classes", [
    (np.zeros((3, 1, 4, 4), np.uint8), np.zeros((3, 1), int), "01"), (np.zeros((3, 1, 4, 4), np.uint8), np.zeros(4, int), "01"),
    (np.zeros((3, 1, 4, 4), np.float32), np.zeros(3, int), "01"), (np.zeros((3, 4, 4), np.uint8), np.zeros(3, int), "01"),
    (np.zeros((3, 1, 4, 4), np.uint8), np.zeros(3), "01"), (np.zeros((3, 1, 4, 4), np.uint8), [0, 1, 1], "01"),
    (np.zeros((3, 2, 4, 4), np.uint8), np.zeros(3, int), "01"), (np.zeros((3, 1, 0, 0), np.uint8), np.zeros(3, int), "01"),
    (np.zeros((3, 1, 4, 4), np.uint8), np.array([0, 1, 2]), "01"), (np.zeros((3, 1, 4, 4), np.uint8), np.array([0, -1, 1]), "")])
def test_pictures_that_are_none(images, labels, classes):
    with pytest.raises(DataError, match="Pictures.*expected"):
        Pictures(images, labels, tuple(classes))


def test_files_that_do_not_fit_together(tmp_path):
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / IDX_FILES[1]).write_bytes(idx(np.zeros(4)))
    with pytest.raises(DataError, match="do not belong together"):
        mnist(tmp_path)
    (tmp_path / "mnist" / IDX_FILES[1]).write_bytes(idx(np.full(5, 77)))
    with pytest.raises(DataError, match="up to 77"):
        mnist(tmp_path)
    (tmp_path / "mnist" / IDX_FILES[0]).write_bytes(idx(np.zeros(5)))
    with pytest.raises(DataError, match="expected pictures"):
        mnist(tmp_path)


@pytest.mark.parametrize("read", [mnist, fashion_mnist, cifar10])
def test_what_is_missing_is_named_with_what_to_do(nowhere, tmp_path, read):
    for folder in (None, tmp_path):
        with pytest.raises(DataError, match="download.*MINICNN_DATA") as told:
            read(folder)
        assert "\n" not in str(told.value)


# --- CIFAR-10 ---------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def small_cifar():
    """60,000 pictures of which each is of two grey levels and a mark of its number: (images, labels)."""
    rng = np.random.default_rng(0)
    images = np.repeat(rng.integers(0, 256, (60_000, 3, 2, 2), np.uint8), 16, axis=2).repeat(16, axis=3)
    return images, rng.integers(0, 10, 60_000)


@pytest.mark.parametrize("form", ["binary", "python 2", "python 3", "sheets"])
def test_every_form_of_cifar10(small_cifar, tmp_path, form):
    images, labels = small_cifar
    if form == "sheets":
        h5py = pytest.importorskip("h5py")
        with h5py.File(tmp_path / "cifar10.h5", "w") as file:
            kind = h5py.vlen_dtype(np.uint8)
            sheets = file.create_dataset("sheets", (60,), kind)
            for k in range(60):
                sheet = images[1000 * k:1000 * k + 1000].reshape(25, 40, 3, 32, 32).transpose(0, 3, 1, 4, 2).reshape(800, 1280, 3)
                buffer = io.BytesIO()
                Image.fromarray(sheet).save(buffer, "WEBP", lossless=True, method=0)
                sheets[k] = np.frombuffer(buffer.getvalue(), np.uint8)
            file["train_labels"], file["test_labels"] = labels[:50_000], labels[50_000:]
    for k, part in enumerate(CIFAR10_PARTS):
        which = slice(10_000 * k, 10_000 * k + 10_000)
        if form == "binary":
            record = np.concatenate([labels[which, None].astype(np.uint8), images[which].reshape(10_000, -1)], axis=1)
            (tmp_path / f"{part}.bin").write_bytes(record.tobytes())
        elif form != "sheets":
            batch = {b"batch_label": b"batch", b"labels": labels[which].tolist(), b"data": images[which].reshape(10_000, -1),
                     b"filenames": [b"leptodactylus_pentadactylus_s_%06d.png" % i for i in range(10_000)]}
            if form == "python 3":
                batch = {key.decode(): value for key, value in batch.items()}
            (tmp_path / part).write_bytes(pickle.dumps(batch, protocol=2))
    train, test = cifar10(tmp_path)
    assert np.array_equal(train.images, images[:50_000]) and np.array_equal(test.images, images[50_000:])
    assert np.array_equal(train.labels, labels[:50_000]) and np.array_equal(test.labels, labels[50_000:])
    assert train.classes[3] == "cat" and test.images.dtype == np.uint8


class Evil:
    def __reduce__(self):
        return print, ("a stranger's code has run",)


@pytest.mark.parametrize("content", [pickle.dumps(Evil(), protocol=2), b"", b"no pickle", pickle.dumps([1, 2]),
                                     pickle.dumps({"data": np.zeros((2, 5), np.uint8), "labels": [0, 1]}),
                                     pickle.dumps({"labels": [0, 1]}),
                                     pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": np.array([0, 1])}),
                                     pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": ["cat", "dog"]}),
                                     pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [0.5, 1]}),
                                     pickle.dumps({"data": np.zeros((2, 3072), np.int16), "labels": [0, 1]})])
def test_python_files_run_nothing(tmp_path, content, capsys):
    for part in CIFAR10_PARTS:
        (tmp_path / part).write_bytes(content)
    with pytest.raises(DataError) as told:
        cifar10(tmp_path)
    assert "\n" not in str(told.value) and "stranger's code has run" not in capsys.readouterr().out


def test_damaged_binary_files_and_sheets(tmp_path):
    for part in CIFAR10_PARTS:
        (tmp_path / f"{part}.bin").write_bytes(bytes(3073))
    with pytest.raises(DataError, match="expected 60,000"):
        cifar10(tmp_path)
    (tmp_path / "test_batch.bin").write_bytes(bytes(3072))
    with pytest.raises(DataError, match="records of 3073"):
        cifar10(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "cifar10.h5").write_bytes(b"no HDF5")
    with pytest.raises(DataError, match="cannot be read"):
        cifar10(tmp_path / "other")
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other" / "cifar10.h5", "w") as file:
        file["train_labels"], file["test_labels"] = np.zeros(50_000, int), np.zeros(10_000, int)
        file.create_dataset("sheets", (0,), h5py.vlen_dtype(np.uint8))
    with pytest.raises(DataError, match="cannot be read"):
        cifar10(tmp_path / "other")


def test_a_folder_for_each_class(tmp_path):
    for name, grey in (("dark", 10), ("light", 240)):
        (tmp_path / name).mkdir()
        for k in range(2):
            Image.new("RGB", (20 + k, 30), (grey, grey, k)).save(tmp_path / name / f"{k}.png")
    found = folder_of_pictures(tmp_path, 16)
    assert found.images.shape == (4, 3, 16, 16) and found.classes == ("dark", "light") and found.labels.tolist() == [0, 0, 1, 1]
    assert (found.images[:, 0, 8, 8] == [10, 10, 240, 240]).all()
    (tmp_path / "light" / "notes.txt").write_text("no picture")
    with pytest.raises(DataError, match="notes.txt"):
        folder_of_pictures(tmp_path, 16)
    for odd in (tmp_path / "dark", tmp_path / "none"):
        with pytest.raises(DataError, match="no subfolders"):
            folder_of_pictures(odd, 16)
    (tmp_path / "empty" / "class").mkdir(parents=True)
    with pytest.raises(DataError, match="holds no pictures"):
        folder_of_pictures(tmp_path / "empty", 16)
    for size in (0, "16", (16, 16)):
        with pytest.raises(SettingError, match="size is"):
            folder_of_pictures(tmp_path, size)


# --- batches and augmentation -----------------------------------------------------------------------------------------
def some(count=10, channels=3, size=8):
    images = np.random.default_rng(1).integers(0, 256, (count, channels, size, size), np.uint8)
    return Pictures(images, np.arange(count), ())           # without names


def test_batches_are_all_the_pictures_once():
    pictures = some()
    labels = [list(l) for _, l in batches(pictures, 4)]
    assert labels == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    first, second = ([l for _, b in batches(pictures, 4, np.random.default_rng(0)) for l in b] for _ in range(2))
    assert first == second and sorted(first) == list(range(10)) and first != list(range(10))
    for images, numbers in batches(pictures, 3, np.random.default_rng(0)):
        assert np.array_equal(images, pictures.images[numbers])
    assert len(list(batches(pictures, np.int64(4)))) == 3
    for size, rng in ((0, None), (2.5, None), ("4", None), (4, 0)):
        with pytest.raises(SettingError, match="size is"):
            next(batches(pictures, size, rng))


@pytest.mark.parametrize("order, channels", [("RGB", 3), ("BGR", 3), ("GRAY", 1)])
def test_normalize_is_what_preprocess_does_to_one_picture(order, channels):
    spec = Preprocessing(size=8, resize=None, channel_order=order, scale=1 / 255, mean=(0.4, 0.5, 0.6)[:channels],
                         std=(0.2, 0.3, 0.4)[:channels])
    pictures = some(channels=channels)
    found = normalize(pictures.images, spec)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    for image, x in zip(pictures.images, found):
        shown = np.repeat(image, 3 // channels, axis=0).transpose(1, 2, 0)
        np.testing.assert_allclose(x[None], preprocess(shown, spec), atol=2e-6)
    with pytest.raises(SettingError, match="channels"):
        normalize(some(channels=4 - channels).images, spec)


def test_flips():
    images = some(1000, 1, 4).images
    before = images.copy()
    found = flipped(images, np.random.default_rng(0))
    turned = np.array([np.array_equal(a, b[..., ::-1]) for a, b in zip(found, images)])
    assert 450 < turned.sum() < 550 and np.array_equal(found[~turned], images[~turned]) and np.array_equal(images, before)
    assert np.array_equal(found, flipped(images, np.random.default_rng(0)))


def test_moves_that_are_none():
    for pixels in (-1, 2.5, "2", None, (1, 2)):
        with pytest.raises(SettingError, match="pixels is"):
            shifted(pixels)
    with pytest.raises(SettingError, match="too many for pictures of 6x6"):
        cropped(6)(some(2, 3, 6).images, np.random.default_rng(0))
    for images in (some().images / 255, some().images[0], None):
        with pytest.raises(SettingError, match="pixels from 0 to 255"):
            normalize(images, Preprocessing())


@pytest.mark.parametrize("make, outside", [(shifted, lambda p: np.pad(p, ((0, 0), (2, 2), (2, 2)))),
                                           (cropped, lambda p: np.pad(p, ((0, 0), (2, 2), (2, 2)), mode="reflect"))])
def test_moves(make, outside):
    images = some(500, 3, 6).images
    before, found = images.copy(), make(2)(images, np.random.default_rng(0))
    assert found.shape == images.shape and found.dtype == np.uint8 and np.array_equal(images, before)
    seen = set()
    for image, moved in zip(images, found):
        padded = outside(image)
        at = [(y, x) for y in range(5) for x in range(5) if np.array_equal(padded[:, y:y + 6, x:x + 6], moved)]
        assert len(at) == 1
        seen |= set(at)
    assert len(seen) == 25
    assert np.array_equal(make(0)(images, np.random.default_rng(0)), images)
    both = in_turn(flipped, make(2))(images, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    assert np.array_equal(both, make(2)(flipped(images, rng), rng))
