"""The app that web processes and Taskiq's workers import in tests."""

from __future__ import annotations

from taskiq_redis import ListQueueBroker
from tests.support.carried import BROKER, OPTIONS, made

from pipemount.taskiq import Taskiq, install

broker = ListQueueBroker(BROKER)
pipelines = made(Taskiq(broker, **OPTIONS))
install(broker, pipelines)
