"""Weights files: what goes out comes back; files that are damaged, hostile or for something else are refused."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import minicnn
from minicnn import images, nn, weights
from minicnn.errors import UnknownNameError, WeightsError
from tools import get_weights

SMALL = "convnetjs_cifar10"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, where no weights but the shipped ones are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MINICNN_WEIGHTS", raising=False)
    return tmp_path


@pytest.fixture
def path(folder):
    """A good file, for the tests to spoil."""
    minicnn.save(minicnn.build(SMALL, rng=1), "net.h5")
    return folder / "net.h5"


def refused(path, says, **kwargs):
    with pytest.raises(WeightsError, match=says) as caught:
        minicnn.load(path, **kwargs)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert str(path) in str(caught.value) and len(str(caught.value)) < 1500
    return str(caught.value)


# --- there and back -------------------------------------------------------------------------------------------------
def test_a_network_comes_back_as_it_was(folder):
    net = minicnn.build("lenet", rng=3, classes=7)
    net.classes = ["zero", "one", "two", "three", "four", "f\u00fcnf", "six"]
    net.preprocessing = images.Preprocessing(28, None, "GRAY", scale=1 / 3, mean=(0.1,), std=(2,))
    net.provenance = {"source": "a test", "licence": "none"}
    minicnn.save(net, folder / "a.h5")
    back = minicnn.load(folder / "a.h5")
    assert list(back.parameters()) == list(net.parameters()) and back.options == net.options
    for name, parameter in net.parameters().items():
        assert np.array_equal(back.parameters()[name].data, parameter.data)
        assert not back.parameters()[name].requires_grad
    assert (back.architecture, back.classes, back.preprocessing, back.provenance) == \
        ("lenet", net.classes, net.preprocessing, net.provenance)


def test_the_same_network_gives_the_same_bytes(path):
    first = path.read_bytes()
    time.sleep(1.1)                     # HDF5 would write the second in which an array was made
    minicnn.save(minicnn.load(path), path)
    assert path.read_bytes() == first


def own_network():
    return nn.Sequential({"a/b": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4)}, architecture="mine")


def test_buffers_and_networks_of_ones_own(folder):
    net = own_network().initialise(0)
    net.set_array("norm/running_mean", np.arange(4, dtype=np.float32))
    minicnn.save(net, "mine.h5")
    with h5py.File("mine.h5") as file:
        assert file["a/b/weight"].shape == (4, 3, 3, 3) and file["norm/running_mean"][3] == 3
    refused("mine.h5", "no network named 'mine'.*net=")
    back = own_network()
    assert minicnn.load("mine.h5", net=back) is back
    assert np.array_equal(back.buffers()["norm/running_mean"], np.arange(4))
    assert np.array_equal(back.parameters()["a/b/weight"].data, net.parameters()["a/b/weight"].data)
    refused("mine.h5", "'mine', the given network is 'lenet'", net=minicnn.build("lenet"))


def test_a_given_network_stays_as_it_was_on_failure(folder):
    minicnn.save(own_network().initialise(0), "mine.h5")
    with h5py.File("mine.h5", "a") as file:
        file["norm/weight"][1] = np.nan
    net = own_network()
    refused("mine.h5", "norm/weight", net=net)
    assert not net.parameters()["a/b/weight"].data.any()


@pytest.mark.parametrize("dtype, settings", [("f2", {}), ("<f8", {}), (">f4", {}), ("f4", {"compression": "gzip"}),
                                             ("f4", {"compression": "gzip", "shuffle": True, "fletcher32": True})])
def test_other_floats_and_compression(path, dtype, settings):
    before = minicnn.load(path).parameters()["conv1/weight"].data
    with h5py.File(path, "a") as file:
        del file["conv1/weight"]
        file.create_dataset("conv1/weight", data=before.astype(dtype), **settings)
    after = minicnn.load(path).parameters()["conv1/weight"].data
    assert after.dtype == np.float32 and np.allclose(after, before, atol=1e-3)


# --- finding --------------------------------------------------------------------------------------------------------
def test_names_are_looked_for_in_order(folder, monkeypatch):
    places = [folder / "named", Path("weights"), folder / "home" / ".cache" / "minicnn"]
    monkeypatch.setenv("MINICNN_WEIGHTS", str(places[0]))
    for k, place in enumerate(places):
        place.mkdir(parents=True)
        minicnn.save(minicnn.build(SMALL, classes=k + 2), place / "own.h5")
    for k, place in enumerate(places):
        assert minicnn.load("own").options["classes"] == k + 2
        (place / "own.h5").unlink()
    with pytest.raises(UnknownNameError):
        minicnn.load("own")


def test_unknown_names_say_what_to_do(folder, monkeypatch):
    monkeypatch.setattr(weights, "folders", lambda: [Path("weights")])
    with pytest.raises(UnknownNameError, match="tools.get_weights squeezenet1_1"):
        minicnn.load("squeezenet1_1")
    with pytest.raises(UnknownNameError, match="tools.get_weights"):
        minicnn.load("nothing")
    with pytest.raises(UnknownNameError, match="random ones"):
        minicnn.load("vgg16")
    os.mkdir("weights")
    minicnn.save(minicnn.build(SMALL), "weights/digits.h5")
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        minicnn.load("digit")
    minicnn.save(minicnn.build("lenet"), "weights/lenet_digits.h5")
    with pytest.raises(UnknownNameError, match="but lenet_digits, a lenet; load that"):
        minicnn.load("lenet")
    for missing in ("no/such.h5", "such.h5", "./lenet"):
        refused(missing, "there is no weights file")


# --- damaged files --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("data", [b"", b"\x89HDF", b"garbage" * 99, b"PK\x03\x04", b"\x89HDF\r\n\x1a\n",
                                  b"\x89HDF\r\n\x1a\n" + b"\xff" * 2000])
def test_garbage(folder, data):
    (folder / "bad.h5").write_bytes(data)
    refused(folder / "bad.h5", "no HDF5 file|cannot read it")


def test_a_folder_is_no_file(folder):
    (folder / "dir.h5").mkdir()
    refused(folder / "dir.h5", "no weights file")


def test_cut_short_anywhere(path):
    data = path.read_bytes()
    for length in range(0, len(data) - 1, len(data) // 60):
        path.write_bytes(data[:length])
        refused(path, "HDF5|cannot be read")


def test_damaged_headers(path):
    """A wrong byte among the weights is a wrong weight; anywhere else it gives an error, and only ours."""
    data, rng, failed = path.read_bytes(), np.random.default_rng(0), 0
    for k in rng.integers(0, 4000, 60):
        path.write_bytes(data[:k] + bytes([data[k] ^ 0xff]) + data[k + 1:])
        try:
            minicnn.load(path)
        except WeightsError:
            failed += 1
    assert failed >= 5


# --- files of something else ----------------------------------------------------------------------------------------
def test_missing_unexpected_and_misshapen_arrays_in_one_message(path):
    with h5py.File(path, "a") as file:
        del file["conv1"], file["fc/bias"]
        file["extra/deep/weight"] = np.zeros(3, np.float32)
        file["loose"] = np.zeros(3, np.float32)
        del file["conv2/bias"]
        file["conv2/bias"] = np.zeros((20, 1), np.float32)
    message = refused(path, "does not fit convnetjs_cifar10")
    missing, unexpected, shape = message.split("; ")
    assert missing.endswith("missing: conv1/weight, conv1/bias, fc/bias")
    assert set(unexpected.removeprefix("not expected: ").split(", ")) == {"extra/deep/weight", "loose"}
    assert shape == "of another shape: conv2/bias (20, 1) instead of (20,)"


def test_long_lists_are_cut(path):
    with h5py.File(path, "a") as file:
        for k in range(30):
            file[f"{k:02}" + "x" * 900] = np.zeros(1, np.float32)
    refused(path, "and 22 more")


@pytest.mark.parametrize("options", [
    {"classes": 11}, {"classes": 0}, {"classes": -3}, {"classes": 10**12}, {"classes": 99999}, {"classes": 2.5},
    {"classes": None}, {"classes": [10]}, {"classes": True}, {"classes": "many"}, {"classes": "many" * 9999}, [], 3,
    {"size": 3}, {"self": 1}, {"rng": 0}, {"name": "vgg16"}, {"x" * 99999: 1}])
def test_bad_options(path, options):
    with h5py.File(path, "a") as file:
        file.attrs["architecture_options"] = json.dumps(options)
    start = time.perf_counter()
    refused(path, "options|does not fit")
    assert time.perf_counter() - start < 2


def test_huge_options_are_refused_before_anything_is_built(path, monkeypatch):
    with h5py.File(path, "a") as file:
        file.attrs["architecture_options"] = '{"classes": 100001}'
    monkeypatch.setattr(weights.nets, "build", None)
    refused(path, "up to 100000")


BAD_ATTRIBUTES = [
    ("format", "keras", "not in the format"), ("format", None, "not in the format"), ("format", 3, "format"),
    ("format_version", 2, "version 2.*newer"), ("format_version", None, "version"),
    ("format_version", "1", "version"), ("format_version", "1" * 9999, "version"),
    ("format_version", np.ones(3), "version"), ("architecture", "lenet", "does not fit lenet"),
    ("architecture", "vgg17", "did you mean"), ("architecture", None, "no network named"),
    ("architecture", 5, "text"), ("architecture", b"\xff\xfe", "no network named"),
    ("architecture", "x" * 999, "text"), ("preprocessing", json.dumps({"mean": [1] * 99999}), "mean"),
    ("architecture", np.array(["a", "b"], "S1"), "text"), ("channel_order", "x" * 999, "text"),
    ("architecture_options", "{", "no JSON"), ("architecture_options", None, "no JSON"),
    ("architecture_options", "[" * 100000, "no JSON"), ("preprocessing", "nonsense", "no JSON"),
    ("preprocessing", "3", "expected a dict"), ("preprocessing", '{"std": [0, 1, 1]}', "std"),
    ("preprocessing", '{"mean": [NaN, 1, 1]}', "mean"), ("preprocessing", '{"size": 1000000000}', "limit"),
    ("preprocessing", '{"channel_order": "BGR"}', "agree"), ("channel_order", "XYZ", "agree"),
    ("classes", "3", "list of names"), ("classes", "[1]", "list of names"), ("classes", '["cat"]', "1 classes"),
    ("classes", None, "no JSON"), ("classes", "x" * 2_000_000, "at most"), ("licence", "x" * 2_000_000, "at most"),
    ("source", np.zeros(5), "text")]


@pytest.mark.parametrize("key, value, says", BAD_ATTRIBUTES, ids=[attribute for attribute, _, _ in BAD_ATTRIBUTES])
def test_bad_attributes(path, key, value, says):
    with h5py.File(path, "a") as file:
        del file.attrs[key]
        if value is not None:
            file.attrs[key] = value
    refused(path, says)


def test_an_empty_hdf5_file(folder):
    h5py.File("empty.h5", "w").close()
    refused("empty.h5", "not in the format of minicnn")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(path, value):
    with h5py.File(path, "a") as file:
        file["conv2/weight"][3, 2, 1, 0] = value
        file["fc/bias"][0] = value
    refused(path, "NaN or infinity in conv2/weight, fc/bias")
    net = minicnn.build(SMALL)
    net.set_array("fc/bias", np.full(10, value, np.float32))
    with pytest.raises(WeightsError, match="NaN or infinity in fc/bias"):
        minicnn.save(net, "other.h5")
    assert not os.path.exists("other.h5")


def test_variances_below_0(folder):
    net = minicnn.build("allcnn_cifar10")
    minicnn.save(net, "ours.h5")
    with h5py.File("ours.h5", "a") as file:
        file["bn2/running_var"][3] = -1
    refused("ours.h5", "bn2/running_var goes down to -1, expected variances")


def test_a_number_too_large_for_float32(path):
    with h5py.File(path, "a") as file:
        del file["fc/bias"]
        file["fc/bias"] = np.full(10, 1e300)
    refused(path, "infinity in fc/bias")


# --- hostile files --------------------------------------------------------------------------------------------------
def spoil(path, name, make):
    """Replace one array of a good file."""
    with h5py.File(path, "a") as file:
        del file[name]
        make(file, name)


def external_storage(file, name):
    Path("secret.bin").write_bytes(bytes(40))
    file.create_dataset(name, (10,), "f4", external=[("secret.bin", 0, 40)])


def virtual(file, name):
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros(10, np.float32)
    layout = h5py.VirtualLayout((10,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (10,))
    file.create_virtual_dataset(name, layout)


def external_link(file, name):
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros(10, np.float32)
    file[name] = h5py.ExternalLink("other.h5", "x")


def soft_link(file, name):
    file["conv1/other"] = np.zeros(10, np.float32)
    file[name] = h5py.SoftLink("/conv1/other")


def huge_chunk(file, name):
    file.create_dataset(name, (10,), "f4", maxshape=(None,), chunks=(100_000_000,), compression="gzip")


HOSTILE = {"external storage": (external_storage, "another file"), "virtual": (virtual, "another file"),
           "external link": (external_link, "is a link"), "soft link": (soft_link, "is a link"),
           "huge chunk": (huge_chunk, "chunks"),
           "huge shape": (lambda f, n: f.create_dataset(n, (10**6, 10**6), "f4", chunks=(10, 10)), "needs 4000000000000 bytes"),
           "integers": (lambda f, n: f.create_dataset(n, data=np.zeros(10, int)), "dtype <i8"),
           "text": (lambda f, n: f.create_dataset(n, data=["x"] * 10), "dtype text"),
           "records": (lambda f, n: f.create_dataset(n, data=np.zeros(10, "f4,f4")), "records; expected numbers"),
           "nothing": (lambda f, n: f.create_dataset(n, data=h5py.Empty("f4")), "holds nothing"),
           "group": (lambda f, n: f.create_group(n), "missing: fc/bias"),
           "named type": (lambda f, n: f.__setitem__(n, np.dtype("f4")), "expected arrays in groups"),
           "loop": (lambda f, n: f["fc"].__setitem__("bias", f["/"]), "levels"),
           "deep": (lambda f, n: f.create_group("/".join("a" * 50)), "levels")}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(path, name):
    make, says = HOSTILE[name]
    spoil(path, "fc/bias", make)
    start = time.perf_counter()
    refused(path, says)
    assert time.perf_counter() - start < 2


def test_a_linked_group_is_refused_too(path):
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("missing.h5", "/")
    refused(path, "'elsewhere' is a link")


def test_too_many_entries(path):
    with h5py.File(path, "a") as file:
        for k in range(10_100):
            file.create_group(f"g{k}")
    refused(path, "more than 10000 entries")


# --- saving ---------------------------------------------------------------------------------------------------------
def test_a_failed_save_leaves_what_was_there(path, monkeypatch):
    before, real, count = path.read_bytes(), h5py.Group.create_dataset, []

    def breaks(self, name, **settings):
        count.append(name)
        if len(count) == 3:
            raise OSError(28, "No space left on device")
        return real(self, name, **settings)

    monkeypatch.setattr(h5py.Group, "create_dataset", breaks)
    for target in ("net.h5", "new.h5"):
        count.clear()
        with pytest.raises(WeightsError, match="No space left"):
            minicnn.save(minicnn.build(SMALL, rng=2), target)
    assert path.read_bytes() == before and [p.name for p in path.parent.iterdir()] == ["net.h5"]


@pytest.mark.parametrize("target", ["no/such/folder/a.h5", "a.txt", "a"])
def test_save_refuses_paths(folder, target):
    with pytest.raises(WeightsError, match=target):
        minicnn.save(minicnn.build(SMALL), target)
    assert list(folder.iterdir()) == []


# --- the shipped weights and their source ---------------------------------------------------------------------------
def test_the_shipped_weights(folder):
    net = minicnn.load("squeezenet1_1")
    assert sum(p.size for p in net.parameters().values()) == 1_235_496 and len(net.classes) == 1000
    assert net.preprocessing == images.Preprocessing(
        size=224, resize=256, channel_order="BGR", mean=(103.939, 116.779, 123.68))
    assert net.provenance["source_sha256"] == get_weights.SOURCES["squeezenet1_1"].member_sha256
    picture = Path(weights.__file__).parent.parent / "lectures" / "images" / "chelsea.jpg"
    assert nn.predict(net, picture)[0][2] == "Egyptian Mau"


@pytest.mark.parametrize("change", [dict(classes=["cat", "dog"]), dict(provenance={"source": None}),
                                    dict(architecture="x" * 200)])
def test_save_refuses_what_load_would_not_read(folder, change):
    net = minicnn.build(SMALL)
    minicnn.save(net, "own.h5")
    before = Path("own.h5").read_bytes()
    vars(net).update(change)
    with pytest.raises(WeightsError, match="own.h5"):
        minicnn.save(net, "own.h5")
    assert os.listdir() == ["own.h5"] and Path("own.h5").read_bytes() == before


@pytest.mark.parametrize("call", [lambda net: minicnn.save("a.h5", net), lambda net: minicnn.save(net, "a\0.h5"),
                                  lambda net: minicnn.save(net, "nowhere/a.h5"), lambda net: minicnn.load(5),
                                  lambda net: minicnn.load(net)])
def test_swapped_or_senseless_arguments(folder, call):
    with pytest.raises(WeightsError):
        call(minicnn.build(SMALL))
    assert os.listdir() == []


def test_a_full_disk_is_an_error_and_not_the_end(tmp_path):
    """The HDF5 library crashes where a write fails; a limit on the size of files stands for the full disk."""
    code = ("import resource, minicnn, minicnn.errors\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))\n"
            "try:\n    minicnn.save(minicnn.build('lenet', rng=0), 'a.h5')\n"
            "except minicnn.errors.WeightsError as error:\n    print(error)\nprint('alive')")
    pytest.importorskip("resource")
    (tmp_path / "a.h5").write_bytes(b"older")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
    assert done.returncode == 0 and "'a.h5' cannot be written (File too large)" in done.stdout and "alive" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"] and (tmp_path / "a.h5").read_bytes() == b"older" and not done.stderr
