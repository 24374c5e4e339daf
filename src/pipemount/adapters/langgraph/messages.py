"""Chat messages on the wire: ``{"role": …, "content": …}`` both ways, in place of LangChain's family of classes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage
from pydantic import GetCoreSchemaHandler, JsonValue, with_config
from pydantic_core import CoreSchema, PydanticCustomError, core_schema
from typing_extensions import TypedDict

__all__ = ["Message", "MessageOutput", "spoken", "text_of"]

_REDUCERS = "langgraph.graph.message"
"""The module of ``add_messages``: a list that is gathered by it is one of messages, whatever its annotation says."""


@with_config(extra="forbid")
class ToolCall(TypedDict):
    """A tool that a model asks for."""

    name: str
    args: dict[str, JsonValue]
    id: str | None


@with_config(extra="forbid")
class Message(TypedDict):
    """A chat message as a caller sends it."""

    role: Literal["user", "assistant", "system", "tool"]
    content: str | list[str | dict[str, JsonValue]]
    id: NotRequired[str]
    name: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]


class MessageOutput(TypedDict):
    """A chat message as it is answered; it may be sent again with the next question."""

    role: str
    content: str | list[str | dict[str, Any]]
    id: NotRequired[str]
    name: NotRequired[str]
    tool_calls: NotRequired[list[ToolCall]]
    tool_call_id: NotRequired[str]


_KINDS: dict[str, Callable[..., BaseMessage]] = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "tool": ToolMessage,
}
_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant"}


def _received(sent: Message) -> BaseMessage:
    """A message as LangChain has it."""
    role = sent["role"]
    if ("tool_call_id" in sent) != (role == "tool"):
        raise PydanticCustomError("tool_call_id", "A tool_call_id belongs to a message of a tool, and only there")
    if "tool_calls" in sent and role != "assistant":
        raise PydanticCustomError("tool_calls", "Only a message of the assistant has tool_calls")
    values: dict[str, Any] = {key: value for key, value in sent.items() if key != "role"}
    return _KINDS[role](**values)


def _answered(message: BaseMessage) -> MessageOutput:
    """A message as callers see it; what a provider adds about itself stays here."""
    role = message.role if isinstance(message, ChatMessage) else _ROLES.get(message.type, message.type)
    answer: MessageOutput = {"role": role, "content": message.content}
    if message.id is not None:
        answer["id"] = message.id
    if message.name is not None:
        answer["name"] = message.name
    if isinstance(message, AIMessage) and message.tool_calls:
        answer["tool_calls"] = [{"name": c["name"], "args": c["args"], "id": c["id"]} for c in message.tool_calls]
    if isinstance(message, ToolMessage):
        answer["tool_call_id"] = message.tool_call_id
    return answer


def text_of(message: BaseMessage) -> str:
    """The text of a message or of a piece of one; blocks of other kinds are left out."""
    if isinstance(message.content, str):
        return message.content
    blocks = (block if isinstance(block, str) else block.get("text", "") for block in message.content)
    return "".join(block for block in blocks if isinstance(block, str))


class _Wire:
    """Has pydantic read and write messages in the form of the wire; in Python LangChain's own are taken as well."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        read = core_schema.no_info_after_validator_function(_received, handler.generate_schema(Message))
        return core_schema.json_or_python_schema(
            json_schema=read,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(BaseMessage), read], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _answered, return_schema=handler.generate_schema(MessageOutput)
            ),
        )


MESSAGE = Annotated[BaseMessage, _Wire()]


# ----------------------------------------------------------------------------------------- annotations


def spoken(annotation: Any) -> Any:
    """``annotation`` with every message in it as ``MESSAGE``; a message class that is named alone stays what it is."""
    if annotation is BaseMessage or _is_family(annotation):
        return MESSAGE
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated and any(map(_gathers_messages, arguments[1:])):
        return list[MESSAGE]
    inner = tuple(map(spoken, arguments[:1] if origin is Annotated else arguments))
    if inner == arguments[: len(inner)]:
        return annotation
    if origin is Annotated:
        return Annotated[(inner[0], *arguments[1:])]
    return functools.reduce(operator.or_, inner) if origin in (Union, UnionType) else origin[inner]


def _is_family(annotation: Any) -> bool:
    """Whether it is a union of message classes, as ``AnyMessage`` is."""
    if get_origin(annotation) is Annotated:
        return _is_family(get_args(annotation)[0])
    if get_origin(annotation) not in (Union, UnionType):
        return False
    members = [get_args(part)[0] if get_origin(part) is Annotated else part for part in get_args(annotation)]
    return all(isinstance(member, type) and issubclass(member, BaseMessage) for member in members)


def _gathers_messages(metadata: Any) -> bool:
    reducer: Callable[..., Any] = getattr(metadata, "reducer", metadata)  # a channel's, or the function itself
    return getattr(getattr(reducer, "func", reducer), "__module__", "") == _REDUCERS
