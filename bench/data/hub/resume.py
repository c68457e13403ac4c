"""One large file over HTTP, part by part: what broke off goes on where it was, in a later run too.

(The hub's own client throws the part away when its process ends.)
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from bench.errors import BenchError

TRIES = 6
"""Times that a broken connection is made again, with growing pauses."""
TIMEOUT = 60.0
PIECE = 1 << 18


def download(url: str, target: Path, size: int, sha256: str, headers: Mapping[str, str]) -> None:
    """Bring a file; it has its name when it is whole and its hash is right.

    Args:
        url: where it is.
        target: its name; the part is `<target>.part`.
        size: bytes.
        sha256: of the whole file.
        headers: for the request; those that authorise stay with the first host.

    Raises:
        BenchError: the connection broke again and again (the part stays), or another content.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    reason = "nothing"
    for number in range(TRIES):
        have = part.stat().st_size if part.exists() else 0
        if have >= size:
            break
        if number:
            time.sleep(min(0.5 * 2**number, 10.0))
        try:
            _more(url, part, have, headers)
            reason = "a connection that ended early"
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise BenchError(
                    f"expected {url} from the hub, got {error.code} {error.reason}; if it is "
                    "gated, accept its terms there and run `hf auth login`"
                ) from None
            reason = f"{error.code} {error.reason}"
        except OSError as error:
            reason = str(getattr(error, "reason", error))
    have = part.stat().st_size if part.exists() else 0
    if have < size:
        raise BenchError(
            f"expected {size:,} bytes of {target.name} from {urlsplit(url).netloc}, got {have:,} "
            f"({reason}); give the same command again, it goes on where the file broke off"
        )
    _must_be(part, url, size, sha256)
    os.replace(part, target)  # noqa: PTH105


def _more(url: str, part: Path, have: int, headers: Mapping[str, str]) -> None:
    """Add what comes to the part; begin anew where the server sends all of it again."""
    span = {"Range": f"bytes={have}-"} if have else {}
    request = urllib.request.Request(url, headers={**headers, **span})
    opener = urllib.request.build_opener(_Redirects)
    with (
        opener.open(request, timeout=TIMEOUT) as answer,
        part.open("ab" if answer.status == 206 else "wb") as stream,
    ):
        while piece := answer.read(PIECE):
            stream.write(piece)


def _must_be(part: Path, url: str, size: int, sha256: str) -> None:
    with part.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != sha256 or part.stat().st_size != size:
        part.unlink()
        raise BenchError(
            f"expected {url} with the hash {sha256[:12]} that the hub states, found {found[:12]}: "
            "it was cut or changed on the way; give the same command again"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to another host without the words that authorise: they are for the first one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request for another address."""
        found = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if found is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            found.remove_header("Authorization")
        return found
