"""From foreign files to networks: names, orders, readings; every format that holds the same weights gives the same network."""
import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minicnn
from foreign_weights import FOLDER, SHAPES, weights
from minicnn import convert, formats, layer_names, nets
from minicnn.errors import UnknownNameError, WeightsError
from minicnn.formats.found import Layout
from minicnn.formats.source import Stored
from tools import convert_weights

ROOT = Path(__file__).parent.parent
GOLDENS = sorted(p for p in FOLDER.iterdir() if p.suffix not in (".py", ".md", ".binaryproto") and p.is_file())
PHOTOGRAPHS = convert_weights.PHOTOGRAPHS


@pytest.fixture
def unpacked(tmp_path):
    """A function that returns the path of a golden file as a user has it."""
    def of(path):
        if path.suffix != ".gz":
            return path
        (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        return tmp_path / path.stem
    return of


def same(net):
    return all(np.array_equal(net.parameters()[f"{name}/{key}"].data, array)
               for name, pair in weights().items() for key, array in zip(("weight", "bias"), pair))


def usual(path):
    return "hwio" if path.suffix == ".mat" else None


# --- the same weights in every format -----------------------------------------------------------------------------------
@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: p.name)
def test_every_format_gives_the_same_network(path, unpacked):
    net, report = convert.convert(unpacked(path), "convnetjs_cifar10", layout=usual(path))
    assert same(net) and report.lines
    assert net.preprocessing == nets.build("convnetjs_cifar10").preprocessing and net.classes is None


def test_all_readers_have_golden_files(unpacked):
    """And each file is recognised by one reader alone, whatever its name."""
    seen = set()
    for path in GOLDENS:
        with formats.sources.opened(unpacked(path)) as source:
            knows = [name for name, reader in formats.READERS.items() if reader.recognises(source)]
        assert len(knows) == 1, (path.name, knows)
        seen.update(knows)
    assert seen == set(formats.READERS)


@pytest.mark.parametrize("path", GOLDENS, ids=lambda p: p.name)
def test_a_wrong_reading_gives_another_network(path, unpacked, monkeypatch):
    """Flipped filters, swapped height and width, another order of flattening: none of them goes unnoticed."""
    path = unpacked(path)
    read = formats.READERS
    for change in (lambda a: replace(a, rotated=not a.rotated), lambda a: replace(a, width_first=not a.width_first),
                   lambda a: replace(a, map_axes="CHW" if a.map_axes == "HWC" else "HWC")):
        def wrong(source, reader):
            found = reader.read(source)
            found.layouts = {"wrong": change(next(iter(found.layouts.values())))}
            return found
        with monkeypatch.context() as patch:
            with formats.sources.opened(path) as source:
                name = formats.recognise(source)
            reader = read[name]
            fake = type("Reader", (), {"read": staticmethod(lambda source: wrong(source, reader))})
            patch.setitem(formats.READERS, name, fake)
            net, _ = convert.convert(path, "convnetjs_cifar10", format=name, layout="wrong")
        flattened_alike = path.suffix == ".mat" and change(Layout()).map_axes != "CHW"     # fc is kept as filters there
        assert same(net) == flattened_alike


# --- which reading: photographs decide --------------------------------------------------------------------------------
def squeezenet_arrays(swap_channels=False):
    """The real SqueezeNet's layers with filters as TensorFlow and MatConvNet keep them: (height, width, in, out)."""
    net = minicnn.load("squeezenet1_1")
    arrays = {name: (layer.parameters["weight"].data.transpose(2, 3, 1, 0), layer.parameters["bias"].data)
              for name, (layer, _) in net.layers.items() if layer.parameters}
    if swap_channels:
        arrays["conv1"] = arrays["conv1"][0][:, :, ::-1], arrays["conv1"][1]
    return arrays


def write_mat(path, arrays, average=(123.68, 116.779, 103.939)):
    from scipy.io import savemat
    layers = np.empty((1, len(arrays)), object)
    for k, (name, (filters, biases)) in enumerate(arrays.items()):
        pair = np.empty((1, 2), object)
        pair[0, 0], pair[0, 1] = filters, biases.reshape(1, -1)
        layers[0, k] = {"type": "conv", "name": name, "weights": pair}
    savemat(path, {"layers": layers, "meta": {"normalization": {"averageImage": np.float32(average).reshape(1, 1, 3)}}})
    return path


