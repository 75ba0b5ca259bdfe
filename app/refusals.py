"""Why the service refuses to start.

Each refusal is one sentence that says what is wrong and what to do. The command line prints it, without a traceback,
and ends with exit status 2.

::

    StartRefusedError
    ├── ModelRefusedError     the model folder, its card or its ONNX file
    ├── DeviceRefusedError    the execution provider asked for doesn't come up
    ├── KeysRefusedError      the file of API keys
    └── AddressRefusedError   the address to listen on
"""


class StartRefusedError(Exception):
    """The service can't start; the message is a sentence for the one who starts it."""


class ModelRefusedError(StartRefusedError):
    """The model isn't there, isn't whole, or isn't what its card says."""


class DeviceRefusedError(StartRefusedError):
    """The execution provider asked for doesn't come up on this machine."""


class KeysRefusedError(StartRefusedError):
    """The file of API keys can't be read."""


class AddressRefusedError(StartRefusedError):
    """The address can't be listened on: it is another's, or not this machine's."""
