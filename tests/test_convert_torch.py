"""torchvision-shaped networks saved by torch itself, converted by the command line tool and compared with torch's own answers.

Slow ones (hundreds of megabytes): python -m pytest -s -m slow tests/test_convert_torch.py
"""
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import minicnn

torch = pytest.importorskip("torch")
nn = torch.nn
ROOT = Path(__file__).parent.parent
# The tool, then its peak of memory. (The peak in getrusage would count this process, which is forked for a moment.)
CONVERT = """from tools import convert_weights
convert_weights.main()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))"""


def vgg(depths):
    layers, channels = [], 3
    for depth, filters in zip(depths, (64, 128, 256, 512, 512)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, filters, 3, padding=1), nn.ReLU()]
            channels = filters
        layers.append(nn.MaxPool2d(2, 2))
    return model(layers, nn.AdaptiveAvgPool2d(7), [nn.Linear(25088, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096),
                                                   nn.ReLU(), nn.Dropout(), nn.Linear(4096, 1000)])


def alexnet():
    return model([nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(),
                  nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
                  nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)], nn.AdaptiveAvgPool2d(6),
                 [nn.Dropout(), nn.Linear(9216, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(),
                  nn.Linear(4096, 1000)])


class Fire(nn.Module):
    def __init__(self, channels, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x):
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x).relu(), self.expand3x3(x).relu()], 1)


def squeezenet():
    def pool():
        return nn.MaxPool2d(3, 2, ceil_mode=True)
    return model([nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool(), Fire(128, 32, 128),
                  Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)],
                 None, [nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)])


def model(features, avgpool, classifier):
    """A module with the names of torchvision's: features.0.weight, classifier.6.bias, ..."""
    net = nn.Module()
    net.features, net.classifier = nn.Sequential(*features), nn.Sequential(*classifier)

    def forward(x):
        x = net.features(x)
        return net.classifier(avgpool(x).flatten(1) if avgpool else x).flatten(1)
    net.forward = forward
    for layer in net.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.normal_(layer.bias, std=0.1)
    return net.eval()


NETS = {"squeezenet1_1": squeezenet, "alexnet_torchvision": alexnet, "vgg16": lambda: vgg((2, 2, 3, 3, 3)),
        "vgg19": lambda: vgg((2, 2, 4, 4, 4))}


@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("arch", ["squeezenet1_1"] + [pytest.param(a, marks=pytest.mark.slow) for a in list(NETS)[1:]])
def test_a_state_dict_gives_the_same_scores(arch, is_zip, tmp_path):
    torch.manual_seed(1)
    net = NETS[arch]()
    torch.save(net.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    start = time.perf_counter()
    out = subprocess.run([sys.executable, "-c", CONVERT, tmp_path / "a.pth", tmp_path / "a.h5", "--arch", arch],
                         cwd=ROOT, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    assert out.returncode == 0, out.stderr
    peak = int(out.stdout.split()[-2]) / 1e6            # VmHWM: 1234 kB
    (tmp_path / "a.pth").unlink()
    ours = minicnn.load(tmp_path / "a.h5")
    (tmp_path / "a.h5").unlink()
    for name, parameter in net.named_parameters():      # every number, though its name and place are other ones
        assert any(p.shape == parameter.shape and np.array_equal(p.data, parameter.detach().numpy())
                   for p in ours.parameters().values()), name
    assert ours.preprocessing.channel_order == "RGB" and ours.preprocessing.mean == (0.485, 0.456, 0.406)
    x = np.random.default_rng(0).standard_normal((1, 3, 224, 224)).astype(np.float32)
    with torch.no_grad(), minicnn.no_grad():
        expected, given = net.forward(torch.tensor(x)).numpy(), ours(x).data
    error = np.abs(given - expected).max() / np.abs(expected).max()
    print(f"\n{arch}, {'zip' if is_zip else 'legacy'}: relative error {error:.1e}, {seconds:.1f} s, peak {peak:.2f} GB")
    assert error <= 1e-4
    assert seconds < 30 and peak < 1.5
