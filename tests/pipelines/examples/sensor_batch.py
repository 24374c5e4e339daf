"""A batch of sensor readings: each is calibrated by itself; the batch as a whole decides about the alarm."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from pipemount import pipeline, step, unmapped


@dataclass
class Reading:
    sensor: str
    value: float


class Calibration(TypedDict):
    offset: float
    factor: float


class Statistics(TypedDict):
    mean: float
    spread: float


@step
def calibrate(reading: Reading, calibration: Calibration) -> Reading:
    return Reading(reading.sensor, round((reading.value + calibration["offset"]) * calibration["factor"], 3))


@step
def measure(readings: list[Reading]) -> Statistics:
    values = [reading.value for reading in readings]
    return Statistics(mean=round(statistics.fmean(values), 3), spread=round(max(values) - min(values), 3))


@step
def deviation(reading: Reading, mean: float) -> float:
    return round(abs(reading.value - mean), 3)


@step
def worst(readings: list[Reading], deviations: list[float]) -> Annotated[str, "worst"]:
    return max(zip(deviations, readings, strict=True), key=lambda pair: pair[0])[1].sensor


@step
def raise_alarm(sensor: str, spread: float) -> Annotated[str, "alarm"]:
    return f"look at {sensor}: the readings are {spread} apart"


@pipeline
def sensor_batch(
    readings: Annotated[list[Reading], Field(min_length=1)],
    calibration: Calibration,
    tolerance: Annotated[float, Field(gt=0)] = 5.0,
):
    """Calibrate a batch and find the sensor that is off."""
    calibrated = calibrate.map(readings, calibration=unmapped(calibration))
    batch = measure(calibrated)
    outputs = {"readings": calibrated, "mean": batch["mean"]}
    if batch["spread"] > tolerance:
        suspect = worst(calibrated, deviation.map(calibrated, mean=unmapped(batch["mean"])))
        outputs["alarm"] = raise_alarm(suspect, batch["spread"])
    return outputs
