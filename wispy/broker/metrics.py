"""What a process' links to Redis have to tell of themselves."""

from wispy.broker.route import Commands
from wispy.broker.subscriber import Subscriptions
from wispy.metrics import Snapshot


def tell_links(snapshot: Snapshot, link: Commands, subscriber: Subscriptions) -> None:
    """Add whether they are up, and how often they were made anew."""
    for name, each in (("commands", link), ("subscription", subscriber)):
        snapshot.put("wispy_link_up", each.connected, name)
        snapshot.put("wispy_link_reconnects", max(0, each.connection - 1), name)
    snapshot.put("wispy_subscription_deaf", subscriber.deaf)
