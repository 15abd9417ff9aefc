"""Every run takes place, and the last lines say what became of each."""

import re
import sys
from pathlib import Path

import pytest

from tests import runs
from tests.runs import Run

TESTS = {
    "good": "def test_a(): pass\ndef test_b(): pass",
    "bad": "def test_a(): pass\ndef test_b(): assert False",
    "broken": "import nothing_of_this_name",
    "killed": "import os\ndef test_a(): os.kill(os.getpid(), 9)",
}


@pytest.fixture
def run_of(tmp_path, monkeypatch):
    """Makes a run of a file of tests, which need nothing but pytest."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    config = tmp_path / "pytest.ini"
    config.write_text("[pytest]\n")

    def run(name: str, source: str, arguments: str = "") -> Run:
        file = tmp_path / f"test_{name}.py"
        file.write_text(source)
        options = f"-c {config} --rootdir {tmp_path} -p no:cacheprovider"
        return Run(name, "sqlite", f"{arguments} {options} {file}")

    return run


@pytest.fixture
def listed(run_of, monkeypatch):
    """A run of each of the TESTS."""
    monkeypatch.setattr(runs, "RUNS", [run_of(*each) for each in TESTS.items()])


def make(capfd, monkeypatch, *arguments: str) -> tuple[int, list[str]]:
    """The exit status, and the lines printed."""
    monkeypatch.setattr(sys, "argv", ["runs", *arguments])
    status = runs.main()
    return status, capfd.readouterr().out.splitlines()


def test_all_take_place_and_are_summed_up(listed, capfd, monkeypatch):
    status, lines = make(capfd, monkeypatch)
    assert status == 1
    *counts, last = lines[-5:]
    assert [line.split()[:5] for line in counts] == [
        ["good", "2", "passed", "0", "failed"],
        ["bad", "1", "passed", "1", "failed"],
        ["broken", "0", "passed", "1", "failed"],
        ["killed", "0", "passed", "0", "failed"],
    ]
    assert [line.partition("exit status ")[2] for line in counts] == ["", "1", "2", "137"]
    assert any(re.fullmatch(r"bad: \S*test_b", line) for line in lines)
    assert last.startswith(
        "3 tests passed and 2 failed in 4 runs, of which 1 passed and 3 failed, in "
    )


def test_a_run_of_one_process_goes_on_beside_one_of_two(run_of, tmp_path, capfd, monkeypatch):
    """Each waits for the other; a second one of two processes begins after the first."""
    source = """
import time
from pathlib import Path

def test_it():
    folder, end = Path({folder!r}), time.monotonic() + 300
    if {name!r} == "later":
        assert (folder / "ended").exists()
    (folder / {name!r}).touch()
    while not (folder / {other!r}).exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    if {name!r} == "wide":
        (folder / "ended").touch()
"""
    workers = "-p xdist -n 2"
    listed = [
        run_of(name, source.format(folder=str(tmp_path), name=name, other=other), arguments)
        for name, other, arguments in (
            ("wide", "narrow", workers),
            ("later", "later", workers),
            ("narrow", "wide", ""),
        )
    ]
    monkeypatch.setattr(runs, "RUNS", listed)
    monkeypatch.setattr(runs, "AT_A_TIME", 3)
    status, lines = make(capfd, monkeypatch)
    assert (status, lines[-1].partition(",")[0]) == (0, "3 tests passed and 0 failed in 3 runs")


def test_one_is_made_by_name(listed, capfd, monkeypatch):
    status, lines = make(capfd, monkeypatch, "good")
    assert status == 0
    assert lines[-1].startswith(
        "2 tests passed and 0 failed in 1 runs, of which 1 passed and 0 failed"
    )


def test_unknown_names_are_refused(listed, capfd, monkeypatch):
    with pytest.raises(SystemExit):
        make(capfd, monkeypatch, "god")
    assert "no run is named god; there are good, bad, broken, killed" in capfd.readouterr().err


def test_each_run_is_a_database_and_a_place_in_the_environment(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere")
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "of.another.project")
    monkeypatch.setenv("STORE", "supabase")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    sqlite, postgresql = Run("a", "sqlite"), Run("b", "postgresql")
    assert "DATABASE_URL" not in sqlite.environment()
    assert postgresql.environment()["DATABASE_URL"] == "postgresql://somewhere"
    for run in (sqlite, postgresql):
        others = {"DJANGO_SETTINGS_MODULE", "STORE", "PYTHONDONTWRITEBYTECODE"}
        assert not others & run.environment().keys()
    assert "tests.servers.postgresql" in postgresql.command()
    assert "tests.servers.postgresql" not in sqlite.command()


def test_a_run_writes_where_nothing_of_it_is_left(tmp_path, monkeypatch):
    """In memory if there is room; where TMPDIR says, if it says so."""
    where = []
    monkeypatch.delenv("TMPDIR", raising=False)
    monkeypatch.setattr(runs, "MEMORY", tmp_path)
    for room in (0, 2**60):
        monkeypatch.setattr(runs, "ROOM", room)
        with runs.temporary_folder() as folder:
            where.append(folder.parent)
            Path(folder, "a").touch()
        assert not folder.exists()
    monkeypatch.setattr(runs, "MEMORY", tmp_path / "nowhere")
    monkeypatch.setattr(runs, "ROOM", 0)
    with runs.temporary_folder() as folder:
        where.append(folder.parent)
    monkeypatch.setattr(runs, "MEMORY", tmp_path)
    monkeypatch.setenv("TMPDIR", "/tmp")
    with runs.temporary_folder() as folder:
        where.append(folder.parent)
    assert where[0] == tmp_path
    assert tmp_path not in where[1:]
