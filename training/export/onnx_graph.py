"""The layers of a compact transformer as an ONNX graph without numbers.

The numbers are declared as external, under the names of `indexer.encoders.transformer_engine.Layers`; whoever runs the graph
hands them over, so that they are stored once, in model.safetensors, for every engine.

    inputs (b, l, width of the token vectors) float32, mask (b, l) float32  ->  hidden (b, l, dim) float32
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import MissingExtra
from indexer.encoders.transformer_engine import Layers

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

__all__ = ["body_graph"]

OPSET, IR = 20, 9  # 20 brought Gelu; onnxruntime reads it since 1.17


def body_graph(body: Layers) -> bytes:
    """The graph of `body`, serialised. Raises MissingExtra where onnx is not installed."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingExtra("onnx", "train", "this export") from error

    narrow, dim = len(body.tensors["norm.bias"]), body.dim
    nodes: list[NodeProto] = []
    known: dict[str, NDArray[Any]] = {
        "one": np.array(1, np.float32),
        "large": np.array(1e9, np.float32),
        "middle": np.array([1, 2], np.int64),
        "split": np.array([0, 0, body.heads, dim // body.heads], np.int64),
        "joined": np.array([0, 0, dim], np.int64),
    }

    def node(kind: str, given: list[str], name: str, **settings: Any) -> str:
        nodes.append(helper.make_node(kind, given, [name], name=name, **settings))
        return name

    def linear(rows: str, name: str) -> str:
        product = node("MatMul", [rows, f"{name}.weight"], f"{name}.product")
        return node("Add", [product, f"{name}.bias"], f"{name}.linear")

    def norm(rows: str, name: str) -> str:
        given = [rows, f"{name}.weight", f"{name}.bias"]
        return node("LayerNormalization", given, f"{name}.out", axis=-1, epsilon=body.epsilon)

    def heads(rows: str, *order: int) -> str:
        split = node("Reshape", [rows, "split"], f"{rows}.heads")
        return node("Transpose", [split], f"{rows}.turned", perm=list(order))

    hidden = norm("inputs", "norm")
    if body.widens:
        hidden = linear(hidden, "widen")
    absent = node("Mul", [node("Sub", ["mask", "one"], "mask.0"), "large"], "mask.1")
    away = node("Unsqueeze", [absent, "middle"], "mask.2")  # (b, 1, 1, l)
    for i in range(body.layers):
        parts = [f"{i}.query", f"{i}.key", f"{i}.value"]
        joint = linear(hidden, f"{i}.qkv")
        nodes.append(helper.make_node("Split", [joint], parts, axis=-1, num_outputs=3))
        query, value = heads(parts[0], 0, 2, 1, 3), heads(parts[2], 0, 2, 1, 3)
        scores = node("MatMul", [query, heads(parts[1], 0, 2, 3, 1)], f"{i}.scores")
        scores = node("Add", [scores, away], f"{i}.seen")
        shares = node("Softmax", [scores], f"{i}.shares", axis=-1)
        mixed = node("MatMul", [shares, value], f"{i}.mixed")
        mixed = node("Transpose", [mixed], f"{i}.back", perm=[0, 2, 1, 3])
        mixed = linear(node("Reshape", [mixed, "joined"], f"{i}.flat"), f"{i}.out")
        hidden = norm(node("Add", [mixed, hidden], f"{i}.sum1"), f"{i}.norm1")
        wide = node("Gelu", [linear(hidden, f"{i}.up")], f"{i}.gelu")
        wide = linear(wide, f"{i}.down")
        hidden = norm(node("Add", [wide, hidden], f"{i}.sum2"), f"{i}.norm2")
    node("Identity", [hidden], "hidden")

    floats = TensorProto.FLOAT
    outside = []
    for name, values in body.tensors.items():
        declared = TensorProto(name=name, dims=values.shape, data_type=floats)
        declared.data_location = TensorProto.EXTERNAL
        for key, text in (("location", "handed over"), ("length", str(values.nbytes))):
            declared.external_data.add(key=key, value=text)
        outside.append(declared)
    graph = helper.make_graph(
        nodes,
        "body",
        [
            helper.make_tensor_value_info("inputs", floats, ["b", "l", narrow]),
            helper.make_tensor_value_info("mask", floats, ["b", "l"]),
        ],
        [helper.make_tensor_value_info("hidden", floats, ["b", "l", dim])],
        outside + [numpy_helper.from_array(values, name) for name, values in known.items()],
    )
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="tandem"
    )
    return bytes(model.SerializeToString())
