"""The OPTIONS of a store in Redis: how its servers are reached, and what is refused."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.exceptions import ImproperlyConfigured
from redis import Redis
from redis.cluster import RedisCluster
from redis.crc import key_slot

from parlant_store.backends.redis import RedisBackend
from parlant_store.backends.redis.keys import tags
from parlant_store.exceptions import NotSupported, StoreUnavailable
from tests.backends.redis.conftest import stores_on
from tests.contract.snapshot_values import said
from tests.contract.values import numbered
from tests.servers import redis_servers
from tests.servers.redis_servers import Certificate, wait_until

SECRET = "a-secret-word"


def check_store(store) -> None:
    """Use the store in ways that need different kinds of commands."""
    store.add_items("s", said("hello", "again"), user_id="ada")
    assert store.pop_item("s") == said("again")[0]
    assert store.get_items("s") == said("hello")
    assert store.set_metadata("s", {"a": 1}) == {"a": 1}
    assert [hit.session_id for hit in store.search("hel")] == ["s"]
    assert [each.session_id for each in store.list_sessions(user_id="ada").sessions] == ["s"]
    assert [each.session_id for each in store.list_summaries()] == ["s"]
    assert store.check() == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs a url like redis://"),
        ({"url": ""}, "needs a url"),
        ({"url": []}, "needs a url"),
        ({"url": [f"redis://:{SECRET}@h", 5]}, "type int"),
        ({"url": f"http://{SECRET}@host"}, "no such url"),
        ({"url": f"{SECRET}"}, "no such url"),
        ({"url": f"redis://:{SECRET}@host:port"}, "no such url"),
        ({"url": "redis://h", "client": Redis()}, "leave out its url"),
        ({"url": "redis://h", "cluster": "yes"}, "neither True nor False"),
        ({"url": "redis://h", "sentinel": 5}, "not the name of a service"),
        ({"url": "redis://h", "sentinel": "m", "cluster": True}, "needs none"),
        ({"url": "redis://h", "prefix": ""}, "has a prefix"),
        ({"url": "redis://h", "prefix": "a{b}"}, "has a prefix"),
        ({"url": "redis://h", "shards": 0}, "whole number from 1 to 1,024"),
        ({"url": "redis://h", "shards": True}, "whole number"),
        ({"url": "redis://h", "shards": 1_025}, "whole number"),
        ({"url": "redis://h", "acknowledge": "disk"}, "has acknowledge 'disk'"),
        ({"url": "redis://h", "acknowledge": 0}, "has acknowledge 0"),
        ({"url": "redis://h", "acknowledge": True}, "has acknowledge True"),
        ({"url": "redis://h", "timeout": 0}, "has timeout 0"),
        ({"url": "redis://h", "timeout": "5"}, "has timeout '5'"),
        ({"url": "redis://h", "ttl_seconds": -1}, "ttl_seconds"),
        ({"url": "redis://h", "threads": -1}, "threads"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ImproperlyConfigured, match=message) as failed:
        RedisBackend("default", **options)
    assert SECRET not in str(failed.value)


def test_without_the_driver():
    """The error says what to install."""
    code = """
