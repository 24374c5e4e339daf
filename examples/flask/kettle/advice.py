"""Questions about a product: a pipeline whose answer is told as it comes, and the page's own way to it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated

from flask import Blueprint, flash, render_template, request
from flask_login import login_required
from pydantic import BaseModel, Field
from sqlalchemy import select

from pipemount import PipelineApp, PipelineError, PipemountError, Settings, StepContext, pipeline, step

from . import shopkeeper
from .extensions import db
from .forms import QuantityForm
from .models import Product
from .money import in_euros

__all__ = ["advice", "advise", "blueprint"]

LONGEST = 300


class Facts(BaseModel):
    """What the shop knows of a product."""

    name: str
    description: str
    price: str
    stock: int
    others: list[str]


@step
def look_up(slug: str) -> Facts:
    """The product, and what is like it."""
    found = db.session.scalar(select(Product).filter_by(slug=slug))
    if found is None:
        raise PipelineError(f"there is no product {slug!r}", status=404, code="no-such-product")
    alike = select(Product.name).where(Product.kind == found.kind, Product.id != found.id, Product.stock > 0)
    return Facts(
        name=found.name,
        description=found.description,
        price=in_euros(found.price),
        stock=found.stock,
        others=list(db.session.scalars(alike.order_by(Product.price).limit(2))),
    )


@step
def answer(question: str, facts: Facts, context: StepContext) -> Generator[str, None, Annotated[str, "answer"]]:
    """Have the shopkeeper answer; each word is told when it comes, and the whole is the output."""
    said = ""
    for word in shopkeeper.say(shopkeeper.compose(question, **facts.model_dump()), watched=context.heard):
        said += word
        yield word
    return said


@pipeline
def advise(slug: str, question: Annotated[str, Field(min_length=1, max_length=LONGEST)]):  # type: ignore[no-untyped-def]  # told by its steps
    """Answer a question about a product."""
    return answer(question, look_up(slug))


# An app of its own, so that questions take no place of the checkout's fraud check. Under WSGI a stream takes a thread
# of the server as long as it is open: of 32, eight are left to the pages; a customer may have four streams, and each
# gives its thread back after a minute. A page whose stream is refused asks once a second what came of its question.
SETTINGS = Settings(
    max_open_streams=24, max_streams=4, max_stream_age=60.0, stream_retry=1.0, max_concurrency=32, cleanup_timeout=3.0
)

advice = PipelineApp(advise, settings=SETTINGS)

# ------------------------------------------------------------------------------ where no scripts run

blueprint = Blueprint("advice", __name__)


@blueprint.post("/products/<slug>/question")
@login_required
def ask(slug: str) -> str:
    """The product's page with the answer on it, for browsers without scripts: those do not see it grow."""
    product = db.first_or_404(select(Product).filter_by(slug=slug))
    question, told = request.form.get("question", "").strip(), ""
    try:
        told = advice.run_sync("advise", slug=slug, question=question).outputs["answer"]
    except PipemountError as error:
        flash(str(error), "error")
    page = {"product": product, "form": QuantityForm(formdata=None), "askable": True}
    return render_template("product.html", question=question, answer=told, **page)
