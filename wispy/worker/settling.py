"""What former owners of an object were given and did not finish: settled before anything new runs."""

from collections.abc import Callable

from wispy.broker.errors import LinkLost
from wispy.broker.store import ObjectStore
from wispy.timing import wait_until
from wispy.worker.desk import Desk


async def settle_former(
    store: ObjectStore, desk: Desk, cursor: str, now_ms: Callable[[], int], patience_s: float
) -> None:
    """Settle what was there up to an entry: others may have begun it.

    Args:
        store: the object's scripts.
        desk: what settles it.
        cursor: the entry's id.
        now_ms: the time on the Redis server's clock.
        patience_s: seconds that Redis may take to confirm a page of it.

    Raises:
        BrokerError: Redis did not.
    """

    def is_settled() -> bool:
        desk.resend()  # what failed
        return desk.is_settled

    while entries := await store.delivered_unfinished(cursor):
        desk.settle_delivered(entries, now_ms())
        # The script deletes them; the next page begins behind them.
        if not await wait_until(is_settled, patience_s):
            raise LinkLost("what a former owner left could not be settled")
