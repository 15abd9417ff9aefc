"""Validation of the url and the key of a store; messages never show them."""

from ipaddress import ip_address
from urllib.parse import SplitResult, unquote, urlsplit

_FORM = "a url like https://name.supabase.co, as from SUPABASE_URL"


def url_error(url: object) -> str | None:
    """Return the end of an error message about the url of the store, or None."""
    if url is None or url == "":
        return f"needs {_FORM}; it has none"
    if not isinstance(url, str):
        return f"needs {_FORM}; it has a value of the type {type(url).__name__}"
    url = url.strip()
    if _is_http(url):
        return None
    if _is_key(url):
        return f"needs {_FORM}; it has a key instead: are its url and its key swapped?"
    return f"needs {_FORM}; its value is not a url"


def key_error(key: object) -> str | None:
    """Return the end of an error message about the key of the store, or None."""
    if not isinstance(key, str) or not key.strip():
        return "has no key; set it, as from SUPABASE_KEY"
    key = key.strip()
    if "://" in key:
        return "has a url for its key: are its url and its key swapped?"
    if not key.isascii() or not key.isprintable() or " " in key:
        return (
            "has a key with characters that no key has; copy it again from the API keys of the "
            "project"
        )
    return None


def token_error(token: object) -> str | None:
    """Return the end of an error message about a token that is not a function, or None."""
    if isinstance(token, str) and token.strip():
        return None
    return "has an access_token that is neither a JWT nor a function that returns one"


def without_login(url: str) -> str:
    """Return ``url`` without a user and a password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def login_of(url: str) -> tuple[str, str] | None:
    """Return the user and the password in ``url``, or None."""
    parts = urlsplit(url)
    if parts.username is None and parts.password is None:
        return None
    return unquote(parts.username or ""), unquote(parts.password or "")


def is_unencrypted(url: str) -> bool:
    """Whether requests to the url cross a network without encryption."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not _is_loopback(str(parts.hostname))


def shown(value: object) -> str:
    """Return an option for an error message: numbers as they are, of other values the type."""
    is_plain = value is None or isinstance(value, (bool, int, float))
    return repr(value) if is_plain else f"a value of the type {type(value).__name__}"


def _is_http(url: str) -> bool:
    if not url.isprintable() or " " in url:
        return False
    try:
        parts: SplitResult = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_key(text: str) -> bool:
    return text.startswith(("sb_", "eyJ"))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
