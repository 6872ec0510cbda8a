"""Write onnx.onnx and onnx_float_data.onnx with the onnx library: `python tests/foreign/make_onnx.py`."""
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent.parent))
from foreign_weights import FOLDER, weights  # noqa: E402


def tensor(name, array, raw):
    if raw:
        return numpy_helper.from_array(array.copy(), name)
    return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel())


def model(raw):
    """Return the network; `raw`: numbers as bytes and a Gemm with transB=1, else as float_data and with transB=0."""
    nodes, tensors, value = [], [], "input"
    for name, (weight, bias) in weights().items():
        if name == "fc":
            nodes.append(helper.make_node("Flatten", [value], ["flat"], "flatten", axis=1))
            nodes.append(helper.make_node("Gemm", ["flat", "fc.weight", "fc.bias"], ["scores"], "gemm", alpha=1.0, beta=1.0,
                                          transB=int(raw)))
            weight = weight if raw else weight.T
        else:
            nodes.append(helper.make_node("Conv", [value, f"{name}.weight", f"{name}.bias"], [f"{name}_out"], name,
                                          kernel_shape=[5, 5], pads=[2, 2, 2, 2], strides=[1, 1]))
            nodes.append(helper.make_node("Relu", [f"{name}_out"], [f"{name}_relu"], f"relu_{name}"))
            value = f"{name}_pool"
            nodes.append(helper.make_node("MaxPool", [f"{name}_relu"], [value], f"pool_{name}", kernel_shape=[2, 2],
                                          strides=[2, 2]))
        tensors += [tensor(f"{name}.weight", weight, raw), tensor(f"{name}.bias", bias, raw)]
    inputs = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 32, 32])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, 10])]
    graph = helper.make_graph(nodes, "convnetjs_cifar10", inputs, outputs, tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7, producer_name="make_onnx")
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString(deterministic=True)


if __name__ == "__main__":
    (FOLDER / "onnx.onnx").write_bytes(model(raw=True))
    (FOLDER / "onnx_float_data.onnx").write_bytes(model(raw=False))
