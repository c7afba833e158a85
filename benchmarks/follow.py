"""`tavo logs follow` for long: memory and CPU of millions of events in rotated files.

A writer makes a log as a gateway does, with planted attacks, and rotates it; a follower runs beside
it with a checkpoint and is asked for its memory at the end. `--events N`, `--python PATH`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.log_corpus import lines

_ROTATE = 64 << 20


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = [line.encode() + b"\n" for line, _ in lines(60 << 20)]
        log = folder / "gateway.jsonl"
        log.touch()
        words = [
            asked.python, "-m", "tavo", "-q", "logs", "follow", str(log), "--from-start",
            "--checkpoint", str(folder / "c.db"), "--exit-zero",
            "--output", f"jsonl={folder / 'alarms.jsonl'}",
        ]  # fmt: skip
        env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, env=env) as follower:
            started = time.monotonic()
            written, size = _write(log, corpus, asked.events, follower, folder)
            _wait(folder / "c.db", log, follower)
            peak, after = _memory(follower.pid)
            follower.terminate()
            follower.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        alarms = [json.loads(line) for line in (folder / "alarms.jsonl").open()]
        opened = sum(one["kind"] == "opened" for one in alarms)
        cpu = used.ru_utime + used.ru_stime
        wall = time.monotonic() - started
        row = (
            f"{written:,}", f"{size / 1e6:,.0f}", f"{wall:.0f}", f"{cpu:.1f}",
            f"{size / 1e6 / cpu:.0f}", f"{peak:.0f}", f"{after:.0f}", f"{opened:,}",
            str(follower.returncode),
        )  # fmt: skip
        print("| events | MB | wall s | CPU s | MB per CPU s | peak RSS MB | RSS at the end MB"
              " | alarms | exit |")  # fmt: skip
        print("|---" * len(row) + "|")
        print("| " + " | ".join(row) + " |")


def _write(
    log: Path, corpus: list[bytes], events: int, follower: subprocess.Popen[bytes], folder: Path
) -> tuple[int, int]:
    """Write, with new times and actors each time around, and rotate; wait for the follower."""
    written = size = 0
    file = log.open("ab")
    rotated: list[Path] = []
    span = 0.52 * len(corpus)
    while written < events:
        around = written // len(corpus)
        shift = around * span
        for line in corpus:
            record = line
            if around:
                at = line.find(b'"startTime": ') + 13
                end = line.find(b",", at)
                record = line[:at] + b"%.3f" % (float(line[at:end]) + shift) + line[end:]
                record = record.replace(b'"end_user": "user-', b'"end_user": "u%d-' % (around % 50))
            file.write(record)
            size += len(record)
            written += 1
            if file.tell() >= _ROTATE:
                file.close()
                rotated.append(log.with_name(f"{log.name}.{written}"))
                log.rename(rotated[-1])
                file = log.open("ab")
                while len(rotated) > 2:
                    _until_read(rotated[0], follower)
                    rotated.pop(0).unlink()
            if written >= events or follower.poll() is not None:
                break
        if follower.poll() is not None:
            break
    file.close()
    return written, size


def _until_read(path: Path, follower: subprocess.Popen[bytes]) -> None:
    """Wait until the follower stands at the end of a part, or has closed it."""
    size, target = path.stat().st_size, str(path)
    while follower.poll() is None:
        place = 0
        for descriptor in Path(f"/proc/{follower.pid}/fd").iterdir():
            try:
                if str(descriptor.readlink()) == target:
                    info = Path(f"/proc/{follower.pid}/fdinfo/{descriptor.name}").read_text()
                    place = int(info.split()[1])
                    break
            except OSError:
                continue
        else:
            return
        if place >= size:
            return
        time.sleep(0.05)


def _wait(checkpoint: Path, log: Path, follower: subprocess.Popen[bytes]) -> None:
    _until_read(log, follower)
    time.sleep(2)


def _memory(pid: int) -> tuple[float, float]:
    """Return the peak and the present resident memory of a process, in MB."""
    found = {
        line.split(":")[0]: int(line.split()[1]) / 1024
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith(("VmHWM", "VmRSS"))
    }
    return found["VmHWM"], found["VmRSS"]


if __name__ == "__main__":
    main()
