"""Names of namespaces and sessions as names of folders and files.

A name consists of lower-case ASCII letters, digits, "-" and "_"; all other characters are written
as the bytes of their UTF-8, each as "%" and two digits. The result is the same on case-insensitive
file systems, and it is never hidden, a path, or a device of Windows. A long name is shortened to a
prefix, "=" and its SHA-256.
"""

import re
from functools import lru_cache
from hashlib import sha256

SESSION = ".jsonl"
"""The suffix of the file of a session."""

DAMAGED = ".damaged"
"""The suffix of the file with what was set aside of a session."""

DEFAULT = "=default"
"""The folder of the namespace ""."""

MAX_LENGTH = 120
"""Limit on the characters of an escaped name; some file systems allow 143 with the suffix."""

_PREFIX_LENGTH = 60

_SPECIAL = re.compile(rb"[^a-z0-9_-]")
_PLAIN = re.compile(r"[a-z0-9_-]+")
_ESCAPED = re.compile(r"(?:[a-z0-9_-]|%[0-9a-f]{2})+")
_BYTE = re.compile(rb"%([0-9a-f]{2})")
_SHORTENED = re.compile(r"(?:[a-z0-9_-]|%[0-9a-f]{2})*=[0-9a-f]{64}")
_DEVICES = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")
_CUT_ESCAPE = re.compile(r"%[0-9a-f]?$")


@lru_cache(maxsize=4_096)
def to_file(name: str) -> str:
    """Return the escaped name, without a suffix."""
    encoded = name.encode("utf-8", "surrogatepass")
    text = _SPECIAL.sub(lambda match: b"%%%02x" % match[0][0], encoded).decode()
    if len(text) > MAX_LENGTH:
        return f"{_CUT_ESCAPE.sub('', text[:_PREFIX_LENGTH])}={sha256(encoded).hexdigest()}"
    if _DEVICES.fullmatch(text):
        return f"%{ord(text[0]):02x}{text[1:]}"
    return text


def to_folder(namespace: str) -> str:
    """Return the folder of the namespace."""
    return to_file(namespace) if namespace else DEFAULT


def is_shortened(text: str) -> bool:
    """Whether ``text`` is a shortened name: the full one is in the file."""
    return _SHORTENED.fullmatch(text) is not None


def from_file(text: str) -> str | None:
    """Return the name of an escaped one; None if it is shortened, or no name of this store."""
    if _PLAIN.fullmatch(text) and len(text) <= MAX_LENGTH:
        return None if _DEVICES.fullmatch(text) else text
    if not _ESCAPED.fullmatch(text):
        return None
    encoded = _BYTE.sub(lambda match: bytes([int(match[1], 16)]), text.encode())
    try:
        name = encoded.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
    return name if to_file(name) == text else None


def from_folder(text: str) -> str | None:
    """Return the namespace of a folder; None like ``from_file``."""
    return "" if text == DEFAULT else from_file(text)
