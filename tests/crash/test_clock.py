#!/usr/bin/env python3
"""The wall clock jumps a year ahead, back, and a year into the past, under load and between runs (JUMPS of them, default 4).

Sessions that sleep are not thrown out, mail is taken and found, nothing expires, UIDVALIDITY, UIDs and MODSEQ go on upwards, a
wrong password does not lock anybody out. The monotonic clock is left alone: timers go by it."""
import os
import struct
import time

import cycles
from ledger import Wrong
from load import World
from wire import Imap, Pop3, Smtp

import box
from harness import ROOT

SHIM = os.path.join(ROOT, "build", "crash", "world_shim.so")
YEAR = 365 * 86400
OFFSETS = (YEAR, 0, -YEAR, YEAR, -YEAR, 0)  # where the clock is then; the steps are one and two years, both ways


class Clock:
    def __init__(self, path):
        self.path = path
        self.set(0)

    def set(self, seconds):
        with open(self.path, "r+b" if os.path.exists(self.path) else "wb") as f:
            f.write(struct.pack("<q", seconds))


class Sleepers:
    """One idle session of each protocol, one of them in IDLE."""

    def __init__(self, world):
        user, port = world.imap_users[0], world.box.base
        self.imap = Imap(port + 993, user, box.SECRET, world.context)
        self.imap.ok("EXAMINE INBOX")
        self.idle = Imap(port + 993, user, box.SECRET, world.context)
        self.idle.ok("EXAMINE Archive")
        self.tag, data = self.idle.begin("IDLE")
        self.idle.send(data)
        assert self.idle.line().startswith(b"+")
        self.smtp = Smtp(port + 25)
        self.pop = Pop3(port + 995, world.imap_users[1], box.SECRET, world.context)
        assert self.pop.login()

    def wake(self):
        self.imap.ok("NOOP")
        self.idle.send(b"DONE\r\n")
        line, _ = self.idle.finish(self.tag)
        assert line.startswith(b"OK"), line
        self.smtp.send(b"NOOP\r\n")
        assert self.smtp.reply()[0] == 250
        assert self.pop.do("NOOP").startswith(b"+OK")
        self.pop.do("QUIT")
        for c in (self.imap, self.idle, self.smtp, self.pop):
            c.close()


def received_year(world):
    """A new message has the date of the clock that stands."""
    user = world.imap_users[0]
    c = world.imap(user)
    token = world.token()
    s = Smtp(world.box.base + 25)
    world.in_flight[token] = [user]
    from ledger import text_of
    code, text = s.deliver([user], text_of(token))
    assert code == 250, text
    world.accounts[user].delivered(token)
    del world.in_flight[token]
    s.close()
    c.ok("EXAMINE INBOX")
    _, untagged = c.ok("FETCH * (INTERNALDATE)")
    c.close()
    return int(untagged[0][0].split(b'INTERNALDATE "')[1][7:11])


def wrong_password(world):
    """Refused, and the right one is taken behind it."""
    user = world.imap_users[2]
    try:
        Imap(world.box.base + 993, user, "wrong", world.context)
    except AssertionError:
        pass
    else:
        raise Wrong("a wrong password was taken")
    start = time.monotonic()
    world.imap(user).close()
    assert time.monotonic() - start < 20, "a login is held up"


def body(b):
    clock = Clock(os.path.join(b.work, "clock"))
    env = {"LD_PRELOAD": SHIM, "SHIM_CLOCK": clock.path}
    world = World(b, cycles.SEED)
    n = cycles.count("JUMPS", 4)
    b.start(env=env)
    world.verify()
    for i in range(n):
        offset = OFFSETS[i % len(OFFSETS)]
        sleepers = Sleepers(world)
        world.start()
        time.sleep(0.4)
        before = world.total()
        clock.set(offset)
        time.sleep(0.8)
        world.finish()
        assert world.total() > before + 20, "the load stood still behind the jump"
        sleepers.wake()
        wrong_password(world)
        year = time.gmtime(time.time() + offset).tm_year
        assert received_year(world) == year, f"a new message is not of {year}"
        world.verify()
        world.start()
        time.sleep(0.3)
        world.crash_began(answers_count=True)
        b.kill()
        world.end()
        b.start(env=env)
        world.verify()
        print(f"ok the clock is {offset / YEAR:+.0f} years off: under load, and behind a restart; {world.total()} changes in the ledger",
              flush=True)
    assert b.term() == 0


if __name__ == "__main__":
    cycles.run(lambda: box.Box(cycles.ACCOUNTS).make(), body)
