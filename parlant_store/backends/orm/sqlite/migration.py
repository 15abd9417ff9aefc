"""Replacement of documents on SQLite."""

from collections.abc import Sequence

from django.db import IntegrityError
from django.db.backends.base.base import BaseDatabaseWrapper

from parlant_store.backends.columns import replaced
from parlant_store.backends.orm.base.migration import Versions
from parlant_store.backends.orm.base.sessions import Time
from parlant_store.backends.orm.database.statements import fetch, write
from parlant_store.content.text_search import stored_words
from parlant_store.exceptions import DuplicateDocument
from parlant_store.types import PROMOTED, Replacement

_COLUMNS = ("collection", *PROMOTED, "data", "terms")
_REPLACE = (
    f"UPDATE parlant_store_document SET {', '.join(f'{column} = %s' for column in _COLUMNS)},"
    " failed_calls = CASE WHEN active_minute IS NULL THEN %s ELSE failed_calls END,"
    " updated_at = %s"
    " WHERE key = %s AND data = %s RETURNING key"
)


class SQLiteVersions(Versions):
    def replace(
        self, connection: BaseDatabaseWrapper, replacements: Sequence[Replacement], time: Time
    ) -> list[bool]:
        try:
            with write(connection):
                return [
                    bool(
                        fetch(
                            connection,
                            _REPLACE,
                            (
                                *(*replaced(new, stored_words).values(), time.now),
                                *(new.stored.key, new.stored.text),
                            ),
                        )
                    )
                    for new in replacements
                ]
        except IntegrityError as exc:
            raise DuplicateDocument("another document has the id of one of these") from exc
