"""Ten pipelines of the kinds that people write: over HTTP, in process, and as they are drawn."""

from __future__ import annotations

import base64
import importlib
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.pipelines.examples import draw
from tests.support.client import TestClient

import pipemount
from pipemount import PipelineApp
from pipemount.inprocess import Pipeline, run_compiled
from pipemount.runtime.events import Event

INVOICE = "Invoice  A-7\n amount due: {} EUR"
LAPTOP = "Is a broken laptop replaced?"
BASKET = {"items": {"tea": 2}}


def png(width: int, height: int, colour: str) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return base64.urlsafe_b64encode(buffer.getvalue()).decode()


def verdict(decision: str, reason: str) -> dict[str, Any]:
    return {"verdict": {"decision": decision, "reason": reason}}


def order(customer: str, total: float, country: str = "NOR", method: str = "card") -> dict[str, Any]:
    return {"order": {"customer": customer, "country": country, "total": total, "method": method}}


def purchase(amount: float, **answers: str) -> dict[str, Any]:
    return {"request": {"what": "desk", "amount": amount}, **answers}


def file(name: str, *lines: str) -> dict[str, str]:
    return {"name": name, "text": "\n".join(["product,amount", *lines])}


def readings(*values: float) -> list[dict[str, Any]]:
    return [{"sensor": f"s{index}", "value": value} for index, value in enumerate(values)]


CASES: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "document_triage": [
        (
            {"text": INVOICE.format("99.50")},
            {"kind": "invoice", "invoice": {"number": "A-7", "amount": 99.5}, "next": "Booked A-7"},
        ),
        (
            {"text": INVOICE.format("1200")},
            {
                "kind": "invoice",
                "invoice": {"number": "A-7", "amount": 1200.0},
                "next": "Please approve invoice A-7 over 1200.00 EUR",
            },
        ),
        (
            {"text": "I am disappointed,\nand want a refund."},
            {
                "kind": "complaint",
                "next": "We are sorry to read this: “I am disappointed, and want a refund.”",
            },
        ),
        ({"text": "Season's greetings"}, {"kind": "other", "next": "archive/000018"}),
    ],
    "churn_scoring": [
        ({"customer": {"months": 30, "plan": "pro"}}, {"risk": {"probability": 0.0, "likely": False}}),
        (
            {"customer": {"months": 2, "tickets": 6}},
            {"risk": {"probability": 1.0, "likely": True}, "offer": "25 % off the next year"},
        ),
        (
            {"customer": {"months": 1, "tickets": 4, "plan": "pro"}},
            {"risk": {"probability": 1.0, "likely": True}, "offer": "Call: 4 tickets in 1 months"},
        ),
    ],
    "rag_answer": [
        ({"question": LAPTOP}, {"answer": "A broken laptop is replaced within two days. Ask the help desk."}),
        (
            {"question": LAPTOP, "sources": True},
            {"answer": "A broken laptop is replaced within two days. Ask the help desk.", "sources": ["laptops"]},
        ),
        (
            {"question": "Who painted this wall?", "sources": True},
            {"answer": "The handbook does not say: Who painted this wall?"},
        ),
    ],
    "image_thumbnails": [
        ({"images": [], "sizes": [8]}, {"thumbnails": []}),
        (
            {"images": [png(40, 20, "black"), png(10, 10, "white")], "sizes": [20, 4]},
            {
                "thumbnails": [
                    {"width": 20, "height": 10, "png": png(20, 10, "black")},
                    {"width": 4, "height": 2, "png": png(4, 2, "black")},
                    {"width": 10, "height": 10, "png": png(10, 10, "white")},
                    {"width": 4, "height": 4, "png": png(4, 4, "white")},
                ]
            },
        ),
        (
            {"images": [png(4, 4, "white")], "sizes": [2], "greyscale": True, "author": "Ada"},
            {"thumbnails": [{"width": 2, "height": 2, "png": png(2, 2, "white")}], "captions": ["Ada 2×2"]},
        ),
    ],
    "order_fraud_check": [
        (order("ada", 50, country="ATL"), verdict("refuse", "we do not deliver there")),
        (order("joan", 50, method="invoice"), verdict("refuse", "first orders are paid by card")),
        (
            order("joan", 1500),
            {**verdict("review", "the risk is high"), "ticket": "review joan: 1500.00 at risk 0.75", "risk": 0.75},
        ),
        (order("ada", 1500, method="invoice"), {**verdict("accept", "the risk is low"), "risk": 0.08}),
    ],
    "etl_fan_out": [
        ({"files": []}, {"totals": {}}),
        (
            {"files": [file("may", "Tea,4.5", "cup ,12", ",3"), file("june", "tea,5.5")], "currency": 2},
            {"totals": {"cup": 24.0, "tea": 20.0}},
        ),
        (
            {"files": [file("may", "tea,4.5", ",3", "cup,"), file("june", "tea,1")], "strict": True},
            {"totals": {"tea": 5.5}, "dropped": {"may": 2}},
        ),
    ],
    "two_stage_approval": [
        (purchase(500, team="no"), {"outcome": {"status": "rejected", "by": "team"}}),
        (
            purchase(500, team="yes"),
            {"outcome": {"status": "approved", "by": "team"}, "order": "desk for 500.00, approved by team"},
        ),
        (
            purchase(1500, team="yes"),
            {
                "outcome": {"status": "pending", "by": "team"},
                "reminder": "desk is above 1000: finance has to answer",
            },
        ),
        (purchase(1500, team="yes", finance="no"), {"outcome": {"status": "rejected", "by": "finance"}}),
        (
            purchase(1500, team="yes", finance="yes"),
            {"outcome": {"status": "approved", "by": "finance"}, "order": "desk for 1500.00, approved by finance"},
        ),
    ],
    "report_with_optional_parts": [
        ({"sales": [1, 3]}, {"summary": {"total": 4.0, "mean": 2.0, "best": 2}, "pages": 1}),
        (
            {"sales": [2, 4], "with_chart": True, "with_forecast": True, "note": "Well done"},
            {
                "summary": {"total": 6.0, "mean": 3.0, "best": 2},
                "chart": ["▇▇▇▇▇", "▇▇▇▇▇▇▇▇▇▇"],
                "forecast": 6.0,
                "note": "Well done (total: 6.0)",
                "pages": 4,
            },
        ),
        (
            {"sales": [4, 2], "with_forecast": True},
            {
                "summary": {"total": 6.0, "mean": 3.0, "best": 1},
                "forecast": 0.0,
                "warning": "0.0 is below the mean of 3.0",
                "pages": 3,
            },
        ),
    ],
    "sensor_batch": [
        (
            {"readings": readings(1, 2), "calibration": {"offset": 1, "factor": 2}},
            {"readings": readings(4.0, 6.0), "mean": 5.0},
        ),
        (
            {"readings": readings(1, 2, 9), "calibration": {"offset": 0, "factor": 1}},
            {
                "readings": readings(1.0, 2.0, 9.0),
                "mean": 4.0,
                "alarm": "look at s2: the readings are 8.0 apart",
            },
        ),
    ],
    "nested_sub_pipelines": [
        (
            {"basket": BASKET},
            {"amount": 9.0, "delivery": {"days": 4, "cost": 3.9}, "invoice": "12.90 EUR, in 4 days"},
        ),
        (
            {"basket": {**BASKET, "member": True}, "speed": "express"},
            {"amount": 8.1, "delivery": {"days": 1, "cost": 9.9}, "invoice": "18.00 EUR, in 1 days"},
        ),
        (
            {"basket": {"items": {"pot": 2}, "member": True}},
            {"amount": 51.3, "delivery": {"days": 4, "cost": 3.9}, "invoice": "55.20 EUR, in 4 days"},
        ),
        (
            {"basket": {"items": {"pot": 2}}},
            {"amount": 57.0, "delivery": {"days": 4, "cost": 3.9}, "invoice": "60.90 EUR, in 4 days"},
        ),
    ],
}

