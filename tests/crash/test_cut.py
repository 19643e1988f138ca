#!/usr/bin/env python3
"""Power cuts: the store is on an ext4 in a file, which is shut down without a flush of its journal while the server writes.

What no sync had brought to the disk is gone; the file system is mounted again, the server started, every account compared with
the ledger (CUTS, default 40; needs root and a loop device)."""
import cycles

import box


def main():
    n = cycles.count("CUTS", 40)

    def body(b):
        def crash():
            b.cut()
            b.kill()
            b.again()
        cycles.cycles("power cut", b, n, crash, 0.6)
    cycles.run(lambda: box.Ext4(cycles.ACCOUNTS).make(), body)


main()
