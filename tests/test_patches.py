"""Patches that activate a unit most, over pictures in memory, in a folder, and on a Dask cluster; activations; filters."""
import os
import signal

import numpy as np
import pytest
from PIL import Image

import minicnn
from minicnn import nn
from minicnn.errors import ImageError, MinicnnError, SettingError, ShapeError, UnknownNameError
from minicnn.receptive_field import receptive_fields
from minicnn.visualize import patches
from minicnn.visualize.activations import layer_views
from minicnn.visualize.collection import collection_codes, collection_patches, picture_files
from minicnn.visualize.filters import colourfulness, halves
from tools import top_patches as program

NET = "convnetjs_cifar10"


@pytest.fixture(scope="module")
def pictures():
    return list(np.random.default_rng(0).integers(0, 256, (37, 32, 32, 3)).astype(np.uint8))


@pytest.fixture(scope="module")
def net():
    return minicnn.load(NET)


@pytest.fixture(scope="module")
def folder(pictures, tmp_path_factory):
    """The pictures as files, some in a folder of their own, with a text, a broken picture and a hidden file among them."""
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "more").mkdir()
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / ("more" if number % 3 else ".") / f"{number:02}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "05broken.png").write_bytes((folder / "more" / "05.png").read_bytes()[:300])
    (folder / ".hidden").write_text("")
    return folder


# --- the heap ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("batch", [1, 5, 64])
def test_what_is_kept_is_the_head_of_everything_sorted(net, pictures, batch):
    found = patches.top_patches(net, "relu2", pictures, top=6, batch=batch)
    with minicnn.no_grad():
        maps = np.concatenate([net.activations(net.preprocess(p), upto="relu2")["relu2"].data for p in pictures])
    strongest = maps.max(axis=(2, 3))                                               # (37, K)
    assert found.count == 37 and found.values.shape == (maps.shape[1], 6)
    for channel in range(maps.shape[1]):
        order = sorted(range(37), key=lambda k: (-strongest[k, channel], k))[:6]
        np.testing.assert_allclose(found.values[channel], strongest[order, channel], rtol=1e-5, atol=1e-6)
        if len(set(np.round(strongest[order, channel], 3))) == 6:
            assert found.picture[channel].tolist() == order
            for k, number in enumerate(order):
                place = found.row[channel, k], found.column[channel, k]
                assert maps[(number, channel, *place)] == maps[number, channel].max()


def test_scores_are_channels_without_places_and_few_pictures_leave_gaps(net, pictures):
    found = patches.top_patches(net, net.class_layer, pictures[:2], top=4)
    assert found.values.shape == (10, 4) and (found.picture[:, 2:] == -1).all() and (found.values[:, 2:] == -np.inf).all()
    assert (found.row[:, :2] == 0).all() and sorted(found.picture[0, :2]) == [0, 1]


def test_merging_does_not_care_for_the_order():
    activation = np.random.default_rng(0).integers(0, 4, (12, 3, 4, 4)).astype(float)            # with many ties
    parts = [patches.strongest(activation[k:k + 3], 5, np.arange(k, k + 3)) for k in range(0, 12, 3)]
    whole = patches.strongest(activation, 5, np.arange(12))
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        merged = parts[order[0]]
        for k in order[1:]:
            merged = patches.merge(merged, parts[k])
        for name in ("values", "picture", "row", "column", "count"):
            assert np.array_equal(getattr(merged, name), getattr(whole, name)), (order, name)


def test_a_crop_holds_all_that_the_unit_sees(net, pictures):
    field = receptive_fields(net)["pool2"]
    with minicnn.no_grad():
        before = net.activations(net.preprocess(pictures[0]), upto="pool2")["pool2"].data[0]
    for place in ((0, 0), (3, 5), (7, 7)):
        crop, (top, left, bottom, right) = patches.cut_patch(pictures[0], field, *place)
        other = pictures[1].copy()
        other[top:bottom, left:right] = crop
        with minicnn.no_grad():
            after = net.activations(net.preprocess(other), upto="pool2")["pool2"].data[0]
        np.testing.assert_allclose(after[(slice(None), *place)], before[(slice(None), *place)], atol=1e-4)


def test_a_white_box_is_drawn_on_a_copy():
    grey = np.full((60, 80, 3), 90, np.uint8)
    drawn = patches.draw_box(grey, (10, 20, 40, 70))
    assert (grey == 90).all() and (drawn[10, 20:70] == 255).all() and (drawn[39, 20:70] == 255).all()
    assert (drawn[11:39, 20] == 255).all() and (drawn[15:35, 25:65] == 90).all()
    assert (patches.draw_box(grey, (10, 20, 40, 70), 12.3)[12:30, 22:60] > 180).any()


