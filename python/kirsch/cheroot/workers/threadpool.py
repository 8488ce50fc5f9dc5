"""The threads of a server: real ``threading.Thread``s with cheroot's names, that take turns in the engine."""

import contextlib
import queue
import threading
import time

__all__ = ("ThreadPool", "WorkerThread")

#: Threads of a pool without a `max`: as many as the engine takes, and more than a system gives gladly.
_MOST = 4096


class TrueyZero:
    """Zero that is true, for statistics."""

    def __add__(self, other):
        return other

    def __radd__(self, other):
        return other


trueyzero = TrueyZero()


class WorkerThread(threading.Thread):
    """Serves requests until its server stops."""

    #: The connection whose request it serves, while objects do (see `kirsch.cheroot`).
    conn = None
    server = None
    ready = False

    def __init__(self, server):
        self.ready = False
        self.server = server
        self.requests_seen = 0
        self.bytes_read = 0
        self.bytes_written = 0
        self.start_time = None
        self.work_time = 0
        self.stats = {
            "Requests": lambda s: self.requests_seen,
            "Bytes Read": lambda s: self.bytes_read,
            "Bytes Written": lambda s: self.bytes_written,
            "Work Time": lambda s: self.work_time + (time.time() - self.start_time if self.start_time else 0),
            "Read Throughput": lambda s: s["Bytes Read"](s) / (s["Work Time"](s) or 1e-6),
            "Write Throughput": lambda s: s["Bytes Written"](s) / (s["Work Time"](s) or 1e-6),
        }
        # Not as `super()`: programs replace `__init__` to make it a daemon.
        threading.Thread.__init__(self)

    def run(self):
        """Takes turns in the engine."""
        workers = self.server.stats["Worker Threads"]
        workers[self.name] = self.stats
        self.ready = True
        try:
            # A request may look at the list of threads: not before this one stands there.
            with self.server.requests._spawning:
                pass
            self.server._work()
        finally:
            self.ready = False
            workers.pop(self.name, None)
            self.server.requests._left(self)


class ThreadPool:
    """The threads of one server.

    Raises:
        ValueError: If ``min`` is no positive number, or ``max`` is less.
        TypeError: If ``max`` is no number.
    """

    def __init__(self, server, min=10, max=-1, accepted_queue_size=-1, accepted_queue_timeout=10):
        if min < 1:
            raise ValueError(f"min={min!s} must be > 0")
        if max != float("inf"):
            if not isinstance(max, int) or max == 0:
                raise TypeError(
                    f"Expected an integer or the infinity value for the `max` argument but got {max!r}."
                )
            if max < 0:
                max = float("inf")
        if max < min:
            raise ValueError(f"max={max!s} must be > min={min!s} (or infinity for no max)")
        self.server = server
        self.min = min
        self.max = max
        self._threads = []
        # Those that were dismissed and still have something to do.
        self._leaving = 0
        # Held while threads start that are not listed yet.
        self._spawning = threading.Lock()
        # Nothing comes by here: requests wait in the engine. It has the size that the engine is told.
        self._queue = queue.Queue(maxsize=accepted_queue_size)
        self._queue_put_timeout = accepted_queue_timeout
        self.get = self._queue.get

    @property
    def capacity(self):
        """As many threads as the engine has room for: `max`, or `_MOST` where there is none."""
        return int(min(self.max, max(self.min, _MOST)))

    def start(self):
        """Starts `min` threads.

        Raises:
            RuntimeError: If there are some.
        """
        if self._threads:
            raise RuntimeError("Threadpools can only be started once.")
        self._spawn_workers(self.min)

    @property
    def idle(self):
        """Threads that run no request now."""
        return max(len(self._threads) - self.server._busy(), 0)

    @property
    def qsize(self):
        """Requests that wait for a thread."""
        return self.server._queued()

    def put(self, obj):
        """Has a connection served; for programs that accept connections themselves."""
        self.server._admit(obj)

    def grow(self, amount):
        """Starts so many more threads, up to `max` of them in all."""
        self._clear_dead_threads()
        budget = max(self.capacity - len(self._threads), 0)
        self._spawn_workers(min(amount, budget))

    def shrink(self, amount):
        """Ends so many threads, down to `min` of them: idle ones at once, others behind their request."""
        self._clear_dead_threads()
        spare = len(self._threads) - self._leaving - self.min
        amount = min(amount - self._leaving, spare)
        engine = self.server._engine
        if amount > 0 and engine is not None:
            self._leaving += amount
            engine.dismiss(amount)

    def _left(self, worker):
        """A thread has returned from the engine; if that goes on without it, it was dismissed."""
        if worker in self._threads:
            self._threads.remove(worker)
            self._leaving -= 1

    def _spawn_workers(self, amount):
        with self._spawning:
            workers = [self._spawn_worker() for _ in range(amount)]
            for worker in workers:
                while not worker.ready and worker.is_alive():
                    time.sleep(0.001)
            self._threads.extend(workers)

    def _spawn_worker(self):
        worker = WorkerThread(self.server)
        worker.name = f"CP Server {worker.name!s}"
        worker.start()
        return worker

    def _clear_dead_threads(self):
        self._threads[:] = [thread for thread in self._threads if thread.is_alive()]

    def _clear_threads(self):
        threads, self._threads[:] = self._threads[:], []
        self._leaving = 0
        return [thread for thread in threads if thread is not threading.current_thread()]

    def stop(self, timeout=5):
        """Ends the threads: what has begun may take so many seconds; if negative, there is no end."""
        threads = self._clear_threads()
        if timeout is not None and timeout < 0:
            timeout = None
        finished = self.server._end_engine(timeout)
        # Those that are in the application still have had their time.
        deadline = time.monotonic() + (5 if finished else 0.1)
        for thread in threads:
            # A thread that stays in the application is left alone: it cannot be ended.
            with contextlib.suppress(RuntimeError):
                thread.join(max(0, deadline - time.monotonic()))
