"""Why the service refuses to start.

Each refusal is one sentence that says what is wrong and what to do. The command line prints it, without a traceback,
and ends with exit status 2.

::

    StartRefusedError
    ├── ModelRefusedError     the model folder, its card or its ONNX file
    ├── DeviceRefusedError    the execution provider asked for doesn't come up
    ├── WorkerRefusedError    a process that runs the network doesn't come up
    ├── KeysRefusedError      the file of API keys
    ├── SettingsRefusedError  a variable that is misspelt
    ├── TracesRefusedError    what makes traces isn't installed
    └── AddressRefusedError   the address to listen on
"""


class StartRefusedError(Exception):
    """The service can't start; the message is a sentence for the one who starts it."""


class ModelRefusedError(StartRefusedError):
    """The model isn't there, isn't whole, or isn't what its card says."""


class DeviceRefusedError(StartRefusedError):
    """The execution provider asked for doesn't come up on this machine."""


class WorkerRefusedError(StartRefusedError):
    """A worker ended before it was ready; the log has what it said."""

    def __init__(self, message: str = "a worker ended before it was ready: the log may say why") -> None:
        super().__init__(message)


class KeysRefusedError(StartRefusedError):
    """The file of API keys can't be read."""


class SettingsRefusedError(StartRefusedError):
    """A variable is no setting, and near to one without which more would be open."""


class TracesRefusedError(StartRefusedError):
    """Traces are asked for, and what makes them isn't installed."""


class AddressRefusedError(StartRefusedError):
    """The address can't be listened on: it is another's, or not this machine's."""


def refusals() -> dict[str, type[StartRefusedError]]:
    """Return the refusals by their names, for those that come from a worker."""
    found: list[type[StartRefusedError]] = [StartRefusedError, *StartRefusedError.__subclasses__()]
    return {each.__name__: each for each in found}
