"""The test server, with databases as projects of Supabase have them."""

from tests.servers.supabase_fixtures import _without_certificates as _without_certificates
from tests.servers.supabase_fixtures import http as http
from tests.sql.supabase.databases import database as database
from tests.sql.supabase.databases import migrate as migrate
from tests.sql.supabase.databases import project as project
