"""Calls of store_import, and what is beside the file of a source."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command


def run(kind: str, source: Any, *arguments: str, target: str = "target") -> str:
    stdout, stderr = StringIO(), StringIO()
    call_command(
        "store_import", kind, str(source), target, *arguments, stdout=stdout, stderr=stderr
    )
    return stdout.getvalue() + stderr.getvalue()


def as_json(kind: str, source: Any, *arguments: str, **options: str) -> Any:
    return json.loads(run(kind, source, "--json", *arguments, **options).partition("\n")[0])


def contents(folder: Path) -> dict[str, bytes]:
    """All files of the folder, which an import never changes."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
