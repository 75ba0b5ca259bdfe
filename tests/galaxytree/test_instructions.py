"""What Linux says of a CPU tells whether sums of 8 bit integers are exact and fast on it."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
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


@pytest.mark.skipif(not CPUINFO.is_file(), reason=f"{sys.platform} has no {CPUINFO}")
def test_sums_are_exact_with_it_or_with_what_onnx_runtime_is_told() -> None:
    """Products as large as they come, on the CPU that the test runs on."""
    part = np.array(1 / 1024, np.float32)
    constants: dict[str, Any] = {
        "part": part, "whole": np.array(0.001, np.float32), "none": np.array(0, np.uint8),
        "weights": np.full((8, 8), 127, np.int8), "middle": np.array(0, np.int8),
    }  # fmt: skip
    taken = ["images", "part", "none", "weights", "part", "middle", "whole", "none"]
    graph = helper.make_graph(
        [helper.make_node("QLinearMatMul", taken, ["sums"])],
        "made",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 8])],
        [helper.make_tensor_value_info("sums", TensorProto.UINT8, ["N", 8])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    if dot_product() is None:
        options.add_session_config_entry(*EXACT_SUMS)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    (sums,) = session.run(None, {"images": np.full((8, 8), 255, np.uint8)})
    exact = 8 * 255 * 127 * float(part) ** 2 / float(constants["whole"])
    assert (sums == round(exact)).all()
