"""Steps: functions that a pipeline can call."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, cast, overload

from ..errors import CompileError, ConfigurationError, DefinitionError
from .annotations import Signature, describe, local_names, output_fields, read_signature
from .deltas import narrowing
from .executors import StepExecutor, checked_executor
from .fingerprint import source_version
from .mapping import FanKind, call_each, checked_limit, combined, map_step
from .marks import is_static
from .options import (
    STEP_HOOKS,
    HookTarget,
    checked_affinity,
    checked_errors,
    checked_name,
    checked_retry,
    checked_statuses,
    checked_timeout,
    name_of,
    replaced_hooks,
    taken_hooks,
)
from .places import function_place, is_async, underlying
from .portable import Named, found, portable
from .specs import Affinity, Hooks, OutputField, Retry, StepSpec
from .taking import CallOptions, current
from .tracing import Trace, bind

__all__ = ["KEEP", "Called", "Step", "call_options", "map_options", "step", "submitted"]

KEEP: Any = object()
"""The default of what ``with_options`` leaves as it is."""


class Called:
    """What a body can call: a step, or a pipeline.

    Attributes:
        function: The author's function, unchanged.
        name: The function's own, unless the author gave another.
        hooks: Its own.
    """

    __name__: str
    what: ClassVar[str]
    """The word for it in messages."""
    hook_names: ClassVar[tuple[str, ...]]
    """The hooks that it may have."""

    name: str
    hooks: Hooks

    def __init__(self, function: Callable[..., Any], name: str | None) -> None:
        functools.update_wrapper(cast(Any, self), function)
        self.function = function
        self.name = checked_name(name or name_of(function))
        self._names = local_names(function)
        self._id: str | None = None
        self._after: object = ()

    def __repr__(self) -> str:
        return f"<{self.what} {self.name}>"

    @functools.cached_property
    def signature(self) -> Signature:
        """The function's parameters and outputs, annotations resolved. Raises ``CompileError``."""
        return read_signature(self.function, self._names, what=f"the {self.what} {self.name!r}")

    def submit(self, /, *args: Any, **kwargs: Any) -> Any:
        """In a dynamic pipeline's body: starts the call and returns a handle at once.

        The handle can be awaited, and be given to other calls, which then wait for it.
        """
        return submitted(self, args, kwargs, call_options(self.signature, kwargs, self._id, self._after))

    def _copied(self, id: str | None, after: object, name: str, hooks: dict[str, Any]) -> Self:
        made = copy.copy(self)
        made._id = self._id if id is KEEP else id
        made._after = self._after if after is KEEP else after
        made.name = self.name if name is KEEP else checked_name(name)
        made.hooks = replaced_hooks(self.hooks, hooks, self.hook_names)
        return made


