"""The box in which strangers' HDF5 files are read: what it gives, what it refuses, and that nothing leaves it."""
import gc
import os
import signal
import struct
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from minicnn.errors import WeightsError
from minicnn.formats import hdf5

NUMBERS = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.fixture(scope="module")
def box():
    with hdf5.sandbox() as box:
        yield box


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.h5"


def refuses(box, path, message, name=None):
    """Check that describing the file, or reading `name` of it, is refused with a message that begins so; return it."""
    with pytest.raises(WeightsError) as caught:
        tree = box.describe(str(path))
        box.array(str(path), name, tree).read()
    assert str(caught.value).startswith(message), caught.value
    return str(caught.value)


# --- what it gives ------------------------------------------------------------------------------------------------------
def test_groups_attributes_and_arrays(box, path):
    with h5py.File(path, "w") as file:
        file.attrs.update({"text": "caf\u00e9", "bytes": np.bytes_(b"abc"), "number": 3, "left": [1]})
        file.attrs["names"] = [b"a", b"bc"]
        group = file.create_group("g\u00e9/inner")
        group.attrs.update({"parts0": [b"x"], "parts1": ["y", "z"], "names": [], "numbers": [1.5, 2.0]})
        for dtype in ("<f2", "<f4", "<f8", ">f2", ">f4", ">f8"):
            group[dtype] = NUMBERS.astype(dtype)
        group["scalar"], group["empty"], group["whole"], group["words"] = 2.5, np.zeros((0, 3)), [1, 2], ["a", "b"]
        group["flags"] = [True]
        group.create_dataset("packed", data=np.ones((100, 50)), compression="gzip", shuffle=True, fletcher32=True)
    tree = box.describe(str(path), ("text", "bytes", "number", "names", "parts", "numbers"))
    inner = "g\u00e9/inner"
    assert tree.groups == {"": {"text": "caf\u00e9", "bytes": "abc", "number": 3, "names": ["a", "bc"]}, "g\u00e9": {},
                           inner: {"parts": ["x", "y", "z"], "names": [], "numbers": [1.5, 2.0]}}
    for dtype in ("f2", "f4", "f8"):
        for order in "<>":
            array = box.array(str(path), f"{inner}/{order}{dtype}", tree)
            assert array.dtype == np.dtype("<" + dtype) == array.read().dtype and np.array_equal(array.read(), NUMBERS)
    assert box.array(str(path), inner + "/scalar", tree).read() == 2.5
    assert box.array(str(path), inner + "/empty", tree).read().shape == (0, 3)
    assert (box.array(str(path), inner + "/packed", tree).read() == 1).all()
    for name in ("whole", "words", "flags"):
        refuses(box, path, f"'{inner}/{name}' holds numbers of dtype ", f"{inner}/{name}")


def test_many_files_one_after_another(box, tmp_path):
    trees = {}
    for k in range(3):
        path = str(tmp_path / f"{k}.h5")
        with h5py.File(path, "w") as file:
            file["x"] = NUMBERS + k
        trees[path] = box.describe(path)
    for k, (path, tree) in enumerate(trees.items()):
        assert np.array_equal(box.array(path, "x", tree).read(), NUMBERS + k)
    start = time.perf_counter()
    for _ in range(300):            # so many that the process is exchanged on the way
        box.describe(path)
    assert (time.perf_counter() - start) / 300 < 0.1


def test_the_process_ends_with_the_box_and_with_the_last_array(path):
    with h5py.File(path, "w") as file:
        file["x"] = NUMBERS
    with hdf5.sandbox() as box:
        tree = box.describe(str(path))
        process = box._process
    assert process.returncode is not None and process.stdin.closed and process.stdout.closed
    box = hdf5.Box()
    array = box.array(str(path), "x", tree)
    assert np.array_equal(array.read(), NUMBERS)
    process = box._process
    del box
    gc.collect()
    assert process.poll() is None and np.array_equal(array.read(), NUMBERS)
    del array
    gc.collect()
    assert process.returncode is not None


