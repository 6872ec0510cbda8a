"""Networks that paint: their loss, training, many styles in one, tiles, textures, super-resolution, and the tool."""
from types import SimpleNamespace

import numpy as np
import pytest

import minicnn
from memory import peak_of
from minicnn import images, ops
from minicnn.art import fast_style, texture
from minicnn.art.fast_style import StyleStep, stylize, with_statistics_of
from minicnn.art.many_styles import (choose_style, style_parameters, style_weights, styles_of, with_new_style, with_style)
from minicnn.art.perceptual_loss import PerceptualLoss, between, gram_matrices, sized
from minicnn.art.super_resolution import SuperResolutionStep, shrunk, super_resolve
from minicnn.data import PictureFiles, flipped
from minicnn.errors import DataError, MinicnnError, SettingError
from minicnn.loop import take
from minicnn.optim import Adam
from minicnn.tensor import Tensor
from minicnn.training import load_checkpoint, save_checkpoint, training_steps

I = "lectures/images/"                                                   # noqa: E741
PAINTINGS, PHOTOGRAPHS = [I + "starry_night.jpg", I + "great_wave.jpg"], [I + "chelsea.jpg", I + "coffee.jpg", I + "rocket.jpg"]
LAYERS = (["fire2/concat"], ["relu_conv1", "fire2/concat"])


@pytest.fixture(scope="module")
def looking():
    return minicnn.load("squeezenet1_1")


def painter(styles=1, width=2, seed=0):
    """A small transform network whose styles differ."""
    net = minicnn.build("transform", rng=seed, width=width, norm="conditional", styles=styles)
    net.classes = ["a", "b", "c"][:styles]
    rng = np.random.default_rng(seed)
    for name, p in style_parameters(net).items():
        net.set_array(name, p.data + 0.3 * rng.standard_normal(p.shape, dtype=np.float32))
    net.set_array("conv6/weight", net.parameters()["conv6/weight"].data * 20)
    return net


def step_for(looking, paintings=PAINTINGS[:1], **settings):
    return StyleStep(looking, paintings, **{**dict(layers=LAYERS, style_size=64, rng=np.random.default_rng(0)), **settings})


def photograph(size=64, name=PHOTOGRAPHS[0]):
    return images.resize(images.load_image(name), (size, size) if np.isscalar(size) else size)


# --- the loss ---------------------------------------------------------------------------------------------------------
def test_one_network_sees_what_another_painted(looking):
    net, picture = painter(), photograph()
    w, b = between(net.preprocessing, looking.preprocessing)
    seen = ops.conv2d(net.preprocess(picture, whole=True), w, b).data
    np.testing.assert_allclose(seen, looking.preprocess(picture, whole=True).data, rtol=0, atol=1e-3)


def test_the_loss_of_a_batch_is_the_mean_of_its_pictures_losses(looking):
    x = np.concatenate([sized(looking, name, 48)[:, :, :32, :32] for name in PHOTOGRAPHS])
    other = np.concatenate([sized(looking, name, 48)[:, :, :26, :26] for name in PAINTINGS + PAINTINGS[:1]])
    answers = {name: a.data for name, a in looking.activations(x[::-1].copy(), upto="fire2/concat").items()}
    grams = gram_matrices(looking, other, LAYERS[1])

    def loss(k):
        return PerceptualLoss(looking, {"fire2/concat": (answers["fire2/concat"][k], 2.0)},
                              {name: (grams[name][k], 7.0) for name in LAYERS[1]}, 3.0)
    value, gradient = loss(slice(None))(x)
    single = [loss([k])(x[[k]]) for k in range(3)]
    assert value == pytest.approx(np.mean([v for v, _ in single]), rel=1e-5)
    np.testing.assert_allclose(gradient, np.concatenate([g for _, g in single]) / 3, rtol=0, atol=1e-5 * np.abs(gradient).max())


