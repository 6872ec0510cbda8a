"""The cases by PyTorch and by ONNX Runtime, as their users would write them. Nothing of minicnn is imported here."""
import os

import numpy as np

from .steps import RATE, plan


def _hangs_over(step):
    """Return whether a pooling step has a last window that hangs over the border: ceil_mode."""
    s = step.settings
    floor = tuple((n + 2 * p - k) // d + 1 for n, k, d, p in zip(step.shapes[0][2:], s["kernel"], s["stride"], s["padding"]))
    return floor != tuple(s["out_size"])


class Torch:
    """The cases by PyTorch; `prepare` as in ours.py."""

    def __init__(self, threads):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.version = torch, f"PyTorch {torch.__version__}"
        self.device = "cuda" if os.environ.get("MINICNN_BACKEND") == "cuda" else "cpu"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True

    def step(self, step, inputs):
        F, s = self.torch.nn.functional, step.settings
        x = inputs[0]
        if step.op == "Conv2d":
            return F.conv2d(*inputs, s["stride"], s["padding"], s["dilation"], s["groups"])
        if step.op == "Relu":
            return F.relu(x)
        if step.op == "MaxPool2d":
            return F.max_pool2d(x, s["kernel"], s["stride"], s["padding"], ceil_mode=_hangs_over(step))
        if step.op == "LocalResponseNorm":
            return F.local_response_norm(x, s["size"], s["alpha"], s["beta"], s["k"])
        if step.op == "BatchNorm":                  # statistics: those of the batch
            return F.batch_norm(x, None, None, *inputs[1:], training=True, eps=s["eps"])
        if step.op == "Linear":
            return F.linear(*inputs)
        if step.op == "Reshape":
            return x.reshape(s["shape"])
        if step.op == "Concat":
            return self.torch.cat(inputs, s["dim"])
        if step.op == "GlobalAvgPool2d":
            return x.mean((2, 3))
        if step.op == "Pad":                        # mirrored: the first row comes from as far in as the border is wide
            (left, right), (top, bottom) = ((int(at[0]), int(size - 1 - at[-1])) for at, size in
                                            ((s["columns"], x.shape[3]), (s["rows"], x.shape[2])))
            return F.pad(x, (left, right, top, bottom), mode="reflect")
        if step.op == "GroupNorm":
            return F.group_norm(x, s["num_groups"], *inputs[1:], eps=s["eps"])
        if step.op == "InterpolateNearest":
            return F.interpolate(x, size=tuple(step.out_shape[2:]), mode="nearest")
        if step.op == "Add":
            return inputs[0] + inputs[1]
        if step.op == "AvgPool2d":                  # as AlexNet has it in torchvision
            return F.adaptive_avg_pool2d(x, step.out_shape[2:])
        raise NotImplementedError(step.op)

    def prepare(self, case, x, labels, seed):
        torch = self.torch
        with np.load(case.weights) as archive:
            names = sorted({name for step in case.steps for name in step.inputs if name in archive})
            weights = {name: torch.from_numpy(archive[name]).to(self.device).requires_grad_(case.train) for name in names}
        x, labels, seed, steps = torch.from_numpy(x), torch.from_numpy(labels), torch.from_numpy(seed), plan(case.steps)
        if case.style:
            return self.style(case, weights, x)
        if case.train:
            return lambda: self.train(steps, weights, x, labels)
        return lambda: self.run(steps, weights, x, seed if case.backward else None)

    def style(self, case, weights, x):
        """Return what computes [L, dL/dx] of neural style at x, as ours.py's."""
        content, style = ([number for _, number in of] for of in case.style)

        def gram(F):
            rows = F.flatten(2)
            return rows @ rows.transpose(1, 2) / F[0].numel()

        def maps(x):
            values = {**weights, "x": x}
            for step in case.steps:
                values[step.name] = self.step(step, [values.get(name) for name in step.inputs])
            return values
        with self.torch.no_grad():
            target = maps(x.to(self.device).flip(2))
            targets = {n: target[n] for n in content} | {n + "g": gram(target[n]) for n in style}

        def run():
            p = x.to(self.device).detach().requires_grad_(True)
            values = maps(p)
            loss = sum(((values[n] - targets[n]) ** 2).sum() / (targets[n] ** 2).sum() for n in content)
            loss = loss + sum(((gram(values[n]) - targets[n + "g"]) ** 2).sum() / (targets[n + "g"] ** 2).sum()
                              for n in style) / len(style)
            smooth = ((p[..., 1:, :] - p[..., :-1, :]) ** 2).sum() + ((p[..., 1:] - p[..., :-1]) ** 2).sum()
            loss = loss + smooth / (255 ** 2 * p.shape[2] * p.shape[3])
            loss.backward()
            return [loss.detach().cpu().numpy().reshape(1), p.grad.cpu().numpy()]
        return run

    def forward(self, steps, weights, x):
        values = {**weights, "x": x}
        for step, unneeded in steps:
            values[step.name] = self.step(step, [values.get(name) for name in step.inputs])
            for name in unneeded:
                del values[name]
        return values[steps[-1][0].name]

    def run(self, steps, weights, x, seed):
        x = x.to(self.device)
        if seed is None:
            with self.torch.no_grad():
                return [self.forward(steps, weights, x).cpu().numpy()]
        x = x.detach().requires_grad_(True)
        out = self.forward(steps, weights, x)
        out.backward(seed.to(self.device))
        return [out.detach().cpu().numpy(), x.grad.cpu().numpy()]

    def train(self, steps, weights, x, labels):
        loss = self.torch.nn.functional.cross_entropy(self.forward(steps, weights, x), labels)
        loss.backward()
        with self.torch.no_grad():
            for weight in weights.values():
                weight -= RATE * weight.grad
                weight.grad = None
        return [loss.detach().numpy()]


class OnnxRuntime:
    """Forward only: that is what it is for."""

    def __init__(self, threads):
        import onnxruntime
        self.runtime, self.version, self.threads = onnxruntime, f"ONNX Runtime {onnxruntime.__version__}", threads

    def prepare(self, case, x, labels, seed):
        if case.backward or case.train or case.suite == "style":
            return None
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        session = self.runtime.InferenceSession(onnx_model(case), options, providers=["CPUExecutionProvider"])
        return lambda: session.run(None, {"x": x})


def onnx_model(case):
    """Return a case's steps and weights as the bytes of an ONNX model."""
    from onnx import TensorProto, helper, numpy_helper
    nodes = []
    with np.load(case.weights) as archive:
        names = sorted({name for step in case.steps for name in step.inputs if name in archive})
        constants = [numpy_helper.from_array(archive[name], name) for name in names]
    for step in case.steps:
        inputs, out, s = [name for name in step.inputs if name], step.name, step.settings
        if step.op == "Conv2d":
            nodes.append(helper.make_node("Conv", inputs, [out], strides=s["stride"], pads=[*s["padding"], *s["padding"]],
                                          dilations=s["dilation"], group=s["groups"]))
        elif step.op == "MaxPool2d":
            nodes.append(helper.make_node("MaxPool", inputs, [out], kernel_shape=s["kernel"], strides=s["stride"],
                                          pads=[*s["padding"], *s["padding"]], ceil_mode=int(_hangs_over(step))))
        elif step.op == "LocalResponseNorm":
            nodes.append(helper.make_node("LRN", inputs, [out], size=s["size"], alpha=s["alpha"], beta=s["beta"], bias=s["k"]))
        elif step.op == "Linear":
            nodes.append(helper.make_node("Gemm", inputs, [out], transB=1))
        elif step.op == "Concat":
            nodes.append(helper.make_node("Concat", inputs, [out], axis=s["dim"]))
        elif step.op == "AvgPool2d" and step.shapes[0] == step.out_shape:       # the same for pictures of 224 x 224
            nodes.append(helper.make_node("Identity", inputs, [out]))
        elif step.op == "GlobalAvgPool2d":
            nodes.append(helper.make_node("GlobalAveragePool", inputs, [out + "_"]))
            nodes.append(helper.make_node("Flatten", [out + "_"], [out]))
        else:
            nodes.append(helper.make_node({"Relu": "Relu", "Reshape": "Flatten"}[step.op], inputs, [out]))
    last = case.steps[-1]
    graph = helper.make_graph(nodes, "case", [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.shape)],
                              [helper.make_tensor_value_info(last.name, TensorProto.FLOAT, last.out_shape)], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()
