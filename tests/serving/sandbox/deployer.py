"""A small deploy client of the tests: the same calls that the SDK makes, without the seconds that its import takes."""

import hashlib
import json
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import httpx
import isolate_proto as proto

from serving.sandbox.control import Running

SOURCE = Path(__file__).with_name("plain_app.py")
MODE = "33188"


class Deployer:
    """Deploys plain_app.py under any name, and calls what is deployed."""

    def __init__(self, running: Running, *, key: str | None = None) -> None:
        key_id, secret = (key or running.owner_key).split(":")
        roots = Path(running.env["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"]).read_bytes()
        self.channel = grpc.secure_channel(running.address, grpc.ssl_channel_credentials(roots))
        self.stub = proto.IsolateControllerStub(self.channel)
        self.metadata = (("auth-key-id", key_id), ("auth-key", secret))
        self.running = running
        self.http = client_of(running, key=key or running.owner_key)

    def close(self) -> None:
        self.channel.close()
        self.http.close()

    def deploy(self, name: str, settings: dict[str, Any], *, environment: str = "", auth: str = "PRIVATE", **request: Any) -> str:
        """The new revision; grpc.RpcError where refused. Keywords: fields of the request, `machine` for those of the machine."""
        files = self.upload({"plain_app.py": SOURCE.read_bytes(), "settings.json": json.dumps(settings).encode()})
        machine = proto.MachineRequirements(**{"keep_alive": 60, "startup_timeout": 30, **request.pop("machine", {})})
        call = proto.RegisterApplicationRequest(
            application_name=f"{name}--{environment}" if environment else name,
            environment_name=environment or None,
            entrypoint="plain_app:Plain.run_local",
            files=files,
            auth_mode=proto.ApplicationAuthMode.Value(auth),
            machine_requirements=machine,
            health_check_config=proto.ApplicationHealthCheckConfig(path="/health", method=proto.ApplicationHealthCheckConfig.POST),
            deployment_strategy=request.pop("strategy", proto.ROLLING),
            **request,
        )
        *_, last = self.stub.RegisterApplication(call, metadata=self.metadata)
        return str(last.result.application_id)

    def upload(self, files: dict[str, bytes]) -> list[Any]:
        return [proto.File(hash=self.upload_one(content), relative_path=path) for path, content in files.items()]

    def upload_one(self, content: bytes, *, announced: str | None = None) -> str:
        digest = announced or hashlib.sha256(content + MODE.encode()).hexdigest()
        base = f"/files/app/multipart/{digest}"
        started = self.http.post(f"{base}/initiate", json={"mode": MODE})
        if started.status_code == 409:
            return digest
        upload = started.json()["upload_id"]
        part = self.http.put(f"{base}/{upload}/1", files={"file_upload": ("chunk", content, "application/octet-stream")})
        self.http.post(f"{base}/{upload}/complete", json={"parts": [part.json()], "metadata": {"mode": MODE}}).raise_for_status()
        return digest

    def call(self, name: str, body: dict[str, Any] | None = None, *, path: str = "", **kwargs: Any) -> httpx.Response:
        return self.http.post(f"/{self.running.owner}/{name}{path}", json=body or {}, **kwargs)

    def rpc(self, method: str, request: Any) -> Any:
        return getattr(self.stub, method)(request, metadata=self.metadata)


def client_of(running: Running, *, key: str | None) -> httpx.Client:
    """An HTTP client that trusts the sandbox, with or without a key."""
    context = ssl.create_default_context(cafile=str(running.ca_file))
    headers = {"Authorization": f"Key {key}"} if key else {}
    return httpx.Client(base_url=f"https://{running.address}", verify=context, headers=headers, timeout=60, trust_env=False)


def finish(client: httpx.Client, ticket: dict[str, Any]) -> dict[str, Any]:
    """The last status of a queued request."""
    done: dict[str, Any] = until(lambda: (reply := client.get(ticket["status_url"])).status_code == 200 and reply.json())
    return done


def until(condition: Callable[[], Any], *, seconds: float = 10) -> Any:
    """The first truthy answer of `condition`; fails where there is none in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
