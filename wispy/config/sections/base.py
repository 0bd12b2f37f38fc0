"""What each section of the configuration is made of: its base class, its fields' common types, and their meanings.

Rules:
- Lists are tuples, so that a section can be a key of a cache.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from wispy.config.secrets import MASK, is_secret, mask_urls
from wispy.config.units import Bytes, Seconds

# Objects' keys in Redis live for 7 days: no wait that wispy is asked for may outlast what it waits for.
_LONGEST_S = 7 * 86400
# The largest string that Redis takes (proto-max-bulk-len).
LARGEST_BYTES = 512 << 20

Duration = Annotated[Seconds, Meta(gt=0, le=_LONGEST_S)]
Size = Annotated[Bytes, Meta(ge=1, le=LARGEST_BYTES)]
Count = Annotated[int, Meta(ge=1, le=1_000_000)]


def about(meaning: str, check: Callable[[Any], str | None] | None = None) -> Meta:
    """What a field means, and the check that its type cannot say."""
    return Meta(description=meaning, extra={"check": check} if check else None)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections; its `repr` may be logged, for it shows no secret."""

    def __repr__(self) -> str:
        shown = (f"{name}={_shown(name, getattr(self, name))}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(name: str, value: object) -> str:
    return MASK if is_secret(name) and value is not None else mask_urls(repr(value))
