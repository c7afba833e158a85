"""The frame around an attack: runs it on the first file and reports what it returned."""

import ctypes
import os

from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    """Raise what the C library reports."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


class Hostile(StaticAnalysisPlugin):
    rules = (Rule(id="loot", title="What the attack got", severity=Severity.INFO),)

    def start(self, context):
        self.config = context.config
        self.scratch = context.work_directory

    def analyze_file(self, file_path, content):
        self.path = file_path
        yield self.finding(str(self.attack()) or "nothing")

    def finding(self, message, *, rule="loot", region=None, path=None):
        if region is not None:
            region = Region(start_line=region, end_line=region, end_column=2)
        return Finding(
            rule_id=rule, message=message, severity=Severity.INFO,
            location=Location(path=path or self.path, region=region),
        )

    @staticmethod
    def channel():
        """The descriptor of the connection to the host: the socket among the open files."""
        import stat

        for number in range(3, 4096):
            try:
                if stat.S_ISSOCK(os.fstat(number).st_mode):
                    return number
            except OSError:
                pass
        raise LookupError("no channel")
