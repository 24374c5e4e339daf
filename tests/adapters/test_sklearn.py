"""Fitted estimators behind the seam: their types, their answers, their steps."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import joblib
import numpy as np
import pytest
from pydantic import Field
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import Bunch

from pipemount import PipelineApp
from pipemount import compile as compile_pipeline
from pipemount.adapters.sklearn import EstimatorPipeline, compile_estimator
from pipemount.adapters.sklearn.columns import Column, columns_of
from pipemount.adapters.sklearn.identity import fingerprint
from pipemount.errors import ConfigurationError, InvalidInputsError, StepFailedError
from pipemount.inprocess import run_compiled
from pipemount.runtime.events import Event
from pipemount.testing import check_adapter
from pipemount.testing.subject import same

pandas = pytest.importorskip("pandas")

PLANS, COUNTRIES = ["basic", "plus", "pro"], ["IT", "NO"]
ROW = {"age": 30.0, "charge": 50.0, "plan": "pro", "country": "NO"}
NUMBERS = np.arange(40, dtype=float).reshape(20, 2) % 7
LABELS = np.where(NUMBERS[:, 0] > NUMBERS[:, 1], "more", "less")


def customers(count: int = 60) -> Any:
    chance = np.random.default_rng(0)
    return pandas.DataFrame(
        {
            "age": chance.integers(18, 80, count).astype(float),
            "charge": chance.random(count) * 100,
            "plan": chance.choice(PLANS, count),
            "country": chance.choice(COUNTRIES, count),
        }
    )


def left(table: Any) -> Any:
    return np.where(table["charge"] + table["age"] > 90, "left", "stayed")


def churn(last: Any = None, *, encoder: Any = None, imputer: Any = None) -> Any:
    numbers = make_pipeline(imputer or SimpleImputer(), StandardScaler())
    parts = [("numbers", numbers, ["age", "charge"]), ("words", encoder or OneHotEncoder(), ["plan", "country"])]
    model = Pipeline([("prepare", ColumnTransformer(parts)), ("judge", LogisticRegression() if last is None else last)])
    table = customers()
    return model.fit(table, left(table))


def is_norway(table: Any) -> Any:
    return table["country"].str.startswith("NO").to_frame()


async def ask(compiled: EstimatorPipeline, inputs: Mapping[str, Any]) -> Any:
    return dict((await run_compiled(compiled, inputs)).outputs)


# -------------------------------------------------------------------------------------- the protocol


@pytest.mark.parametrize("last", [LogisticRegression(), RandomForestClassifier(5)])
async def test_a_pipeline_keeps_the_protocol(last: Any) -> None:
    model = churn(last)
    other = ROW | {"plan": "basic", "age": None}
    table = pandas.DataFrame([ROW, other | {"age": np.nan}])
    likelihoods = model.predict_proba(table).tolist()
    expected = [
        {"prediction": prediction, "probabilities": dict(zip(["left", "stayed"], likelihood, strict=True))}
        for prediction, likelihood in zip(model.predict(table).tolist(), likelihoods, strict=True)
    ]
    bad = [{}, ROW | {"plan": "gold"}, ROW | {"age": "old"}, ROW | {"more": 1}, ROW | {"charge": float("nan")}]
    await check_adapter(lambda: compile_pipeline(model), [ROW, other], bad, expected=expected)
    batch = {"rows": [ROW, other]}
    await check_adapter(
        lambda: compile_estimator(model, batch=True), [batch], [ROW, {"rows": [{}]}], expected=[{"rows": expected}]
    )


async def test_an_app_takes_a_model_as_it_is() -> None:
    app = PipelineApp(churn())
    async with app.lifespan(app):
        result = await app.run(**ROW)
    assert set(result.outputs) == {"prediction", "probabilities"}


def test_detection_imports_nothing() -> None:
    code = (
        "import sys, pipemount, pipemount.adapters.registry as r\n"
        "assert not {'sklearn', 'numpy', 'pandas'} & set(sys.modules)\n"
        "kind = type('Model', (), {'__module__': 'sklearn.nowhere'})\n"
        "r._loaded = lambda point: lambda thing: point.value\n"
        "print(r.compile(kind()))\n"
        "assert not {'sklearn', 'numpy', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "pipemount.adapters.sklearn:compile_estimator\n", done.stderr


# --------------------------------------------------------------------------------------------- inputs


def properties(model: Any, **options: Any) -> Any:
    return compile_estimator(model, **options).input.json_schema()["properties"]


def test_inputs_are_typed_by_what_was_learnt() -> None:
    compiled = compile_pipeline(churn())
    number = {"anyOf": [{"type": "number"}, {"type": "null"}]}
    assert compiled.input.json_schema() == {
        "title": "Inputs",
        "type": "object",
        "additionalProperties": False,
        "required": ["plan", "country"],
        "properties": {
            "age": number | {"title": "Age"},
            "charge": number | {"title": "Charge"},
            "plan": {"title": "Plan", "type": "string", "enum": PLANS},
            "country": {"title": "Country", "type": "string", "enum": COUNTRIES},
        },
    }


def column(model: Any, name: str) -> Column:
    return next(column for column in columns_of(model) or () if column.name == name)


@pytest.mark.parametrize(
    ("encoder", "choices"),
    [
        (OneHotEncoder(), tuple(PLANS)),
        (OrdinalEncoder(), tuple(PLANS)),
        (OneHotEncoder(handle_unknown="ignore"), None),
        (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), None),
    ],
)
def test_an_encoder_that_refuses_the_unknown_makes_an_enum(encoder: Any, choices: Any) -> None:
    found = column(churn(encoder=encoder), "plan")
    assert (found.kind, found.choices, found.missing) == ("string", choices, False)


@pytest.mark.parametrize(
    ("imputer", "missing"),
    [
        (SimpleImputer(), True),
        (SimpleImputer(strategy="most_frequent"), True),
        (KNNImputer(), True),
        (make_pipeline(SimpleImputer(), KNNImputer()), True),
        (SimpleImputer(missing_values=-1), False),
    ],
)
def test_a_number_may_be_missing_where_an_imputer_fills_it(imputer: Any, missing: bool) -> None:
    found = column(churn(imputer=imputer), "age")
    assert (found.kind, found.missing) == ("number", missing)


async def test_texts_may_be_missing_where_an_imputer_fills_them() -> None:
    words = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    compiled = compile_estimator(churn(encoder=words))
    assert properties(churn(encoder=words))["plan"]["anyOf"] == [
        {"type": "string", "enum": PLANS},
        {"type": "null"},
    ]
    assert await ask(compiled, ROW | {"plan": None}) == await ask(
        compiled, {name: value for name, value in ROW.items() if name != "plan"}
    )


@pytest.mark.parametrize("null", [None, np.nan])
async def test_an_encoder_may_know_what_is_missing(null: Any) -> None:
    words = np.array([["a", 1], ["b", 2], [null, 1], ["a", 2]], dtype=object)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(words, [0, 1, 1, 0])
    compiled = compile_estimator(model)
    assert compiled.input.json_schema()["required"] == ["x1"]
    assert (await ask(compiled, {"x1": 1}))["prediction"] == model.predict(np.array([[null, 1]], object))[0]


def test_estimators_that_take_missing_numbers_say_so() -> None:
    table = customers()[["age", "charge"]]
    model = make_pipeline(StandardScaler(), HistGradientBoostingClassifier(max_iter=5)).fit(table, left(table))
    assert [c.missing for c in columns_of(model) or ()] == [True, True]
    mixed = ColumnTransformer([("scaled", StandardScaler(), ["age"]), ("as_is", "passthrough", ["charge"])])
    judges = make_pipeline(mixed, HistGradientBoostingClassifier(max_iter=5)).fit(table, left(table))
    assert [(c.kind, c.missing) for c in columns_of(judges) or ()] == [("number", True)] * 2
    strict = make_pipeline(mixed, LogisticRegression()).fit(table, left(table))
    assert [(c.kind, c.missing) for c in columns_of(strict) or ()] == [("number", False)] * 2


def test_a_column_that_two_parts_look_at_must_please_both() -> None:
    table = customers()[["age", "charge"]]
    union = FeatureUnion([("filled", SimpleImputer()), ("parts", PCA(1)), ("none", "drop")]).fit(table)
    assert [c.missing for c in columns_of(union) or ()] == [False, False]


@pytest.mark.parametrize(
    "selected",
    [["plan", "country"], [2, 3], [-2, -1], slice(2, 4), slice("plan", "country"), [False, False, True, True],
     lambda table: ["plan", "country"]],
)  # fmt: skip
def test_columns_are_selected_in_every_way_that_there_is(selected: Any) -> None:
    table = customers()
    model = ColumnTransformer([("words", OneHotEncoder(), selected), ("dropped", "drop", ["age"])]).fit(table)
    assert list(properties(model)) == ["plan", "country"]
    assert properties(model)["country"]["enum"] == COUNTRIES


async def test_a_column_that_no_step_looks_at_is_not_asked_for() -> None:
    table = customers()
    model = make_pipeline(ColumnTransformer([("age", "passthrough", ["age"])]), LogisticRegression())
    model.fit(table, left(table))
    compiled = compile_estimator(model)
    assert list(compiled.input.json_schema()["properties"]) == ["age"]
    assert (await ask(compiled, {"age": 70}))["prediction"] == model.predict(table.assign(age=70))[0]


async def test_a_column_that_passes_through_is_asked_for() -> None:
    table = customers()
    parts = [("words", OneHotEncoder(), ["plan"]), ("same", "passthrough", ["charge", "country"])]
    compiled = compile_estimator(ColumnTransformer(parts).fit(table))
    assert list(compiled.input.json_schema()["properties"]) == ["charge", "plan", "country"]
    given = {"charge": 3.5, "plan": "pro", "country": "NO"}
    features = (await ask(compiled, given))["features"]
    assert (features["same__charge"], features["same__country"], features["words__plan_pro"]) == (3.5, "NO", 1.0)


async def test_categories_that_a_model_encodes_itself_are_texts() -> None:
    table = customers()[["age", "plan"]].astype({"plan": "category"})
    model = HistGradientBoostingClassifier().fit(table, left(customers()))
    compiled = compile_estimator(model)
    kinds = [[one["type"] for one in column["anyOf"]] for column in compiled.input.json_schema()["properties"].values()]
    assert kinds == [["number", "null"], ["string", "null"]]
    for plan in ("pro", "another", None):
        likely = model.predict_proba(pandas.DataFrame({"age": [30.0], "plan": pandas.Series([plan], dtype=object)}))
        answer = await ask(compiled, {"age": 30, "plan": plan})
        assert list(answer["probabilities"].values()) == likely[0].tolist()


def test_a_type_that_is_given_has_an_example_of_its_own() -> None:
    table = customers()[["country"]]
    model = make_pipeline(FunctionTransformer(is_norway), LogisticRegression()).fit(table, table["country"])
    with pytest.raises(ConfigurationError, match=r"cannot judge the row \{'country': 1\.0\}"):
        compile_estimator(model)
    compiled = compile_estimator(model, columns={"country": Literal["NO", "IT"]})
    assert compiled.input.json_schema()["properties"]["country"]["enum"] == ["NO", "IT"]
    assert compile_estimator(model, columns={"country": str}).info.name == "logisticregression"


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        ([1, 2, 2], {"enum": [1, 2], "type": "integer"}),
        ([1.5, 2.0, 2.0], {"enum": [1.5, 2.0], "type": "number"}),
        ([True, False, True], {"enum": [False, True], "type": "boolean"}),
    ],
)
async def test_an_encoder_may_know_values_of_any_kind(values: list[Any], schema: Any) -> None:
    model = make_pipeline(OneHotEncoder(), LogisticRegression())
    model.fit(pandas.DataFrame({"v": values}), ["a", "b", "a"])
    compiled = compile_estimator(model)
    found = compiled.input.json_schema()["properties"]["v"]
    assert {key: found[key] for key in schema} == schema
    assert (await ask(compiled, {"v": values[0]}))["prediction"] in ("a", "b")


async def test_many_values_are_checked_but_not_enumerated() -> None:
    codes = [f"c{number}" for number in range(150)]
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(pandas.DataFrame({"code": codes * 2}), codes * 2)
    compiled = compile_estimator(model)
    assert compiled.input.json_schema()["properties"]["code"]["description"] == "One of 150 known values."
    assert (await ask(compiled, {"code": "c149"}))["probabilities"].keys() == set(codes)
    with pytest.raises(InvalidInputsError):
        compiled.input.validate({"code": "c150"})
    numbers = make_pipeline(OrdinalEncoder(), LinearRegression()).fit([[n] for n in range(150)], range(150))
    assert properties(numbers)["x0"]["type"] == "number"


async def test_without_names_numbers_are_one_list() -> None:
    model = LogisticRegression().fit(NUMBERS, LABELS)
    compiled = compile_estimator(model)
    features = compiled.input.json_schema()["properties"]["features"]
    assert (features["minItems"], features["maxItems"], features["items"]) == (2, 2, {"type": "number"})
    assert (await ask(compiled, {"features": [6, 1]}))["prediction"] == "more"
    filled = make_pipeline(SimpleImputer(), LogisticRegression()).fit(NUMBERS, LABELS)
    assert (await ask(compile_estimator(filled), {"features": [6, None]}))["prediction"] in LABELS


async def test_texts_have_one_field() -> None:
    model = make_pipeline(TfidfVectorizer(), LogisticRegression())
    model.fit(["good sun", "bad rain", "good day", "bad mud"], ["yes", "no", "yes", "no"])
    await check_adapter(lambda: compile_pipeline(model), [{"text": "good"}, {"text": "bad"}], [{"text": 3}])
    assert (await ask(compile_estimator(model), {"text": "bad"}))["prediction"] == "no"
    search = GridSearchCV(model, {"logisticregression__C": [1.0]}, cv=2)
    search.fit(["good sun", "bad rain", "good day", "bad mud"], ["yes", "no", "yes", "no"])
    assert list(properties(search)) == ["text"]
    union = FeatureUnion([("words", CountVectorizer()), ("letters", CountVectorizer(analyzer="char"))])
    assert list(properties(union.fit(["good sun"]))) == ["text"]


async def test_a_column_of_texts_beside_others() -> None:
    table = pandas.DataFrame({"said": ["good sun", "bad rain", "good day"], "age": [1.0, 2.0, 3.0]})
    parts = ColumnTransformer([("words", CountVectorizer(), "said"), ("rest", StandardScaler(), ["age"])])
    model = make_pipeline(parts, LogisticRegression()).fit(table, ["yes", "no", "yes"])
    assert [(c.name, c.kind) for c in columns_of(model) or ()] == [("said", "string"), ("age", "number")]
    assert (await ask(compile_estimator(model), {"said": "bad rain", "age": 2}))["prediction"] == "no"


class Halve(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # their bases have no types
    """Somebody's own: works with numbers only, which nothing tells."""

    def fit(self, table: Any, target: Any = None) -> Halve:
        self.n_features_in_ = table.shape[1]
        self.feature_names_in_ = np.array(table.columns, dtype=object)
        return self

    def transform(self, table: Any) -> Any:
        if (table > 1000).any().any():
            raise ValueError("too many")
        return table / 2


