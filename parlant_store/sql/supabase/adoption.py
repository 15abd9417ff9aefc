"""Tables that others made, and what their rows become: documents, or sessions of the store."""

import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from typing import NamedTuple

from parlant_store.content import codec
from parlant_store.content.text_search import ALONE, MARKS, MAX_WORD, MAX_WORDS
from parlant_store.sql.supabase.schema import literal
from parlant_store.types import FAILED

SESSIONS_TABLE = "selectools_sessions"
"""The table of selectools' store on Supabase."""

_NAME_BYTES = 63
_PREFIXES = {
    "parlant_sessions_": ("sessions", "events"),
    "parlant_customers_": ("customers", "customer_tag_associations"),
    "parlant_context_variables_": ("variables", "variable_tag_associations", "values"),
}
"""The prefixes of Parlant's stores on Supabase, each with its collections, the main one first."""

_ESCAPED = "replace(replace({}, chr(1), chr(1) || chr(2)), chr(55295), chr(55295) || chr(1))"
"""``codec.escape`` of a text of PostgreSQL's."""

_COLUMN = f"""(select case when octet_length(name) <= {codec.MAX_COLUMN_BYTES} then name
    else rtrim((
        select left(name, n) from generate_series({codec.MAX_COLUMN_BYTES}, 1, -1) n
        where octet_length(left(name, n)) <= {codec.MAX_COLUMN_BYTES} - 66 limit 1
    ), chr(1)) || chr(1) || chr(3) || encode(sha256(convert_to(name, 'UTF8')), 'hex') end
    from (select {{}}) escaped (name))"""
"""``codec.to_column`` of it."""


class Listed(NamedTuple):
    """A table that is to hold a collection."""

    table: str
    collection: str
    is_made: bool = False
    """Whether it is made if it is not there."""

    is_required: bool = False
    """Whether it is an error if it is not there."""


def documented_tables() -> dict[str, str]:
    """The tables that Parlant's Supabase adapter has users make, with the collection of each.

    That of the main collection is named by the prefix alone.
    """
    tables = {}
    for prefix, (main, *others) in _PREFIXES.items():
        tables[prefix] = prefix + main
        tables[f"{prefix}{FAILED}"] = prefix + main + FAILED
        tables[f"{prefix}metadata"] = f"{prefix}metadata"
        for name in others:
            tables[prefix + name] = prefix + name
            tables[prefix + name + FAILED] = prefix + name + FAILED
    return {as_kept(table): collection for table, collection in tables.items()}


def as_kept(table: str) -> str:
    """The name as PostgreSQL keeps it, which cuts off what is too long."""
    return table.encode()[:_NAME_BYTES].decode(errors="ignore")


def parse_adopted(text: str) -> dict[str, str]:
    """The collections of ``text``, TABLE or TABLE=COLLECTION with commas between, by table.

    Raises ValueError when it says something twice.
    """
    tables: dict[str, str] = {}
    for part in text.split(","):
        table, separator, collection = (each.strip() for each in part.partition("="))
        if as_kept(table) in tables:
            raise ValueError(f"The table {table!r} is named twice")
        tables[as_kept(table)] = collection if separator else table
    return tables


def listed(collections: Sequence[str], adopted: Mapping[str, str] | None) -> list[Listed]:
    """The tables of documents, those to adopt before the others.

    ``adopted`` are collections by table, beside ``documented_tables``; with None, nothing is
    adopted. Raises ValueError when two of the tables to adopt are for one collection, or one
    for two.
    """
    made = [Listed(name, name, is_made=True) for name in dict.fromkeys(collections)]
    if adopted is None:
        return made
    known = {
        table: collection
        for table, collection in documented_tables().items()
        if table not in adopted and collection not in adopted.values()
    }
    found = [Listed(*pair, is_required=True) for pair in adopted.items()]
    found += [Listed(*pair) for pair in known.items()]
    _check({entry.table: entry.collection for entry in made}, found)
    return found + made


def _check(made: Mapping[str, str], found: Iterable[Listed]) -> None:
    tables: dict[str, str] = {}
    for entry in found:
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


def listed_sql(tables: Iterable[Listed]) -> str:
    """The rows in SQL: names, where rows go whose id is taken, and the two flags."""
    rows = ", ".join(
        f"({literal(table)}, {literal(codec.escape(collection))},"
        f" {literal(codec.escape(_failed(collection)))},"
        f" {str(is_made).lower()}, {str(is_required).lower()})"
        for table, collection, is_made, is_required in tables
    )
    return f"(values {rows}) listed (name, collection, beside, is_made, is_required)"


def _failed(collection: str) -> str:
    return collection if collection.endswith(FAILED) else collection + FAILED


def sessions_terms(adopted: Mapping[str, str]) -> dict[str, str]:
    """What adopted_sessions.sql names of tables and of searching (content/text_search.py)."""
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
    """What Python takes for characters of words, as ranges of a regular expression."""
    runs = re.findall(r"\w+", _characters())
    return "".join(f"{run[0]}-{run[-1]}" for run in runs)


def _characters() -> str:
    """All that can be in a word with others: what lies beyond is a word by itself, or none."""
    return "".join(map(chr, range(0x20000)))


def _in_regex(ranges: str) -> str:
    """Ranges of characters as PostgreSQL's regular expressions say them, in ASCII."""
    return "".join(map(_in_brackets, ranges))


def _in_brackets(character: str) -> str:
    code = ord(character)
    if character == "-":
        return character
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _folded(text: str) -> str:
    """``str.casefold`` of a text of PostgreSQL's, but for some letters of old Greek."""
    lower = f"lower(replace({text}, chr(304), 'i' || chr(775)) collate %4$s)"
    others = {
        one.lower(): one.casefold()
        for one in _characters()
        if one.lower() != one.casefold() and len(one.lower()) == len(one.casefold()) == 1
    }
    before, after = "".join(others), "".join(others.values())
    # To translate takes many times as long as to look.
    return (
        f"(select case when lower ~ {literal(f'[{before}]')}"
        f" then translate(lower, {literal(before)}, {literal(after)}) else lower end"
        f" from (select replace({lower}, chr(223), 'ss')) as lowered (lower))"
    )


def text_of(file: str) -> str:
    """The .sql file's template."""
    return resources.files(__package__).joinpath(f"{file}.sql").read_text("utf-8")
