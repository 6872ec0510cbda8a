"""Damaged weights files by the thousand: python tests/fuzz.py GOLDEN [--count 100000] [--seed 0], GOLDEN a file in tests/foreign.

Each is a golden file with a few changes (bits, bytes, sizes, blocks moved, cut or doubled), most of them where the headers
are. Converting it may give a network or a WeightsError. Anything else is a failure: another exception, more than 2 seconds,
memory, a program that is run, a file that is written. The file that did it is kept.
"""
import argparse
import codecs
import contextlib
import gzip
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]
from minicnn import convert, formats, nets, weights  # noqa: E402
from minicnn.errors import WeightsError  # noqa: E402
from minicnn.formats import caffe, hdf5, source as sources  # noqa: E402

FOLDER, ARCH = Path(__file__).resolve().parent / "foreign", "convnetjs_cifar10"
GOLDENS = sorted(p.name for p in FOLDER.iterdir() if p.suffix not in (".py", ".md") and p.is_file()) + ["minicnn.h5"]
LIMIT = 64_000_000 + 3 * sum(p.data.nbytes for p in nets.build(ARCH, None).parameters().values())
SECONDS = 10        # on a machine that has other work as well
FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "os.fork", "exec", "compile", "pickle.find_class", "socket.connect",
             "marshal.loads", "ctypes.dlopen", "os.remove", "os.mkdir", "os.rename", "shutil.rmtree"}
NUMBERS = [0, 1, 2, 4, 7, 8, 255, 256, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**62, 2**63, 2**64 - 1]


def headers(data):
    """Return the places that are not numbers: the goldens' float32 are multiples of 1/256, whose lower two bytes are 0."""
    array, number = np.frombuffer(data, np.uint8), np.zeros(len(data), bool)
    for phase in range(4):
        low = array[phase:][:(len(array) - phase) // 4 * 4].reshape(-1, 4)[:, :2].max(axis=1, initial=0) == 0
        edges = np.flatnonzero(np.diff(np.concatenate([[0], low, [0]])))
        for begin, end in zip(edges[::2], edges[1::2]):
            if end - begin >= 16:
                number[phase + 4 * begin + 4:phase + 4 * end - 4] = True
    return np.flatnonzero(~number)


def damaged(data, places, rng):
    """Return the bytes with one to four changes."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = min(int(rng.choice(places)) if rng.random() < 0.8 else rng.randrange(len(data) + 1), len(data))
        size = min(rng.choice((1, 1, 2, 4, 8, 16, 64, 1000)), len(data) - at)
        other = rng.randrange(len(data) + 1)
        kind = rng.randrange(10)
        if kind == 0 and size:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1 and size:
            data[at] = rng.randrange(256)
        elif kind == 2:
            data[at:at + size] = rng.choice((b"\xff", b"\0", b"\x80", b"\x7f", b"0", b"9")) * size
        elif kind == 3:
            width = rng.choice((1, 2, 4, 8))
            number = (rng.choice(NUMBERS) + rng.choice((-1, 0, 0, 1))) % 256**width
            data[at:at + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 4:
            del data[at:at + size]
        elif kind == 5:
            data[at:at] = rng.randbytes(size)
        elif kind == 6:
            data[at:at + size] = data[other:other + size]
        elif kind == 7:
            data[at:at] = data[other:other + size] * rng.choice((1, 1, 50))
        elif kind == 8 and rng.random() < 0.3:
            del data[at:]
        elif size:
            data[at] = (data[at] + rng.choice((-1, 1))) % 256
    return bytes(data)


def attempt(path, name, format):
    """Convert one file; return whether it was accepted."""
    try:
        if name == "mean.binaryproto":
            with sources.opened(path) as source, formats.guarded(source.name):
                caffe.recognises_mean(source)
                caffe.read_mean(source)
        elif name == "minicnn.h5":
            weights.load(path)
        else:
            layout = "hwio" if name.endswith(".mat") else None
            convert.convert(path, ARCH, format=format, layout=layout)
        return True
    except WeightsError:
        return False


def memory(field):
    line = next(line for line in open("/proc/self/status") if line.startswith(field))
    return int(line.split()[1]) * 1024


def golden(name):
    """Return a golden file's name and bytes as a user has them; our own format is written anew."""
    if name == "minicnn.h5":
        with tempfile.TemporaryDirectory() as folder:
            weights.save(convert.convert(FOLDER / "onnx.onnx", ARCH)[0], f"{folder}/{name}")
            return name, (Path(folder) / name).read_bytes()
    data = (FOLDER / name).read_bytes()
    return (name[:-3], gzip.decompress(data)) if name.endswith(".gz") else (name, data)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("golden", choices=GOLDENS)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (name, data), rng, watch = golden(options.golden), random.Random(options.seed), []
    places = headers(data).tolist()
    box = hdf5.Box()                # one process for many files, which would have one each: 0.1 s that are not looked for here
    hdf5.Box, hdf5.sandbox = lambda: box, lambda: contextlib.nullcontext(box)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        assert attempt(path, name, "auto"), "the golden file itself is refused"
        reader = None
        if name not in ("mean.binaryproto", "minicnn.h5"):
            with sources.opened(path) as source:
                reader = formats.recognise(source)
        before, accepted, slowest = memory("VmRSS"), 0, 0.0
        for codec in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32", "latin1", "raw-unicode-escape"):
            codecs.lookup(codec)        # their modules are loaded at the first use, which is no harm
        sys.addaudithook(lambda event, args: watch.append((event, repr(args)[:200])) if event in FORBIDDEN else None)
        signal.signal(signal.SIGALRM, hang)
        for k in range(options.count):
            path.write_bytes(damaged(data, places, rng))
            watch.clear()
            signal.alarm(20)
            start = time.perf_counter()
            try:
                accepted += attempt(path, name, "auto" if k % 2 else reader)
                slowest = max(slowest, time.perf_counter() - start)
                assert time.perf_counter() - start < SECONDS, f"{time.perf_counter() - start:.1f} s"
                assert name.endswith(".h5") or not watch, watch
                assert k % 100 and k < options.count - 1 or memory("VmHWM") - before < LIMIT, f"{memory('VmHWM') - before} bytes"
            except BaseException:
                kept = Path(tempfile.gettempdir()) / f"fuzz-{options.seed}-{k}-{name}"
                kept.write_bytes(path.read_bytes())
                print(f"{name}, number {k}: kept as {kept}", flush=True)
                raise
        signal.alarm(0)
        print(f"{name}: {options.count} damaged files, {accepted} accepted, slowest {slowest:.3f} s, "
              f"memory +{(memory('VmHWM') - before) / 1e6:.0f} MB")


def hang(*_):
    raise TimeoutError("no answer in 20 s")


if __name__ == "__main__":
    main()