async def test_types_may_be_given_where_nothing_tells_them() -> None:
    model = make_pipeline(Halve(), LinearRegression()).fit(customers()[["age", "charge"]], range(60))
    assert properties(model)["age"]["anyOf"][0] == {"type": "number"}
    compiled = compile_estimator(model, columns={"age": Annotated[float, Field(ge=0, le=130)]}, name="halved")
    assert compiled.info.name == "halved"
    assert compiled.input.json_schema()["properties"]["age"] == {
        "title": "Age", "type": "number", "minimum": 0, "maximum": 130,
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="no column is called 'aeg'; there are age, charge"):
        compile_estimator(model, columns={"aeg": float})


@pytest.mark.parametrize(
    ("function", "kind"), [(None, "number"), (np.log1p, "number"), (lambda table: table * 2, "scalar")]
)
def test_functions_tell_what_they_can(function: Any, kind: str) -> None:
    model = make_pipeline(FunctionTransformer(function), LogisticRegression()).fit(NUMBERS, LABELS)
    assert {c.kind for c in columns_of(model) or ()} == {kind}
    assert list(properties(model)) == (["features"] if kind == "number" else ["x0", "x1"])


@pytest.mark.parametrize(
    "model",
    [
        GridSearchCV(churn(), {"judge__C": [0.1, 1.0]}, cv=2),
        VotingClassifier([("one", churn()), ("two", churn())]),
        CalibratedClassifierCV(churn(), cv=2),
    ],
    ids=lambda model: type(model).__name__,
)
async def test_estimators_of_estimators_take_what_the_inner_ones_take(model: Any) -> None:
    table = customers()
    compiled = compile_estimator(model.fit(table, left(table)))
    assert compiled.input.json_schema()["properties"]["plan"]["enum"] == PLANS
    assert (await ask(compiled, ROW))["prediction"] == model.predict(pandas.DataFrame([ROW]))[0]