@pytest.mark.parametrize("stored", ["hwio", "whio"])
def test_photographs_tell_height_from_width(stored, tmp_path):
    arrays = {name: (w if stored == "hwio" else w.swapaxes(0, 1), b) for name, (w, b) in squeezenet_arrays(True).items()}
    net, report = convert.convert(write_mat(tmp_path / "a.mat", arrays), "squeezenet1_1", photographs=PHOTOGRAPHS)
    assert report.layout == stored and report.margin > 3 and any("geometric mean" in line for line in report.lines)
    ours = minicnn.load("squeezenet1_1")
    for name, p in ours.parameters().items():
        assert np.array_equal(net.parameters()[name].data, p.data[:, ::-1] if name == "conv1/weight" else p.data), name
    assert net.preprocessing.channel_order == "RGB" and net.preprocessing.mean == pytest.approx((123.68, 116.779, 103.939))
    photo = ROOT / "lectures/images/coffee.jpg"
    assert np.allclose(net(net.preprocess(photo)).data, ours(ours.preprocess(photo)).data, rtol=1e-4, atol=1e-4)
    assert net.classes == ours.classes
    other = convert.convert(tmp_path / "a.mat", "squeezenet1_1", layout={"hwio": "whio", "whio": "hwio"}[stored])[0]
    assert convert.confidence(other, PHOTOGRAPHS) < convert.confidence(net, PHOTOGRAPHS) / 3


@pytest.mark.parametrize("stored", ["rgb", "bgr"])
def test_photographs_tell_the_order_of_channels(stored, tmp_path):
    arrays = squeezenet_arrays(stored == "rgb")
    np.savez(tmp_path / "a.npz", **{f"{n.replace('/', '_')}_{k}": a for n, pair in arrays.items() for k, a in zip("Wb", pair)})
    net, report = convert.convert(tmp_path / "a.npz", "squeezenet1_1", photographs=PHOTOGRAPHS)
    assert report.layout == stored and report.margin > 1.8 and net.preprocessing.channel_order == stored.upper()
    assert convert.confidence(net, PHOTOGRAPHS) > 0.5


def test_photographs_tell_theanos_rotation(tmp_path):
    import h5py
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [name.replace("/", "_").encode() for name in squeezenet_arrays()]
        for name, (filters, biases) in squeezenet_arrays().items():
            name = name.replace("/", "_")
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W".encode(), f"{name}_b".encode()]
            group[f"{name}_W"], group[f"{name}_b"] = filters[::-1, ::-1], biases
    net, report = convert.convert(tmp_path / "a.h5", "squeezenet1_1", photographs=PHOTOGRAPHS)
    assert report.layout == "th" and report.margin > 10
    ours = minicnn.load("squeezenet1_1").parameters()
    assert all(np.array_equal(p.data, ours[name].data) for name, p in net.parameters().items())


