import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path


def new_tool(task: str) -> object:
    # ruleid: agent-writes-its-own-code
    Path("plugins/new_tool.py").write_text(llm.invoke(task).content)
    return importlib.import_module("plugins.new_tool")


def run_script(task: str) -> str:
    code = client.chat.completions.create(model=MODEL, messages=task).choices[0].message.content
    with open("script.py", "w") as file:
        # ruleid: agent-writes-its-own-code
        file.write(code)
    return subprocess.run([sys.executable, "script.py"], capture_output=True).stdout


def load_skill(name: str) -> object:
    source = llm.invoke(f"Write the skill {name}").content
    target = f"skills/{name}.py"
    with open(f"skills/{name}.py", "w") as file:
        # ruleid: agent-writes-its-own-code
        file.write(source)
    spec = importlib.util.spec_from_file_location(name, target)
    return importlib.util.module_from_spec(spec)
