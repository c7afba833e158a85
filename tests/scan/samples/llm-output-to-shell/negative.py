import shlex
import subprocess
from openai import OpenAI

client = OpenAI()
ALLOWED_COMMANDS = {"uptime": ["uptime"], "disk": ["df", "-h"]}


def table(task, llm):
    choice = llm.invoke(task).content.strip()
    if choice not in ALLOWED_COMMANDS:
        raise ValueError(choice)
    # ok: llm-output-to-shell
    subprocess.run(ALLOWED_COMMANDS[choice], check=True)


def as_input(task, llm):
    text = llm.invoke(task).content
    # ok: llm-output-to-shell
    subprocess.run(["wc", "-w"], input=text, text=True, check=True)


def quoted(task, llm):
    text = llm.invoke(task).content
    # ok: llm-output-to-shell
    subprocess.run(f"echo {shlex.quote(text)}", shell=True, check=True)


def number(task, llm):
    seconds = int(llm.invoke(task).content)
    # ok: llm-output-to-shell
    subprocess.run(["sleep", str(seconds)], check=True)


def command_into_model(llm):
    listing = subprocess.check_output("ls", shell=True, text=True)
    # ok: llm-output-to-shell
    return llm.invoke(listing)