def test_the_step_descends_along_the_gradient_of_the_whole_chain(looking):
    """Numerically, in float64: from the loss through the network that looks into the weights of the one that paints."""
    deep, net = looking.astype(np.float64), painter().astype(np.float64).train(0)
    step, x = step_for(deep), photograph(32).transpose(2, 0, 1)[None] / 127.5 - 1.0
    step.loss(net, x, np.array([0])).backward()
    rng = np.random.default_rng(1)
    for name in ("conv2/weight", "res3/norm2/weight", "conv6/bias"):
        p = net.parameters()[name]
        direction = rng.normal(size=p.shape) * 1e-6
        p.data += direction
        above = step.loss(net, x, np.array([0])).item()
        p.data -= 2 * direction
        below = step.loss(net, x, np.array([0])).item()
        p.data += direction
        assert above - below == pytest.approx(2 * float((p.grad * direction).sum()), rel=1e-3), name


def test_training_makes_the_loss_less_and_a_stopped_run_ends_with_the_same_bits(looking, tmp_path):
    def run(first, start=None):
        net, rng = minicnn.build("transform", rng=0, width=4, norm="conditional", styles=2), np.random.default_rng(0)
        optimizer, step = Adam(net.train(rng).parameters(), 3e-3), step_for(looking, PAINTINGS, rng=rng)
        begin = {} if start is None else {"start": load_checkpoint(start, net, optimizer, rng)}
        states = training_steps(net, PictureFiles(PHOTOGRAPHS, 48), optimizer, batch_size=2, rng=rng, take_step=step,
                                augment=flipped, **begin)
        losses = [state.loss for _, state in zip(range(first + 1), states)]
        for state in take(0, states) if start is None else ():          # one step more
            save_checkpoint(tmp_path / "c.npz", net, optimizer, rng, state)
        return losses, net
    losses, whole = run(24)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[1:4])
    run(14)
    _, again = run(10, tmp_path / "c.npz")
    for name, p in whole.parameters().items():
        assert np.array_equal(p.data, again.parameters()[name].data), name


# --- many styles ------------------------------------------------------------------------------------------------------
def test_one_style_is_instance_norm_and_one_hot_rows_are_exact():
    many, picture = painter(3), photograph()
    for style in range(3):
        single = minicnn.build("transform", None, width=2)
        for name, p in many.parameters().items():
            single.set_array(name, p.data[style] if name in style_parameters(many) else p.data)
        chosen = stylize(many, picture, style=style)
        assert np.array_equal(chosen, stylize(single, picture))
        assert np.array_equal(chosen, stylize(many, picture, style="abc"[style]))
        assert np.array_equal(chosen, stylize(many, picture, style=np.eye(3)[style] * 5))
    assert len({stylize(many, picture, style=k).tobytes() for k in range(3)}) == 3
    assert sum(p.size for p in style_parameters(many).values()) == 3 * 2 * (2 + 4 + 8 + 10 * 8 + 4 + 2)


def test_a_blend_has_the_blended_scales_and_shifts():
    many, picture = painter(3), photograph()
    weights = np.array([0.2, 0.5, 0.3], np.float32)
    blended = minicnn.build("transform", None, width=2)
    for name, p in many.parameters().items():
        blended.set_array(name, weights @ p.data if name in style_parameters(many) else p.data)
    assert np.abs(stylize(many, picture, style=weights).astype(int) - stylize(blended, picture)).max() <= 1


def test_pictures_of_a_batch_have_their_own_styles():
    many = painter(3)
    x = np.concatenate([many.preprocess(photograph(name=name), whole=True).data for name in PHOTOGRAPHS])
    choose_style(many, np.eye(3, dtype=np.float32)[[2, 0, 1]])
    together = many(x).data
    for k, style in enumerate((2, 0, 1)):
        np.testing.assert_allclose(together[[k]], with_style(many, style)(x[[k]]).data, rtol=0, atol=1e-5)


