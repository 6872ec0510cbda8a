"""Write torch.pth, torch_legacy.pth and torch_checkpoint.pth with torch: `python tests/foreign/make_torch.py`."""
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights  # noqa: E402


def state_dict():
    """Return the weights as a module's state dict."""
    return OrderedDict((f"{name}.{key}", torch.tensor(array)) for name, pair in weights().items()
                       for key, array in zip(("weight", "bias"), pair))


def checkpoint():
    """Return what a training program keeps: weights of a parallel model in bfloat16 and half, an optimizer, counters.

    conv2's filters are a view with its axes exchanged, conv3's lie in the middle of a larger storage.
    """
    model = OrderedDict()
    for name, tensor in state_dict().items():
        tensor = tensor.half() if name.startswith("fc") else tensor.bfloat16()
        if name == "conv2.weight":
            tensor = tensor.transpose(2, 3).contiguous().transpose(2, 3)
        if name == "conv3.weight":
            tensor = torch.cat([torch.ones_like(tensor[:1]), tensor])[1:]
        model[f"module.{name}"] = torch.nn.Parameter(tensor)
    parameters = [torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.ones(2))]
    optimizer = torch.optim.Adam(parameters)
    sum(p.sum() for p in parameters).backward()
    optimizer.step()
    return {"epoch": 3, "arch": "convnetjs_cifar10", "best_acc1": torch.tensor(61.5), "best_loss": np.float64(1.25),
            "state_dict": model, "optimizer": optimizer.state_dict()}


def main():
    torch.save(state_dict(), FOLDER / "torch.pth")
    torch.save(state_dict(), FOLDER / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(checkpoint(), FOLDER / "torch_checkpoint.pth")
    for file in ("torch.pth", "torch_legacy.pth", "torch_checkpoint.pth"):
        read = torch.load(FOLDER / file, weights_only=file != "torch_checkpoint.pth")
        read = read.get("state_dict", read)
        for name, (weight, bias) in weights().items():
            for key, expected in (("weight", weight), ("bias", bias)):
                tensor = read[f"{name}.{key}" if f"{name}.{key}" in read else f"module.{name}.{key}"]
                assert np.array_equal(tensor.detach().float().numpy(), expected), (file, name)


if __name__ == "__main__":
    main()
