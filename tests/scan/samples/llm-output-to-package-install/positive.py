import subprocess
import sys

from langchain_openai import ChatOpenAI
from openai import OpenAI

client = OpenAI()
llm = ChatOpenAI()


def install(task):
    name = llm.invoke(f"Which package solves: {task}").content.strip()
    # ruleid: llm-output-to-package-install
    subprocess.run([sys.executable, "-m", "pip", "install", name], check=True)


def install_all(task):
    reply = client.responses.create(model="m", input=f"Packages for: {task}")
    names = reply.output_text.split()
    # ruleid: llm-output-to-package-install
    subprocess.check_call(["pip", "install", "--quiet", *names])


def by_shell(task, sandbox):
    name = llm.invoke(f"Which package solves: {task}").content
    # ruleid: llm-output-to-package-install
    return sandbox.commands.run(f"pip install {name}")
