"""The ways by which a process ends or forks; each script runs in a process of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipemount.runtime import shutdown

SETUP = """
import asyncio, os, sys, threading
from pipemount.errors import UnavailableError
from pipemount.runtime.lifecycle import Lifecycle
from pipemount.settings import Settings

def note(what):
    os.write(1, (what + "\\n").encode())

async def start(): note("start")
async def drain(): pass
async def stop(): note("stop")
async def where(): return os.getpid(), threading.current_thread().name

lifecycle = Lifecycle(start=start, stop=stop, drain=drain, settings=Settings(lazy_wait=30.0), name="test")
"""


SIGTERM = """
import signal, time
from pipemount.runtime import draining
def kill(): os.kill(os.getpid(), signal.SIGTERM)
def wait_for_the_end(): time.sleep(60); note("still here")
"""

NO_FORK_WARNING = ("-W", "ignore::DeprecationWarning") if sys.version_info >= (3, 12) else ()


def run(script: str, *options: str, status: int = 0) -> list[str]:
    """The lines that a script prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", SETUP + script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def test_a_lazily_started_runtime_is_stopped_at_exit() -> None:
    assert run("asyncio.run(lifecycle.ensure_ready())") == ["start", "stop"]


def test_so_is_one_whose_lifespan_never_ended() -> None:
    assert run("asyncio.run(lifecycle.startup())") == ["start", "stop"]


def test_and_one_that_was_stopped_is_not_stopped_again() -> None:
    assert run("asyncio.run(lifecycle.ensure_ready()); lifecycle.close()") == ["start", "stop"]


def test_without_the_threading_hook_atexit_does_it() -> None:
    assert run("del threading._register_atexit; asyncio.run(lifecycle.ensure_ready())") == ["start", "stop"]


def test_a_start_after_the_main_thread_is_stopped_by_atexit_or_refused() -> None:
    script = """
def late():
    threading.main_thread().join()
    try:
        asyncio.run(lifecycle.ensure_ready())
    except UnavailableError as error:
        note(error.detail_code)
threading.Thread(target=late).start()
"""
    starts_threads = sys.version_info[:2] != (3, 12)
    assert run(script) == (["start", "stop"] if starts_threads else ["draining"])


def test_nothing_starts_after_the_exit_hooks() -> None:
    script = """
import atexit
def late():
    try:
        asyncio.run(lifecycle.ensure_ready())
    except UnavailableError as error:
        note(error.detail_code)
atexit.register(late)
asyncio.run(lifecycle.ensure_ready())
"""
    assert run(script) == ["start", "stop", "draining"]


def test_executors_still_work_while_the_runtime_stops() -> None:
    script = """
async def stop():
    await asyncio.to_thread(note, "stop in a thread")
lifecycle._stop = stop
async def main():
    await lifecycle.call(lambda: asyncio.to_thread(note, "warm"))
asyncio.run(main())
"""
    assert run(script) == ["start", "warm", "stop in a thread"]


def test_sigterm_closes_the_runtime_before_it_ends_the_process() -> None:
    script = SIGTERM + "draining.observe(); lifecycle.call_sync(where); kill(); wait_for_the_end()"
    assert run(script, status=-signal.SIGTERM) == ["start", "stop"]


@pytest.mark.parametrize("closed", ["", "lifecycle.call_sync(where); draining.observe(); lifecycle.close();"])
def test_without_a_runtime_sigterm_ends_the_process_at_once(closed: str) -> None:
    script = SIGTERM + f"draining.observe(); {closed} kill(); wait_for_the_end()"
    assert run(script, status=-signal.SIGTERM) == (["start", "stop"] if closed else [])


@pytest.mark.parametrize("lock", ["lifecycle._lock", "threading._active_limbo_lock"])
def test_sigterm_may_interrupt_a_thread_that_holds_a_lock(lock: str) -> None:
    script = f"""
draining.observe()
lifecycle.call_sync(where)
with {lock}:
    kill()
    time.sleep(0.3)
wait_for_the_end()
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "stop"]


def test_a_signal_that_the_main_thread_does_not_hear_is_followed_by_another() -> None:
    """As when it begins to wait at that very moment."""
    script = """
draining.observe()
lifecycle.call_sync(where)
unheard, signalled = [], os.kill
def lose_the_first(pid, number):
    if threading.current_thread() is threading.main_thread() or unheard:
        signalled(pid, number)
    else:
        unheard.append(number)
