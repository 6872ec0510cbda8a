"""The child process that opens a stranger's HDF5 file: whatever the file does to the library happens here, not in the parent.

HDF5 is a file system in a file: groups stand for folders, datasets for arrays, and both carry attributes. Groups name their
members by links. A hard link is the member's address in the file; soft, external and virtual ones lead elsewhere and are
refused, as is all that arrays of weights do not need. The library that reads it is large and written in C, and a damaged
file can crash it, keep it busy for ever or make it ask for all memory; so this process lives under limits of the system.

It is run as a script and imports nothing of minicnn. Arguments: the largest number of bytes that a dataset may have, then
the folders where h5py and numpy stand. It says "ready", then answers each line of JSON on its input until that ends:

    {"path": path, "attributes": [names]}   ->  {"groups": {path: {attribute: value}}, "datasets": {path: {...}}}
    {"path": path, "read": name}            ->  {"shape": [...], "dtype": "<f4", "size": bytes}, then the numbers, little-endian

An answer is its length in 8 bytes, little-endian, and as many bytes; one that only says {"error": ...} means no. The path
of the root is "", others are as in "layers/conv2d/vars". Parts of a long attribute (names0, names1, ...) come as one list.
"""
import contextlib
import itertools
import json
import math
import os
import signal
import sys

MAX_ENTRIES, MAX_DEPTH, MAX_NAME, MAX_ATTRIBUTE, MAX_PARTS = 10_000, 12, 1000, 1_000_000, 1000
MEMORY, SECONDS = 48_000_000, 0.8            # what describing a file may take; reading adds to it by the size of the array
BYTES_PER_SECOND, PIECE = 50_000_000, 16_000_000
FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32"}
MOST_PACKED = 1100                          # gzip makes at most 1032 bytes of one


class Refused(Exception):
    """A file or a request that is turned down on purpose, with the reason."""


