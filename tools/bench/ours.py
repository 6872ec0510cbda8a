"""The cases by minicnn."""
import numpy as np

import minicnn
from minicnn import Tensor, ops
from minicnn.art.perceptual_loss import PerceptualLoss, answers, gram_matrices
from minicnn.ops.frozen import freeze
from minicnn.ops.op import Op

from .steps import RATE, plan


class Contender:
    """Runs cases; `prepare(case)` returns a function without arguments that does the work and returns arrays."""

    def __init__(self, threads):
        self.ops = {cls.__name__: cls for cls in Op.__subclasses__()}
        self.version = f"minicnn {minicnn.__version__}" if hasattr(minicnn, "__version__") else "minicnn"

    def prepare(self, case, x, labels, seed):
        with np.load(case.weights) as archive:
            names = sorted({name for step in case.steps for name in step.inputs if name in archive})
            weights = {name: Tensor(np.array(archive[name]) if case.train else freeze(archive[name]), requires_grad=case.train)
                       for name in names}
        steps = plan(case.steps)
        if case.style:
            return self.style(case, weights, x)
        if case.train:
            return lambda: self.train(steps, weights, x, labels)
        return lambda: self.run(steps, weights, x, seed if case.backward else None)

    def forward(self, steps, weights, x):
        values = {**weights, "x": x}
        for step, unneeded in steps:
            result = self.ops[step.op].apply(*[values.get(name) for name in step.inputs], **step.settings)
            values[step.name] = result[0] if isinstance(result, tuple) else result
            for name in unneeded:
                del values[name]
        return values[steps[-1][0].name]

    def run(self, steps, weights, x, seed):
        if seed is None:
            with minicnn.no_grad():
                return [self.forward(steps, weights, x).data]
        x = Tensor(x, requires_grad=True)
        out = self.forward(steps, weights, x)
        out.backward(seed, retain_graph=False)
        return [out.data, x.grad]

    def style(self, case, weights, x):
        """Return what computes [L, dL/dx] of neural style at x; its targets are what x, mirrored, gives."""
        net = minicnn.build("vgg16", None, head=False)
        for name, weight in weights.items():
            net.set_array(name, weight.data)
        content, style = ([name for name, _ in of] for of in case.style)
        other = np.ascontiguousarray(x[:, :, ::-1])
        grams = gram_matrices(net, other, style)
        loss = PerceptualLoss(net, {name: (P, 1.0) for name, P in answers(net, other, content).items()},
                              {name: (A, 1 / len(style)) for name, A in grams.items()}, 1.0)

        def run():
            value, gradient = loss(x)
            return [np.array([value]), gradient]
        return run

    def train(self, steps, weights, x, labels):
        loss = ops.cross_entropy(self.forward(steps, weights, x), labels)
        loss.backward(retain_graph=False)
        for weight in weights.values():
            weight.data -= RATE * weight.grad
            weight.grad = None
        return [loss.data]