os.kill = lose_the_first
kill()
wait_for_the_end()
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "stop"]


def test_sigterm_lets_streams_say_goodbye() -> None:
    script = """
draining.observe()
async def stream():
    await lifecycle.ensure_ready()
    waiting = asyncio.create_task(lifecycle.until_draining())
    await asyncio.sleep(0)
    kill()
    await waiting
    note("goodbye")
    await asyncio.sleep(60)
asyncio.run(stream())
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "goodbye", "stop"]


def test_a_loop_that_the_host_runs_stops_the_runtime_on_sigterm() -> None:
    script = """
async def serve():
    await lifecycle.startup()
    kill()
    await asyncio.sleep(60)
asyncio.run(serve())
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "stop"]


def test_sigterm_during_the_exit_lets_the_exit_end() -> None:
    script = """
draining.observe()
async def stop():
    kill()
    await asyncio.sleep(0.2)  # until it is handled: once all is closed, it ends the process
    note("stop")
lifecycle._stop = stop
lifecycle.call_sync(where)
"""
    assert run(SIGTERM + script) == ["start", "stop"]


def test_more_signals_change_nothing() -> None:
    script = """
draining.observe()
async def stop():
    kill()
    await asyncio.sleep(0.1)
    note("stop")
lifecycle._stop = stop
lifecycle.call_sync(where)
kill()
kill()
wait_for_the_end()
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "stop"]


def test_a_process_that_ends_meanwhile_still_ends_by_the_signal() -> None:
    script = """
draining.observe()
async def stop():
    await asyncio.sleep(0.3)
    note("stop")
lifecycle._stop = stop
lifecycle.call_sync(where)
kill()
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "stop"]


def test_nothing_starts_between_the_signal_and_the_end() -> None:
    script = """
other = Lifecycle(start=start, stop=stop, drain=drain, settings=Settings(), name="other")
draining.observe()
async def stop():
    try:
        other.call_sync(where)
    except UnavailableError as error:
        note(error.detail_code)
lifecycle._stop = stop
lifecycle.call_sync(where)
kill()
wait_for_the_end()
"""
    assert run(SIGTERM + script, status=-signal.SIGTERM) == ["start", "draining"]


def test_a_forked_child_is_ended_by_sigterm_alone() -> None:
    script = """
draining.observe()
lifecycle.call_sync(where)
if child := os.fork():
    assert os.waitpid(child, 0)[1] == signal.SIGTERM
    note("child ended")
else:
    kill()
    wait_for_the_end()
"""
    assert run(SIGTERM + script, *NO_FORK_WARNING) == ["start", "child ended", "stop"]


class Ends:
    """As a runtime; and as the operating system, which is told to end the process.

    Args:
        heard: Which signal the main thread hears, the others come as it begins to wait.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, heard: int = 0) -> None:
        self.notes: list[str] = []
        self.heard = heard
        monkeypatch.setattr(shutdown, "_live", set())
        monkeypatch.setattr(shutdown, "_ended_by", None)
        monkeypatch.setattr(shutdown, "_closed", False)
        monkeypatch.setattr(shutdown, "_exiting_pid", 0)
        monkeypatch.setattr(shutdown, "start_new_thread", lambda work, given: work(*given))
        monkeypatch.setattr(shutdown, "AGAIN", 0)
        monkeypatch.setattr(os, "kill", self.signal)

    def signal(self, pid: int, number: int) -> None:
        self.notes.append(f"signal {number:d}")
        if self.notes.count(f"signal {number:d}") == self.heard:
            shutdown.end(number, hurry=True)

    def close(self) -> None:
        shutdown.end(signal.SIGTERM, hurry=True)
        self.notes.append("closed")

    def forget(self) -> None: ...


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("heard", [1, 3])
def test_a_signal_is_repeated_when_the_runtimes_are_closed_until_it_is_heard(
    heard: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = Ends(monkeypatch, heard)
    signal.signal(signal.SIGTERM, ends.notes.append)  # type: ignore[arg-type]  # never called
    shutdown.remember(ends)
    shutdown.end(signal.SIGTERM, hurry=True)
    assert ends.notes == ["closed", *["signal 15"] * heard, "signal 15"], "the last one ends the process"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("handler")
def test_the_exit_repeats_it_where_it_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = Ends(monkeypatch)
    monkeypatch.setattr(shutdown, "start_new_thread", lambda work, given: None)
    shutdown.remember(ends)
    shutdown.end(signal.SIGTERM, hurry=True)
    assert shutdown.exiting()
    shutdown._close_all()
    assert ends.notes == ["closed", "signal 15"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    shutdown._forget_all()
    assert not shutdown._ended_by


# ------------------------------------------------------------------------------------ serving loop


def test_a_host_without_a_loop_serves_where_the_runtime_will_live() -> None:
    script = """
