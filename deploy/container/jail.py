"""What an engine does between a new set of namespaces and the image's command, as a program.

``unshare --mount --pid --net --fork python3 -m deploy.container.jail '{"root": …}'``, as root. It uses
nothing of the image.
"""

import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1
_DEVICES = ("full", "null", "random", "urandom", "zero")


def main() -> None:
    """Become the command that is described by the JSON in the first argument."""
    order = json.loads(sys.argv[1])
    root = Path(order["root"])
    _raise_loopback()
    _lay_out(root)
    capabilities = int(Path("/proc/sys/kernel/cap_last_cap").read_text("utf-8")) + 1
    # From here on nothing may be imported: this side's Python is out of sight.
    os.chroot(root)
    os.chdir(order["folder"])
    _become(order["user"], order["group"], capabilities)
    os.execvpe(order["command"][0], order["command"], order["environment"])  # noqa: S606 - the image's own command


def _raise_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def _lay_out(root: Path) -> None:
    """Mount the root so that nothing can be written, with ``/tmp``, ``/proc`` and ``/dev`` as an engine has them."""
    _mount("--make-rprivate", "/")
    _mount("--bind", root, root)
    _mount("-t", "proc", "-o", "nosuid,nodev,noexec", "proc", root / "proc")
    _mount("-t", "tmpfs", "-o", "nosuid,nodev,mode=1777", "tmpfs", root / "tmp")
    _mount("-t", "tmpfs", "-o", "nosuid,mode=755", "tmpfs", root / "dev")
    for device in _DEVICES:
        (root / "dev" / device).touch()
        _mount("--bind", f"/dev/{device}", root / "dev" / device)
    (root / "dev" / "shm").mkdir()
    _mount("-t", "tmpfs", "-o", "nosuid,nodev,noexec,mode=1777", "tmpfs", root / "dev" / "shm")
    _mount("-o", "remount,bind,ro", root)


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)  # noqa: S607 - root's own path


def _become(user: int, group: int, capabilities: int) -> None:
    """Give up every capability for good, and be somebody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(capabilities):
        _checked(libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    _checked(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0))
    os.setgroups([])
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


if __name__ == "__main__":
    main()
