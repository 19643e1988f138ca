#!/usr/bin/env python3
"""Power cuts: the store is on an ext4 in a file, which is shut down without a flush of its journal while the server writes.

What no sync had brought to the disk is gone; the file system is mounted again, the server started, every account compared with
the ledger (CUTS, default 30; needs root and a loop device). First a server whose syncs do nothing is found out: the test can fail."""
import os

import cycles
from ledger import Wrong

import box
from harness import ROOT

SHIM = os.path.join(ROOT, "build", "crash", "world_shim.so")


def crasher(b):
    cuts = 0

    def crash(world):
        nonlocal cuts
        cuts += 1
        world.crash_began(answers_count=cuts % 2)
        b.cut(freeze=cuts % 2)
        b.kill()
        b.again()
    return crash


def liar(b):
    try:
        cycles.cycles("a server that does not sync", b, 5, crasher(b), 0.4, env={"LD_PRELOAD": SHIM, "SHIM_NOSYNC": "1"})
    except AssertionError as e:  # mail is lost, or the store does not even open
        print("ok found out:", str(e)[:120].replace("\n", " "))
        return
    raise Wrong("five cuts did not show that the server never synced")


if __name__ == "__main__":
    n = cycles.count("CUTS", 30)
    cycles.run(lambda: box.Ext4(cycles.ACCOUNTS, config=cycles.CONFIG).make(), liar)
    cycles.run(lambda: box.Ext4(cycles.ACCOUNTS, config=cycles.CONFIG).make(), lambda b: cycles.cycles("power cut", b, n, crasher(b), 0.4))
