import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir():
    """The folder with the real data sets, from $MINICNN_DATA or ../shared/data; the test skips without it."""
    for folder in (os.environ.get("MINICNN_DATA"), ROOT.parent / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    pytest.skip("no real data here: set MINICNN_DATA to its folder")


def pytest_addoption(parser):
    parser.addoption("--task", metavar="NAME", help="only the tests of a homework task, hw1.2, or of an assignment, hw1")


def pytest_ignore_collect(collection_path, config):
    """With --task, do not even look at other tests."""
    if config.getoption("--task") and collection_path.suffix == ".py" and collection_path.name != "test_tasks.py":
        return True


def pytest_collection_modifyitems(config, items):
    """With --task, keep the tests of that task."""
    wanted = config.getoption("--task")
    if not wanted:
        return
    tasks = {item: item.callspec.params["case"].task for item in items}
    kept = [item for item, task in tasks.items() if task == wanted or task.startswith(wanted + ".")]
    if not kept:
        known = ", ".join(sorted(set(tasks.values()))) or "none here"
        raise pytest.UsageError(f"there is no task {wanted!r}; known: {known}")
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_configure(config):
    """Homework runs as plain Python, so that print and breakpoint work everywhere.

    Where several processes share the tests, each of them takes one core (a kernel that waits for others is slow).
    """
    if config.getoption("--task"):
        os.environ.update(NUMBA_DISABLE_JIT="1", MINICNN_BACKEND="ref")
    if "PYTEST_XDIST_WORKER" in os.environ:
        import numba
        numba.set_num_threads(1)


def pytest_terminal_summary(terminalreporter):
    """Say the worst error of the gradient checks of each op, and how many planted mistakes were caught."""
    noted = [pair for reports in terminalreporter.stats.values() for report in reports
             if getattr(report, "when", "") == "call" for pair in report.user_properties]
    worst, caught = {}, [value for what, value in noted if what == "planted"]
    for row, error in [value for what, value in noted if what == "gradient error"]:
        op = row.partition(":")[0]
        worst[op] = max(error, worst.get(op, 0.0))
    if worst:
        terminalreporter.section("gradient checks, worst relative error per op")
        for op, error in sorted(worst.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{op:24} {error:.1e}")
    if caught:
        terminalreporter.write_line(f"planted mistakes: {len(caught)}, caught: {sum(caught)}")