def test_without_a_margin_the_user_is_asked(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {n: (rng.standard_normal(w.shape).astype(np.float32) * 0.05, b) for n, (w, b) in squeezenet_arrays().items()}
    path = write_mat(tmp_path / "a.mat", arrays)
    with pytest.raises(WeightsError, match="may be hwio .* or whio .*, and .* too little to tell; say which with --layout"):
        convert.convert(path, "squeezenet1_1", photographs=PHOTOGRAPHS)
    with pytest.raises(WeightsError, match="photographs cannot tell; say which with --layout"):
        convert.convert(FOLDER / "matconvnet.mat", "convnetjs_cifar10", photographs=PHOTOGRAPHS)
    assert convert.convert(path, "squeezenet1_1", layout="whio")[1].layout == "whio"
    with pytest.raises(UnknownNameError, match="hwio"):
        convert.convert(path, "squeezenet1_1", layout="hwoi")


# --- which layer is which: shapes suffice -----------------------------------------------------------------------------
def shapes_only(net, rename, order=None):
    """A file's layers with the shapes of a network's, under other names; nothing is stored anywhere."""
    def nothing():
        raise AssertionError("was read")
    layers = {rename(name, k): {key: Stored(p.shape, np.float32, nothing) for key, p in net.layer(name).parameters.items()}
              for k, name in enumerate(net.layers) if net.layer(name).parameters}
    return {name: layers[name] for name in order or layers}


def torchvision(net):
    split = list(net.layers).index("flatten")
    return lambda name, k: f"features.{k}" if k < split else f"classifier.{k - split - 1}"


def keras(name, k):
    return {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}.get(name) or f"block{name[4]}_conv{name[-1]}"


@pytest.mark.parametrize("arch, names", [("vgg16", "torchvision"), ("vgg19", "torchvision"),
                                         ("alexnet_torchvision", "torchvision"),
                                         ("vgg16", "keras"), ("vgg19", "keras"), ("googlenet", "ours"), ("alexnet", "ours"),
                                         ("vgg16", "numbers"), ("caffenet", "numbers"), ("googlenet", "numbers"),
                                         ("squeezenet1_1", "numbers")])
def test_layers_are_found(arch, names, rng=np.random.default_rng(0)):
    net = nets.build(arch, None)
    rename = {"torchvision": torchvision(net) if "flatten" in net.layers else None, "keras": keras,
              "ours": lambda name, k: name, "numbers": lambda name, k: f"layer_{k}"}[names]
    ours = {name: rename(name, k) for k, name in enumerate(net.layers) if net.layers[name][0].parameters}
    order = list(ours.values())
    if names != "numbers":
        rng.shuffle(order)      # the order of the file does not matter where names tell
    filled, pairs, how = layer_names.match(shapes_only(net, rename, order), net, 25_000)
    assert pairs == ours and filled is net and how == ("order and shape" if names == "numbers" else "name")


def test_johnsons_names_and_torchvisions_squeezenet():
    net = nets.build("vgg16", None)
    rename = torchvision(net)
    johnson = {"fc6": "classifier.1", "fc7": "classifier.4"}
    _, pairs, how = layer_names.match(shapes_only(net, lambda n, k: johnson.get(n, rename(n, k))), net, 25_000)
    assert pairs["fc6"] == "classifier.1" and pairs["fc7"] == "classifier.4" and pairs["fc8"] == "classifier.6" and how == "name"
    known = layer_names.known_names(nets.build("squeezenet1_1", None))
    assert known["features_12_expand3x3"] == "fire9/expand3x3" and known["classifier_1"] == "conv10"


def test_caffes_numbers_in_torchs_layout_go_in_as_bgr(tmp_path, monkeypatch):
    """The VGG files of fast neural style: their classifier begins with layer 1."""
    from minicnn.formats import torch_file

    def layouts(numbers, kernel):
        state = {"features.0.weight": Stored((64, 3, kernel, kernel), np.float32, None)}
        state |= {f"classifier.{k}.weight": Stored((4096, 4096), np.float32, None) for k in numbers}
        monkeypatch.setattr(torch_file, "_read_legacy", lambda source: state)
        monkeypatch.setattr(torch_file.zip_archive, "is_zip", lambda source: False)
        return list(torch_file.read(None).layouts)
    assert layouts((1, 4, 6), 3)[0] == "bgr"
    assert layouts((0, 3, 6), 3)[0] == "rgb" and layouts((1, 4, 6), 11)[0] == "rgb"      # torchvision's VGG and AlexNet


def test_other_numbers_of_classes_and_no_head():
    net = nets.build("vgg16", None)
    layers = shapes_only(net, keras)
    layers["predictions"] = {"weight": Stored((20, 4096), np.float32, None), "bias": Stored((20,), np.float32, None)}
    filled, pairs, _ = layer_names.match(layers, net, 25_000)
    assert filled.options == {"classes": 20} and filled.parameters()["fc8/weight"].shape == (20, 4096)
    for name in ("fc1", "fc2", "predictions"):
        del layers[name]
    filled, pairs, _ = layer_names.match(layers, net, 25_000)
    assert filled.options == {"head": False} and len(pairs) == 13 and list(filled.layers)[-1] == "pool5"
    layers["predictions"] = {"weight": Stored((30_000, 4096), np.float32, None)}
    with pytest.raises(WeightsError):
        layer_names.match(layers, net, 25_000)


def test_what_does_not_fit_is_explained():
    vgg16, vgg19 = nets.build("vgg16", None), nets.build("vgg19", None)
    with pytest.raises(WeightsError, match=r"fit vgg19: no layer of it is conv3_4.*its layers fit vgg16, give that as --arch"):
        layer_names.match(shapes_only(vgg16, keras), vgg19, 25_000)
    layers = shapes_only(vgg16, keras)
    layers["block1_conv1"] = {"weight": Stored((64, 3, 5, 5), np.float32, None)}
    with pytest.raises(WeightsError, match=r"'block1_conv1' has \(64, 3, 5, 5\), expected is \(64, 3, 3, 3\)"):
        layer_names.match(layers, vgg16, 25_000)
    bn = {"inception3a.branch1.conv": {"weight": Stored((64, 192, 1, 1), np.float32, None)}}
    with pytest.raises(WeightsError, match="torchvision's googlenet is another network"):
        layer_names.match(bn, nets.build("googlenet", None), 25_000)


def with_batch_norm(layers):
    """torchvision's vgg16_bn and its like: a batch norm after each convolution."""
    found = {}
    for name, arrays in layers.items():
        found[name] = arrays
        if len(arrays["weight"].shape) == 4:
            found[name + "_bn"] = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), arrays["bias"])
    return found


