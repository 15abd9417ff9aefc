"""What the default store has stored, as it is in the tables or the file."""

import json
from pathlib import Path
from typing import Any

from django.conf import settings

from parlant_store.models import Session, SessionItem
from tests.conftest import STORE


def rows() -> set[Any]:
    """What identifies each of the stored items; those that are written again are others."""
    if STORE != "files":
        return set(SessionItem.objects.values_list("key", flat=True))
    return {row for path in _files() for row in _live(path)}


def damage_item(place: int, text: str) -> None:
    """Put ``text`` in place of an item of the only session."""
    if STORE == "redis":
        with _valkey() as client:
            (items,) = client.scan_iter("*:items:*")
            client.lset(items, place, text)
        return
    if STORE != "files":
        key = SessionItem.objects.order_by("position")[place].key
        SessionItem.objects.filter(key=key).update(data=text)
        return
    (path,) = _files()
    (_, offset) = _live(path)[place]
    data = path.read_bytes()
    end = data.index(b"\n", offset)
    path.write_bytes(data[:offset] + b'{"item":%b}' % text.encode() + data[end:])


def set_column(name: str, value: Any) -> None:
    """Set the state or the metadata of the only session to any JSON value."""
    if STORE == "redis":
        lines = [json.dumps(part) for pair in _pairs(value) for part in pair]
        with _valkey() as client:
            (session,) = client.scan_iter("*:session:*")
            stored = "\n".join(lines) if name == "metadata" else json.dumps(value)
            client.hset(session, name, stored)
        return
    if STORE != "files":
        Session.objects.update(**{name: value})
        return
    (path,) = _files()
    *lines, last = path.read_bytes().splitlines(keepends=True)
    write = json.loads(last)
    write[name] = value
    write["after"][f"{name}_at"] = sum(map(len, lines))
    path.write_bytes(b"".join(lines) + json.dumps(write, separators=(",", ":")).encode() + b"\n")


def _valkey() -> Any:
    from redis import Redis

    return Redis.from_url(settings.PARLANT_STORES["default"]["OPTIONS"]["url"])


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items()) if isinstance(value, dict) else [(value, value)]


def _files() -> list[Path]:
    directory = Path(settings.PARLANT_STORES["default"]["OPTIONS"]["directory"])
    return list(directory.rglob("*.jsonl"))


def _live(path: Path) -> list[tuple[int, int]]:
    """The file and the offset of each item, as the lines say from the first to the last."""
    live: list[tuple[int, int]] = []
    added: list[tuple[int, int]] = []
    offset, inode = 0, path.stat().st_ino
    for line in path.read_bytes().splitlines(keepends=True):
        if line.startswith(b'{"item":'):
            added.append((inode, offset))
        elif line.startswith(b'{"did":'):
            write = json.loads(line)
            live = live[write["dropped"] : len(live) - write["removed"]] + added
            added = []
        offset += len(line)
    return live
