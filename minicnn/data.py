"""Pictures to train on: readers of the usual data sets, batches, and the small changes that make more of few pictures.

    train, test = mnist()                                       # Pictures: images (N, C, H, W) uint8, labels (N,)
    for images, labels in batches(train, 64, rng):
        x = normalize(shifted(2)(images, rng), net.preprocessing)       # float32, as the network expects it

Everything random comes from the `rng` that is given. The files have to be downloaded once; where they are looked for is said in
the error if they are missing: a folder given, $MINICNN_DATA, ~/.cache/minicnn/data, or shared/data beside the project.
Sources: MNIST Y. LeCun, C. Cortes, C. Burges; Fashion-MNIST H. Xiao et al. 2017; CIFAR-10 A. Krizhevsky 2009.
"""
import gzip
import io
import math
import os
import reprlib
import zlib
from dataclasses import dataclass, replace
from numbers import Integral
from pathlib import Path

import numpy as np

from .checks import whole_number
from .errors import DataError, ImageError, SettingError, WeightsError
from .images import MAX_SIZE, centre_crop, load_image, resize, resize_shorter

IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
FASHION_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_PARTS = tuple(f"data_batch_{k}" for k in range(1, 6)) + ("test_batch",)
MOST_BYTES = 1 << 30            # of a file, unpacked
RECORD = 1 + 3 * 32 * 32        # of CIFAR-10's binary files: the label, then the red, green and blue pixels


@dataclass(frozen=True)
class Pictures:
    """Labelled pictures of one size. Raises DataError for arrays of another kind."""
    images: np.ndarray          # (N, C, H, W) uint8, C = 1 or 3 (RGB)
    labels: np.ndarray          # (N,) int64
    classes: tuple              # names

    def __post_init__(self):
        images, labels = self.images, self.labels
        kinds = [getattr(a, "dtype", np.dtype(object)) for a in (images, labels)]
        odd = kinds[0] != np.uint8 or kinds[1].kind not in "iu" or images.ndim != 4 or labels.shape != (len(images),)
        if odd or images.shape[1] not in (1, 3) or 0 in images.shape[2:] or not isinstance(self.classes, tuple):
            raise DataError(f"Pictures: images {np.shape(images)} {kinds[0]}, labels {np.shape(labels)} {kinds[1]} and classes "
                            f"{reprlib.repr(self.classes)}, expected (N, 1 or 3, H, W) uint8, pixels from 0 to 255, arrays of "
                            "whole numbers (N,), and a tuple of names")
        if len(labels) and not 0 <= labels.min() <= labels.max() < (len(self.classes) or np.inf):
            raise DataError(f"Pictures: labels run from {labels.min()} to {labels.max()}, expected numbers of classes, from 0 "
                            f"on, of which {len(self.classes)} have names")

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, which):
        """Return some of them: a slice, or indices."""
        return replace(self, images=self.images[which], labels=self.labels[which])


# --- readers ----------------------------------------------------------------------------------------------------------
def mnist(folder=None):
    """Return (train, test) Pictures of the 60,000 and 10,000 digits, (N, 1, 28, 28). Raises DataError."""
    return _idx_set("mnist", folder, tuple("0123456789"))


def fashion_mnist(folder=None):
    """Return (train, test) Pictures of Fashion-MNIST, clothes in the format of MNIST. Raises DataError."""
    return _idx_set("fashion_mnist", folder, FASHION_CLASSES)


def _idx_set(name, folder, classes):
    arrays = [read_idx(path) for path in _files(name, folder, [IDX_FILES])]
    for file, array, axes in zip(IDX_FILES, arrays, (3, 1, 3, 1)):
        fits = array.shape[1:] == (28, 28) if axes == 3 else array.ndim == 1 and array.max(initial=0) < len(classes)
        if not fits:
            raise DataError(f"{name}: {file} holds {array.shape} numbers up to {array.max(initial=0)}, expected "
                            f"{'pictures (N, 28, 28)' if axes == 3 else 'labels 0 to 9'}; download it again")
    if len(arrays[0]) != len(arrays[1]) or len(arrays[2]) != len(arrays[3]):
        raise DataError(f"{name}: {len(arrays[0])} and {len(arrays[2])} pictures for {len(arrays[1])} and {len(arrays[3])} "
                        "labels; the files do not belong together, download them again")
    return tuple(Pictures(images[:, None], labels.astype(np.int64), classes) for images, labels in zip(arrays[::2], arrays[1::2]))


