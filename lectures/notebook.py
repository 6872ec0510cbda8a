"""What the notebooks of `python -m tools.make_notebooks` show: pictures, animations, sounds, checked numbers."""
import tempfile
from pathlib import Path

from .__main__ import save_picture


def show(pictures):
    """Display what a lecture's draw returned: figures, animations (lists of frames), sounds (samples, rate)."""
    from IPython.display import Audio, Image, display
    with tempfile.TemporaryDirectory() as folder:
        for title, picture in pictures.items():
            path = save_picture(picture, Path(folder) / title)
            print(title.replace("_", " "))
            display(Audio(path.read_bytes()) if path.suffix == ".wav" else Image(path.read_bytes()))


def report(checks):
    """Print what a lecture's check returned, a line for each number."""
    for c in checks:
        print(f"{'pass' if c.passed else 'FAIL'}  {c.what}: {c.value:.4g} ({c.bar})")
