#!/usr/bin/env python3
"""kill -9 at random moments under SMTP, IMAP and POP3 load, in fast cycles (KILLS, default 30) on one store.

After each restart every account is compared with the ledger: acknowledged changes are there, whatever was under way is there
or not, nothing is doubled, flags are as they were acknowledged, UID, UIDVALIDITY, UIDNEXT and MODSEQ have not gone back."""
import cycles

import box


def main():
    n = cycles.count("KILLS", 30)

    def body(b):
        def crash(world):
            world.crash_began(answers_count=True)
            b.kill()
        cycles.cycles("kill -9", b, n, crash, 0.45)
    cycles.run(lambda: box.Box(cycles.ACCOUNTS, config=cycles.CONFIG).make(), body)


main()