def test_the_effective_field_lies_within_the_theoretical_and_is_that_of_a_linear_network():
    net = nn.Sequential({"conv1": nn.Conv2d(1, 1, 3, padding=1), "conv2": nn.Conv2d(1, 1, 3, padding=1)}, "linear")
    for name in ("conv1/weight", "conv2/weight"):
        net.set_array(name, np.ones((1, 1, 3, 3), np.float32))
    field = patches.effective_field(net, "conv2", np.zeros((2, 1, 9, 9)), 0)
    expected = np.outer([1, 2, 3, 2, 1], [1, 2, 3, 2, 1]) / 81
    np.testing.assert_allclose(field[2:7, 2:7], expected, atol=1e-7)
    assert field.sum() == pytest.approx(1) and np.count_nonzero(field) == 25


@pytest.mark.parametrize("call, says", [
    (lambda net, p: patches.top_patches(net, "pool2", p, top=0), "top is 0"),
    (lambda net, p: patches.top_patches(net, "pool2", p, batch=2.5), "batch is 2.5"),
    (lambda net, p: patches.top_patches(net, "pol2", p), "pool2"),
    (lambda net, p: patches.strongest(np.zeros((2, 3, 4)), 1, [0, 1]), "expected maps"),
    (lambda net, p: patches.effective_field(net, "fc", np.zeros((1, 3, 32, 32)), 0), "expected maps")])
def test_wrong_patches(net, pictures, call, says):
    with pytest.raises(MinicnnError, match=says):
        call(net, pictures)


# --- a collection --------------------------------------------------------------------------------------------------------
def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("values", "picture", "row", "column", "count"))


def test_a_folder_is_streamed_and_what_is_no_picture_passed_over(net, folder, pictures):
    files = picture_files(folder)
    assert len(files) == 39 and ".hidden" not in [f.name for f in files]
    *_, found = collection_patches(NET, "relu2", files, top=5, batch=4)
    assert found.count == 37
    numbers = [files.index(folder / ("more" if k % 3 else ".") / f"{k:02}.png") for k in range(37)]
    direct = patches.top_patches(net, "relu2", pictures, top=5, batch=4)
    np.testing.assert_allclose(found.values, direct.values, rtol=1e-6)
    assert np.mean(found.picture == np.array(numbers)[direct.picture]) > 0.95
    codes, order = collection_codes(NET, "relu2", files, batch=5)
    assert codes.shape == (37, 20) and sorted(order) == sorted(numbers)


def test_folders_without_pictures(tmp_path):
    for name, says in (("nowhere", "there is no folder"), (".", "holds no pictures")):
        with pytest.raises(ImageError, match=says):
            picture_files(tmp_path / name)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(ImageError, match="none of the files"):
        list(collection_patches(NET, "relu2", picture_files(tmp_path)))
    with pytest.raises(ImageError, match="none of the files"):
        collection_codes(NET, "relu2", picture_files(tmp_path))
    for settings, error in (({"batch": 0}, SettingError), ({"layer": "no"}, UnknownNameError)):
        with pytest.raises(error):
            list(collection_patches(NET, settings.pop("layer", "relu2"), [tmp_path / "a.txt"], **settings))


def test_a_file_of_weights_that_was_written_anew_is_read_anew(tmp_path, pictures, monkeypatch):
    Image.fromarray(pictures[0]).save(tmp_path / "a.png")
    for seed in (1, 2):
        net = minicnn.build("lenet", rng=seed)
        minicnn.save(net, tmp_path / "mine.h5")
        found = collection_codes(str(tmp_path / "mine.h5"), "ip2", [tmp_path / "a.png"])[0]
        with minicnn.no_grad():
            assert np.array_equal(found, net.activations(net.preprocess(tmp_path / "a.png"))["ip2"].data)


def test_without_a_scheduler_it_is_said(folder):
    pytest.importorskip("dask.distributed")
    with pytest.raises(SettingError, match="no Dask scheduler answers at 'tcp://127.0.0.1:9'"):
        list(collection_patches(NET, "relu2", picture_files(folder), dask="tcp://127.0.0.1:9"))


def test_a_cluster_of_which_a_worker_is_killed_gives_the_same(folder):
    distributed = pytest.importorskip("dask.distributed")
    files = picture_files(folder)
    *_, alone = collection_patches(NET, "relu2", files, top=5, batch=2)
    codes, numbers = collection_codes(NET, "relu2", files, batch=2)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            pids, found = client.run(os.getpid), None
            for step, found in enumerate(collection_patches(NET, "relu2", files, top=5, batch=2, dask=client)):
                if step == 0:
                    os.kill(next(iter(pids.values())), signal.SIGKILL)
            assert same(found, alone)
            assert set(client.run(os.getpid).values()) != set(pids.values())                # it was killed
        again = collection_codes(NET, "relu2", files, batch=2, dask=cluster.scheduler_address)
        assert np.array_equal(again[0], codes) and np.array_equal(again[1], numbers)


# --- the program -----------------------------------------------------------------------------------------------------------
def test_the_program_writes_patches_and_codes(folder, tmp_path, capsys):
    out = tmp_path / "found.npz"
    assert program.main([str(folder), "--net", NET, "--layer", "relu2", "--top", "3", "--out", str(out)]) == 0
    *_, expected = collection_patches(NET, "relu2", picture_files(folder), top=3)
    with np.load(out) as file:
        assert np.array_equal(file["values"], expected.values) and file["count"] == 37 and len(file["files"]) == 39
    assert "37 of 39 files, 20 channels" in capsys.readouterr().out
    assert program.main([str(folder), "--net", NET, "--layer", "relu2", "--codes", "--out", str(out)]) == 0
    with np.load(out) as file:
        assert file["codes"].shape == (37, 20)


