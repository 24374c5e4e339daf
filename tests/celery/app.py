"""The app that web processes and Celery's workers import in tests."""

from __future__ import annotations

import celery
from tests.support.carried import BROKER, OPTIONS, made

from pipemount.celery import Celery, install

celery_app = celery.Celery("carried", broker=BROKER)
celery_app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
celery_app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)  # others' tasks may want it

pipelines = made(Celery(celery_app, grace=1.0, target="tests.celery.app:pipelines", **OPTIONS))
install(celery_app, pipelines)
