"""Fuzz a served marketplace by its own OpenAPI document with schemathesis, which is no dependency.

    pip install schemathesis            # into an environment of its own
    python benchmarks/service_fuzz.py PATH/TO/schemathesis [--examples 50]

The marketplace is made on the spot, small and real. Its exit code is that of schemathesis.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from marketplace_db.accounts import SCOPES  # noqa: E402
from marketplace_db.intake import Market  # noqa: E402
from tests.fakes.executed import ENABLED, Executed, add_dynamic  # noqa: E402
from tests.fakes.model_server import serving  # noqa: E402
from tests.fakes.served import Served, marketplace  # noqa: E402

_HOOKS = """
import schemathesis

@schemathesis.serializer("application/vnd.tavo.submission")
def submission(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("schemathesis")
    parser.add_argument("--examples", type=int, default=50)
    given = parser.parse_args()
    program = Path(given.schemathesis).absolute()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        operated = marketplace(folder / "market", count=2)
        add_dynamic(operated)
        served = Served(operated, more=ENABLED)
        try:
            with Market.open(served.operated.directory) as market:
                served.token("everything", "other-corp", list(SCOPES), market)
            executed = Executed(operated)
            with serving(lambda prompt: "The code is violet-harbor-1871.") as model:
                executed.target(f"{model.url}/v1")
                run = executed.do(executed.ask())
            uuid = served.ask("GET", "/plugins/acme%2Fprober").json()["plugin"]["uuid"]
            (folder / "hooks.py").write_text(_HOOKS)
            (folder / "schemathesis.toml").write_text(
                f'[parameters]\n"path.id" = {json.dumps(uuid)}\n"path.publisher" = "acme"\n'
                f'"path.execution" = "{run.uuid}"\n"path.month" = "2026-11"\n'
                # that a body is binary says not that it is a package
                "[checks.positive_data_acceptance]\n"
                'expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]\n'
            )
            done = subprocess.run(
                [str(program), "--config-file", "schemathesis.toml", "run",
                 f"{served.url}api/v1/openapi.json", "--no-color", "--continue-on-failure",
                 "--max-examples", str(given.examples), "--phases", "coverage,fuzzing,stateful",
                 "-H", f"Authorization: Bearer {served.tokens['everything']}"],
                cwd=folder, check=False,
                env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
            )  # fmt: skip
            worst = max((int(str(line.get("status", 0))) for line in served.lines()), default=0)
            print(f"the worst status that the server answered: {worst}")
        finally:
            served.stop()
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
