#!/usr/bin/env python3
"""A tmpfs that somebody else fills under load: 4yz, NO, -ERR with clear words; then there is room again and the same process goes on.

First with the reserve that keeps the store from meeting ENOSPC, then without (statvfs lies): then the log and the engine
themselves run into the full disk. The ledger is exact: what was refused is not there. ROUNDS: how often each (default 1)."""
import os
import sys
import threading
import time

import cycles
from ledger import Wrong
from load import World

import box
from harness import ROOT, wait_for

SHIM = os.path.join(ROOT, "build", "crash", "world_shim.so")
REFUSALS = r"(?i)^(452 4\.3\.1 |451 4\.3\.0 |NO \[UNAVAILABLE\] |-ERR \[SYS/TEMP\] ).*(disk|storage|stored|saved|removed|earlier change)"
LEFT = 40 << 20  # below the reserve, and far from ENOSPC


class Filler:
    """Takes the free space of a file system until only `left` octets remain, and keeps it taken."""

    def __init__(self, place, left):
        self.path, self.left, self.end = os.path.join(place, "filler"), left, threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        block = bytes(1 << 20)
        with open(self.path, "wb", buffering=0) as f:
            while not self.end.is_set():
                room = box.free(os.path.dirname(self.path)) - self.left
                if room <= 0:
                    time.sleep(0.005)
                    continue
                try:
                    f.write(block[:min(room, len(block))])
                except OSError:
                    time.sleep(0.005)

    def free(self):
        self.end.set()
        self.thread.join()
        os.unlink(self.path)


def rounds(world, b, left, n, label):
    for i in range(n):
        pid = b.process.pid
        world.refused.clear()
        world.may_refuse = REFUSALS
        world.start()
        time.sleep(0.4)
        before = world.total()
        filler = Filler(b.place, left)
        try:
            wait_for(f"{label}: SMTP and IMAP refuse", lambda: refused(world, "45") >= 5 and refused(world, "NO") >= 5 or
                     world.errors, 60)
            time.sleep(0.5)
            if left == 0:
                backup(b, i)
            time.sleep(0.2)
        finally:
            filler.free()
        during = world.total() - before
        time.sleep(1.0)
        world.may_refuse = None  # nobody may be refused any more
        mark = world.total()
        wait_for(f"{label}: changes are taken again", lambda: world.total() > mark + 40 or world.errors, 60)
        world.finish()
        if not b.alive() or b.process.pid != pid:
            raise Wrong("the server is another one")
        world.verify()
        samples = sorted({t.split(" ", 2)[0] + " …" + t[-60:] for t in world.refused})
        print(f"ok {label}, round {i + 1}: {len(world.refused)} refused, {during} taken meanwhile; {world.total()} changes in the ledger; "
              f"{samples[:3]}", flush=True)


def backup(b, i):
    """A backup makes the engine write its tables: into the full disk. It may fail, and says why."""
    p = b.cli("backup", os.path.join(b.work, f"backup{i}"), "--no-secrets", check=False)
    text = (p.stdout + p.stderr).decode(errors="replace").strip().replace("\n", " ")
    print(f"   backup on the full disk: exit {p.returncode} {text[-160:]}", flush=True)
    if p.returncode not in (0, 74, 75):
        raise Wrong(f"backup ended with {p.returncode}: {text}")


def engine_met(b):
    """How often the engine itself ran into the full disk: it could not write a table, and the server's log says so."""
    return sum("No space left" in line and "/meta/" in line for line in b.log().splitlines())


def refused(world, start):
    return sum(t.startswith(start) for t in list(world.refused))


def body(b):
    n = cycles.count("ROUNDS", 1)
    world = World(b, cycles.SEED)
    b.start()
    world.verify()
    rounds(world, b, LEFT, n, "reserve reached")
    assert b.term() == 0
    b.start(env={"LD_PRELOAD": SHIM, "SHIM_ROOM": "1"})
    world.verify()
    rounds(world, b, 0, n, "ENOSPC itself")
    met = engine_met(b)
    if not met:
        raise Wrong("RocksDB itself never met ENOSPC")
    print(f"ok the engine itself met ENOSPC ({met} lines in the log)")
    b.kill()
    b.start()
    world.verify()
    print("ok the same after kill -9 and a restart")
    assert b.term() == 0


if __name__ == "__main__":
    sys.exit(cycles.run(lambda: box.Tmpfs(cycles.ACCOUNTS).make(), body))