# -------------------------------------------------------------------------------------------- outputs

SEVERAL = np.column_stack([NUMBERS[:, 0] > 3, NUMBERS[:, 1] > 3]).astype(int)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (LinearRegression(), NUMBERS[:, 0] + 0.5),
        (LinearRegression(), NUMBERS),
        (TransformedTargetRegressor(LinearRegression()), NUMBERS[:, 0]),
        (KNeighborsClassifier(), NUMBERS[:, 0].astype(int)),
        (KNeighborsClassifier(), NUMBERS[:, 0] > 3),
        (RandomForestClassifier(5), SEVERAL),
        (RandomForestClassifier(5), np.where(SEVERAL, "on", "off")),
        (MLPClassifier(4, max_iter=2000, tol=0.01), SEVERAL),
        (KMeans(2, n_init=1), None),
        (IsolationForest(n_estimators=5), None),
    ],
)
async def test_answers_are_typed_and_right(model: Any, target: Any) -> None:
    model.fit(NUMBERS, target)
    compiled = compile_estimator(model)
    rows = [{"features": row} for row in NUMBERS[:5].tolist()]
    answers = [await ask(compiled, row) for row in rows]
    assert same([answer["prediction"] for answer in answers], model.predict(NUMBERS[:5]).tolist())
    for answer in answers:
        compiled.output.dump(answer)
    if "probabilities" in answers[0] and not isinstance(answers[0]["probabilities"], list):
        likelihoods = [list(answer["probabilities"].values()) for answer in answers]
        assert same(likelihoods, model.predict_proba(NUMBERS[:5]).tolist())
    assert same((await ask(compile_estimator(model, batch=True), {"rows": rows}))["rows"], answers)


