"""The numbers of a frontend process, as of a moment."""

from typing import get_args

from wispy.broker.metrics import tell_links
from wispy.frontend.core import Core
from wispy.limits import FrontendLimit
from wispy.metrics import Snapshot
from wispy.protocol.denials import OF_FRONTEND


def snapshot(core: Core) -> Snapshot:
    """The numbers of a frontend process."""
    counts = core.counts
    told = Snapshot(core.process)
    told.put_process(core.began)
    tell_links(told, core.link, core.subscriber)
    told.put("wispy_ready", not core.reasons_not_ready())
    told.put("wispy_frontend_connections", len(core.sessions))
    told.put("wispy_frontend_connections_opened", counts.opened)
    told.put("wispy_frontend_sessions", core.sessions_open)
    told.put("wispy_frontend_requests", core.dispatcher.requests)
    told.put("wispy_frontend_requests_in_flight", core.relay.in_flight)
    websockets = core.websockets
    limits = counts.limits | {
        "websocket_max_message_size": websockets.too_big,
        "login_size": websockets.too_big_early,
        "partial_messages": websockets.room.refused,
        "http_body_time": counts.limits.get("http_body_time", 0) + websockets.late,
    }
    for limit in get_args(FrontendLimit):  # those too that were not met: where a series begins, Prometheus sees no rise
        told.put("wispy_frontend_limit_hits", limits.get(limit, 0), limit)
    for reason in OF_FRONTEND:
        told.put("wispy_frontend_denied", core.audit.counts.get(reason, 0), reason)
    told.put("wispy_frontend_channels", core.hub.channels)
    told.put("wispy_frontend_deliveries", core.hub.deliveries)
    told.put("wispy_frontend_updates_conflated", counts.conflated)
    told.put("wispy_frontend_updates_dropped", counts.dropped)
    told.put("wispy_frontend_slow_readers", counts.slow)
    told.put("wispy_frontend_slow_readers_closed", counts.slow_closed)
    told.put("wispy_frontend_gaps", counts.gaps)
    told.put("wispy_frontend_gaps_recovered", counts.recovered)
    told.put("wispy_frontend_gaps_told", counts.told)
    told.put_histogram("wispy_frontend_delivery_lag_seconds", counts.lag)
    told.put("wispy_frontend_websocket_bytes", websockets.bytes_in, "in")
    told.put("wispy_frontend_websocket_bytes", websockets.bytes_out, "out")
    told.put("wispy_frontend_partial_message_bytes", websockets.room.taken)
    return told
