"""What a network's first layer sees: its filters, and their responses on one galaxy."""

from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from PIL import Image

from training.arrays import Galaxies
from training.evaluate import ModelFileError
from training.explore.content import Card, Gallery, Part
from training.explore.embed import photograph, pixels_as_they_are

_MOST_FILTERS = 64
_RESPONSE_SIDE = 96
_COLOURS = "PuOr"


@dataclass(frozen=True)
class FirstLayer:
    """The first convolution of a network.

    Attributes
    ----------
    filters : float32, shape [F, C, kH, kW]
        Its weights.
    responses : float32, shape [F, H, W]
        What it answers on one image, before the activation.
    """

    filters: NDArray[np.float32]
    responses: NDArray[np.float32]


def first_layer_of(model: Path, image: NDArray[np.uint8]) -> FirstLayer | None:
    """Read the filters of the first convolution from an ONNX file, and run it on an image, uint8 [S, S, 3].

    Returns
    -------
    FirstLayer or None
        None if the graph has no convolution with weights of its own.

    Raises
    ------
    ModelFileError
        If the file is no ONNX model that runs on the image.
    """
    try:
        graph = onnx.load(model)
        weights = {each.name: each for each in graph.graph.initializer}
        # Nodes of a graph stand in an order in which they can be computed.
        found = [node for node in graph.graph.node if node.op_type == "Conv" and node.input[1] in weights]
        filters = [np.asarray(onnx.numpy_helper.to_array(weights[node.input[1]]), np.float32) for node in found[:1]]
        if not filters or filters[0].ndim != 4:
            return None
        # In memory only: one more output, whose shape ONNX Runtime finds by itself.
        graph.graph.output.append(onnx.ValueInfoProto(name=found[0].output[0]))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = graph.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        (responses,) = session.run([found[0].output[0]], {"images": image[None]})
    except MemoryError:  # says nothing of the file
        raise
    except Exception as error:  # neither onnx's errors nor ONNX Runtime's have a class in common but this one
        reason = str(error).partition("\n")[0]
        msg = f"{model} does not run ({reason}); export it again"
        raise ModelFileError(msg) from error
    return FirstLayer(filters[0], np.asarray(responses[0], np.float32))


def first_layer(galaxies: Galaxies, row: int, model: Path) -> Part:
    """Show the filters, and their responses on one of the galaxies."""
    name, title = str(galaxies.names[row]), "What the first layer sees"
    image = np.ascontiguousarray(galaxies.images[row])
    layer = first_layer_of(model, image)
    if layer is None:
        return Part("first-layer", title, ("This model has no convolution whose filters could be shown.",))
    count, channels, height, width = layer.filters.shape
    shown = min(count, _MOST_FILTERS)
    cards = tuple(
        Card(
            f"filter {number}",
            (
                pixels_as_they_are(_as_colours(layer.filters[number]), f"Filter {number}, enlarged"),
                pixels_as_they_are(_as_response(layer.responses[number]), f"Response of filter {number} on the galaxy"),
            ),
            (f"strength {np.abs(layer.filters[number]).max():.2g}",),
        )
        for number in range(shown)
    )
    some = "" if shown == count else f" The first {shown} are shown."
    how = "in the colours that it answers to" if channels == 3 else f"as the mean of its {channels} channels"
    return Part(
        "first-layer",
        title,
        (
            (
                f"The network begins with {count} filters of {height} x {width} pixels that slide over it.{some} "
                f"Each is shown {how}: grey is no weight. Beside it, its response on the galaxy {name}: white is its "
                "answer to the empty sky, orange a lower one, violet a higher one. Some filters answer to light of "
                "one colour, some to edges in one direction. A filter of little strength (largest weight) does little."
            ),
        ),
        (
            Gallery((Card(name, (photograph(image, f"Galaxy {name}"),)),), "The galaxy", width="small"),
            Gallery(cards, "Filters and responses", width="small"),
        ),
    )


def _as_colours(weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn the weights of a filter, [C, kH, kW], into colours around grey: uint8 [kH, kW, 3]."""
    rows = np.moveaxis(weights, 0, -1)
    if rows.shape[-1] != 3:
        rows = np.repeat(rows.mean(axis=-1, keepdims=True), 3, axis=-1)
    return (127.5 * (1 + rows / (np.abs(rows).max() or 1))).round().astype(np.uint8)


def _as_response(response: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour a response, [H, W], by how far it lies from its median, which is that of the sky: uint8 [H, W, 3]."""
    image = Image.fromarray(response - np.float32(np.median(response)))
    image.thumbnail((_RESPONSE_SIDE, _RESPONSE_SIDE), Image.Resampling.BOX)
    values = np.asarray(image)
    # Outside the picture there is nothing, which along the edges looks like a sharp border.
    inside = values[2:-2, 2:-2] if min(values.shape) > 4 else values
    colours: NDArray[np.uint8] = mpl.colormaps[_COLOURS](0.5 + 0.5 * values / (np.abs(inside).max() or 1), bytes=True)
    return colours[..., :3]