def test_a_new_style_is_learnt_and_the_others_keep_their_bits(looking):
    many, picture = painter(2), photograph()
    before = [stylize(many, picture, style=k) for k in range(2)]
    more, rng = with_new_style(many, "new"), np.random.default_rng(0)
    more.train(rng)
    step = step_for(looking, PAINTINGS[1:], first=2, rng=rng)
    optimizer = Adam(style_parameters(more), 0.02)
    states = training_steps(more, PictureFiles(PHOTOGRAPHS, 48), optimizer, batch_size=2, rng=rng, take_step=step)
    losses = [state.loss for _, state in zip(range(25), states)]
    assert np.mean(losses[-4:]) < 0.8 * np.mean(losses[1:5])
    more.eval()
    assert more.classes == ["a", "b", "new"] and styles_of(more) == 3
    for k in range(2):
        assert np.array_equal(stylize(more, picture, style=k), before[k])
    for name, p in many.parameters().items():
        kept = more.parameters()[name].data
        assert np.array_equal(kept[:2] if name in style_parameters(many) else kept, p.data), name


def test_styles_are_saved_with_their_names(tmp_path):
    minicnn.save(painter(3), tmp_path / "many.h5")
    net = minicnn.load(tmp_path / "many.h5")
    assert net.classes == ["a", "b", "c"] and styles_of(net) == 3
    assert np.array_equal(stylize(net, photograph(), style="c"), stylize(painter(3), photograph(), style=2))


# --- painting ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [(8, 8), (41, 58), (64, 31), (9, 200)])
def test_pictures_of_any_size_keep_it(size):
    picture = photograph(size)
    assert stylize(painter(), picture).shape == picture.shape


def test_tiles_are_the_whole_picture_with_its_statistics():
    net, picture = painter(3), photograph((300, 420))
    net = with_style(net, [0.5, 0.3, 0.2])
    fixed = with_statistics_of(net, picture)
    whole = fast_style.painted(net, picture)
    assert np.abs(fast_style.painted(fixed, picture).astype(int) - whole).max() <= 1
    assert np.abs(fast_style._in_tiles(fixed, picture, 256).astype(int) - whole).max() <= 1
    assert whole.std() > 20
    near = stylize(net, picture, style=[0.5, 0.3, 0.2], tile=256)           # the statistics of a shrunk picture
    assert np.abs(near.astype(int) - whole).mean() < 0.15 * whole.std()


def test_a_large_picture_is_painted_in_bounded_memory():
    program = ("import numpy as np, minicnn\nfrom minicnn.art.fast_style import stylize\n"
               "picture = np.random.default_rng(0).integers(0, 255, (3000, 2500, 3), dtype=np.uint8)\n"
               "assert stylize(minicnn.build('transform'), picture).shape == picture.shape")
    assert peak_of(program) <= 1.5


# --- textures ---------------------------------------------------------------------------------------------------------
def test_a_textures_style_falls(looking):
    first, *_, end = take(25, texture.texture_steps(looking, PAINTINGS[0], size=64, layers=LAYERS[1]))
    assert end.style < first.style / 20 and end.content == 0 and end.image.shape == (64, 64, 3)
    more = list(take(1, texture.texture_steps(looking, PAINTINGS[0], size=64, layers=LAYERS[1], start=end)))
    assert [state.step for state in more] == [25, 26] and more[0].loss == end.loss


def test_a_texture_network_learns_and_paints_any_size(looking):
    states = list(take(30, texture.texture_network_steps(looking, PAINTINGS[0], size=128, batch=1, layers=LAYERS[1])))
    assert np.mean([s.loss for s in states[-5:]]) < 0.3 * states[1].loss
    net = states[-1].net
    small, large = texture.paint(net, (128, 150), rng=0), texture.paint(net, (128, 150), rng=1)
    assert small.shape == (128, 150, 3) and not np.array_equal(small, large)
    assert np.array_equal(small, texture.paint(net, (128, 150), rng=0))


