import subprocess
import sys

from langchain_openai import ChatOpenAI

llm = ChatOpenAI()
ALLOWED_PACKAGES = {"numpy", "pandas"}


def install(task):
    name = llm.invoke(f"Which package solves: {task}").content.strip()
    if name not in ALLOWED_PACKAGES:
        raise ValueError(f"{name!r} is not on the list")
    # ok: llm-output-to-package-install
    subprocess.run([sys.executable, "-m", "pip", "install", name], check=True)


def requirements():
    # ok: llm-output-to-package-install
    subprocess.run([sys.executable, "-m", "pip", "install", "-r", "requirements.txt"], check=True)


def advise(task):
    name = llm.invoke(f"Which package solves: {task}").content
    # ok: llm-output-to-package-install
    return f"You may want to look at {name}"


def words(task):
    answer = llm.invoke(task).content
    # ok: llm-output-to-package-install
    return ["answer", answer]
