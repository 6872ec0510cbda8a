"""Hostile submissions: none gains a point, reaches what it should not, or hurts the grader.

`pytest -rP tests/test_grader.py` lists what each got.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from homework.cases import cases_of
from homework.tasks import tasks_of
from minicnn.errors import HomeworkError, UnknownNameError
from tools.homework import grade as grading
from tools.homework import markers, sandbox
from tools.homework.__main__ import main
from tools.homework.make import ROOT, check_markers, files_of, make

RELU = "minicnn/ops/relu.py"
SECONDS = 5


@pytest.fixture(scope="session")
def skeleton(tmp_path_factory):
    try:
        sandbox.isolation()
    except HomeworkError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("made") / "hw1"
    make("hw1", folder)
    return folder


@pytest.fixture(scope="session")
def first_task():
    """The task hw1.1, its hidden cases, and the right answers."""
    cases = [case for case in cases_of("hw1", 1) if case.task == "hw1.1"]
    return tasks_of("hw1")[0], cases, grading.answers(ROOT, cases, 600, trusted=True)[0]


def tried(first_task, text, seconds=SECONDS):
    """Return the results of hw1.1 for a relu.py, in the sandbox."""
    task, cases, expected = first_task
    with tempfile.TemporaryDirectory() as folder:               # not pytest's, which only its owner may enter
        grading.lay_out("hw1", {RELU: text}, Path(folder))
        found, why = grading.answers(folder, cases, seconds)
    return grading.judged(task, list(zip(cases, expected, found)), why)


def solved(skeleton, body):
    """Return relu.py with a right backward pass, and `body` as the forward one."""
    text = (skeleton / RELU).read_text(encoding="utf-8")
    stub, other = (line for line in text.splitlines() if "raise NotImplementedError(\"hw1.1: ReLU" in line)
    return text.replace(other, "    return dout * on").replace(stub, "\n".join("    " + line for line in body.splitlines()), 1)


def test_an_honest_submission_gets_its_points(skeleton, first_task):
    result = tried(first_task, solved(skeleton, "return np.where(x < 0, 0, x), x > 0"), seconds=60)
    assert result["score"] == 10 and result["status"] == "passed", result["output"]


HOSTILE = {
    "an endless loop": "while True: pass",
    "sleeps": "time.sleep(1000)",
    "a fork bomb": "while True:\n    try: os.fork()\n    except OSError: pass",
    "a thread bomb": "while True: threading.Thread(target=time.sleep, args=(1000,)).start()",
    "ends the process with status 0": "os._exit(0)",
    "exits": "sys.exit(0)",
    "kills whom it can": "os.kill(os.getppid(), 9); os.kill(-1, 9)",
    "stops whom it can": "os.kill(os.getppid(), 19); os.kill(0, 19)",
    "takes all memory": "hog = []\nwhile True: hog.append(bytearray(2 ** 28))",
    "takes all memory at once": "return np.ones(2 ** 40), x > 0",
    "answers with far too much": "return np.ones(2 ** 25), x > 0",
    "floods whatever is open": """
while True:
    for k in range(64):
        try: os.write(k, b'x' * 65536)
        except OSError: pass""",
    "writes forged answers": """
for k in range(64):
    for line in ('{"case": 0, "found": {}}', '{"case": 0, "right": true, "score": 100}', '{"case": [], "found": 3}', '[' * 5000,
                 '{"case": 0, "found": {"out": {"dtype": "float64", "shape": [1048576, 1048576], "data": ""}}}',
                 '{"case": 0, "found": {"out": 1e999, "on": 1%s}}' % ('0' * 5000), '{"case": -1, "error": 5}', 'null', '\\xff'):
        try: os.write(k, line.encode('latin1') + b'\\n')
        except OSError: pass
os._exit(0)""",
    "writes forged results": """
for folder in ('.', '..', '/tmp', '/autograder/results', '/homework', os.path.expanduser('~'), '/dev/shm'):
    try: open(folder + '/results.json', 'w').write('{"score": 100}')
    except OSError: pass
raise SystemExit""",
    "makes comparisons and pytest say yes": """
import numpy.testing, homework.tasks
class Yes(np.ndarray):
    def __eq__(self, other): return np.ones(self.shape, bool)
    __ne__ = lambda self, other: np.zeros(self.shape, bool)
