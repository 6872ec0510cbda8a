"""Pictures: every kind of file and array in, exact arithmetic to a network's input and back, tiles, writing."""
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from minicnn import images
from minicnn.errors import ImageError, ShapeError
from minicnn.images import Preprocessing

SPECS = {"caffe": Preprocessing(channel_order="BGR", mean=(103.939, 116.779, 123.68)),
         "torchvision": Preprocessing(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
         "convnetjs": Preprocessing(size=32, resize=None, scale=1 / 255, mean=(0.5, 0.5, 0.5)),
         "lenet": Preprocessing(size=28, resize=None, channel_order="GRAY", scale=1 / 256, mean=[0], std=[1])}


def picture(height=40, width=60, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, 0 * rows + 90], axis=2).astype(np.uint8)


# --- reading --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "ppm", "webp"])
def test_lossless_files_give_the_pixels(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    Image.fromarray(picture()).save(path, **({"lossless": True} if ending == "webp" else {}))
    for source in (path, str(path), Image.open(path)):
        loaded = images.load_image(source)
        assert loaded.dtype == np.uint8 and np.array_equal(loaded, picture())


def test_arrays_give_new_arrays_of_the_same_pixels():
    rgb = picture()
    loaded = images.load_image(rgb)
    assert np.array_equal(loaded, rgb) and not np.shares_memory(loaded, rgb)
    grey = rgb[..., 0]
    for array in (grey, grey[..., None], grey / 255, (grey / 255).astype(np.float32)):
        assert np.array_equal(images.load_image(array), np.stack([grey] * 3, axis=2))
    assert np.array_equal(images.load_image(rgb[::-1, ::2]), rgb[::-1, ::2])        # a view with strides


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(tmp_path, orientation):
    """How a camera stores a picture held that way is the inverse of what a viewer has to do."""
    upright = smooth(32, 48)
    stored = {1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
              5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: upright[::-1, ::-1].transpose(1, 0, 2),
              8: np.rot90(upright, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(images.load_image(tmp_path / "a.png"), upright)


def test_broken_exif_does_not_spoil_a_sound_picture(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\xff\xff\xff\xffgarbage")
    assert np.array_equal(images.load_image(tmp_path / "a.png"), picture())


def test_transparency_shows_a_white_ground(tmp_path):
    rgba = np.dstack([picture(), np.full((40, 60), 255, np.uint8)])
    rgba[:, 30:, 3] = 0
    rgba[:10, :, 3] = 128
    Image.fromarray(rgba).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", rgba):
        loaded = images.load_image(source)
        assert np.array_equal(loaded[10:, :30], picture()[10:, :30]) and (loaded[10:, 30:] == 255).all()
        blend = (picture()[:10] * 128.0 + 255 * 127.0) / 255
        assert np.abs(loaded[:10] - blend).max() <= 1
    grey = Image.fromarray(rgba[..., 0]).convert("LA")
    grey.putalpha(Image.fromarray(rgba[..., 3]))
    grey.save(tmp_path / "la.png")
    loaded = images.load_image(tmp_path / "la.png")
    assert np.array_equal(loaded[10:, :30, 1], rgba[10:, :30, 0]) and (loaded[10:, 30:] == 255).all()


def test_palettes(tmp_path):
    palette = Image.fromarray(np.arange(40 * 60, dtype=np.uint8).reshape(40, 60) % 3)
    palette.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    palette.save(tmp_path / "p.png")
    colours = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]], np.uint8)
    expected = colours[np.asarray(palette)]
    assert np.array_equal(images.load_image(tmp_path / "p.png"), expected)
    palette.save(tmp_path / "p.gif")
    assert np.array_equal(images.load_image(tmp_path / "p.gif"), expected)
    palette.save(tmp_path / "t.png", transparency=0)
    expected[np.asarray(palette) == 0] = 255
    assert np.array_equal(images.load_image(tmp_path / "t.png"), expected)


@pytest.mark.parametrize("name, mode", [("a.png", None), ("a.tif", None), ("a.pgm", None), ("i.tif", "I")])
def test_16_bits_are_scaled_not_clipped(tmp_path, name, mode):
    values = np.linspace(0, 65535, 2400).round().astype(np.uint16).reshape(40, 60)
    image = Image.fromarray(values if mode is None else values.astype(np.int32))
    image.save(tmp_path / name)
    loaded = images.load_image(tmp_path / name)
    assert np.array_equal(loaded[..., 1], np.rint(values / 257.0))
    assert loaded.min() == 0 and loaded.max() == 255 and len(np.unique(loaded)) == 256


def test_grey_one_bit_cmyk_and_float(tmp_path):
    grey = picture()[..., 0]
    Image.fromarray(grey).save(tmp_path / "g.png")
    assert np.array_equal(images.load_image(tmp_path / "g.png"), np.stack([grey] * 3, axis=2))
    Image.fromarray(grey > 99).save(tmp_path / "1.png")
    assert np.array_equal(images.load_image(tmp_path / "1.png")[..., 0], np.where(grey > 99, 255, 0))
    Image.fromarray(smooth(40, 60)).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    assert np.abs(images.load_image(tmp_path / "c.jpg").astype(int) - smooth(40, 60)).mean() < 4
    Image.fromarray((grey / 255).astype(np.float32)).save(tmp_path / "f.tif")
    assert np.array_equal(images.load_image(tmp_path / "f.tif")[..., 2], grey)


def png_header(width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("width, height", [(10000, 10000), (100000, 100000), (2**31 - 1, 2**31 - 1)])
def test_huge_pictures_are_refused_by_their_header(tmp_path, width, height):
    (tmp_path / "huge.png").write_bytes(png_header(width, height))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="64000000 allowed"):
            images.load_image(tmp_path / "huge.png")


def test_the_limit_counts_pixels_for_every_source(tmp_path):
    Image.fromarray(picture()).save(tmp_path / "a.png")
    for source in (tmp_path / "a.png", picture(), Image.fromarray(picture())):
        assert images.load_image(source, max_pixels=2400).shape == (40, 60, 3)
        with pytest.raises(ImageError, match="60 x 40 pixels, more than the 2399 allowed"):
            images.load_image(source, max_pixels=2399)


BAD_FILES = {"text.png": b"this is no picture\n" * 20, "garbage.jpg": bytes(range(256)) * 8, "zeros.bmp": bytes(500),
             "page.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n",
             "magic.png": b"\x89PNG\r\n\x1a\n", "empty.png": b"", "no_data.png": png_header(20, 20)}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_are_no_pictures(tmp_path, name):
    (tmp_path / name).write_bytes(BAD_FILES[name])
    with pytest.raises(ImageError, match=name.replace(".", r"\.")) as caught:
        images.load_image(tmp_path / name)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert name != "page.eps" or "not a picture that can be read" in str(caught.value)      # nor tried


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "tif", "webp", "ppm"])
def test_files_cut_short_anywhere(tmp_path, ending):
    Image.fromarray(picture()).save(tmp_path / f"a.{ending}")
    data = (tmp_path / f"a.{ending}").read_bytes()
    refused = 0
    for length in range(0, len(data) - 1, max(1, len(data) // 40)):
        (tmp_path / f"b.{ending}").write_bytes(data[:length])
        try:
            images.load_image(tmp_path / f"b.{ending}")
        except ImageError:
            refused += 1
    assert refused >= 38        # some formats still hold all pixels without their last bytes


@pytest.mark.parametrize("bad, says", [
    ("no/such/picture.png", "no/such/picture.png"), (".", "folder"), ("a\0b.png", "cannot be read"),
    (None, "NoneType"), (3, "int"), ([[1]], "list"), (np.zeros(3, np.uint8), r"\(3,\)"),
    (np.zeros((0, 4, 3), np.uint8), "no picture"), (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
    (np.zeros((4, 4, 3), np.int64), "int64"), (np.full((4, 4), np.nan), "0 to 1"), (np.full((4, 4), 200.0), "0 to 1"),
    (np.full((4, 4), -0.1), "0 to 1"), (np.zeros((4, 4), object), "object"),
    (Image.fromarray(np.full((4, 4), 70000, np.int32)), "65535")])
def test_what_is_no_picture_is_named(bad, says):
    with pytest.raises(ImageError, match=says):
        images.load_image(bad)


# --- resizing -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("method", ["bicubic", "bilinear"])
def test_resize_floats_as_bytes(method):
    small = images.resize(smooth(120, 90), (40, 31), method)
    as_float = images.resize(smooth(120, 90).astype(np.float32), (40, 31), method)
    assert small.shape == (40, 31, 3) and small.dtype == np.uint8 and as_float.dtype == np.float32
    assert np.abs(small - as_float).max() <= 1.5
    assert images.resize(smooth(9, 9)[..., 0], (4, 5)).shape == (4, 5)
    assert images.resize(smooth(9, 9)[..., :1] / 255, (4, 5)).shape == (4, 5, 1)


def test_shrinking_does_not_alias():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = images.resize(stripes, (16, 16)).astype(int)
    assert np.abs(small[:, 2:-2] - 127.5).max() < 20        # taking every fourth column would give all 0 or all 255


def test_same_size_is_an_equal_copy():
    image = picture()
    same = images.resize(image, (40, 60))
    assert np.array_equal(same, image) and not np.shares_memory(same, image)
    assert np.array_equal(images.resize_shorter(image, 40), image)


def test_shorter_side_and_crop():
    assert images.resize_shorter(picture(40, 60), 20).shape == (20, 30, 3)
    assert images.resize_shorter(picture(60, 40), 20).shape == (30, 20, 3)
    image = picture(41, 60)
    assert np.array_equal(images.centre_crop(image, (40, 10)), image[0:40, 25:35])
    assert images.centre_crop(image, 7).shape == (7, 7, 3)
    with pytest.raises(ImageError, match="too small"):
        images.centre_crop(image, 42)
    with pytest.raises(ImageError, match="more than"):
        images.resize_shorter(np.zeros((1, 5_000_000), np.uint8), 256)
    for size in (0, -3, 2.5, (3, 4, 5), "big", None):
        with pytest.raises(ImageError, match="size is"):
            images.resize(image, size)
    with pytest.raises(ImageError, match="magic"):
        images.resize(image, 8, "magic")
    with pytest.raises(ImageError, match="int64"):
        images.resize(image.astype(int), 8)


# --- to a network's input and back ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SPECS)
def test_deprocess_is_the_exact_inverse(name):
    spec = SPECS[name]
    every = np.arange(256, dtype=np.uint8).repeat(196).reshape(224, 224)[..., None].repeat(3, axis=2)
    for image in (every, picture(224, 224)):
        if name == "lenet":
            image = image[..., :1].repeat(3, axis=2)
        x = images.preprocess(image, spec, size=224)
        assert x.dtype == np.float32 and x.flags.c_contiguous
        assert x.shape == (1, len(spec.mean), 224, 224) or spec.resize == 256
        shown = images.deprocess(x, spec)
        expected = image if spec.resize is None else images.centre_crop(images.resize_shorter(image, 256), 224)
        assert shown.dtype == np.uint8 and np.array_equal(shown, expected)
        assert np.array_equal(images.deprocess(x[0], spec), expected)


def test_preprocess_against_the_formula():
    image = picture(256, 256)
    crop = image[16:240, 16:240].astype(np.float64)
    x = images.preprocess(image, SPECS["caffe"])
    assert x.shape == (1, 3, 224, 224)
    assert np.allclose(x[0, 0], crop[..., 2] - 103.939, atol=1e-4)         # blue first
    assert np.allclose(x[0, 2], crop[..., 0] - 123.68, atol=1e-4)
    x = images.preprocess(image, SPECS["torchvision"])
    assert np.allclose(x[0, 1], (crop[..., 1] / 255 - 0.456) / 0.224, atol=1e-6)


@pytest.mark.parametrize("size", [224, 227, 256, (200, 256)])
def test_a_picture_of_256_is_never_resampled(size):
    image = picture(256, 256)
    shown = images.deprocess(images.preprocess(image, SPECS["caffe"], size), SPECS["caffe"])
    assert np.array_equal(shown, images.centre_crop(image, size))


def test_sizes_of_the_input():
    spec = SPECS["caffe"]
    assert images.preprocess(picture(), spec, size=300).shape == (1, 3, 300, 300)       # larger than resize
    assert images.preprocess(picture(), spec, size=(100, 300)).shape == (1, 3, 100, 300)
    squeezed = images.preprocess(smooth(50, 90), SPECS["convnetjs"])
    assert np.allclose(images.deprocess(squeezed, SPECS["convnetjs"]), images.resize(smooth(50, 90), 32))


def test_deprocess_clips_and_checks():
    spec = SPECS["caffe"]
    assert (images.deprocess(np.full((1, 3, 2, 2), 1e6), spec) == 255).all()
    assert (images.deprocess(np.full((1, 3, 2, 2), -1e6), spec) == 0).all()
    for shape in [(2, 3, 4, 4), (1, 1, 4, 4), (4, 4)]:
        with pytest.raises(ShapeError, match="expected"):
            images.deprocess(np.zeros(shape), spec)
    with pytest.raises(ImageError, match="NaN"):
        images.deprocess(np.full((1, 3, 2, 2), np.nan), spec)


@pytest.mark.parametrize("name", SPECS)
def test_pixel_range_is_what_black_and_white_become(name):
    spec = SPECS[name]
    low, high = images.pixel_range(spec)
    for bound, pixel in ((low, 0), (high, 255)):
        assert bound.dtype == np.float32 and bound.shape == (1, len(spec.mean), 1, 1)
        flat = images.preprocess(np.full((8, 8, 3), pixel, np.uint8), spec, 4)
        assert np.array_equal(flat, np.broadcast_to(bound, flat.shape))


@pytest.mark.parametrize("name", SPECS)
def test_preprocessing_goes_through_json(name):
    import json
    spec = SPECS[name]
    assert Preprocessing.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert Preprocessing(size=(4, 5)) == Preprocessing.from_dict({"size": [4, 5]})
    assert hash(Preprocessing(mean=[1, 2, 3])) == hash(Preprocessing(mean=(1.0, 2.0, 3.0)))


@pytest.mark.parametrize("bad", [
    {"std": (1, 0, 1)}, {"std": (1, 1)}, {"mean": (0, 0, float("nan"))}, {"mean": "abc"}, {"mean": ("a", "b", "c")},
    {"scale": 0}, {"scale": float("inf")}, {"scale": None}, {"channel_order": "RBG"}, {"channel_order": "GRAY"},
    {"channel_order": []}, {"size": 0}, {"size": 10**9}, {"size": "x"}, {"resize": 10**9}, {"resize": [2, 2]},
    {"resize": -1}, {"size": [1, 2, 3]}, {"size": True}, {"extra": 1}])
def test_preprocessing_refuses(bad):
    with pytest.raises(ImageError, match="Preprocessing"):
        Preprocessing.from_dict(bad)


@pytest.mark.parametrize("bad", [None, 3, [1], "RGB"])
def test_preprocessing_is_a_dict(bad):
    with pytest.raises(ImageError, match="expected a dict"):
        Preprocessing.from_dict(bad)


# --- tiles, writing, small tools ------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2, 5, 9, 10])
@pytest.mark.parametrize("columns", [None, 1, 4, 20])
@pytest.mark.parametrize("pad", [0, 1, 3])
def test_unmontage_undoes_montage(count, columns, pad):
    for shape, dtype in (((7, 5, 3), np.uint8), ((4, 6), np.float32)):
        tiles = (np.random.default_rng(0).random((count, *shape)) * 200).astype(dtype)
        whole = images.montage(tiles, columns, pad, fill=255)
        back = images.unmontage(whole, count, columns, pad)
        assert whole.dtype == back.dtype == dtype and np.array_equal(back, tiles)
        assert (whole == 255).sum() == whole.size - tiles.size


def test_montage_lays_out_row_by_row():
    tiles = [np.full((2, 2), k, np.uint8) for k in (1, 2, 3)]
    assert np.array_equal(images.montage(tiles, columns=2, pad=1, fill=9),
                          [[1, 1, 9, 2, 2], [1, 1, 9, 2, 2], [9] * 5, [3, 3, 9, 9, 9], [3, 3, 9, 9, 9]])
    assert images.montage(t for t in tiles).shape == (5, 5)
    for bad in ([], [np.zeros((2, 2)), np.zeros((2, 3))], [np.zeros(3)]):
        with pytest.raises(ShapeError, match="montage"):
            images.montage(bad)
    with pytest.raises(ShapeError, match="columns"):
        images.montage(tiles, columns=0)
    with pytest.raises(ShapeError, match="equal tiles"):
        images.unmontage(np.zeros((6, 6)), 4)


def test_save_image_writes_and_replaces(tmp_path):
    images.save_image(tmp_path / "a.png", picture())
    assert np.array_equal(images.load_image(tmp_path / "a.png"), picture())
    images.save_image(str(tmp_path / "a.png"), picture()[..., :1] / 255)
    assert Image.open(tmp_path / "a.png").mode == "L"
    images.save_image(tmp_path / "a.JPG", smooth(30, 30))
    assert np.abs(images.load_image(tmp_path / "a.JPG").astype(int) - smooth(30, 30)).mean() < 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.JPG", "a.png"]


def test_a_failed_save_leaves_what_was_there(tmp_path, monkeypatch):
    images.save_image(tmp_path / "a.png", picture())
    before = (tmp_path / "a.png").read_bytes()

    def half(self, path, **settings):
        with open(path, "wb") as file:
            file.write(b"half a pict")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", half)
        with pytest.raises(ImageError, match="no space left"):
            images.save_image(tmp_path / "a.png", picture())
    assert (tmp_path / "a.png").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]
    with pytest.raises(KeyboardInterrupt):
        with images.replacing(tmp_path / "a.png") as temporary:
            open(temporary, "w").close()
            raise KeyboardInterrupt
    assert (tmp_path / "a.png").read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name, array", [("no/such/a.png", picture()), ("a.xyz", picture()), ("noending", picture()),
                                         ("a.jpg", np.zeros((4, 4, 4), np.uint8)), ("a.png", picture() * 1.0),
                                         ("a.png", [[0]]), ("a.png", np.zeros((3, 4, 5, 3), np.uint8))])
