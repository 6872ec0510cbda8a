"""python -m homework.answer < cases: answers to cases, a line of JSON each, nothing else: no judgement, and nothing to judge by.

Where the environment has UID_OF_SUBMISSION it becomes that user first, and it takes the LIMITS that it finds there, before
anything of the assignment is imported.
"""
import ctypes
import json
import os
import resource
import sys
import traceback

LIMITS = {"SECONDS": resource.RLIMIT_CPU, "MEMORY": resource.RLIMIT_AS, "PROCESSES": resource.RLIMIT_NPROC,
          "FILE_SIZE": resource.RLIMIT_FSIZE, "FILES": resource.RLIMIT_NOFILE}


def give_up_rights():
    """Become another user, and take the limits, for good."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)     # PR_SET_NO_NEW_PRIVS: no program that would give rights back
    uid = int(os.environ.get("UID_OF_SUBMISSION", 0))
    if uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, limit in LIMITS.items():
        if name in os.environ:
            resource.setrlimit(limit, (int(os.environ[name]),) * 2)


def explained(error):
    """Return an exception as a sentence, with the last place in the assignment where it happened."""
    places = [f"{frame.filename.rpartition('minicnn/')[1:][0]}{frame.filename.rpartition('minicnn/')[2]}, line {frame.lineno}"
              for frame in traceback.extract_tb(error.__traceback__) if "minicnn/" in frame.filename]
    return f"{type(error).__name__}: {str(error)[:500]}" + (f" ({places[-1]})" if places else "")


def main():
    give_up_rights()
    lines, out = sys.stdin.read().splitlines(), os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)                               # what a submission prints is no answer
    from .tasks import answered, case_of, packed, tasks_of
    tasks = {}
    for line in lines:
        number, line = line.split(" ", 1)
        try:
            case = case_of(line)
            name = case.task.partition(".")[0]
            tasks = tasks or {task.id: task for task in tasks_of(name)}
            said = {"case": int(number), "found": packed(answered(tasks[case.task], case))}
        except Exception as error:              # whatever a submission raises
            said = {"case": int(number), "error": explained(error)}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
