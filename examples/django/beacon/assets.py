"""Style sheets and scripts under any server, without a further package; a proxy may serve them in its place."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from django.contrib.staticfiles import finders
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

__all__ = ["asset"]


@require_safe
@cache_control(public=True, max_age=300)
def asset(request: HttpRequest, name: str) -> HttpResponse:
    """A file of an app's ``static`` folder, as ``collectstatic`` would find it."""
    found = finders.find(name)
    if found is None or not Path(found).is_file():
        raise Http404(name)
    kind, _ = mimetypes.guess_type(name)
    return HttpResponse(Path(found).read_bytes(), content_type=kind or "application/octet-stream")
