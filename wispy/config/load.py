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
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wispy.config import checks, fields, sources, values
from wispy.config.fields import Group, GroupMap, Key, Setting
from wispy.config.schema import Config
from wispy.config.secrets import is_secret
from wispy.config.sources import Given
from wispy.errors import ConfigError


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
    overrides: Iterable[Given] = (),
    environ: Mapping[str, str] | None = None,
    data: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read and check the configuration.

    Args:
        file: a YAML file.
        overrides: what flags say, the weakest first (`wispy.config.flags.overrides`).
        environ: the environment; that of the process where not given.
        data: what would be in a file, given by a program; it is stronger than `file`.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown, or a value of the wrong type or impossible.
    """
    given: list[Given] = []
    if file is not None:
        given.append(Given((), sources.read_yaml(Path(file)), f"file {file}"))
    if data is not None:
        given.append(Given((), data, "program"))
    given.extend(sources.from_environment(os.environ if environ is None else environ))
    given.extend(overrides)

    reader = _Reader()
    for one in given:
        reader.read(one)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems))
    config: Config = _build(fields.root(), (), reader.values, None)
    return Loaded(config, {".".join(key): one.source for key, one in reader.values.items()})


_DEEPEST = 4
"""Parts of the longest key, such as instance_configs.sample.interface.expose: YAML can hold a section in itself."""


class _Reader:
    """Takes what the sources give, the weakest first, down to checked values of single settings."""

    def __init__(self) -> None:
        self.values: dict[Key, Given] = {}  # by path: the checked value of the strongest source so far
        self.problems: list[str] = []  # one line each, in the order found
        self._names: dict[str, str] = {}  # names in instance_configs, by lower case

    def read(self, given: Given) -> None:
        """Take what one source says of one key or, with an empty path, of all."""
        self._descend(fields.root(), replace(given, key=()), given.key)

    def _descend(self, node: fields.Node, given: Given, rest: Key = ()) -> None:
        """Take a value at its place, or follow the rest of its path."""
        if isinstance(node, Setting):
            if rest:
                self._refuse(given, f"has no key {'.'.join(rest)}: it is set as a whole")
            else:
                self._convert(node, given)
        elif rest:
            self._enter(node, rest[0], given, rest[1:])
        elif (content := values.section(given.value, is_text=given.is_text)) is None:
            self._refuse(given, "must be a section with keys of its own, each once", _a_secret_in(node))
        else:
            for name, value in content.items():
                self._enter(node, str(name), replace(given, value=value, is_text=False))

    def _enter(self, node: Group | GroupMap, name: str, given: Given, rest: Key = ()) -> None:
        """Go one level down, to a key of a section or an object in a map."""
        if isinstance(node, GroupMap):
            # The environment knows upper case only: the name is the one that the file wrote.
            name = self._names.setdefault(name.lower(), name) if given.is_text else name
            self._names[name.lower()] = name
            given = replace(given, key=(*given.key, name))
            if (reason := checks.object_name(name)) is not None:
                self._refuse(given, reason)
            else:
                self._descend(node.group, given, rest)
        elif name in node.members:
            self._descend(node.members[name], replace(given, key=(*given.key, name)), rest)
        else:
            self._refuse_unknown(node, given, (name, *rest))

    def _refuse_unknown(self, node: Group, given: Given, unknown: Key) -> None:
        """Refuse a key that there is not; where it was meant for a section, each key in that for itself.

        Args:
            node: the section that should have it.
            given: what is said, at the place of that section.
            unknown: the key's path from there on.
        """
        nearest = sources.nearest(unknown, given.key, node)
        content = values.section(given.value, is_text=False) if not given.is_text else None
        if content and len(unknown) < _DEEPEST and not isinstance(fields.node_at(nearest), Setting):
            for name, value in content.items():
                self._refuse_unknown(node, replace(given, value=value), (*unknown, str(name)))
            return
        given = replace(given, key=(*given.key, *unknown))
        meant = sources.written(nearest, given.source)
        self._refuse(given, f"unknown key; the nearest valid key is {meant}", nearest[-1])

    def _convert(self, setting: Setting, given: Given) -> None:
        try:
            value = values.convert(setting, given.value, is_text=given.is_text)
        except ValueError as error:
            self._refuse(given, str(error))
        else:
            self.values[given.key] = replace(given, value=value)

    def _refuse(self, given: Given, reason: str, nearest: str = "") -> None:
        """Note a problem; `nearest` is the last part of the key that may be meant."""
        key = ".".join(given.key) or "configuration"
        self.problems.append(f"{given.source}: {key} = {values.shown(given.key, given.value, nearest)}: {reason}")


def _a_secret_in(node: Group | GroupMap) -> str:
    """The name of a secret that the section holds, since a wrong value for all of it may be that secret; or empty."""
    group = node if isinstance(node, Group) else node.group
    return next((path[-1] for path, _ in fields.walk(group) if is_secret(path[-1])), "")


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
