#!/usr/bin/env python3
"""Runs a command and appends what it took to a table.

    measure.py TABLE.tsv LABEL COMMAND...

Columns: label, wall seconds, CPU seconds, peak resident MiB, peak anonymous MiB. Resident memory counts pages of
mapped files, which the kernel takes back under pressure; anonymous memory is what the process cannot do without
(sampled every 20 ms from /proc).
"""

import os
import sys
import threading
import time


def main() -> int:
    if len(sys.argv) < 4:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    table, label, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    start = time.monotonic()
    pid = os.spawnvp(os.P_NOWAIT, command[0], command)
    sampler = Sampler(pid)
    sampler.start()
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - start
    sampler.stop.set()
    code = os.waitstatus_to_exitcode(status)
    row = (
        f"{label}\t{wall:.1f}\t{usage.ru_utime + usage.ru_stime:.1f}"
        f"\t{usage.ru_maxrss / 1024:.0f}\t{sampler.peak_kib / 1024:.0f}"
    )
    print(row if code == 0 else f"{row}\tfailed with {code}")
    if code == 0:
        with open(table, "a") as out:
            out.write(row + "\n")
    return code


class Sampler(threading.Thread):
    """Watches the anonymous memory of a process."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.path, self.peak_kib, self.stop = f"/proc/{pid}/status", 0, threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.02):
            try:
                with open(self.path) as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            self.peak_kib = max(self.peak_kib, int(line.split()[1]))
            except OSError:
                return


if __name__ == "__main__":
    sys.exit(main())