def read_idx(path):
    """Return the array in an idx file (or .gz): two zero bytes, the type (8: uint8), the number of axes, their lengths, data."""
    try:
        with gzip.open(path) if str(path).endswith(".gz") else open(path, "rb") as file:
            head = file.read(4)
            lengths = file.read(4 * head[3]) if len(head) == 4 and head[3] <= 4 else b""
            shape = tuple(int(n) for n in np.frombuffer(lengths[:len(lengths) // 4 * 4], ">u4"))
            size = math.prod(shape)
            content = file.read(size + 1) if size <= MOST_BYTES else b""
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}); download it again") from None
    if len(head) < 4 or head[:3] != b"\0\0\x08" or not shape:
        raise DataError(f"{str(path)!r} begins with {head!r}, which is no idx file of bytes; download it again")
    if len(shape) != head[3] or len(content) != size:
        found = f"claims to hold {size:,} bytes" if size > MOST_BYTES else \
            f"should hold {shape} bytes, but has {'more' if len(content) > size else len(content)}"
        raise DataError(f"{str(path)!r} {found}; download it again")
    return np.frombuffer(content, np.uint8).reshape(shape).copy()


def cifar10(folder=None):
    """Return (train, test) Pictures of CIFAR-10, 50,000 and 10,000 of (3, 32, 32), in the original order. Raises DataError.

    Reads the "python" files (without running what they could ask for), the "binary" ones, or cifar10.h5: sheets of 25 x 40
    pictures as lossless WebP, which takes less room; in it the test pictures after the first 1,000 were JPEGs before, so what is
    measured on all 10,000 is no accuracy on CIFAR-10.
    """
    files = _files("cifar10", folder, [CIFAR10_PARTS, tuple(f"{part}.bin" for part in CIFAR10_PARTS), ("cifar10.h5",)])
    read = _cifar10_sheets if len(files) == 1 else _cifar10_binary if files[0].suffix == ".bin" else _cifar10_python
    images, labels = (np.concatenate(parts) for parts in zip(*(read(path) for path in files)))
    if images.shape != (60_000, 3, 32, 32) or labels.shape != (60_000,) or labels.min() < 0 or labels.max() > 9:
        raise DataError(f"cifar10: {str(files[0].parent)!r} holds pictures {images.shape} and labels {labels.shape}, expected "
                        "60,000 of (3, 32, 32) with labels 0 to 9; download the files again")
    every = Pictures(images, labels.astype(np.int64), CIFAR10_CLASSES)
    return every[:50_000], every[50_000:]


def _cifar10_binary(path):
    content = np.fromfile(path, np.uint8) if os.path.getsize(path) <= MOST_BYTES else np.zeros(1, np.uint8)
    if content.size == 0 or content.size % RECORD:
        raise DataError(f"{str(path)!r} has {os.path.getsize(path)} bytes, expected records of {RECORD}; download it again")
    records = content.reshape(-1, RECORD)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def _cifar10_python(path):
    from .formats import guarded, numpy_pickle, source
    try:
        with source.opened(path) as file, guarded(str(path)):
            batch = {(key.decode() if isinstance(key, bytes) else key): value
                     for key, value in numpy_pickle.unpickle(file, most=2_000_000).items()}
            images, labels = batch["data"].read(), batch["labels"]
            labels = np.asarray(labels.read() if hasattr(labels, "read") else labels)
            if images.dtype != np.uint8 or labels.dtype.kind not in "iu":
                raise WeightsError(f"{str(path)!r} holds pixels {images.dtype} and labels {labels.dtype}, expected uint8 and "
                                   "whole numbers; download it again")
            return images.reshape(-1, 3, 32, 32), labels.reshape(-1)
    except WeightsError as error:
        raise DataError(f"{error} (a file of CIFAR-10 in its python form)") from None


def _cifar10_sheets(path):
    import h5py
    from PIL import Image
    try:
        with h5py.File(path, "r") as file:
            labels = np.concatenate([file["train_labels"][:60_000], file["test_labels"][:60_000]])
            sheets = [Image.open(io.BytesIO(sheet.tobytes()), formats=["WEBP"]) for sheet in file["sheets"][:60]]
            if any(sheet.size != (40 * 32, 25 * 32) for sheet in sheets):
                raise ValueError("a sheet is not 1280 x 800")
            tiles = [np.asarray(sheet.convert("RGB")).reshape(25, 32, 40, 32, 3) for sheet in sheets]
            return np.concatenate([t.transpose(0, 2, 4, 1, 3).reshape(1000, 3, 32, 32) for t in tiles]), labels
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{str(path)!r} cannot be read ({error}); get it again, or CIFAR-10's own files") from None


def folder_of_pictures(folder, size):
    """Return the Pictures in the subfolders of a folder, one for each class, all resized to size x size pixels, RGB.

    Raises DataError where there are no classes, a class is empty or a file is no picture, SettingError for a size that is none.
    """
    folder = Path(folder)
    if not isinstance(size, Integral) or size < 1:
        raise SettingError(f"folder_of_pictures: size is {size!r}, expected a whole number of pixels, at least 1")
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")) if folder.is_dir() else []
    if not names:
        raise DataError(f"{str(folder)!r} has no subfolders; expected one for each class, with its pictures in it")
    images, labels = [], []
    for label, name in enumerate(names):
        for path in sorted(p for p in (folder / name).iterdir() if p.is_file() and not p.name.startswith(".")):
            try:
                images.append(resize(load_image(path), (size, size)).transpose(2, 0, 1))
            except ImageError as error:
                raise DataError(f"{error} (a class is a folder of pictures alone)") from None
            labels.append(label)
        if label not in labels[-1:]:
            raise DataError(f"{str(folder / name)!r} holds no pictures; put some in, or remove that class")
    return Pictures(np.stack(images), np.array(labels), tuple(names))


class PictureFiles:
    """Unlabelled pictures of a folder, as Pictures, but read when they are asked for: the middle, size x size pixels, RGB.

    `images[indices]` are (B, 3, size, size) uint8. Raises DataError where there are none or one is damaged, SettingError.
    """
    classes = ()

    def __init__(self, files, size):
        if isinstance(files, (str, os.PathLike)) or not hasattr(files, "__iter__"):
            raise SettingError(f"PictureFiles: files is {files!r}, expected a list of files; of a folder "
                               "minicnn.visualize.collection.picture_files(folder)")
        self.files, self.size, self.images = list(files), whole_number("PictureFiles", "size", size, 1, MAX_SIZE), self
        self.labels = np.zeros(len(self.files), np.int64)
        if not self.files:
            raise DataError("PictureFiles: there are no files, expected some pictures")

    def __len__(self):
        return len(self.files)

    def __getitem__(self, which):
        try:
            return np.stack([centre_crop(resize_shorter(load_image(self.files[k]), self.size), self.size).transpose(2, 0, 1)
                             for k in which])
        except ImageError as error:
            raise DataError(f"{error}; put a sound one of that name in its place and go on, or take it out and begin "
                            "anew") from None


def _files(name, folder, sets):
    """Return the paths of all files of one of the sets (or of their .gz), in the folder given or the first of the usual places.

    In a place the folder named as the data set comes first. MNIST and Fashion-MNIST have the same file names, so theirs are taken
    from elsewhere only if that very folder was given and is not named as the other one.
    """
    project = Path(__file__).resolve().parent.parent
    usual = [os.environ.get("MINICNN_DATA"), Path.home() / ".cache" / "minicnn" / "data", project.parent / "shared" / "data"]
    places = [Path(place) for place in ([folder] if folder is not None else usual) if place]
    missing = sets[0]
    for place in places:
        flat = name == "cifar10" or (folder is not None and place.name not in {"mnist", "fashion_mnist"} - {name})
        for at in (place / name, *([place] if flat else []), place / "cifar-10-batches-py", place / "cifar-10-batches-bin"):
            for files in sets:
                paths = [at / file if (at / file).is_file() else at / f"{file}.gz" for file in files]
                lacking = [file for file, path in zip(files, paths) if not path.is_file()]
                if not lacking:
                    return paths
                missing = lacking if len(lacking) < len(files) else missing         # the set of which something is there
    raise DataError(f"{name}: the files {', '.join(missing)} are not in {' nor in '.join(repr(str(p)) for p in places)}; "
                    f"download them (they are on several mirrors), put them into a folder named {name} and set the environment "
                    "variable MINICNN_DATA to the folder around it")


# --- batches ----------------------------------------------------------------------------------------------------------
def batches(pictures, size, rng=None):
    """Yield (images (B, C, H, W) uint8, labels (B,)): all the pictures once, in a new order if there is an rng, a Generator.

    The last batch may be smaller.
    """
    if not isinstance(size, Integral) or size < 1 or not (rng is None or isinstance(rng, np.random.Generator)):
        raise SettingError(f"batches: size is {size!r} and rng {rng!r}, expected a whole number, at least 1, and None or "
                           "numpy.random.default_rng(seed)")
    order = np.arange(len(pictures)) if rng is None else rng.permutation(len(pictures))
    for start in range(0, len(order), size):
        yield pictures.images[order[start:start + size]], pictures.labels[order[start:start + size]]


def normalize(images, spec):
    """Return images (N, C, H, W) uint8, RGB or grey, as a network with that Preprocessing expects them: float32."""
    if getattr(images, "dtype", None) != np.uint8 or images.ndim != 4 or images.shape[1] != len(spec.mean):
        raise SettingError(f"normalize: the pictures are {np.shape(images)} {getattr(images, 'dtype', type(images).__name__)}, "
                           f"expected (N, {len(spec.mean)}, H, W) uint8, pixels from 0 to 255: the network's channels")
    images = images[:, ::-1] if spec.channel_order == "BGR" else images
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (spec.mean, spec.std))
    return np.ascontiguousarray((images * np.float32(spec.scale) - mean) / std)


