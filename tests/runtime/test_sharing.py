"""Shares of pipelines and callers."""

from __future__ import annotations

import asyncio
import random

import pytest

from pipemount.errors import ConfigurationError, OverloadedError, RateLimitedError
from pipemount.runtime.admission import OWN, Admission, Ticket
from pipemount.runtime.rates import Rates
from pipemount.runtime.sharing import SharedAdmission, admission_of
from pipemount.settings import Limits, RateLimit, Settings
from pipemount.types import Principal

ANN, BOB = Principal("ann"), Principal("bob")


def shared(limit: int = 4, queue: int = 10, key: Limits | None = None, quota: int | None = None) -> SharedAdmission:
    """Places of which the pipeline ``p`` has one, and a queue of two."""
    rates = None if quota is None else Rates(RateLimit(quota, 3600))
    return SharedAdmission(limit, queue, pipelines={"p": Limits(1, 2)}, key=key, rates=rates)


async def granted(*tickets: Ticket) -> list[bool]:
    await asyncio.sleep(0.01)
    return [ticket.future.done() for ticket in tickets]


def end(*tickets: Ticket) -> None:
    for ticket in tickets:
        ticket.future.cancel()


async def test_a_pipeline_has_no_more_than_its_share_and_others_pass_it() -> None:
    admission = shared()
    assert admission.try_enter("p", ANN)
    assert not admission.try_enter("p", ANN)
    tickets = [admission.line_up("p", ANN) for _ in range(2)]
    with pytest.raises(OverloadedError, match="all places of this pipeline are taken") as refused:
        admission.line_up("p", BOB)
    assert refused.value.extensions == {"full": "pipeline"}
    with pytest.raises(OverloadedError):
        admission.check("p", BOB)

    assert [admission.try_enter("q", ANN) for _ in range(3)] == [True] * 3
    other = admission.line_up("q", ANN)
    admission.leave(0.01, "q", ANN)
    assert await granted(*tickets, other) == [False, False, True], "it was the last in line"
    admission.leave(0.01, "p", ANN)
    assert await granted(*tickets) == [True, False]
    assert (admission.active, admission.queued, admission.refusals) == (4, 1, {"pipeline": 2})
    end(*tickets)


async def test_a_caller_has_no_more_than_its_share() -> None:
    admission = shared(key=Limits(2, 1))
    assert [admission.try_enter("q", ANN) for _ in range(2)] == [True, True]
    ticket = admission.line_up("q", ANN)
    with pytest.raises(OverloadedError, match="all places of this key are taken"):
        admission.try_enter("q", ANN)
    assert [admission.try_enter("q", BOB) for _ in range(2)] == [True, True]
    assert not admission.try_enter("q", OWN), "the app's own code has no share, and waits for a place as anybody"
    end(ticket)


async def test_a_caller_without_a_queue_may_wait_for_the_apps_places() -> None:
    admission = shared(limit=1, key=Limits(2, 0))
    assert admission.try_enter("q", BOB)
    tickets = [admission.line_up("q", ANN) for _ in range(2)]
    with pytest.raises(OverloadedError, match="of this key"):
        admission.line_up("q", ANN)
    end(*tickets)


async def test_those_without_a_name_are_one_caller() -> None:
    admission = shared(key=Limits(1, 0))
    assert admission.try_enter("q", None)
    with pytest.raises(OverloadedError, match="of this key"):
        admission.try_enter("q", None)
    assert admission.try_enter("q", OWN)
    assert admission.try_enter("q", OWN)


