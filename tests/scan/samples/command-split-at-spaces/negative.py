import shlex
import subprocess


def commit(message: str):
    # ok: command-split-at-spaces
    subprocess.run(["git", "commit", "-m", message], check=True)


def version():
    # ok: command-split-at-spaces
    return subprocess.run("git --version".split(), check=True)


def quoted(path: str):
    # ok: command-split-at-spaces
    return subprocess.run(shlex.split(f"ls {shlex.quote(path)}"))


def configured(self):
    # ok: command-split-at-spaces
    return subprocess.run(shlex.split(self.settings.editor))
