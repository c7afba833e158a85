import importlib
import subprocess
import sys
from pathlib import Path


def propose(task: str) -> None:
    # ok: agent-writes-its-own-code
    Path("proposals/new_tool.py").write_text(llm.invoke(task).content)


def load() -> object:
    return importlib.import_module("plugins.new_tool")


def run_own() -> bytes:
    with open("script.py", "w") as file:
        # ok: agent-writes-its-own-code
        file.write(TEMPLATE)
    return subprocess.run([sys.executable, "script.py"], capture_output=True).stdout


def report(task: str) -> None:
    with open("report.md", "w") as file:
        # ok: agent-writes-its-own-code
        file.write(llm.invoke(task).content)
    subprocess.run(["pandoc", "report.md"], check=True)


def accepted(task: str) -> object:
    code = llm.invoke(task).content
    if not confirm_with_user(code):
        raise ValueError("refused")
    # ok: agent-writes-its-own-code
    Path("plugins/new_tool.py").write_text(code)
    return importlib.import_module("plugins.new_tool")
