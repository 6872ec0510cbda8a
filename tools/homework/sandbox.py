"""Running code that nobody trusts: in a process of its own, of a user without rights, that can do nothing but compute.

Two ways, the first of which works is taken:
    bubblewrap      a world of its own: the system's and Python's files, read-only, and the submission's; no other file, no other
                    process, no network. For root and, where the system lets them, for everybody.
    another user    for root where namespaces are not to be had, as in most containers: a user that owns nothing and has no other
                    process. It reads what everybody can; that the solutions are not among this is checked.
In both: hardly a process or thread more, no byte in any file, no core dump, limits on memory and time, no socket (where the
processor is x86_64 or aarch64), no way back to other rights (answer.py); and when it ends, or its time does, so does everything
that it started.
"""
import os
import selectors
import shutil
import signal
import site
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from minicnn.errors import HomeworkError

from .make import ROOT

FREE = range(60706, 61184)      # numbers of users between those that systemd hands out
MOST_OUTPUT = 2 ** 23
LIMITS = {"MEMORY": 2 ** 31, "PROCESSES": 4, "FILE_SIZE": 0, "FILES": 64}        # L-BFGS takes a thread
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/etc/ld.so.cache", "/etc/alternatives", "/etc/localtime")
PLAIN = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "MINICNN_BACKEND": "ref",
         "NUMBA_DISABLE_JIT": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
         "NUMBA_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a process wrote, and why it ended too early, "" if it did not."""
    output: bytes
    why: str


def run(folder, text, seconds, trusted=False):
    """Give `text` to homework.answer of the engine in `folder`, and return the Outcome. trusted: without any sandbox."""
    command = [sys.executable, "-m", "homework.answer"]
    environment = {**PLAIN, "SECONDS": str(int(seconds) + 5)}
    if not trusted:
        way = isolation()
        environment.update({name: str(limit) for name, limit in LIMITS.items()})
        if os.geteuid() == 0:
            environment["UID_OF_SUBMISSION"] = str(user())
        command = [*wrapped(folder), *command] if way == "bubblewrap" else command
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, start_new_session=True)
    threading.Thread(target=_feed, args=(process.stdin, text.encode()), daemon=True).start()
    output, why = _collected(process, seconds)
    _end(process, trusted)
    status = process.wait()
    process.stdout.close()
    process.stderr.close()
    return Outcome(output, why or ("" if status == 0 else f"it ended with status {status}"))


def _end(process, trusted):
    """Kill a process, if it has not ended, and what it started: with bubblewrap its world ends with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _drained(process.stdout, 5)                 # its world ends a moment after it, and then nobody can write any more
    if not trusted and isolation() == "another user":
        for _ in range(3):                      # everything of that user but who says so
            _works([sys.executable, "-c", "import os; os.kill(-1, 9)"], as_user=True)
        _sweep()


def _sweep():
    """Remove what the user of submissions left in the folders in which everybody may make files."""
    for folder in filter(os.path.isdir, ("/tmp", "/var/tmp", "/dev/shm")):
        for entry in os.scandir(folder):
            with suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid == user() and not entry.name.startswith("homework-"):
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.remove(entry.path)


def _drained(pipe, seconds):
    """Read until there is nobody who could write, or the time is over."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while time.monotonic() < end and (not waiting.select(0.1) or os.read(pipe.fileno(), 2 ** 20)):
            pass


def _feed(pipe, data):
    try:
        pipe.write(data)
        pipe.close()
    except OSError:                             # it ended before it had read everything
        pass


