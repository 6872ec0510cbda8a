"""Pictures: reading, resizing, turning them into a network's input and back, laying them out as tiles.

A picture is an array (H, W, 3) of uint8, red green blue, row 0 on top. A network's input is (1, C, H, W) float32 with

    x = (pixel * scale - mean) / std        pixel 0..255, mean and std per channel in the network's channel order

    pixel = round((x * std + mean) / scale), clipped to 0..255: `deprocess` gives back the very pixels of `preprocess`

Which scale, mean, std and order a network was trained with stands in its `Preprocessing`.
"""
import io
import math
import os
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass

import numpy as np

from .errors import ImageError, ShapeError
from .files import replacing

MAX_PIXELS = 64_000_000
MAX_SIZE = 8192             # of a network's input; a weights file could ask for anything
# Raster formats only: Pillow would hand an EPS file to an interpreter of PostScript.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
CHANNELS = {"RGB": 3, "BGR": 3, "GRAY": 1}


# --- reading --------------------------------------------------------------------------------------------------------
def load_image(image, max_pixels=MAX_PIXELS):
    """Return a path, the bytes of a file, a PIL image or an array as a new (H, W, 3) uint8 RGB array.

    Files are turned upright as their EXIF orientation says; transparent parts show a white ground; 16-bit grey is
    scaled to 8 bits; of a moving picture the first frame counts. Arrays are (H, W), (H, W, 1), (H, W, 3) or
    (H, W, 4), uint8, or float from 0 to 1. Raises ImageError for anything else, and above `max_pixels`
    (looked up before decoding).
    """
    from PIL import Image
    if isinstance(image, (str, os.PathLike)):
        return _read_file(os.fspath(image), max_pixels)
    if isinstance(image, bytes):
        return _read(io.BytesIO(image), "the file", max_pixels)
    if isinstance(image, Image.Image):
        return _decode(image, "this PIL image", max_pixels)
    if isinstance(image, np.ndarray):
        array = _as_uint8(image)
        return _decode(Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array), "this array", max_pixels)
    raise ImageError(f"a {type(image).__name__} is no picture; "
                     "give a path, a PIL image or an array (H, W, 3) of uint8")


def _read_file(path, max_pixels):
    if os.path.isdir(path):
        raise ImageError(f"{path!r} is a folder; give the path of a picture file")
    try:
        if os.path.getsize(path) == 0:          # a device or a pipe as well, which is not opened
            raise ImageError(f"{path!r} is an empty file; give the path of a picture")
        with open(path, "rb") as file:
            return _read(file, repr(path), max_pixels)
    except ImageError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        raise ImageError(f"there is no picture {path!r}; check the path and the working directory") from None
    except PermissionError:
        raise ImageError(f"the picture {path!r} may not be read; check its permissions") from None
    except (OSError, ValueError) as error:      # a name that no file can have
        raise ImageError(f"the picture {path!r} cannot be read ({error}); give the path of a picture") from None


def _read(file, what, max_pixels):
    """Return the picture in an open file, called `what` in errors."""
    from PIL import Image
    try:
        if not file.read(1):
            raise ImageError(f"{what} is empty; give a picture")
        file.seek(0)
        with warnings.catch_warnings():         # our own error says what is wrong
            warnings.simplefilter("ignore")
            with Image.open(file, formats=FORMATS) as image:
                return _decode(image, what, max_pixels)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"{what} has more pixels than the {max_pixels} allowed; make it smaller") from None
    except Image.UnidentifiedImageError:
        raise ImageError(f"{what} is not a picture that can be read; give a {', '.join(FORMATS)} file") from None
    except Exception as error:                  # readers of damaged headers raise nearly anything
        raise ImageError(f"{what} cannot be read ({error}); the file is damaged") from None


def is_picture(path):
    """Say whether a file begins as a picture does, by its header; the rest may be damaged all the same."""
    from PIL import Image
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Exception:                           # readers of damaged headers raise nearly anything
        return False


def _decode(image, what, max_pixels):
    """Return a PIL image, whose file may not be decoded yet, as (H, W, 3) uint8."""
    from PIL import Image, ImageOps
    _check_pixels(what, image.size[::-1], max_pixels)
    try:
        image.load()
        with suppress(Exception):               # broken EXIF data is no reason to refuse a sound picture
            image = ImageOps.exif_transpose(image)
        if image.mode == "I" or image.mode.startswith("I;16"):
            image = Image.fromarray(_from_16_bits(np.asarray(image)))
        elif image.mode == "F":
            image = Image.fromarray(_as_uint8(np.asarray(image)))
        elif image.has_transparency_data:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        return np.array(image.convert("RGB"))
    except ImageError:
        raise
    except Exception as error:                  # decoders of damaged files raise nearly anything
        raise ImageError(f"{what} cannot be decoded ({error}); the file is cut short or damaged") from None


