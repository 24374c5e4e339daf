"""Meadow's pipelines: what they do, and the app that serves them."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from io import BytesIO
from typing import Annotated, Any

import joblib
from pydantic import BaseModel, Field
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pipemount import AuthKeys, Local, PipelineApp, PipelineError, Settings, StepContext, pipeline, step

from .advice import advice
from .assistant import assistant
from .churn import churn
from .database import newest_model
from .settings import Settings as Told
from .training import training

__all__ = ["Measurements", "iris", "pipelines", "weather"]

# Here, and not where the server begins: a worker, and a process that performs a single job, import this module alone.
logging.basicConfig(level=logging.INFO, format="%(levelname)s:     %(name)s: %(message)s")
logger = logging.getLogger("meadow")

# ---------------------------------------------------------------------------------------- weather


@step
def process_weather(city: str, temperature: float) -> Annotated[str, "weather_analysis"]:
    return f"The weather in {city} is {temperature} degrees Celsius."


@pipeline
def weather(city: str = "Paris", temperature: float = 20.0) -> str:
    """Say in a sentence what the weather is like."""
    analysis: str = process_weather(city=city, temperature=temperature)
    return analysis


# ------------------------------------------------------------------------------------------- iris


class Measurements(BaseModel):
    """One iris flower, measured in centimetres."""

    sepal_length: Annotated[float, Field(ge=1, le=12, description="From the base to the tip of a sepal, in cm")]
    sepal_width: Annotated[float, Field(ge=0.5, le=8, description="Across the widest part of a sepal, in cm")]
    petal_length: Annotated[float, Field(ge=0.2, le=12, description="From the base to the tip of a petal, in cm")]
    petal_width: Annotated[float, Field(ge=0.05, le=6, description="Across the widest part of a petal, in cm")]


class Prediction(BaseModel):
    """The species that is likeliest, and how likely each of them is."""

    species: str
    probabilities: dict[str, Annotated[float, Field(ge=0, le=1)]]


@dataclass(frozen=True, slots=True)
class Classifier:
    """What ``train`` leaves behind for every run: a fitted model, the names of its classes, and what is usual."""

    model: Any
    species: list[str]
    usual: list[float]


def train() -> Classifier:
    """Take the model that was trained last; where there is none, learn from the data set that scikit-learn ships."""
    flowers = load_iris()
    if stored := newest_model(Told.from_env().database):  # from our own table: what is pickled can do anything
        model = joblib.load(BytesIO(stored))
        logger.info("on_init: the iris classifier is the one that was trained last")
    else:
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(flowers.data, flowers.target)
        logger.info("on_init: the iris classifier has learnt from %d flowers", len(flowers.target))
    return Classifier(model, [str(name) for name in flowers.target_names], flowers.data.mean(axis=0).tolist())


def release(classifier: Classifier) -> None:
    """Say goodbye; a model that holds a file or a GPU would let go of it here."""
    logger.info("on_cleanup: the iris classifier of %d species is released", len(classifier.species))


@step
def prepare(measurements: Measurements) -> Annotated[list[float], "features"]:
    """Refuse what no flower looks like, and put the numbers in the order that the model learnt them in."""
    if measurements.petal_width > measurements.petal_length:
        raise PipelineError("a petal is longer than it is wide: are the two swapped?", status=422, code="petal-swapped")
    return [
        measurements.sepal_length,
        measurements.sepal_width,
        measurements.petal_length,
        measurements.petal_width,
    ]


@step
def predict(features: list[float], context: StepContext) -> Prediction:
    """Ask the model."""
    classifier: Classifier = context.pipeline_state
    (likelihoods,) = classifier.model.predict_proba([features]).tolist()
    probabilities = dict(zip(classifier.species, likelihoods, strict=True))
    return Prediction(species=max(probabilities, key=probabilities.__getitem__), probabilities=probabilities)


@step
def explain(features: list[float], prediction: Prediction, context: StepContext) -> Annotated[str, "explanation"]:
    """Name the measurement that speaks most for the species: the one without which it would be least likely."""
    classifier: Classifier = context.pipeline_state
    without = [[*features[:n], usual, *features[n + 1 :]] for n, usual in enumerate(classifier.usual)]
    likelihoods = classifier.model.predict_proba(without)[:, classifier.species.index(prediction.species)]
    strongest = int(likelihoods.argmin())
    name = list(Measurements.model_fields)[strongest].replace("_", " ")
    likelihood = prediction.probabilities[prediction.species]
    return (
        f"Iris {prediction.species} with a likelihood of {likelihood:.0%}; "
        f"the {name} of {features[strongest]:g} cm speaks for it most."
    )


@pipeline(on_init=train, on_cleanup=release)
def iris(measurements: Measurements) -> dict[str, Any]:
    """Tell the species of an iris from the measurements of one flower."""
    features = prepare(measurements)
    prediction = predict(features)
    return {
        "species": prediction.species,
        "probabilities": prediction.probabilities,
        "explanation": explain(features, prediction),
    }


# -------------------------------------------------------------------------------------------- app


def keys() -> AuthKeys:
    """The keys in ``MEADOW_KEYS``; without it one for this process alone, printed once, for trying things out."""
    if "MEADOW_KEYS" in os.environ:
        return AuthKeys.from_env("MEADOW_KEYS")
    trial = AuthKeys.generate("trial")
    print(f"MEADOW_KEYS is not set; until the next start the key is {trial.generated}", file=sys.stderr)
    return trial


told = Told.from_env()
pipelines = PipelineApp(
    {
        "weather": weather,
        "iris": iris,
        "assistant": assistant,
        "churn": churn,
        "advice": advice,
        "training": training,
    },
    auth=keys(),
    # What a server has not done by its end the next one does: there is no use in waiting long.
    settings=Settings(cleanup_timeout=1.0, job_ttl=7 * 24 * 3600.0),
    jobs=Local(told.jobs),
    token_secret=told.secret,
)
