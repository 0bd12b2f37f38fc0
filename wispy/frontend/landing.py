"""The page that is shown where no other one is configured: what is served here, and how to begin."""

import base64
import hashlib
from html import escape
from typing import Final

from wispy.config.schema import Config

_STYLE: Final = """
html { color-scheme: light dark; background: light-dark(#ffffff, #12151a); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem; }
body { color: light-dark(#1c2733, #e6eaf0); overflow-wrap: anywhere; }
pre { background: light-dark(#f1f4f7, #1b1f27); padding: 1rem; border-radius: 6px; overflow-x: auto; }
a { color: light-dark(#0b62bb, #6bb6ff); }
h1 { font-size: 1.4rem; }
"""

_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

LANDING_POLICY: Final = (
    f"default-src 'none'; script-src 'self'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Its Content-Security-Policy: rpc.js, this style, an icon that is none, and nothing else."""

_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="UTF-8"><title>wispy</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>{style}</style></head>
<body>
<h1>wispy is running</h1>
<p>Served here: {objects}</p>
{console}
<p>Put your page into a folder <code>static</code> beside your program, as <code>static/index.html</code>, with</p>
<pre>&lt;script src="{base}/{script}/rpc.js"&gt;&lt;/script&gt;</pre>
<p>and then, in its own script or in this page's console:</p>
<pre>{example}</pre>
<script src="{base}/{script}/rpc.js"></script>
</body>
</html>
"""


def landing_page(objects: list[str] | None, config: Config) -> str:
    """The page, for these objects; None: whoever loads it is not known, and not told."""
    none = "what one has to log in for" if objects is None else "no object yet"
    names = ", ".join(f"<code>{escape(name)}</code>" for name in objects or ()) or none
    name = objects[0] if objects else "sample"
    example = f"rpc.{name}.$describe().then(console.log);"
    link = f'<p><a href="{config.base_path}/console/">The console</a> shows what they are and do.</p>'
    return _PAGE.format(
        style=_STYLE,
        objects=names,
        base=config.base_path,
        script=config.wispy_static_path,
        example=escape(example),
        console=link if config.has_console else "",
    )
