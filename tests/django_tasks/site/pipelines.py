"""The app, whose jobs Django's tasks carry."""

from __future__ import annotations

from tests.support.carried import OPTIONS, made

from pipemount.django_tasks import DjangoTasks

pipelines = made(DjangoTasks(queue_name="pipelines", **OPTIONS))
