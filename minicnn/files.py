"""Writing files so that nobody ever sees half of one."""
import errno
import glob
import os
import secrets
from contextlib import contextmanager, suppress


@contextmanager
def replacing(path):
    """Give a temporary name beside `path`: it becomes `path` if the block ends well, and is removed if it fails.

    So nobody ever sees a half-written file, and an older file of that name survives a failure. Raises OSError, also where
    something else than a file has that name: a folder, a device.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    folder, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(folder, f".{secrets.token_hex(6)}-{name}")     # the ending tells writers the format
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(FileNotFoundError):
            os.remove(temporary)


def remove_leftovers(path):
    """Remove what `replacing(path)` left behind in a process that was killed while it wrote. Nobody may be writing now."""
    folder, name = os.path.split(os.path.abspath(path))
    for leftover in glob.glob(os.path.join(glob.escape(folder), "." + "[0-9a-f]" * 12 + "-" + glob.escape(name))):
        os.remove(leftover)
