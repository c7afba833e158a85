"""One run for an organisation: a verified package, a judged target, the sandbox, and its figures.

Rules this module keeps:
- the package is accepted as a client would, out of the verified catalog of this moment: what was
  withdrawn or recalled meanwhile is not run;
- it runs at the strongest level or not at all, whatever the operator accepted for other plugins;
- the target's name is looked up once, here, and each connection goes to the address that was
  judged; an address that is not public is refused unless the operator listed it; redirects are
  answers, and are not followed;
- figures come from the host and the kernel; what our side made fail costs nothing.

Units: bytes, seconds.
"""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from marketplace_db.acceptance import accept
from marketplace_db.catalog import Catalog, ReleaseRow
from marketplace_db.errors import MarketplaceError
from marketplace_db.execution_result import Found, RunResult, encode_result, why_not_for_others
from marketplace_db.executions import Claimed, End
from marketplace_db.manifest import Limits
from marketplace_db.prices import Metered
from signing.digests import Digest
from signing.errors import SigningError
from signing.publishers import Publishers
from signing.roles import blob_path
from tavo.attack.broker import Budget, Purse
from tavo.attack.http_target import HttpTarget
from tavo.attack.targets import TargetFailedError, TargetFile, address_of
from tavo.errors import ConfigError, RefusedError, TavoError
from tavo.host.brokered_http import public_address
from tavo.host.lending import LendError
from tavo.host.local import WHEELS_FOLDER, open_local
from tavo.host.stopping import Stopper
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatRequest, ChatResponse
from tavo.results.values import Reported
from tavo.runs.dynamic import run_dynamic
from tavo.runs.outcome import PluginOutcome

__all__ = ["Offer", "Resolve", "carry_out", "check_for_others", "judged_address"]

Resolve = Callable[[str, int], list[str]]
_MB = 1_000_000
_PROGRAMS = frozenset({"command", "python"})
_MOST_NOTICES = 50
_MOST_SCRATCH_MB = 64
_MOST_THREADS = 4
_LONGEST_REQUEST_S = 60.0
_CPU_SLACK_MS = 500  # what the kernel ends a process at, and what it accounts for it, differ


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What can be run now: a verified catalog, its publishers, and where its blobs are."""

    catalog: Catalog
    publishers: Publishers
    repository: Path

    def blob(self, digest: Digest) -> Path:
        """Return where a blob lies."""
        return self.repository / blob_path(digest)


class _MeteredTarget:
    """A target whose bytes are bounded for the whole run, and that ends when it is told to."""

    def __init__(self, target: HttpTarget, *, most_bytes: int, stopper: Stopper) -> None:
        self._target = target
        self._most_bytes = most_bytes
        self._stopper = stopper
        self.name = target.name
        self.model = target.model
        self.application = target.application
        self.secrets = target.secrets

    def leaves_out(self, request: ChatRequest) -> str:
        """Return why not all of a request would reach it; empty if it would."""
        return self._target.leaves_out(request)

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Send one request. Raises TargetFailedError, also where nothing may be sent any more."""
        if self._stopper.is_stopped:
            raise TargetFailedError("the run was stopped")
        if self._target.bytes_out + self._target.bytes_in >= self._most_bytes:
            raise TargetFailedError(
                f"the {self._most_bytes / _MB:g} MB that may pass between it and its target are"
                " used up"
            )
        return self._target.send(request)

    def close(self) -> None:
        """Close the connections."""
        self._target.close()


def check_for_others(described: TargetFile) -> None:
    """Raise ConfigError for a target that is a program: none is run here for others."""
    if described.kind in _PROGRAMS:
        raise ConfigError(
            f"target: kind {described.kind} is a program of this machine: none is run for others",
            hint="Register an address.",
        )
    if described.kind == "mcp":
        raise ConfigError(
            "target: kind mcp answers no chat, which is all that plugins ask",
            hint="Attack it yourself: `tavo attack`.",
        )


def judged_address(
    described: TargetFile, networks: tuple[str, ...], resolve: Resolve | None = None
) -> str:
    """Return the address that a target's name leads to now, looked up once.

    Raises RefusedError for one that is not public and in none of the networks, ConfigError.
    """
    check_for_others(described)
    url = address_of(described.url)
    port = url.port or (443 if url.scheme == "https" else 80)
    listed = [ipaddress.ip_network(one) for one in networks]
    try:
        return public_address(url.hostname or "", port, resolve, listed=listed)
    except LendError as error:
        raise RefusedError(
            f"target: {error}", hint="The operator can list its network with --network."
        ) from None


def carry_out(
    claimed: Claimed,
    offer: Offer,
    *,
    environment: Mapping[str, str],
    stopper: Stopper,
    resolve: Resolve | None = None,
) -> End:
    """Do a claimed run; return how it ended, which never raises for what a run can meet.

    `environment` has the credentials of targets, by the names in their descriptions.
    """
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tavo-execution-") as name:
            return _run(claimed, offer, Path(name), environment, stopper, resolve, began)
    except (MarketplaceError, SigningError, TavoError) as error:
        hint = getattr(error, "hint", "")
        return End(state="failed", outcome=f"it was not run: {error} {hint}".rstrip())
    except OSError as error:
        return End(state="failed", outcome=f"it was not run: {error.strerror or error}")


