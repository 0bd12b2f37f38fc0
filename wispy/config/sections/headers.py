"""The section on headers: what answers tell browsers to allow."""

from typing import Annotated, Literal

import msgspec

from wispy.config import checks
from wispy.config.sections.base import Section, about

CONSOLE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nobody may frame the console, its only scripts are the server's own files, and text cannot become markup even by a
mistake of its code."""

PAGES_POLICY = "object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
"""All that can be forbidden without knowing an author's page: it may have scripts inside, and load others from
elsewhere. A foreign page may not show it in a frame, where a visitor could be brought to click on what he does not see.
"""


class HeadersConfig(Section, frozen=True):
    """What answers tell browsers to allow."""

    policy: Annotated[
        str | None,
        about("Content-Security-Policy of the pages and files in static folders; null: none", checks.header_text),
    ] = PAGES_POLICY
    console_policy: Annotated[
        str,
        about("Content-Security-Policy of the console, which needs what the default allows", checks.policy),
    ] = CONSOLE_POLICY
    referrer_policy: Annotated[
        Literal["no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin", "origin"],
        about("Referrer-Policy of all answers: what links to elsewhere tell of the page's address"),
    ] = "same-origin"
    more: Annotated[
        dict[str, str],
        about("other headers of all answers: `{Permissions-Policy: camera=()}`", checks.headers),
    ] = msgspec.field(default_factory=dict[str, str])
