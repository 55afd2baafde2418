"""push and pull against a server on loopback that speaks the hub's protocol."""

from __future__ import annotations

import base64
import hashlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from p2ptk import hub
from p2ptk.card import CARD
from p2ptk.errors import P2ptkError, UserError
from p2ptk.weights import read_header

pytest.importorskip("huggingface_hub")

COMMIT = "0" * 39 + "1"
Files = dict[str, bytes]


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the protocol as a push and a pull take; all files go with the commit itself."""

    files: ClassVar[Files]
    asked: ClassVar[list[str]]
    there: ClassVar[list[str]]  # repositories

    def log_message(self, *arguments: Any) -> None:
        pass

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def tell(self, table: Any) -> None:
        self.answer(json.dumps(table).encode(), Content_Type="application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.asked.append(self.path)
        if self.headers.get("Authorization") == "Bearer bad":
            self.answer(b"{}", 401)
        elif self.path == "/api/repos/create":
            table = json.loads(body)
            owner = table.get("organization") or "me"
            self.there.append(table["name"])
            self.tell({"url": f"http://{self.headers['Host']}/{owner}/{table['name']}"})
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.tell({"files": [{"path": f["path"], **modes} for f in files]})
        elif "/commit/" in self.path:
            place = f"http://{self.headers['Host']}/me/facades"
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.files[line["value"]["path"]] = content
            self.tell({"commitOid": COMMIT, "commitUrl": f"{place}/commit/1", "success": True})
        else:
            self.tell({"errors": [], "warnings": []})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if self.headers.get("Authorization") == "Bearer bad":
            self.answer(b"{}", 401)
        elif not self.there or not path.startswith(("/me/facades", "/api/models/me/facades")):
            self.answer(b"{}", 404, X_Error_Code="RepoNotFound")
        elif path.startswith("/api/"):
            names = sorted(self.files)
            if "/tree/" in path:
                rows = [
                    {"type": "file", "path": n, "size": len(self.files[n]), "oid": n} for n in names
                ]
                self.tell(rows)
            else:
                siblings = [{"rfilename": name} for name in names]
                about = {"id": "me/facades", "sha": COMMIT, "private": False, "tags": []}
                self.tell({**about, "downloads": 0, "likes": 0, "siblings": siblings})
        else:
            content = self.files[path.split("/resolve/")[1].partition("/")[2]]
            tag = hashlib.sha256(content).hexdigest()
            self.answer(content, ETag=f'"{tag}"', X_Repo_Commit=COMMIT)


@pytest.fixture
def server() -> Iterator[tuple[str, type[Hub]]]:
    class Own(Hub):
        files: ClassVar[Files] = {}
        asked: ClassVar[list[str]] = []
        there: ClassVar[list[str]] = []

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}", Own
    made.shutdown()
    made.server_close()


def test_there_and_back(run_folder: Path, tmp_path: Path, server: Any) -> None:
    address, own = server
    said = hub.push(run_folder, "me/facades", endpoint=address, token="t", license="mit")
    assert said.endswith("me/facades")
    (sheet,) = (name for name in own.files if name.startswith("samples/"))
    assert sorted(own.files) == sorted([CARD, "generator.safetensors", sheet])
    text = own.files[CARD].decode()
    assert 'license: "mit"' in text
    assert f"]({sheet})" in text
    assert not (run_folder / CARD).exists()

    own.files["evil.py"] = b"raise SystemExit"
    model = hub.pull("me/facades", tmp_path / "back", endpoint=address, token="t")
    assert model == tmp_path / "back" / "generator.safetensors"
    assert model.read_bytes() == (run_folder / "generator.safetensors").read_bytes()
    assert read_header(model) == read_header(run_folder)
    assert not (tmp_path / "back" / "evil.py").exists()
    with pytest.raises(UserError, match="is there already"):
        hub.pull("me/facades", tmp_path / "back", endpoint=address)


def test_the_card_beside_it_is_sent(run_folder: Path, server: Any) -> None:
    address, own = server
    (run_folder / CARD).write_text("# mine", "utf-8")
    hub.push(run_folder, "me/facades", endpoint=address, token="t")
    assert own.files[CARD] == b"# mine"


def test_what_is_no_model_is_not_kept(tmp_path: Path, server: Any) -> None:
    address, own = server
    own.files["model.safetensors"] = b"nothing"
    own.there.append("facades")
    with pytest.raises(UserError, match="me/facades holds no model of p2ptk's"):
        hub.pull("me/facades", tmp_path / "back", endpoint=address, token="t")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="has no repository 'me/none'"):
        hub.pull("me/none", tmp_path / "back", endpoint=address, token="t")


def test_refusals_in_a_sentence(run_folder: Path, tmp_path: Path, server: Any) -> None:
    with pytest.raises(UserError, match=r"refuses \(401\): log in"):
        hub.push(run_folder, "me/facades", endpoint=server[0], token="bad")
    with pytest.raises(UserError, match="OWNER/NAME, not 'a/b/c'"):
        hub.push(run_folder, "a/b/c", endpoint=server[0])
    with pytest.raises(UserError, match="there is no model"):
        hub.push(tmp_path / "none", "me/facades", endpoint=server[0])


def test_offline(run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for act in (
        lambda: hub.push(run_folder, "me/facades", endpoint=address, token="t"),
        lambda: hub.pull("me/facades", tmp_path / "back", endpoint=address, token="t"),
    ):
        with pytest.raises(P2ptkError, match="can't be reached from here"):
            act()
    assert not (tmp_path / "back").exists()
    monkeypatch.setattr("p2ptk.hub.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'huggingface_hub: pip install "p2ptk\[hub\]"'):
        hub.pull("me/facades", tmp_path / "back")
