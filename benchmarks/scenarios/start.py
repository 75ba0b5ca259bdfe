"""From the start of the process until it is ready."""

import time

from pydantic import BaseModel

from benchmarks.scenarios.setting import Setting
from benchmarks.serving import serving

TIMES = 5


class Start(BaseModel):
    """Seconds until the service was ready, each time that it was started."""

    seconds: list[float]

    @property
    def most(self) -> float:
        """The longest."""
        return max(self.seconds)


def measure(setting: Setting) -> Start:
    """Start the service five times."""
    seconds = []
    for _ in range(max(1, round(TIMES * min(1.0, 2 * setting.scale)))):
        begun = time.perf_counter()
        with serving(setting.system, setting.images[0]):
            seconds.append(time.perf_counter() - begun)
    return Start(seconds=seconds)
