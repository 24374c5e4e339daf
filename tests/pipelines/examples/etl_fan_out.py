"""ETL with fan-out: each file is parsed, cleaned and counted by itself; then all are loaded together."""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import Annotated

from pydantic import BaseModel

from pipemount import pipeline, step, unmapped


class File(BaseModel):
    name: str
    text: str


class Sale(BaseModel):
    product: str
    amount: float


class Table(BaseModel):
    name: str
    sales: list[Sale]
    dropped: int


@step
def extract(file: File) -> list[dict[str, str | None]]:
    return list(csv.DictReader(io.StringIO(file.text)))


@step
def transform(rows: list[dict[str, str | None]], currency: float) -> tuple[list[Sale], int]:
    sales = [
        Sale(product=str(row["product"]).strip().lower(), amount=round(float(amount) * currency, 2))
        for row in rows
        if row.get("product") and (amount := row.get("amount"))
    ]
    return sales, len(rows) - len(sales)


@step
def describe(name: str, sales: list[Sale], dropped: int) -> Table:
    return Table(name=name, sales=sales, dropped=dropped)


@step
def load(tables: list[Table]) -> Annotated[dict[str, float], "totals"]:
    totals: Counter[str] = Counter()
    for sale in (sale for table in tables for sale in table.sales):
        totals[sale.product] += sale.amount  # type: ignore[assignment]  # a Counter adds up floats as well
    return dict(sorted(totals.items()))


@step
def report_dropped(tables: list[Table]) -> Annotated[dict[str, int], "dropped"]:
    return {table.name: table.dropped for table in tables if table.dropped}


@pipeline
def ingest(file: File, currency: float):
    sales, dropped = transform(extract(file), currency)
    return describe(file.name, sales, dropped)


@pipeline
def etl_fan_out(files: list[File], currency: float = 1.0, strict: bool = False):
    """Totals by product over all files."""
    tables = ingest.map(files, currency=unmapped(currency), max_concurrency=8)
    outputs = {"totals": load(tables)}
    if strict:
        outputs["dropped"] = report_dropped(tables)
    return outputs
