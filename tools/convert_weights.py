"""Convert foreign weights: `python -m tools.convert_weights SOURCE DEST.h5 --arch vgg16` writes a file that minicnn.load reads.

SOURCE is what torch, Caffe, Keras, MatConvNet, TensorFlow users (.npz, .npy), ConvNetJS, ONNX or safetensors wrote; its format is
recognised from its content. Nothing in it is run.
"""
import argparse
import os
import sys
from pathlib import Path

from minicnn import convert, formats, nets, weights
from minicnn.errors import MinicnnError, WeightsError

IMAGES = Path(__file__).resolve().parent.parent / "lectures" / "images"
# Photographs of which everybody would name the class alike: file, and the ImageNet classes that are right.
PHOTOGRAPHS = [(IMAGES / name, classes) for name, classes in (
    ("chelsea.jpg", {281, 282, 285}), ("coffee.jpg", {504, 967, 968}), ("camera.jpg", {872}),
    ("rocket.jpg", {657, 744, 812}), ("grace_hopper.jpg", {457, 652, 834, 906}))]


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m tools.convert_weights", description=__doc__.splitlines()[0])
    parser.add_argument("source", metavar="SOURCE", help="the weights file that you have")
    parser.add_argument("dest", metavar="DEST.h5", help="where to write ours")
    parser.add_argument("--arch", required=True, metavar="NAME", help=f"one of {', '.join(nets.NAMES)}")
    parser.add_argument("--format", default="auto", metavar="NAME", help=f"auto, or one of {', '.join(formats.READERS)}")
    parser.add_argument("--layout", metavar="NAME", help="how the numbers are meant, where the file alone does not tell")
    parser.add_argument("--mean", metavar="FILE", help="a mean picture, .binaryproto or .npy, whose average is subtracted")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float32", help="of the file that is written")
    parser.add_argument("--licence", default="", help="a note on the weights' licence to keep in the file")
    options = parser.parse_args(arguments)
    try:
        if os.path.exists(options.dest) and os.path.exists(options.source) and os.path.samefile(options.source, options.dest):
            raise WeightsError(f"{options.dest!r} is SOURCE itself, which would be lost; give another name as DEST.h5")
        weights.check_destination(options.dest)         # before the work, not after it
        net, report = convert.convert(options.source, options.arch, format=options.format, layout=options.layout,
                                      mean=options.mean, photographs=PHOTOGRAPHS)
        net.provenance["licence"] = options.licence
        weights.save(net, options.dest, dtype=options.dtype)
    except MinicnnError as error:
        sys.exit(f"convert_weights: {error}")
    except KeyboardInterrupt:
        sys.exit("convert_weights: stopped; nothing was written")
    print("\n".join(report.lines))
    print(f"wrote {options.dest} ({os.path.getsize(options.dest) / 1e6:.1f} MB); minicnn.load({options.dest!r}) reads it")


if __name__ == "__main__":
    main()
