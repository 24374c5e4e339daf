"""The thread that brings messages to a broker: what is away, what comes back, and what is never taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from tests.support.servers import wait_until

from pipemount.jobs.sending import Letter, Sender


class Post:
    """A broker of the test's own, and the way to it."""

    broker = "the broker"
    passing = (OSError,)

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.tried = threading.Semaphore(0)
        self.away = False
        self.refused: set[str] = set()

    def begin(self) -> None:
        """Nothing is open yet."""

    def send(self, letter: Letter) -> None:
        self.tried.release()
        if self.away or letter.job_id in self.refused:
            raise OSError("not now")
        if letter.pipeline == "unheard of":
            raise ValueError("there is no such pipeline")
        self.taken.append(letter.job_id)

    def hang_up(self) -> None:
        """Nothing is open."""


@contextmanager
def sending(post: Post) -> Iterator[Sender]:
    sender = Sender(post)
    sender.start()
    try:
        yield sender
    finally:
        sender.stop(5)


def put(sender: Sender, post: Post, *names: str, pipeline: str = "counting") -> None:
    for name in names:
        sender.post(name, partial(post.send, Letter(name, pipeline, None, 1.0)))


def test_what_waits_for_a_broker_that_is_away_is_sent_when_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    post = Post()
    with sending(post) as sender:
        put(sender, post, "first")
        wait_until(lambda: post.taken == ["first"])
        post.away = True
        put(sender, post, "a", "b", "c")
        for _ in range(5):
            assert post.tried.acquire(timeout=30)
        assert sender.stuck
        post.away = False
        wait_until(lambda: len(post.taken) == 4)
        wait_until(lambda: not sender.stuck)
    assert sorted(post.taken[1:]) == ["a", "b", "c"]
    assert [record.getMessage() for record in caplog.records] == [
        "the broker cannot be reached; jobs wait in the database: not now",
        "the broker can be reached again",
    ]


@pytest.mark.parametrize("before", [True, False])
def test_what_a_broker_never_takes_keeps_no_other_from_it(before: bool, caplog: pytest.LogCaptureFixture) -> None:
    post = Post()
    post.refused = {"never", "nor this"}
    with sending(post) as sender:
        if before:
            put(sender, post, "first")
        put(sender, post, "never", "nor this", "a", "b")
        wait_until(lambda: {"a", "b"} <= set(post.taken))
        wait_until(lambda: caplog.text.count("but not this one, which is tried again later") == 2)
        put(sender, post, "last")
        wait_until(lambda: "last" in post.taken)
        assert not sender.stuck
    assert "job never: the broker takes others, but not this one, which is tried again later: not now" in caplog.text


def test_jobs_are_looked_for_while_all_that_waits_was_tried_in_vain() -> None:
    """Else what cannot be sent would keep delayed jobs, and those whose messages were lost, from being sent."""
    post = Post()
    post.refused = {"never"}
    with sending(post) as sender:
        put(sender, post, "never")
        wait_until(lambda: sender.stuck)
        assert not sender.behind
        post.away = True
        put(sender, post, "a")
        while sender.behind:
            assert post.tried.acquire(timeout=30)
        post.away = False
        wait_until(lambda: post.taken == ["a"])


def test_what_fails_for_good_is_left_to_another_time(caplog: pytest.LogCaptureFixture) -> None:
    post = Post()
    with sending(post) as sender:
        put(sender, post, "wrong", pipeline="unheard of")
        put(sender, post, "right")
        wait_until(lambda: post.taken == ["right"])
    assert "job wrong could not be given to the broker; it is tried again later" in caplog.text
