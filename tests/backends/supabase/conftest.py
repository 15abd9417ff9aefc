"""The test database as a project of Supabase."""

from tests.servers.supabase_fixtures import _without_certificates as _without_certificates
from tests.servers.supabase_fixtures import http as http
from tests.servers.supabase_fixtures import make_store as make_store
