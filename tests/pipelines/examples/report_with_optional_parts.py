"""A report with optional parts: only what was asked for is computed, and only that is in the answer."""

from __future__ import annotations

import statistics
from typing import Annotated, Any

from pydantic import BaseModel, Field

from pipemount import pipeline, step


class Summary(BaseModel):
    total: float
    mean: float
    best: int


@step
def summarise(sales: list[float]) -> Annotated[Summary, "summary"]:
    return Summary(total=sum(sales), mean=statistics.fmean(sales), best=sales.index(max(sales)) + 1)


@step
def chart(sales: list[float]) -> Annotated[list[str], "chart"]:
    widest = max(sales)
    return ["▇" * round(10 * value / widest) for value in sales]


@step
def forecast(sales: list[float]) -> Annotated[float, "forecast"]:
    slope, intercept = statistics.linear_regression(range(len(sales)), sales)
    return round(intercept + slope * len(sales), 2)


@step
def warn(predicted: float, summary: Summary) -> Annotated[str, "warning"]:
    return f"{predicted} is below the mean of {summary.mean}"


@step
def sign(note: str, summary: Summary) -> Annotated[str, "note"]:
    return f"{note} (total: {summary.total})"


@step
def bind(parts: list[Any]) -> Annotated[int, "pages"]:
    return sum(part is not None for part in parts)


@pipeline
def report_with_optional_parts(
    sales: Annotated[list[float], Field(min_length=2)],
    with_chart: bool = False,
    with_forecast: bool = False,
    note: str | None = None,
):
    """A report on monthly sales."""
    summary = summarise(sales)
    outputs: dict[str, Any] = {"summary": summary}
    if with_chart:
        outputs["chart"] = chart(sales)
    if with_forecast:
        predicted = forecast(sales)
        outputs["forecast"] = predicted
        if predicted < summary.mean:
            outputs["warning"] = warn(predicted, summary)
    if note is not None:
        outputs["note"] = sign(note, summary)
    outputs["pages"] = bind(list(outputs.values()))
    return outputs
