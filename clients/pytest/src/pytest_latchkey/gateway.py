"""A gateway of `latchkey local` on free ports, and its devices. Only the standard library is used."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Sequence

#: The variable that names the program `latchkey`.
PROGRAM = "LATCHKEY_PROGRAM"
#: How many seconds the gateway may take to start, and `latchkey fleet` to answer.
START_SECONDS = 60


class GatewayError(Exception):
    """The gateway does not start, or refuses a request."""


@dataclass(frozen=True)
class Device:
    """A device that the authorizer knows. Its client id and user name are its name."""

    name: str
    password: str = field(repr=False)

    @property
    def client_id(self) -> str:
        """The client id with which it may connect."""
        return self.name

    @property
    def username(self) -> str:
        """The MQTT user name."""
        return self.name


class Gateway:
    """A running gateway. `close` stops it and removes its data."""

    def __init__(
        self,
        program: str | os.PathLike[str] | None = None,
        settings: str | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Starts the gateway, and returns when devices can connect.

        program: `latchkey`; otherwise what LATCHKEY_PROGRAM names, or the one on the PATH.
        settings: the text of a settings file (`latchkey.toml`).
        arguments: further arguments of `latchkey local`.
        """
        self._program = os.fspath(program or os.environ.get(PROGRAM) or "latchkey")
        self._folder = tempfile.TemporaryDirectory(prefix="latchkey-")
        self.folder = Path(self._folder.name)
        if settings is not None:
            (self.folder / "latchkey.toml").write_text(settings, encoding="utf-8")
        command = [self._program, "local", "--json", "--test-api", "--stop-with-stdin", "--data", str(self.folder)]
        for port in ("--port", "--port-8883", "--port-8443", "--port-status", "--port-api"):
            command += [port, "0"]
        try:
            self._process = subprocess.Popen(
                [*command, *arguments],
                cwd=self.folder,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            self._folder.cleanup()
            raise GatewayError(
                f"can't start `{self._program}`: {error}; install it with `cargo install --locked --path latchkey`, "
                f"or name it in `{PROGRAM}`"
            ) from error
        ready = self._ready()
        host, _, port = ready["address"].rpartition(":")
        #: The address and port where devices connect: what stands for AWS's port 443.
        self.host, self.port = host, int(port)
        #: The CA certificate that devices have to trust, as PEM.
        self.ca = Path(ready["ca"])
        #: Where AWS's own APIs are served, as an endpoint URL.
        self.api = f"http://{ready['api']}"
        self._log = Path(ready["log"])
        self._status = f"http://{ready['status']}"

    def _ready(self) -> dict[str, Any]:
        """Waits for the line that the gateway prints when it is ready."""
        overdue = threading.Timer(START_SECONDS, self._process.kill)
        overdue.start()
        assert self._process.stdout is not None and self._process.stderr is not None
        line = self._process.stdout.readline()
        overdue.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        written = self._process.stderr.read().strip()
        self.close()
        raise GatewayError(f"the gateway did not start: {written or f'it was not ready within {START_SECONDS} s'}")

    def close(self) -> None:
        """Stops the gateway and removes its data."""
        if self._process.poll() is None:
            assert self._process.stdin is not None
            # The gateway stops when its standard input closes.
            self._process.stdin.close()
            try:
                self._process.wait(START_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
        self._folder.cleanup()

    def __enter__(self) -> "Gateway":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tls(self, alpn: str = "mqtt") -> ssl.SSLContext:
        """The TLS settings of a device: the gateway's CA, and ALPN."""
        context = ssl.create_default_context(cafile=os.fspath(self.ca))
        context.set_alpn_protocols([alpn])
        return context

    def device(self, name: str, grant: str = "own-topics") -> Device:
        """Adds a device with a fresh password and this grant."""
        arguments = ["fleet", "add", name, "--grant", grant, "--json", "--store"]
        answer = self._fleet([*arguments, f"file:{self.folder / 'devices.json'}"])
        return Device(name, answer["password"])

    def devices(self, count: int, prefix: str = "device") -> list[Device]:
        """Adds devices: `device-1`, `device-2` and so on."""
        return [self.device(f"{prefix}-{n}") for n in range(1, count + 1)]

    def disable(self, name: str) -> None:
        """Refuses a device from now on. A connection ends at its next refresh."""
        self._fleet(["fleet", "disable", name, "--json", "--store", f"file:{self.folder / 'devices.json'}"])

    def _fleet(self, arguments: Sequence[str]) -> Any:
        run = subprocess.run(
            [self._program, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )
        if run.returncode != 0:
            raise GatewayError(run.stderr.strip() or run.stdout.strip())
        return json.loads(run.stdout or "{}")

    def advance(self, seconds: float) -> None:
        """Moves the gateway's clock ahead, so that refreshes and the ends of sessions come at once."""
        self._call("POST", "/clock/advance", {"milliseconds": round(seconds * 1000)})

    def set_faults(
        self, throttled_connects: int = 0, function_delay_ms: int = 0, function_failure: str | None = None
    ) -> None:
        """Replaces what goes wrong on purpose. `function_failure` is `error` or `timeout`."""
        faults = {
            "throttledConnects": throttled_connects,
            "functionDelayMs": function_delay_ms,
            "functionFailure": function_failure,
        }
        self._call("PUT", "/faults", faults)

    def clear_faults(self) -> None:
        """Ends all faults."""
        self._call("DELETE", "/faults")

    def cut(self, client_id: str) -> None:
        """Breaks a client's connection, as when its link fails."""
        self._call("POST", "/connections/cut", {"clientId": client_id})

    def refresh(self, client_id: str) -> None:
        """Lets the authorizer decide again about a client that is connected."""
        self._call("POST", "/connections/refresh", {"clientId": client_id})

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._status}/test/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        # A proxy of the environment has nothing to do with a port of this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=START_SECONDS) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                details = error.read().decode(errors="replace")
            raise GatewayError(f"{method} {path}: {details}") from error

    def log(self) -> list[dict[str, Any]]:
        """The lines of the gateway's log so far: one object an event."""
        with self._log.open(encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]
