"""HDF5 files of strangers: a child process opens them (hdf5_child.py), here its answers are checked and waited for.

The HDF5 library trusts the files that it reads. A damaged or hostile one can crash the process, keep it busy for ever or
make it ask for all memory, and no check of ours before the call would prevent that. So the call is made in a process that
may: it has little memory and time, opens no other file, and its answers are plain bytes that are as untrusted as the file.

    with hdf5.sandbox() as box:
        tree = box.describe("vgg.h5", ("layer_names",))         # Tree(groups, datasets): attributes, shapes and dtypes
        box.array("vgg.h5", "conv1/kernel", tree)               # a Stored, as readers return them

A box is good for many files; its process starts when it is needed, and anew after it has died.
"""
import importlib.util
import json
import math
import os
import reprlib
import signal
import stat
import subprocess
import sys
import threading
import weakref
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..errors import WeightsError
from .source import Stored, checked_shape

SIGNATURE = b"\x89HDF\r\n\x1a\n"
READABLE = {"<f2": "<f2", "<f4": "<f4", "<f8": "<f8", "|V2": "<u2"}     # |V2: as bfloat16 is written, see source.bfloat16
_CHILD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5_child.py")
_MAX_JSON, _MAX_FILES, _MAX_DATASET = 2_000_000, 200, 1_000_000_000
_START, _WAIT, _BYTES_PER_SECOND = 60, 10, 5_000_000        # seconds; a disk or a network is slower than the processor


@dataclass(frozen=True)
class Tree:
    """The contents of a file: `groups` {path: {attribute: value}}, `datasets` {path: {"shape", "dtype", "attributes"}}.

    The path of the root is ""; values are texts, numbers or lists of them.
    """
    groups: dict
    datasets: dict


@contextmanager
def sandbox():
    """Give a Box and end its process afterwards."""
    box = Box()
    try:
        yield box
    finally:
        box.close()


