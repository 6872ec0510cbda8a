"""python tests/make_homework_goldens.py: write homework/goldens, the cases that students get with what should come out.

The answers are the reference's, which the rest of the tests hold against outside references; those of assignment 1 are compared
with PyTorch here once more (`pip install torch`).
"""
import os
from dataclasses import replace
from pathlib import Path

os.environ.update(NUMBA_DISABLE_JIT="1", MINICNN_BACKEND="ref")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from homework.cases import cases_of  # noqa: E402
from homework.tasks import ASSIGNMENTS, answered, differences, line_of, tasks_of  # noqa: E402

FOLDER = Path(__file__).parent.parent / "homework" / "goldens"


def by_torch(task, inputs):
    """Return what PyTorch gives for a case of hw1.1 to hw1.4, None where it has no such function."""
    t = {name: torch.tensor(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}
    g = {name: t[name] for name in ("stride", "padding", "dilation", "groups") if name in t}
    if task == "hw1.1":
        return {"out": F.relu(t["x"]), "on": F.relu(t["x"]) > 0, "dx": t["dout"] * t["on"]}
    if task == "hw1.2":
        return {"out": F.conv2d(t["x"], t["w"], t["b"], **g)}
    if task == "hw1.3":
        x = torch.zeros(len(t["dout"]), t["w"].shape[1] * t["groups"], *t["x_size"], dtype=torch.float64)
        return {"dx": torch.nn.grad.conv2d_input(x.shape, t["w"], t["dout"], **g)}
    if task == "hw1.4":
        return {"dw": torch.nn.grad.conv2d_weight(t["x"], t["w_shape"], t["dout"], **g), "db": t["dout"].sum((0, 2, 3))}
    return None


def main():
    FOLDER.mkdir(exist_ok=True)
    for name in ASSIGNMENTS:
        tasks, lines, compared = {task.id: task for task in tasks_of(name)}, [], 0
        for case in cases_of(name, 0):
            found, outside = answered(tasks[case.task], case), by_torch(case.task, case.inputs)
            if outside:
                compared += 1
                wrong = differences({key: value.numpy() for key, value in outside.items()}, found, 1e-12)
                assert not wrong, f"{case}: {wrong}"
            lines.append(line_of(replace(case, expected=found)))
        (FOLDER / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(lines)} cases, {compared} compared with PyTorch")


if __name__ == "__main__":
    main()