def _check_pixels(what, shape, max_pixels):
    if math.prod(shape) > max_pixels:
        raise ImageError(f"{what} is {shape[1]} x {shape[0]} pixels, more than the {max_pixels} allowed; "
                         "make it smaller")


def _as_uint8(array):
    """Check an array that stands for a picture; return it as uint8."""
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or array.size == 0:
        raise ImageError(f"an array of shape {array.shape} is no picture; expected (H, W), (H, W, 1), (H, W, 3) "
                         "or (H, W, 4)")
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind != "f":
        raise ImageError(f"a picture of dtype {array.dtype} is ambiguous; "
                         "give uint8 from 0 to 255 or float from 0 to 1")
    if not (array.min() >= 0 and array.max() <= 1):         # also false for NaN
        raise ImageError(f"a float picture goes from 0 to 1, this one from {array.min():g} to {array.max():g}; "
                         "rescale it, or convert it to uint8")
    return np.rint(array * 255).astype(np.uint8)


def _from_16_bits(array):
    if array.min() < 0 or array.max() > 65535:
        raise ImageError(f"a picture of integers from {array.min()} to {array.max()} is ambiguous; "
                         "expected 0 to 65535, save it with 8 or 16 bits")
    return np.rint(array * (255 / 65535)).astype(np.uint8)


# --- resizing and cropping ------------------------------------------------------------------------------------------
def resize(image, size, method="bicubic"):
    """Resize a picture (H, W), (H, W, 1) or (H, W, 3), uint8 or float, to `size` = (height, width).

    `method` is "bicubic" or "bilinear". When shrinking, the filter grows with the step, so that nothing aliases.
    """
    from PIL import Image
    methods = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    if method not in methods:
        raise ImageError(f"resize: method {method!r} is unknown; choose one of {', '.join(map(repr, methods))}")
    image, (height, width) = _picture("resize", image), _size("resize", size)
    _check_pixels("resize: the result", (height, width), MAX_PIXELS)
    if image.shape[:2] == (height, width):
        return image.copy()
    if image.dtype == np.uint8 and image.shape[2:] in ((), (3,)):
        return np.array(Image.fromarray(image).resize((width, height), methods[method]))
    # Pillow resizes floats one channel at a time, as float32.
    planes = [Image.fromarray(plane if plane.dtype == np.uint8 else plane.astype(np.float32))
              for plane in np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), 2, 0))]
    resized = np.stack([plane.resize((width, height), methods[method]) for plane in planes], axis=2)
    return resized.astype(image.dtype, copy=False).reshape(height, width, *image.shape[2:])


def resize_shorter(image, size):
    """Resize a picture so that its shorter side is `size` pixels; return an equal copy where it is so already."""
    height, width = _picture("resize_shorter", image).shape[:2]
    longer = round(max(height, width) * size / min(height, width))
    return resize(image, (size, longer) if height <= width else (longer, size))


def resize_longer(image, size):
    """Resize a picture so that its longer side is `size` pixels; return an equal copy where it is so already."""
    sides = _picture("resize_longer", image).shape[:2]
    return resize(image, tuple(max(1, round(n * size / max(sides))) for n in sides))


def centre_crop(image, size):
    """Return the middle (height, width) = `size` (or size x size) pixels; an odd one is cut right and below."""
    image, (height, width) = _picture("centre_crop", image), _size("centre_crop", size)
    if height > image.shape[0] or width > image.shape[1]:
        raise ImageError(f"centre_crop: the picture is {image.shape[0]} x {image.shape[1]}, too small for "
                         f"{height} x {width}; resize it first")
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top:top + height, left:left + width].copy()


def _picture(function, image):
    image = np.asarray(image)
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or image.size == 0:
        raise ImageError(f"{function}: an array of shape {image.shape} is no picture; expected (H, W) or (H, W, 3)")
    if image.dtype not in (np.uint8, np.float32, np.float64):
        raise ImageError(f"{function}: a picture is uint8, float32 or float64, not {image.dtype}")
    return image


def _size(what, size):
    """Return `size`, an int or two, as (height, width)."""
    values = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    whole = all(isinstance(v, (int, np.integer)) and v is not True for v in values)
    if len(values) != 2 or not whole or min(values) < 1:
        raise ImageError(f"{what}: size is {size!r}, expected a whole number of pixels or (height, width)")
    return int(values[0]), int(values[1])


