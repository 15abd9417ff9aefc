"""JsonFileSessionStore of selectools: a file for each session."""

from collections.abc import Iterator
from pathlib import Path

from parlant_store.transfer.readers.base import Reader, Unreadable, parse_object
from parlant_store.transfer.readers.selectools.memories import memory_record
from parlant_store.transfer.sources import SourceError
from parlant_store.types import SessionRecord


class SelectoolsJSON(Reader):
    """A directory of JsonFileSessionStore."""

    def __init__(self, source: str, *, namespace: str = "") -> None:
        super().__init__(namespace=namespace)
        self._folder = Path(source).expanduser()

    def read_sessions(self) -> Iterator[SessionRecord]:
        if not self._folder.is_dir():
            raise SourceError(f"there is no folder {self._folder}")
        for path in sorted(self._folder.glob("*.json")):
            try:
                yield self._record(path)
            except (OSError, Unreadable) as exc:
                self.note(path.name, exc)

    def _record(self, path: Path) -> SessionRecord:
        content = parse_object(path.read_bytes(), strict=False)
        session_id, namespace = content.get("session_id", path.stem), content.get("namespace")
        if not isinstance(session_id, str) or not isinstance(namespace, (str, type(None))):
            raise Unreadable("its session_id or namespace is no text")
        memory = content.get("memory", content)
        if not isinstance(memory, dict):
            raise Unreadable("its memory is no JSON object")
        return memory_record(
            self,
            session_id,
            namespace,
            memory,
            created_at=content.get("created_at"),
            updated_at=content.get("updated_at"),
        )