EVERY_CASE = [pytest.param(name, *case, id=f"{name}-{n}") for name in CASES for n, case in enumerate(CASES[name])]


def load(name: str) -> Pipeline:
    made = getattr(importlib.import_module(f"tests.pipelines.examples.{name}"), name)
    assert isinstance(made, Pipeline)
    return made


@pytest.mark.parametrize(("name", "inputs", "outputs"), EVERY_CASE)
def test_over_http(name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    with TestClient(PipelineApp(load(name))) as client:
        answer = client.post("/invoke", json={"parameters": inputs})
    assert answer.status_code == 200, answer.text
    assert answer.json()["outputs"] == outputs


@pytest.mark.parametrize(("name", "inputs", "outputs"), EVERY_CASE)
def test_in_process(name: str, inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    made = load(name)
    assert made.compile().output.dump(made(**inputs)) == outputs


@pytest.mark.parametrize("name", CASES)
async def test_the_cases_go_every_way(name: str) -> None:
    compiled = pipemount.compile(load(name))
    snapshot = load(name).compile()
    seen: list[Event] = []
    for inputs, _ in CASES[name]:
        await run_compiled(compiled, inputs, listener=seen.append)
    assert {event.step for event in seen if event.kind == "step_started"} >= {node.id for node in snapshot.nodes}
    answers = {(event.data["branch"], event.data["answer"]) for event in seen if event.kind == "branch"}
    assert answers == {(branch.id, answer) for branch in snapshot.branches for answer in (True, False)}


@pytest.mark.parametrize("name", CASES)
def test_its_drawing_is_checked_in(name: str) -> None:
    assert draw.path(name).read_text() == draw.drawing(name), "python -m tests.pipelines.examples.draw"


def test_nothing_is_left_out_and_each_is_short() -> None:
    folder = Path(draw.__file__).parent
    modules = sorted(path.stem for path in folder.glob("*.py") if path.stem != "draw")
    assert modules == sorted(CASES) == sorted(path.stem for path in folder.glob("drawings/*.mmd"))
    assert all(30 <= len((folder / f"{name}.py").read_text().splitlines()) <= 80 for name in modules)
