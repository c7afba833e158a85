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
