"""Makes safetensors.safetensors and safetensors_bf16.safetensors with the library: python tests/foreign/make_safetensors.py"""
import sys
from pathlib import Path

import safetensors.numpy
import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights       # noqa: E402


def main():
    """Write both files."""
    arrays = {f"{name}.{key}": array for name, pair in weights().items() for key, array in zip(("weight", "bias"), pair)}
    safetensors.numpy.save_file(arrays, FOLDER / "safetensors.safetensors", metadata={"format": "np"})
    halves = {name: torch.from_numpy(array).to(torch.bfloat16) for name, array in arrays.items()}
    safetensors.torch.save_file(halves, FOLDER / "safetensors_bf16.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