class Box:
    """The parent's side of a child process that reads HDF5 files; ended by close(), or when the last reference goes."""

    def __init__(self):
        self._process, self._files, self._end, self._lock = None, 0, None, threading.Lock()

    def close(self):
        """End the process; a later request starts another."""
        if self._end is not None:
            self._end()
        self._process = self._end = None

    def describe(self, path, attributes=()):
        """Return the Tree of the file at `path`, with those of its attributes that `attributes` names."""
        with self._lock, self._request({"path": path, "attributes": list(attributes)}, _WAIT):
            return _checked_tree(_answer(self._process.stdout))

    def array(self, path, name, tree):
        """Return the Stored of a dataset of floating-point numbers, or of bfloat16 as uint16; nothing is read yet."""
        about = tree.datasets[name]
        if about["dtype"] not in READABLE:
            raise WeightsError(f"{reprlib.repr(name)} holds numbers of dtype {about['dtype']}; "
                               "expected float16, float32 or float64")
        return Stored(about["shape"], READABLE[about["dtype"]], lambda: self._read(path, name, about))

    def _read(self, path, name, about):
        shape, numbers = about["shape"], math.prod(about["shape"])
        size = numbers * np.dtype(about["dtype"]).itemsize
        if size > _MAX_DATASET:
            raise WeightsError(f"{reprlib.repr(name)} of shape {shape} has {size} bytes; at most {_MAX_DATASET} are read")
        with self._lock, self._request({"path": path, "read": name}, _WAIT + size / _BYTES_PER_SECOND):
            answer = _answer(self._process.stdout)
            if answer.get("shape") != list(shape) or answer.get("dtype") != about["dtype"]:
                raise WeightsError(f"{reprlib.repr(name)} is not as it was described; the file changed, try again")
            if answer.get("size") != size:
                raise WeightsError("the process that reads it answers nonsense; it is damaged")
            array = np.empty(numbers, READABLE[about["dtype"]])
            _fill(self._process.stdout, array.view(np.uint8))
        return array.reshape(shape)

    @contextmanager
    def _request(self, request, seconds):
        """Send a request and watch over the reading of its answer: what breaks the exchange ends the process."""
        _check_regular(request["path"])
        self._files += "attributes" in request
        if self._process is None or self._process.poll() is not None or self._files > _MAX_FILES:
            self._start()
        timer = _killing_after(seconds, self._process)
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            yield
        except _Refused as error:
            raise WeightsError(str(error)) from None        # the exchange itself went well
        except (EOFError, OSError):
            raise WeightsError(_how_it_ended(self._process, timer)) from None
        except BaseException:
            self.close()                    # half an answer may still be in the pipe
            raise
        finally:
            timer.cancel()

    def _start(self):
        self.close()
        self._files = 0
        # The child sees none of the folders that Python looks into by itself, so it is told where its packages stand.
        specs = [importlib.util.find_spec(package) for package in ("h5py", "numpy")]
        if None in specs:
            raise WeightsError("reading it needs the package h5py; install it")
        folders = [os.path.dirname(os.path.dirname(os.path.abspath(spec.origin))) for spec in specs]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("HDF5_")}
        environment |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment |= {"HDF5_PLUGIN_PRELOAD": "::", "HDF5_USE_FILE_LOCKING": "FALSE"}      # "::" loads no plugins
        try:
            process = subprocess.Popen([sys.executable, "-I", _CHILD, str(_MAX_DATASET), *folders], bufsize=0, env=environment,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        except OSError as error:
            raise WeightsError(f"the process that reads HDF5 files does not start ({error})") from None
        self._process, self._end = process, weakref.finalize(self, _end, process)
        timer = _killing_after(_START, process)
        try:
            ready = bytearray(min(7, _length(process.stdout)))
            _fill(process.stdout, ready)
        except EOFError:
            ready = b""
        finally:
            timer.cancel()
        if ready != b'"ready"':
            self.close()
            raise WeightsError("the process that reads HDF5 files does not start; see whether `import h5py` works")


class _Refused(Exception):
    """The child says why it does not read something."""


# --- what the child answers is as untrusted as the file -----------------------------------------------------------------
def _answer(pipe):
    """Return the JSON object that the child sends."""
    size = _length(pipe)
    if size > _MAX_JSON:
        raise WeightsError(f"its description has {size} bytes, expected are at most {_MAX_JSON}; no network needs that")
    data = bytearray(size)
    _fill(pipe, data)
    try:
        answer = json.loads(data)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise WeightsError("the process that reads it answers nonsense; it is damaged")
    if "error" in answer:
        raise _Refused("".join(c if c.isprintable() else "?" for c in str(answer["error"])[:500]))
    return answer


def _length(pipe):
    data = bytearray(8)
    _fill(pipe, data)
    return int.from_bytes(data, "little")


def _fill(pipe, buffer):
    """Read from the pipe until the buffer is full."""
    view = memoryview(buffer)
    while len(view):
        count = pipe.readinto(view)
        if not count:
            raise EOFError
        view = view[count:]


def _checked_tree(answer):
    """Return the Tree if the description is of the form that it should have."""
    def plain(attributes):
        return isinstance(attributes, dict) and all(
            isinstance(part, (str, int, float)) for value in attributes.values()
            for part in (value if isinstance(value, list) else [value]))
    groups, datasets = answer.get("groups"), answer.get("datasets")
    good = isinstance(groups, dict) and isinstance(datasets, dict) and all(map(plain, groups.values())) and all(
        isinstance(about, dict) and isinstance(about.get("shape"), list) and isinstance(about.get("dtype"), str)
        and plain(about.get("attributes")) for about in datasets.values())
    if not good:
        raise WeightsError("the process that reads it answers nonsense; it is damaged")
    return Tree(groups, {name: {"shape": checked_shape(about["shape"]), "dtype": about["dtype"][:20],
                                "attributes": about["attributes"]} for name, about in datasets.items()})


def _killing_after(seconds, process):
    """Return a timer that ends the process unless it is cancelled before."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _how_it_ended(process, timer):
    """Return the message for a child that is gone in the middle of an answer."""
    late = timer.finished.is_set()          # the timer's own flag: it has fired
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if late or process.returncode == -getattr(signal, "SIGPROF", 0):
        return f"reading it takes over {timer.interval:.0f} seconds, or more computing than its size explains; it is damaged"
    return "the HDF5 library crashed while it read it; it is damaged"


def _check_regular(path):
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):
        regular = False
    if not regular:
        raise WeightsError("it is no longer there, or no file any more; try again")


def _end(process):
    process.kill()
    process.stdin.close()
    process.stdout.close()
    process.wait()
