"""What Linux says of a CPU tells whether sums of 8 bit integers are exact and fast on it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from galaxytree.instructions import CPUINFO, EXACT_SUMS, dot_product

X86 = (
    "processor\t: 0\nmodel name\t: made up: avx512_vnni\nflags\t\t: fpu avx2 {}\nvmx flags\t: avx_vnni\nbogomips\t: 1\n"
)
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd {}\nCPU part\t: 0xd0c\n"


@pytest.mark.parametrize(
    ("cpuinfo", "found"),
    [
        (X86.format("avx512f avx512_vnni"), "AVX512-VNNI"),
        (X86.format("avx_vnni"), "AVX-VNNI"),
        (X86.format("avx512_vnni avx_vnni"), "AVX512-VNNI"),
        (X86.format("avx512f avx512_vnnix"), None),
        (X86.format("") + X86.format("avx_vnni"), None),
        (ARM.format("asimddp"), "ASIMD dot product"),
        (ARM.format("asimdrdm"), None),
        ("cpu\t: POWER9\n", None),
        ("\udcff\n", None),
        ("", None),
    ],
)
def test_what_is_found(tmp_path: Path, cpuinfo: str, found: str | None) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo, "utf-8", errors="surrogateescape")
    assert dot_product(file) == found


def test_where_nothing_can_be_read_nothing_is_found(tmp_path: Path) -> None:
    assert dot_product(tmp_path / "none") is None
    assert dot_product(tmp_path) is None


def sums(kind: str, options: onnxruntime.SessionOptions) -> tuple[NDArray[np.uint8], int]:
    """Return what ONNX Runtime makes of products as large as they come, where nothing is added, and what is exact."""
    part, whole = 1 / 1024, 0.0015
    shapes = {"matrices": (8, 8), "convolution": (8, 8, 1, 1), "depthwise": (8, 1, 3, 3)}
    pixels = (1, 8) if kind == "matrices" else (1, 8, 5, 5)
    constants: dict[str, Any] = {
        "part": np.array(part, np.float32), "whole": np.array(whole, np.float32), "none": np.array(0, np.uint8),
        "weights": np.full(shapes[kind], 127, np.int8), "middle": np.array(0, np.int8),
    }  # fmt: skip
    taken = ["images", "part", "none", "weights", "part", "middle", "whole", "none"]
    operator = "QLinearMatMul" if kind == "matrices" else "QLinearConv"
    attributes = {"group": 8} if kind == "depthwise" else {}
    graph = helper.make_graph(
        [helper.make_node(operator, taken, ["sums"], **attributes)],
        "made",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *pixels[1:]])],
        [
            helper.make_tensor_value_info(
                "sums", TensorProto.UINT8, ["N", *pixels[1:]] if kind != "depthwise" else ["N", 8, 3, 3]
            )
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": np.full(pixels, 255, np.uint8)})
    products = 9 if kind == "depthwise" else 8
    return found, round(products * 255 * 127 * part**2 / whole)


@pytest.mark.skipif(not CPUINFO.is_file(), reason=f"{sys.platform} has no {CPUINFO}")
@pytest.mark.parametrize("kind", ["matrices", "convolution", "depthwise"])
@pytest.mark.parametrize("told", [True, False])
def test_sums_are_exact_with_it_or_with_what_onnx_runtime_is_told(kind: str, *, told: bool) -> None:
    """As in the network's convolutions, on the CPU that the test runs on."""
    options = onnxruntime.SessionOptions()
    if told:
        options.add_session_config_entry(*EXACT_SUMS)
    elif dot_product() is None:
        pytest.skip("sums are not exact on this CPU unless ONNX Runtime is told so")
    found, exact = sums(kind, options)
    assert exact <= 255
    assert (found == exact).all()
