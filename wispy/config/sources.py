"""What a file, the environment and flags say, as it was written; nothing is converted or checked here."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from wispy.config import fields
from wispy.config.fields import Group, GroupMap, Key, Node, Setting
from wispy.errors import ConfigError

ENVIRONMENT_PREFIX = "WISPY_"
_ENVIRONMENT = "environment "

CLIENT_URL = "WISPY_URL"
"""Names the server that the commands of `wispy.cli` use; it is no setting of a server."""

CLIENT_TOKEN = "WISPY_TOKEN"  # noqa: S105 -- a name  # nosec B105
"""The token that they show it."""

# The flags that have a name of their own, by the key they set.
FLAGS = {
    "redis.url": "--redis",
    "port": "--port",
    "address": "--address",
    "processes": "--processes",
    "health_port": "--health-port",
    "autoreload": "--autoreload",
    "shared": "--shared",
}

# Kubernetes tells each pod of each service near it: a service called wispy becomes WISPY_PORT=tcp://10.0.0.1:80,
# and one called wispy-frontend WISPY_FRONTEND_SERVICE_HOST. They are no settings of ours.
_SERVICE_NAME = re.compile(r"_SERVICE_(HOST|PORT(_\w+)?)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$")
_SERVICE_VALUE = re.compile(r"(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Given:
    """What one source says of a key.

    Attributes:
        key: the key's path; empty for the whole.
        value: as written, or converted, as the holder says.
        source: for people: "file wispy.yaml".
        is_text: whether it comes from a place that knows only text, so that its type decides what it means.
    """

    key: Key
    value: Any
    source: str
    is_text: bool = False


def read_yaml(file: Path) -> Any:
    """What a YAML file holds; an empty one holds an empty map.

    Raises:
        ConfigError: it cannot be read, is not YAML, or has a key twice.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"file {file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"file {file}: is not UTF-8 text: {error.reason} at byte {error.start}") from None
    try:
        content = yaml_in(text)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        problem = ", ".join(filter(None, (error.context, error.problem)))
        raise ConfigError(f"file {file}, line {line}: {problem}") from None
    except NO_YAML as error:
        raise ConfigError(f"file {file}: is not YAML: {error}") from None
    return {} if content is None else content


NO_YAML: Final = (yaml.YAMLError, RecursionError, ValueError)
"""What `yaml_in` raises."""


def yaml_in(text: str) -> Any:
    """What a text holds: plain values, and no key twice."""
    # _Loader is a SafeLoader: it makes plain values only.
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader's child  # nosec B506


def from_environment(environ: Mapping[str, str]) -> Iterator[Given]:
    """The settings among the environment's variables: `WISPY_REDIS__URL` is `redis.url`."""
    for name, text in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in (CLIENT_URL, CLIENT_TOKEN):
            continue
        if _SERVICE_NAME.search(name) or (name.endswith("_PORT") and _SERVICE_VALUE.match(text)):
            continue
        key = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        yield Given(key, text, f"{_ENVIRONMENT}{name}", is_text=True)


def written(key: Key, source: str) -> str:
    """A key as people write it in a source: dotted, and in the environment also as a variable."""
    variable = f" ({ENVIRONMENT_PREFIX}{'__'.join(key).upper()})" if source.startswith(_ENVIRONMENT) else ""
    return f"{'.'.join(key)}{variable}"


def from_flag(flag: str, key: str, text: str) -> Given:
    """What a flag says of a dotted key; named as it was written, `--port` or `--set port`."""
    return Given(tuple(key.split(".")), text, f"flag {flag}", is_text=True)


def nearest(unknown: Key, section: Key, group: Group) -> Key:
    """The valid key most like an unknown one: a near name in its section, else a near name or path anywhere.

    Args:
        unknown: the key's path below the section; where a section's name is misspelt, it has more than one part.
        section: where the section stands.
        group: the section.
    """
    name, *inner = unknown
    everywhere = list(_paths(fields.root(), ()))
    words = "_".join((*section, *unknown))
    for path in everywhere:
        if words == "_".join(path):  # WISPY_REDIS_URL, as many programs have it
            return path
    here = difflib.get_close_matches(name, group.members, n=1, cutoff=0.7)
    if here:
        return _nearest_below((*section, here[0]), group.members[here[0]], tuple(inner))
    # The same word elsewhere is most likely a key put one level too high or too low.
    for word, rest in ((name, tuple(inner)), (unknown[-1], ())):
        by_name = difflib.get_close_matches(word, {path[-1] for path in everywhere}, n=1, cutoff=0.7)
        if by_name:
            path = next(path for path in everywhere if path[-1] == by_name[0])
            return _nearest_below(path, fields.node_at(path), rest)
    dotted = {".".join(path): path for path in everywhere}
    return dotted[difflib.get_close_matches(".".join((*section, *unknown)), dotted, n=1, cutoff=0.0)[0]]


def _nearest_below(path: Key, node: Node, rest: Key) -> Key:
    """The valid key most like `rest` in the section at a path, or the section itself."""
    if isinstance(node, GroupMap) and rest:
        path, node, rest = (*path, rest[0]), node.group, rest[1:]
    return nearest(rest, path, node) if isinstance(node, Group) and rest else path


def _paths(group: Group, prefix: Key) -> Iterator[Key]:
    """The paths of all sections and settings."""
    for name, node in group.members.items():
        path = (*prefix, name)
        yield path
        match node:
            case Setting():
                pass
            case Group():
                yield from _paths(node, path)
            case GroupMap():
                yield from _paths(node.group, (*path, "NAME"))


class _Loader(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error, not a value that silently wins."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node, _ in node.value:
            name = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice in its section", key_node.start_mark
                )
            if name is not None:
                seen.add(name)
        return super().construct_mapping(node, deep=deep)
