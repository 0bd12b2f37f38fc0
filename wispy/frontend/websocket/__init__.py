"""A websocket, as a frontend's session sees it: one seam (`seam`), and two shells behind it.

- `seam`: what a session offers and what it may use. Nothing else is needed to write one.
- `endpoint`: the Tornado handler that answers `GET /ws` and chooses the shell.
- `service`: what all connections of a process share: settings, the one timer, the flush at the end of a turn.
- `handshake`, `connection`: the detached shell. Tornado does HTTP and the upgrade; then the socket is its own.
- `tornado_shell`: the same over Tornado's `WebSocketHandler`, for permessage-deflate and for TLS that ends here.
- `keepalive`: pings and time-outs of all connections by one timer.
- `echo`: a server that echoes, for the conformance suite and the benchmarks.
"""
