"""Retention rules: their form in settings, and a pass of one over a table."""

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from parlant_store.backends.contract.validation import check_collection, check_limit
from parlant_store.content import codec
from parlant_store.content.query import kind_of
from parlant_store.content.times import MAX_TTL_SECONDS, as_utc
from parlant_store.exceptions import InvalidInput, InvalidLimit
from parlant_store.types import JSONObject, Retention

Place = Any
"""The place where a step of a pass ended: JSON, in a form of the backend."""

EXAMINED = 20
"""How many rows a step reads for each that it may delete."""

_DURATION = re.compile(r"([0-9]+)([smhdw])")
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NAMES = tuple(field.name for field in fields(Retention))
_HOW_LONG = 'must be text as "90d", with s, m, h, d or w, a number of seconds, or a timedelta'


class Sweep(NamedTuple):
    """One pass over the sessions or the documents."""

    documents: bool
    rule: Retention | None
    """None: expired rows are eligible."""

    now: datetime
    limit: int
    """Limit on the eligible rows of a step."""

    @property
    def examined(self) -> int:
        """Limit on the rows that a step reads."""
        return self.limit * EXAMINED

    @property
    def created_until(self) -> datetime | None:
        """Eligible rows were created at this time or before."""
        return self._before("older_than")

    @property
    def updated_until(self) -> datetime | None:
        """Eligible rows were last written at this time or before."""
        return self._before("idle")

    @property
    def created_until_text(self) -> str | None:
        """``created_until`` in the form of a document's creation_utc."""
        return None if self.created_until is None else as_utc(self.created_until).isoformat()

    @property
    def namespace(self) -> str | None:
        """The namespace of the rule, in the form of its column."""
        name = None if self.rule is None else self.rule.namespace
        return None if name is None else codec.to_column(name)

    @property
    def collection(self) -> str | None:
        """The collection of the rule, in the form of its column."""
        name = None if self.rule is None else self.rule.collection
        return None if name is None else codec.to_column(name)

    def as_json(self) -> JSONObject:
        """Return the argument p_rule of the functions in sql/functions/retention.sql."""
        times = {
            "created_until": self.created_until,
            "updated_until": self.updated_until,
            "now": self.now,
        }
        return {
            "documents": self.documents,
            "namespace": self.namespace,
            "collection": self.collection,
            "created_until_text": self.created_until_text,
            **{name: time and as_utc(time).isoformat() for name, time in times.items()},
        }

    def _before(self, name: str) -> datetime | None:
        duration = None if self.rule is None else getattr(self.rule, name)
        return None if duration is None else self.now - duration


def check_rule(rule: Retention) -> Retention:
    """Return ``rule``; raise InvalidInput if it lacks something or contradicts itself."""
    if not isinstance(rule, Retention):
        raise InvalidInput(f"a rule must be a Retention, not {type(rule).__name__}")
    if rule.trims:
        _check_trimming(rule)
    elif rule.older_than is rule.idle is None:
        raise InvalidInput(
            "it needs older_than or idle, or keep_last_items, keep_last_turns or keep_checkpoints"
        )
    if rule.namespace is not None and rule.collection is not None:
        raise InvalidInput(
            "it has a namespace, for sessions, and a collection, for documents: use only one of "
            "them, or two rules"
        )
    for name in ("older_than", "idle"):
        _check_duration(getattr(rule, name), name)
    if rule.namespace is not None:
        codec.check_name(rule.namespace, "namespace", empty=True)
    if rule.collection is not None:
        check_collection(rule.collection)
    return rule


def _check_trimming(rule: Retention) -> None:
    for name in ("older_than", "idle", "collection"):
        if getattr(rule, name) is not None:
            raise InvalidInput(
                f"it has {name} and keep_last_items, keep_last_turns or keep_checkpoints: "
                "use two rules"
            )
    for name in ("keep_last_items", "keep_last_turns"):
        check_limit(getattr(rule, name), name)
    if check_limit(rule.keep_checkpoints, "keep_checkpoints") == 0:
        raise InvalidLimit("keep_checkpoints must be 1 or more")


def _check_duration(duration: timedelta | None, what: str) -> None:
    if duration is None:
        return
    if not isinstance(duration, timedelta):
        raise InvalidLimit(f"{what} must be a timedelta, not {duration!r}")
    parse_duration(duration, what)


def parse_duration(value: object, what: str) -> timedelta:
    """Return the duration of ``value``: "90d", "12h", "30m", "45s", "2w", seconds or a timedelta.

    ``what`` is its name in errors. Raise InvalidLimit unless it is above 0 and at most a hundred
    years.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and kind_of(value) == "number":
        seconds = value
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        # Twenty digits are above the limit with each unit.
        seconds = int(match[1][:20]) * _UNITS[match[2]]
    else:
        raise InvalidLimit(f"{what} {_HOW_LONG}, not {value!r}")
    if not 0 < seconds <= MAX_TTL_SECONDS:
        raise InvalidLimit(f"{what} must be above 0 and at most a hundred years, not {value!r}")
    return timedelta(seconds=seconds)


def parse_rules(option: object, alias: str) -> tuple[Retention, ...]:
    """Return the rules of the option ``retention``; raise ImproperlyConfigured if one is wrong."""
    where = f"retention of the store {alias!r}"
    if option is None:
        return ()
    if not isinstance(option, (list, tuple)):
        raise ImproperlyConfigured(
            f'{where} must be a list of rules, as [{{"older_than": "90d"}}], not {option!r}'
        )
    rules = []
    for number, rule in enumerate(option, 1):
        try:
            rules.append(_parse_rule(rule))
        except InvalidInput as exc:
            raise ImproperlyConfigured(f"rule {number} of {where}, {rule!r}: {exc}") from None
    return tuple(rules)


def _parse_rule(rule: object) -> Retention:
    if not isinstance(rule, Mapping):
        raise InvalidInput('a rule must be a dict, as {"older_than": "90d"}')
    if unknown := sorted(map(str, rule.keys() - set(_NAMES))):
        raise InvalidInput(f"it has {', '.join(unknown)}; a rule takes {', '.join(_NAMES)}")
    durations: dict[str, Any] = {
        name: parse_duration(rule[name], name)
        for name in ("older_than", "idle")
        if rule.get(name) is not None
    }
    return check_rule(Retention(**{**rule, **durations}))