@pytest.mark.parametrize("of", [keras, lambda name, k: name, torchvision(nets.build("vgg19", None)),
                                lambda name, k: f"layer_{k}"])
def test_a_larger_network_is_not_cut_down(of):
    """VGG-19 holds all of VGG-16's shapes in order, but its middle is not to be left out."""
    vgg16, vgg19 = nets.build("vgg16", None), nets.build("vgg19", None)
    with pytest.raises(WeightsError, match="fits vgg19 better, where 19 .* than vgg16, where 16 have; give --arch vgg19"):
        layer_names.match(shapes_only(vgg19, of), vgg16, 25_000)
    with pytest.raises(WeightsError, match="has batch normalisation .*_bn and 10 more.*, which vgg16 has not"):
        layer_names.match(with_batch_norm(shapes_only(vgg16, of)), vgg16, 25_000)
    if of("fc6", 40) == "layer_40":
        layers = shapes_only(vgg16, of)
        more = {"strange": {"weight": Stored((128, 128, 1, 1), np.float32, None)}}
        first = dict(list(layers.items())[:4])
        with pytest.raises(WeightsError, match="there is no place for strange; it is another network"):
            layer_names.match(first | more | layers, vgg16, 25_000)


def test_networks_with_normalising_layers_are_refused(tmp_path):
    """MatConvNet's bnorm has weights, too: a network without it computes something else."""
    arrays = squeezenet_arrays()
    with pytest.MonkeyPatch.context() as patch:
        read = formats.READERS["matconvnet"].read
        fake = type("Reader", (), {"read": staticmethod(lambda source: replace(read(source), left_out=["bn1 (bnorm)"]))})
        patch.setitem(formats.READERS, "matconvnet", fake)
        with pytest.raises(WeightsError, match=r"layers that normalise \(bn1 \(bnorm\)\), which no network here has"):
            convert.convert(write_mat(tmp_path / "a.mat", arrays), "squeezenet1_1", format="matconvnet", layout="hwio")


def test_torchvisions_numbers_as_they_are_published():
    """The numbers of torchvision's own modules, written down here and not computed from our order of layers."""
    convolutions = {"vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
                    "vgg19": (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34),
                    "alexnet_torchvision": (0, 3, 6, 8, 10)}
    matrices = {"vgg16": (0, 3, 6), "vgg19": (0, 3, 6), "alexnet_torchvision": (1, 4, 6)}
    for arch in convolutions:
        net = nets.build(arch, None)
        names = [f"features.{k}" for k in convolutions[arch]] + [f"classifier.{k}" for k in matrices[arch]]
        ours = [name for name, (layer, _) in net.layers.items() if layer.parameters]
        theirs = dict(zip(ours, names))
        _, pairs, how = layer_names.match(shapes_only(net, lambda name, k: theirs[name]), net, 25_000)
        assert pairs == theirs and how == "name"


def test_timms_names():
    net = nets.build("vgg16", None)
    timm = {"fc6": "pre_logits.fc1", "fc7": "pre_logits.fc2", "fc8": "head.fc"}
    layers = shapes_only(net, lambda name, k: timm.get(name) or torchvision(net)(name, k))
    layers["pre_logits.fc1"]["weight"] = Stored((4096, 512, 7, 7), np.float32, None)
    layers["pre_logits.fc2"]["weight"] = Stored((4096, 4096, 1, 1), np.float32, None)
    _, pairs, how = layer_names.match({name: layers[name] for name in sorted(layers)}, net, 25_000)
    assert how == "name" and {ours: pairs[ours] for ours in timm} == timm


def write_torch(path, net):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({name.replace("/", "."): p.data for name, p in net.parameters().items()}, path)
    return path


