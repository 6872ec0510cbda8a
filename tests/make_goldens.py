"""Write the goldens: what torch says for every row of op_cases.py (ops.npz, float64) and of SqueezeNet (squeezenet.npz).

    pip install torch==2.13.0; python tests/make_goldens.py
"""
import sys
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parent


def torch_results(torch, case):
    """Return {"<row>/out": output, "<row>/grad<i>": gradient of input i} of a row, computed by torch."""
    from test_ops import cotangent_for
    tensors = [None if a is None else torch.tensor(a, requires_grad=True) for a in case.arrays()]
    out = case.run_torch(torch, *tensors)
    out.backward(torch.tensor(cotangent_for(tuple(out.shape))))
    results = {f"{case.id}/out": out.detach().numpy()}
    for i, tensor in enumerate(tensors):
        if tensor is not None:
            grad = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            results[f"{case.id}/grad{i}"] = grad.numpy()
    return results


def squeezenet_results():
    """Return the crop of a shipped photograph, torch's scores for it and the top class's gradients (every 7th pixel).

    In float64: in float32 a ReLU or a maximum that is nearly a tie may go either way, in torch as in minicnn.
    """
    import minicnn
    from torch_nets import scores_and_gradient
    net = minicnn.load("squeezenet1_1").astype(np.float64)
    x = net.preprocess(TESTS.parent / "lectures" / "images" / "chelsea.jpg")
    results = {"crop": net.deprocess(x)}
    for rule in minicnn.tape.RELU_RULES:
        results["scores"], gradient, results["winner"] = scores_and_gradient(net, x.data.astype(np.float64), rule=rule)
        results[rule] = gradient[:, :, ::7, ::7]
    return results


def main():
    import torch

    from op_cases import CASES
    results = {}
    for case in CASES:
        if not case.seeded:
            results.update(torch_results(torch, case))
    np.savez_compressed(TESTS / "goldens" / "ops.npz", **results)
    np.savez_compressed(TESTS / "goldens" / "squeezenet.npz", **squeezenet_results())
    print(f"{len(results)} arrays of {len(CASES)} rows, torch {torch.__version__}")


if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent)]
    main()