import importlib.abc, sys
class Hidden(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "redis":
            raise ModuleNotFoundError("No module named 'redis'", name="redis")
sys.meta_path.insert(0, Hidden())
import parlant_store.backends.redis
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'django-parlant-store[redis]'" in process.stderr


def test_documents_are_not_supported(store):
    with pytest.raises(NotSupported, match="RedisBackend stores sessions only"):
        store.insert_one("c", {"id": "d"})


def test_a_client_of_the_project(valkey):
    for given in ({}, {"decode_responses": True}, {"protocol": 3}):
        with valkey.client(**given) as client:
            with stores_on(client=client) as make:
                check_store(make())
            assert client.ping()


def test_a_client_of_the_project_for_a_cluster(valkey_cluster):
    with RedisCluster.from_url(valkey_cluster.urls[0], decode_responses=True) as client:
        with stores_on(client=client) as make:
            check_store(make())
        assert client.ping()


def test_one_node_of_a_cluster(valkey_cluster):
    with stores_on(url=valkey_cluster.urls[-1], cluster=True) as make:
        check_store(make())


def test_a_node_that_is_down_does_not_matter(valkey_cluster):
    with stores_on(url=["redis://127.0.0.1:1", valkey_cluster.urls[0]]) as make:
        check_store(make())
    with stores_on(url=["redis://127.0.0.1:1"], cluster=True, timeout=0.3) as make:
        with pytest.raises(StoreUnavailable):
            make().get_items("s")
        assert [message.id for message in make().check()] == ["parlant_store.W019"]


def test_a_socket():
    with redis_servers.temporary_folder() as folder:
        path = folder / "valkey.sock"
        with (
            redis_servers.server(redis_servers.valkey(), "--unixsocket", str(path)),
            stores_on(url=f"unix://{path}") as make,
        ):
            check_store(make())


@pytest.fixture
def certificate(tmp_path):
    """The files of a certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(encoding))
    private = key.private_bytes(
        encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(private)
    return Certificate(tmp_path / "cert.pem", tmp_path / "key.pem")


def test_tls(certificate):
    ca = f"ssl_ca_certs={certificate.certificate}"
    with redis_servers.server(redis_servers.redis(), certificate=certificate) as server:
        url = f"rediss://127.0.0.1:{server.tls_port}"
        with stores_on(url=f"{url}?{ca}") as make:
            check_store(make())
        # Nobody vouches for the certificate.
        with (
            stores_on(url=url, timeout=0.3) as make,
            pytest.raises(StoreUnavailable, match="certificate"),
        ):
            make().get_items("s")


def test_tls_to_a_cluster(certificate):
    with redis_servers.cluster(
        redis_servers.redis(), node_timeout=1_500, certificate=certificate
    ) as cluster:
        urls = [f"rediss://127.0.0.1:{each.tls_port}" for each in cluster.servers]
        ca = f"ssl_ca_certs={certificate.certificate}"
        with stores_on(url=[f"{url}?{ca}" for url in urls], acknowledge=1) as make:
            store = make()
            check_store(store)
            for number in range(30):
                store.add_items(f"s{number}", numbered(1))
            ports = {node.port for node in store.connection.nodes.client().get_primaries()}
            assert ports <= {each.tls_port for each in cluster.servers}
            # The new master has no replica.
            other = make(acknowledge="memory")
            cluster.master_of(0).kill()
            for number in range(30):
                other.add_items(f"s{number}", numbered(2))
                assert other.get_items(f"s{number}", limit=2) == numbered(1, 2)
        with (
            stores_on(url=urls, timeout=0.3) as make,
            pytest.raises(StoreUnavailable),
        ):
            make().get_items("s")


def test_sentinels_find_the_new_master():
    at_once = ("--repl-diskless-sync-delay", "0")
    with (
        redis_servers.server(redis_servers.valkey(), *at_once) as master,
        redis_servers.server(redis_servers.valkey(), *at_once) as replica,
        redis_servers.temporary_folder() as folder,
    ):
        with replica.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", master.port)
            wait_until(lambda: client.role()[3] == b"connected", lambda: "not connected")
        config = folder / "sentinel.conf"
        config.write_text(
            f"sentinel monitor main 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds main 500\n"
            "sentinel failover-timeout main 3000\n"
        )
        with (
            redis_servers.Server(
                redis_servers.redis(), folder, ("--sentinel",), config=config
            ) as sentinel,
            stores_on(url=[sentinel.url], sentinel="main", acknowledge=1) as make,
        ):
            store = make()
            store.add_items("s", numbered(1))
            with sentinel.client() as client:
                wait_until(
                    lambda: len(client.execute_command("SENTINEL", "REPLICAS", "main")) == 1,
                    lambda: "the Sentinel does not know the replica",
                )
            master.kill()
            with stores_on(
                url=[sentinel.url],
                sentinel="main",
                prefix=store.keyspace.settings.decode().removesuffix(":shards"),
            ) as make_other:
                make_other().add_items("s", numbered(2))
                assert make_other().get_items("s") == numbered(1, 2)


# Keys


@pytest.mark.parametrize("count", [1, 2, 16, 64, 100, 1_024])
def test_shards_are_spread_evenly_over_the_slots(count):
    slots = sorted(key_slot(str(tag).encode()) for tag in tags(count))
    assert len(set(slots)) == count
    for masters in (1, 3, 5, 16):
        shares = [0] * masters
        for slot in slots:
            shares[slot * masters // 16_384] += 1
        assert max(shares) - min(shares) <= 2


def test_only_keys_under_the_prefix_are_used(make_store, valkey):
    with redis_servers.server(redis_servers.valkey()) as own:
        with stores_on(url=own.url, prefix="mine") as make:
            check_store(make())
        with own.client() as client:
            assert all(key.startswith(b"mine:") for key in client.scan_iter())
            assert client.dbsize() > 5
            used = client.info("commandstats")
            assert not used.keys() & {f"cmdstat_{name}" for name in ("keys", "flushdb", "flushall")}


def test_it_stores_no_checkpoints(make_store):
    with pytest.raises(NotSupported, match="they need a store in a database of the project"):
        make_store().get_checkpoint("t")
