"""A Supabase of one's own: its roles in PostgreSQL, the real PostgREST, and a gateway.

It needs the executable of PostgREST 12, which `make test` installs.
"""

import os
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import jwt
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from project.supervisor import Supervised
from tests.servers.ports import port_of_a_server
from tests.servers.supabase_gateway import Gateway

ROLES = "anon, authenticated, service_role"
PASSWORD = "authenticator"  # of the role authenticator
PATIENCE = 120  # seconds


def roles_sql(*, open_by_default: bool = True) -> str:
    """What every project of Supabase starts with. May run again; needs a superuser.

    `open_by_default`: what is made in public later is granted to all three roles, as in
    projects made before 2026.
    """
    roles = {
        "anon": "nologin noinherit",
        "authenticated": "nologin noinherit",
        "service_role": "nologin noinherit bypassrls",
        "authenticator": f"login noinherit password '{PASSWORD}'",
    }
    verb, to = ("grant", "to") if open_by_default else ("revoke", "from")
    return "\n".join(
        [
            *(create_role(name, options) for name, options in roles.items()),
            f"grant {ROLES} to authenticator;",
            AUTH,
            f"grant usage on schema public to {ROLES};",
            *(
                f"alter default privileges in schema public {verb} all on {kind} {to} {ROLES};"
                for kind in ("tables", "sequences", "functions")
            ),
        ]
    )


def create_role(name: str, options: str) -> str:
    return f"""do $$ begin
    if to_regrole('{name}') is null then create role {name}; end if;
end $$;
alter role {name} {options};"""


AUTH = f"""
create schema if not exists auth;
grant usage on schema auth to {ROLES};

create or replace function auth.uid() returns uuid language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.sub', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'
    )::uuid
$$;

create or replace function auth.role() returns text language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim.role', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role'
    )
$$;

create or replace function auth.jwt() returns jsonb language sql stable as $$
    select coalesce(
        nullif(current_setting('request.jwt.claim', true), ''),
        nullif(current_setting('request.jwt.claims', true), '')
    )::jsonb
$$;
"""


def executable() -> str:
    """The path of PostgREST: POSTGREST of the environment, or what `make test` installed."""
    path = Path(os.environ.get("POSTGREST") or Path(sys.prefix, "npm", "postgrest"))
    if not path.is_file():
        raise FileNotFoundError(
            f"PostgREST is not at {path}: Node.js and npm are needed, and "
            "make test installs PostgREST with them; or set POSTGREST to its executable."
        )
    return str(path)


