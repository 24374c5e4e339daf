"""What an author writes: ``@step`` functions, and pipelines that call them."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self, cast, overload

from ..errors import CompileError, ConfigurationError, DefinitionError, InvalidInputsError
from .annotations import Signature, local_names, output_fields, read_signature
from .bodies import check_body
from .compiler import Definition, compile_definition
from .fingerprint import source_version
from .inlining import inline
from .options import (
    STEP_HOOKS,
    HookTarget,
    checked_count,
    checked_errors,
    checked_name,
    checked_retry,
    checked_statuses,
    checked_timeout,
    make_hooks,
    name_of,
    replaced_hooks,
    taken_hooks,
)
from .places import function_place, is_async, underlying
from .rewriting import listening, source_lines
from .snapshot import Hooks, OutputField, Retry, Snapshot, StepSpec
from .tracing import Trace, bind, current

__all__ = ["PipelineDefinition", "Step", "compile_function", "step"]

_KEEP: Any = object()


# --------------------------------------------------------------------------------------------- steps


class Step:
    """A function that a pipeline can call.

    Outside a pipeline's body a call runs the function; inside it records the call and returns references: one, or a
    tuple of them where the return annotation is a tuple of fixed length.

    Attributes:
        function: The author's function, unchanged.
    """

    __name__: str

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        retry: Retry | None = None,
        timeout: float | None = None,
        thread: bool = True,
        hooks: Hooks | None = None,
        public_errors: tuple[type[BaseException], ...] | type[BaseException] = (),
        error_statuses: Mapping[type[BaseException], int] | None = None,
    ) -> None:
        if isinstance(function, type) or not callable(function):
            raise ConfigurationError(f"@step takes a function, not {function!r}")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = checked_name(name or name_of(function))
        self.retry, self.timeout = checked_retry(retry), checked_timeout(timeout)
        self.hooks = hooks or Hooks()
        self.public_errors = checked_errors(public_errors)
        self.error_statuses = checked_statuses(error_statuses or {})
        self._thread = thread
        self._names = local_names(function)
        self._id: str | None = None
        self._after: object = ()
        self._spec: StepSpec | None = None

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    @functools.cached_property
    def signature(self) -> Signature:
        """The function's parameters and outputs, annotations resolved. Raises ``CompileError``."""
        return read_signature(self.function, self._names, what=f"the step {self.name!r}")

    @property
    def spec(self) -> StepSpec:
        """The step as data. Raises ``CompileError``, e.g. for an annotation that cannot be resolved."""
        if self._spec is None:
            self._spec = self._build()
        return self._spec

    def _build(self) -> StepSpec:
        target = underlying(self.function)
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
            error_statuses=self.error_statuses,
            version=source_version(self.function),
            doc=inspect.getdoc(target) or "",
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
        trace = current()
        if trace is None:
            return self.function(*args, **kwargs)
        id, after = _options(self.signature, kwargs, self._id, self._after)
        values = bind(trace, self.signature, self.name, args, kwargs)
        return trace.call(self.spec, values, id=id, after=after)

    def with_options(
        self,
        *,
        id: str | None = _KEEP,
        after: Any = _KEEP,
        name: str = _KEEP,
        retry: Retry | None = _KEEP,
        timeout: float | None = _KEEP,
        **hooks: Any,
    ) -> Step:
        """A copy with other options, or other hooks and their ``*_kwargs``; this step stays as it is."""
        made = copy.copy(self)
        made._spec = None
        made._id = self._id if id is _KEEP else id
        made._after = self._after if after is _KEEP else after
        made.name = self.name if name is _KEEP else checked_name(name)
        made.retry = self.retry if retry is _KEEP else checked_retry(retry)
        made.timeout = self.timeout if timeout is _KEEP else checked_timeout(timeout)
        made.hooks = replaced_hooks(self.hooks, hooks, STEP_HOOKS)
        return made


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    thread: bool = True,
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


def _options(signature: Signature, kwargs: dict[str, Any], id: str | None, after: object) -> tuple[str | None, object]:
    """Takes ``id`` and ``after`` out of a call's keywords, unless they are the function's own."""
    if "id" not in signature.call.parameters:
        id = kwargs.pop("id", None) or id
    if "after" not in signature.call.parameters:
        after = [kwargs.pop("after", ()), after]
    return id, after


# ----------------------------------------------------------------------------------------- pipelines