homework.tasks.differences = lambda *given: ''
np.testing.assert_allclose = np.testing.assert_array_equal = np.allclose = lambda *given, **more: True
np.abs = lambda x: np.zeros(np.shape(x))
sys.modules['pytest'] = None
return np.zeros(np.shape(x)).view(Yes), np.zeros(np.shape(x), bool).view(Yes)""",
    "answers with NaN and hopes": "return x * np.nan, x > np.inf",
    "answers with a thing that lies": """
class Liar:
    shape, dtype, __len__ = (30,), float, lambda self: 30
    def __array__(self, *given, **more): os._exit(0)
return Liar(), Liar()""",
    "looks for the reference everywhere": """
for top in ('/', '/root', '/home', '/srv', '/opt', '/tmp', '/autograder'):
    for folder, _, files in os.walk(top):
        if folder.startswith(('/proc', '/sys', '/dev', os.getcwd())): continue
        for name in files:
            if name == 'relu.py' or name == 'cases.py' or name.endswith('.jsonl'):
                try: text = open(os.path.join(folder, name)).read()
                except OSError: continue
                if 'BEGIN SOLUTION' in text or 'np.empty_like(x)' in text and 'relu_forward_ref' in text:
                    scope = dict(globals())
                    text = text.split('@cuda_jit')[0].replace('from .', 'from minicnn.ops.')
                    exec(text.replace('minicnn.ops..', 'minicnn.'), scope)
                    return scope['relu_forward_ref'](x, mask)""",
    "imports an installed minicnn": """
sys.path[:] = [p for p in sys.path if p not in ('', os.getcwd())]
for name in [n for n in sys.modules if n.partition('.')[0] == 'minicnn']: del sys.modules[name]
import minicnn.ops.relu as reference
return reference.relu_forward_ref(x, mask)""",
    "calls the fast twins": "return relu_forward_cpu(x.ravel(), True)",
    "reads other processes": """
for pid in filter(str.isdigit, os.listdir('/proc')):
    for name in ('environ', 'mem', 'maps', 'cmdline', 'cwd/homework/cases.py', 'root/etc/shadow'):
        try: said = open(f'/proc/{pid}/{name}', 'rb').read(2 ** 16)
        except OSError: continue
        if b'tools.homework' in said or b'root:' in said:
            return np.where(x < 0, 0, x), x > 0         # found something: would get the points""",
    "crashes": "import ctypes; ctypes.string_at(0)",
    "recurses without end": "def deeper(n): return deeper(n + 1)\nsys.setrecursionlimit(10 ** 9)\ndeeper(0)",
    "fills the disk": """
for folder in ('.', '/tmp', '/dev/shm', '/var/tmp', '/homework'):
    try:
        for k in range(10 ** 6):
            with open(f'{folder}/{k}', 'wb') as file: file.write(b'x' * 2 ** 20)
    except OSError: pass
if any(os.path.exists(f'{folder}/0') and os.path.getsize(f'{folder}/0') for folder in ('/tmp', '/dev/shm')):
    return np.where(x < 0, 0, x), x > 0                 # wrote something: would get the points""",
    "becomes somebody else": """
for change in (lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgroups([0]), lambda: os.chroot('/tmp')):
    try: change()
    except OSError: continue
    return np.where(x < 0, 0, x), x > 0                 # it worked: would get the points""",
    "lifts its limits": """
import resource
for limit in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU):
    try: resource.setrlimit(limit, (resource.RLIM_INFINITY,) * 2)
    except (OSError, ValueError): continue
    return np.where(x < 0, 0, x), x > 0                 # it worked: would get the points""",
    "makes a world of its own": """
import ctypes
libc = ctypes.CDLL(None)
for call in (lambda: libc.unshare(0x10020000), lambda: libc.syscall(56, 0x10000011, 0, 0, 0, 0)):
    if call() == 0: return np.where(x < 0, 0, x), x > 0         # it worked: would get the points""",
    "opens a socket": """
import socket
for kind in (socket.AF_INET, socket.AF_UNIX):
    try: socket.socket(kind)
    except OSError: continue
    return np.where(x < 0, 0, x), x > 0                         # it worked: would get the points""",
    "fills the memory with names": """
for folder in ('/tmp', '/dev/shm', '/var/tmp'):
    for make in (lambda k: os.symlink('x' * 4000, f'{folder}/{k}'), lambda k: os.mkdir(f'{folder}/{k}d')):
        try:
            for k in range(1000): make(k)
        except OSError: pass
if len([name for name in os.listdir('/dev/shm') + os.listdir('/tmp') if name.rstrip('d').isdigit()]) > 1000:
    return np.where(x < 0, 0, x), x > 0                         # it worked: would get the points""",
    "a flood of lines": """
while True:
    for k in range(64):
        try: os.write(k, b'0\\n' * 32768)
        except OSError: pass""",
    "leaves a process behind": """
if os.fork() == 0:
    os.setsid()
    while True: time.sleep(1)
os._exit(0)""",
    "ignores signals": """
import signal
for k in range(1, 65):
    try: signal.signal(k, signal.SIG_IGN)
    except (OSError, ValueError): pass
while True: pass""",
    "raises what is no Exception": "raise KeyboardInterrupt",
    "a message without end": "raise ValueError('x' * 10 ** 8)",
    "a message that takes over the terminal": "raise ValueError('\\x1b[2J\\x1b]0;x\\x07right: all')",
    "an exception that cannot be printed": "class E(Exception):\n    def __str__(self): os._exit(0)\nraise E",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_submissions_get_nothing(what, skeleton, first_task):
    body = "import os, sys, threading, time\n" + HOSTILE[what].strip() + "\nraise ValueError('it found nothing')"
    start = time.monotonic()
    result = tried(first_task, solved(skeleton, body))
    print(f"{what}: {result['score']} of {result['max_score']}; {result['output'].splitlines()[1][:110]}")
    assert result["score"] == 0 and result["status"] == "failed" and "\x1b" not in result["output"]
    assert time.monotonic() - start < SECONDS + 10 and len(result["output"]) < 5000
    assert nothing_is_left()


