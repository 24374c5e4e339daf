"""A sync step, served directly: one hop to a thread of ours."""

from __future__ import annotations

from contenders.ours import pipelines, weather_sync

app = pipelines(weather_sync)
