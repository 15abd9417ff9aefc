"""The files in a directory of sessions."""

from pathlib import Path


def session_files(directory: Path) -> list[Path]:
    return [
        path for path in directory.rglob("*") if path.is_file() and path.parent.name != ".locks"
    ]


def cut_off(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)
