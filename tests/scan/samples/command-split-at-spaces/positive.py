import shlex
import subprocess


def commit(message: str):
    # ruleid: command-split-at-spaces
    subprocess.run(f"git commit -m {message}".split(), check=True)


def scan(target: str):
    # ruleid: command-split-at-spaces
    return subprocess.check_output(shlex.split(f"nmap -sV {target}"))


def convert(source: str, target: str):
    command = f"ffmpeg -i {source} out.wav"
    # ruleid: command-split-at-spaces
    subprocess.Popen(command.split(" "))


async def lint(path):
    line = f"ruff check {path}"
    # ruleid: command-split-at-spaces
    return subprocess.run(shlex.split(line), capture_output=True)
