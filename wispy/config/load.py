"""From a file, the environment and flags to one checked configuration that knows where each value came from.

Rules:
- Precedence: flag, environment, file, default. A section merges key by key; a list or a plain map is replaced whole.
- Every value given is checked, also one that a stronger source replaces, and all problems are told at once.
- A problem names the source, the full path of the key, the value (secrets masked) and the reason; an unknown key also
  the nearest valid one.
- The environment is read here, in `load`, and nowhere else; never at import.
"""

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wispy.config import fields, sources, values
from wispy.config.fields import Group, GroupMap, Key, Setting
from wispy.config.schema import Config
from wispy.config.sources import Given
from wispy.errors import ConfigError

# The settings that every object has, and that `instance_configs` may change for one of them.
_PER_OBJECT = "instance_configs"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective configuration, and where its values came from.

    Attributes:
        config: all values, checked.
        sources: for each key that was given, where ("flag --port", "environment WISPY_PORT", "file wispy.yaml"); other
            keys are "default", see `source`.
    """

    config: Config
    sources: dict[str, str]

    def source(self, key: str) -> str:
        """Where the value of this dotted key came from."""
        return self.sources.get(key, "default")


def load(
    file: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and check the configuration.

    Args:
        file: a YAML file.
        overrides: what flags say: dotted keys to values, or to texts as they stand on a command line.
        environ: the environment; that of the process where not given.
        data: what would be in a file, given by a program; it is stronger than `file`.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, or a value of the wrong type or impossible.
    """
    given: list[Given] = []
    if file is not None:
        given.append(Given((), sources.read_yaml(Path(file)), f"file {file}"))
    if data is not None:
        given.append(Given((), dict(data), "program"))
    given.extend(sources.from_environment(os.environ if environ is None else environ))
    given.extend(sources.from_flags(overrides or {}))

    reader = _Reader()
    for one in given:
        reader.read(one)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    config: Config = _build(fields.root(), (), reader.values, None)
    return Loaded(config, {".".join(key): one.source for key, one in reader.values.items()})


class _Reader:
    """Takes what the sources give, the weakest first, down to checked values of single settings."""

    def __init__(self) -> None:
        self.values: dict[Key, Given] = {}  # by path: the checked value of the strongest source so far
        self.problems: list[str] = []  # one line each, in the order found
        self._names: dict[str, str] = {}  # names in instance_configs, by lower case

    def read(self, given: Given) -> None:
        """Take what one source says of one key or, with an empty path, of all."""
        node: fields.Node = fields.root()
        path: Key = ()
        for position, part in enumerate(given.key):
            if isinstance(node, Setting):
                # Texts give maps whole: their names may hold dots and any case.
                self._refuse(
                    Given(path, given.value, given.source), f"has no keys of its own: set it whole, not {part}"
                )
                return
            if isinstance(node, GroupMap):
                # The environment knows upper case only: the name is the one that the file wrote.
                name = self._names.get(part.lower(), part) if given.is_text else part
                node, path = node.group, (*path, name)
                continue
            child = node.members.get(part)
            if child is None:
                self._unknown(Given(given.key[: position + 1], given.value, given.source), path, node)
                return
            node, path = child, (*path, part)
        self._descend(node, Given(path, given.value, given.source, is_text=given.is_text))

    def _descend(self, node: fields.Node, given: Given) -> None:
        if isinstance(node, Setting):
            try:
                value = values.convert(node, given.value, is_text=given.is_text)
            except ValueError as error:
                self._refuse(given, str(error))
            else:
                self.values[given.key] = Given(given.key, value, given.source)
            return
        content = values.section(given.value, is_text=given.is_text)
        if content is None:
            self._refuse(given, "must be a section with keys of its own")
            return
        for name, value in content.items():
            child = Given((*given.key, str(name)), value, given.source)
            if isinstance(node, GroupMap):
                self._names[str(name).lower()] = str(name)
                self._descend(node.group, child)
            elif (member := node.members.get(str(name))) is not None:
                self._descend(member, child)
            else:
                self._unknown(child, given.key, node)

    def _unknown(self, given: Given, section: Key, group: Group) -> None:
        nearest = sources.nearest(given.key[-1], section, group)
        self._refuse(given, f"unknown key; the nearest valid key is {nearest}", nearest)

    def _refuse(self, given: Given, reason: str, nearest: str = "") -> None:
        key = ".".join(given.key) or "configuration"
        self.problems.append(f"{given.source}: {key} = {values.shown(given.key, given.value, nearest)}: {reason}")


def _build(group: Group, path: Key, given: Mapping[Key, Given], fallback: Key | None) -> Any:
    """Make a section.

    Args:
        group: the section's structure.
        path: where it stands.
        given: checked values by path.
        fallback: where the same settings stand for all objects, in the section of one object.
    """
    content: dict[str, Any] = {}
    for name, node in group.members.items():
        key = (*path, name)
        general = None if fallback is None else (*fallback, name)
        match node:
            case Setting():
                found = given.get(key) or (given.get(general) if general is not None else None)
                content[name] = node.default if found is None else found.value
            case Group():
                content[name] = _build(node, key, given, general)
            case GroupMap():
                names = dict.fromkeys(one[len(key)] for one in given if one[: len(key)] == key)
                make = functools.partial(_build, node.group, given=given, fallback=())
                content[name] = {one: make((*key, one)) for one in names}
    return group.struct(**content)