def test_noise_has_the_same_deviation_at_every_scale():
    from minicnn.nets.texture import scale_of_noise
    x = Tensor(texture.noise(1, (256, 256), np.random.default_rng(0)))
    for scale in range(5):
        some = scale_of_noise(x, scale)
        assert some.shape == (1, 3, 256 >> scale, 256 >> scale) and some.data.std() == pytest.approx(3 ** -0.5, rel=0.05)


# --- super-resolution -------------------------------------------------------------------------------------------------
def test_enlarging_learns_from_both_losses(looking):
    for loss in ("pixel", "feature"):
        net, rng = minicnn.build("super_resolution", rng=0), np.random.default_rng(0)
        step = SuperResolutionStep(looking, loss)
        states = training_steps(net, PictureFiles(PHOTOGRAPHS, 64), Adam(net.train(rng).parameters(), 1e-3), batch_size=3,
                                rng=rng, take_step=step)
        losses = [state.loss for _, state in zip(range(25), states)]
        assert losses[-1] < 0.9 * losses[1], loss


def test_the_painter_is_left_in_its_first_style(looking):
    net = painter(3).train(0)
    step_for(looking, PAINTINGS).loss(net, np.zeros((2, 3, 64, 64), np.float32), np.array([1, 0]))
    assert net(np.zeros((3, 3, 64, 64), np.float32)).shape == (3, 3, 64, 64)


def test_float64_networks_paint_too():
    picture = photograph()
    assert np.abs(stylize(painter().astype(np.float64), picture).astype(int) - stylize(painter(), picture)).max() <= 1
    net = minicnn.build("super_resolution", rng=0)
    assert np.abs(super_resolve(net.astype(np.float64), picture).astype(int) - super_resolve(net, picture)).max() <= 1


def test_enlarging_by_tiles_has_no_seams():
    net = minicnn.build("super_resolution", rng=0)
    net.set_array("detail/weight", net.parameters()["detail/weight"].data * 5)
    picture = photograph((70, 90))
    whole, tiled = super_resolve(net, picture, tile=256), super_resolve(net, picture, tile=32)
    assert whole.shape == (280, 360, 3) and np.abs(whole.astype(int) - tiled).max() <= 1
    x = np.arange(32, dtype=np.float32).reshape(1, 1, 4, 8)
    assert np.array_equal(shrunk(x), [[[[x[0, 0, :, :4].mean(), x[0, 0, :, 4:].mean()]]]])


# --- the tool ---------------------------------------------------------------------------------------------------------
def tool(tmp_path, *more, paintings=PAINTINGS):
    from tools.train_style import main
    settings = {"images": tmp_path / "photographs", "net": "squeezenet1_1", "size": 32, "photo-size": 36, "style-size": 48,
                "width": 2, "epochs": 1, "batch": 2, "copy-steps": 3, "out": tmp_path / "two.h5"}
    return main([*paintings, *(str(part) for key, value in settings.items() for part in (f"--{key}", value)), *more])


