"""python -m tools.check: all that must hold before a change goes in: style, then the test suite."""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main():
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    processes = str(min(4, cores))
    for command in (["flake8", "minicnn", "lectures", "tools", "homework", "tests"],
                    ["pytest", "-q", "-n", processes, "--dist", "worksteal", "--durations=10", *sys.argv[1:]]):
        print("+ " + " ".join(command), flush=True)
        status = subprocess.run([sys.executable, "-m", *command], cwd=ROOT).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
