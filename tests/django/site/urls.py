from __future__ import annotations

from functools import wraps
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

from .pipelines import keyed, pipelines, several


def token(request: HttpRequest) -> HttpResponse:
    return HttpResponse(get_token(request))


def marks(view: Any) -> Any:
    """A decorator that knows both kinds of views."""
    if iscoroutinefunction(view):

        async def arespond(request: HttpRequest, **captured: Any) -> Any:
            response = await view(request, **captured)
            response["x-marks"] = "outer " + response.get("x-marks", "")
            return response

        return arespond

    def respond(request: HttpRequest, **captured: Any) -> Any:
        response = view(request, **captured)
        response["x-marks"] = "outer " + response.get("x-marks", "")
        return response

    return respond


def old_style(view: Any) -> Any:
    """A decorator that knows sync views only: it asks for the user, and looks at the response."""

    @wraps(view)
    def respond(request: HttpRequest, **captured: Any) -> Any:
        if not request.user.is_authenticated or not getattr(request.user, "is_staff", False):
            return HttpResponse("staff only", status=403)
        response = view(request, **captured)
        response["x-marks"] = "inner"
        return response

    return respond


def by_header(request: HttpRequest) -> Any:
    name = request.headers.get("x-name")
    return User.objects.filter(username=name).first() or name


async def aby_header(request: HttpRequest) -> Any:
    name = request.headers.get("x-name")
    return await User.objects.filter(username=name).afirst() or name


def wrapped(urls: Any) -> Any:
    """What packages do that put a decorator around each view of an include."""
    patterns, name = urls
    for pattern in patterns:
        view = pattern.callback

        def respond(request: HttpRequest, view: Any = view, **captured: Any) -> Any:
            return view(request, **captured)

        pattern.callback = wraps(view)(csrf_exempt(respond))
    return patterns, name


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("the host")


def mine(request: HttpRequest) -> HttpResponse:
    return HttpResponse(several.run_sync("whoami").value)


async def amine(request: HttpRequest) -> HttpResponse:
    return HttpResponse((await several.run("whoami")).value)


def link(request: HttpRequest, job_id: str) -> JsonResponse:
    return JsonResponse(dict(several.sign(job_id, request.GET.get("permission", "read"), 60).paths))


async def alink(request: HttpRequest, job_id: str) -> JsonResponse:
    return link(request, job_id)


urlpatterns = [
    path("admin/", admin.site.urls),
    path("page/", page),
    path("link/<str:job_id>/", link),
    path("async/link/<str:job_id>/", alink),
    path("mine/", mine),
    path("async/mine/", amine),
    path("wrapped/", include(wrapped(pipelines.django_urls(name="wrapped")))),
    path("token/", token),
    path("ai/", include(pipelines.django_urls())),
    path("several/", include(several.django_urls(name="several"))),
    path("keyed/open/", include(keyed.django_urls(name="keyed"))),
    path("members/", include(several.django_urls([login_required], name="members"))),
    path("staff/", include(several.django_urls([marks, old_style], name="staff"))),
    path(
        "may/",
        include(several.django_urls(name="may", permissions={"invoke": "site.run_notes"})),
    ),
    path("named/", include(several.django_urls(name="named", principal=by_header))),
    path("named-async/", include(several.django_urls(name="named-async", principal=aby_header))),
    path("keyed/guarded/", include(keyed.django_urls(name="guarded", permissions={"read": "site.view_note"}))),
    path("<slug:tenant>/ai/", include(several.django_urls(name="tenant"))),
]