def _run(
    claimed: Claimed,
    offer: Offer,
    folder: Path,
    environment: Mapping[str, str],
    stopper: Stopper,
    resolve: Resolve | None,
    began: float,
) -> End:
    run = claimed.execution
    if not claimed.description:
        raise RefusedError("its target was removed")
    described = msgspec.json.decode(claimed.description, type=TargetFile)
    described = msgspec.structs.replace(
        described, timeout_s=min(described.timeout_s, _LONGEST_REQUEST_S), name=run.target
    )
    release = offer.catalog.release(run.plugin, run.version)
    if release.package.hex != claimed.package:
        raise RefusedError("the catalog names another package than the market")
    package = _accepted(offer, release, folder)
    quotas = run.quotas
    target = HttpTarget(
        described, environment, address=judged_address(described, claimed.networks, resolve)
    )
    metered = _MeteredTarget(target, most_bytes=int(quotas["network_mb"] * _MB), stopper=stopper)
    try:
        with open_local(package, wheels=folder / WHEELS_FOLDER) as local:
            if local.digest != release.package:
                raise RefusedError("its package changed while it was unpacked")
            installation = local.own()
            try:
                outcome = run_dynamic(
                    installation,
                    metered,
                    Purse(_budget(quotas)),
                    accept=(),
                    config=claimed.config,
                    stopper=stopper,
                    limits=_bounded(local.manifest.limits, quotas),
                    cpu_s=quotas["cpu_s"],
                )
            finally:
                installation.close()
    finally:
        target.close()
    used = Metered(
        wall_ms=round((time.monotonic() - began) * 1000),
        cpu_ms=round(outcome.run.worker_cpu_s * 1000),
        peak_memory_bytes=outcome.run.peak_bytes,
        requests=len(outcome.exchanges),
        bytes_out=target.bytes_out,
        bytes_in=target.bytes_in,
        prompt_tokens=sum(one.prompt_tokens for one in outcome.exchanges),
        answer_tokens=sum(one.answer_tokens for one in outcome.exchanges),
    )
    return _ended(claimed, outcome, used)


def _ended(claimed: Claimed, outcome: PluginOutcome, used: Metered) -> End:
    run = claimed.execution
    notices = [one.reason for one in outcome.notices if one.incomplete]
    cpu_s = run.quotas["cpu_s"]
    killed = any("ended by SIGKILL" in one for one in notices)
    if killed and used.cpu_ms >= cpu_s * 1000 - _CPU_SLACK_MS:  # the kernel does not say why
        notices.insert(0, f"it used up its {cpu_s:g} s of processor time")
    result = RunResult(
        id=run.uuid,
        plugin=run.plugin,
        version=run.version,
        package=outcome.run.package,
        target=run.target,
        sandbox=outcome.run.sandbox,
        complete=not notices,
        notices=notices[:_MOST_NOTICES],
        findings=[_found(one) for one in outcome.reported],
    )
    return End(
        state="done",
        outcome="; ".join(notices),
        complete=not notices,
        billed=outcome.run.sandbox != "not started",
        sandbox=outcome.run.sandbox,
        findings=len(outcome.reported),
        used=used,
        result=encode_result(result, most=int(run.quotas["result_mb"] * _MB)),
    )


def _accepted(offer: Offer, release: ReleaseRow, folder: Path) -> Path:
    """Copy a package and its wheels into a private folder, and accept it as a client does.

    Raises NotAcceptedError, PackageError, AttestationError, RefusedError, OSError.
    """
    package = folder / "package.zip"
    shutil.copyfile(offer.blob(release.package), package)
    accept(
        release,
        offer.publishers,
        package,
        offer.blob(release.publisher_envelope).read_bytes(),
        [offer.blob(one).read_bytes() for one in release.reviewer_envelopes],
    )
    if problem := why_not_for_others(release.parsed_manifest()):
        raise RefusedError(problem)
    wheels = folder / WHEELS_FOLDER
    wheels.mkdir()
    for wheel in release.wheels:  # their digests are compared when they are unpacked
        shutil.copyfile(offer.blob(wheel.digest), wheels / wheel.filename)
    return package


def _bounded(asked: Limits, quotas: Mapping[str, float]) -> Limits:
    """Return the plugin's limits, none of them above what the operator allows."""
    wall_s, cpu_s = float(quotas["wall_s"]), float(quotas["cpu_s"])
    return Limits(
        memory_mb=min(asked.memory_mb, int(quotas["memory_mb"])),
        cpu_s_per_file=min(asked.cpu_s_per_file, cpu_s),
        wall_s_per_call=min(asked.wall_s_per_call, wall_s),
        wall_s_total=min(asked.wall_s_total, wall_s),
        scratch_mb=min(asked.scratch_mb, _MOST_SCRATCH_MB),
        threads=min(asked.threads, _MOST_THREADS),
        output_mb=min(asked.output_mb, int(quotas["output_mb"])),
    )


def _budget(quotas: Mapping[str, float]) -> Budget:
    return Budget(
        requests=int(quotas["requests"]),
        tokens=int(quotas["tokens"]),
        time_s=float(quotas["wall_s"]),
    )


def _found(one: Reported) -> Found:
    finding = one.finding
    return Found(
        rule=finding.rule_id,
        title=one.rule.title,
        severity=finding.severity.value,
        confidence=finding.confidence.value,
        message=finding.message,
        goal=finding.location.snippet,
        evidence=dict(finding.evidence),
    )