def outputs(model: Any, **options: Any) -> Any:
    return compile_estimator(model, **options).output.json_schema()["properties"]


def test_classes_are_an_enum_and_name_their_probabilities() -> None:
    schema = compile_estimator(LogisticRegression().fit(NUMBERS, LABELS)).output.json_schema()
    assert schema["properties"]["prediction"]["enum"] == ["less", "more"]
    assert schema["$defs"]["Probabilities"]["required"] == ["less", "more"]
    yes = LogisticRegression().fit(NUMBERS, NUMBERS[:, 0] > 3)
    assert list(compile_estimator(yes).output.json_schema()["$defs"].popitem()[1]["properties"]) == ["false", "true"]


def test_several_answers_are_a_list() -> None:
    found = outputs(LinearRegression().fit(NUMBERS, NUMBERS))["prediction"]
    assert (found["items"], found["minItems"], found["maxItems"]) == ({"type": "number"}, 2, 2)


async def test_transformers_give_features_by_name() -> None:
    model = ColumnTransformer([("words", OneHotEncoder(), ["plan"])], verbose_feature_names_out=False)
    model.fit(customers())
    await check_adapter(lambda: compile_pipeline(model), [{"plan": "pro"}, {"plan": "plus"}], [{"plan": "gold"}])
    assert (await ask(compile_estimator(model), {"plan": "pro"}))["features"] == {
        "plan_basic": 0.0, "plan_plus": 0.0, "plan_pro": 1.0,
    }  # fmt: skip
    words = TfidfVectorizer().fit([" ".join(f"word{number}" for number in range(150))])
    assert len((await ask(compile_estimator(words), {"text": "word3"}))["features"]) == 150


