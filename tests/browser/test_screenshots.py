"""The command that takes the pictures in docs/, and the pictures that are there."""

import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from project import browser as chromium
from project.screenshots import PICTURES
from tests import processes
from tests.project.test_supervisor import check_they_end, commands, programs, started, wait_for

ROOT = Path(__file__).resolve().parents[2]
MOST = 200_000
"""How many bytes a picture may have."""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "project.screenshots", *arguments]
    return subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=3600,
    )


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height, as the head of the PNG says them."""
    head = picture.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", head[16:])
    return width, height


def check(folder: Path) -> None:
    for picture in PICTURES:
        file = folder / f"{picture.name}.png"
        width, height = size_of(file)
        assert width == picture.size["width"]
        assert height == picture.size["height"] or picture.is_whole
        assert 20_000 < file.stat().st_size < MOST


def test_the_command_takes_every_picture(tmp_path):
    environment = os.environ | processes.forking()
    done = processes.run("-m", "project.screenshots", str(tmp_path), env=environment, timeout=3600)
    assert (done.returncode, done.stderr) == (0, "")
    check(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{each.name}.png" for each in PICTURES}


WITHOUT_EXAMPLES = """
from project import screenshots
screenshots.EXAMPLES = ()
screenshots.main()
"""
"""They have ended before the demo begins; test_server.py kills the one with a server."""


def test_the_demo_and_the_browser_end_when_it_is_killed(tmp_path):
    with started("-c", WITHOUT_EXAMPLES, str(tmp_path)) as process:
        assert "conversations.png" in process.stdout.readline()
        wait_for(lambda: "project.demo" in commands(programs(process)))
        wait_for(lambda: Path(chromium.chromium()).name in commands(programs(process)))
        running = programs(process)
        process.kill()
        check_they_end(running)


def test_the_pictures_in_docs_are_those_of_the_command():
    check(ROOT / "docs")
    taken = {f"docs/{picture.name}.png" for picture in PICTURES}
    assert {f"docs/{file.name}" for file in ROOT.glob("docs/*.png")} == taken, "make screenshots"
    shown = re.findall(r"!\[[^\]]{20,}\]\(([^)]+)\)", Path(ROOT, "README.md").read_text("utf-8"))
    assert len(shown) == 2
    assert set(shown) <= taken


@pytest.mark.parametrize("chromium", ["no-such-program", "/no/such/program"])
def test_a_missing_browser_is_told_before_anything_is_done(tmp_path, chromium):
    done = run(str(tmp_path / "pictures"), CHROMIUM=chromium)
    assert done.returncode == 1
    assert done.stderr.startswith("Chromium is needed")
    assert not list(tmp_path.iterdir())
