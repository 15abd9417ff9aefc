"""An agent that remembers from process to process, and its session in Django's admin.

    python -m project.demo [--no-serve] [--port 8000]

It works on the database of project/settings.py: an SQLite file beside manage.py, or the
one that DATABASE_URL names. The user ``admin`` there gets a new password at each run.
DJANGO_SETTINGS_MODULE is left alone: it names the settings of some other project.
"""

import argparse
import errno
import os
import secrets
import subprocess
import sys
from typing import Any

import django
from django.core.management import call_command

HOST = "127.0.0.1"
TOLD = "My name is Ada and I live in Lisbon."
ASKED = "Where do I live?"
REMEMBERED = "Lisbon"


def main() -> None:
    options = _options()
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    session_id = f"demo-{secrets.token_hex(3)}"
    _say_to_agent("The first process is told", session_id, TOLD)
    answer = _say_to_agent("The second process is asked", session_id, ASKED)
    if REMEMBERED not in answer:
        sys.exit(f"The second process does not remember {REMEMBERED}; it answered: {answer}")
    _show(session_id)
    _prepare_admin()
    if options.serve:
        _serve(options.port)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m project.demo", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--no-serve", dest="serve", action="store_false", help="end after the run")
    parser.add_argument("--port", type=int, default=8000, help="of the admin; 0: any free one")
    return parser.parse_args()


def _say(line: str = "") -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _say_to_agent(what: str, session_id: str, message: str) -> str:
    """The answer to ``message`` of an agent in a process of its own."""
    _say(f"{what}:  {message}")
    command = [sys.executable, "-m", "project.demo_agent", session_id, message]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True)  # noqa: S603  (constants)
    if process.returncode != 0:
        sys.exit(f"{what} {message!r} and failed with exit status {process.returncode}.")
    answer = process.stdout.strip()
    _say(f"It answers:  {answer}\n")
    return answer


def _show(session_id: str) -> None:
    """Print what the store keeps of the session."""
    from parlant_store import store

    session = store.get_session(session_id)
    if session is None:
        sys.exit(f"The store has no session {session_id!r}.")
    _say(f"The store keeps session {session_id} of user {session.user_id}:")
    for number, item in enumerate(store.get_items(session_id)):
        _say(f"  {number}  {item.get('role') or item['type']:<20}  {_text(item)}")
    _say()


def _text(item: dict[str, Any]) -> str:
    if item.get("type") == "function_call":
        return f"{item['name']} {item['arguments']}"
    content = item.get("content", item.get("output"))
    if isinstance(content, list):
        return " ".join(part["text"] for part in content)
    return str(content)


def _prepare_admin() -> None:
    """Give the user ``admin`` a new password and print it."""
    from django.contrib.auth.models import User

    password = secrets.token_urlsafe(12)
    user, is_new = User.objects.get_or_create(username="admin")
    user.is_active = user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    _say("The user admin is new." if is_new else "The user admin was here and has a new password.")
    _say(f"Log in as admin with the password {password}")


def _serve(port: int) -> None:
    """Serve the project until Ctrl-C."""
    from django.contrib.staticfiles.handlers import StaticFilesHandler
    from django.core.servers.basehttp import (
        ThreadedWSGIServer,
        WSGIRequestHandler,
        get_internal_wsgi_application,
    )

    try:
        server = ThreadedWSGIServer((HOST, port), WSGIRequestHandler)
    except OSError as exc:
        sys.exit(_why_not(exc, port))
    server.set_app(StaticFilesHandler(get_internal_wsgi_application()))
    _say(f"The admin is at http://{HOST}:{server.server_port}/admin/ until Ctrl-C.")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        _say()
    finally:
        server.server_close()


def _why_not(exc: OSError, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Another program listens on port {port} of {HOST}. Stop it, or choose another "
            f"port: {os.path.relpath(sys.executable)} -m project.demo --port {port + 1}"
        )
    return f"Cannot listen on port {port} of {HOST}: {exc.strerror}."


if __name__ == "__main__":
    main()
