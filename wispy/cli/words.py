"""What a word of the command line means: a value, an argument, a path.

Rules:
- A word that is JSON is that value: `5`, `true`, `[1, 2]`, `"5"`. Any other word is a text. JSON is read as on the
  wire, where `{"$float": "NaN"}` is a number.
- `NAME=VALUE`, where NAME could be a parameter's, is an argument by name. A text of that form is put in JSON's quotes.
- A path is `object.attribute`, or a JSON array of names, which may hold dots.
"""

from collections.abc import Sequence
from typing import Any

from wispy.cli.outcome import CommandError
from wispy.client.proxies import Names, names_in
from wispy.protocol import values


def value_of(word: str) -> Any:
    """The value that a word stands for.

    Raises:
        CommandError: it is no text.
    """
    try:
        return values.decode(text_of(word).encode())
    except values.DecodeError:
        return word


def text_of(word: str) -> str:
    """The word.

    Raises:
        CommandError: it has bytes that are no text in this locale.
    """
    try:
        word.encode()
    except UnicodeEncodeError:
        raise CommandError(f"{word!a} has bytes that are no text in this locale") from None
    return word


def arguments_of(words: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call, by position and by name.

    Raises:
        CommandError: a name is given twice, or a word is no text.
    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for word in words:
        name, equals, rest = word.partition("=")
        if not equals or not name.isidentifier():
            args.append(value_of(word))
        elif name in kwargs:
            raise CommandError(f"the argument {name!r} is given twice")
        else:
            kwargs[name] = value_of(rest)
    return args, kwargs


def path_of(word: str, least: int = 2) -> Names:
    """The names of a path.

    Args:
        word: as on the command line.
        least: how many names it needs: 1 for an object itself.

    Raises:
        CommandError: it is no path, or too short.
    """
    path = value_of(word) if word.startswith("[") else text_of(word)
    try:
        return names_in(path, least)
    except ValueError as error:
        raise CommandError(f"{error}") from error