def test_the_program_after_ctrl_c_and_with_wrong_arguments(folder, tmp_path, capsys, monkeypatch):
    out = tmp_path / "found.npz"

    def interrupted(*arguments, **settings):
        yield next(collection_patches(*arguments, **settings))
        raise KeyboardInterrupt

    def stopped(*arguments, **settings):
        raise KeyboardInterrupt
    monkeypatch.setattr(program, "collection_patches", interrupted)
    arguments = [str(folder), "--net", NET, "--layer", "relu2", "--batch", "8", "--out", str(out)]
    assert program.main(arguments) == 1 and "stopped by Ctrl-C" in capsys.readouterr().out
    with np.load(out) as file:
        assert 0 < file["count"] <= 8
    monkeypatch.undo()
    monkeypatch.setattr(program, "collection_codes", stopped)
    assert program.main([*arguments, "--codes"]) == 2 and "stopped by Ctrl-C before all codes" in capsys.readouterr().err
    monkeypatch.undo()
    for change, says in ((["--layer", "relu9"], "relu9"), (["--net", "nothing"], "nothing"), (["--top", "0"], "top"),
                         (["--out", str(tmp_path / "no" / "a.npz")], "no file in a folder"),
                         (["--out", str(tmp_path)], "no file in a folder"), (["--batch", "0"], "batch")):
        assert program.main([*arguments, *change]) == 2
        error = capsys.readouterr().err.replace("\r", "\n").strip().splitlines()[-1]
        assert error.startswith("top_patches:") and says in error, error


# --- activations -------------------------------------------------------------------------------------------------------------
def test_views_are_the_numbers_of_a_forward_pass(net, pictures):
    x = net.preprocess(pictures[0])
    views = layer_views(net, x)
    with minicnn.no_grad():
        for name, a in net.activations(x).items():
            assert name not in views or np.array_equal(views[name].maps.ravel(), a.data.ravel())
    assert list(layer_views(net, x, ["pool1", "fc"])) == ["pool1", "fc"] and views["fc"].maps.shape == (10, 1, 1)
    shown = views["conv1"].shown()
    positive = np.maximum(views["conv1"].maps, 0)
    assert np.array_equal(shown, np.rint(255 * positive / positive.max(axis=(1, 2), keepdims=True)).astype(np.uint8))
    assert shown.dtype == np.uint8 and (shown.max(axis=(1, 2)) == 255).all() and (shown[views["conv1"].maps <= 0] == 0).all()
    assert (views["conv1"].shown(together=True).max(axis=(1, 2)) == 255).sum() == 1
    assert views["conv1"].shown(gamma=0.5).mean() > shown.mean()
    assert views["conv1"].grid(pad=1).shape == (4 * 33 - 1, 4 * 33 - 1) and views["conv2"].enlarged(3, (50, 40)).shape == (50, 40)
    tops = views["conv1"].maps.max(axis=(1, 2))[views["conv1"].strongest(4)]
    assert (np.diff(tops) <= 0).all() and tops[0] == views["conv1"].maps.max()


@pytest.mark.parametrize("call, error", [
    (lambda net, x: layer_views(net, x, ["conv9"]), UnknownNameError), (lambda net, x: layer_views(net, x[0]), ShapeError),
    (lambda net, x: layer_views(net, x)["conv1"].enlarged(16, (9, 9)), SettingError),
    (lambda net, x: layer_views(net, x)["conv1"].shown(gamma=0), SettingError)])
def test_wrong_activations(net, pictures, call, error):
    with pytest.raises(error):
        call(net, net.preprocess(pictures[0]).data)


# --- AlexNet's halves ----------------------------------------------------------------------------------------------------------
def test_halves_and_how_colourful_filters_are():
    rng = np.random.default_rng(0)
    grey, colour = np.repeat(rng.normal(size=(4, 1, 5, 5)), 3, axis=1), rng.normal(size=(4, 3, 5, 5))
    colour -= colour.mean(axis=1, keepdims=True)                    # nothing in common of the channels
    first, second = halves(np.concatenate([grey, colour]))
    assert np.array_equal(first, grey) and np.array_equal(second, colour)
    assert colourfulness(first).max() < 1e-12 and colourfulness(second).min() > 1 - 1e-12
    plain = np.ones((1, 3, 5, 5)) * np.array([1.0, -0.5, -0.5]).reshape(1, 3, 1, 1)         # red all over
    assert colourfulness(plain) == pytest.approx(1) and colourfulness(np.ones((1, 3, 5, 5))) == 0
    mixed = colourfulness(rng.normal(size=(200, 3, 11, 11)))
    assert mixed.mean() == pytest.approx(2 / 3, abs=0.02)           # three independent channels
    with pytest.raises(ShapeError, match="multiple of 2"):
        halves(np.zeros((5, 3, 2, 2)))