class Stack:
    """A project of Supabase on the database `dsn`: what a client needs to reach it as anyone."""

    def __init__(self, dsn: str, *, schemas: tuple[str, ...], max_rows: int) -> None:
        self.dsn = dsn
        self.schema = schemas[0]
        self.secret = secrets.token_urlsafe(48)
        self.anon_key = self.key("anon")
        self.service_key = self.key("service_role")
        self.publishable_key = "sb_publishable_" + secrets.token_urlsafe(24)
        self.secret_key = "sb_secret_" + secrets.token_urlsafe(24)
        self.ports = ExitStack()
        self.port, self.admin_port = (
            self.ports.enter_context(port_of_a_server()) for _ in range(2)
        )
        self.settings = {
            "PGRST_DB_URI": make_conninfo(dsn, user="authenticator", password=PASSWORD),
            "PGRST_DB_SCHEMAS": ",".join(schemas),
            "PGRST_DB_ANON_ROLE": "anon",
            "PGRST_DB_MAX_ROWS": str(max_rows),
            "PGRST_DB_CHANNEL_ENABLED": "true",
            "PGRST_JWT_SECRET": self.secret,
            "PGRST_SERVER_HOST": "127.0.0.1",
            "PGRST_SERVER_PORT": str(self.port),
            "PGRST_ADMIN_SERVER_PORT": str(self.admin_port),
        }
        self.process: Supervised | None = None
        keys = {self.publishable_key: self.anon_key, self.secret_key: self.service_key}
        keys |= {key: key for key in keys.values()}
        self.gateway = Gateway(self.port, keys)
        self.url = self.gateway.url

    def sign(self, claims: dict[str, Any], secret: str | None = None) -> str:
        return jwt.encode(claims, secret or self.secret, algorithm="HS256")

    def key(self, role: str) -> str:
        now = int(time.time())
        return self.sign({"role": role, "iss": "supabase", "iat": now, "exp": now + 86_400})

    def user_token(self, sub: str, *, expires_in: int = 3600, **claims: Any) -> str:
        """What Supabase's Auth gives to the user `sub` (a UUID) who signs in."""
        now = int(time.time())
        own = {"sub": sub, "role": "authenticated", "aud": "authenticated"}
        return self.sign(own | {"iat": now, "exp": now + expires_in} | claims)

    def start_postgrest(self) -> None:
        """Returns when PostgREST answers; it keeps its port."""
        with tempfile.TemporaryFile() as output:
            self.process = process = Supervised(
                [executable()], env=os.environ | self.settings, stdout=output, stderr=output
            )

            def ready() -> bool:
                if process.poll() is not None:
                    return True
                return status(self.admin_port, "/ready") == 200

            in_time = wait_for(ready)
            if process.poll() is None and in_time:
                return
            self.stop_postgrest()
            output.seek(0)
            raise RuntimeError(f"PostgREST did not start:\n{output.read().decode()}")

    def stop_postgrest(self) -> None:
        """Returns when PostgREST is gone."""
        if self.process is not None:
            self.process.stop()
            self.process = None

    def reload(self) -> None:
        """Returns when PostgREST knows the schema as it is now."""
        probe = f"probe_{secrets.token_hex(8)}"
        function = f'"{self.schema}"."{probe}"()'
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(
                f"create function {function} returns int language sql stable as 'select 1'"
            )
            try:
                connection.execute("notify pgrst, 'reload schema'")
                # PostgREST looks for names like one that is not there, which takes a while.
                if not wait_for(
                    lambda: status(self.port, f"/rpc/{probe}") not in (404, None), 0.05
                ):
                    raise TimeoutError("PostgREST did not take notice of the new schema.")
            finally:
                connection.execute(f"drop function {function}")


@contextmanager
def supabase(
    dsn: str,
    *,
    schemas: tuple[str, ...] = ("public",),
    max_rows: int = 1000,
    has_roles: bool = False,
) -> Iterator[Stack]:
    """Makes a project of Supabase of the database `dsn` (libpq's), where we are superuser."""
    if not has_roles:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(roles_sql())
    stack = Stack(dsn, schemas=schemas, max_rows=max_rows)
    with ExitStack() as ends:
        ends.enter_context(stack.ports)
        ends.enter_context(stack.gateway.running())
        ends.callback(stack.stop_postgrest)
        stack.start_postgrest()
        yield stack


@contextmanager
def statement_timeout(stack: Stack, limit: str) -> Iterator[None]:
    """For as long, no statement over REST may take longer than ``limit``.

    All roles inherit it from the authenticator, who has 8 s on Supabase.
    """
    setting = "alter role authenticator in database {} {} statement_timeout"
    with psycopg.connect(stack.dsn, autocommit=True) as session:
        database = sql.Identifier(session.info.dbname)
        session.execute(sql.SQL(setting + " to {}").format(database, sql.SQL("set"), limit))
        try:
            stack.stop_postgrest()
            stack.start_postgrest()
            yield
        finally:
            session.execute(sql.SQL(setting).format(database, sql.SQL("reset")))
            stack.stop_postgrest()
            stack.start_postgrest()


def status(port: int, path: str) -> int | None:
    """The status of an answer to GET; None when nobody answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()


def wait_for(condition: Callable[[], bool], pause: float = 0.01) -> bool:
    """Whether it holds in time; it is checked after each pause of so many seconds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