async def test_nothing_is_kept_of_callers_who_are_gone() -> None:
    admission = shared(limit=1, queue=1, key=Limits(1, 1))
    for number in range(50):
        who = Principal(f"user {number}", source="django")
        admission.check("q", who)
        await admission.enter("q", who)
        waiting = admission.line_up("p", BOB)
        with pytest.raises(OverloadedError):
            admission.line_up("q", Principal("another"))
        assert not admission.try_spare("q", who)
        waiting.future.cancel()
        admission.withdraw(waiting)
        assert admission.step_aside("q", who)
        back = admission.come_back("q", who)
        await back.place()
        assert admission.step_aside("q", who)
        admission.stay_away("q", who)

    assert admission._of_callers == {}
    assert (admission.active, admission.queued, admission.reading) == (0, 0, 0)


async def test_who_reads_counts_in_its_share() -> None:
    admission = shared(key=Limits(1, 1))
    for _ in range(2):
        assert admission.try_enter("q", ANN)
        assert admission.step_aside("q", ANN)
    assert admission.try_enter("q", ANN)
    assert not admission.step_aside("q", ANN)
    with pytest.raises(OverloadedError):
        admission.line_up("q", ANN)
    assert admission.try_enter("p", OWN)
    assert admission.step_aside("p", OWN)
    assert admission.try_enter("p", BOB), "who reads has no place of the pipeline's, either"


async def test_where_too_many_read_a_share_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipemount.runtime.admission.READERS", 0)
    admission = shared(key=Limits(1, 1))
    assert admission.try_enter("q", ANN)
    assert not admission.step_aside("q", ANN)
    assert (admission.active, admission.reading) == (1, 0)
    waiting = admission.line_up("q", ANN)
    with pytest.raises(OverloadedError):
        admission.line_up("q", ANN)
    admission.leave(0.1, "q", ANN)
    await waiting.place()
    admission.leave(0.1, "q", ANN)
    assert admission._of_callers == {}


async def test_who_had_a_place_before_is_not_refused() -> None:
    admission = shared(limit=1, queue=0, key=Limits(1, 0), quota=1)
    assert admission.try_enter("q", ANN)
    ticket = admission.line_up("q", ANN, again=True)
    admission.leave(0.1, "q", ANN)
    await ticket.place()
    admission.leave(0.1, "q", ANN)
    assert (admission.active, admission.rejected) == (0, 0)


async def test_the_queue_of_the_app_holds_too() -> None:
    admission = shared(limit=1, queue=1)
    assert admission.try_enter("q", ANN)
    ticket = admission.line_up("q", ANN)
    assert not admission.try_spare("q", ANN)
    with pytest.raises(OverloadedError, match="all places are taken"):
        admission.line_up("p", ANN)
    end(ticket)


async def test_spare_places_are_those_of_the_share() -> None:
    admission = shared()
    assert admission.try_spare("p", ANN)
    assert not admission.try_spare("p", ANN)
    assert admission.try_spare("q", ANN)
    assert admission.active == 2


async def test_a_refusal_says_what_is_full() -> None:
    admission = shared()
    assert admission.try_enter("p", ANN)
    assert admission.refusal("p", ANN).full == "pipeline"
    assert admission.refusal("q", ANN).full == "app"


async def test_how_often_a_caller_may_ask() -> None:
    admission = shared(quota=4)
    for _ in range(2):
        assert admission.try_enter("q", ANN)
        admission.leave(0.01, "q", ANN)
    admission.charge(ANN, 1)
    admission.check("q", ANN)
    with pytest.raises(RateLimitedError) as refused:
        admission.check("q", ANN, count=2)
    end(admission.line_up("q", ANN))
    with pytest.raises(RateLimitedError):
        admission.try_enter("q", ANN)
    with pytest.raises(RateLimitedError):
        admission.charge(ANN, 1)

    assert admission.try_enter("q", BOB)
    assert refused.value.headers == {
        "retry-after": "900",
        "ratelimit-policy": '"default";q=4;w=3600',
        "ratelimit": '"default";r=0;t=900',
    }
    assert refused.value.docs_url == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert admission.refusals == {"rate": 3}


