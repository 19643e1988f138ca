#!/usr/bin/env python3
"""Power cuts: the store is on an ext4 in a file, which is shut down without a flush of its journal while the server writes.

What no sync had brought to the disk is gone; the file system is mounted again, the server started, every account compared with
the ledger (CUTS, default 40; needs root and a loop device)."""
import cycles

import box


def main():
    n = cycles.count("CUTS", 40)

    def body(b):
        cuts = 0

        def crash(world):
            nonlocal cuts
            cuts += 1
            world.crash_began(answers_count=cuts % 2)
            b.cut(freeze=cuts % 2)
            b.kill()
            b.again()
        cycles.cycles("power cut", b, n, crash, 0.4)
    cycles.run(lambda: box.Ext4(cycles.ACCOUNTS).make(), body)


main()
