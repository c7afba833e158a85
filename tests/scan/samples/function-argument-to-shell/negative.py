import asyncio
import os
import shlex
import subprocess


def dump(pid: str):
    # ok: function-argument-to-shell
    return subprocess.check_output(["py-spy", "dump", "-p", pid])


async def profile(pid):
    # ok: function-argument-to-shell
    return await asyncio.create_subprocess_exec("py-spy", "record", "-p", str(pid))


def number(pid: int):
    # ok: function-argument-to-shell
    return subprocess.check_output(f"py-spy dump -p {pid}", shell=True)


def quoted(name):
    # ok: function-argument-to-shell
    os.system(f"convert {shlex.quote(name)} out.png")


def constant(name):
    # ok: function-argument-to-shell
    os.system("uptime")


class Git:
    diff_cmd = "git_diff.py {file_path}"

    def diff(self, file_path: str):
        # ok: function-argument-to-shell
        return self.execute(self.diff_cmd.format(file_path=shlex.quote(file_path)), self.cwd)

    def message(self, name: str):
        # ok: function-argument-to-shell
        return self.text.format(name=name)