async def test_what_is_refused_for_want_of_places_costs_no_quota() -> None:
    admission = shared(limit=1, queue=0, quota=2)
    assert admission.try_enter("q", ANN)
    for _ in range(5):
        with pytest.raises(OverloadedError):
            admission.try_enter("q", ANN)
    admission.leave(0.01, "q", ANN)
    assert admission.try_enter("q", ANN)


def test_without_shares_the_plain_admission_is_made() -> None:
    assert type(admission_of(Settings(), ["p"])) is Admission
    for settings in (
        Settings(pipeline_limits={"p": Limits(1, 1)}),
        Settings(key_concurrency=1),
        Settings(rate_limit=RateLimit(1)),
    ):
        assert type(admission_of(settings, ["p"])) is SharedAdmission


def test_limits_that_make_no_sense() -> None:
    with pytest.raises(ConfigurationError, match=r"pipeline_limits has 'q'; the app's pipelines are: p"):
        admission_of(Settings(pipeline_limits={"q": Limits(1, 1)}), ["p"])
    with pytest.raises(ConfigurationError, match="concurrency must be above 0"):
        Limits(0, 1)
    with pytest.raises(ConfigurationError, match="queue must not be negative"):
        Settings(key_concurrency=1, key_queue=-1)
    with pytest.raises(ConfigurationError, match="say key_concurrency as well"):
        Settings(key_queue=1)
    with pytest.raises(ConfigurationError, match="quota and window must be above 0"):
        RateLimit(0)
    with pytest.raises(ConfigurationError, match="invoke_disconnect='stop'"):
        Settings(invoke_disconnect="stop")  # type: ignore[arg-type]  # the fault


@pytest.mark.parametrize("seed", range(20))
async def test_no_share_is_ever_exceeded_and_no_place_idles_or_gets_lost(seed: int) -> None:
    draw = random.Random(seed)
    admission = SharedAdmission(
        3, 8, pipelines={"p": Limits(1, 4), "q": Limits(2, 4)}, key=Limits(2, 3), rates=None
    )  # fmt: skip
    callers = [ANN, BOB, None, OWN]
    running: list[tuple[str, Principal | None]] = []
    waiting: list[tuple[Ticket, tuple[str, Principal | None]]] = []
    for _ in range(400):
        what = draw.random()
        if what < 0.5:
            asks = draw.choice("pqr"), draw.choice(callers)
            try:
                if admission.try_enter(*asks):
                    running.append(asks)
                else:
                    waiting.append((admission.line_up(*asks), asks))
            except OverloadedError:
                pass
        elif what < 0.9 and running:
            admission.leave(0.01, *running.pop(draw.randrange(len(running))))
        elif waiting:
            ticket, asks = waiting.pop(draw.randrange(len(waiting)))
            if ticket.future.done():
                running.append(asks)
            else:
                ticket.future.cancel()
                admission.withdraw(ticket)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running += [asks for ticket, asks in waiting if ticket.future.done()]
        waiting = [(ticket, asks) for ticket, asks in waiting if not ticket.future.done()]

        assert admission.active == len(running) <= 3
        assert admission.queued == len(waiting) <= 8
        for name, most in (("p", 1), ("q", 2)):
            assert sum(asks[0] == name for asks in running) <= most
        for who in (ANN, BOB, None):
            assert sum(asks[1] is who for asks in running) <= 2
        for _, (name, who) in waiting:  # whoever waits is kept by something
            of_name = sum(asks[0] == name for asks in running)
            of_who = sum(asks[1] is who for asks in running)
            assert len(running) == 3 or of_name == {"p": 1, "q": 2}.get(name) or (of_who == 2 and who is not OWN)

    for asks in running:
        admission.leave(0.01, *asks)
    while waiting:
        await asyncio.sleep(0)
        for ticket, asks in waiting:
            if ticket.future.done():
                admission.leave(0.01, *asks)
        waiting = [(ticket, asks) for ticket, asks in waiting if not ticket.future.done()]
    assert (admission.active, admission.queued, admission._of_callers) == (0, 0, {})
