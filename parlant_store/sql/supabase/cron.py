"""The job of pg_cron that deletes expired sessions and documents."""

import re

from parlant_store.sql.supabase.schema import identifier, literal

JOB = "parlant_store_expire"
BATCH = 10_000
"""Limit on the sessions, and on the documents, that one run of the job deletes."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS = {
    "minute": range(60),
    "hour": range(24),
    "day of month": range(1, 32),
    "month": range(1, 13),
    "day of week": range(8),
}
_NAMES = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of week": {name: number for number, name in enumerate(_DAYS)},
}
_RANGE = re.compile(r"(?:\*|([a-z]+|[0-9]+)(?:-([a-z]+|[0-9]+))?)(/0*[1-9][0-9]?)?")
_SECONDS = re.compile(r"([1-9]|[1-5][0-9]) seconds?", re.IGNORECASE)


def cron_sql(schema: str, schedule: str) -> str:
    """Return a statement that creates the job of the tables in ``schema`` or changes its schedule.

    Raise ValueError if pg_cron would refuse the schedule or never run it.
    """
    _check(schedule)
    command = f"select {identifier(schema)}.parlant_store_sweep(now(), {BATCH})"
    arguments = ", ".join(map(literal, (job_name(schema), schedule, command)))
    return (
        "-- This job deletes expired sessions and documents.\n"
        "create extension if not exists pg_cron with schema pg_catalog;\n"
        f"select cron.schedule({arguments});"
    )


def job_name(schema: str) -> str:
    """Return the name of the job, of which each schema has its own."""
    return JOB if schema == "public" else f"{JOB}_{schema}"


def _check(schedule: str) -> None:
    fields = schedule.split(" ")
    if _SECONDS.fullmatch(schedule):
        return
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"The schedule {schedule!r} must be five fields with a space between them, as "
            "'*/15 * * * *', or '1 seconds' to '59 seconds'"
        )
    for name, field in zip(_FIELDS, fields, strict=True):
        if not _is_field(name, field):
            raise ValueError(f"The schedule {schedule!r} has {field!r} as its {name}")


def _is_field(name: str, field: str) -> bool:
    """Whether it is a list of ranges; "$" is the last day of a month."""
    if (name, field) == ("day of month", "$"):
        return True
    return all(_is_range(name, part) for part in field.lower().split(","))


def _is_range(name: str, part: str) -> bool:
    """Whether it is "*", a number, or a range, of which "*" and ranges may have a step."""
    match = _RANGE.fullmatch(part)
    if match is None:
        return False
    first, last, step = match.groups()
    if first is None:
        return True
    if last is None:
        return step is None and _number(name, first) in _FIELDS[name]
    low, high = _number(name, first), _number(name, last)
    return low in _FIELDS[name] and high in _FIELDS[name] and low <= high


def _number(name: str, text: str) -> int:
    """Return the number of a field's ``text``, a number or a name; -1 for an unknown name."""
    return int(text) if text.isdecimal() else _NAMES.get(name, {}).get(text, -1)
