"""Thousands of damaged files for every reader; see fuzz.py. More: python tests/fuzz.py GOLDEN --count 100000 --seed 1"""
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is measured by /proc")
@pytest.mark.parametrize("golden", fuzz.GOLDENS)
def test_damaged_files(golden):
    count = 1000 if golden.endswith(".h5") else 2000        # HDF5 files are read in a process of their own, which takes its time
    done = subprocess.run([sys.executable, Path(fuzz.__file__), golden, "--count", str(count)], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert f"{count} damaged files" in done.stdout
    accepted = int(done.stdout.split(", ")[1].split()[0])
    assert accepted < 0.75 * count, "most changes were harmless: the damage misses the headers"


BROKEN = """
import os, sys, time, tempfile
tempfile.tempdir = sys.argv[1]
import fuzz
fuzz.SECONDS = 2
reader, calls = fuzz.formats.READERS["onnx"], []
well = reader.read
def read(source):
    calls.append(1)
    if len(calls) > 1:          # the golden file itself is read well
        {}
    return well(source)
reader.read = read
sys.argv = ["fuzz.py", "onnx.onnx", "--count", "100"]
fuzz.main()
"""


@pytest.mark.parametrize("action, says", [
    ("raise MemoryError", "MemoryError"), ("b'x' * 10**8", "bytes"), ("time.sleep(2.1)", "2.1 s"),
    ("os.system('true')", "os.system"), ("exec('1')", "exec"), ("pass", "")])
def test_what_a_reader_must_not_do_would_be_noticed(action, says, tmp_path):
    done = subprocess.run([sys.executable, "-c", BROKEN.format(action), tmp_path], cwd=Path(__file__).parent, capture_output=True,
                          text=True)
    assert (done.returncode != 0) == bool(says), done.stderr
    assert not says or says in done.stderr.splitlines()[-1]
    assert len(list(tmp_path.glob("fuzz-*"))) == bool(says)
