"""The Python client: `wispy.connect` for asyncio, `wispy.connect_blocking` for scripts and notebooks.

Rules:
- Sessions are decided in `wispy.protocol.client_session`; here is the I/O around it.
- Looking at a proxy sends nothing. What a connection offers beside the objects are functions of the connection, and
  take a path; a proxy itself has no public name, so that it hides none of an object's.
"""

from wispy.client.blocking import BlockingRpc, connect_blocking
from wispy.client.channels import Gap
from wispy.client.rpc import Rpc, connect
from wispy.protocol.errors import RPCError
from wispy.protocol.values import UnencodableError

__all__ = ["BlockingRpc", "Gap", "RPCError", "Rpc", "UnencodableError", "connect", "connect_blocking"]
