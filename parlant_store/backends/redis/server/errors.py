"""Translation of the driver's errors."""

from redis import exceptions as driver

from parlant_store.exceptions import (
    AccessDenied,
    BackendError,
    OutcomeUnknown,
    StoreError,
    StoreUnavailable,
)

_TEMPORARY = ("LOADING", "BUSY", "MASTERDOWN", "NOREPLICAS", "UNBLOCKED", "non local key")
_DENIED = ("NOAUTH", "NOPERM", "WRONGPASS")


def is_temporary(exc: Exception) -> bool:
    """Whether the server refused the command, which it may accept a little later."""
    kinds = (driver.TryAgainError, driver.ClusterDownError, driver.ReadOnlyError)
    return isinstance(exc, kinds) or any(text in str(exc) for text in _TEMPORARY)


def is_denied(exc: Exception) -> bool:
    kinds = (driver.AuthenticationError, driver.AuthorizationError, driver.NoPermissionError)
    return isinstance(exc, kinds) or str(exc).startswith(_DENIED)


def refusal(exc: Exception) -> StoreError:
    """Return the error for a command that the server did not run."""
    message = str(exc)
    if is_denied(exc):
        # The frames of the driver have the password in variables.
        exc.__traceback__ = None
        return AccessDenied(f"the server refused the user or the command: {message}")
    if isinstance(exc, driver.OutOfMemoryError) or message.startswith("OOM"):
        return BackendError(f"the memory of the server is full (maxmemory): {message}")
    if "WRONGTYPE" in message:
        return BackendError(
            f"a key under the store's prefix has another type; does another program use this "
            f"prefix? {message}"
        )
    if "damaged session" in message:
        return BackendError(f"the stored session is damaged: {message}")
    if "unexpected symbol near '#'" in message:
        return BackendError(f"the server is too old: it must be Redis 7 or Valkey: {message}")
    return BackendError(message)


def unavailable(reason: str, *, is_unknown: bool) -> StoreUnavailable:
    if is_unknown:
        return OutcomeUnknown(f"the answer to a write was lost: {reason}")
    return StoreUnavailable(f"the server gave no answer: {reason}")