def test_save_image_refuses(tmp_path, name, array):
    with pytest.raises(ImageError):
        images.save_image(tmp_path / name, array)
    assert list(tmp_path.iterdir()) == []


def test_blur_and_jitter():
    x = np.random.default_rng(0).standard_normal((2, 3, 20, 24)).astype(np.float32)
    blurred = images.gaussian_blur(x, 2.0)
    assert blurred.dtype == np.float32 and blurred.shape == x.shape
    assert 0.05 < blurred.std() / x.std() < 0.3         # white noise shrinks to 1 / (2 sigma sqrt(pi)) = 0.14
    assert np.allclose(blurred.mean(axis=(2, 3)), x.mean(axis=(2, 3)), atol=1e-5)      # mirrored borders lose nothing
    assert np.allclose(images.gaussian_blur(np.ones((5, 5)), 3), 1)
    impulse = np.zeros((41, 41))
    impulse[20, 20] = 1
    assert abs((images.gaussian_blur(impulse, 2.0) * (np.arange(41) - 20) ** 2).sum() - 4) < 0.05   # variance sigma^2
    rolled = images.jitter(x, 3, -5)
    assert np.array_equal(rolled[..., 3, 0], x[..., 0, 5]) and np.array_equal(images.jitter(rolled, -3, 5), x)


def test_imagenet_classes():
    from minicnn.nets.imagenet import imagenet_classes
    names = imagenet_classes()
    assert len(names) == len(set(names)) == 1000 and names[0] == "tench" and names[999] == "toilet paper"
    assert names[285] == "Egyptian Mau" and names[134] != names[517]