def test_the_tool_trains_two_styles_in_one_network(tmp_path, capsys):
    (tmp_path / "photographs").mkdir()
    for k, name in enumerate(PHOTOGRAPHS * 2):
        images.save_image(tmp_path / "photographs" / f"{k}.png", photograph((40, 36), name))
    assert tool(tmp_path) == 0
    net = minicnn.load(tmp_path / "two.h5")
    assert net.classes == ["starry_night", "great_wave"] and net.options["norm"] == "conditional"
    assert "train_style" in net.provenance["source"] and "held-out photographs" in capsys.readouterr().out
    assert tool(tmp_path, "--start", str(tmp_path / "two.h5"), "--fresh") == 0
    assert tool(tmp_path, "--start", str(tmp_path / "two.h5"), "--fresh", "--width", "3") == 1
    assert "--start" in capsys.readouterr().err
    whole = (tmp_path / "photographs" / "0.png").read_bytes()
    (tmp_path / "photographs" / "notes.txt").write_bytes(b"no picture")                 # is passed over
    assert tool(tmp_path, "--fresh") == 0
    for name in ("0.png", "5.png"):             # held out, and not
        (tmp_path / "photographs" / name).write_bytes(whole[:len(whole) // 2])
        assert tool(tmp_path, "--fresh") == 1 and name in capsys.readouterr().err
        (tmp_path / "photographs" / name).write_bytes(whole)
    assert tool(tmp_path, "--fresh", paintings=PAINTINGS[:1] * 2) == 1 and "a name each" in capsys.readouterr().err


def test_before_it_paints_a_network_learns_to_copy(tmp_path):
    from tools.train_style import copying
    for k, name in enumerate(PHOTOGRAPHS * 2):
        images.save_image(tmp_path / f"{k}.png", photograph((40, 36), name))
    net = minicnn.build("transform", width=8, norm="conditional", styles=3)
    x = net.preprocess(photograph((128, 128)), whole=True).data
    before = float(((net(x).data - x) ** 2).mean())
    copying(SimpleNamespace(images=tmp_path, seed=0, copy_steps=60, batch=2))(net)
    assert float(((net.eval()(x).data - x) ** 2).mean()) < 0.8 * before
    assert all((table.data == table.data[0]).all() and len(table.data) == 3 for table in style_parameters(net).values())


@pytest.mark.parametrize("more", [["--net", "nowhere"], ["--epochs", "0"], ["--copy-steps", "-1"], ["--size", "3"],
                                  ["--style-weight", "-1"], ["--lr", "nan"], ["--images", "nowhere"],
                                  ["--size", "34", "--photo-size", "40"], ["--width", "0"], ["--norm", "batch"]])
def test_the_tool_tells_what_is_wrong(tmp_path, capsys, more):
    (tmp_path / "photographs").mkdir()
    for name in ("a.png", "b.png"):
        images.save_image(tmp_path / "photographs" / name, photograph((40, 40)))
    assert tool(tmp_path, *more) == 1
    told = capsys.readouterr().err
    assert 20 < len(told) < 600 and (more[0] in told or more[0] in ("--net", "--width", "--norm", "--style-weight", "--images"))


def test_one_photograph_is_not_trained_on_and_held_out(tmp_path, capsys):
    (tmp_path / "photographs").mkdir()
    images.save_image(tmp_path / "photographs" / "a.png", photograph((40, 40)))
    assert tool(tmp_path) == 1 and "holds 1 pictures" in capsys.readouterr().err


def texture_tool(tmp_path, *more):
    from tools.train_texture import main
    return main([PAINTINGS[0], "--net", "squeezenet1_1", "--size", "128", "--style-size", "128", "--batch", "1", "--steps", "2",
                 "--out", str(tmp_path / "texture.h5"), *more])


def test_the_texture_tool_writes_a_network_and_goes_on_with_it(tmp_path):
    assert texture_tool(tmp_path) == 0
    net = minicnn.load(tmp_path / "texture.h5")
    assert texture.paint(net, (128, 140)).shape == (128, 140, 3) and "--steps 2" in net.provenance["source"]
    assert texture_tool(tmp_path, "--start", str(tmp_path / "texture.h5")) == 0
    assert "--start texture.h5" in minicnn.load(tmp_path / "texture.h5").provenance["source"]


@pytest.mark.parametrize("more", [["--steps", "0"], ["--size", "70"], ["--size", "0"], ["--lr", "nan"], ["--net", "nowhere"],
                                  ["--style-size", "-8"], ["--start", "starry_night"], ["--batch", "0"],
                                  ["--out", "nowhere/a.h5"]])
def test_the_texture_tool_tells_what_is_wrong(tmp_path, capsys, more):
    assert texture_tool(tmp_path, *more) == 1
    assert 20 < len(capsys.readouterr().err) < 600 and not (tmp_path / "texture.h5").exists()


BLACK = np.zeros((1, 3, 64, 64), np.float32)


@pytest.mark.parametrize("call", [
    lambda net: stylize(net, "nowhere.jpg"), lambda net: stylize(net, photograph(), style="d"),
    lambda net: stylize(net, photograph(4)), lambda net: stylize(net, photograph(), style=3),
    lambda net: stylize(net, photograph(), style=[1, 2]),
    lambda net: stylize(net, photograph(), style=[0, 0, 0]), lambda net: stylize(net, photograph(), size=-1),
    lambda net: stylize(net, photograph(), tile=10), lambda net: stylize(minicnn.build("lenet"), photograph()),
    lambda net: with_new_style(minicnn.build("transform"), "x"), lambda net: style_weights(net, {"a": 1}),
    lambda net: minicnn.build("transform", styles=2), lambda net: minicnn.build("transform", width=0),
    lambda net: minicnn.build("transform", norm="group"), lambda net: minicnn.build("transform", classes=10),
    lambda net: minicnn.build("texture", classes=10), lambda net: super_resolve(net, photograph()),
    lambda net: SuperResolutionStep(None), lambda net: SuperResolutionStep(net, "sharp"),
    lambda net: texture.paint(net, (64, 64)), lambda net: texture.paint(minicnn.build("texture"), (8, 64)),
    lambda net: next(texture.texture_steps(net, PAINTINGS[0])),
    lambda net: StyleStep(net, [], rng=np.random.default_rng(0)),
    lambda net: StyleStep(net, PAINTINGS, rng=0), lambda net: style_weights(net, [-1, 1, 1]),
    lambda net: style_weights(net, "1"),
    lambda net: style_weights(None, 0), lambda net: style_weights(net, [1e308] * 3), lambda net: with_new_style(net, "a"),
    lambda net: with_new_style(None, "x"), lambda net: minicnn.build("transform", width=True),
    lambda net: PictureFiles("photos", 32), lambda net: PictureFiles([], 32), lambda net: PictureFiles(PHOTOGRAPHS, True),
    lambda net: next(texture.texture_steps(minicnn.load("squeezenet1_1"), PAINTINGS[0], start="noise")),
    lambda net: texture.paint(None, (64, 64)), lambda net: texture.paint(minicnn.build("texture").train(), (128, 128)),
    lambda net: step_for(minicnn.load("squeezenet1_1"), PAINTINGS, first=2).loss(net, BLACK, np.array([0])),
    lambda net: step_for(minicnn.load("squeezenet1_1")).loss(net, BLACK[:, :, :62], np.array([0])),
    lambda net: SuperResolutionStep(minicnn.load("squeezenet1_1")).loss(minicnn.build("super_resolution"),
                                                                        np.zeros((1, 3, 34, 34), "f")),
    lambda net: gram_matrices(minicnn.load("squeezenet1_1"), np.zeros((1, 3, 64, 64), "f"), ["typo"]),
    lambda net: PerceptualLoss(minicnn.load("squeezenet1_1"), {}, {}, 1.0),
])
def test_wrong_settings_are_told(call):
    with pytest.raises(MinicnnError):
        call(painter(3))


def test_a_folders_pictures_are_read_when_asked_for(tmp_path):
    pictures = PictureFiles(PHOTOGRAPHS, 32)
    found = pictures.images[np.array([2, 0])]
    assert found.shape == (2, 3, 32, 32) and found.dtype == np.uint8 and len(pictures) == 3
    want = images.centre_crop(images.resize_shorter(images.load_image(PHOTOGRAPHS[0]), 32), 32)
    assert np.array_equal(found[1], want.transpose(2, 0, 1))
    with pytest.raises(DataError, match="nowhere"):
        PictureFiles(["nowhere.jpg"], 32).images[[0]]
    with pytest.raises(SettingError, match="size"):
        PictureFiles(PHOTOGRAPHS, 0)