class Step(Called):
    """A function that a pipeline can call.

    Outside a pipeline's body a call runs the function; inside it records the call and returns references: one, or a
    tuple of them where the return annotation is a tuple of fixed length.

    Attributes:
        function: The author's function, unchanged.
    """

    what = "step"
    hook_names = STEP_HOOKS

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        thread: bool = True,
        affinity: Affinity | None = None,
        executor: StepExecutor | type[StepExecutor] | None = None,
        hooks: Hooks | None = None,
        public_errors: tuple[type[BaseException], ...] | type[BaseException] = (),
        error_statuses: Mapping[type[BaseException], int] | None = None,
    ) -> None:
        if isinstance(function, type) or not callable(function):
            raise ConfigurationError(f"@step takes a function, not {function!r}")
        super().__init__(function, name)
        self.retry, self.timeout = checked_retry(retry), checked_timeout(timeout)
        self.hooks = hooks or Hooks()
        self.public_errors = checked_errors(public_errors)
        self.error_statuses = checked_statuses(error_statuses or {})
        self._thread, self.affinity = thread, checked_affinity(affinity)
        self.executor = checked_executor(executor, self.affinity)
        self._spec: StepSpec | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process, which a step that calls this one was sent to, it is called plainly."""
        return _sent, (portable(self.function), self.name)

    @property
    def spec(self) -> StepSpec:
        """The step as data. Raises ``CompileError``, e.g. for an annotation that cannot be resolved."""
        if self._spec is None:
            self._spec = self._build()
        return self._spec

    def _build(self) -> StepSpec:
        target = underlying(self.function)
        self._refuse_static()
        return StepSpec(
            function=self.function,
            name=self.name,
            kind="async" if is_async(self.function) else "thread" if self._thread else "loop",
            generator=inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target),
            parameters=self.signature.parameters,
            outputs=self._outputs(),
            context_parameter=self.signature.context_parameter,
            retry=self.retry,
            timeout=self.timeout,
            hooks=self.hooks,
            public_errors=self.public_errors,
            collects=self.signature.collects,
            narrow=narrowing(self.signature.yields),
            affinity=self.affinity,
            executor=self.executor,
            error_statuses=self.error_statuses,
            version=source_version(self.function),
            doc=inspect.getdoc(target) or "",
        )

    def _refuse_static(self) -> None:
        place = function_place(self.function)
        for parameter in self.signature.parameters:
            if is_static(parameter.annotation):
                raise CompileError(
                    code="static-on-step",
                    operation=f"the step {self.name!r} declares the parameter {parameter.name!r} as Static",
                    reason="a step sees the values of all its parameters; Static is for the body of a pipeline",
                    way_out=f"Write {describe(parameter.annotation)}",
                    file=place.file,
                    line=place.line,
                )

    def _outputs(self) -> tuple[OutputField, ...]:
        outputs = output_fields(self.signature.returns)
        names = [output.name for output in outputs]
        if len(set(names)) == len(names):
            return outputs
        place = function_place(self.function)
        raise CompileError(
            code="duplicate-output",
            operation=f"the step {self.name!r} names two outputs alike ({', '.join(names)})",
            reason="outputs are told apart by name",
            way_out='Give each its own: tuple[Annotated[A, "a"], Annotated[B, "b"]]',
            file=place.file,
            line=place.line,
        )

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """Runs the function; in a pipeline's body records the call.

        ``id=`` names the node and ``after=`` orders it behind others without data, unless the function has parameters
        of these names; then ``with_options`` says it.
        """
        taker = current()
        if taker is None:
            return self.function(*args, **kwargs)
        options = call_options(self.signature, kwargs, self._id, self._after)
        if not isinstance(taker, Trace):
            return taker.take("call", self, args, kwargs, options)
        values = bind(taker, self.signature, self.name, args, kwargs)
        return taker.call(self.spec, values, id=options.id, after=options.after)

    def map(self, /, *args: Any, **kwargs: Any) -> Any:
        """One call per item: lists side by side, which must be of one length; ``unmapped(x)`` for what is no list.

        In a pipeline's body the calls run side by side, at most ``max_concurrency=`` at a time, and what is returned
        is a reference to the list of outputs, in the order of the items; ``id=`` and ``after=`` are as for a call, and
        ``executor=`` is as ``with_options`` has it.
        Outside it the function is called for one item after the other; of an ``async`` one the list is awaited.
        """
        return self._fan("map", args, kwargs)

    def product(self, /, *args: Any, **kwargs: Any) -> Any:
        """As ``map``, with one call for every combination of items; the last list varies fastest."""
        return self._fan("product", args, kwargs)

    def _fan(self, kind: FanKind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "executor" in kwargs and "executor" not in self.signature.call.parameters:
            return self.with_options(executor=kwargs.pop("executor"))._fan(kind, args, kwargs)
        taker, options = current(), map_options(self.signature, kwargs, self._id, self._after)
        if isinstance(taker, Trace):
            values = bind(taker, self.signature, self.name, args, kwargs)
            return map_step(taker, self.spec, kind, values, options)
        if taker is not None:
            return taker.take(kind, self, args, kwargs, options)
        checked_limit(options.limit)
        values = dict(self.signature.call.bind(*args, **kwargs).arguments)
        return call_each(
            self.function,
            combined(self.name, kind, values),
            awaited=self.spec.kind == "async" and not self.spec.generator,
            shape="tuple" if len(self.spec.outputs) > 1 else "value",
            names=[output.name for output in self.spec.outputs],
        )

    def with_options(
        self,
        *,
        id: str | None = KEEP,
        after: Any = KEEP,
        name: str = KEEP,
        retry: Retry | None = KEEP,
        timeout: float | None = KEEP,
        affinity: Affinity | None = KEEP,
        executor: StepExecutor | type[StepExecutor] | None = KEEP,
        **hooks: Any,
    ) -> Step:
        """A copy with other options, or other hooks and their ``*_kwargs``; this step stays as it is."""
        made = self._copied(id, after, name, hooks)
        made._spec = None
        made.retry = self.retry if retry is KEEP else checked_retry(retry)
        made.timeout = self.timeout if timeout is KEEP else checked_timeout(timeout)
        made.affinity = self.affinity if affinity is KEEP else checked_affinity(affinity)
        made.executor = checked_executor(self.executor if executor is KEEP else executor, made.affinity)
        return made


def _sent(function: Callable[..., Any] | Named, name: str) -> Step:
    return Step(found(function), name=name)


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    thread: bool = True,
    affinity: Affinity | None = None,
    executor: StepExecutor | type[StepExecutor] | None = None,
    on_start: HookTarget | None = None,
    on_start_kwargs: Mapping[str, Any] | None = None,
    on_success: HookTarget | None = None,
    on_success_kwargs: Mapping[str, Any] | None = None,
    on_failure: HookTarget | None = None,
    on_failure_kwargs: Mapping[str, Any] | None = None,
    on_end: HookTarget | None = None,
    on_end_kwargs: Mapping[str, Any] | None = None,
    public_errors: tuple[type[BaseException], ...] | type[BaseException] = (),
    error_statuses: Mapping[type[BaseException], int] | None = None,
) -> Callable[[Callable[..., Any]], Step]: ...
def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Makes a function a step.

    Sync functions run in the app's own thread pool, ``async`` ones on the loop that ran ``on_init``. A generator
    streams what it yields. Its output is what its annotation says that it returns, ``Generator[str, None, Report]``;
    where it says nothing of that kind, and for async generators, the list of all it yielded.

    Args:
        function: The function, where the decorator is used bare.
        name: Instead of the function's own.
        retry: When and how often a failed attempt is repeated.
        timeout: Seconds that one attempt may take.
        thread: ``False`` promises that a sync function never blocks: it then runs on the loop, without a thread.
        affinity: ``"request"`` runs a sync step in the thread that handles the request, where there is one: there it
            sees an open transaction, and waits for others that ask for that thread. ``"any"`` runs it in any thread;
            by default the app's settings say which.
        executor: Where it runs, if not in the app's process: ``Ray(…)`` or ``Dask(…)``.
        on_start: Called before the first attempt; what it raises fails the step.
        on_success: Called with the output.
        on_failure: Called with the exception of the last attempt.
        on_end: Called last, in either case.
        on_start_kwargs: Keyword arguments for ``on_start``; every hook has such.
        public_errors: Exceptions whose message callers may see.
        error_statuses: HTTP status by exception class, 400 to 599.
        **options: All of these; see the overloads.

    Raises:
        ConfigurationError: An option that cannot be.

    Example:
        >>> @step
        ... def double(number: int) -> int:
        ...     return 2 * number
        >>> double(4)
        8
    """
    hooks = taken_hooks(options)

    def decorate(function: Callable[..., Any]) -> Step:
        return Step(function, hooks=hooks, **options)

    return decorate if function is None else decorate(function)


