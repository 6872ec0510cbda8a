"""Download one large file: with a progress bar, going on where the last attempt stopped, and never half of it.

What has come so far stands in FILE.part. A next attempt asks the server for the rest of it ("Range: bytes=N-"); one that
knows no ranges sends everything again. Only when size and hash are those expected does the .part become FILE.
"""
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from minicnn.errors import WeightsError

MAX_BYTES = 2_000_000_000       # for a file of unknown size
CHUNK, TIMEOUT, ATTEMPTS = 1 << 18, 30, 5


def fetch(url, path, size=None, expected=None):
    """Download `url` to `path`, which gets its name only when the file is whole and right; return its SHA-256.

    `size` is in bytes, None if not known; `expected` is a hash as `check` takes it. An older FILE.part is gone on with.
    Raises WeightsError; what has come stays for the next attempt unless it is wrong. So it does after a Ctrl-C.
    """
    part = Path(f"{path}.part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        _receive_all(url, part, size)
        sha256 = check(part, size, expected)
        os.replace(part, path)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; {_count(_length(part))} of {Path(path).name} are kept, "
                                "the next run goes on from there") from None
    except WeightsError as error:
        part.unlink(missing_ok=True)
        raise WeightsError(f"{url} was downloaded, but {error}, and has been removed") from None
    except OSError as error:
        kept = f"; {_count(_length(part))} are kept, the next run goes on from there" if _length(part) else ""
        if not kept:
            part.unlink(missing_ok=True)
        raise WeightsError(f"{url} cannot be downloaded ({_reason(error)}){kept}") from None
    return sha256


def check(path, size=None, expected=None):
    """Return the SHA-256 of the file at `path`; WeightsError if its size or hash is not the one given.

    `expected` is {algorithm: hexadecimal digits} of sha256, sha1 or md5, or {"sha256_prefix": the first digits}.
    """
    try:
        with open(path, "rb") as file:
            given = os.fstat(file.fileno()).st_size
            if size is not None and given != size:
                raise WeightsError(f"{path} has {given:,} bytes, expected {size:,}; it is not the published file")
            return _check_hash(path, iter(lambda: file.read(1 << 20), b""), expected)
    except (OSError, ValueError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error}); "
                           "give the path of the file") from None


def check_bytes(what, data, expected):
    """Do as `check` for bytes in memory, which `what` names."""
    return _check_hash(what, [data], expected)


def _check_hash(what, chunks, expected):
    (kind, digits), = (expected or {"sha256": ""}).items()
    algorithm = kind.removesuffix("_prefix")
    hashes = {name: hashlib.new(name) for name in ("sha256", algorithm)}
    for chunk in chunks:
        for one in hashes.values():
            one.update(chunk)
    given = hashes[algorithm].hexdigest()
    if digits and (given[:len(digits)] if kind.endswith("_prefix") else given) != digits:
        name = "SHA-" + algorithm[3:] if algorithm.startswith("sha") else algorithm.upper()
        raise WeightsError(f"{what} has the {name} {given}, expected {digits}; it is not the published file")
    return hashes["sha256"].hexdigest()


# --- the network ----------------------------------------------------------------------------------------------------
class _Broken(OSError):
    """The connection ended before the file did."""


class _Refused(OSError):
    """An answer that another attempt would not change."""


def _receive_all(url, part, size):
    """Ask until the .part is whole; a broken connection is gone on with as long as something comes."""
    if not re.match("https?://", url):
        raise _Refused("only addresses with http:// or https:// are downloaded")
    for attempt in range(1, ATTEMPTS + 1):
        before = _length(part)
        if size is not None and before == size:
            return
        try:
            return _receive(url, part, size)
        except (_Refused, urllib.error.HTTPError) as error:
            raise _Refused(_reason(error)) from None
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS or _length(part) <= before:
                raise OSError(_reason(error)) from None


def _receive(url, part, size):
    """Get what the .part lacks by one request."""
    start = _length(part)
    if size is not None and start > size:
        part.unlink()
        start = 0
    try:
        answer = _ask(url, start)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 416 or not start:
            raise
        if _whole_size(error) == start:         # nothing is missing: the attempt before broke off just then
            return
        part.unlink()                           # the .part is longer than the file
        start, answer = 0, _ask(url, 0)
    with answer:
        if answer.status != 206:
            start = 0                           # all of it comes again
        elif not re.match(f"bytes {start}-", answer.headers.get("Content-Range", "")):
            raise _Refused("the server sent another part than was asked for")
        total = answer.headers.get("Content-Length", "")
        total = start + int(total) if total.isascii() and total.isdigit() else None
        _check_size(size, total)
        _write(answer, part, start, total or size, size)


def _ask(url, start):
    headers = {"User-Agent": "minicnn", "Accept-Encoding": "identity", **({"Range": f"bytes={start}-"} if start else {})}
    return _opener().open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)


def _opener():
    # urllib's usual opener also knows file: and ftp:, to which a server might redirect.
    opener = urllib.request.OpenerDirector()
    for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler,
                    urllib.request.HTTPRedirectHandler, urllib.request.HTTPDefaultErrorHandler,
                    urllib.request.HTTPErrorProcessor, urllib.request.UnknownHandler):
        opener.add_handler(handler())
    return opener


def _check_size(size, total):
    """Refuse a file of another size before any of it is read."""
    if total is not None and (total != size if size is not None else total > MAX_BYTES):
        expected = f"at most {MAX_BYTES:,}" if size is None else f"{size:,}"
        raise _Refused(f"the server has a file of {total:,} bytes, expected {expected}")


def _write(answer, part, start, total, size):
    """Write what comes behind the first `start` bytes of the .part."""
    from tqdm import tqdm
    got, limit = start, MAX_BYTES if size is None else size
    bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.name.removesuffix(".part"))
    with bar, open(part, "r+b" if start else "wb") as file:
        file.seek(start)
        while chunk := answer.read(CHUNK):
            got += len(chunk)
            if got > limit:
                file.truncate(0)
                raise _Refused(f"the server sends more than {limit:,} bytes")
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and got < total:
        raise _Broken(f"the connection ended after {got:,} of {total:,} bytes")


def _whole_size(error):
    match = re.fullmatch(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _length(part):
    with suppress(OSError):
        return part.stat().st_size
    return 0


def _count(size):
    return f"{size / 1e6:,.1f} MB"


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"the server says {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError) and error.reason:
        return _reason(error.reason) if isinstance(error.reason, OSError) else str(error.reason)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