async def test_the_method_may_be_chosen() -> None:
    model = KMeans(2, n_init=1, random_state=0).fit(NUMBERS)
    row = {"features": NUMBERS[0].tolist()}
    assert (await ask(compile_estimator(model, method="transform"), row))["features"] == {
        f"kmeans{index}": pytest.approx(value) for index, value in enumerate(model.transform(NUMBERS[:1])[0])
    }
    with pytest.raises(ConfigurationError, match=r"LinearRegression has no method transform.* ask it to predict"):
        compile_estimator(LinearRegression().fit(NUMBERS, NUMBERS), method="transform")


async def test_an_empty_batch_gives_an_empty_one() -> None:
    assert await ask(compile_estimator(churn(), batch=True), {"rows": []}) == {"rows": []}


# ------------------------------------------------------------------------------------ steps and failures


async def test_each_step_is_told_and_runs_in_a_thread_of_the_app() -> None:
    heard: list[Event] = []
    threads: set[str] = set()

    def note(table: Any) -> Any:
        threads.add(threading.current_thread().name)
        return table

    model = Pipeline([("note", FunctionTransformer(note)), ("skip", "passthrough"), ("judge", LinearRegression())])
    compiled = compile_estimator(model.fit(NUMBERS, NUMBERS))
    threads.clear()
    await run_compiled(compiled, {"x0": 1, "x1": 2}, listener=heard.append)

    assert [(e.kind, e.step) for e in heard[1:-1]] == [
        ("step_started", "note"), ("step_completed", "note"), ("step_started", "judge"), ("step_completed", "judge"),
    ]  # fmt: skip
    assert threads == {"pipemount-linearregression-1"}
    assert compiled.info.doc == "A fitted Pipeline of note, judge."