class PipelineDefinition:
    """A function that calls steps, and its hooks; compiled on demand.

    Args:
        function: The body. It runs at compile, with references for values.
        name: Instead of the function's own.
        on_init: Called once before the first run; what it returns is ``pipeline_state``.
        on_init_kwargs: Keyword arguments for it; every hook has such.
        on_cleanup: Called once at the end; may take the state.
        on_start: Called before each run.
        on_success: Called after a run that completed.
        on_failure: Called after a run that failed.
        on_end: Called after every run.
        max_paths: How many ways through the body are explored, one per combination of its decisions.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        on_init: HookTarget | None = None,
        on_init_kwargs: Mapping[str, Any] | None = None,
        on_cleanup: HookTarget | None = None,
        on_cleanup_kwargs: Mapping[str, Any] | None = None,
        on_start: HookTarget | None = None,
        on_start_kwargs: Mapping[str, Any] | None = None,
        on_success: HookTarget | None = None,
        on_success_kwargs: Mapping[str, Any] | None = None,
        on_failure: HookTarget | None = None,
        on_failure_kwargs: Mapping[str, Any] | None = None,
        on_end: HookTarget | None = None,
        on_end_kwargs: Mapping[str, Any] | None = None,
        max_paths: int = 64,
    ) -> None:
        if not inspect.isroutine(function):
            raise ConfigurationError(f"@pipeline takes a function, not {function!r}")
        functools.update_wrapper(self, function)
        self.function = function
        self.name = checked_name(name or name_of(function))
        self.doc = inspect.getdoc(function) or ""
        given = locals()
        self.hooks = make_hooks(
            {hook: given[hook] for hook in Hooks.__dataclass_fields__},
            {hook: given[f"{hook}_kwargs"] for hook in Hooks.__dataclass_fields__},
        )
        self.max_paths = checked_count(max_paths, "max_paths")
        self._names = local_names(function)
        self._source = source_lines(function)
        self._id: str | None = None
        self._after: object = ()
        self._snapshot: Snapshot | None = None

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @functools.cached_property
    def signature(self) -> Signature:
        """The body's parameters, annotations resolved. Raises ``CompileError``."""
        return read_signature(self.function, self._names, what=f"the pipeline {self.name!r}")

    @property
    def __pipemount_body__(self) -> Callable[..., Any]:
        return self.function

    @functools.cached_property
    def body(self) -> Callable[..., Any]:
        """The function as it is traced. Raises ``CompileError``."""
        check_body(self.function, self.name)
        return listening(self.function, self._source, self.name)

    def compile(self) -> Snapshot:
        """The immutable, checked form; made once. Raises ``CompileError``."""
        if self._snapshot is None:
            body = self.body
            self._snapshot = compile_definition(
                Definition(
                    name=self.name,
                    doc=self.doc,
                    function=self.function,
                    signature=self.signature,
                    call=lambda values: body(**values),
                    hooks=self.hooks,
                    max_paths=self.max_paths,
                )
            )
        return self._snapshot

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        """In another pipeline's body: the steps of this one, under ``name/``; returns what its body returns."""
        trace = current()
        if trace is None:
            raise DefinitionError(f"{self!r} is a definition; only another pipeline's body can call it")
        return self._inline(trace, args, kwargs)

    def _inline(self, trace: Trace, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        body = self.body
        id, after = _options(self.signature, kwargs, self._id, self._after)
        values = bind(trace, self.signature, self.name, args, kwargs)
        return inline(
            trace,
            self.function,
            body,
            self.signature,
            values,
            name=self.name,
            id=id,
            after=trace.order(after),
            on_init=self.hooks.on_init,
        )

    def bind(self, /, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The arguments of a call by parameter name, not validated. Raises ``InvalidInputsError``."""
        names = list(self.signature.call.parameters)
        keywords = [p.name for p in self.signature.call.parameters.values() if p.kind is p.KEYWORD_ONLY]
        positions = names[: len(names) - len(keywords)]
        given = dict(zip(positions, args, strict=False))
        faults = [
            {"loc": [index], "msg": "Unexpected positional argument", "type": "unexpected_positional_argument"}
            for index in range(len(positions), len(args))
        ]
        faults += [
            {"loc": [name], "msg": "Got multiple values for argument", "type": "multiple_argument_values"}
            for name in given.keys() & kwargs.keys()
        ]
        if faults:
            raise InvalidInputsError(errors=faults)
        return {**given, **kwargs}

    def with_options(self, *, id: str | None = _KEEP, after: Any = _KEEP, name: str = _KEEP, **hooks: Any) -> Self:
        """A copy with other options: ``name``, hooks and their ``*_kwargs``; ``id``, ``after`` for calls in a body."""
        made = copy.copy(self)
        made._snapshot = None
        made._id = self._id if id is _KEEP else id
        made._after = self._after if after is _KEEP else after
        made.name = self.name if name is _KEEP else checked_name(name)
        made.hooks = replaced_hooks(self.hooks, hooks, tuple(Hooks.__dataclass_fields__))
        return made


def compile_function(function: Callable[..., Any]) -> Snapshot:
    """A plain function as a pipeline of one step, its parameters the inputs. Raises ``CompileError``."""
    made = function if isinstance(function, Step) else Step(function)
    return compile_definition(
        Definition(
            name=made.name,
            doc=made.spec.doc,
            function=made.function,
            signature=made.signature,
            call=lambda values: _record(made, values),
            hooks=Hooks(),
        )
    )


def _record(made: Step, values: Mapping[str, Any]) -> Any:
    return cast(Trace, current()).call(made.spec, values, id=None, after=())
