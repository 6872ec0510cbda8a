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
