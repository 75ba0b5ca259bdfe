"""What the CPU has for sums of products of 8 bit integers.

In a model's int8 file activations are unsigned and weights signed, both over their whole range. x86 CPUs with VNNI and
ARM CPUs with the dot product instructions add such products up in 32 bits. With what other x86 CPUs have, two products
are added in 16 bits, and a sum that does not fit is cut off: scores are then not those that were measured. ONNX
Runtime computes so, unless it is told to take a slower way.

References
----------
Intel, "Intel 64 and IA-32 Architectures Software Developer's Manual", VPMADDUBSW and VPDPBUSD. ONNX Runtime, "Quantize
ONNX models", on the data types of x86 CPUs.
"""

from pathlib import Path

EXACT_SUMS = ("session.x64quantprecision", "1")
"""Entry of ONNX Runtime's session options that has it take the slower way, in which sums are exact.

It does so on every x86 CPU, so it is for those only on which `dot_product` finds nothing. It is nothing to networks in
floating point."""

CPUINFO = Path("/proc/cpuinfo")

# As Linux calls them, and as their makers do.
_DOT_PRODUCTS = {"avx512_vnni": "AVX512-VNNI", "avx_vnni": "AVX-VNNI", "asimddp": "ASIMD dot product"}


def dot_product(cpuinfo: Path = CPUINFO) -> str | None:
    """Return what the CPU has for exact and fast sums of products of 8 bit integers.

    Parameters
    ----------
    cpuinfo : Path
        What Linux says of its processors, of which the first is looked at.

    Returns
    -------
    str or None
        Name of the instructions, as ``AVX512-VNNI``; None where there are none, or where it is not known, as on systems
        other than Linux.
    """
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as lines:
            # The kernel writes it as it is read, a block for each of a hundred cores.
            said = (line.partition(":") for line in lines)
            features = next((value.split() for name, _, value in said if name.strip() in {"flags", "Features"}), [])
    except OSError:
        return None
    return next((name for feature, name in _DOT_PRODUCTS.items() if feature in features), None)
