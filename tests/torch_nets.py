"""The networks once more, written with torch.nn.functional and none of our code: the outside reference of the nets' tests."""
import torch
import torch.nn.functional as F


class GuidedReLU(torch.autograd.Function):
    """The three rules of the slide, as torch users write them."""

    @staticmethod
    def forward(ctx, x, rule):
        ctx.save_for_backward(x)
        ctx.rule = rule
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        x, = ctx.saved_tensors
        if ctx.rule == "deconvnet":
            return grad.clamp(min=0), None
        if ctx.rule == "guided":
            return grad.clamp(min=0) * (x > 0), None
        return grad * (x > 0), None


class TorchNet:
    """Scores of one of our networks from its weights `p` {"layer/weight": array}; rule: what each ReLU passes back.

    `training`: batch norm by the batch's own statistics, else by those in `p`.
    """

    def __init__(self, p, rule="backprop", training=False):
        self.p = {k: torch.tensor(v) for k, v in p.items()}
        self.rule, self.training = rule, training

    def relu(self, x):
        return GuidedReLU.apply(x, self.rule)

    def conv(self, name, x, **settings):
        return F.conv2d(x, self.p[f"{name}/weight"], self.p.get(f"{name}/bias"), **settings)

    def cr(self, name, x, **settings):
        return self.relu(self.conv(name, x, **settings))

    def norm(self, bn, x):
        statistics = (None, None) if self.training else (self.p[f"{bn}/running_mean"], self.p[f"{bn}/running_var"])
        return F.batch_norm(x, *statistics, self.p[f"{bn}/weight"], self.p[f"{bn}/bias"], self.training)

    def cbr(self, number, x, **settings):
        return self.relu(self.norm(f"bn{number}", self.conv(f"conv{number}", x, **settings)))

    def fc(self, name, x):
        return F.linear(x, self.p[f"{name}/weight"], self.p[f"{name}/bias"])

    def classifier(self, x):
        x = self.relu(self.fc("fc6", x.flatten(1)))
        return self.fc("fc8", self.relu(self.fc("fc7", x)))

    def fire(self, name, x):
        s = self.cr(f"{name}/squeeze1x1", x)
        return torch.cat([self.cr(f"{name}/expand1x1", s), self.cr(f"{name}/expand3x3", s, padding=1)], 1)

    def squeezenet1_1(self, x):
        x = F.max_pool2d(self.cr("conv1", x, stride=2), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.fire("fire3", self.fire("fire2", x)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.fire("fire5", self.fire("fire4", x)), 3, 2, ceil_mode=True)
        for number in (6, 7, 8, 9):
            x = self.fire(f"fire{number}", x)
        return self.cr("conv10", x).mean((2, 3))

    def lrn(self, x):
        out = F.local_response_norm(x, 5, 1e-4, 0.75, 1.0)
        return x + (out - x).detach() if self.rule == "deconvnet" else out      # the deconvnet passes the signal by

    def alexnet(self, x):
        x = F.max_pool2d(self.lrn(self.cr("conv1", x, stride=4)), 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.lrn(self.cr("conv2", x, padding=2, groups=2)), 3, 2, ceil_mode=True)
        x = self.cr("conv3", x, padding=1)
        x = self.cr("conv4", x, padding=1, groups=2)
        return self.classifier(F.max_pool2d(self.cr("conv5", x, padding=1, groups=2), 3, 2, ceil_mode=True))

    def caffenet(self, x):
        x = self.lrn(F.max_pool2d(self.cr("conv1", x, stride=4), 3, 2, ceil_mode=True))
        x = self.lrn(F.max_pool2d(self.cr("conv2", x, padding=2, groups=2), 3, 2, ceil_mode=True))
        x = self.cr("conv3", x, padding=1)
        x = self.cr("conv4", x, padding=1, groups=2)
        return self.classifier(F.max_pool2d(self.cr("conv5", x, padding=1, groups=2), 3, 2, ceil_mode=True))

    def alexnet_torchvision(self, x):
        x = F.max_pool2d(self.cr("conv1", x, stride=4, padding=2), 3, 2)
        x = F.max_pool2d(self.cr("conv2", x, padding=2), 3, 2)
        for number in (3, 4, 5):
            x = self.cr(f"conv{number}", x, padding=1)
        return self.classifier(F.adaptive_avg_pool2d(F.max_pool2d(x, 3, 2), 6))

    def vgg(self, x, depths):
        for block, depth in enumerate(depths, start=1):
            for number in range(1, depth + 1):
                x = self.cr(f"conv{block}_{number}", x, padding=1)
            x = F.max_pool2d(x, 2)
        return self.classifier(x)

    def vgg16(self, x):
        return self.vgg(x, (2, 2, 3, 3, 3))

    def vgg19(self, x):
        return self.vgg(x, (2, 2, 4, 4, 4))

    def zfnet(self, x):
        x = self.lrn(F.max_pool2d(self.cr("conv1", x, stride=2, padding=1), 3, 2, ceil_mode=True))
        x = self.lrn(F.max_pool2d(self.cr("conv2", x, stride=2), 3, 2, ceil_mode=True))
        for number in (3, 4, 5):
            x = self.cr(f"conv{number}", x, padding=1)
        return self.classifier(F.max_pool2d(x, 3, 2, ceil_mode=True))

    def allcnn_c(self, x):
        for number, stride, padding in ((1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 1, 1), (5, 1, 1), (6, 2, 1), (7, 1, 0), (8, 1, 0)):
            x = self.cr(f"conv{number}", x, stride=stride, padding=padding)
        return self.conv("conv9", x).mean((2, 3))

    def allcnn_cifar10(self, x):
        for number, stride, padding in ((1, 1, 1), (2, 1, 1), (3, 2, 1), (4, 1, 1), (5, 1, 1), (6, 2, 1), (7, 1, 0), (8, 1, 0)):
            x = self.cbr(number, x, stride=stride, padding=padding)
        return self.conv("conv9", x).mean((2, 3))

    def vgg_cifar10(self, x):
        for block in range(1, 5):
            x = F.max_pool2d(self.cbr(f"{block}_2", self.cbr(f"{block}_1", x, padding=1), padding=1), 2)
        return self.fc("fc6", self.relu(self.fc("fc5", x.flatten(1))))

    def generator_cifar10(self, x):
        x = F.leaky_relu(self.fc("fc1", self.norm("bn_code", x)), 0.3)
        x = F.leaky_relu(self.norm("bn_fc2", self.fc("fc2", x).reshape(-1, 128, 4, 4)), 0.3)
        for number in range(1, 7):
            kernel = dict(stride=2, padding=1) if number % 2 else dict(padding=1)
            x = F.conv_transpose2d(x, self.p[f"deconv{number}/weight"], self.p.get(f"deconv{number}/bias"), **kernel)
            x = F.leaky_relu(self.norm(f"bn{number}", x), 0.3) if number < 6 else x
        return x

    def generator_fc6(self, x):
        for number in (1, 2, 3):
            x = F.leaky_relu(self.fc(f"fc{number}", x), 0.3)
        x = x.reshape(-1, 256, 4, 4)
        for number, (kernel, stride) in enumerate([(4, 2), (3, 1)] * 3 + [(4, 2)] * 3, start=1):
            assert self.p[f"deconv{number}/weight"].shape[2] == kernel
            x = F.conv_transpose2d(x, self.p[f"deconv{number}/weight"], self.p[f"deconv{number}/bias"], stride=stride, padding=1)
            x = F.leaky_relu(x, 0.3) if number < 9 else x
        return x

    def instance(self, name, x):
        return F.instance_norm(x, weight=self.p[f"{name}/weight"], bias=self.p[f"{name}/bias"])

    def mirrored(self, name, x, stride=1):
        around = self.p[f"{name}/weight"].shape[2] // 2
        return self.conv(name, F.pad(x, (around,) * 4, mode="reflect"), stride=stride)

    def residual(self, x, norm):
        for block in range(1, 6 if norm == self.instance else 5):
            name = f"res{block}"
            y = self.relu(norm(f"{name}/norm1", self.mirrored(f"{name}/conv1", x)))
            x = norm(f"{name}/norm2", self.mirrored(f"{name}/conv2", y)) + x
        return x

    def transform(self, x):
        for number, stride in ((1, 1), (2, 2), (3, 2)):
            x = self.relu(self.instance(f"norm{number}", self.mirrored(f"conv{number}", x, stride)))
        x = self.residual(x, self.instance)
        for number in (4, 5):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.relu(self.instance(f"norm{number}", self.mirrored(f"conv{number}", x)))
        return self.mirrored("conv6", x)

    def super_resolution(self, x):
        y = self.residual(self.relu(self.mirrored("conv1", x)), self.norm)
        for number in (2, 3):
            y = self.relu(self.mirrored(f"conv{number}", F.interpolate(y, scale_factor=2, mode="nearest")))
        return self.mirrored("detail", y) + F.interpolate(x, scale_factor=4, mode="bilinear")

    def texture(self, x):
        def block(name, y):
            for number in (1, 2, 3):
                y = F.leaky_relu(self.instance(f"{name}/norm{number}", self.mirrored(f"{name}/conv{number}", y)), 0.01)
            return y

        noise = [F.avg_pool2d(x[:, 3 * k:3 * k + 3], 2 ** k) * 2 ** k for k in range(5)]
        y = block("block0", noise[4])
        for step in (1, 2, 3, 4):
            y = torch.cat([F.interpolate(y, scale_factor=2, mode="nearest"), block(f"fine{step}", noise[4 - step])], 1)
            y = block(f"block{step}", y)
        return self.mirrored("conv_out", y)

    def allcnn_imagenet(self, x):
        for number, stride, padding in ((1, 4, 0), (2, 1, 0), (3, 2, 0), (4, 1, 2), (5, 1, 0), (6, 2, 0), (7, 1, 1), (8, 1, 0),
                                        (9, 2, 0), (10, 1, 1), (11, 1, 0)):
            x = self.cr(f"conv{number}", x, stride=stride, padding=padding)
        return self.conv("conv12", x).mean((2, 3))

    def convnetjs_cifar10(self, x):
        for number in (1, 2, 3):
            x = F.max_pool2d(self.cr(f"conv{number}", x, padding=2), 2)
        return self.fc("fc", x.flatten(1))

    def lenet(self, x):
        x = F.max_pool2d(self.conv("conv2", F.max_pool2d(self.conv("conv1", x), 2)), 2)
        return self.fc("ip2", self.relu(self.fc("ip1", x.flatten(1))))

    def softmax_mnist(self, x):
        return self.fc("fc", x.flatten(1))

    softmax_cifar10 = softmax_mnist

    def inception(self, name, x):
        return torch.cat([
            self.cr(f"{name}/1x1", x),
            self.cr(f"{name}/3x3", self.cr(f"{name}/3x3_reduce", x), padding=1),
            self.cr(f"{name}/5x5", self.cr(f"{name}/5x5_reduce", x), padding=2),
            self.cr(f"{name}/pool_proj", F.max_pool2d(x, 3, 1, 1))], 1)

    def googlenet(self, x):
        x = self.lrn(F.max_pool2d(self.cr("conv1/7x7_s2", x, stride=2, padding=3), 3, 2, ceil_mode=True))
        x = self.lrn(self.cr("conv2/3x3", self.cr("conv2/3x3_reduce", x), padding=1))
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = F.max_pool2d(self.inception("inception_3b", self.inception("inception_3a", x)), 3, 2, ceil_mode=True)
        for module in "abcde":
            x = self.inception(f"inception_4{module}", x)
        x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = self.inception("inception_5b", self.inception("inception_5a", x))
        return self.fc("loss3/classifier", F.avg_pool2d(x, 7, 1).flatten(1))


def scores_and_gradient(net, x, class_index=None, rule="backprop"):
    """Return (scores, gradient of the class's score down to x, class) of one of our networks' weights, all by torch."""
    reference = TorchNet({**{k: v.data for k, v in net.parameters().items()},
                          **{k: v.astype(net.dtype) for k, v in net.buffers().items()}}, rule)
    image = torch.tensor(x, requires_grad=True)
    scores = getattr(reference, net.architecture)(image)
    flat = scores[0].flatten()                  # of a generator, its numbers
    class_index = int(flat.argmax()) if class_index is None else class_index
    flat[class_index].backward()
    return scores.detach().numpy(), image.grad.numpy(), class_index
