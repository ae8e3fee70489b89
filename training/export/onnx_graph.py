"""The layers of a compact transformer as an ONNX graph without numbers.

The numbers are declared as external, under the names of `indexer.encoders.transformer_engine.Layers`; whoever runs
the graph hands them over, so that they are stored once, in model.safetensors, for every engine.

    inputs (1, l, width of the token vectors) float32  ->  vector (1, dim) float32

Attention, normalisation and 8-bit products are operators of onnxruntime's own (com.microsoft): MatMulNBits with
accuracy level 4 rounds each row of its input to 8 bits in the weight's blocks, so a text's vector depends on that text only.
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

OPSET, IR = 18, 9  # ReduceMean takes its axes as an input since 18


def body_graph(body: Layers) -> bytes:
    """The graph of `body`, serialised. Raises MissingExtra where onnx is not installed."""
    try:
        from onnx import TensorProto, helper, numpy_helper
    except ImportError as error:
        raise MissingExtra("onnx", "train", "this export") from error

    narrow = len(body.tensors["norm.bias"])
    nodes: list[NodeProto] = []

    def node(kind: str, given: list[str], name: str, own: bool = False, **settings: Any) -> str:
        domain = {"domain": "com.microsoft"} if own else {}
        nodes.append(helper.make_node(kind, given, [name], name=name, **domain, **settings))
        return name

    def product(rows: str, name: str) -> str:
        blocks = body.tensors.get(f"{name}.blocks")
        if blocks is None:
            return node("MatMul", [rows, f"{name}.weight"], f"{name}.product")
        out, count, size = blocks.shape
        given = [rows, f"{name}.blocks", f"{name}.scale"]
        shape = {"N": out, "K": count * size, "bits": 8, "block_size": size}
        return node("MatMulNBits", given, f"{name}.product", own=True, accuracy_level=4, **shape)

    def linear(rows: str, name: str) -> str:
        return node("Add", [product(rows, name), f"{name}.bias"], f"{name}.linear")

    def norm(rows: str, name: str) -> str:
        given = [rows, f"{name}.weight", f"{name}.bias"]
        return node("LayerNormalization", given, f"{name}.out", axis=-1, epsilon=body.epsilon)

    def added(rows: str, before: str, name: str, matrix: str) -> str:
        """The norm `name` of `rows`, the bias of `matrix` and what came in."""
        given = [rows, before, f"{name}.weight", f"{name}.bias", f"{matrix}.bias"]
        return node("SkipLayerNormalization", given, f"{name}.out", own=True, epsilon=body.epsilon)

    hidden = norm("inputs", "norm")
    if body.widens:
        hidden = linear(hidden, "widen")
    for i in range(body.layers):
        parts = [f"{i}.query", f"{i}.key", f"{i}.value"]
        joint = linear(hidden, f"{i}.qkv")
        nodes.append(helper.make_node("Split", [joint], parts, axis=-1, num_outputs=3))
        mixed = node("MultiHeadAttention", parts, f"{i}.mixed", own=True, num_heads=body.heads)
        hidden = added(product(mixed, f"{i}.out"), hidden, f"{i}.norm1", f"{i}.out")
        given = [product(hidden, f"{i}.up"), f"{i}.up.bias"]
        wide = node("BiasGelu", given, f"{i}.gelu", own=True)
        hidden = added(product(wide, f"{i}.down"), hidden, f"{i}.norm2", f"{i}.down")
    known: dict[str, NDArray[Any]] = {}
    if body.pooling == "cls":
        known["first"] = np.array(0, np.int64)
        node("Gather", [hidden, "first"], "vector", axis=1)
    else:
        known["tokens"] = np.array([1], np.int64)
        node("ReduceMean", [hidden, "tokens"], "vector", keepdims=0)

    floats = TensorProto.FLOAT
    outside = []
    for name, values in body.tensors.items():
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        declared = TensorProto(name=name, dims=values.shape, data_type=kind)
        declared.data_location = TensorProto.EXTERNAL
        for key, text in (("location", "handed over"), ("length", str(values.nbytes))):
            declared.external_data.add(key=key, value=text)
        outside.append(declared)
    graph = helper.make_graph(
        nodes,
        "body",
        [helper.make_tensor_value_info("inputs", floats, [1, "l", narrow])],
        [helper.make_tensor_value_info("vector", floats, [1, body.dim])],
        outside + [numpy_helper.from_array(values, name) for name, values in known.items()],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("com.microsoft", 1)]
    model: ModelProto = helper.make_model(
        graph, opset_imports=opsets, ir_version=IR, producer_name="tandem"
    )
    return bytes(model.SerializeToString())
