"""Pictures beside the scores of a batch: the bytes that were fetched, for who shows what was looked at.

A result with a picture is larger than the image. So there is to be room for the largest one before an image is fetched,
and what it takes counts in `app.admission` until it has been read. Who holds such bytes waits for nothing but the
reader, and for that one not for ever; so nobody waits in vain for others' room.
"""

from binascii import b2a_base64

from app.admission import Admission

AT_A_TIME = 4
"""Items of a batch with pictures that are in work at a time, at most."""

_FRAME_BYTES = 16 * 1024
"""What a result has beside its picture, about."""

_PNG = b"\x89PNG"


class Pictures:
    """The pictures of one batch.

    Parameters
    ----------
    admission
        Where their bytes are held.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._waiting = self._leaving = 0

    def hold(self, result: bytes) -> None:
        """Hold the bytes of a result that has a picture."""
        self._admission.hold_anyway(len(result))
        self._waiting += len(result)

    def leave(self) -> None:
        """Hear that all results that are held are being sent."""
        self._leaving += self._waiting
        self._waiting = 0

    def gone(self) -> None:
        """Hear that those that were being sent have been read, all but what the system keeps."""
        leaving, self._leaving = self._leaving, 0
        self._admission.give_back(images=0, count=leaving)

    def close(self) -> None:
        """Let go of all, sent or not."""
        self.leave()
        self.gone()


def result_bytes(image_bytes: int) -> int:
    """Return how many bytes a result has, about, whose picture is an image of so many."""
    return 4 * image_bytes // 3 + _FRAME_BYTES


def picture_json(data: bytes) -> bytes:
    """Return an image, which has been decoded and so is a JPEG or PNG, as it stands in a result."""
    kind = b"image/png" if data.startswith(_PNG) else b"image/jpeg"
    return b'{"type":"%b","data":"%b"}' % (kind, b2a_base64(data, newline=False))
