"""Downloading models."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ._errors import DamagedModelError, ServerUnreachableError
from ._http import Client, encode

#: Bytes read at once.
CHUNK = 1 << 20


def download(client: Client, base: str, query: Mapping[str, Any], digest: str, to: Path) -> Path:
    """Downloads the model at a path of the API into a folder, which appears whole or not at all."""
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise FileExistsError(f"{to} is there and not empty; choose another folder")
    # Without a model the server says why.
    text = client.request("GET", base, query)
    found = hashlib.sha256(text).hexdigest()
    if found != digest:
        raise DamagedModelError(f"the manifest has SHA-256 {found}, and {digest} was recorded; it was changed or damaged")
    beside = to.with_name(f".{to.name}.coming")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for entry in json.loads(text)["files"]:
        path = beside / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if "link" in entry:
            path.symlink_to(entry["link"])
            continue
        _file(client, base, query, entry, path)
    if to.exists():
        to.rmdir()
    return beside.rename(to)


def _file(client: Client, base: str, query: Mapping[str, Any], entry: Mapping[str, Any], path: Path) -> None:
    parts = "/".join(encode(part) for part in entry["path"].split("/"))
    hasher = hashlib.sha256()
    response = client.patiently(lambda: client.open("GET", f"{base}/files/{parts}", query))
    with response, path.open("wb") as file:
        try:
            while chunk := response.read(CHUNK):
                hasher.update(chunk)
                file.write(chunk)
        except (OSError, http.client.HTTPException) as error:
            message = f"the server broke off at `{entry['path']}`, which may be damaged there; its log says more"
            raise ServerUnreachableError(message) from error
    if hasher.hexdigest() != entry["sha256"]:
        raise DamagedModelError(f"`{entry['path']}` is not as its manifest says; it is damaged")
