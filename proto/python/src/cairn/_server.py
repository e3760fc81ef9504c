"""Which server to speak with: the one that is named, the one of a cluster in its pods, or this folder's own, started when there is none.

The server of a folder is found again through `server.json` in its `.cairn`, so that everybody who works there speaks
with the same one. It is started detached and outlives the program that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ._errors import CairnError, ServerNotStartedError
from ._http import Client, NotSentError

#: What a pod is told of its place in a cluster.
POD = Path("/var/run/secrets/kubernetes.io/serviceaccount")
#: Name and port under which Cairn is reached in a cluster.
SERVICE = ("cairn.cairn-system", 7700)
#: How long a server may take until it serves.
START_TIMEOUT = 30.0
#: How long it may take until it has ended.
STOP_TIMEOUT = 10.0
#: Servers that this process has started: looked at so that their ends are noticed.
_children: list[subprocess.Popen[bytes]] = []


@dataclass
class NamedServer:
    """A server that somebody else looks after."""

    url: str
    token: str | None = None
    ssl: ssl.SSLContext | None = None

    def recover(self) -> None:
        """It comes back by itself, or not."""


class FolderServer:
    """The server of a folder's `.cairn`, started when it is not there."""

    def __init__(self, folder: Path, token: str | None = None) -> None:
        self.folder = folder
        self.token = token
        self.url = ""
        self.ssl: ssl.SSLContext | None = None
        self.recover()

    def recover(self) -> None:
        """Finds the server of the folder, or starts it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / "server.lock"):
            known = read_address(self.folder)
            if known and _answers(NamedServer(known, self.token)):
                self.url = known
                return
            self.url = _start(self.folder, known)
            beside = self.folder / "server.json.new"
            beside.write_text(json.dumps({"url": self.url, "pid": _children[-1].pid}) + "\n")
            beside.replace(self.folder / "server.json")


def connect(server: str | None = None) -> Client:
    """A client of the server that is named, here or in CAIRN_SERVER; in a pod of the one of its cluster, if there is one;
    else of this folder's own."""
    secret = token()
    url = server or os.environ.get("CAIRN_SERVER") or _of_cluster()
    if url:
        if urlsplit(url).scheme not in ("http", "https"):
            raise CairnError(f"`{url}` is no address of a server such as http://127.0.0.1:7700")
        return Client(NamedServer(url.rstrip("/"), secret))
    return Client(FolderServer(_folder(), secret))


def own_namespace() -> str:
    """The namespace of the pod that this is; elsewhere `default`."""
    try:
        return (POD / "namespace").read_text().strip() or "default"
    except OSError:
        return "default"


def _of_cluster() -> str | None:
    """The server of the cluster whose pod this is, if its name is known there."""
    if not (POD / "namespace").exists():
        return None
    host, port = SERVICE
    try:
        socket.getaddrinfo(host, port)
    except OSError:
        return None
    return f"http://{host}:{port}"


def find_binary() -> str:
    """The `cairn` program: CAIRN_BIN, then the search path, then what was built in this package's own repository."""
    named = os.environ.get("CAIRN_BIN")
    if named:
        if not os.access(named, os.X_OK):
            raise ServerNotStartedError(f"CAIRN_BIN is `{named}`, which is no program")
        return named
    found = shutil.which("cairn")
    if found:
        return found
    for parent in list(Path(__file__).resolve().parents)[3:5]:
        for profile in ("release", "debug"):
            built = parent / "target" / profile / "cairn"
            if os.access(built, os.X_OK):
                return str(built)
    raise ServerNotStartedError(
        "there is no program `cairn` here to start a server with: build it with `cargo build --release` and put "
        "target/release/cairn on PATH, name it in CAIRN_BIN, or name a running server in CAIRN_SERVER"
    )


def read_address(folder: Path) -> str | None:
    """Where the server of a folder was last, if there was one."""
    try:
        url = json.loads((folder / "server.json").read_text())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) else None


def token() -> str | None:
    """The token in the file that CAIRN_TOKEN_FILE names."""
    path = os.environ.get("CAIRN_TOKEN_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise CairnError(f"the token file of CAIRN_TOKEN_FILE cannot be read: {error}") from error


def stop_server() -> bool:
    """Ends the server of this folder's `.cairn`; running trials go on and are found by the next. Whether there was one."""
    folder = _folder()
    url = read_address(folder)
    if url is None or not _answers(NamedServer(url, token())):
        return False
    pid = int(json.loads((folder / "server.json").read_text())["pid"])
    os.kill(pid, signal.SIGTERM)
    give_up = time.monotonic() + STOP_TIMEOUT
    while _answers(NamedServer(url, token())) and time.monotonic() < give_up:
        time.sleep(0.05)
    return True


def _folder() -> Path:
    return Path(os.environ.get("CAIRN_DIR", ".cairn")).absolute()


def _answers(server: NamedServer) -> bool:
    for child in _children:
        child.poll()
    try:
        with Client(server).open("GET", "/api/v1/version", timeout=5.0) as response:
            return "version" in json.loads(response.read())
    except (CairnError, NotSentError, OSError, ValueError):
        return False


def _start(folder: Path, before: str | None) -> str:
    """Starts a server, at the address it had before if that is free: trials that still run report there."""
    port = urlsplit(before).port if before else None
    if port:
        with contextlib.suppress(ServerNotStartedError):
            return _start_at(folder, f"127.0.0.1:{port}")
    return _start_at(folder, "127.0.0.1:0")


def _start_at(folder: Path, address: str) -> str:
    log = folder / "server.log"
    env = {name: value for name, value in os.environ.items() if name != "CAIRN_SERVER"}
    with log.open("ab") as output:
        begin = output.tell()
        child = subprocess.Popen(
            [find_binary(), "serve", "--listen", address, "--dir", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folder.parent,
            env=env,
            start_new_session=True,
        )
    _children.append(child)
    give_up = time.monotonic() + START_TIMEOUT
    while True:
        ended = child.poll() is not None
        said = log.read_bytes()[begin:].decode(errors="replace")
        serving = re.search(r"^serving on (http://\S+)$", said, re.MULTILINE)
        if serving and not ended:
            return serving.group(1)
        if ended or time.monotonic() > give_up:
            child.kill()
            why = said.strip() or "it said nothing"
            raise ServerNotStartedError(f"`cairn serve` did not start in {folder.parent}: {why}")
        time.sleep(0.01)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
