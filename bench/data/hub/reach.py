"""Is the hub there? Asked once, before its own client goes on asking for a minute."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request

_TIMEOUT_SECONDS = 10.0


def unreachable(endpoint: str) -> str | None:
    """Return why an address gives no sign of life, None if it does.

    Args:
        endpoint: its URL.
    """
    try:
        request = urllib.request.Request(endpoint, method="HEAD")
        urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError:
        return None  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        # with a bad certificate it answers too; the hub's own client knows more certificates
        return None if isinstance(reason, ssl.SSLError) else str(reason)
    return None
