"""Builds the wheel, installs it in a clean environment and uses it there.

    python -m tests.wheel

What a flat layout forgets (templates, SQL, static files, the marker for type checkers) is
missed by users only, never by a checkout.
"""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import parlant_store, sys
from importlib.metadata import metadata
from importlib.resources import files
parlant_store.setup(database_url="sqlite:///" + sys.argv[1])
from parlant_store import store
store.add_items("s", [{"role": "user", "content": "hello"}])
assert store.get_items("s") == [{"role": "user", "content": "hello"}]
assert "site-packages" in parlant_store.__file__, parlant_store.__file__
described = metadata("django-parlant-store")
assert described["Version"] == parlant_store.__version__, described["Version"]
assert described["Author"] == "The django-parlant-store developers"
assert files("parlant_store.sql.functions").joinpath("sessions.sql").is_file()
try:
    import parlant_store.adapters.openai_agents
except Exception as error:
    assert "django-parlant-store[openai-agents]" in str(error), error
else:
    raise AssertionError("the SDK is not installed here")
"""


def shipped() -> set[str]:
    """The files of the package that are no Python."""
    package = ROOT / "parlant_store"
    return {
        str(path.relative_to(ROOT))
        for path in package.rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, str(ROOT))
        (wheel,) = Path(folder).glob("*.whl")
        missing = shipped() - set(zipfile.ZipFile(wheel).namelist())
        if missing:
            sys.exit(f"the wheel lacks {', '.join(sorted(missing))}: see package-data")
        clean = Path(folder, "clean")
        venv.create(clean, with_pip=True)
        python = str(clean / "bin" / "python")
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
        run(python, "-c", SCRIPT, str(Path(folder, "wheel.sqlite3")), cwd=folder)
    sys.stdout.write("the wheel works in a clean environment\n")


def run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
