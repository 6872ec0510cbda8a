"""Codes and top patches over a collection of pictures, on one machine or on many (Dask).

The collection is cut into batches; a task looks at one batch and returns little: codes, or the best patches in it. Tasks do not
know of each other, and what they return is put together in an order that does not depend on who was ready first. So one process,
or a cluster of which a machine dies on the way (its tasks are done again elsewhere), give the same result, bit for bit.

Every worker loads the network by its name or path once, so the weights and the pictures must be within reach of all of them.
"""
import functools
import os
import socket
from pathlib import Path

import numpy as np

from .. import tape
from ..checks import whole_number
from ..errors import ImageError, SettingError
from ..weights import find, load
from .checks import pictures_of
from .patches import averaged, merge, strongest

RETRIES = 5             # of a task, when the machine dies that it ran on


def picture_files(folder):
    """Return the files of a folder and the folders in it, sorted, hidden ones left out. Raises ImageError if there are none."""
    if not isinstance(folder, (str, os.PathLike)) or folder == "" or not Path(folder).is_dir():
        raise ImageError(f"there is no folder {str(folder)!r}; give a folder of pictures")
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*")
                   if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts))
    if not files:
        raise ImageError(f"the folder {str(folder)!r} holds no pictures; put some in, or give another")
    return files


def collection_patches(network, layer, files, *, top=9, batch=16, dask=None):
    """Yield the TopPatches of all the batches that are done, again after each; a picture's number is its place in `files`.

    network: a name or path that `minicnn.load` knows. dask: the address of a Dask scheduler, or a dask.distributed.Client;
    None: this process alone. Files that are no pictures are passed over. Raises what `minicnn.load` raises,
    SettingError, and ImageError if none is a picture.
    """
    top, found = whole_number("collection", "top", top, 1), None
    for new in _answers(patches_task, files, batch, dask, network, layer, top):
        if new is not None:
            found = new if found is None else merge(found, new)
            yield found
    if found is None:
        raise ImageError("collection: none of the files is a picture that can be read")


def collection_codes(network, layer, files, *, batch=16, dask=None):
    """Return (codes (N, D), numbers (N,)): the code of each picture at a layer, and its place in `files`; as above.

    Maps are averaged over their places.
    """
    parts = sorted((part for part in _answers(codes_task, files, batch, dask, network, layer) if len(part[0])),
                   key=lambda part: part[0][0])
    if not parts:
        raise ImageError("collection: none of the files is a picture that can be read")
    numbers, codes = zip(*parts)
    return np.concatenate(codes), np.concatenate(numbers)


def patches_task(first, files, network, layer, top):
    """Return the TopPatches of one batch of files, the first of which has the number `first`; None if none can be read."""
    numbers, activation = _activation(first, files, network, layer)
    return strongest(activation, top, numbers) if len(numbers) else None


def codes_task(first, files, network, layer):
    """Return (numbers (B,), codes (B, D)) of one batch of files."""
    numbers, activation = _activation(first, files, network, layer)
    return numbers, averaged(activation) if len(numbers) else None


def _activation(first, files, network, layer):
    """Return the numbers of the files that can be read and the layer's activation for them."""
    net, numbers, inputs = _network(network), [], []
    for number, path in enumerate(files, start=first):
        try:
            inputs.append(net.preprocess(path).data)
            numbers.append(number)
        except ImageError:
            continue
    if not numbers:
        return np.zeros(0, int), None
    with tape.no_grad():
        return np.array(numbers), net.activations(np.concatenate(inputs), upto=layer)[layer].data


def _network(name):
    """Return the network of a name or path, as its file is now; loaded once in each process."""
    file = Path(find(name))
    return _loaded(name, file.stat().st_mtime_ns, file.stat().st_size)


@functools.lru_cache(maxsize=2)
def _loaded(name, changed, size):
    return load(name)


def _answers(task, files, batch, dask, network, *settings):
    """Yield what the task returns for each batch of files, in whatever order the batches are done."""
    files, batch = list(pictures_of("collection", files)), whole_number("collection", "batch", batch, 1)
    _network(network).layer(settings[0])                # wrong names are told here, and not by a thousand tasks
    starts = range(0, len(files), batch)
    parts = [[str(path) for path in files[start:start + batch]] for start in starts]
    if dask is None:
        yield from (task(start, part, network, *settings) for start, part in zip(starts, parts))
        return
    client, as_completed = _client(dask)
    try:
        futures = client.map(functools.partial(_task_for_dask, task, network, settings), starts, parts,
                             retries=RETRIES, pure=False)
        for future in as_completed(futures):
            yield future.result()
            future.release()                            # nothing is kept that was passed on
    finally:
        if client is not dask:
            client.close()


def _task_for_dask(task, network, settings, start, part):
    return task(start, part, network, *settings)


def _client(dask):
    """Return (client, as_completed) of an address or of a client that the caller has."""
    try:
        from dask.distributed import Client, as_completed
        from distributed.comm import get_address_host_port
    except ImportError:
        raise SettingError("collection: Dask is not installed; pip install \"minicnn[dask]\", or leave out dask") from None
    if isinstance(dask, Client):
        return dask, as_completed
    try:
        socket.create_connection(get_address_host_port(dask), timeout=5).close()    # a Client that finds nobody leaves
        return Client(dask, timeout=5), as_completed                                # Dask in a state where the next fails
    except (OSError, TypeError, ValueError, TimeoutError) as error:
        raise SettingError(f"collection: no Dask scheduler answers at {dask!r} ({error}); start one with `dask scheduler` and "
                           "give its address, tcp://HOST:8786") from None
