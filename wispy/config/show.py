"""What people read of the configuration: `wispy config`, and the reference page made from the structure."""

import inspect
import json
from collections.abc import Iterator
from typing import Any

from wispy.config import fields
from wispy.config.fields import Group, GroupMap, Key, Setting
from wispy.config.load import Loaded
from wispy.config.secrets import MASK, is_secret, mask_urls
from wispy.config.sources import FLAGS

_INTRODUCTION = """\
# Configuration

This page is made from the structure in `wispy/config/schema.py` by `make docs`; a test holds it current.

One structure serves all processes. A value comes from, in this order: a flag, the environment, the file that `--config`
names, the default. `wispy config --config FILE` checks a configuration and prints each value with its source.

- **Flags**: {flags}; any other key with `--set KEY=VALUE`.
- **Environment**: `WISPY_` and the key in upper case, with `__` between levels: `WISPY_PORT`, `WISPY_REDIS__URL`,
  `WISPY_INSTANCE_CONFIGS__SAMPLE__ADD_ATTRIBUTES`. A list may be written `a,b`; other lists and maps as YAML.
- **File**: YAML. Sections merge key by key; a list or a map is replaced whole. Relative paths start from the
  folder that the command is started in.
- **Durations** are seconds, or a number with a unit: `300 ms`, `1.5 s`, `2 min`, `1 h`, `7 d`.
- **Sizes** are bytes, or a number with a unit: `64 KiB`, `1 MiB`, `1 MB`.

A key that does not exist, a value of the wrong type or an impossible one ends the command with exit status 2 and a
text that names the source, the key, the value and the reason.
"""


def render(loaded: Loaded) -> str:
    """The effective configuration as YAML, each value with its source; secrets are masked."""
    lines = list(_lines(fields.root(), loaded.config, (), loaded))
    # Sources stand in one column; a long value pushes its own aside and not everybody's.
    column = min(max(len(text) for text, _ in lines), 60)
    return "".join(f"{text:<{column}}  # {source}\n" if source else f"{text}\n" for text, source in lines)


def reference() -> str:
    """The reference page, in Markdown."""
    flags = ", ".join(f"`{flag}` (`{key}`)" for key, flag in FLAGS.items())
    parts = [_INTRODUCTION.format(flags=flags)]
    parts.extend(_tables(fields.root(), ()))
    return "\n".join(parts)


def _lines(group: Group, section: Any, path: Key, loaded: Loaded) -> Iterator[tuple[str, str]]:
    """Text and source of each line."""
    indent = "  " * len(path)
    for name, node in group.members.items():
        value = getattr(section, name)
        key = (*path, name)
        match node:
            case Setting():
                shown = MASK if is_secret(name) and value is not None else fields.show_value(node, value)
                yield f"{indent}{name}: {_scalar(shown)}", _source(key, loaded)
            case Group():
                yield f"{indent}{name}:", ""
                yield from _lines(node, value, key, loaded)
            case GroupMap():
                yield f"{indent}{name}:" + ("" if value else " {}"), "" if value else "default"
                for one, its_section in value.items():
                    yield f"{indent}  {_scalar(one)}:", ""
                    yield from _lines(node.group, its_section, (*key, one), loaded)


def _source(key: Key, loaded: Loaded) -> str:
    """Where a value came from; a setting of one object that was not given is as for all objects."""
    own = loaded.source(".".join(key))
    if own == "default" and key[0] == "instance_configs":
        return f"as {'.'.join(key[2:])}"
    return own


def _scalar(value: Any) -> str:
    """A value in YAML: JSON, which is YAML too, but plain text without quotes where nothing in it has a meaning."""
    text = mask_urls(json.dumps(value, ensure_ascii=False))
    plain = text[1:-1]
    is_plain = isinstance(value, str) and plain.replace(" ", "").replace("/", "").isalnum() and plain[0].isalpha()
    if is_plain and plain.lower() not in ("true", "false", "null", "yes", "no", "on", "off", "y", "n"):
        return plain
    if isinstance(value, str) and value[:1].isdigit() and value.rpartition(" ")[2].isalpha():
        return value  # a quantity
    return text


def _tables(group: Group, path: Key) -> Iterator[str]:
    """One table for each section, the section's own settings first."""
    title = f"`{'.'.join(path)}`" if path else "Top level"
    yield f"## {title}\n"
    yield f"{inspect.getdoc(group.struct)}\n"
    yield "| key | value | default | meaning |\n| --- | --- | --- | --- |"
    inner: list[tuple[Key, Group]] = []
    for name, node in group.members.items():
        match node:
            case Setting():
                default = _scalar(fields.show_value(node, node.default))
                yield f"| `{name}` | {node.expected} | `{default}` | {node.meaning} |"
            case Group():
                inner.append(((*path, name), node))
            case GroupMap():
                yield f"| `{name}` | a map of names to sections | `{{}}` | {node.meaning} |"
                inner.append(((*path, name, "NAME"), node.group))
    yield ""
    for its_path, its_group in inner:
        if "NAME" in path:
            yield from _same_as_for_all(its_path)
        else:
            yield from _tables(its_group, its_path)


def _same_as_for_all(path: Key) -> Iterator[str]:
    """A section of one object has the keys of the section for all: they are not listed twice."""
    yield f"## `{'.'.join(path)}`\n"
    yield f"The keys of `{path[-1]}`, for this object alone.\n"