# --- limits -----------------------------------------------------------------------------------------------------------
def limit(name, soft, hard=None):
    """Set one limit of this process, such as "RLIMIT_AS", on systems that have it; without `hard` that one stays."""
    try:
        import resource
        kind = vars(resource)[name]
        hard = resource.getrlimit(kind)[1] if hard is None else hard
        resource.setrlimit(kind, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    except (ImportError, KeyError, ValueError, OSError):
        pass                                # the parent still watches the clock


def limit_for(size, room, seconds):
    """Allow `seconds` and the time to read `size` bytes, and `room` bytes of memory more than what is used by now."""
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", "rb") as file:
            limit("RLIMIT_AS", int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + MEMORY + room)
    with contextlib.suppress(AttributeError):           # of the processor's time: a busy machine does not matter
        signal.setitimer(signal.ITIMER_PROF, seconds + size / BYTES_PER_SECOND)        # its signal ends the process


def seconds_left(seconds):
    """Return how many of the `seconds` for a file are left after a request, so that many slow arrays are no way out."""
    with contextlib.suppress(AttributeError):
        seconds = min(seconds, signal.getitimer(signal.ITIMER_PROF)[0])
    return seconds


def limit_for_good(budget):
    """Set what never changes: no files written, no processes, few files open, and the ceiling of memory."""
    for name in ("RLIMIT_FSIZE", "RLIMIT_CORE", "RLIMIT_NPROC"):
        limit(name, 0, 0)
    limit("RLIMIT_NOFILE", 32, 32)
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/statm", "rb") as file:
            most = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + 4 * MEMORY + 5 * budget
            limit("RLIMIT_AS", most, most)


# --- one file ---------------------------------------------------------------------------------------------------------
def describe(file, wanted):
    """Return the groups and datasets below `file`, and of their attributes the `wanted` ones, as plain data."""
    from h5py import h5d, h5g, h5o
    groups, datasets, entries, waiting = {}, {}, 0, [("", h5g.open(file, b"/"))]
    while waiting:
        path, group = waiting.pop()
        groups[path] = attributes(path, group, wanted)
        for key in group:
            entries += 1
            name = (path + "/" if path else "") + key.decode("utf-8", "replace")
            # A hard link may lead back to its own group: these limits end such a walk.
            if entries > MAX_ENTRIES or name.count("/") >= MAX_DEPTH or len(name) > MAX_NAME:
                raise Refused(f"it has more than {MAX_ENTRIES} entries, {MAX_DEPTH} levels of groups or names of over "
                              f"{MAX_NAME} characters; no network needs that")
            if group.links.get_info(key).type != 0:
                raise Refused(f"{short(name)} is a link to somewhere else; a weights file holds its arrays itself")
            item = h5o.open(group, key)
            if isinstance(item, h5g.GroupID):
                waiting.append((name, item))
            elif isinstance(item, h5d.DatasetID):
                datasets[name] = dataset(name, item) | {"attributes": attributes(name, item, wanted)}
            else:
                raise Refused(f"{short(name)} is a {type(item).__name__}; expected arrays in groups")
    return {"groups": groups, "datasets": datasets}


def dataset(name, item):
    """Return the shape and dtype of a dataset, and what it takes to read it, after all checks that need no numbers."""
    from h5py import h5d, h5t
    plan, kind, shape = item.get_create_plist(), item.get_type().get_class(), item.shape
    if plan.get_layout() == h5d.VIRTUAL or plan.get_external_count():
        raise Refused(f"the numbers of {short(name)} lie in another file; a weights file holds its arrays itself")
    if kind in (h5t.STRING, h5t.ENUM):
        return {"shape": list(shape or []), "dtype": "text" if kind == h5t.STRING else "enumeration"}     # for nobody to read
    bfloat16 = kind == h5t.OPAQUE and item.get_type().get_size() == 2       # NumPy has no name for it
    if kind not in (h5t.INTEGER, h5t.FLOAT) and not bfloat16 or shape is None:
        names = {h5t.VLEN: "lists", h5t.COMPOUND: "records", h5t.REFERENCE: "references", h5t.ARRAY: "arrays"}
        given = "nothing" if shape is None else names.get(kind, f"data of class {kind}")
        raise Refused(f"{short(name)} holds {given}; expected numbers (float16, float32 or float64)")
    dtype = item.dtype.newbyteorder("<")
    width, numbers = max(dtype.itemsize, item.get_type().get_size()), math.prod(shape)
    chunk = math.prod(plan.get_chunk()) * width if plan.get_layout() == h5d.CHUNKED else 0
    # A chunk is unpacked as a whole, so that it must not be larger than the array either.
    if chunk > max(65536, numbers * width):
        raise Refused(f"{short(name)} of shape {shape} has chunks of {plan.get_chunk()}; save it without chunks")
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    if any(f not in FILTERS for f in filters) or len(filters) > len(FILTERS):
        raise Refused(f"{short(name)} is packed with the filters {filters[:8]}; expected {FILTERS}, or none")
    needed, there = numbers * item.get_type().get_size(), item.get_storage_size()
    if there * (MOST_PACKED if 1 in filters else 1) < needed:
        raise Refused(f"{short(name)} of shape {shape} needs {needed} bytes, the file has {there} of them; it is damaged")
    return {"shape": list(shape), "dtype": dtype.str, "chunk": chunk}


def attributes(name, item, wanted):
    """Return the wanted attributes of a group or dataset, those that were split (names0, names1, ...) as one list."""
    from h5py import h5a
    found = {}
    for key in wanted:
        if h5a.exists(item, key.encode()):
            found[key] = attribute(name, item, key)
        elif h5a.exists(item, f"{key}0".encode()):
            found[key] = parts = []
            for part in range(MAX_PARTS):
                if not h5a.exists(item, f"{key}{part}".encode()):
                    break
                value = attribute(name, item, f"{key}{part}")
                parts += value if isinstance(value, list) else [value]
    return found


def attribute(name, item, key):
    """Return an attribute as a text, a number or a list of them."""
    import numpy as np
    from h5py import h5a, h5t
    raw = h5a.open(item, key.encode())
    kind = raw.get_type()
    if kind.get_class() not in (h5t.STRING, h5t.INTEGER, h5t.FLOAT) or raw.shape is None:
        raise Refused(f"the attribute {key!r} of {short(name)} holds neither text nor numbers")
    if math.prod(raw.shape) * kind.get_size() > MAX_ATTRIBUTE:
        raise Refused(f"the attribute {key!r} of {short(name)} has more than {MAX_ATTRIBUTE} bytes; no network needs that")
    value = np.zeros(raw.shape, raw.dtype)
    if value.size:
        raw.read(value)
    value = [part.decode("utf-8", "replace") if isinstance(part, bytes) else part for part in value.ravel().tolist()]
    return value if raw.shape else value[0]


def read(file, name, seconds):
    """Return (shape and dtype of the dataset `name`, its numbers piece by piece, little-endian)."""
    import numpy as np
    from h5py import h5d
    item = h5d.open(file, name.encode())
    about = dataset(name, item)
    size = math.prod(about["shape"]) * np.dtype(about["dtype"]).itemsize
    whole = about["chunk"] > 0 or not about["shape"]        # what is packed is best unpacked at once
    limit_for(size + about["chunk"], (size if whole else PIECE) + 4 * about["chunk"], seconds)
    parts = pieces(item, about, 0 if whole else max(1, PIECE * about["shape"][0] // max(1, size)))
    return about, size, itertools.chain([next(parts, b"")], parts)     # so that most errors come before the answer


def pieces(item, about, rows):
    """Give the numbers of a dataset in pieces of so many rows, or at once if `rows` is 0."""
    import numpy as np
    from h5py import h5s
    shape = about["shape"]
    if not rows:
        numbers = np.empty(shape, about["dtype"])
        if numbers.size:
            item.read(h5s.ALL, h5s.ALL, numbers)
        yield numbers
        return
    for start in range(0, shape[0] if math.prod(shape) else 0, rows):
        numbers = np.empty((min(rows, shape[0] - start), *shape[1:]), about["dtype"])
        chosen = item.get_space()
        chosen.select_hyperslab((start,) + (0,) * len(shape[1:]), numbers.shape)
        item.read(h5s.create_simple(numbers.shape), chosen, numbers)
        yield numbers


def short(name):
    """Return the name as it may stand in a message."""
    return ascii(name if len(name) <= 60 else name[:57] + "...")


# --- answering --------------------------------------------------------------------------------------------------------
def serve(requests, answers):
    """Answer every request; the last file stays open, so that what is read is what was described."""
    from h5py import h5f, h5p
    opened, file, access, seconds = None, None, h5p.create(h5p.FILE_ACCESS), SECONDS
    access.set_fclose_degree(h5f.CLOSE_STRONG)      # closing a file closes all that is open in it
    for line in iter(requests.readline, b""):
        request = json.loads(line)
        numbers = ()
        try:
            new = file is None or "attributes" in request or request["path"] != opened
            seconds = SECONDS if new else seconds
            # A second more for each megabyte of the file, up to two: so many entries may be in it.
            limit_for(min(BYTES_PER_SECOND * (os.path.getsize(request["path"]) // 1_000_000), 2 * BYTES_PER_SECOND), 0, seconds)
            if new:
                if file is not None:
                    file.close()
                opened, file = request["path"], None
                file = h5f.open(os.fsencode(opened), h5f.ACC_RDONLY, access)
            if "attributes" in request:
                answer = describe(file, request["attributes"])
            else:
                about, size, numbers = read(file, request["read"], seconds)
                answer = {"shape": about["shape"], "dtype": about["dtype"], "size": size}
        except Refused as refused:
            answer = {"error": str(refused)}
        except MemoryError:
            answer = {"error": "reading it needs more memory than its size explains; it is damaged"}
        except Exception as error:          # the library's errors are of any class
            reason = str(error)[:200].strip("'")
            answer = {"error": f"the HDF5 library cannot read it ({reason}); it is cut short or damaged"}
        send(answers, json.dumps(answer).encode())
        for part in numbers:        # an error in here ends the process, which the parent notices
            write(answers, part)
        seconds = seconds_left(seconds)


def send(answers, data):
    """Write one answer with its length before it."""
    write(answers, len(data).to_bytes(8, "little") + data)


def write(answers, data):
    """Write bytes or an array's numbers, all of them."""
    view = memoryview(data).cast("B") if memoryview(data).nbytes else b""
    while len(view):
        view = view[answers.write(view[:1 << 20]):]


def main():
    """Keep the output for answers alone, load the library before there are limits, then serve."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.path += sys.argv[2:]
    import h5py                             # noqa: F401  (takes a while and much memory: before the limits)
    limit_for_good(int(sys.argv[1]))
    send(answers, b'"ready"')
    serve(sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
