"""Where weights begin in networks without normalisation: else little of an image comes through all of their layers."""

from torch import nn

_LAST = 0.01


def begun(network: nn.Sequential) -> nn.Sequential:
    """Draw all weights as rectified layers need them, those of the last layer small, and set biases to 0.

    References
    ----------
    He et al. 2015, ICCV, "Delving Deep into Rectifiers".
    """
    layers = [each for each in network.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=_LAST)
    return network
