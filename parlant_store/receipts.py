"""Receipts for the export and the erasure of a user's data, for the commands and the admin."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, TextIO

from django.utils import timezone

from parlant_store.backends.base import BaseBackend
from parlant_store.content.times import as_utc
from parlant_store.personal_data import PersonalData
from parlant_store.personal_documents import PersonalDocument
from parlant_store.types import JSONObject, SessionInfo, ThreadInfo

_STORED_RESULTS = (
    "The results of some writes, which contain erased data, are stored for an hour so that no "
    "write runs twice; they are deleted after that, over HTTP by the first writes."
)


@dataclass
class Report:
    """What was deleted from a store, or would be."""

    store: str
    sessions: int = 0
    items: int = 0
    documents: int = 0
    threads: int = 0
    requests: int = 0
    left: int | None = None
    protected: list[str] = field(default_factory=list)
    error: str | None = None
    note: str | None = None
    found: list[JSONObject] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.error is None and not self.left

    def add(self, record: SessionInfo | PersonalDocument | ThreadInfo) -> None:
        if isinstance(record, PersonalDocument):
            self.documents += 1
            id_ = record.content.get("id")
            self.found.append({"collection": record.collection, "id": id_})
        elif isinstance(record, ThreadInfo):
            self.threads += 1
            self.found.append({"namespace": record.namespace, "thread_id": record.thread_id})
        else:
            self.sessions += 1
            self.items += record.item_count
            self.found.append({"namespace": record.namespace, "session_id": record.session_id})

    def add_all(self, data: PersonalData) -> None:
        for session in data.sessions():
            self.add(session)
        for document in data.documents():
            self.add(document)
        for thread in data.threads():
            self.add(thread)

    def erase(
        self, store: BaseBackend, user: str, is_stopped: Callable[[], object] = lambda: False
    ) -> None:
        """Delete the user's data, until ``is_stopped``, and count what is left.

        Raises what the store raises; what was deleted until then is in the report.
        """
        data = PersonalData(store, user)
        for record in () if is_stopped() else data.erase():
            self.add(record)
            if is_stopped():
                break
        self.requests = store.forget_requests(user)
        self.note = _STORED_RESULTS if store.keeps_answers else None
        left = Report(self.store)
        left.add_all(data)
        self.protected = [str(row) for row in data.protected]
        self.left = left.sessions + left.documents + left.threads + data.hidden

    def as_json(self, *, ids: bool) -> JSONObject:
        fields = {name: value for name, value in asdict(self).items() if value is not None}
        if not self.threads:
            del fields["threads"]
        if not ids:
            del fields["found"], fields["protected"]
        return fields


def receipt(action: str, user: str, reports: Iterable[Report], *, ids: bool) -> str:
    """Return the receipt in JSON; ``ids``: with the ids of the rows."""
    stores = [report.as_json(ids=ids) for report in reports]
    return json.dumps(_head(user) | {"action": action, "stores": stores}, indent=2)


class ExportedLines:
    """JSON Lines that end with a receipt."""

    def __init__(self, file: Any) -> None:
        self._file: TextIO = file
        self._digest = sha256()
        self._counts: Counter[tuple[str, str]] = Counter()

    def write(self, record: JSONObject) -> None:
        line = json.dumps(record) + "\n"
        self._digest.update(line.encode())
        self._counts[record["store"], record["kind"]] += 1
        self._file.write(line)

    def end(self, user: str, aliases: Sequence[str], failed: Sequence[str]) -> None:
        """Write the receipt, with the ``sha256`` of all lines before it."""
        counts = [
            {
                "store": alias,
                "sessions": self._counts[alias, "session"],
                "documents": self._counts[alias, "document"],
                **self._threads(alias),
                "complete": alias not in failed,
            }
            for alias in aliases
        ]
        end = _head(user) | {"stores": counts, "sha256": self._digest.hexdigest()}
        self._file.write(json.dumps(end) + "\n")

    def _threads(self, alias: str) -> JSONObject:
        threads = self._counts[alias, "thread"]
        return {"threads": threads} if threads else {}


def _head(user: str) -> JSONObject:
    return {"kind": "receipt", "user": user, "time": as_utc(timezone.now()).isoformat()}
