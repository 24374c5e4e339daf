"""Links to a job: to the routes that the app has, wherever settings have put them."""

from __future__ import annotations

from collections.abc import Sequence

from .describe import link, place
from .routes import PARAMETER, Route

__all__ = ["JobLinks"]

JOB = f"/jobs/{PARAMETER}"
USUAL = {"poll_url": JOB, "stream_url": f"{JOB}/events", "cancel_url": f"{JOB}/cancel", "resume_url": f"{JOB}/resume"}


class JobLinks:
    """Where jobs are.

    Args:
        routes: Of the app.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._paths = {name: place(routes, known_as) for name, known_as in USUAL.items()}

    def urls(self, job_id: str, base: str) -> dict[str, str | None]:
        """``poll_url``, ``stream_url``, ``cancel_url`` and ``resume_url``; ``None`` where there is no such route."""
        return {
            name: None if path is None else link(base, path.replace(PARAMETER, job_id))
            for name, path in self._paths.items()
        }

    def location(self, job_id: str, base: str) -> list[tuple[bytes, bytes]]:
        """The header that tells where the job's record is, if it is anywhere."""
        path = self._paths["poll_url"]
        return [] if path is None else [(b"location", link(base, path.replace(PARAMETER, job_id)).encode("ascii"))]