@pytest.mark.parametrize("text", ["import os; os._exit(0)", "while True: pass", "raise SystemExit(0)", "def f(:", "\0",
                                  "x" * 600_000, "import os\nos.execv('/bin/true', ['true'])", "\ufffd"])
def test_hostile_files(text, skeleton, first_task):
    result = tried(first_task, text, seconds=4)
    assert result["score"] == 0 and nothing_is_left()


def nothing_is_left():
    """Whether the user that submissions run as has no process any more, if we can tell; one that dies may take a moment."""
    def owner(pid):
        try:
            return os.stat(f"/proc/{pid}").st_uid
        except OSError:
            return None
    for _ in range(30):
        if os.geteuid() != 0 or not any(owner(pid) == sandbox.user() for pid in filter(str.isdigit, os.listdir("/proc"))):
            return True
        time.sleep(0.1)
    return False


def test_a_submission_has_no_network(skeleton, first_task):
    if sandbox.isolation() != "bubblewrap":
        pytest.skip("without bubblewrap the network stays")
    with socket.create_server(("127.0.0.1", 0)) as server:
        came = []
        threading.Thread(target=lambda: came.append(server.accept()), daemon=True).start()
        call = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 2)"
        text = (skeleton / RELU).read_text(encoding="utf-8") + f"\nimport socket\ntry: {call}\nexcept OSError: pass\n"
        assert tried(first_task, text)["score"] == 0
        time.sleep(0.2)
        assert came == []


