"""Tables of other packages, whose rows become documents or sessions of the store."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import NamedTuple

from parlant_store.content import codec
from parlant_store.content.text_search import ALONE, MARKS, MAX_WORD, MAX_WORDS
from parlant_store.sql.supabase.parlant_tables import documented_tables, truncated
from parlant_store.sql.supabase.schema import literal
from parlant_store.types import FAILED

SESSIONS_TABLE = "selectools_sessions"
"""The table of the Supabase store of selectools."""

_ESCAPED = "replace(replace({}, chr(1), chr(1) || chr(2)), chr(55295), chr(55295) || chr(1))"
"""``codec.escape`` in SQL."""

_COLUMN = f"""(select case when octet_length(name) <= {codec.MAX_COLUMN_BYTES} then name
    else rtrim((
        select left(name, n) from generate_series({codec.MAX_COLUMN_BYTES}, 1, -1) n
        where octet_length(left(name, n)) <= {codec.MAX_COLUMN_BYTES} - 66 limit 1
    ), chr(1)) || chr(1) || chr(3) || encode(sha256(convert_to(name, 'UTF8')), 'hex') end
    from (select {{}}) escaped (name))"""
"""``codec.to_column`` in SQL, of an escaped text."""


class CollectionTable(NamedTuple):
    """A table that becomes the partition of a collection."""

    table: str
    collection: str
    is_made: bool = False
    """Whether it is created if it does not exist."""

    is_required: bool = False
    """Whether it is an error if it does not exist."""


def parse_adopted(text: str) -> dict[str, str]:
    """Return the collections of ``text``, TABLE or TABLE=COLLECTION with commas between, by table.

    Raise ValueError if it has a table twice.
    """
    tables: dict[str, str] = {}
    for part in text.split(","):
        table, separator, collection = (each.strip() for each in part.partition("="))
        if truncated(table) in tables:
            raise ValueError(f"The table {table!r} is named twice")
        tables[truncated(table)] = collection if separator else table
    return tables


def collection_tables(
    collections: Sequence[str], adopted: Mapping[str, str] | None
) -> list[CollectionTable]:
    """Return the tables of documents, those to adopt first.

    ``adopted`` has collections by table, in addition to ``documented_tables``; with None, nothing
    is adopted. Raise ValueError if two tables to adopt are for one collection, or one for two.
    """
    made = [CollectionTable(name, name, is_made=True) for name in dict.fromkeys(collections)]
    if adopted is None:
        return made
    documented = {
        table: collection
        for table, collection in documented_tables().items()
        if table not in adopted and collection not in adopted.values()
    }
    existing = [CollectionTable(*pair, is_required=True) for pair in adopted.items()]
    existing += [CollectionTable(*pair) for pair in documented.items()]
    _check({entry.table: entry.collection for entry in made}, existing)
    return existing + made


def _check(made: Mapping[str, str], existing: Iterable[CollectionTable]) -> None:
    tables: dict[str, str] = {}
    for entry in existing:
        codec.check_name(entry.collection, f"The collection of {entry.table!r}")
        size = len(codec.escape(_failed(entry.collection)).encode())
        if size > codec.MAX_COLUMN_BYTES:
            raise ValueError(
                f"The collection of {entry.table!r} has {size} bytes with {FAILED!r};"
                f" {codec.MAX_COLUMN_BYTES} are allowed"
            )
        if made.get(entry.table, entry.collection) != entry.collection:
            raise ValueError(f"The table {entry.table!r} is named for two collections")
        other = tables.setdefault(entry.collection, entry.table)
        if other != entry.table:
            raise ValueError(
                f"The collection {entry.collection!r} is named for two tables, {other!r} and "
                f"{entry.table!r}"
            )


def collection_tables_sql(tables: Iterable[CollectionTable]) -> str:
    """Return the tables as SQL, with the collection for rows whose id is taken."""
    rows = ", ".join(
        f"({literal(table)}, {literal(codec.escape(collection))},"
        f" {literal(codec.escape(_failed(collection)))},"
        f" {str(is_made).lower()}, {str(is_required).lower()})"
        for table, collection, is_made, is_required in tables
    )
    return f"(values {rows}) tables (name, collection, failed_collection, is_made, is_required)"


def _failed(collection: str) -> str:
    return collection if collection.endswith(FAILED) else collection + FAILED


def sessions_terms(adopted: Mapping[str, str]) -> dict[str, str]:
    """Return the terms of adopted_sessions.sql for tables and words (content/text_search.py)."""
    names = dict.fromkeys(table for table, collection in adopted.items() if table == collection)
    names[SESSIONS_TABLE] = None
    alone = _in_regex(ALONE)
    return {
        "sessions_tables": ", ".join(map(literal, names)),
        "alone": literal(f"([{alone}])"),
        "word": literal(f"[{alone}]|[{_in_regex(_word_characters() + MARKS)}]+"),
        "folded": _folded(f"normalize(left(text, {MAX_WORDS * 20}), NFKC)"),
        "max_word": str(MAX_WORD),
        "max_words": str(MAX_WORDS),
        "max_text": str(MAX_WORDS * 20),
        "namespace": _COLUMN.format(_ESCAPED.format("namespace")),
        "session_id": _COLUMN.format(_ESCAPED.format("id")),
        "escaped": _ESCAPED.format("value"),
    }


def _word_characters() -> str:
    r"""Return the characters of \w in Python, as ranges of a regular expression."""
    runs = re.findall(r"\w+", _characters())
    return "".join(f"{run[0]}-{run[-1]}" for run in runs)


def _characters() -> str:
    """Return all characters that can be in a word with others; higher ones are words alone."""
    return "".join(map(chr, range(0x20000)))


def _in_regex(ranges: str) -> str:
    """Return ranges of characters for a regular expression of PostgreSQL, in ASCII."""
    return "".join(map(_in_brackets, ranges))


def _in_brackets(character: str) -> str:
    code = ord(character)
    if character == "-":
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _folded(text: str) -> str:
    """Return SQL for ``str.casefold``, except for some letters of ancient Greek."""
    lower = f"lower(replace({text}, chr(304), 'i' || chr(775)) collate %4$s)"
    others = {
        one.lower(): one.casefold()
        for one in _characters()
        if one.lower() != one.casefold() and len(one.lower()) == len(one.casefold()) == 1
    }
    before, after = "".join(others), "".join(others.values())
    # translate() takes many times as long as the match.
    return (
        f"(select case when lower ~ {literal(f'[{before}]')}"
        f" then translate(lower, {literal(before)}, {literal(after)}) else lower end"
        f" from (select replace({lower}, chr(223), 'ss')) as lowered (lower))"
    )


def text_of(file: str) -> str:
    """Return the template in the .sql file."""
    return resources.files(__package__).joinpath(f"{file}.sql").read_text("utf-8")
