import os
import subprocess

import ray

# ruleid: dashboard-open-to-network
ray.init(num_cpus=4, dashboard_host="0.0.0.0")


def track() -> None:
    # ruleid: dashboard-open-to-network
    subprocess.Popen(["mlflow", "server", "--host", "0.0.0.0", "--port", "5000"])


def notebook() -> None:
    # ruleid: dashboard-open-to-network
    subprocess.run(["jupyter", "lab", "--ip=0.0.0.0", "--NotebookApp.token=''"], check=True)


def configure(c) -> None:
    # ruleid: dashboard-open-to-network
    c.ServerApp.token = ""


def shell() -> None:
    # ruleid: dashboard-open-to-network
    os.system("mlflow ui --host 0.0.0.0 --port 8080")
