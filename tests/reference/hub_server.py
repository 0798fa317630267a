"""A server on this machine that speaks the part of the Hugging Face hub's protocol we need.

Repositories are kept in memory. Files come inside the commit (the hub's "regular" way; it takes
large files by another one, which is the client's business).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_this_test"


class Hub(ThreadingHTTPServer):
    """Repositories by name: file name -> content."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.log: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repo: str) -> str:
        """Name a repository's state as git would: by a hash of what is in it."""
        files = self.repositories[repo]
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
        return hashlib.sha1(json.dumps(digests).encode()).hexdigest()


class Answer(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(f"POST {path}")
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid username or password."}, status=401)
        if path == "/api/repos/create":
            return self._create(json.loads(data))
        if found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(data)["files"]
            ]
            return self._json({"files": files})
        if found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            return self._commit(found[1], data)
        return self._json({"error": "not found"}, status=404)

    def _create(self, asked: dict[str, Any]) -> None:
        repo = "/".join(part for part in (asked.get("organization"), asked["name"]) if part)
        if repo in self.server.repositories:
            return self._json({"url": f"{self.server.url}/{repo}"}, status=409)
        self.server.repositories[repo] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(repo)
        return self._json({"url": f"{self.server.url}/{repo}", "name": repo})

    def _commit(self, repo: str, data: bytes) -> None:
        for line in data.decode().splitlines():
            change = json.loads(line)
            if change["key"] == "file":
                value = change["value"]
                assert value["encoding"] == "base64"
                self.server.repositories[repo][value["path"]] = base64.b64decode(value["content"])
        oid = self.server.commit(repo)
        url = f"{self.server.url}/{repo}/commit/{oid}"
        return self._json({"commitUrl": url, "commitOid": oid, "success": True})

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.log.append(f"{self.command} {path}")
        if found := re.fullmatch(r"/api/models/(.+?)(?:/(revision|tree)/([^/]+))?/?", path):
            return self._describe(found[1], found[2], found[3] or "main")
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(found[1], found[3], body=body)
        return self._json({"error": "not found"}, status=404)

    def _describe(self, repo: str, what: str | None, revision: str) -> None:
        files = self.server.repositories.get(repo)
        if files is None:
            return self._missing("RepoNotFound", "Repository not found")
        if revision not in ("main", self.server.commit(repo)):
            return self._missing("RevisionNotFound", f"Invalid rev id: {revision}")
        if what == "tree":
            return self._json(
                [
                    {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}
                    for name, data in files.items()
                ]
            )
        return self._json(
            {
                "id": repo,
                "modelId": repo,
                "sha": self.server.commit(repo),
                "private": repo in self.server.private,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": name} for name in files],
            }
        )

    def _file(self, repo: str, name: str, *, body: bool) -> None:
        data = self.server.repositories.get(repo, {}).get(name)
        if data is None:
            return self._missing("EntryNotFound", f"{name} not found")
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{_oid(data)}"')
        self.send_header("X-Repo-Commit", self.server.commit(repo))
        self.send_header("Accept-Ranges", "none")
        self.end_headers()
        if body:
            self.wfile.write(data)
        return None

    def _missing(self, code: str, message: str) -> None:
        self._json({"error": message}, status=404, headers={"X-Error-Code": code})

    def _json(
        self, value: Any, *, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """Serve until the block ends."""
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()
