"""A Hugging Face hub on the loopback interface: what `datasets` and timm ask of the real one.

It knows one revision of each repository, whose files lie in a folder.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse


@contextmanager
def serve(
    root: Path, revision: str, gated: str = "", cuts: list[int] | None = None
) -> Iterator[tuple[str, list[str]]]:
    """Serve the folders root/<owner>/<name> and yield the address and the paths asked for.

    Args:
        root: of the repositories.
        revision: that each has.
        gated: the repository that is.
        cuts: bytes after which the next answers with a file break off, one an answer; -1: whole.
    """
    asked: list[str] = []
    handler = type("Handler", (_Handler,), {"root": root, "rev": revision, "gated": gated})
    handler.asked = asked  # type: ignore[attr-defined]
    handler.cuts = [] if cuts is None else cuts  # type: ignore[attr-defined]
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    root: Path
    rev: str
    gated: str
    asked: list[str]
    cuts: list[int]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        self.asked.append(f"{self.command} {path}")
        parts = path.strip("/").removeprefix("api/").split("/")
        if parts[0] not in ("datasets", "models"):
            parts.insert(0, "models")  # the files of models lie at the root
        repo = "/".join(parts[1:3])
        if len(parts) < 3 or not (self.root / repo).is_dir():
            return self._reply(404, b"{}", X_Error_Code="RepoNotFound")
        if repo == self.gated:
            return self._reply(401, b"{}", X_Error_Code="GatedRepo", X_Error_Message="gated")
        verb, rest = (parts[3], parts[5:]) if len(parts) > 4 else ("revision", [])
        return self._answer(verb, self.root / repo, "/".join(rest))

    do_HEAD = do_GET

    def _answer(self, verb: str, repo: Path, rest: str) -> None:
        file = repo / rest
        if verb == "resolve" and file.is_file():
            return self._file(file.read_bytes())
        if verb == "tree" and file.is_dir():
            return self._json([self._describe(p, repo) for p in file.iterdir()])
        if verb == "revision":
            files = [p for p in repo.rglob("*") if p.is_file()]
            names = [{"rfilename": str(p.relative_to(repo))} for p in files]
            return self._json({"id": repo.name, "sha": self.rev, "siblings": names})
        return self._reply(404, b"{}", X_Error_Code="EntryNotFound", X_Repo_Commit=self.rev)

    def _file(self, data: bytes) -> None:
        """Send a file as a large one (LFS), whose tag is its SHA-256; or the rest of it."""
        known = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X_Repo_Commit": self.rev}
        begin = self.headers.get("Range", "")
        if not begin.startswith("bytes=") or begin.startswith("bytes=0-0"):
            return self._reply(200, data, cut=self._cut(), Accept_Ranges="bytes", **known)
        start = int(begin.removeprefix("bytes=").partition("-")[0])
        self.asked.append(f"from {start}")
        span = f"bytes {start}-{len(data) - 1}/{len(data)}"
        return self._reply(206, data[start:], cut=self._cut(), Content_Range=span, **known)

    def _cut(self) -> int:
        return self.cuts.pop(0) if self.cuts and self.command == "GET" else -1

    def _describe(self, path: Path, repo: Path) -> dict[str, object]:
        data = path.read_bytes() if path.is_file() else b""
        return {
            "type": "file" if path.is_file() else "directory",
            "path": str(path.relative_to(repo)),
            "size": len(data),
            "oid": hashlib.sha1(data).hexdigest(),
            **({"lfs": _lfs(data)} if path.is_file() else {}),
        }

    def _json(self, value: object) -> None:
        self._reply(200, json.dumps(value).encode(), Content_Type="application/json")

    def _reply(self, code: int, body: bytes, cut: int = -1, **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut < 0 else body[:cut])
        if cut >= 0:
            self.close_connection = True


def _lfs(data: bytes) -> dict[str, object]:
    return {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 100}
