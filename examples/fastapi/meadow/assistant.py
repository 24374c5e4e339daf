"""The garden's assistant: a LangGraph graph that was compiled elsewhere and is served as it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langgraph.graph import END, START, StateGraph
from pydantic import Field
from typing_extensions import TypedDict

from pipemount import compile, get_step_context

__all__ = ["assistant"]

Topic = Literal["water", "light", "planting"]

WORDS: dict[Topic, tuple[str, ...]] = {
    "water": ("water", "dry", "wet", "rain", "drain"),
    "light": ("light", "sun", "shade", "shadow"),
    "planting": ("plant", "divide", "deep", "rhizome", "soil"),
}
HANDBOOK: dict[str, dict[Topic, str]] = {
    "setosa": {
        "water": "Iris setosa likes its soil moist all year and bears a few weeks of standing water.",
        "light": "Iris setosa wants full sun in the north and half shade in the south.",
        "planting": "Plant the rhizome of Iris setosa 3 cm deep, and divide it every four years.",
    },
    "versicolor": {
        "water": "Iris versicolor grows at the water's edge, in up to 10 cm of water.",
        "light": "Iris versicolor flowers best with six hours of sun a day.",
        "planting": "Plant Iris versicolor in autumn, the rhizome just below the surface.",
    },
    "virginica": {
        "water": "Iris virginica stands in wet, sour soil and must never dry out.",
        "light": "Iris virginica bears half shade, and flowers more in the sun.",
        "planting": "Plant Iris virginica 30 cm apart, and divide it after it has flowered.",
    },
}


# --------------------------------------------------------------------------------------------- model


class HandbookModel(BaseChatModel):
    """Stands where your language model would: it says what the handbook's note in its instructions says."""

    @property
    def _llm_type(self) -> str:
        return "handbook"

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        said = "".join(str(chunk.message.content) for chunk in self._stream(messages))
        return ChatResult(generations=[ChatGeneration(message=AIMessage(said))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        note = str(messages[0].content).partition("Handbook: ")[2]
        for index, word in enumerate(note.split(" ")):
            chunk = ChatGenerationChunk(message=AIMessageChunk(content=f" {word}" if index else word))
            if run_manager is not None:
                run_manager.on_llm_new_token(str(chunk.message.content), chunk=chunk)
            yield chunk


# --------------------------------------------------------------------------------------------- graph


class Question(TypedDict):
    """What staff and visitors ask."""

    question: Annotated[str, Field(min_length=3, max_length=500, description="In your own words")]
    species: Annotated[Literal["setosa", "versicolor", "virginica"], Field(description="As the iris pipeline says it")]


class Advice(TypedDict):
    """What they are told; without a topic the question was not about care."""

    answer: str
    topic: NotRequired[Topic]


class State(Question, Advice):
    """What the nodes share."""

    note: NotRequired[str]


def sort(state: State) -> dict[str, Any]:
    """Find out what the question is about."""
    question = state["question"].lower()
    topics = [topic for topic, words in WORDS.items() if any(word in question for word in words)]
    return {"topic": topics[0]} if topics else {}


def is_about_care(state: State) -> bool:
    """Whether the handbook has something to say."""
    return "topic" in state


def look_up(state: State) -> dict[str, Any]:
    """Fetch the handbook's note."""
    return {"note": HANDBOOK[state["species"]][state["topic"]]}


async def answer(state: State) -> dict[str, Any]:
    """Have the model put the note into words."""
    model: BaseChatModel = get_step_context().pipeline_state
    instructions = SystemMessage(f"Answer in one sentence. Handbook: {state['note']}")
    said = await model.ainvoke([instructions, HumanMessage(state["question"])])
    return {"answer": said.content}


def decline(state: State) -> dict[str, Any]:
    """Say what can be asked."""
    return {"answer": f"I know about {', '.join(WORDS)} only; please ask a gardener."}


def build() -> Any:
    """The graph, compiled; nothing in it knows that it is served."""
    graph = StateGraph(State, input_schema=Question, output_schema=Advice)
    for node in (sort, look_up, answer, decline):
        graph.add_node(node)
    graph.add_edge(START, "sort")
    graph.add_conditional_edges("sort", is_about_care, {True: "look_up", False: "decline"})
    graph.add_edge("look_up", "answer")
    graph.add_edge("answer", END)
    graph.add_edge("decline", END)
    return graph.compile(name="assistant")


assistant = compile(build(), doc="Answer a question about the care of an iris.", on_init=HandbookModel)
