"""Arguments checked against a method's signature, before anything of the method runs.

Rules:
- The signature is read once for each function; a call with plain positional arguments costs a comparison of numbers,
  and for each that is annotated with a plain type a look at its type.
- An annotated argument becomes what its annotation says, or the call is refused (`wispy.worker.conversion`). A default
  of None lets null pass. Defaults themselves are the author's, and are not looked at.
- Named arguments are Python names. None may be the parameter that stands for the object itself, even where the method
  takes any: Python would take it for a second `self`. Nor may one that the method does not declare begin with two
  underscores: what is gathered in `**kwargs` often ends in a `setattr`.
"""

import inspect
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any, Final, Optional

import msgspec

from wispy.protocol import errors
from wispy.protocol.errors import RPCError
from wispy.worker import annotations, conversion
from wispy.worker.annotations import UNKNOWN
from wispy.worker.conversion import Converter

MAX_REASON: Final = 500
"""Characters of why arguments are refused: the text may repeat a name that a caller has chosen, of any length."""

_NAMED_KINDS: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_PLAIN_KINDS: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Signature:
    """What a method takes.

    Args:
        function: the plain function.
        is_bound: whether its first parameter is the object or class, and given by Python.
    """

    __slots__ = (
        "_by_name",
        "_exact",
        "_greatest",
        "_implicit",
        "_least",
        "_more",
        "_more_named",
        "_positional",
        "function",
        "parameters",
        "returns",
        "signature",
    )

    def __init__(self, function: Callable[..., Any], *, is_bound: bool) -> None:
        self.function = function
        try:
            signature = annotations.signature_of(function)
        except Exception:  # it does not tell
            signature = inspect.signature(_anything)
        parameters = list(signature.parameters.values())
        self._implicit: str | None = None
        if is_bound and parameters and parameters[0].kind in _PLAIN_KINDS:
            self._implicit = parameters.pop(0).name
        self.parameters = parameters
        self.returns = signature.return_annotation
        self.signature = signature.replace(parameters=parameters)
        positional = [each for each in parameters if each.kind in _PLAIN_KINDS]
        required = [each for each in parameters if each.default is each.empty and each.kind not in _GATHERING]
        self._least = len(required)
        self._greatest = len(positional)
        if any(each.kind is each.KEYWORD_ONLY for each in required):
            self._greatest = -1  # never enough without names: always the long way
        self._compile(positional)

    def _compile(self, positional: list[inspect.Parameter]) -> None:
        """Find out once what converts which argument."""
        known = {each.name: self._converter(each) for each in self.parameters}
        gathering = {each.kind: known[each.name] for each in self.parameters if each.kind in _GATHERING}
        self._positional = [known[each.name] for each in positional]
        self._more = gathering.get(inspect.Parameter.VAR_POSITIONAL)
        self._by_name = {each.name: known[each.name] for each in self.parameters if each.kind in _NAMED_KINDS}
        self._more_named = gathering.get(inspect.Parameter.VAR_KEYWORD)
        self._exact = tuple(
            (place, converter.accepted) for place, converter in enumerate(self._positional) if converter is not None
        )

    def _converter(self, parameter: inspect.Parameter) -> Converter | None:
        if parameter.annotation is parameter.empty:
            return None
        annotation = annotations.evaluate_in(parameter.annotation, inspect.unwrap(self.function))
        if parameter.default is None and annotation is not UNKNOWN:
            try:
                annotation = Optional[annotation]  # noqa: UP045 -- made at run time, of any annotation
            except TypeError:  # it is none that `typing` knows, such as a range: (0, 10)
                return None
        return conversion.converter_of(annotation)

    def bind(self, args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments to call the method with, converted, once they are known to fit.

        Raises:
            RPCError: INVALID_PARAMS, which says what does not fit.
        """
        given = len(args)
        if not kwargs and self._least <= given <= self._greatest:
            for place, accepted in self._exact:
                if place < given and type(args[place]) not in accepted:
                    return self._converted(args), kwargs
            return args, kwargs
        for name in kwargs:
            self._check_name(name)
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise self._refusal(str(error)) from error
        return self._converted(args), self._converted_named(kwargs)

    def _converted(self, args: list[Any]) -> list[Any]:
        converters = chain(self._positional, repeat(self._more))
        return [
            value if converter is None else self._convert(converter, value, f"args[{place}]")
            for place, (value, converter) in enumerate(zip(args, converters, strict=False))
        ]

    def _converted_named(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        converted = dict(kwargs)
        for name, value in kwargs.items():
            converter = self._by_name.get(name, self._more_named)
            if converter is not None:
                converted[name] = self._convert(converter, value, f"kwargs.{name}")
        return converted

    def _convert(self, converter: Converter, value: Any, where: str) -> Any:
        try:
            return converter(value)
        except msgspec.ValidationError as error:
            raise self._refusal(conversion.problem(where, error)) from error

    def _check_name(self, name: str) -> None:
        is_declared = name in self.signature.parameters
        if not name.isidentifier() or name == self._implicit or (name.startswith("__") and not is_declared):
            raise self._refusal(f"got an unexpected keyword argument {name[:100]!r}")

    def _refusal(self, reason: str) -> RPCError:
        return errors.INVALID_PARAMS(f"{self.function.__name__}(): {reason[:MAX_REASON]}")

    def describe(self) -> list[dict[str, Any]]:
        """The parameters: name, kind, whether required, type, default where JSON can say it, and schema."""
        return [self._describe(each) for each in self.parameters]

    def _describe(self, parameter: inspect.Parameter) -> dict[str, Any]:
        described: dict[str, Any] = {
            "name": parameter.name,
            "kind": parameter.kind.name.lower(),
            "required": parameter.default is parameter.empty and parameter.kind not in _GATHERING,
            "type": annotations.text_of(parameter.annotation),
            "schema": self._schema(parameter.annotation),
        }
        if type(parameter.default) in _SHOWN_DEFAULTS:
            described["default"] = parameter.default
        return described

    def returned(self) -> dict[str, Any]:
        """The schema of what the method returns."""
        return self._schema(self.returns)

    def _schema(self, annotation: Any) -> dict[str, Any]:
        if annotation is inspect.Parameter.empty:
            return {}
        return annotations.schema_of(annotations.evaluate_in(annotation, inspect.unwrap(self.function)))

    def __str__(self) -> str:
        """As in Python, but for defaults that are more than a number or a word: they may say too much."""
        shown = [
            each
            if each.default is each.empty or type(each.default) in _SHOWN_DEFAULTS
            else each.replace(default=_Ellipsis())
            for each in self.parameters
        ]
        return str(self.signature.replace(parameters=shown))


def _anything(*args: Any, **kwargs: Any) -> None: ...


class _Ellipsis:
    """Stands for a default value that is not shown."""

    def __repr__(self) -> str:
        return "..."


_SHOWN_DEFAULTS: Final = frozenset({type(None), bool, int, float, str})
_GATHERING: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
