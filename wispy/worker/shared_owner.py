"""One of a shared object's workers: joins the others, works, and joins anew when they held it for dead.

Runs on the I/O thread. Beside `Owner`, this is about how it comes to serve the object, and about who may not: an object
has one owner or is shared, and who comes second with the other intent is refused.
"""

import asyncio
import secrets
import time

from wispy.broker.shared_store import SharedStore
from wispy.errors import UnservableError
from wispy.protocol.ownership import LeaseWatch
from wispy.timing import boottime
from wispy.worker.owner import Owner, holder, pause_between_looks_s
from wispy.worker.shared_tenure import SharedTenure
from wispy.worker.tenure import Tenure


class SharedOwner(Owner):
    """One shared object in one worker process; arguments as for `Owner`."""

    async def _next_tenure(self) -> Tenure | SharedTenure | None:
        """Join as soon as no owner is there that lives; None when the process stops.

        Raises:
            UnservableError: an owner lives.
        """
        commands = self._links.commands
        watch = LeaseWatch()
        lease_s = self._config.lease.duration
        while not self._stopping:
            await commands.wait_connected()
            record = await self._store.read_record()
            self._see(record)
            is_shared = record is not None and record.shared
            if is_shared or watch.is_free(record, commands.connection, time.monotonic()):
                # Another name each time: what was left under the former one belongs to nobody who lives.
                store = SharedStore(commands, self._keys.of(self.stage.name), secrets.token_hex(8))
                sent_at = boottime()
                joined = await store.join(
                    record,
                    nonce=secrets.token_hex(4),
                    lease_ms=int(lease_s * 1000),
                    holder=holder(),
                    known=self._known,
                )
                if joined is not None:
                    return SharedTenure(self._links, self._keys, store, joined, sent_at, self._config, self.stage)
            elif watch.lives and record is not None:
                raise UnservableError(
                    f"{self.stage.name} is owned by {record.holder}, which was started without --shared, and this "
                    "worker would share it: start all of its workers with --shared, or none"
                )
            await asyncio.sleep(pause_between_looks_s(lease_s))
        return None
