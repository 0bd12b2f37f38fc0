"""Single values: from what was written to the setting's type, and how a wrong one is shown."""

import difflib
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from wispy.config.fields import Key, Setting
from wispy.config.secrets import MASK, is_secret, mask_url, mask_urls, resembles_secret
from wispy.config.sources import NO_YAML, yaml_in
from wispy.config.units import Bytes, Seconds, parse_duration, parse_size

# Enough to recognise a value; a pasted file does not flood the terminal.
_LONGEST_SHOWN = 80


def convert(setting: Setting, value: Any, *, is_text: bool) -> Any:
    """The value in the setting's type, checked.

    Args:
        setting: what the value is for.
        value: as written.
        is_text: whether the source knows only text (the environment, a flag), so that the type decides what it means.

    Raises:
        ValueError: the value is of the wrong type or impossible; the text is the reason.
    """
    if is_text:
        value = _read_text(setting, value)
    if value is not None and Seconds in setting.bare:
        value = parse_duration(value)
    elif value is not None and Bytes in setting.bare:
        value = parse_size(value)
    if value is False and "off" in _choices(setting):
        value = "off"  # YAML takes a bare one for false
    try:
        converted = msgspec.convert(value, setting.type)
    except msgspec.ValidationError:
        raise ValueError(f"must be {setting.expected}{_nearest_choice(setting, value)}") from None
    reason = setting.check(converted) if setting.check and converted is not None else None
    if reason is not None:
        raise ValueError(reason)
    return converted


def section(value: Any, *, is_text: bool) -> Mapping[Any, Any] | None:
    """The content of a section, empty where nothing is under its name; None if the value is no section."""
    if is_text:
        try:
            value = yaml_in(value)
        except NO_YAML:
            return None
    if value is None:
        return {}
    return typing.cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else None


def shown(key: Key, value: Any, nearest: str = "") -> str:
    """A wrong value for an error's text, with what may be a secret masked.

    Args:
        key: where it stands.
        value: as written.
        nearest: the last part of the valid key that it may have been meant for.
    """
    name = key[-1] if key else ""
    if is_secret(name) or resembles_secret(name) or is_secret(nearest):
        return MASK
    # The content of a section that is unknown may hold secrets under any name.
    if isinstance(value, Mapping):
        return "{...}"
    text = repr(mask_url(value)) if isinstance(value, str) else mask_urls(repr(value))
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _read_text(setting: Setting, text: str) -> Any:
    """What a text means for this setting: text where it takes text, else YAML; `a,b` is a list where it takes lists."""
    origins = {typing.get_origin(bare) for bare in setting.bare}
    if types.NoneType in setting.bare and text in ("", "null"):
        return None
    if str in setting.bare and len(origins) == 1:
        return text
    if Seconds in setting.bare or Bytes in setting.bare:
        return _number_or(text)
    if origins <= {Literal}:
        return text
    try:
        value = yaml_in(text)
    except NO_YAML:
        if text.startswith(("[", "{")):
            raise ValueError(f"must be {setting.expected}; this is no YAML, or has a key twice") from None
        value = text
    if tuple in origins and isinstance(value, str) and str not in setting.bare and value not in _choices(setting):
        return [part.strip() for part in value.split(",")]
    if tuple in origins and value is None:
        return []
    return value


def _number_or(text: str) -> float | str:
    """A plain number, as YAML would read it, else the text."""
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _choices(setting: Setting) -> list[str]:
    return [choice for bare in setting.bare if typing.get_origin(bare) is Literal for choice in typing.get_args(bare)]


def _nearest_choice(setting: Setting, value: Any) -> str:
    by_lower_case = {choice.lower(): choice for choice in _choices(setting)}
    if not isinstance(value, str) or not by_lower_case:
        return ""
    near = difflib.get_close_matches(value.lower(), by_lower_case, n=1, cutoff=0.5)
    return f" (did you mean {by_lower_case[near[0]]}?)" if near else ""
