"""Training of the classifier that identifies irises: a pipeline whose steps take their time, and are not done twice.

It tries some ways to learn, one after the other, chooses the best, and stores what that has learnt.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from statistics import mean, stdev
from typing import Annotated, Any

import joblib
import numpy as np
from pydantic import BaseModel, Field
from sklearn.datasets import load_iris
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipemount import StepContext, pipeline, step, unmapped

from .database import add_model, connect
from .settings import Settings

__all__ = ["CANDIDATES", "training"]

logger = logging.getLogger("meadow")

CANDIDATES: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
    "nearest neighbours": KNeighborsClassifier,
    "naive Bayes": GaussianNB,
    "random forest": lambda: RandomForestClassifier(random_state=7),
    "gradient boosting": lambda: GradientBoostingClassifier(random_state=7),
}
"""Ways to learn, from the simplest to the one that takes longest; of equals the first is chosen."""

FOLDS = 5


class Flowers(BaseModel):
    """Measurements, a row for each flower, and the number of its species."""

    measurements: list[list[float]]
    species: list[int]


class Score(BaseModel):
    """How often a candidate was right about flowers that it had not seen."""

    candidate: str
    accuracy: float
    spread: float


# ------------------------------------------------------------------------------------------------ steps


@step
def load() -> Flowers:
    """The flowers that scikit-learn ships."""
    flowers = load_iris()
    return Flowers(measurements=flowers.data.tolist(), species=flowers.target.tolist())


@step
def split(flowers: Flowers) -> tuple[Annotated[Flowers, "known"], Annotated[Flowers, "held_out"]]:
    """Three quarters to learn from; the others stay unseen until the end."""
    known, held_out, known_species, held_out_species = train_test_split(
        flowers.measurements, flowers.species, test_size=0.25, stratify=flowers.species, random_state=7
    )
    return Flowers(measurements=known, species=known_species), Flowers(measurements=held_out, species=held_out_species)


@step
def try_out(candidate: str, known: Flowers, rounds: int, context: StepContext) -> Score:
    """Have it learn from four fifths of what is known and judge the last, each fifth in turn, ``rounds`` times."""
    logger.info("training %s: %s is tried", context.run_id, candidate)
    measurements, species = np.array(known.measurements), np.array(known.species)
    folds = list(RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=rounds, random_state=7).split(measurements, species))
    right: list[float] = []
    for learnt, judged in folds:
        if context.cancelled:
            raise InterruptedError("nobody waits for it any more")
        context.progress(len(right), len(folds))
        model = CANDIDATES[candidate]().fit(measurements[learnt], species[learnt])
        right.append(model.score(measurements[judged], species[judged]))
    score = Score(candidate=candidate, accuracy=mean(right), spread=stdev(right))
    context.emit(score.model_dump())
    logger.info("training %s: %s is done", context.run_id, candidate)
    return score


@step
def choose(scores: list[Score]) -> Annotated[str, "chosen"]:
    """The one that was right most often."""
    return max(scores, key=lambda score: score.accuracy).candidate


@step
def fit(chosen: str, known: Flowers) -> bytes:
    """Have it learn from all that is known."""
    buffer = BytesIO()
    joblib.dump(CANDIDATES[chosen]().fit(known.measurements, known.species), buffer)
    return buffer.getvalue()


@step
def examine(model: bytes, held_out: Flowers) -> Annotated[float, "accuracy"]:
    """How often it is right about the flowers that were held out."""
    return float(joblib.load(BytesIO(model)).score(held_out.measurements, held_out.species))


@step
def save(chosen: str, model: bytes, accuracy: float, context: StepContext) -> Annotated[int, "number"]:
    """Store it, once for this run, however often the server ends meanwhile; the number of the model."""
    trained_by = context.principal.name if context.principal else ""
    with closing(connect(Settings.from_env().database)) as connection:
        number = add_model(connection, context.run_id, chosen, accuracy, trained_by, model)
    logger.info("training %s: the %s is stored", context.run_id, chosen)
    return number


@pipeline
def training(
    rounds: Annotated[
        int, Field(ge=1, le=100, description="How often each candidate is tried: the more, the surer")
    ] = 10,
) -> dict[str, Any]:
    """Train the classifier that identifies irises: try some ways to learn, choose the best and store it."""
    known, held_out = split(load())
    scores = try_out.map(list(CANDIDATES), unmapped(known), unmapped(rounds), max_concurrency=1)
    chosen = choose(scores)
    model = fit(chosen, known)
    accuracy = examine(model, held_out)
    return {
        "scores": scores,
        "chosen": chosen,
        "accuracy": accuracy,
        "number": save(chosen, model, accuracy),
    }
