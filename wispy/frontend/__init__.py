"""The frontend: a stateless process that serves pages and relays websocket sessions to the owners of objects."""
