"""The runners of one revision, and the requests that wait for a place at one of them."""

import asyncio
import time
import traceback
import uuid
from collections.abc import Callable, Coroutine

from ..errors import RunnerFailed, SandboxError
from ..state import Revision
from .agent_process import RunnerLog
from .launching import Launch
from .runners import ENDED_BY_ITSELF, GRACE_SECONDS, STARTUP_SECONDS, Runner
from .scheduling import expired, placed, runners_wanted, start_delay
from .settings import Pace, Settings
from .waiting import Waiter

FRAGILE_SECONDS = 10.0  # a runner that ends earlier by itself, and served nothing, counts as one that did not start


class Pool:
    """Every change ends in turn(): who waits gets a place, and what is missing is started."""

    def __init__(
        self,
        revision: Revision,
        launch: Launch,
        pace: Pace,
        *,
        settings: Settings,
        entered: Callable[[Runner], None],
    ) -> None:
        self.revision = revision
        self.log: RunnerLog | None = None
        self.runners: dict[str, Runner] = {}  # all that are not ended, also those that start and those that drain
        self._launch = launch
        self._pace = pace
        self._settings = settings
        self._scaling = settings.scaling()
        self._entered = entered
        self._waiters: list[Waiter] = []
        self._starting: set[asyncio.Task[Runner]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._next_start = 0.0
        self._closed = False

    @property
    def live(self) -> list[Runner]:
        """Runners that take requests."""
        return [runner for runner in self.runners.values() if runner.alive]

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    async def ready(self) -> Runner:
        """A healthy runner; where there is none one is started at once, however often that failed before."""
        if self.live:
            return self.live[0]
        task = next(iter(self._starting), None) or self._start()
        await asyncio.wait({task})
        return self._begun(task)

    def start_limit(self) -> float | None:
        """When a request that came now waits too long for a runner (time.monotonic)."""
        seconds = self._settings.number("request_start_timeout")
        return time.monotonic() + seconds if seconds else None

    def join(self, waiter: Waiter) -> None:
        """Wait behind those who wait."""
        waiter.left = self.left
        self._waiters.append(waiter)
        self.turn()

    def left(self, waiter: Waiter) -> None:
        """A request is done, or does not want its place any more, even where it was just given one."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        if waiter.place.done() and not waiter.place.cancelled() and waiter.place.exception() is None:
            waiter.place.result().give_back()
        self.turn()

    def turn(self) -> None:
        """Give free places to who waits, in order; start what is wanted and not there."""
        live, places = self.live, self._scaling.max_multiplexing
        line = [waiter for waiter in self._waiters if not waiter.place.done()]  # without who was cancelled
        line.sort(key=lambda waiter: waiter.low)
        chosen = placed([waiter.wish for waiter in line], [runner.seat for runner in live], places)
        for waiter, runner_id in zip(line, chosen, strict=False):
            self.runners[runner_id].take()
            waiter.place.set_result(self.runners[runner_id])
        self._waiters = line[len(chosen) :]
        if self._closed or time.monotonic() < self._next_start:
            return
        wishes = [waiter.wish for waiter in self._waiters]
        wanted = runners_wanted(self._scaling, in_flight=sum(runner.in_flight for runner in live), waiting=wishes)
        # After a failed start one runner tries alone.
        missing = wanted - len(live) - len(self._starting)
        for _ in range(min(missing, 1 - len(self._starting)) if self._failures else missing):
            self._start()

    def tidy(self) -> None:
        """End what has been idle for too long, then turn(); called every moment, as time alone changes what is wanted."""
        self._scaling = self._settings.scaling()
        for runner in self.live:
            runner.places = self._scaling.max_multiplexing
        wishes = [waiter.wish for waiter in self._waiters]
        for runner_id in expired(self._scaling, [runner.seat for runner in self.live], wishes):
            self.end(self.runners[runner_id], "keep_alive is over")
        self.turn()

    def end(self, runner: Runner, reason: str, grace: float | None = None) -> None:
        """Tell a runner to end: it answers what it has, within its grace. Nobody waits for it here."""
        if grace is not None:
            runner.grace = grace
            self._spawn(self._stopped(runner, grace))  # also where it drains already, with more of it
        runner.drain(reason)

    @property
    def grace(self) -> float:
        return self._settings.number("termination_grace_period_seconds") or GRACE_SECONDS

    async def replace(self, runners: list[Runner], reason: str) -> None:
        """As many others first, then the end of these; where one does not start, these stay."""
        starts = [self._start() for _ in runners]
        if starts:
            await asyncio.wait(starts)
        for start in starts:
            self._begun(start)
        for runner in runners:
            self.end(runner, reason)

    async def abandon(self) -> None:
        """Stop the starts that nobody waits for any more."""
        starting = list(self._starting)
        for task in starting:
            task.cancel()
        await asyncio.gather(*starting, return_exceptions=True)

    def retire(self, reason: str) -> list[Waiter]:
        """End every runner and start none; the waiters that are left."""
        self._closed = True
        for task in self._starting:
            task.cancel()
        for runner in self.live:
            self.end(runner, reason)
        left, self._waiters = self._waiters, []
        return left

    async def close(self, *, grace: float) -> None:
        """Afterwards no process is left."""
        self.fail(RunnerFailed("the sandbox ends"))
        self._closed = True
        pending = [*self._starting, *self._tasks]
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        for runner in self.runners.values():
            runner.drain("sandbox ended")
        await asyncio.gather(*(runner.stop(grace=grace) for runner in list(self.runners.values())))

    def fail(self, error: SandboxError) -> None:
        """Nobody who waits now gets a runner."""
        while self._waiters:
            waiter = self._waiters.pop(0)
            if not waiter.place.done():
                waiter.place.set_exception(type(error)(str(error)))

    def _begun(self, start: asyncio.Task[Runner]) -> Runner:
        """What a start came to; one that was cancelled is no cancellation of who waits for it."""
        if start.cancelled():
            raise RunnerFailed(f"app '{self.revision.alias}': the start of its runner was given up")
        return start.result()

    def _start(self) -> asyncio.Task[Runner]:
        task = asyncio.create_task(self._started())
        self._starting.add(task)
        task.add_done_callback(self._start_ended)
        return task

    async def _started(self) -> Runner:
        job, log = await self._launch.of_revision(self.revision, str(uuid.uuid4()))
        self.log = log
        runner = Runner(
            self.revision,
            job,
            log,
            places=self._scaling.max_multiplexing,
            health_seconds=self._pace.health,
            entered=self._entered,
        )
        self.runners[runner.id] = runner
        try:
            await runner.start(self._settings.number("startup_timeout") or STARTUP_SECONDS)
        except RunnerFailed as error:
            raise type(error)(f"app '{self.revision.alias}', revision {self.revision.id}: {error}") from error
        finally:
            if not runner.alive:
                self.runners.pop(runner.id, None)
        return runner

    def _start_ended(self, task: asyncio.Task[Runner]) -> None:
        self._starting.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._spawn(self._watch(task.result(), self._failures))
            self._failures, self._next_start = 0, 0.0
        elif isinstance(error, SandboxError):
            self._start_failed(error)
        else:
            traceback.print_exception(error)
            self._start_failed(RunnerFailed(f"app '{self.revision.alias}': the sandbox could not start a runner: {error!r}"))
        self.turn()

    def _start_failed(self, error: SandboxError) -> None:
        self._failures += 1
        delay = start_delay(self._failures, step=self._pace.failure_step, longest=self._pace.failure_longest)
        self._next_start = time.monotonic() + delay
        print(f"{error}; start {self._failures} that failed, the next one in {delay:.0f} s at the earliest", flush=True)
        if not self.live and not self._starting:
            self.fail(error)

    async def _watch(self, runner: Runner, failures: int) -> None:
        """Until it takes no more requests; then another gets its place, and it ends."""
        await runner.watch()
        if runner.served == 0 and runner.reason == ENDED_BY_ITSELF and _age(runner) < FRAGILE_SECONDS:
            self._failures = failures
            self._start_failed(RunnerFailed(f"app '{self.revision.alias}': a runner ended right after its start"))
        self.turn()
        await self._stopped(runner, self.grace if runner.grace is None else runner.grace)
        self.runners.pop(runner.id, None)
        self.turn()

    async def _stopped(self, runner: Runner, grace: float) -> None:
        """SIGTERM, once what was just sent has arrived: a server that closes may lose what is on its way to it."""
        if grace > 0 and runner.running:
            await asyncio.sleep(self._pace.settle)
        await runner.stop(grace)

    def _spawn(self, doing: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _age(runner: Runner) -> float:
    return time.time() - (runner.ready_at or time.time())
