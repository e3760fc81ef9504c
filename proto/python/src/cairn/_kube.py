"""The API server of a Kubernetes cluster: the one whose pod this is, or the one of a kubeconfig."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ._errors import CairnError, MissingDependencyError
from ._http import Client
from ._server import POD

#: Longest time that a program which makes credentials may take, in seconds.
EXEC_TIMEOUT = 60.0


@dataclass
class ApiServer:
    """Where an API server is, and who asks it."""

    url: str
    namespace: str
    ssl: ssl.SSLContext | None
    read_token: Callable[[], str | None]

    @property
    def token(self) -> str | None:
        """The token of whoever asks, read anew: tokens of pods are exchanged while they run."""
        return self.read_token()

    def recover(self) -> None:
        """It comes back by itself, or not."""


def client() -> tuple[Client, str]:
    """A client of the API server that KUBECONFIG names, else of this pod's, else of ~/.kube/config; and the namespace
    that is meant there unless another is named."""
    named = [Path(path) for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    if named:
        server = _of_kubeconfig(next((path for path in named if path.exists()), named[0]))
    elif (POD / "token").exists():
        server = _of_pod()
    else:
        server = _of_kubeconfig(Path.home() / ".kube" / "config")
    return Client(server), server.namespace


def _of_pod() -> ApiServer:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    trust = ssl.create_default_context(cafile=str(POD / "ca.crt"))
    return ApiServer(url, (POD / "namespace").read_text().strip(), trust, lambda: (POD / "token").read_text().strip())


def _of_kubeconfig(path: Path) -> ApiServer:
    config = _read(path)
    context = _named(config, "contexts", config.get("current-context"), "context", path)
    cluster = _named(config, "clusters", context.get("cluster"), "cluster", path)
    user = _named(config, "users", context.get("user"), "user", path) if context.get("user") else {}
    url = str(cluster["server"]).rstrip("/")
    trust = _trust(cluster, user, path.parent) if url.startswith("https:") else None
    return ApiServer(url, context.get("namespace") or "default", trust, _token(user, path.parent))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"no cluster is known: {path} cannot be read ({error.strerror or error}); name a kubeconfig in KUBECONFIG"
        raise CairnError(message) from error
    try:
        config: Mapping[str, Any] = json.loads(text)
        return config
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        return _read_by_kubectl(path)
    loaded: Mapping[str, Any] = yaml.safe_load(text) or {}
    return loaded


def _read_by_kubectl(path: Path) -> Mapping[str, Any]:
    """`kubectl` reads what it has written."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        message = f"{path} is YAML, which needs PyYAML: pip install 'cairn[cluster]', or put `kubectl` on PATH"
        raise MissingDependencyError(message)
    command = [kubectl, "--kubeconfig", str(path), "config", "view", "--raw", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=EXEC_TIMEOUT, check=False)
    if done.returncode != 0:
        raise CairnError(f"kubectl cannot read {path}: {done.stderr.strip()}")
    config: Mapping[str, Any] = json.loads(done.stdout)
    return config


def _named(config: Mapping[str, Any], kind: str, name: str | None, inner: str, path: Path) -> Mapping[str, Any]:
    for each in config.get(kind) or []:
        if each["name"] == name:
            found: Mapping[str, Any] = each.get(inner) or {}
            return found
    raise CairnError(f"{path} has no {inner} named `{name}`")


def _trust(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = cluster.get("certificate-authority")
    data = cluster.get("certificate-authority-data")
    trust = ssl.create_default_context(
        cafile=str(folder / authority) if authority and not data else None,
        cadata=base64.b64decode(data).decode() if data else None,
    )
    if cluster.get("insecure-skip-tls-verify"):
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    certificate, key = (_bytes(user, name, folder) for name in ("client-certificate", "client-key"))
    if certificate and key:
        with tempfile.NamedTemporaryFile() as file:  # readable by its owner alone
            file.write(certificate + b"\n" + key)
            file.flush()
            trust.load_cert_chain(file.name)
    return trust


def _bytes(user: Mapping[str, Any], name: str, folder: Path) -> bytes | None:
    if user.get(f"{name}-data"):
        return base64.b64decode(user[f"{name}-data"])
    return (folder / user[name]).read_bytes() if user.get(name) else None


def _token(user: Mapping[str, Any], folder: Path) -> Callable[[], str | None]:
    if user.get("tokenFile"):
        return lambda: (folder / user["tokenFile"]).read_text().strip()
    if user.get("exec"):
        return lambda: _made_token(user["exec"])
    return lambda: user.get("token")


def _made_token(plugin: Mapping[str, Any]) -> str:
    """The token that a program makes, as kubeconfigs of cloud providers name one."""
    info = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    env = {**os.environ, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    env.update({each["name"]: each["value"] for each in plugin.get("env") or []})
    command = [plugin["command"], *(plugin.get("args") or [])]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=EXEC_TIMEOUT, check=True)
        return str(json.loads(done.stdout)["status"]["token"])
    except (OSError, subprocess.SubprocessError, ValueError, KeyError) as error:
        raise CairnError(f"`{plugin['command']}` makes no token: {error}") from error
