"""The tests that students get with an assignment: `pytest --task hw1.2` tries one task."""
import pytest

import minicnn
from homework.tasks import ASSIGNMENTS, answered, differences, public_cases, tasks_of

CASES = [case for name in ASSIGNMENTS for case in public_cases(name)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_task(case):
    task = next(task for task in tasks_of(case.task.partition(".")[0]) if task.id == case.task)
    with minicnn.use("ref"):
        found = answered(task, case)
    wrong = differences(case.expected, found, task.tolerance)
    assert not wrong, f"{task.id}, {task.title}, {case.label}:\n{wrong}"