def _collected(process, seconds):
    """Return (what came out, why it was cut short or ""); what a submission prints is thrown away."""
    output, end = bytearray(), time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for pipe in (process.stdout, process.stderr):
            waiting.register(pipe, selectors.EVENT_READ)
        while process.stdout in waiting.get_map():
            if time.monotonic() > end:
                return bytes(output), f"it took longer than {seconds:g} seconds"
            for key, _ in waiting.select(max(0.0, min(1.0, end - time.monotonic()))):
                data = os.read(key.fd, 2 ** 16)
                if not data:
                    waiting.unregister(key.fileobj)
                elif key.fileobj is process.stdout:
                    output += data
            if len(output) > MOST_OUTPUT:
                return bytes(output[:MOST_OUTPUT]), "it wrote too much"
    try:
        process.wait(max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return bytes(output), f"it took longer than {seconds:g} seconds"
    return bytes(output), ""


def wrapped(folder):
    """Return the command that bubblewrap is called with: root becomes another user inside, later (answer.py)."""
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--die-with-parent", "--new-session"]
    root = ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    command += root if os.geteuid() == 0 else ["--unshare-user"]
    command += ["--size", str(2 ** 20), "--tmpfs", "/tmp"]
    for path in python_folders():               # the way there, open for the other user
        for parent in list(Path(path).parents)[-2::-1]:
            command += ["--perms", "0755", "--dir", str(parent)]
    for path in (*SYSTEM, *python_folders()):
        command += ["--ro-bind-try", path, path]
    for path in hidden():
        command += ["--tmpfs", path]
    for path in python_folders():               # those inside of what is hidden
        if any(Path(path).is_relative_to(covered) for covered in hidden()):
            command += ["--ro-bind", path, path]
    command += ["--proc", "/proc", "--dev", "/dev", "--ro-bind", str(folder), "/homework", "--chdir", "/homework"]
    return [*command, "--remount-ro", "/tmp", "--remount-ro", "/dev"]           # names of files take memory as well


@lru_cache(maxsize=None)
def python_folders():
    """Return the folders that Python and its libraries need."""
    import numba
    import numpy
    folders = {sys.prefix, sys.base_prefix, *(str(Path(module.__file__).parent.parent) for module in (numpy, numba))}
    inside = [path for path in folders if not any(path != other and Path(path).is_relative_to(other) for other in folders
                                                  if other != str(ROOT))]
    return tuple(sorted(path for path in inside if path not in SYSTEM and not path.startswith("/usr/")))


@lru_cache(maxsize=None)
def hidden():
    """Return the folders where the solutions stand, as far as they would be seen: this project, and an installed minicnn."""
    seen = [Path(path) for path in (*SYSTEM, *python_folders())]
    found = [ROOT] if any(ROOT.is_relative_to(path) for path in seen) else []
    places = {*site.getsitepackages(), site.getusersitepackages(), *python_folders()}
    return tuple(map(str, found + [Path(p) / "minicnn" for p in sorted(places) if (Path(p) / "minicnn").is_dir()
                                   and Path(p) != ROOT]))


@lru_cache(maxsize=None)
def isolation():
    """Return "bubblewrap" or "another user", the way that works here. Raises HomeworkError where neither does."""
    if not sys.platform.startswith("linux"):
        raise HomeworkError("submissions can be locked in on Linux only; grade there, or in a container or virtual machine")
    if shutil.which("bwrap") and _works([*wrapped(ROOT), sys.executable, "-c", "import numba"]):
        return "bubblewrap"
    if os.geteuid() != 0:
        there = "does not work" if shutil.which("bwrap") else "is missing"
        raise HomeworkError(f"a submission cannot be locked in here: bubblewrap {there}, and whoever grades is not root; install "
                            "it (apt install bubblewrap), allow it user namespaces, or grade as root")
    if not _works([sys.executable, "-c", "import numba"], as_user=True):
        raise HomeworkError(f"{sys.executable} may not be run by another user, as which submissions have to run; install "
                            "bubblewrap, or use a Python that everybody can read")
    for path in [ROOT, *hidden()]:
        solution = Path(path) / ("minicnn/tape.py" if Path(path) == ROOT else "tape.py")
        if _works([sys.executable, "-c", f"open({str(solution)!r})"], as_user=True):
            raise HomeworkError(f"every user can read the solutions in {path}; say `chmod 700 {path}`, or install bubblewrap")
    if _works([sys.executable, "-c", "import minicnn"], as_user=True):
        raise HomeworkError("every user can import an installed minicnn with the solutions; uninstall it, or install bubblewrap")
    return "another user"


@lru_cache(maxsize=None)
def user():
    """Return the user that submissions run as where root grades: a number that systems leave free, and nobody uses now.

    Each grader has another, so that they can work at the same time. Raises HomeworkError if all are in use.
    """
    busy = set()
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            busy.add(place.stat().st_uid)
    for k in range(len(FREE)):
        found = FREE[(os.getpid() + k) % len(FREE)]
        if found not in busy:
            return found
    raise HomeworkError(f"every user from {FREE[0]} to {FREE[-1]} has processes; wait until other graders have ended")


def _works(command, as_user=False):
    """Whether a command ends well, as the user of submissions or as we are."""
    options = {"user": user(), "group": user(), "extra_groups": [], "cwd": "/"} if as_user else {}
    try:
        return subprocess.run(command, env=PLAIN, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=60, **options).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
