"""A scikit-learn pipeline behind FastAPI by hand: validated, put into a frame, judged in FastAPI's thread pool."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict
from work import Answer, Parameters, answer

from contenders.sklearn_work import model

app = FastAPI()


class Customer(BaseModel):
    """The columns that the model was fitted on."""

    model_config = ConfigDict(extra="forbid")

    age: float | None = None
    months: float | None = None
    charge: float | None = None
    plan: Literal["basic", "plus", "pro"]
    region: Literal["north", "south"]


class Envelope(BaseModel):
    """A request."""

    parameters: Customer


@app.post("/invoke")
def invoke(envelope: Envelope) -> Answer:
    """Judge one customer."""
    (prediction,) = model.predict(pd.DataFrame([envelope.parameters.model_dump()]))
    filled = answer(Parameters(), "")
    return Answer(**filled | {"outputs": {"prediction": str(prediction)}})
