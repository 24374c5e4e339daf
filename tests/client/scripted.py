"""A server of words: flows are driven by a list of what comes back, without a network, a loop or a clock."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pipemount.client.address import Address
from pipemount.client.effects import Ask, Close, Effect, Flow, Give, Open, Read, Reply, Request, Wait
from pipemount.client.interface import interface_of
from pipemount.client.retrying import Retries
from pipemount.client.verbs import Terms, Verbs
from pipemount.errors import PipemountError, UnreachableError
from pipemount.errors.problems import members_of

URL = "http://a/ai"
DROPPED = UnreachableError(url=URL, reason="dropped")
STREAM = Reply(URL, 200, {"content-type": "text/event-stream; charset=utf-8"})


def answer(document: Any, status: int = 200, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(URL, status, {"content-type": "application/json", **named}, json.dumps(document).encode())


def problem(error: PipemountError, **headers: str) -> Reply:
    return answer({**members_of(error), "instance": "/"}, error.status, **headers)


def frame(sequence: int, kind: str = "delta", **data: Any) -> bytes:
    body = {"kind": kind, "sequence": sequence, "run_id": "j-1", "time": 1.0, "step": None, "attempt": None}
    return f"id: {sequence}\nevent: {kind}\ndata: {json.dumps({**body, 'data': data})}\n\n".encode()


def job(status: str = "running", **more: Any) -> dict[str, Any]:
    return {"job_id": "j-1", "run_id": "j-1", "status": status, **more}


class Clock:
    """Time that passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Script:
    """What comes back, in order: replies to requests, bytes to reads, errors to either.

    Attributes:
        asked: The requests.
        waited: The pauses.
        given: What the flow gave.
    """

    def __init__(self, *words: Reply | bytes | BaseException, takes: float = 0.0) -> None:
        self._words = list(words)
        self._takes = takes
        self.clock = Clock()
        self.asked: list[Request] = []
        self.waited: list[float] = []
        self.given: list[Any] = []
        self.open = False

    def verbs(self, pipeline: Any = None, terms: Terms | None = None, **retries: Any) -> Verbs:
        made = Retries(**{"random": lambda: 0.5, "clock": self.clock, "now": self.clock, **retries})
        return Verbs(Address.of(URL), interface_of(pipeline), made, terms or Terms())

    def run_all(self, *flows: Flow[Any]) -> list[Any]:
        """The results of several, one after the other."""
        found = [self._run(flow) for flow in flows]
        assert self._words == []
        return found

    def run(self, flow: Flow[Any], *, leave_after: int | None = None) -> Any:
        """The flow's result; raises what it raises, and fails if a word is left.

        Args:
            flow: Any verb.
            leave_after: How many things it gives before whoever iterates leaves.
        """
        found = self._run(flow, leave_after)
        assert self._words == []
        return found

    def _run(self, flow: Flow[Any], leave_after: int | None = None) -> Any:
        step: Any
        step, value = flow.send, None
        while True:
            try:
                effect: Effect = step(value)
            except StopIteration as ended:
                return ended.value
            step, value = flow.send, None
            try:
                value = self._perform(effect)
            except BaseException as error:
                step, value = flow.throw, error
            if leave_after is not None and len(self.given) >= leave_after:
                step, value, leave_after = flow.throw, KeyboardInterrupt(), None

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Ask(request) | Open(request):
                self.asked.append(request)
                self.clock.now += self._takes
                found = self._next()
                self.open = isinstance(effect, Open) and found.status == 200
                return found
            case Read():
                assert self.open
                return self._next() if self._words and not isinstance(self._words[0], Reply) else b""
            case Close():
                self.open = False
            case Wait(seconds):
                assert not self.open
                self.waited.append(seconds)
                self.clock.now += seconds
            case Give(item):
                self.given.append(item)
        return None

    def _next(self) -> Any:
        word = self._words.pop(0)
        if isinstance(word, BaseException):
            raise word
        return word

    def bodies(self) -> list[Any]:
        """The JSON that was sent."""
        return [json.loads(request.content or b"null") for request in self.asked]

    def sequences(self) -> list[int]:
        return [event.sequence for event in self.given]


def headers(requests: Iterable[Request], name: str) -> list[str | None]:
    """A header of each."""
    return [dict[str, str](request.headers).get(name) for request in requests]