loop = lifecycle.serving_loop()
assert lifecycle.serving_loop() is loop and lifecycle.home is None
future = asyncio.run_coroutine_threadsafe(lifecycle.call(where), loop)
assert future.result() == (os.getpid(), "pipemount-test")
assert lifecycle.serving_loop() is lifecycle.home is loop
"""
    assert run(script) == ["start", "stop"]


def test_that_loop_ends_with_the_process_though_nothing_was_started() -> None:
    script = """
loop = lifecycle.serving_loop()
import atexit
atexit.register(lambda: note("closed" if loop.is_closed() else "open"))
"""
    assert run(script) == ["closed"]


def test_while_the_process_exits_there_is_none() -> None:
    script = """
import atexit
def late():
    try:
        lifecycle.serving_loop()
    except UnavailableError as error:
        note(error.detail_code)
atexit.register(late)
lifecycle.call_sync(where)
"""
    assert run(script) == ["start", "stop", "draining"]


FORK = """
asyncio.run(lifecycle.ensure_ready())
if child := os.fork():
    os.waitpid(child, 0)
    assert lifecycle.call_sync(where) == (os.getpid(), "pipemount-test"), "the parent's loop still runs"
    note("parent")
else:
    HOW
    note("child " + lifecycle.state)
    assert lifecycle.call_sync(where) == (os.getpid(), "pipemount-test")
"""


def test_a_forked_child_starts_afresh() -> None:
    assert run(FORK.replace("HOW", "assert not lifecycle.ready"), *NO_FORK_WARNING) == [
        "start",
        "child new",
        "start",
        "stop",
        "parent",
        "stop",
    ]


@pytest.mark.parametrize("entry", ["asyncio.run(lifecycle.startup())", "asyncio.run(lifecycle.ensure_ready())"])
def test_a_server_that_skips_fork_hooks_is_found_out_by_the_process_id(entry: str) -> None:
    script = f"""
from pipemount.runtime import shutdown
shutdown._forget_all = lambda: None
asyncio.run(lifecycle.ensure_ready())
lifecycle.pid -= 1  # as if this were a child whose hooks were skipped
assert lifecycle._reachable_home() is None
{entry}
lifecycle.close()
"""
    assert run(script) == ["start", "start", "stop"]


# --------------------------------------------------------------------------------- the server's own


class Lifespan:
    """As uvicorn's: started or off, its shutdown is awaited when the server ends."""

    def __init__(self, notes: list[str], failure: Exception | None = None) -> None:
        self.notes, self.failure = notes, failure

    async def shutdown(self) -> None:
        self.notes.append("host")
        if self.failure:
            raise self.failure


class Server:
    def __init__(self, lifespan: object) -> None:
        self.lifespan = lifespan

    def handle_exit(self, *args: object) -> None: ...


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("failure", [None, ValueError("the host's")])
async def test_the_server_s_shutdown_closes_after_the_host_s(failure: Exception | None) -> None:
    notes: list[str] = []

    async def close() -> None:
        notes.append("ours")

    lifespan = Lifespan(notes, failure)
    signal.signal(signal.SIGTERM, Server(lifespan).handle_exit)
    assert shutdown.hook_server(close)
    results = await asyncio.gather(lifespan.shutdown(), return_exceptions=True)
    assert results[0] is failure
    assert notes == ["host", "ours"]


@pytest.mark.usefixtures("handler")
@pytest.mark.parametrize("lifespan", [None, object(), Path])
async def test_other_handlers_are_left_alone(lifespan: object) -> None:
    async def close() -> None: ...

    signal.signal(signal.SIGTERM, Server(lifespan).handle_exit)
    assert not shutdown.hook_server(close)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert not shutdown.hook_server(close)
