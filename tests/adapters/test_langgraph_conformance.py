"""The adapter for LangGraph keeps what ``check_adapter`` asks of every adapter."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal, NotRequired

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel, Field
from tests.support.models import Parrot
from typing_extensions import TypedDict

from pipemount import compile as compile_pipeline
from pipemount.testing import check_adapter


class Ticket(TypedDict):
    text: str
    urgency: NotRequired[Literal["low", "high"]]
    team: NotRequired[str]
    answer: NotRequired[str]


def sort(ticket: Ticket) -> dict[str, Any]:
    return {"team": "night" if ticket.get("urgency") == "high" else "day"}


async def draft(ticket: Ticket) -> dict[str, Any]:
    if ticket["text"] == "fail":
        raise LookupError
    if ticket["text"] == "slow":
        await asyncio.sleep(30)
    return {"answer": f"Dear {ticket['text']}"}


def route(ticket: Ticket) -> str:
    return "draft" if ticket["team"] == "day" else END


def desk() -> Any:
    new: Any = StateGraph
    inner = new(Ticket).add_node(draft).add_edge(START, "draft").compile()
    graph = new(Ticket).add_node(sort).add_node("write", inner).add_edge(START, "sort")
    return graph.add_conditional_edges("sort", route, {"draft": "write", END: END}).compile(name="desk")


async def test_a_graph_with_branches_and_a_subgraph() -> None:
    await check_adapter(
        lambda: compile_pipeline(desk()),
        good=[{"text": "Rosa"}, {"text": "Ben", "urgency": "high"}],
        bad=[{}, {"text": 3}, {"text": "x", "urgency": "medium"}, {"text": "x", "more": 1}],
        expected=[
            {"text": "Rosa", "team": "day", "answer": "Dear Rosa"},
            {"text": "Ben", "urgency": "high", "team": "night"},
        ],
        failing=[{"text": "fail"}],
        slow={"text": "slow"},
    )


class Order(BaseModel):
    items: Annotated[list[int], Field(min_length=1)]
    total: int = 0


@task
def price(item: int) -> int:
    if item < 0:
        raise ValueError
    return 10 * item


@entrypoint()
async def checkout(order: Order) -> Order:
    """Adds up what the items cost."""
    return Order(items=order.items, total=sum(await asyncio.gather(*map(price, order.items))))


async def test_a_workflow_of_the_functional_api() -> None:
    await check_adapter(
        lambda: compile_pipeline(checkout),
        good=[{"items": [1, 2]}, {"items": [7], "total": 3}],
        bad=[{"items": []}, {"items": ["x"]}, {}],
        expected=[{"items": [1, 2], "total": 30}, {"items": [7], "total": 70}],
        failing=[{"items": [-1]}],
    )


async def test_a_chat_that_remembers() -> None:
    async def answer(state: MessagesState) -> dict[str, Any]:
        said = await Parrot().ainvoke(state["messages"])
        return {"messages": [said.model_copy(update={"id": "answer"})]}

    graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
    await check_adapter(
        lambda: compile_pipeline(graph.compile(InMemorySaver(), name="chat"), thread="inputs"),
        good=[
            {"messages": [{"role": "user", "content": "hello", "id": "1"}]},
            {"messages": [{"role": "user", "content": "good bye", "id": "1"}], "thread_id": "t"},
        ],
        bad=[{"messages": [{"role": "user"}]}, {"messages": [{"role": "remove", "content": ""}]}],
    )
