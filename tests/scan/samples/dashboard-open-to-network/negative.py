import os
import subprocess

import ray

# ok: dashboard-open-to-network
ray.init(num_cpus=4, dashboard_host="127.0.0.1")
# ok: dashboard-open-to-network
ray.init()


def track() -> None:
    # ok: dashboard-open-to-network
    subprocess.Popen(["mlflow", "server", "--host", "127.0.0.1", "--port", "5000"])


def notebook() -> None:
    # ok: dashboard-open-to-network
    subprocess.run(["jupyter", "lab", "--ip=127.0.0.1"], check=True)


def configure(c) -> None:
    # ok: dashboard-open-to-network
    c.ServerApp.token = os.environ["NOTEBOOK_TOKEN"]


def shell(host: str) -> None:
    # ok: dashboard-open-to-network
    subprocess.run(["mlflow", "ui", "--host", host], check=True)
