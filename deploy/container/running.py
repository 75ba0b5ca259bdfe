"""An image's command, running in the image's root, and ways into its namespaces."""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.container.buildah import Image
from deploy.container.problems import ContainerError

PATIENCE_SECONDS = 120.0
_CLONE_NEWNET = 0x40000000
_SOURCE = Path(__file__).parents[2]


class Container:
    """A running container.

    Parameters
    ----------
    image
        What runs.
    log_file
        Where its output goes.

    Attributes
    ----------
    pid
        The command's process, as this side sees it; on its own side it is process 1.

    Raises
    ------
    ContainerError
        If it doesn't start.
    """

    def __init__(self, image: Image, log_file: Path) -> None:
        self._image = image
        self._log_file = log_file
        self.user, self.group = user_of(image)
        self.environment = dict(each.split("=", 1) for each in image.config["Env"])
        order = {
            "root": str(image.root),
            "folder": image.config.get("WorkingDir") or "/",
            "user": self.user,
            "group": self.group,
            "command": [*(image.config.get("Entrypoint") or ()), *image.config["Cmd"]],
            "environment": self.environment,
        }
        with log_file.open("wb") as log:
            self._unshare = subprocess.Popen(
                [
                    *("unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"),
                    *(sys.executable, "-m", "deploy.container.jail", json.dumps(order)),
                ],
                cwd=_SOURCE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self._wait_for_the_command()

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log_file.read_text("utf-8", "replace")

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self._unshare.poll() is not None

    def processes(self) -> list[int]:
        """Return the command's process and all that come from it."""
        found = [self.pid]
        for pid in found:
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(each) for each in tasks.read_text("utf-8").split()]
        return found

    def enter(self, *words: str, as_root: bool = False) -> subprocess.CompletedProcess[str]:
        """Run something in it, as its user, or as root with every capability."""
        user, group = (0, 0) if as_root else (self.user, self.group)
        return subprocess.run(
            [
                # By its path: the environment, and so the path, is the image's.
                *(
                    shutil.which("nsenter") or "nsenter",
                    "--target",
                    str(self.pid),
                    "--mount",
                    "--pid",
                    "--net",
                    "--root",
                    "--wd",
                ),
                *("--setuid", str(user), "--setgid", str(group), *words),
            ],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread's new sockets in its network, where nothing else is."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open("rb") as here, Path(f"/proc/{self.pid}/ns/net").open("rb") as there:
            _enter(libc, there.fileno())
            try:
                yield
            finally:
                _enter(libc, here.fileno())

    def signal(self, sig: signal.Signals) -> None:
        """Send its process 1 a signal, as an engine does."""
        os.kill(self.pid, sig)

    def wait(self, seconds: float) -> int:
        """Wait until it has ended; return its exit status.

        Raises
        ------
        ContainerError
            If it doesn't end in time.
        """
        try:
            return self._unshare.wait(seconds)
        except subprocess.TimeoutExpired as error:
            msg = f"it has not ended {seconds:g} s after it was asked to"
            raise ContainerError(msg) from error

    def kill(self) -> None:
        """End it, however it is."""
        if not self.has_ended:
            # Its namespace's processes end with it (--kill-child).
            self._unshare.kill()
            self._unshare.wait()

    def _wait_for_the_command(self) -> int:
        """Return the process that the image's command has become."""
        ends = time.monotonic() + PATIENCE_SECONDS
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        while time.monotonic() < ends and not self.has_ended:
            for pid in children.read_text("utf-8").split():
                # Until it has that user it is the jail.
                if Path(f"/proc/{pid}").stat().st_uid == self.user:
                    return int(pid)
            time.sleep(0.02)
        self.kill()
        msg = f"its command didn't start:\n{self.log}"
        raise ContainerError(msg)


def user_of(image: Image) -> tuple[int, int]:
    """Return the ids of the user and the group that an image says to run as.

    Raises
    ------
    ContainerError
        If it says names: an orchestrator can't tell from them that it isn't root.
    """
    user, _, group = image.config.get("User", "").partition(":")
    if not user.isdigit() or not group.isdigit():
        msg = f"the user should be two numbers, and is {image.config.get('User')!r}"
        raise ContainerError(msg)
    return int(user), int(group)


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
