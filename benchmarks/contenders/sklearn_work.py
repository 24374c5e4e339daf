"""A fitted scikit-learn pipeline, for who serves it by hand and for us: who leaves?"""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

PLANS = ["basic", "plus", "pro"]
REGIONS = ["north", "south"]


def fit() -> Pipeline:
    """Learn from customers drawn by chance, always the same."""
    chance = np.random.default_rng(0)
    count = 400
    customers = pd.DataFrame(
        {
            "age": chance.integers(18, 80, count).astype(float),
            "months": chance.integers(0, 60, count).astype(float),
            "charge": chance.uniform(5, 100, count),
            "plan": chance.choice(PLANS, count),
            "region": chance.choice(REGIONS, count),
        }
    )
    leaves = np.where(customers["charge"] > 2 * customers["months"], "leaves", "stays")
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    prepare = ColumnTransformer(
        [("numbers", numbers, ["age", "months", "charge"]), ("words", OneHotEncoder(), ["plan", "region"])]
    )
    return Pipeline([("prepare", prepare), ("judge", LogisticRegression())]).fit(customers, leaves)


model = fit()
