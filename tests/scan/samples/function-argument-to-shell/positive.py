import asyncio
import os
import subprocess


def dump(pid: str):
    # ruleid: function-argument-to-shell
    return subprocess.check_output(f"py-spy dump -p {pid}", shell=True)


async def profile(pid, format="flamegraph", native: bool = False):
    command = f"py-spy record -p {pid} -f {format}"
    if native:
        command += " --native"
    # ruleid: function-argument-to-shell
    process = await asyncio.create_subprocess_shell(command, stdout=subprocess.PIPE)
    return await process.communicate()


def convert(*names):
    for name in names:
        # ruleid: function-argument-to-shell
        os.system("convert %s out.png" % name)


class Git:
    diff_cmd = 'git_diff.py "{file_path}"'

    def diff(self, file_path: str):
        # ruleid: function-argument-to-shell
        return self.execute(self.diff_cmd.format(file_path=file_path), self.cwd)
