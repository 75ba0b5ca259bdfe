"""What goes wrong with a container."""


class ContainerError(Exception):
    """The image can't be built, or isn't what it should be; the message says why."""
