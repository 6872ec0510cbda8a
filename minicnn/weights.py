"""Weights in HDF5: `save` writes a network, `load` reads one and checks all that a stranger's file could get wrong.

One dataset per array, named as in net.parameters() and net.buffers(): "conv1/weight", "fire2/squeeze1x1/bias",
"bn1/running_mean". The root's attributes say what the network is:

    format "minicnn"   format_version 1   architecture   architecture_options (JSON)   preprocessing (JSON)
    channel_order      classes (JSON, a list of names or null)   source   source_sha256   licence   conversion

Filters are (out, in / groups, height, width), matrices (out, in), flattened maps in the order channel, row, column.
"""
import json
import math
import os
import reprlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from . import nets
from .errors import ImageError, MinicnnError, UnknownNameError, WeightsError, unknown_name
from .files import replacing
from .images import Preprocessing

FORMAT, FORMAT_VERSION = "minicnn", 1
PROVENANCE = ("source", "source_sha256", "licence", "conversion")
FETCHABLE = ("squeezenet1_1",)      # what tools.get_weights can fetch
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_MAX_TEXT, _MAX_ENTRIES, _MAX_DEPTH, _MAX_OPTION = 1_000_000, 10_000, 8, 100_000


def save(net, path):
    """Write the network's weights, statistics and description to `path`, which ends in .h5; all of it or nothing.

    The same network gives the same bytes. What was written is read back before it takes the place of an older file, so
    that `load` accepts it. Raises WeightsError, also for weights that are NaN or infinite.
    """
    if not isinstance(path, (str, os.PathLike)) or not hasattr(net, "parameters"):
        raise WeightsError(f"save: given are a {type(net).__name__} and a {type(path).__name__}, expected a network and a path")
    path = os.fspath(path)
    if not path.endswith(".h5") or "\0" in path:
        raise WeightsError(f"save: {path!r} should end in .h5, so that load knows it for a path")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise WeightsError(f"save: {path!r} cannot be written; give a path in an existing folder that can be written")
    arrays = {name: np.asarray(p.data) for name, p in net.parameters().items()} | dict(net.buffers())
    _check_finite(f"save: {net.architecture}", arrays)
    try:
        with replacing(path) as temporary:
            _write(temporary, _description(net), arrays)
            try:
                _contents(temporary, net)
            except WeightsError as error:
                raise WeightsError(f"save: {str(error).replace(temporary, path)}") from None
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"save: {path!r} cannot be written ({getattr(error, 'strerror', None) or error})") from None


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
        net.set_array(name, array)
    net.preprocessing, net.classes, net.provenance = description
    return net


def _contents(path, net):
    """Return (network to fill, its arrays, (preprocessing, classes, provenance)) of a file after all checks."""
    with _opened(path) as file:
        about = _attributes(path, file)
        options = _options(path, about)
        preprocessing, classes = _preprocessing(path, about), _classes(path, about, options)
        net = _network(path, about["architecture"], options, net)
        places = net.parameters() | net.buffers()
        datasets = _datasets(path, file)
        _check_fit(path, net.architecture, {k: tuple(v.shape) for k, v in places.items()},
                   {k: v.shape for k, v in datasets.items()})
        with np.errstate(over="ignore"):        # a number too large becomes infinite, which is looked for below
            arrays = {name: datasets[name][...].astype(places[name].dtype, copy=False) for name in places}
    _check_finite(path, arrays)
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
        raise UnknownNameError(f"there are no weights for {name!r} here; "
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


def _write(path, attributes, arrays):
    import h5py
    with h5py.File(path, "x") as file:
        for key, value in attributes.items():
            file.attrs[key] = value
        for name, array in arrays.items():
            file.create_dataset(name, data=array, track_times=False)        # no clock in the file: the same bytes


# --- reading an untrusted file --------------------------------------------------------------------------------------
@contextmanager
def _opened(path):
    """Open an HDF5 file for reading; whatever the library stumbles over becomes a WeightsError."""
    import h5py
    try:
        with open(path, "rb") as raw:
            if raw.read(8) != _SIGNATURE:
                raise WeightsError(f"{path} is no HDF5 file; load reads what minicnn.save wrote")
        with h5py.File(path, "r") as file:
            yield file
    except MinicnnError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, MemoryError, OverflowError) as error:
        raise WeightsError(f"{path} cannot be read ({error}); it is cut short or damaged, get it again") from None


def _attributes(path, file):
    """Return the root attributes that the format names, all of them text but the version."""
    def text(key, limit=_MAX_TEXT):
        value = file.attrs[key] if key in file.attrs else ""
        if not isinstance(value, str) or len(value) > limit:
            raise WeightsError(f"{path}: the attribute {key!r} should be a text of at most {limit} characters")
        return value

    if text("format") != FORMAT:
        raise WeightsError(f"{path} is HDF5, but not in the format of minicnn; load reads what minicnn.save wrote")
    version = file.attrs.get("format_version")
    if not isinstance(version, np.integer) or version != FORMAT_VERSION:
        raise WeightsError(f"{path} is of format version {str(version)[:20]}, this program reads {FORMAT_VERSION}; "
                           "get a newer minicnn or convert the weights again")
    return {"architecture": text("architecture", 100), "channel_order": text("channel_order", 100),
            **{key: text(key) for key in ("architecture_options", "preprocessing", "classes", *PROVENANCE)}}