# --- to a network's input and back ----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained to see: x = (pixel * scale - mean) / std, in `channel_order` "RGB", "BGR" or "GRAY".

    `size` of the input, an int or (height, width). `resize`: length of the shorter side before the crop; None resizes
    the whole picture to `size`. `mean` and `std` have a number per channel: three, or one for "GRAY".
    """
    size: object = 224
    resize: object = 256
    channel_order: str = "RGB"
    scale: float = 1.0
    mean: tuple = (0.0, 0.0, 0.0)
    std: tuple = (1.0, 1.0, 1.0)

    def __post_init__(self):
        if self.channel_order not in tuple(CHANNELS):
            raise ImageError(f"Preprocessing: channel_order is {self.channel_order!r}, "
                             "expected 'RGB', 'BGR' or 'GRAY'")
        size = _size("Preprocessing", self.size)
        if max(size) > MAX_SIZE or self.resize is not None and max(_size("Preprocessing", self.resize)) > MAX_SIZE:
            raise ImageError(f"Preprocessing: size {self.size!r}, resize {self.resize!r}; {MAX_SIZE} is the limit")
        if self.resize is not None and not isinstance(self.resize, (int, np.integer)):
            raise ImageError(f"Preprocessing: resize is {self.resize!r}, expected the shorter side's length or None")
        scale, = _numbers("scale", [self.scale], 1)
        mean = _numbers("mean", self.mean, CHANNELS[self.channel_order])
        std = _numbers("std", self.std, CHANNELS[self.channel_order])
        if scale <= 0 or min(std) <= 0:
            raise ImageError(f"Preprocessing: scale {self.scale!r} and std {self.std!r} must be greater than 0")
        # A frozen dataclass lets itself be set only this way; tuples and floats so that equal settings are equal.
        tidy = {"size": size[0] if size[0] == size[1] else size, "scale": scale, "mean": mean, "std": std}
        for name, value in tidy.items():
            object.__setattr__(self, name, value)

    def to_dict(self):
        """Return the settings as a dict that JSON can hold."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, settings):
        """Return the Preprocessing of a `to_dict`; what is left out has its default."""
        unknown = set(settings) - set(cls.__dataclass_fields__) if isinstance(settings, dict) else {repr(settings)}
        if unknown:
            raise ImageError(f"Preprocessing: {', '.join(sorted(map(str, unknown)))} is no setting; expected a dict "
                             f"with {', '.join(cls.__dataclass_fields__)}")
        return cls(**settings)


def _numbers(name, values, count):
    """Return `values` as a tuple of `count` finite floats."""
    fine = isinstance(values, (tuple, list, np.ndarray)) and len(values) == count
    if not fine or not all(isinstance(v, (int, float, np.number)) and math.isfinite(v) for v in values):
        raise ImageError(f"Preprocessing: {name} is {values!r}, expected {count} finite numbers")
    return tuple(float(v) for v in values)


def preprocess(image, spec, size=None):
    """Return a picture (all that `load_image` takes) as the input of a network: float32 (1, C, H, W).

    The shorter side is resized to max(spec.resize, size) where it is not so long already, then the middle is cut out.
    `size` replaces `spec.size`: an int or (height, width).
    """
    pixels, (height, width) = load_image(image), _size("preprocess", spec.size if size is None else size)
    if spec.resize is None:
        pixels = resize(pixels, (height, width))
    else:
        pixels = centre_crop(resize_shorter(pixels, max(spec.resize, height, width)), (height, width))
    if spec.channel_order == "GRAY":
        from PIL import Image
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
    elif spec.channel_order == "BGR":
        pixels = pixels[..., ::-1]
    x = (pixels * spec.scale - np.array(spec.mean)) / np.array(spec.std)        # (H, W, C) float64
    return np.ascontiguousarray(x.transpose(2, 0, 1)[None], dtype=np.float32)


def deprocess(x, spec):
    """Return the picture (H, W, 3) uint8 that a network's input `x` (1, C, H, W) or (C, H, W) shows.

    The inverse of the arithmetic of `preprocess`, rounded and clipped to 0..255; grey becomes three equal channels.
    """
    x, channels = np.asarray(x), CHANNELS[spec.channel_order]
    if x.dtype.kind not in "fiu":
        raise ImageError(f"deprocess: x is {x.dtype}, expected an array of numbers")
    x = x.astype(np.float64)
    if x.ndim == 4 and len(x) == 1:
        x = x[0]
    if x.ndim != 3 or len(x) != channels:
        raise ShapeError(f"deprocess: x has shape {x.shape}, expected (1, {channels}, H, W) or ({channels}, H, W)")
    if not np.isfinite(x).all():
        raise ImageError("deprocess: x holds NaN or infinity, which no pixel shows; see where the numbers ran away")
    pixels = (x.transpose(1, 2, 0) * np.array(spec.std) + np.array(spec.mean)) / spec.scale
    pixels = np.rint(pixels).clip(0, 255).astype(np.uint8)
    if spec.channel_order == "GRAY":
        return np.repeat(pixels, 3, axis=2)
    return np.ascontiguousarray(pixels[..., ::-1] if spec.channel_order == "BGR" else pixels)