def test_photographs_overrule_what_a_format_usually_holds(tmp_path):
    """Caffe's numbers as somebody saved them with torch: red and blue are the other way round than torchvision has them."""
    ours = minicnn.load("squeezenet1_1")
    path = write_torch(tmp_path / "a.safetensors", ours)
    net, report = convert.convert(path, "squeezenet1_1", photographs=PHOTOGRAPHS)
    assert report.layout == "bgr" and report.margin > 100 and net.preprocessing == ours.preprocessing
    net, report = convert.convert(path, "squeezenet1_1")
    assert report.layout == "rgb" and any("the usual one: " in line for line in report.lines)
    net, report = convert.convert(path, "squeezenet1_1", layout="rgb", photographs=PHOTOGRAPHS)
    assert report.lines[-2].startswith("CAUTION: the right classes of 5 photographs have the probability 0.000")
    net, report = convert.convert(path, "squeezenet1_1", layout="bgr", photographs=PHOTOGRAPHS)
    assert report.lines[-2] == "the right classes of 5 photographs have the probability 0.620 (geometric mean)"


def test_auxiliary_heads_are_left_out():
    net = nets.build("googlenet", None)
    layers = shapes_only(net, lambda name, k: name)
    layers = {"loss1/classifier": {"weight": Stored((1000, 1024), np.float32, None)}, **layers}
    assert "loss1/classifier" not in layer_names.match(layers, net, 25_000)[1].values()
    order = list(layers)
    order.insert(20, order.pop(0))          # in the middle of the file, as Caffe has it
    assert "loss1/classifier" not in layer_names.match({name: layers[name] for name in order}, net, 25_000)[1].values()


def test_the_tables_are_right():
    x = np.zeros((1, 3, 224, 224), np.float32)
    for name in nets.NAMES:
        net = nets.build(name, None)
        assert layer_names.PARAMETERS[name] == sum(p.size for p in net.parameters().values())
        assert (name in convert.MAPS) == ("flatten" in net.layers)
        if name in convert.MAPS:        # the size of the map follows from the first matrix; squares but for nothing
            channels, height, width = convert.MAPS[name]
            after = list(net.layers)[list(net.layers).index("flatten"):]
            first = next(n for n in after if net.layer(n).parameters)
            assert net.layer(first).parameters["weight"].shape[1] == channels * height * width
    acts = nets.build("alexnet_torchvision", 0).activations(x, upto="avgpool")
    assert acts["avgpool"].shape[1:] == convert.MAPS["alexnet_torchvision"]


# --- numbers ------------------------------------------------------------------------------------------------------------
def write_npz(path, change=lambda name, array: array):
    from foreign_weights import flattened_hwc
    arrays = {}
    for name, (w, b) in weights().items():
        arrays[f"{name}_W"] = w.transpose(2, 3, 1, 0) if w.ndim == 4 else flattened_hwc(w).T
        arrays[f"{name}_b"] = b
    np.savez(path, **{name: change(name, array) for name, array in arrays.items()})
    return path


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_numbers_that_are_none_are_reported(value, tmp_path):
    def change(name, array):
        array = array.astype(np.float64)
        array.flat[-1] = value if name == "conv2_W" else array.flat[-1]
        return array
    with pytest.raises(WeightsError, match="a.npz .*NaN or infinity in 'conv2'"):
        convert.convert(write_npz(tmp_path / "a.npz", change), "convnetjs_cifar10")


def test_half_and_double_precision(tmp_path):
    for dtype in ("f2", "f8", ">f4"):
        assert same(convert.convert(write_npz(tmp_path / "a.npz", lambda name, a: a.astype(dtype)), "convnetjs_cifar10")[0])


def test_a_mean_picture(tmp_path):
    mean = np.zeros((3, 256, 256), np.float32)
    mean[:, 14:241, 14:241] = np.reshape([100, 110, 120], (3, 1, 1))
    np.save(tmp_path / "mean.npy", mean)
    net = nets.build("alexnet", None)
    assert convert._mean_of(tmp_path / "mean.npy", net.preprocessing) == (100, 110, 120)
    rgb = replace(net.preprocessing, channel_order="RGB", scale=0.5)
    assert convert._mean_of(tmp_path / "mean.npy", rgb) == (60, 55, 50)
    golden = convert._mean_of(FOLDER / "mean.binaryproto", net.preprocessing)
    assert len(golden) == 3 and all(np.isfinite(golden))
    for bad in (np.zeros((2, 5, 5), np.float32), np.full((3, 2, 2), np.nan, np.float32), np.zeros((3, 5), np.float32),
                np.zeros(3, np.int32)):
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(WeightsError, match="bad.npy"):
            convert._mean_of(tmp_path / "bad.npy", net.preprocessing)


