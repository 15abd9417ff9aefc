"""The JSON files of a Parlant server, in its folder parlant-data."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from parlant_store.sql.supabase.parlant_tables import PREFIXES
from parlant_store.transfer.readers.base import Unreadable, parse_object
from parlant_store.transfer.readers.parlant.users import ParlantReader
from parlant_store.transfer.sources import SourceError
from parlant_store.types import DocumentRecord

STEMS = tuple(prefix.removeprefix("parlant_").rstrip("_") for prefix in PREFIXES)
"""The names of the files of the stores that server_stores() persists."""


class ParlantJSON(ParlantReader):
    """A folder with a file for each of Parlant's stores, or one such file.

    The collection "events" of sessions.json becomes ``table_prefix`` + "sessions_events".
    """

    def __init__(
        self, source: str, *, table_prefix: str = "parlant_", all_files: bool = False
    ) -> None:
        """``all_files`` also reads the files of stores that server_stores() does not persist."""
        super().__init__()
        self._path = Path(source).expanduser()
        self._prefix = table_prefix
        self._all_files = all_files
        self._loaded: tuple[tuple[Path, int, int], dict[str, Any]] | None = None

    def list_collections(self) -> list[str]:
        return sorted(self._places())

    def read_documents(self, collection: str) -> Iterator[DocumentRecord]:
        path, name = self._places()[collection]
        for number, document in enumerate(self._load(path)[name], 1):
            if isinstance(document, dict):
                yield DocumentRecord(document=document)
            else:
                self.note(f"document {number} of {path.name}, {name}", "it is no JSON object")

    def _places(self) -> dict[str, tuple[Path, str]]:
        """Return the file and the name in it, by collection."""
        places = {}
        for path in self._files():
            try:
                content = self._load(path)
            except (OSError, Unreadable) as exc:
                self.note(path.name, exc)
                continue
            for name, documents in content.items():
                if isinstance(documents, list):
                    places[f"{self._prefix}{path.stem}_{name}"] = path, name
                else:
                    self.note(f"{path.name}, {name}", "it is no list of documents")
        return places

    def _files(self) -> list[Path]:
        if self._path.is_file():
            return [self._path]
        if not self._path.is_dir():
            raise SourceError(f"there is no folder {self._path}")
        paths = sorted(self._path.glob("*.json"))
        if self._all_files:
            return paths
        for path in paths:
            if path.stem not in STEMS:
                self.note(path.name, "no store of server_stores(); --all-files copies it as well")
        return [path for path in paths if path.stem in STEMS]

    def _load(self, path: Path) -> dict[str, Any]:
        """Return the content of the file; that of the last one is cached until it changes."""
        state = path.stat()
        key = path, state.st_mtime_ns, state.st_size
        if self._loaded is None or self._loaded[0] != key:
            content = path.read_bytes()
            self._loaded = key, parse_object(content, strict=False) if content.strip() else {}
        return self._loaded[1]
