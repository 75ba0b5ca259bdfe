"""The workers, as the service sees them: who waits, who works on what, and what becomes of it.

Entries go to the worker that has the least to do, and no worker is given more than a batch and the next one. The rest
waits here, where it can still be overtaken by those who are in a hurry, and be dropped before it costs anything when
nobody waits for it any more.

If a worker dies, another is started in its place, and what it was working on is given out again, each image by itself:
who sent the one to blame is the only one to lose by it. It runs what the first one ran, on the same kind of device. If
it can't be started it is tried again, at growing intervals.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import attrgetter

from app.errors import DeadlineExceededError, InternalError
from app.expiring import Expiring
from app.jobs import Job
from app.lanes import Lanes
from app.providers import CPU
from app.starting import Running, Start
from app.telemetry.numbers import Numbers
from app.tries import Tries, pause_after
from app.waiting import Entry, Outcome
from app.worker_link import Starter, WorkerLink

AHEAD = 2
"""So many full batches a worker on a CPU is given: the one that it runs, and the next.

An image counts until the worker says that it is done with it, even if nobody waits for it any more. So this also bounds
the bytes of images whose clients have gone, which `app.admission` counts no more.
"""

AHEAD_ON_DEVICE = 4
"""On a GPU also those that are decoded, and that wait to be."""

HANGS_SECONDS = 10.0
"""A worker that says nothing for so long, and for a whole deadline, hangs: a batch of large pictures takes less."""
WATCH_SECONDS = 1.0
"""How often it is looked whether one hangs."""

_LOAD = attrgetter("load")
_log = logging.getLogger(__name__)


class Pool:
    """Workers, and who waits for them. It belongs to the event loop's thread.

    Parameters
    ----------
    start : Start
    starter : callable
        Starts a worker.
    failed : callable
        Is told in a sentence if no worker is left, and none can be started for a while.
    seconds : float
        Within which an image gets its answer, or is dropped.
    retry_after_seconds : int
        What those are told whose image was dropped.
    numbers : Numbers
        What is counted of images and workers.
    """

    def __init__(
        self,
        start: Start,
        starter: Starter,
        failed: Callable[[str], None],
        seconds: float,
        retry_after_seconds: int,
        numbers: Numbers | None = None,
    ) -> None:
        self.numbers = numbers or Numbers()
        self._start = start
        self._seconds = seconds
        self._retry_after_seconds = retry_after_seconds
        self._clock = asyncio.get_running_loop().time
        self._expiring = Expiring(self._expire)
        self._watching: asyncio.TimerHandle | None = None
        self._watched = self._clock()
        self._starter = starter
        self._failed = failed
        # The one for images that are alone comes first.
        self._workers: list[WorkerLink] = []
        self._lanes: Lanes[Entry] = Lanes()
        self._suspects: deque[Entry] = deque()
        self._number = 0
        self._max_batch = self._ahead = 0
        self._restarts: set[asyncio.Task[None]] = set()
        self._tries = Tries(self._clock)
        self._closed = False

    @property
    def ready(self) -> bool:
        """Whether any worker is there, or will be at once: one that died is replaced before anyone is sent away."""
        return bool(self._workers) or not self._tries.in_vain

    @property
    def alive(self) -> int:
        """How many workers there are."""
        return len(self._workers)

    def oldest_seconds(self) -> float:
        """Return for how long who has waited the longest has waited for an answer; 0 if nobody waits."""
        return self._expiring.oldest_seconds()

    @property
    def idle(self) -> bool:
        """Whether nobody waits."""
        return self._expiring.empty

    async def open(self) -> Running:
        """Start the workers, and wait until they are ready.

        Raises
        ------
        StartRefusedError
            If they can't start as they are told to.
        """
        # The first one says where the network runs, and so how many there are to be; later ones are to run the same.
        running = await self._hire(self._start)
        self._start = self._start.like(running)
        self._max_batch = running.max_batch
        self._ahead = running.max_batch * (AHEAD if running.provider == CPU else AHEAD_ON_DEVICE)
        if running.provider == CPU:
            try:
                async with asyncio.TaskGroup() as others:
                    for _ in range(self._start.cores - 1):
                        others.create_task(self._hire(self._start))
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from errors
        self._watched = self._clock()
        self._watch()
        return running

    def submit(self, job: Job, done: Callable[[Outcome], object], request_id: str = "-") -> Entry:
        """Have one image classified.

        Parameters
        ----------
        job
        done
            Is called with what becomes of it: what it got, or the error that it met.
        request_id
            For the log.

        Returns
        -------
        Entry
            For `drop`.

        Raises
        ------
        ValueError
            If it has more views than there may be in a run.
        InternalError
            If the pool has been closed.
        """
        if job.views > self._max_batch:
            msg = f"{job.views} views don't fit into a run of {self._max_batch}"
            raise ValueError(msg)
        if self._closed:
            raise InternalError
        now = self._clock()
        entry = Entry(job, done, request_id, now + self._seconds, now)
        self._expiring.put(entry)
        self._lanes.put(entry)
        self._dispatch()
        return entry

    def drop(self, entry: Entry) -> None:
        """Forget an entry: nobody waits for it any more."""
        entry.forget()
        if entry.worker is not None:
            entry.worker.drop(entry)

    def _expire(self, entry: Entry) -> None:
        msg = f"No answer within {self._seconds:g} s; the image was dropped."
        entry.finish(DeadlineExceededError(msg, self._retry_after_seconds))
        self.drop(entry)

    def _watch(self) -> None:
        """Replace workers that hang."""
        now = self._clock()
        # Where all of the machine stood still, they are to have a moment to speak.
        late = now - self._watched > WATCH_SECONDS + HANGS_SECONDS / 2
        for worker in self._workers:
            if late:
                worker.give_time()
            elif worker.silent_since() <= now - max(self._seconds, HANGS_SECONDS):
                worker.hang_up()
        self._watched = now
        self._watching = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._watch)

    async def close(self) -> None:
        """Let the workers go; what waits is not scored."""
        self._closed = True
        restarts = tuple(self._restarts)
        for restart in restarts:
            restart.cancel()
        left = [entry for worker in self._workers for entry in worker.entries.values()]
        left += self._suspects
        while (entry := self._lanes.pop()) is not None:
            left.append(entry)
        for entry in left:
            entry.finish(InternalError())
        self._expiring.close()
        if self._watching is not None:
            self._watching.cancel()
        workers, self._workers = self._workers, []
        await asyncio.gather(*(worker.end() for worker in workers))
        # What they were about to start ends too.
        await asyncio.gather(*restarts, return_exceptions=True)

    async def _hire(self, start: Start, in_vain: int = 0) -> Running:
        worker = WorkerLink(self)
        worker.in_vain = in_vain
        try:
            running = await worker.start(start, self._starter)
        except BaseException:
            await worker.end()
            raise
        worker.wide, worker.began = running.wide, self._clock()
        self._workers.insert(0 if worker.wide else len(self._workers), worker)
        self._dispatch()
        return running

    def _dispatch(self) -> None:
        workers = self._workers if not self._suspects else self._but_for_suspects()
        while workers and not self._lanes.empty():
            worker = min(workers, key=_LOAD)
            if worker.load >= self._ahead:
                break
            if (entry := self._lanes.pop()) is None:
                break
            self._give(worker, entry)

    def _but_for_suspects(self) -> "Sequence[WorkerLink]":
        """Give suspects to idle workers, and return who may have others meanwhile."""
        for worker in self._workers:
            while self._suspects and not worker.entries:
                suspect = self._suspects.popleft()
                if not suspect.gone:
                    self._give(worker, suspect)
        # While one waits for its turn, one worker is left to become idle, always the same; or it would wait for ever.
        return self._workers[1:] if self._suspects else self._workers

    def _give(self, worker: "WorkerLink", entry: Entry) -> None:
        self._number += 1
        entry.number = self._number
        alone = not worker.load and self._lanes.empty() and not any(each.entries for each in self._workers)
        worker.give(entry, alone=alone)

    def served(self) -> None:
        """Give out what waits: a worker has room again."""
        self._dispatch()

    def died(self, worker: "WorkerLink") -> None:
        """Give what a worker had to others, and start another one in its place."""
        if self._closed or worker not in self._workers:
            return
        self._workers.remove(worker)
        self.numbers.restarts += 1
        if worker.proved or self._tries.lasted(worker.began):
            worker.in_vain = 0
        # The first time nobody is to notice.
        self._tries.note(in_vain=bool(worker.in_vain))
        left = [entry for entry in worker.entries.values() if not entry.gone]
        _log.error("a worker died with %d images, and is replaced", len(left))
        for entry in left:
            if entry.suspect:
                entry.finish(InternalError())
            else:
                entry.suspect, entry.worker = True, None
                self._suspects.append(entry)
        worker.entries.clear()
        restart = asyncio.ensure_future(self._replace(worker))
        self._restarts.add(restart)
        restart.add_done_callback(self._restarts.discard)
        self._dispatch()

    async def _replace(self, worker: "WorkerLink") -> None:
        in_vain = worker.in_vain
        while True:
            await asyncio.sleep(pause_after(in_vain))
            in_vain += 1
            try:
                await worker.end()
                await self._hire(replace(self._start, wide=worker.wide), in_vain)
            except Exception as error:  # noqa: BLE001 (as when there is no room for another process or thread)
                _log.error("a worker could not be replaced: %s", error)
                self._tries.note(in_vain=True)
                if not self._workers and self._tries.over:
                    self._failed(f"no worker is left, and none can be started ({error})")
                    return
            else:
                return