def test_the_whole_grader_on_a_hostile_submission(skeleton, tmp_path, capsys):
    """It ends, writes results in Gradescope's form, and says which task went wrong and why."""
    mine = tmp_path / "mine"
    shutil.copytree(skeleton, mine)
    (mine / "minicnn" / "tape.py").write_text("import os\nos._exit(0)\n")
    (mine / "results.json").write_text('{"score": 100}')
    (mine / "conftest.py").write_text("raise SystemExit(0)")
    (mine / "homework" / "tasks.py").write_text("def differences(*given): return ''")
    (mine / "minicnn" / "__init__.py").write_text("raise SystemExit(0)")
    assert main(["grade", str(mine), "--task", "hw1", "--json", str(tmp_path / "results.json")]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["score"] == 0 and len(results["tests"]) == 7
    for test in results["tests"]:
        assert set(test) == {"name", "number", "score", "max_score", "status", "output", "output_format"}
        assert "no answer: it ended early" in test["output"]
    assert "0 of 100 points" in capsys.readouterr().out


def test_links_to_the_solutions_are_not_followed(skeleton, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "minicnn").symlink_to(ROOT / "minicnn")
    assert grading.handed_in(mine, "hw1") == ({}, files_of("hw1"))
    (mine / "minicnn").unlink()
    (mine / "minicnn" / "ops").mkdir(parents=True)
    (mine / RELU).symlink_to(ROOT / RELU)
    os.mkfifo(mine / "minicnn" / "tape.py")
    (mine / "minicnn" / "ops" / "conv2d.py").write_text("x" * 600_000)
    (mine / "minicnn" / "ops" / "max_pool2d.py").mkdir()
    assert grading.handed_in(mine, "hw1")[0] == {}


def test_zip_files(skeleton, tmp_path):
    def packed(name, **files):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in files.items():
                archive.writestr(path.replace("__", "/") + ".py", data)
        return grading.handed_in(tmp_path / name, "hw1")[0]
    assert packed("bomb.zip", minicnn__ops__relu=b"x" * 2 ** 28) == {}
    assert packed("good.zip", my_work__minicnn__ops__relu=b"y = 1", minicnn__tape=b"z = 2") == {
        RELU: "y = 1", "minicnn/tape.py": "z = 2"}
    assert packed("up.zip", **{"..__..__minicnn__tape": b"z"}) == {"minicnn/tape.py": "z"}
    data = bytearray((tmp_path / "good.zip").read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    (tmp_path / "broken.zip").write_bytes(data)
    assert RELU not in grading.handed_in(tmp_path / "broken.zip", "hw1")[0]
    for place in range(len(data) - 60, len(data) - 20, 4):                  # the table of contents
        damaged = bytearray((tmp_path / "good.zip").read_bytes())
        damaged[place:place + 4] = b"\xff\xff\xff\xff"
        (tmp_path / "damaged.zip").write_bytes(damaged)
        try:
            grading.handed_in(tmp_path / "damaged.zip", "hw1")
        except HomeworkError as error:
            assert "damaged.zip" in str(error)
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(RELU, b"x" * 1000)
    data = bytearray((tmp_path / "lzma.zip").read_bytes())
    data[60:70] = b"\xff" * 10
    (tmp_path / "lzma.zip").write_bytes(data)
    assert grading.handed_in(tmp_path / "lzma.zip", "hw1")[0] == {}
    (tmp_path / "none.zip").write_text("no zip")
    for wrong in ("none.zip", "nowhere"):
        with pytest.raises(HomeworkError, match="neither a folder nor a .zip"):
            grading.handed_in(tmp_path / wrong, "hw1")


# --- making ---
def test_every_marker_has_its_task_and_every_task_its_functions():
    check_markers()


@pytest.mark.parametrize("text, message", [
    ("def f():\n    ### BEGIN SOLUTION hw1.1\n    pass\n", "has no end"),
    ("def f():\n    pass\n    ### END SOLUTION hw1.1\n", "does not fit"),
    ("def f():\n    ### BEGIN SOLUTION hw1.1\n    pass\n    ### END SOLUTION hw1.2\n", "does not fit"),
    ("def f():\n    ### BEGIN SOLUTION hw1.1\n    ### BEGIN SOLUTION hw1.1\n    pass\n", "does not fit"),
    ("def f():\n    # BEGIN SOLUTION hw1.1\n    pass\n", "is no marker"),
    ("def f():\n    ### BEGIN SOLUTION 1.1\n    pass\n", "is no marker"),
    ("### BEGIN SOLUTION hw1.1\nx = 1\n### END SOLUTION hw1.1\n", "in no function")])
def test_wrong_markers(text, message):
    with pytest.raises(HomeworkError, match=message):
        markers.regions(text, "file.py")


def test_what_students_get(skeleton):
    for path in files_of("hw1"):
        text = (skeleton / path).read_text(encoding="utf-8")
        assert "NotImplementedError(\"hw1." in text and "SOLUTION" not in text
    everything = {p.relative_to(skeleton).as_posix(): p.read_text(encoding="utf-8") for p in skeleton.rglob("*.py")}
    assert "homework/cases.py" not in everything
    assert not any(markers.MARKER.match(line) for text in everything.values() for line in text.splitlines())
    for path in ("tests/test_tasks.py", "tests/conftest.py", "minicnn/ops/linear.py"):
        assert everything[path] == (ROOT / path).read_text(encoding="utf-8")
    assert "hw3.3 comes in a later assignment" in everything["minicnn/embed/tsne.py"]
    for line in ("np.sum(window * w[f])", "dweight[f] +=", "best, best_at = value", "return order[::-1]"):
        assert not any(line in text for text in everything.values()), line
    readme = (skeleton / "README.md").read_text(encoding="utf-8")
    assert "@" not in readme and all(task.id in readme for task in tasks_of("hw1"))


def test_pytest_in_a_students_folder(skeleton, tmp_path):
    """One task is tried, the first differing numbers are shown; nothing outside of the folder is needed."""
    mine = tmp_path / "mine"
    shutil.copytree(skeleton, mine)
    text = (mine / RELU).read_text(encoding="utf-8")
    stubs = [line for line in text.splitlines() if "raise NotImplementedError(\"hw1.1: ReLU" in line]
    text = text.replace(stubs[0], "    return np.maximum(x, 0), x >= 0", 1).replace(stubs[1], "    return dout * on", 1)
    (mine / RELU).write_text(text, encoding="utf-8")
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--task", "hw1.1"], cwd=mine,
                            capture_output=True, text=True)
    assert "1 failed, 3 passed" in result.stdout
    assert "numbers of on (7,) differ, the first: on[0] is True, expected False" in result.stdout
    result = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--task", "hw2"], cwd=mine,
                            capture_output=True, text=True)
    assert result.returncode == 4 and "there is no task 'hw2'; known: hw1.1, hw1.2" in result.stderr


