"""The files of a store's sessions, for reading and for writing."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from parlant_store.backends.contract.validation import SessionName
from parlant_store.backends.jsonfile.files import locks, names
from parlant_store.backends.jsonfile.files.directory import Directory, translated
from parlant_store.backends.jsonfile.files.lines import State, Write
from parlant_store.backends.jsonfile.files.locks import Locks
from parlant_store.backends.jsonfile.files.session_file import SessionFile, Version
from parlant_store.exceptions import BackendError

logger = logging.getLogger("parlant_store")

MAX_WRITTEN, MAX_LISTED = 1_000, 20_000
"""Limits on the sessions whose last write is cached, for writes and for listings."""


class Place(NamedTuple):
    """The folder and the file of a session, without a suffix."""

    folder: str
    file: str


def place_of(name: SessionName) -> Place:
    return Place(names.to_folder(name.namespace), names.to_file(name.session_id))


class SessionFiles:
    """The files of sessions below a directory."""

    def __init__(self, directory: Directory, timeout: float) -> None:
        self.directory = directory
        self._locks = Locks(lambda name: directory.open_lock(locks.FOLDER, name), timeout)
        self._written, self._listed = Cache(MAX_WRITTEN), Cache(MAX_LISTED)

    def state(self, folder: int, place: Place) -> State | None:
        """Return the state of the session in a file of an open folder; None if there is none."""
        try:
            status = os.stat(place.file + names.SESSION, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        cached = self._listed.get(place, Version.of(status))
        if cached is not None:
            return cached.write.after
        with self.opened(folder, place.file) as file:
            write = None if file is None else file.find_last()
            if file is None or write is None:
                return None
            if file.end == file.version.size:
                self._listed.put(place, file.version, write)
            return write.after

    @contextmanager
    def reading(self, name: SessionName) -> Iterator[SessionFile | None]:
        """Open the file of the session as it is now; None if there is none."""
        place = place_of(name)
        with (
            translated(name),
            self.directory.folder(place.folder) as folder,
            self.opened(folder, place.file) as file,
        ):
            if file is not None and file.find_last() is None:
                logger.warning("The file of %r has no session", name)
            yield file

    @contextmanager
    def opened(self, folder: int | None, file: str) -> Iterator[SessionFile | None]:
        """Open a file of the folder."""
        descriptor = (
            None if folder is None else self.directory.open_file(folder, file + names.SESSION)
        )
        if descriptor is None:
            yield None
            return
        try:
            yield SessionFile(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def locked(self, name: SessionName, timeout: float | None = None) -> Iterator["LockedFile"]:
        """Lock the session for a write, and open its file if there is one.

        What was cut off of an earlier write is set aside. ``timeout`` is that of the lock in
        seconds; None: that of the store.
        """
        place = place_of(name)
        with (
            translated(name),
            self._locks.hold(name, timeout),
            self.directory.folder(place.folder) as folder,
        ):
            descriptor = None
            if folder is not None:
                file_name = place.file + names.SESSION
                descriptor = self.directory.open_file(folder, file_name, write=True)
            try:
                locked = LockedFile(self.directory, self._written, name, folder, descriptor)
                yield locked
            finally:
                if descriptor is not None:
                    os.close(descriptor)


class Cached(NamedTuple):
    """What is known of a file at a version."""

    version: Version
    write: Write
    answers: dict[str, int] | None


class Cache:
    """The last writes of files, as long as these stay as they are.

    It needs no lock, which a thread might have during a fork: a lost entry is read again.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._files: dict[Place, Cached] = {}

    def get(self, place: Place, version: Version) -> Cached | None:
        cached = self._files.get(place)
        return None if cached is None or cached.version != version else cached

    def put(
        self, place: Place, version: Version, write: Write, answers: dict[str, int] | None = None
    ) -> None:
        if place not in self._files and len(self._files) >= self._limit:
            # Not the oldest: a listing reads all files in the same order each time.
            self._files.popitem()
        self._files[place] = Cached(version, write, answers)


class LockedFile:
    """The file of a session that this thread has locked; ``file`` is None if there is none."""

    def __init__(
        self,
        directory: Directory,
        cache: Cache,
        name: SessionName,
        folder: int | None,
        descriptor: int | None,
    ) -> None:
        self.name = name
        self.file: SessionFile | None = None
        self.answers: dict[str, int] | None = None
        """The offset of the answer to each request of the last hour; None: not known."""
        self._directory = directory
        self._cache = cache
        self._place = place_of(name)
        self._folder = folder
        if descriptor is not None:
            self.file = self._recover(SessionFile(descriptor))

    @property
    def last(self) -> Write | None:
        return None if self.file is None else self.file.last

    def append(self, data: bytes, write: Write) -> None:
        """Append ``data``, which ends with the line of ``write``."""
        file = self.file
        assert file is not None
        self._directory.append(file.descriptor, file.end, data, write.after.time)
        version = Version.of(os.fstat(file.descriptor))
        self._cache.put(self._place, version, write, self.answers)

    def replace(self, parts: list[bytes], write: Write, answers: dict[str, int]) -> None:
        """Replace the file by one that consists of ``parts``; the last is the line of ``write``."""
        file_name = self._place.file + names.SESSION
        time = write.after.time
        status = self._directory.replace(self._place.folder, file_name, parts, time)
        self._cache.put(self._place, Version.of(status), write, answers)

    def delete(self) -> None:
        """Delete the file, and what was set aside of it."""
        if self._folder is None:
            return
        is_deleted = self._directory.unlink(self._folder, self._place.file + names.SESSION)
        is_deleted |= self._directory.unlink(self._folder, self._place.file + names.DAMAGED)
        if is_deleted:
            self._directory.sync_folder(self._folder)

    def forget_damaged(self) -> None:
        """Delete what was set aside of the session."""
        if self._folder is not None:
            self._directory.unlink(self._folder, self._place.file + names.DAMAGED)

    def _recover(self, file: SessionFile) -> SessionFile | None:
        """Find the last whole write, and set aside what follows it."""
        cached = self._cache.get(self._place, file.version)
        if cached is not None:
            file.last, file.end = cached.write, file.version.size
            self.answers = cached.answers
            return file
        if file.find_whole() is None and file.size() > 0 and not file.header():
            raise BackendError(
                f"{self._path(names.SESSION)} is no file of this store, which leaves it alone; "
                f"move it to use the session {self.name.session_id!r}"
            )
        if file.end < file.size():
            self._set_aside(file)
        return None if file.last is None else file

    def _set_aside(self, file: SessionFile) -> None:
        assert self._folder is not None
        tail = file.tail()
        self._directory.add(self._folder, self._place.file + names.DAMAGED, tail)
        os.ftruncate(file.descriptor, file.end)
        self._directory.sync(file.descriptor)
        logger.warning(
            "Moved %d bytes of a write that was cut off, of %r, to %s",
            len(tail),
            self.name,
            self._path(names.DAMAGED),
        )

    def _path(self, suffix: str) -> str:
        return str(self._directory.path / self._place.folder / (self._place.file + suffix))