def call_options(signature: Signature, kwargs: dict[str, Any], id: str | None, after: object) -> CallOptions:
    """Takes ``id`` and ``after`` out of a call's keywords, unless they are the function's own."""
    if "id" not in signature.call.parameters:
        given = kwargs.pop("id", None)
        id = id if given is None else given
    if "after" not in signature.call.parameters:
        after = [kwargs.pop("after", ()), after]
    return CallOptions(id, after)


def map_options(signature: Signature, kwargs: dict[str, Any], id: str | None, after: object) -> CallOptions:
    """``call_options`` with ``max_concurrency``."""
    limit = None if "max_concurrency" in signature.call.parameters else kwargs.pop("max_concurrency", None)
    return replace(call_options(signature, kwargs, id, after), limit=limit)


def submitted(called: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: CallOptions) -> Any:
    """What ``called.submit(…)`` gives. Raises ``CompileError`` in a traced body, ``DefinitionError`` outside of any."""
    taker = current()
    if taker is None:
        raise DefinitionError(f"{called!r}.submit(…) is for the body of a dynamic pipeline; call it plainly here")
    if isinstance(taker, Trace):
        raise taker.error(
            "submit-in-body",
            f"{called.name}.submit(…) is called",
            "the body is traced once; independent steps run side by side without being told",
            f"Write {called.name}(…), or make it a @pipeline(dynamic=True)",
        )
    return taker.take("submit", called, args, kwargs, options)