async def test_a_step_that_raises_is_named_and_what_it_said_stays_inside() -> None:
    model = make_pipeline(Halve(), LinearRegression()).fit(customers()[["age", "charge"]], range(60))
    fine, failing = {"age": 1, "charge": 2}, {"age": 1, "charge": 2000}
    types = {"age": float, "charge": float}

    def make() -> EstimatorPipeline:
        return compile_estimator(model, columns=types)

    await check_adapter(make, [fine], [{"age": None, "charge": 1}], failing=[failing])
    with pytest.raises(StepFailedError, match=r"^step 'halve' raised ValueError$"):
        await run_compiled(make(), failing)


async def test_no_further_step_begins_when_nobody_waits() -> None:
    began, asked = threading.Event(), []

    def slow(table: Any) -> Any:
        began.set()
        released.wait(5)
        return table

    def count(table: Any) -> Any:
        asked.append(1)
        return table

    released = threading.Event()
    released.set()
    steps = [("slow", FunctionTransformer(slow)), ("count", FunctionTransformer(count)), ("last", LinearRegression())]
    compiled = compile_estimator(Pipeline(steps).fit(NUMBERS, NUMBERS))
    released.clear()
    began.clear()
    asked.clear()

    run = asyncio.ensure_future(run_compiled(compiled, {"x0": 1, "x1": 2}, listener=lambda event: None))
    while not began.is_set():
        await asyncio.sleep(0.001)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    released.set()
    await asyncio.sleep(0.05)
    assert asked == []


# ------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (LogisticRegression(), r"^LogisticRegression is not fitted yet; call its fit\(…\) first, or load one that is"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "^Pipeline is not fitted yet"),
        (Bunch(a=1), "^Bunch is no estimator"),
        (DBSCAN().fit(NUMBERS), "^DBSCAN has no method predict or transform, so it cannot judge new rows"),
        (Pipeline([("as_is", "passthrough")]).fit(NUMBERS), "^a pipeline of 'passthrough' alone has no answers"),
    ],
)
def test_what_cannot_judge_is_refused_with_a_way_out(thing: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        compile_pipeline(thing)


def test_a_model_that_cannot_judge_the_example_asks_for_a_better_one() -> None:
    def strict(table: Any) -> Any:
        if (np.asarray(table, dtype=float) < 3).any():
            raise ValueError("too few")
        return table

    model = make_pipeline(FunctionTransformer(strict), LinearRegression()).fit(NUMBERS + 3, NUMBERS)
    with pytest.raises(ConfigurationError, match=r"step 'functiontransformer' cannot judge .* \(ValueError: too few\)"):
        compile_estimator(model)
    assert compile_estimator(model, example={"x0": 3.0, "x1": 4.0}).info.name == "linearregression"


def test_names_need_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    model = churn()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ConfigurationError, match="install pandas"):
        compile_estimator(model)


