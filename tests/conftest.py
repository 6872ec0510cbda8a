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


# What the summary at the end of a run says: the gradient checks' errors by row, and the planted mistakes found or missed.
GRADIENT_ERRORS, PLANTED = pytest.StashKey(), pytest.StashKey()


def pytest_configure(config):
    config.stash[GRADIENT_ERRORS], config.stash[PLANTED] = {}, {}


@pytest.fixture
def gradient_errors(pytestconfig):
    return pytestconfig.stash[GRADIENT_ERRORS]


@pytest.fixture
def planted(pytestconfig):
    return pytestconfig.stash[PLANTED]


def pytest_terminal_summary(terminalreporter, config):
    worst = {}
    for row, error in config.stash[GRADIENT_ERRORS].items():
        op = row.partition(":")[0]
        worst[op] = max(error, worst.get(op, 0.0))
    if worst:
        terminalreporter.section("gradient checks, worst relative error per op")
        for op, error in sorted(worst.items(), key=lambda item: -item[1]):
            terminalreporter.write_line(f"{op:24} {error:.1e}")
    caught = config.stash[PLANTED]
    if caught:
        terminalreporter.write_line(f"planted mistakes: {len(caught)}, caught: {sum(caught.values())}")