def test_the_process_ends_when_the_parent_does(path):
    process = subprocess.Popen([sys.executable, "-I", hdf5._CHILD, "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.read(15) == struct.pack("<Q", 7) + b'"ready"'
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


def test_nothing_of_the_working_directory_or_the_environment_is_run(path, tmp_path, monkeypatch):
    for name in ("h5py", "numpy", "json", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    with h5py.File(path, "w") as file:
        file["x"] = NUMBERS
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with hdf5.sandbox() as box:
        assert box.describe(str(path)).datasets["x"]["shape"] == (2, 3)
    assert not (tmp_path / "was_run").exists()


# --- what it refuses ----------------------------------------------------------------------------------------------------
def _plan(**calls):
    plan = h5p.create(h5p.DATASET_CREATE)
    for name, arguments in calls.items():
        getattr(plan, name)(*arguments)
    return plan


def _create(file, shape, plan, kind=h5t.IEEE_F32LE):
    return h5d.create(file.id, b"x", kind, h5s.create_simple(shape), plan)


def _external_link(file):
    file["x"] = h5py.ExternalLink("/etc/passwd", "/x")


def _soft_link(file):
    file["x"] = h5py.SoftLink("/y")
    file["y"] = h5py.SoftLink("/x")


def _hard_link_cycle(file):
    inner = file.create_group("a/b")
    inner["up"] = file["a"]


def _wide_cycles(file):
    for k in range(20):
        file[f"a{k}"] = file


def _many_entries(file):
    group = file.create_group("g")
    for k in range(101):
        file.create_group(f"g/{k}")
    for k in range(100):
        file[f"again{k}"] = group


def _external_storage(file):
    file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (4,))
    file.create_virtual_dataset("x", layout)


def _named_type(file):
    file["x"] = np.dtype("f4")


def _vlen(file):
    file.create_dataset("x", (2,), h5py.vlen_dtype(np.float32))


def _records(file):
    file["x"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def _references(file):
    file.create_dataset("x", (2,), h5py.ref_dtype)


def _nothing(file):
    file["x"] = h5py.Empty("f4")


def _unallocated(file):
    _create(file, (10**6, 10**6), _plan(set_chunk=((100, 100),)))


def _chunk_larger_than_the_array(file):
    file.create_dataset("x", (4,), "f4", maxshape=(None,), chunks=(10**8,))


def _another_filter(file):
    _create(file, (10,), _plan(set_chunk=((10,),), set_scaleoffset=(0, 2)))


def _filter_of_a_plugin(file):
    _create(file, (10,), _plan(set_chunk=((10,),), set_filter=(32015, h5py.h5z.FLAG_OPTIONAL, (1,))))


LINK = "{} is a link to somewhere else; a weights file"
ELSEWHERE = "the numbers of 'x' lie in another file"
TRAPS = {_external_link: LINK.format("'x'"), _soft_link: LINK.format("'x'"), _external_storage: ELSEWHERE, _virtual: ELSEWHERE,
         _hard_link_cycle: "it has more than 10000 entries, 12 levels", _wide_cycles: "it has more than 10000 entries",
         _many_entries: "it has more than 10000 entries", _named_type: "'x' is a TypeFloatID; expected arrays",
         _vlen: "'x' holds lists; expected numbers", _records: "'x' holds records", _references: "'x' holds references",
         _nothing: "'x' holds nothing", _unallocated: "'x' of shape (1000000, 1000000) needs 4000000000000 bytes, the file has 0",
         _chunk_larger_than_the_array: "'x' of shape (4,) has chunks of (100000000,)",
         _another_filter: "'x' is packed with the filters [6]", _filter_of_a_plugin: "'x' is packed with the filters [32015]"}


@pytest.mark.parametrize("trap", TRAPS, ids=lambda f: f.__name__[1:])
def test_traps(box, path, trap):
    with h5py.File(path, "w") as file:
        trap(file)
    start = time.perf_counter()
    refuses(box, path, TRAPS[trap])
    assert time.perf_counter() - start < 5


def test_attributes_that_are_large_or_no_text(box, path):
    for value, message in ((np.zeros(10**6), "the attribute 'names' of '' has more than 1000000 bytes"),
                           (np.zeros(2, [("a", "f4")]), "the attribute 'names' of '' holds neither text nor numbers"),
                           (h5py.Empty("f4"), "the attribute 'names' of '' holds neither text nor numbers")):
        with h5py.File(path, "w", libver="latest") as file:
            file.attrs["names"] = value
        with pytest.raises(WeightsError, match=message):
            box.describe(str(path), ("names",))
        assert box.describe(str(path), ("other",)).groups == {"": {}}


def test_a_gzip_bomb(box, path):
    """A chunk of 64 kB on paper that unpacks to 300 MB: the memory of the process ends it."""
    import zlib
    pack = zlib.compressobj(1)
    bomb = b"".join(pack.compress(bytes(10**7)) for _ in range(30)) + pack.flush()
    with h5py.File(path, "w") as file:
        item = file.create_dataset("x", (16384,), "f4", chunks=(16384,), compression="gzip")
        item.id.write_direct_chunk((0,), bomb)
    refuses(box, path, "the HDF5 library cannot read it (", "x")


def test_an_array_larger_than_is_read(box, path):
    with h5py.File(path, "w") as file:
        _create(file, (3 * 10**8,), _plan(set_chunk=((10**4,),), set_deflate=(9,)))
        file["filler"] = np.zeros(100)
    refuses(box, path, "'x' of shape (300000000,) needs 1200000000 bytes, the file has 0 of them", "x")
    tree = hdf5.Tree({}, {"x": {"shape": (3 * 10**8,), "dtype": "<f4", "attributes": {}}})
    with pytest.raises(WeightsError, match="has 1200000000 bytes; at most 1000000000 are read"):
        box.array(str(path), "x", tree).read()


def test_files_that_are_cut_short(box, path):
    with h5py.File(path, "w") as file:
        file.create_group("g")["x"] = NUMBERS
    data = path.read_bytes()
    for length in (0, 7, 8, 20, 95, 96, 400, 800, 1500, len(data) - 24, len(data) - 1):
        path.write_bytes(data[:length])
        refuses(box, path, "the HDF5 library cannot read it (", "g/x")


def _loop_of_free_blocks(data):
    """Let the list of what is free among a group's names lead back to itself: the library notes every block, without end."""
    heap = data.index(b"HEAP")
    _, head, address = struct.unpack_from("<QQQ", data, heap + 8)
    struct.pack_into("<Q", data, address + head, head)


def _object_without_size(data):
    """Let an object in the heap of texts be free and of size 0: the library goes to the next one, which is the same."""
    struct.pack_into("<QQ", data, data.index(b"GCOL") + 16, 0, 0)


@pytest.mark.parametrize("trap", [_loop_of_free_blocks, _object_without_size], ids=lambda f: f.__name__[1:])
def test_what_never_ends(box, path, trap):
    """Memory runs out or time does; a newer library may see what is wrong."""
    with h5py.File(path, "w") as file:
        file.attrs["names"] = ["a", "b"]
        file["first"], file["second"] = NUMBERS, NUMBERS
    good = path.read_bytes()
    data = bytearray(good)
    trap(data)
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(WeightsError, match="reading it takes over 10 seconds, or more computing|the HDF5 library cannot"):
        box.describe(str(path), ("names",))
    assert time.perf_counter() - start < 8
    path.write_bytes(good)
    assert box.describe(str(path), ("names",)).groups == {"": {"names": ["a", "b"]}}      # the next file has a process again


def test_what_is_no_file_any_more(box, path):
    with h5py.File(path, "w") as file:
        file["x"] = NUMBERS
    tree = box.describe(str(path))
    box.describe(str(path))
    path.unlink()
    gone = "it is no longer there, or no file any more"
    for make in (lambda: None, lambda: os.mkfifo(path), lambda: (path.unlink(), path.mkdir())):
        make()
        refuses(box, path, gone)
        with pytest.raises(WeightsError, match=gone):
            box.array(str(path), "x", tree).read()


def test_an_array_that_changed_since_it_was_described(box, path, tmp_path):
    with h5py.File(path, "w") as file:
        file["x"] = NUMBERS
    tree = box.describe(str(path))
    path.unlink()
    with h5py.File(path, "w") as file:
        file["x"] = np.zeros(1000)
    assert np.array_equal(box.array(str(path), "x", tree).read(), NUMBERS)        # the old one is still open
    box.close()
    with pytest.raises(WeightsError, match="'x' is not as it was described"):
        box.array(str(path), "x", tree).read()


# --- a process that goes wrong ------------------------------------------------------------------------------------------
def test_a_process_that_died_is_started_again(path):
    with h5py.File(path, "w") as file:
        file["x"] = NUMBERS
    with hdf5.sandbox() as box:
        tree = box.describe(str(path))
        box._process.kill()
        box._process.wait()
        assert np.array_equal(box.array(str(path), "x", tree).read(), NUMBERS)


GOOD = '{"groups": {"": {}}, "datasets": {"x": {"shape": [2], "dtype": "<f4", "attributes": {}}}}'
ANSWERS = {
    "a crash": ("os.kill(os.getpid(), 11)", "the HDF5 library crashed"),
    "out of time": ("os.kill(os.getpid(), signal.SIGPROF)", "reading it takes over"),
    "silence": ("time.sleep(60)", "reading it takes over"),
    "silence in the midst": ("out(b'12'); time.sleep(60)", "reading it takes over"),
    "output closed": ("os.close(1); time.sleep(60)", "the HDF5 library crashed"),
    "half an answer": ("out(struct.pack('<Q', 99) + b'{}'); sys.exit()", "the HDF5 library crashed"),
    "a length of 2**62": ("out(struct.pack('<Q', 2**62)); time.sleep(60)", "its description has 4611686018427387904 bytes"),
    "no JSON": ("say('hello')", "the process that reads it answers nonsense"),
    "deep JSON": ("say('[' * 10**6)", "the process that reads it answers nonsense"),
    "a list": ("say('[]')", "the process that reads it answers nonsense"),
    "nothing": ("say('{}')", "the process that reads it answers nonsense"),
    "a group of numbers": ("say(GOOD.replace('{}', '7', 1))", "the process that reads it answers nonsense"),
    "an attribute of objects": ("say(GOOD.replace('{}', '{\"a\": [{}]}', 1))", "the process that reads it answers nonsense"),
    "a shape of text": ("say(GOOD.replace('[2]', '\"2\"'))", "the process that reads it answers nonsense"),
    "a shape below zero": ("say(GOOD.replace('[2]', '[-2]'))", "an array of shape (-2,)"),
    "a large shape": ("say(GOOD.replace('[2]', '[4294967296, 4294967296]'))", "an array of shape (4294967296, 4294967296)"),
    "an error with control characters": ("say(json.dumps({'error': 'a' + chr(27) + 'b' * 10**4}))", "a?bbb"),
    "another shape": ("say(GOOD); hear(); say('{\"shape\": [3], \"dtype\": \"<f4\"}')", "'x' is not as it was described"),
    "too few numbers": ("say(GOOD); hear(); say('{\"shape\": [2], \"dtype\": \"<f4\"}'); say('1234')",
                        "the process that reads it answers nonsense"),
    "too many numbers": ("say(GOOD); hear(); say('{\"shape\": [2], \"dtype\": \"<f4\", \"size\": 9}'); say('123456789')",
                         "the process that reads it answers nonsense"),
    "half the numbers": ("say(GOOD); hear(); say('{\"shape\": [2], \"dtype\": \"<f4\", \"size\": 8}'); "
                         "out(b'1234'); sys.exit()", "the HDF5 library crashed")}


@pytest.mark.skipif(not hasattr(signal, "SIGPROF"), reason="there are no such signals here")
@pytest.mark.parametrize("case", ANSWERS)
def test_a_process_that_answers_anything(path, tmp_path, monkeypatch, case):
    code, message = ANSWERS[case]
    child = tmp_path / "child.py"
    child.write_text(f"import json, os, signal, struct, sys, time\nGOOD = {GOOD!r}\n"
                     "out = lambda data: os.write(1, data)\nhear = sys.stdin.buffer.readline\n"
                     "say = lambda text: [out(struct.pack('<Q', len(text))), out(text.encode())]\n"
                     f"say('\"ready\"')\nhear()\n{code}\nhear()\n")
    path.write_bytes(hdf5.SIGNATURE)
    monkeypatch.setattr(hdf5, "_CHILD", str(child))
    monkeypatch.setattr(hdf5, "_WAIT", 1)
    with hdf5.sandbox() as box:
        assert len(refuses(box, path, message, "x")) < 600
        process = box._process
    assert process is None or process.returncode is not None


@pytest.mark.parametrize("code", ["", "print('hello, here I am', flush=True)", "import time; time.sleep(60)"])
def test_a_process_that_does_not_start(path, tmp_path, monkeypatch, code):
    path.write_bytes(hdf5.SIGNATURE)
    (tmp_path / "child.py").write_text(code)
    monkeypatch.setattr(hdf5, "_CHILD", str(tmp_path / "child.py"))
    monkeypatch.setattr(hdf5, "_START", 1)
    with hdf5.sandbox() as box:
        refuses(box, path, "the process that reads HDF5 files does not start")