# --- the tool -------------------------------------------------------------------------------------------------------------
def run(*arguments):
    return subprocess.run([sys.executable, "-m", "tools.convert_weights", *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True)


def test_the_tool_writes_what_load_reads(tmp_path, unpacked):
    source = FOLDER / "caffe_v1.caffemodel"
    done = run(source, tmp_path / "a.h5", "--arch", "convnetjs_cifar10", "--licence", "CC0", "--dtype", "float16")
    assert done.returncode == 0 and done.stderr == "" and "left out" in done.stdout and "loss" in done.stdout
    net = minicnn.load(tmp_path / "a.h5")
    assert same(net) and net.provenance["licence"] == "CC0" and net.provenance["source"] == source.name
    assert net.provenance["source_sha256"] == convert.sha256(source) and "caffe" in net.provenance["conversion"]


@pytest.mark.parametrize("arguments, says", [
    (["no.pth", "a.h5", "--arch", "vgg16"], "no.pth.*cannot be opened"),
    ([FOLDER, "a.h5", "--arch", "vgg16"], "is no file"), (["/dev/zero", "a.h5", "--arch", "vgg16"], "is no file"),
    ([FOLDER / "onnx.onnx", "a.h5", "--arch", "vgg61"], "vgg16"),
    ([FOLDER / "onnx.onnx", "a.h5", "--arch", "vgg16"], "does not fit vgg16.*fit convnetjs_cifar10"),
    ([FOLDER / "onnx.onnx", "a.h5", "--arch", "convnetjs_cifar10", "--format", "tourch"], "torch"),
    ([FOLDER / "onnx.onnx", "a.h5", "--arch", "convnetjs_cifar10", "--format", "torch"], "onnx.onnx, read as torch"),
    ([FOLDER / "onnx.onnx", "a.bin", "--arch", "convnetjs_cifar10"], "should end in .h5"),
    ([FOLDER / "onnx.onnx", "no/such/a.h5", "--arch", "convnetjs_cifar10"], "existing folder"),
    ([FOLDER / "onnx.onnx", "a.h5", "--arch", "convnetjs_cifar10", "--mean", FOLDER / "onnx.onnx"],
     "onnx.onnx: it is no mean picture"),
    ([FOLDER / "mean.binaryproto", "a.h5", "--arch", "vgg16"], "mean picture of Caffe's, not weights; give it as --mean"),
    ([FOLDER / "convnetjs.json.gz", "a.h5", "--arch", "vgg16"], "packed with gzip.*unpack it"),
    ([ROOT / "README.md", "a.h5", "--arch", "vgg16"], "of no known format"),
    ([ROOT / "weights/squeezenet1_1.h5", "a.h5", "--arch", "squeezenet1_1"], "minicnn.load reads it")])
def test_the_tool_says_what_is_wrong(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        convert_weights.main([str(a) for a in arguments])
    import re
    assert re.search(says, str(stop.value)) and "\n" not in str(stop.value) and list(tmp_path.iterdir()) == []


def test_the_source_is_not_overwritten(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes((FOLDER / "keras.h5").read_bytes())
    with pytest.raises(SystemExit, match="SOURCE itself"):
        convert_weights.main([str(tmp_path / "a.h5"), str(tmp_path / "a.h5"), "--arch", "convnetjs_cifar10"])
    assert (tmp_path / "a.h5").read_bytes() == (FOLDER / "keras.h5").read_bytes()


def test_a_network_without_a_head_can_be_saved_and_says_so(tmp_path):
    net = nets.build("alexnet_torchvision", 0, head=False)
    assert list(net.layers)[-1] == "avgpool" and net.options == {"head": False}
    minicnn.save(net, tmp_path / "a.h5", dtype="float16")
    again = minicnn.load(tmp_path / "a.h5")
    assert list(again.layers) == list(net.layers) and again.parameters().keys() == net.parameters().keys()
    assert (tmp_path / "a.h5").stat().st_size < 2.1 * sum(p.size for p in net.parameters().values())
    with pytest.raises(minicnn.errors.SettingError, match="not in scores"):
        minicnn.predict(again, ROOT / "lectures/images/coffee.jpg")
    with pytest.raises(minicnn.errors.SettingError, match="no linear layers"):
        nets.build("squeezenet1_1", head=False)
    assert json.loads(json.dumps(net.options)) == net.options and set(SHAPES) == set(weights())