def _options(path, about):
    """Return the options for nets.build; they set the sizes of arrays, so a file must not ask for just any number."""
    options = _json(path, about, "architecture_options")
    if not isinstance(options, dict) or not all(isinstance(v, (bool, str)) or isinstance(v, int) and
                                                abs(v) <= _MAX_OPTION for v in options.values()):
        raise WeightsError(f"{path}: the attribute 'architecture_options' should be a JSON object of texts and whole "
                           f"numbers up to {_MAX_OPTION}")
    return options


def _preprocessing(path, about):
    try:
        preprocessing = Preprocessing.from_dict(_json(path, about, "preprocessing"))
    except ImageError as error:
        raise WeightsError(f"{path}: {str(error)[:300]}") from None
    if preprocessing.channel_order != about["channel_order"]:
        raise WeightsError(f"{path}: the attribute 'channel_order' says {about['channel_order']!r}, 'preprocessing' "
                           f"{preprocessing.channel_order!r}; they should agree")
    return preprocessing


def _classes(path, about, options):
    classes = _json(path, about, "classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(c, str) for c in classes)):
        raise WeightsError(f"{path}: the attribute 'classes' should be a JSON list of names, or null")
    if classes is not None and options.get("classes", len(classes)) != len(classes):
        raise WeightsError(f"{path}: it names {len(classes)} classes for a network of {options['classes']}; "
                           "they should agree")
    return classes


def _network(path, architecture, options, net):
    """Return the network to fill: `net`, or a new one of all zeros."""
    if net is not None:
        if architecture != net.architecture:
            raise WeightsError(f"{path} holds weights of {architecture!r}, the given network is "
                               f"{net.architecture!r}; they should agree")
        return net
    if architecture not in nets.NAMES:
        raise WeightsError(f"{path}: {unknown_name('network', architecture, nets.NAMES)}; "
                           "a network that you built yourself is given as load(path, net=...)")
    try:
        return nets.build(architecture, None, **options)
    except (MinicnnError, TypeError, ValueError, MemoryError) as error:
        raise WeightsError(f"{path}: {architecture} cannot be built with the options {reprlib.repr(options)} "
                           f"({str(error)[:200]})") from None


def _json(path, about, key):
    try:
        return json.loads(about[key])
    except (ValueError, RecursionError):
        raise WeightsError(f"{path}: the attribute {key!r} is missing or no JSON; "
                           "save or convert the network again") from None


def _datasets(path, file):
    """Return all datasets as name -> h5py.Dataset, none of them read yet; refuse whatever is not plain data."""
    import h5py
    found, groups, entries = {}, [("", file)], 0
    while groups:
        prefix, group = groups.pop()
        for key in group:
            entries += 1
            name = prefix + key
            # A hard link may lead back to its own group: the limits end such a walk.
            if entries > _MAX_ENTRIES or name.count("/") > _MAX_DEPTH:
                raise WeightsError(f"{path} has more than {_MAX_ENTRIES} entries or {_MAX_DEPTH} levels; "
                                   "no network needs that")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise WeightsError(f"{path}: {name!r} is a link to somewhere else; "
                                   "a weights file holds its arrays itself")
            item = group[key]
            if isinstance(item, h5py.Group):
                groups.append((name + "/", item))
            else:
                found[name] = _checked_dataset(path, name, item)
    return found


def _checked_dataset(path, name, item):
    import h5py
    if not isinstance(item, h5py.Dataset):
        raise WeightsError(f"{path}: {name!r} is a {type(item).__name__}; expected arrays in groups")
    if item.is_virtual or item.external:
        raise WeightsError(f"{path}: the numbers of {name!r} lie in another file; "
                           "a weights file holds its arrays itself")
    if item.shape is None or item.dtype.kind != "f" or item.dtype.itemsize not in (2, 4, 8):
        raise WeightsError(f"{path}: {name!r} holds {item.dtype}; expected float16, float32 or float64")
    # A chunk is decompressed as a whole, so that it must not be larger than the array either.
    if item.chunks and math.prod(item.chunks) > max(1, math.prod(item.shape)):
        raise WeightsError(f"{path}: {name!r} of shape {item.shape} has chunks of {item.chunks}; "
                           "save it without chunks")
    return item


def _check_fit(path, architecture, expected, given):
    """Raise one WeightsError that lists every array that is missing, not expected, or of another shape."""
    shapes = [f"{k} {given[k]} instead of {expected[k]}" for k in expected if k in given and given[k] != expected[k]]
    problems = {"missing": [k for k in expected if k not in given],
                "not expected": [k for k in given if k not in expected],
                "of another shape": shapes}
    if any(problems.values()):
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in problems.items() if names)
        raise WeightsError(f"{path} does not fit {architecture}: {listed}")


def _check_finite(what, arrays):
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise WeightsError(f"{what}: NaN or infinity in {_some(broken)}; such a network computes nothing")


def _some(names, limit=8):
    return ", ".join(name[:100] for name in names[:limit]) + \
        (f" and {len(names) - limit} more" if len(names) > limit else "")