class Bare(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # their bases have no types
    """Somebody's own that keeps nothing of what it was fitted on."""

    def fit(self, table: Any, target: Any = None) -> Bare:
        return self

    def transform(self, table: Any) -> Any:
        return np.column_stack([table["age"], table["plan"] == "pro"])

    def __sklearn_is_fitted__(self) -> bool:
        return True


async def test_columns_that_nothing_tells_are_asked_for() -> None:
    model = make_pipeline(Bare(), LinearRegression()).fit(customers(), range(60))
    with pytest.raises(ConfigurationError, match=r"^Pipeline does not tell which columns it takes; name them"):
        compile_estimator(model)
    compiled = compile_estimator(model, columns={"age": float, "plan": str})
    assert compiled.input.json_schema()["required"] == ["age", "plan"]
    inputs = {"age": 30, "plan": "pro"}
    assert (await ask(compiled, inputs))["prediction"] == model.predict(pandas.DataFrame([inputs]))[0]


# ------------------------------------------------------------------------------------------- identity


def test_a_loaded_model_is_the_same_model(tmp_path: Path) -> None:
    model = churn(RandomForestClassifier(5, random_state=np.random.RandomState(1)))
    joblib.dump(model, tmp_path / "model.joblib")
    prints = {
        compile_pipeline(one).info.fingerprint
        for one in (model, pickle.loads(pickle.dumps(model)), joblib.load(tmp_path / "model.joblib"))
    }
    assert len(prints) == 1


def test_another_model_has_another_fingerprint() -> None:
    models = [
        churn(),
        churn(LogisticRegression(C=0.5)),
        churn(RandomForestClassifier(5)),
        churn(KNeighborsClassifier()),
    ]
    prints = [compile_pipeline(model).info.fingerprint for model in models]
    prints += [compile_estimator(models[0], **options).info.fingerprint for options in OPTIONS]
    assert len(set(prints)) == len(prints)


OPTIONS: list[Any] = [{"batch": True}, {"columns": {"age": int}}]


def test_serving_leaves_the_fingerprint_as_it_was() -> None:
    model = KNeighborsClassifier(algorithm="kd_tree").fit(NUMBERS, LABELS)
    before = compile_pipeline(model).info.fingerprint
    model.predict(NUMBERS)
    assert compile_pipeline(model).info.fingerprint == before


class Ring:
    """Knows itself, and cannot be pickled."""

    def __init__(self, *values: int) -> None:
        self.ring, self.values, self.lock = self, set(values), threading.Lock()


def test_anything_has_a_fingerprint() -> None:
    assert fingerprint(Ring(1, 2)) == fingerprint(Ring(2, 1)) != fingerprint(Ring(1, 3))


def double(table: Any) -> Any:
    return 2 * table


def triple(table: Any) -> Any:
    return 3 * table


triple.__qualname__ = "double"


def test_functions_count_with_their_code() -> None:
    prints = [
        compile_estimator(make_pipeline(FunctionTransformer(f), LinearRegression()).fit(NUMBERS, NUMBERS[:, 0]))
        for f in (double, triple)
    ]
    assert prints[0].info.fingerprint != prints[1].info.fingerprint


SCRIPT = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from pipemount import compile
table = np.arange(40.0).reshape(20, 2)
print(compile(RandomForestClassifier(5, random_state=0).fit(table, ["a", "b"] * 10)).info.fingerprint)
"""


def test_the_fingerprint_is_the_same_in_another_process(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(SCRIPT, "script", "exec"), {})
    environment = os.environ | {"PYTHONHASHSEED": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == capsys.readouterr().out


def test_a_schema_is_json() -> None:
    compiled = compile_estimator(churn())
    schemas = [compiled.input.json_schema(), compiled.output.json_schema()]
    assert json.loads(json.dumps(schemas, allow_nan=False)) == schemas
