"""The directory of a store: its folders and files, opened without following links.

Everything is opened relative to the descriptor of its folder, so that no link and no ".." leads
out of the directory.
"""

import errno
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import names
from parlant_store.content.times import microseconds
from parlant_store.exceptions import BackendError, OutcomeUnknown, StoreError, StoreUnavailable

FILE_MODE, FOLDER_MODE = 0o600, 0o700

TEMPORARY = ".tmp-"
"""The prefix of a file that is not complete yet."""

ABANDONED_SECONDS = 3_600
"""The age at which a temporary file is left over from a process that was killed."""

_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = _FLAGS | getattr(os, "O_DIRECTORY", 0)

_ATTEMPTS = 10
"""How often a folder is created again that another process deletes because it is empty."""

_LINKS = (errno.ELOOP, errno.ENOTDIR)


class Directory:
    """The directory with the folders of namespaces; created at the first write."""

    def __init__(self, path: Path, *, fsync: bool) -> None:
        self.path = path
        self.fsync = fsync

    @contextmanager
    def folder(self, name: str, *, create: bool = False) -> Iterator[int | None]:
        """Open a folder; without ``create``, return None if there is none."""
        root = self._open_root(create=create)
        if root is None:
            yield None
            return
        try:
            descriptor = self._open_folder(root, name, create=create)
        finally:
            os.close(root)
        if descriptor is None:
            yield None
            return
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def open_lock(self, folder: str, name: str) -> int:
        """Open a file of locks, which is created if there is none."""
        with self.folder(folder, create=True) as descriptor:
            return os.open(name, os.O_RDWR | os.O_CREAT | _FLAGS, FILE_MODE, dir_fd=descriptor)

    def open_file(self, folder: int, name: str, *, write: bool = False) -> int | None:
        """Open a file; return None if there is none."""
        try:
            return os.open(
                name, (os.O_RDWR if write else os.O_RDONLY) | _FLAGS | os.O_NONBLOCK, dir_fd=folder
            )
        except FileNotFoundError:
            return None

    def namespaces(self) -> list[str]:
        """Return the names of the folders, without links and hidden ones."""
        root = self._open_root(create=False)
        if root is None:
            return []
        try:
            with os.scandir(root) as entries:
                return [
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                ]
        finally:
            os.close(root)

    def file_names(self, folder: int) -> list[str]:
        """Return the names of the files of sessions, without the suffix."""
        with os.scandir(folder) as entries:
            return [entry.name.removesuffix(names.SESSION) for entry in filter(_is_file, entries)]

    def file_times(self, folder: int) -> list[tuple[str, int]]:
        """Return the names of the files of sessions, with the nanoseconds of their last change."""
        found = []
        with os.scandir(folder) as entries:
            for entry in filter(_is_file, entries):
                with suppress(FileNotFoundError):
                    changed = entry.stat(follow_symlinks=False).st_mtime_ns
                    found.append((entry.name.removesuffix(names.SESSION), changed))
        return found

    def replace(
        self, folder: str, name: str, parts: Sequence[bytes], time: datetime | None
    ) -> os.stat_result:
        """Write a file that replaces ``name`` when it is complete and on disk.

        ``time`` is that of the session's last write, which the file gets.
        """
        for attempt in range(_ATTEMPTS):
            with self.folder(folder, create=True) as descriptor:
                assert descriptor is not None
                try:
                    return self._replace(descriptor, name, parts, time)
                except FileNotFoundError:
                    if attempt == _ATTEMPTS - 1:
                        raise
        raise AssertionError

    def append(self, descriptor: int, end: int, data: bytes, time: datetime | None = None) -> None:
        """Write ``data`` at ``end``, and wait until it is on disk; else leave the file as it was.

        ``time`` is that of the session's last write, which the file gets. Raise OutcomeUnknown if
        it cannot be left as it was.
        """
        try:
            write_all(descriptor, data, end)
            set_time(descriptor, time)
            self.sync(descriptor)
        except BaseException as exc:
            self._take_back(descriptor, end, exc)
            raise

    def add(self, folder: int, name: str, data: bytes) -> None:
        """Append ``data`` to a file, which is created if there is none."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _FLAGS
        descriptor = os.open(name, flags, FILE_MODE, dir_fd=folder)
        try:
            self.append(descriptor, os.fstat(descriptor).st_size, data)
        finally:
            os.close(descriptor)
        self.sync_folder(folder)

    def unlink(self, folder: int, name: str) -> bool:
        """Delete a file; return False if there is none."""
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return True

    def sync(self, descriptor: int) -> None:
        if self.fsync:
            os.fsync(descriptor)

    def sync_folder(self, folder: int) -> None:
        """Wait until a change of the folder is on disk; raise OutcomeUnknown if it may not be."""
        try:
            self.sync(folder)
        except OSError as exc:
            raise OutcomeUnknown(f"the folder is perhaps not on disk: {reason(exc)}") from exc

    def sweep(self) -> None:
        """Delete empty folders, and temporary files of processes that were killed."""
        for name in self.namespaces():
            if names.from_folder(name) is None and not names.is_shortened(name):
                continue
            with self.folder(name) as folder:
                if folder is None:
                    continue
                for file in os.listdir(folder):
                    if file.startswith(TEMPORARY):
                        self._unlink_abandoned(folder, file)
            root = self._open_root(create=False)
            if root is not None:
                # It fails if the folder has files.
                with suppress(OSError):
                    os.rmdir(name, dir_fd=root)
                os.close(root)

    def _unlink_abandoned(self, folder: int, file: str) -> None:
        with suppress(FileNotFoundError):
            changed = os.stat(file, dir_fd=folder, follow_symlinks=False).st_mtime
            if changed < time.time() - ABANDONED_SECONDS:
                os.unlink(file, dir_fd=folder)

    def _replace(
        self, folder: int, name: str, parts: Sequence[bytes], time: datetime | None
    ) -> os.stat_result:
        temporary = f"{TEMPORARY}{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS
        descriptor = os.open(temporary, flags, FILE_MODE, dir_fd=folder)
        try:
            write_all(descriptor, b"".join(parts), 0)
            self.sync(descriptor)
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            # The time of a temporary file is that of its creation.
            set_time(descriptor, time)
            status = os.fstat(descriptor)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=folder)
            raise
        finally:
            os.close(descriptor)
        self.sync_folder(folder)
        return status

    def _take_back(self, descriptor: int, end: int, cause: BaseException) -> None:
        try:
            os.ftruncate(descriptor, end)
            self.sync(descriptor)
        except OSError as exc:
            raise OutcomeUnknown(
                f"the write failed, and what it wrote is perhaps not removed: {reason(exc)}"
            ) from cause

    def _open_root(self, *, create: bool) -> int | None:
        while True:
            try:
                return os.open(self.path, os.O_RDONLY | _FOLDER & ~getattr(os, "O_NOFOLLOW", 0))
            except FileNotFoundError:
                if not create:
                    return None
            self._create_root()

    def _create_root(self) -> None:
        missing = self.path
        while not missing.parent.exists():
            missing = missing.parent
        self.path.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        descriptor = os.open(missing.parent, os.O_RDONLY)
        try:
            self.sync(descriptor)
        finally:
            os.close(descriptor)

    def _open_folder(self, root: int, name: str, *, create: bool) -> int | None:
        while True:
            try:
                return os.open(name, os.O_RDONLY | _FOLDER, dir_fd=root)
            except FileNotFoundError:
                if not create:
                    return None
            with suppress(FileExistsError):
                os.mkdir(name, FOLDER_MODE, dir_fd=root)
                self.sync(root)


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Whether the entry of a folder is the file of a session."""
    return (
        entry.name.endswith(names.SESSION)
        and not entry.name.startswith(".")
        and entry.is_file(follow_symlinks=False)
    )


def set_time(descriptor: int, time: datetime | None) -> None:
    """Set the times of a file, if there is a time, and if the file system allows it."""
    if time is not None:
        nanoseconds = microseconds(time) * 1_000
        with suppress(OSError):
            os.utime(descriptor, ns=(nanoseconds, nanoseconds))


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of ``data``."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def reason(exc: OSError) -> str:
    return exc.strerror or str(exc)


@contextmanager
def translated(name: SessionName | None = None) -> Iterator[None]:
    """Raise errors of the operating system as those of the store."""
    try:
        yield
    except StoreError:
        raise
    except OSError as exc:
        what = "the directory" if name is None else f"the file of the session {name.session_id!r}"
        if exc.errno in _LINKS:
            raise BackendError(
                f"{what} is no file or is behind a symbolic link, which the store does not follow"
            ) from exc
        raise StoreUnavailable(f"{what} cannot be read or written: {reason(exc)}") from exc
