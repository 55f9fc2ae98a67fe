"""Contract suites: what every implementation of a protocol must do, as plain test classes for pytest.

To check an implementation of your own, subclass the suite in a test file and provide its fixtures:

    from offpoll.testing.contracts.board import DocumentStoreContract

    class TestMyStore(DocumentStoreContract):
        @pytest.fixture
        def store(self) -> DocumentStore:
            return MyStore(...)

A suite's tests are plain functions that drive an event loop through `self.run`. Override the fixture `loop` if the implementation must
run in a loop that it makes itself. Every test uses new keys, ids and kinds, so one store or table serves all tests; each test needs a new
queue. The races, 64 writers of one thing, are part of the suites.
"""

from offpoll.testing.contracts.board import DocumentStoreContract
from offpoll.testing.contracts.board_races import DocumentStoreRaces
from offpoll.testing.contracts.queue import QueueContract
from offpoll.testing.contracts.queue_races import QueueRaces
from offpoll.testing.contracts.records import RecordsContract
from offpoll.testing.contracts.records_races import RecordsRaces
from offpoll.testing.contracts.service_times import ServiceTimesContract
from offpoll.testing.contracts.status_board_races import StatusBoardRaces

__all__ = [
    "DocumentStoreContract",
    "DocumentStoreRaces",
    "QueueContract",
    "QueueRaces",
    "RecordsContract",
    "RecordsRaces",
    "ServiceTimesContract",
    "StatusBoardRaces",
]