def pixel_range(spec):
    """Return (low, high), float32 (1, C, 1, 1): what pixel 0 and 255 become, the bounds of what can be shown."""
    low, high = ((pixel * spec.scale - np.array(spec.mean)) / np.array(spec.std) for pixel in (0, 255))
    return low.astype(np.float32).reshape(1, -1, 1, 1), high.astype(np.float32).reshape(1, -1, 1, 1)


# --- tiles ----------------------------------------------------------------------------------------------------------
def montage(tiles, columns=None, pad=1, fill=0):
    """Lay equal tiles, (h, w) or (h, w, 3), out row by row with `pad` pixels of `fill` between them; one array.

    `columns` defaults to about as many as rows. `unmontage` takes the result apart again.
    """
    tiles = list(tiles)
    shapes = {np.shape(t) for t in tiles}
    if len(shapes) != 1:
        raise ShapeError(f"montage: tiles of shapes {sorted(shapes)[:4]}, expected at least one, all of one shape")
    tiles = np.asarray(tiles)
    if tiles.ndim not in (3, 4):
        raise ShapeError(f"montage: tiles have shape {tiles.shape[1:]}, expected (h, w) or (h, w, 3)")
    rows, columns = _grid("montage", len(tiles), columns, pad)
    height, width = tiles.shape[1:3]
    size = (height + pad) * rows - pad, (width + pad) * columns - pad
    picture = np.full((*size, *tiles.shape[3:]), fill, tiles.dtype)
    for place, tile in zip(_places(len(tiles), columns, height, width, pad), tiles):
        picture[place] = tile
    return picture


def unmontage(picture, count, columns=None, pad=1):
    """Return the `count` tiles, (count, h, w) or (count, h, w, 3), of a `montage` of these `columns` and `pad`."""
    rows, columns = _grid("unmontage", count, columns, pad)
    if picture.ndim not in (2, 3) or (picture.shape[0] + pad) % rows or (picture.shape[1] + pad) % columns:
        raise ShapeError(f"unmontage: a picture of shape {picture.shape} is not {rows} rows and {columns} columns of "
                         f"equal tiles with {pad} pixels between; give the montage's own count, columns and pad")
    height, width = (picture.shape[0] + pad) // rows - pad, (picture.shape[1] + pad) // columns - pad
    return np.stack([picture[place] for place in _places(count, columns, height, width, pad)])


def _grid(function, count, columns, pad):
    columns = math.ceil(math.sqrt(count)) if columns is None else columns
    if count < 1 or columns < 1 or pad < 0:
        raise ShapeError(f"{function}: {count} tiles, {columns} columns, pad {pad}; expected at least 1, 1 and 0")
    return math.ceil(count / columns), columns


def _places(count, columns, height, width, pad):
    """Return where each tile lies: a pair of slices."""
    corners = [(i // columns * (height + pad), i % columns * (width + pad)) for i in range(count)]
    return [(slice(top, top + height), slice(left, left + width)) for top, left in corners]


# --- writing --------------------------------------------------------------------------------------------------------
def save_image(path, image):
    """Write a picture, uint8 or float from 0 to 1, in the format of the path's ending; all of it or nothing."""
    from PIL import Image
    if not isinstance(image, np.ndarray):
        raise ImageError(f"save_image: a {type(image).__name__} is no picture; give an array (H, W, 3) or (H, W)")
    array = _as_uint8(image)
    picture = Image.fromarray(array[..., 0] if array.shape[2:] == (1,) else array)
    quality = {"quality": 95} if os.fspath(path).lower().endswith((".jpg", ".jpeg")) else {}
    try:
        with replacing(path) as temporary:
            picture.save(temporary, **quality)
    except (OSError, ValueError) as error:      # no such folder, unknown ending, a format that cannot hold it
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"the picture {os.fspath(path)!r} cannot be written ({reason}); "
                         "give a path in an existing folder that ends in .png or .jpg") from None


# --- small tools of the iterative techniques ------------------------------------------------------------------------
def gaussian_blur(x, sigma):
    """Blur the last two axes of `x` with a Gaussian of standard deviation `sigma` pixels; borders are mirrored."""
    from scipy.ndimage import gaussian_filter
    x = np.asarray(x)
    if x.ndim < 2 or not (isinstance(sigma, (int, float, np.number)) and 0 <= sigma <= MAX_SIZE):
        raise ImageError(f"gaussian_blur: sigma is {sigma!r} and x {x.shape}, expected 0 to {MAX_SIZE} pixels and (..., H, W)")
    return gaussian_filter(x, sigma=(0,) * (x.ndim - 2) + (sigma, sigma), mode="reflect")


def jitter(x, oy, ox):
    """Roll the last axes of `x` down by `oy` and right by `ox`, around the border; jitter(x, -oy, -ox) undoes it."""
    return np.roll(x, (oy, ox), axis=(-2, -1))
