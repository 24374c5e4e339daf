"""Which friends of the garden will leave: a scikit-learn pipeline, and nothing of pipemount."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

__all__ = ["churn"]

NUMBERS = ["years", "visits", "fee"]
WORDS = ["membership", "payment"]


def friends(count: int = 400) -> tuple[pd.DataFrame, pd.Series]:
    """The friends of past years, and whether they left: those who pay much, come seldom and are not bound."""
    chance = np.random.default_rng(7)
    table = pd.DataFrame(
        {
            "years": chance.integers(0, 30, count).astype(float),
            "visits": chance.poisson(6, count).astype(float),
            "fee": chance.choice([25.0, 40.0, 60.0], count),
            "membership": chance.choice(["single", "family", "student"], count),
            "payment": chance.choice(["debit", "invoice"], count),
        }
    )
    reasons = table["fee"] / 10 - table["visits"] - table["years"] / 3 + 4 * (table["payment"] == "invoice")
    left = pd.Series(np.where(reasons + chance.normal(0, 1, count) > 0, "leaves", "stays"))
    table.loc[chance.random(count) < 0.1, "visits"] = np.nan  # not everybody shows the card at the gate
    return table, left


def fit() -> Pipeline:
    """Learn from them; takes a few milliseconds. A product would load what it has fitted elsewhere."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepare = ColumnTransformer([("numbers", numbers, NUMBERS), ("words", OneHotEncoder(), WORDS)])
    model = Pipeline([("prepare", prepare), ("judge", LogisticRegression())])
    return model.fit(*friends())


churn = fit()
