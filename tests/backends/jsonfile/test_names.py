"""Names of files, and links in their place."""

import os
import re
import shutil
import unicodedata

import pytest

from parlant_store.backends.jsonfile.files import names
from parlant_store.exceptions import BackendError, StoreUnavailable
from tests.backends.jsonfile.folders import cut_off, session_files
from tests.contract.values import IDS, numbered

pytestmark = pytest.mark.any_database

ODD_NAMES = [
    "..",
    ".",
    ".hidden",
    "/etc/passwd",
    "../../x",
    "a/b",
    "a\\b",
    "CON",
    "con",
    "aux",
    "NUL",
    "com1",
    "LPT9",
    "con.jsonl",
    "a.",
    "a ",
    " a",
    "a:b",
    "a*?<>|\"'",
    "A",
    "a",
    "É",
    "é",
    "e\u0301",
    "ß",
    "SS",
    "ss",
    "\u0130",
    "i\u0307",
    "=default",
    "default",
    "%61",
    "%",
    "~",
    "-rf",
    "\n",
    "\t",
    *("".join(chr(start + n % 80) for n in range(512)) for start in (0x61, 0x430, 0x4E00, 0x1F600)),
    *IDS,
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_is_a_safe_name_of_a_file(name):
    file = names.to_file(name)
    assert re.fullmatch(r"[a-z0-9_%=-]{1,130}", file)
    assert not re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)", file)
    assert names.from_file(file) == name or names.is_shortened(file)


def test_names_are_different_whatever_the_file_system_takes_for_equal():
    files = [unicodedata.normalize("NFC", names.to_file(name)) for name in ODD_NAMES]
    assert len({file.casefold() for file in files}) == len(set(ODD_NAMES))


def test_sessions_of_odd_names_are_all_there(store, directory):
    for number, name in enumerate(ODD_NAMES):
        store.add_items(name, numbered(number), namespace=name)
        store.add_items(name, numbered(number))
    for number, name in enumerate(sorted(set(ODD_NAMES))):
        store.replace_items(name, numbered(number), namespace=name)
    for number, name in enumerate(sorted(set(ODD_NAMES))):
        assert store.get_items(name, namespace=name) == numbered(number)
    listed = store.list_sessions(limit=1_000).sessions
    expected = {(namespace, name) for name in ODD_NAMES for namespace in ("", name)}
    assert [(one.namespace, one.session_id) for one in listed] == sorted(expected)
    assert {path.parent.parent for path in session_files(directory)} == {directory}


def test_foreign_names_are_no_sessions(store, directory):
    store.add_items("s", numbered(1))
    folder = directory / "=default"
    for name in (
        "UPPER.jsonl",
        "%zz.jsonl",
        "%ff.jsonl",
        "a.b.jsonl",
        "notes.txt",
        f"={'0' * 64}.jsonl",
    ):
        shutil.copy(folder / "s.jsonl", folder / name)
    (directory / "Other Folder").mkdir()
    shutil.copy(folder / "s.jsonl", directory / "Other Folder" / "t.jsonl")
    (directory / "Empty Folder").mkdir()
    assert [session.session_id for session in store.list_sessions().sessions] == ["s"]
    store.expire()
    assert (directory / "Empty Folder").exists()
    assert len(session_files(directory)) == 8


def test_links_are_not_followed(store, directory, path, tmp_path):
    store.add_items("t", numbered(1))
    outside = tmp_path / "outside.jsonl"
    shutil.copy(path.with_name("t.jsonl"), outside)
    path.symlink_to(outside)
    (directory / "linked").symlink_to(path.parent)
    before = outside.read_bytes()
    for call in (
        lambda: store.add_items("s", numbered(2)),
        lambda: store.get_items("s"),
        lambda: store.delete_session("s"),
        lambda: store.get_items("t", namespace="linked"),
        lambda: store.add_items("t", numbered(2), namespace="linked"),
    ):
        with pytest.raises(BackendError, match="symbolic link"):
            call()
    assert outside.read_bytes() == before
    assert [session.session_id for session in store.list_sessions().sessions] == ["t"]
    store.expire()
    assert path.is_symlink()
    assert store.get_items("t") == numbered(1)


def test_a_link_in_place_of_what_was_set_aside_is_not_followed(store, path, tmp_path):
    store.add_items("s", numbered(1))
    outside = tmp_path / "outside"
    path.with_suffix(".damaged").symlink_to(outside)
    cut_off(path, b"{")
    with pytest.raises(BackendError, match="symbolic link"):
        store.add_items("s", numbered(2))
    assert not outside.exists()


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_file_is_an_error(store, path, kind):
    store.add_items("t", numbered(1))
    path.mkdir() if kind == "folder" else os.mkfifo(path)
    for call in (lambda: store.get_items("s"), lambda: store.add_items("s", numbered(1))):
        with pytest.raises((BackendError, StoreUnavailable)):
            call()
    assert len(store.list_sessions().sessions) == 1
