"""The program that `tavo proxy run` starts: what its environment says, and how it ends.

Rules this module keeps:
- variables are set for the child alone, and name files in a private folder that goes when it ends;
- what replaces a program's list of authorities holds the usual ones as well, so that hosts that are
  let through are verified as before; what adds to it holds ours alone;
- the child has the terminal: an interrupt reaches it as if we were not there, and what other
  processes send to us goes on to it;
- its exit code is ours; a signal that ended it is 128 and its number, as in a shell.

Units: none.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tavo.errors import UsageError

__all__ = ["Child", "environment_for", "usual_authorities"]

_PROXY = ("HTTPS_PROXY", "https_proxy")
_CLEAR = ("HTTP_PROXY", "http_proxy")
_REPLACING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "PIP_CERT",
              "GIT_SSL_CAINFO", "CARGO_HTTP_CAINFO", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
              "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE")  # fmt: skip
_ADDING = ("NODE_EXTRA_CA_CERTS", "DENO_CERT", "CODEX_CA_CERTIFICATE")
_AWAY = ("ALL_PROXY", "all_proxy", "SSL_CERT_DIR", "NODE_TLS_REJECT_UNAUTHORIZED")
_LOCAL = "localhost,127.0.0.1,::1"
_PASSED_ON = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_IGNORED = ("SIGINT", "SIGQUIT")


def environment_for(
    environment: Mapping[str, str], *, port: int, secret: str, ours: Path, bundle: Path, clear: bool
) -> dict[str, str]:
    """Return the child's environment. `clear`: requests in clear text come to us, to be refused."""
    out = {name: value for name, value in environment.items() if name not in (*_AWAY, *_CLEAR)}
    address = f"http://tavo:{secret}@127.0.0.1:{port}"
    out.update(dict.fromkeys(_PROXY, address))
    if clear:
        out.update(dict.fromkeys(_CLEAR, address))
    out.update(dict.fromkeys(("NO_PROXY", "no_proxy"), _LOCAL))
    out.update(dict.fromkeys(_REPLACING, str(bundle)))
    out.update(dict.fromkeys(_ADDING, str(ours)))
    out["NODE_USE_ENV_PROXY"] = "1"  # the fetch of Node 22.21 and 24 looks at HTTPS_PROXY with it
    return out


def usual_authorities(environment: Mapping[str, str]) -> bytes:
    """Return what is trusted here, in PEM: by the environment, the system, or certifi."""
    places = [environment.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile]
    for place in places:
        if place:
            with contextlib.suppress(OSError):
                return Path(place).read_bytes()
    with contextlib.suppress(ImportError, OSError):
        import certifi

        return Path(certifi.where()).read_bytes()
    return b""


class Child:
    """One program. Raises UsageError when it cannot be started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._before: dict[signal.Signals, object] = {}
        try:
            self._process = subprocess.Popen(list(command), env=dict(environment))
        except OSError as error:
            raise UsageError(
                f"{command[0]}: cannot be started: {error.strerror or error}",
                hint="Name a program behind --, as in: tavo proxy run -- python app.py",
            ) from error
        for name in (*_PASSED_ON, *_IGNORED):
            number = getattr(signal, name, None)
            if number is not None:
                act = self._pass_on if name in _PASSED_ON else lambda *_: None
                self._before[number] = signal.signal(number, act)

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        try:
            code = await asyncio.to_thread(self._process.wait)
        finally:
            for number, act in self._before.items():
                signal.signal(number, act)  # type: ignore[arg-type]
        return 128 - code if code < 0 else code

    def end(self) -> None:
        """End it, if it still runs."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _pass_on(self, number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            if sys.platform == "win32":
                self._process.terminate()
            else:
                os.kill(self._process.pid, number)
