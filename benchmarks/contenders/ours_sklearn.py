"""The same scikit-learn pipeline, handed over as it is, mounted in FastAPI; it tells the probabilities as well."""

from __future__ import annotations

from fastapi import FastAPI

from contenders.ours import pipelines
from contenders.sklearn_work import model

served = pipelines(model)
app = FastAPI(lifespan=served.lifespan)
app.mount("/ai", served)
