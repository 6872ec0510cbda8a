"""A process that runs the cases of one contender: `python -m tools.bench.worker NAME THREADS`, told what to do by pickles on
its input, as those of a process that trusts its parent may be.

    ("prepare", case)       -> (outputs, version) after two runs, or None where the contender cannot do the case
    ("time", seconds)       -> seconds per run, of so many runs as fit into the given seconds
    ("memory", None)        -> the most memory that a run took the process, in bytes
"""
import gc
import importlib
import pickle
import resource
import signal
import sys
import time

from .steps import input_of

CONTENDERS = {"minicnn": ("ours", "Contender"), "PyTorch": ("peers", "Torch"), "ONNX Runtime": ("peers", "OnnxRuntime")}


def main(name, threads):
    signal.signal(signal.SIGINT, signal.SIG_IGN)        # Ctrl-C is the parent's, which then closes the input
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr                             # what a library prints does not get between the answers
    module, contender = CONTENDERS[name]
    contender = getattr(importlib.import_module(f"{__package__}.{module}"), contender)(threads)
    run = None
    while True:
        try:
            what, argument = pickle.load(requests)
        except EOFError:
            return
        if what == "prepare":
            run = None
            gc.collect()
            run = contender.prepare(argument, *input_of(argument))
            answer = run and ([run() for _ in range(2)][-1], contender.version)
        elif what == "time":
            answer = timed(run, argument)
        else:
            answer = peak_memory(run)
        pickle.dump(answer, answers)
        answers.flush()


REST, WARM = 0.05, 0.05         # seconds


def timed(run, seconds):
    """Return seconds per run, of as many runs as take about so long.

    Threads of the contender before may go on spinning for a while, and ours sleep: let the one end, then wake up the others.
    """
    time.sleep(REST)
    start, count = time.perf_counter(), 0
    while time.perf_counter() < start + WARM:
        run()
        count += 1
    count = max(1, round(seconds / (time.perf_counter() - start) * count))
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def recorded_peak():
    """Return the peak of this process's resident memory in bytes, as Linux tells it; elsewhere OSError."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def peak_memory(run):
    """Return the peak of the process's resident memory during three runs, where the system lets it be set back; else ever."""
    gc.collect()
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        for _ in range(3):
            run()
        return recorded_peak()
    except OSError:
        run()
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