# --- augmentation: functions of (images, rng) that return changed copies ---------------------------------------------
def flipped(images, rng):
    """Return the pictures, each mirrored left to right with probability 1/2."""
    return np.where(rng.random(len(images))[:, None, None, None] < 0.5, images[..., ::-1], images)


def shifted(pixels):
    """Return an augmentation: each picture moved by up to so many pixels each way; what is uncovered is black."""
    return _moved(pixels, "constant")


def cropped(pixels):
    """Return an augmentation: a crop of the old size out of each picture with its border mirrored for so many pixels."""
    return _moved(pixels, "reflect")


def windows(size):
    """Return an augmentation: a window of size x size pixels out of each picture, anywhere in it."""
    if not isinstance(size, Integral) or size < 1:
        raise SettingError(f"windows: size is {size!r}, expected a whole number of pixels, at least 1")

    def augment(images, rng):
        if size > min(images.shape[2:]):
            raise SettingError(f"windows: pictures of {images.shape[2]}x{images.shape[3]} have no window of {size}x{size}")
        down, right = (rng.integers(n - size + 1, size=len(images)) for n in images.shape[2:])
        return np.stack([image[:, i:i + size, j:j + size] for image, i, j in zip(images, down, right)])
    return augment


def _moved(pixels, mode):
    if not isinstance(pixels, Integral) or pixels < 0:
        raise SettingError(f"shifted, cropped: pixels is {pixels!r}, expected a whole number, 0 or more")

    def augment(images, rng):
        N, C, H, W = images.shape
        if pixels >= min(H, W):
            raise SettingError(f"shifted, cropped: {pixels} pixels are too many for pictures of {H}x{W}; nothing would be left")
        padded = np.pad(images, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), mode=mode)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (H, W), axis=(2, 3))     # (N, C, 2 pixels + 1, ..., H, W)
        down, right = rng.integers(2 * pixels + 1, size=(2, N))
        return windows[np.arange(N), :, down, right]
    return augment


def in_turn(*augmentations):
    """Return an augmentation that does one after the other."""
    def augment(images, rng):
        for change in augmentations:
            images = change(images, rng)
        return images
    return augment
