"""Places that the pipelines of an app, and those who call them, have shares of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from time import monotonic

from ..errors import ConfigurationError, OverloadedError, RateLimitedError
from ..settings import Limits, Settings
from ..types import Principal
from .admission import Admission, Caller, Ticket, at_least, caller_of, smoothed
from .rates import Rates

__all__ = ["SharedAdmission", "admission_of"]


def admission_of(settings: Settings, pipelines: Collection[str]) -> Admission:
    """What ``settings`` say for an app with these pipelines; without shares the plain one, which is the quicker.

    Raises:
        ConfigurationError: There are limits for a pipeline that the app does not have.
    """
    if unknown := sorted(set(settings.pipeline_limits) - set(pipelines)):
        raise ConfigurationError(
            f"pipeline_limits has {', '.join(map(repr, unknown))}; the app's pipelines are: {', '.join(pipelines)}"
        )
    places = settings.max_concurrency, settings.max_queue
    if not settings.pipeline_limits and settings.key_limits is None and settings.rate_limit is None:
        return Admission(*places)
    rates = None if settings.rate_limit is None else Rates(settings.rate_limit)
    return SharedAdmission(*places, pipelines=settings.pipeline_limits, key=settings.key_limits, rates=rates)


class Share:
    """What one pipeline, or one caller, has of the places."""

    __slots__ = ("active", "full", "limits", "mean", "moved", "waiting")

    def __init__(self, full: str, limits: Limits, mean: float) -> None:
        self.full, self.limits, self.mean = full, limits, mean
        self.active = self.waiting = 0
        self.moved = monotonic()

    @property
    def has_room(self) -> bool:
        return self.active < self.limits.concurrency

    @property
    def is_crowded(self) -> bool:
        """Whether as many wait, or read, as may be here at all."""
        return self.waiting >= self.limits.concurrency + self.limits.queue

    @property
    def is_full(self) -> bool:
        """Whether it has as many runs as it may, running and waiting for whatever."""
        return self.active + self.waiting >= self.limits.concurrency + self.limits.queue

    def wait(self) -> float:
        """As ``Admission`` has it: seconds until one more that waits is likely to have a place here."""
        mean = self.mean if self.has_room else at_least(self.mean, self.moved)
        return mean * (self.waiting + 1) / self.limits.concurrency


class SharedAdmission(Admission):
    """Places of which pipelines and callers have limited shares, and callers perhaps a rate.

    Who waits for a place of a share that is used up is passed over by others, who may go on.

    Args:
        limit, queue: Of the whole app; see ``Admission``.
        pipelines: Of single pipelines.
        key: Of each caller: of each key, each user of the host, and all others together.
        rates: How often each caller may ask.
    """

    def __init__(
        self,
        limit: int,
        queue: int,
        *,
        pipelines: Mapping[str, Limits],
        key: Limits | None,
        rates: Rates | None,
    ) -> None:
        self._pipelines, self._key = pipelines, key
        super().__init__(limit, queue, rates)

    def forget(self) -> None:
        """As of an ``Admission``; of the shares as well."""
        super().forget()
        self._of_pipelines = {name: Share("pipeline", limits, self._mean) for name, limits in self._pipelines.items()}
        self._of_callers: dict[Caller, Share] = {}

    # ------------------------------------------------------------------------------------------ coming

    def try_enter(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """As of an ``Admission``; of the shares as well."""
        caller = caller_of(who)
        with self._lock:
            self._refuse_often(caller, 1)
            if self._take_share(pipeline, caller):
                self._count(caller)
                return True
            self._refuse_crowd(pipeline, who)
            return False

    def try_spare(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """As of an ``Admission``; of the shares as well."""
        with self._lock:
            return not self.queued and self._take_share(pipeline, caller_of(who))

    def room(self, pipeline: str) -> int:
        """As of an ``Admission``."""
        share = self._of_pipelines.get(pipeline)
        return self.limit if share is None else max(0, share.limits.concurrency - share.active)

    def callers_room(self) -> tuple[int, Sequence[Caller]]:
        """As of an ``Admission``."""
        if self._key is None:
            return super().callers_room()
        most = self._key.concurrency
        with self._lock:
            rooms = {caller: most - share.active for caller, share in self._of_callers.items()}
        full = [caller for caller, room in rooms.items() if room <= 0]
        return min([most, *(room for room in rooms.values() if room > 0)]), full

    def charge(self, who: Principal | None, count: int) -> None:
        """As of an ``Admission``."""
        caller = caller_of(who)
        with self._lock:
            self._refuse_often(caller, count)
            self._count(caller, count)

    def line_up(
        self, pipeline: str = "", who: Principal | None = None, within: float | None = None, *, again: bool = False
    ) -> Ticket:
        """As of an ``Admission``; of the shares as well."""
        caller = caller_of(who)
        with self._lock:
            if not again:
                self._refuse_often(caller, 1)
                self._refuse_crowd(pipeline, who, within)
                self._count(caller)
            return self._line_up(pipeline, caller)

    def check(self, pipeline: str = "", who: Principal | None = None, count: int = 1) -> None:
        """As of an ``Admission``; of the shares as well."""
        caller = caller_of(who)
        with self._lock:
            self._refuse_often(caller, count)
            if not (self._free and all(share.has_room for share in self._shares(pipeline, caller))):
                self._refuse_crowd(pipeline, who)
            self._drop(caller)

    def refusal(self, pipeline: str = "", who: Principal | None = None) -> OverloadedError:
        """As of an ``Admission``; of the shares as well."""
        caller = caller_of(who)
        with self._lock:
            full = next((share for share in self._shares(pipeline, caller) if not share.has_room), None)
            self._drop(caller)
            return super().refusal() if full is None else self._refusal(full.full, full.wait())

    def _take_share(self, pipeline: str, caller: Caller) -> bool:
        shares = (*self._shares(pipeline, caller),)
        if not (all(share.has_room for share in shares) and self._take()):
            self._drop(caller)
            return False
        for share in shares:
            share.active += 1
        return True

    def _line_up(self, pipeline: str, caller: Caller) -> Ticket:
        for share in self._shares(pipeline, caller):
            share.waiting += 1
        return super()._line_up(pipeline, caller)

    def _refuse_crowd(self, pipeline: str, who: Principal | None, within: float | None = None) -> None:
        """With the lock held. The caller's own share comes first: that is what it can do something about."""
        caller = caller_of(who)
        try:
            for share in self._shares(pipeline, caller):
                if share.is_full:
                    raise self._refusal(share.full, share.wait())
            super()._refuse_crowd(pipeline, who, within)
        finally:
            self._drop(caller)

    def _refuse_often(self, caller: Caller, count: int) -> None:
        if self.rates is not None and (wait := self.rates.wait(caller, count)) > 0:
            self.refusals["rate"] += 1
            policy = self.rates.policy
            raise RateLimitedError(quota=policy.quota, window=policy.window, retry_after=wait)

    def _count(self, caller: Caller, count: int = 1) -> None:
        if self.rates is not None:
            self.rates.count(caller, count)

    # ------------------------------------------------------------------------------------------ going

    def step_aside(self, pipeline: str = "", who: Principal | None = None) -> bool:
        """As of an ``Admission``; of the shares as well."""
        with self._lock:
            shares = (*self._shares(pipeline, caller_of(who)),)
            if any(share.full == "key" and share.is_crowded for share in shares):
                return False
            for share in shares:
                share.waiting += 1
            aside = super().step_aside(pipeline, who)
            if not aside:
                self._read(pipeline, who)
            return aside

    def come_back(self, pipeline: str = "", who: Principal | None = None) -> Ticket:
        """As of an ``Admission``; of the shares as well."""
        with self._lock:
            self._read(pipeline, who)
            return super().come_back(pipeline, who)

    def stay_away(self, pipeline: str = "", who: Principal | None = None) -> None:
        """As of an ``Admission``; of the shares as well."""
        with self._lock:
            self._read(pipeline, who)
            super().stay_away(pipeline, who)

    def _read(self, pipeline: str, who: Principal | None) -> None:
        """With the lock held: the body is on its way no more."""
        for share in self._shares(pipeline, caller_of(who)):
            share.waiting -= 1
        self._drop(caller_of(who))

    def leave(self, duration: float, pipeline: str = "", who: Principal | None = None) -> None:
        """As of an ``Admission``; of the shares as well."""
        caller = caller_of(who)
        with self._lock:
            if duration:
                self._mean = smoothed(self._mean, duration)
                for share in self._shares(pipeline, caller):
                    share.mean = smoothed(share.mean, duration)
            self._give_back(pipeline, caller)

    def _return(self, pipeline: str, caller: Caller) -> None:
        with self._lock:
            super()._return(pipeline, caller)
            for share in self._shares(pipeline, caller):
                share.active -= 1
                share.moved = monotonic()
            self._drop(caller)

    def _unqueue(self, ticket: Ticket) -> None:
        super()._unqueue(ticket)
        for share in self._shares(ticket.pipeline, ticket.caller):
            share.waiting -= 1
        self._drop(ticket.caller)

    def _next(self) -> Ticket | None:
        if (ticket := super()._next()) is not None:
            for share in self._shares(ticket.pipeline, ticket.caller):
                share.active += 1
                share.moved = monotonic()
        return ticket

    def _fits(self, ticket: Ticket) -> bool:
        return all(share.has_room for share in self._shares(ticket.pipeline, ticket.caller))

    # ----------------------------------------------------------------------------------------- shares

    def _shares(self, pipeline: str, caller: Caller) -> Iterator[Share]:
        """The caller's, then the pipeline's, where these are limited."""
        if self._key is not None and caller is not None:
            share = self._of_callers.get(caller)
            if share is None:
                share = self._of_callers[caller] = Share("key", self._key, self._mean)
            yield share
        if (of_pipeline := self._of_pipelines.get(pipeline)) is not None:
            yield of_pipeline

    def _drop(self, caller: Caller) -> None:
        """Keep nothing of callers who neither run nor wait: there may be any number of them."""
        share = self._of_callers.get(caller)
        if share is not None and not (share.active or share.waiting):
            del self._of_callers[caller]
