"""A network with maxout layers that looks at many parts of one galaxy.

References
----------
Dieleman, Willett & Dambre 2015, MNRAS 450, 1441; used on CANDELS by Huertas-Company et al. 2015, ApJS 221, 8. Maxout:
Goodfellow et al. 2013, ICML.
"""

from torch import Tensor, nn

from training.networks.classic.beginning import begun

PARTS = 16
SIDE = 45
_UNITS = 2048
_PIECES = 2
# 45 px -> 40 -> 20 -> 16 -> 8 -> 6 -> 4 -> 2
_FEATURES = 128 * 2 * 2


class Maxout(nn.Module):
    """A dense layer of units that are each the largest of two linear functions, with dropout on what comes in."""

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout()
        self.linear = nn.Linear(inputs, units * _PIECES)

    def forward(self, features: Tensor) -> Tensor:
        """Map [N, inputs] to [N, units]."""
        pieces: Tensor = self.linear(self.dropout(features))
        return pieces.view(len(pieces), -1, _PIECES).amax(dim=2)


class MaxoutNetwork(nn.Module):
    """The same convolutions on every part of a galaxy; dense layers on the features of all parts together.

    Parameters
    ----------
    columns : int
        Raw outputs.
    parts : int
        Parts that a galaxy is seen in.
    units : int
        Of each dense layer.
    """

    def __init__(self, columns: int, parts: int = PARTS, units: int = _UNITS) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *(nn.Conv2d(3, 32, 6), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            *(nn.Conv2d(64, 128, 3), nn.ReLU(inplace=True)),
            *(nn.Conv2d(128, 128, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            nn.Flatten(),
        )
        self.dense = nn.Sequential(Maxout(parts * _FEATURES, units), Maxout(units, units), nn.Dropout())
        self.outputs = nn.Linear(units, columns)
        begun(nn.Sequential(self.convolutions, self.dense, self.outputs))

    def forward(self, parts: Tensor) -> Tensor:
        """Map [N, parts, 3, 45, 45] to raw outputs [N, columns]."""
        features: Tensor = self.convolutions(parts.flatten(0, 1))
        outputs: Tensor = self.outputs(self.dense(features.reshape(len(parts), -1)))
        return outputs