def test_the_lectures_of_an_assignment_run_when_it_is_solved(tmp_path):
    make("hw5", tmp_path / "hw5")
    run = [sys.executable, "-m", "lectures", "linear", "--out", "book"]
    failed = subprocess.run(run, cwd=tmp_path / "hw5", capture_output=True, text=True)
    assert "NotImplementedError: hw5.6: linear classifiers, about" in failed.stderr
    for path in files_of("hw5"):
        shutil.copyfile(ROOT / path, tmp_path / "hw5" / path)
    solved = subprocess.run(run, cwd=tmp_path / "hw5", capture_output=True, text=True)
    assert solved.returncode == 0 and "1 of 1 lectures, 0 failed" in solved.stdout, solved.stderr
    book = (tmp_path / "hw5" / "book" / "index.html").read_text(encoding="utf-8")
    assert "45_linear.html" in book and "17_saliency" not in book


def test_wrong_input(skeleton, tmp_path, capsys):
    assert main(["make", "hw9", "--out", str(tmp_path / "new")]) == 2
    assert "no assignment named 'hw9'" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main(["make", "hw1", "--out", str(skeleton)]) == 2
    assert "is there and not empty" in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "nowhere"), "--task", "hw1"]) == 2
    assert "neither a folder nor a .zip" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        grading.grade(skeleton, "hw1.1")
    for wrong in (["--seconds", "0"], ["--seed", "-1"]):
        assert main(["grade", str(skeleton), "--task", "hw1", *wrong]) == 2
        assert "grade: " in capsys.readouterr().err
    assert main(["list"]) == 0
    listed = capsys.readouterr().out
    assert all(task.id in listed for name in ("hw1", "hw5") for task in tasks_of(name))


def test_a_notebook_on_demand(tmp_path):
    make("hw3", tmp_path / "hw3", notebook=True)
    notebook = json.loads((tmp_path / "hw3" / "hw3.ipynb").read_text())
    sources = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert notebook["nbformat"] == 4 and sum("pytest -q --task hw3." in source for source in sources) == len(tasks_of("hw3"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            compile("\n".join(line for line in cell["source"].splitlines() if line[:1] not in "%!"), "cell", "exec")
