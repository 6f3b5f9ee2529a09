"""Puts into plain words what went wrong on the way to the database.

aiohttp's own messages name its classes, its defaults and Python's tuples.
"""

import ssl

import aiohttp

from app.couchdb.errors import DatabaseError, Misconfigured, Unavailable
from app.process.unasked import UnaskedError
from app.process.words import system_reason


def network_error(error: Exception) -> DatabaseError:
    """Translate an exception of aiohttp or of a socket."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "")
            what = "the server's certificate is not trusted"
            return Misconfigured(f"{what}: {why}" if why else what, cause="certificate")
        case aiohttp.ConnectionTimeoutError() | aiohttp.ClientConnectorError():
            why = f"no connection: {_why_none(error)}"
            return Unavailable(why, cause="connection", maybe_written=False)
        case TimeoutError():
            return Unavailable("no answer in time", cause="timeout")
        case _:
            return Unavailable(_how_it_ended(error), cause="cut")


def _why_none(error: aiohttp.ClientConnectionError) -> str:
    if not isinstance(error, aiohttp.ClientConnectorError):
        return "nothing answers in time"
    cause = error.os_error
    if isinstance(cause, ssl.SSLError):
        reason = f"TLS fails ({cause.reason or cause.strerror})"
    else:
        reason = system_reason(cause)
    return f"{error.host}, port {error.port}: {reason}"


def _how_it_ended(error: Exception) -> str:
    match error:
        case aiohttp.ClientResponseError():
            return (
                "the answer cannot be read as HTTP: does something else listen there, or is it to "
                "be https:// instead of http://?"
            )
        case UnaskedError():
            return str(error)
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without an answer"
        case OSError():
            return f"the connection was cut: {system_reason(error)}"
        case _:
            return f"the connection was cut ({type(error).__name__})"
