#!/usr/bin/env python3
"""No 250, OK or +OK leaves before the sync that covers it has returned, and none after a sync has failed."""
import imaplib
import os
import poplib
import smtplib
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from harness import ROOT, Server, message, ok  # noqa: E402

SHIM = os.path.join(ROOT, "build", "crash", "sync_shim.so")
work = tempfile.mkdtemp(prefix="facteur-sync-")
FAIL, LOG = os.path.join(work, "fail"), os.path.join(work, "syncs")


def syncs():
    if not os.path.exists(LOG):
        return []
    with open(LOG, encoding="ascii") as f:
        return [tuple(map(int, line.split())) for line in f if line.count(" ") == 2 and line.endswith("\n")]


def now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def durable(what, action):
    """action's answer came after a sync that began after it was asked and returned before the answer."""
    start = now_us()
    action()
    end = now_us()
    covered = [s for s in syncs() if s[0] >= start and s[1] <= end and s[2] == 0]
    assert covered, f"{what}: answered in {end - start} us without a sync of its own"
    assert end - start >= 50_000, f"{what}: answered after {end - start} us, a sync takes 50 ms"
    print("ok durable before its answer:", what)


def refused(what, action):
    try:
        answer = action()
    except (smtplib.SMTPException, imaplib.IMAP4.error, poplib.error_proto, OSError) as e:
        answer = e
    else:
        assert answer[0] != "OK" and answer[0] not in (250, "250"), f"{what}: said yes after a failed sync: {answer}"
    print("ok refused after a failed sync:", what, str(answer)[:90])


def append(c, n):
    return c.append("INBOX", None, None, message(n))


def main():
    s = Server(directory=work + "/try", env={"LD_PRELOAD": SHIM, "SHIM_DELAY_MS": "50", "SHIM_LOG": LOG, "SHIM_FAIL": FAIL})
    os.mkdir(s.dir)
    s.start()
    durable("DATA", lambda: s.deliver(message(1)))
    durable("DATA over 64 KiB", lambda: s.deliver(message(2, 300_000)))
    smtp = smtplib.SMTP("localhost", s.ports["smtp"], timeout=60)
    smtp.ehlo("client.example.com")

    def bdat(n):
        data = message(n)
        smtp.mail("friend@example.com")
        smtp.rcpt(s.user)
        smtp.send(b"BDAT %d LAST\r\n" % len(data) + data)
        return smtp.getreply()

    durable("BDAT", lambda: bdat(3))
    c = s.imap()
    ok(c.select("INBOX"))
    durable("APPEND", lambda: ok(append(c, 4)))
    durable("STORE", lambda: ok(c.store("1", "+FLAGS", r"(\Flagged)")))
    durable("COPY", lambda: ok(c.copy("1", "Archive")))
    durable("MOVE", lambda: ok(c.uid("MOVE", "1", "Archive")))
    durable("STORE \\Deleted", lambda: ok(c.store("1", "+FLAGS", r"(\Deleted)")))
    durable("EXPUNGE", lambda: ok(c.expunge()))
    durable("CREATE", lambda: ok(c.create("New")))
    durable("RENAME", lambda: ok(c.rename("New", "Old")))
    durable("SUBSCRIBE", lambda: ok(c.subscribe("Old")))
    durable("DELETE", lambda: ok(c.delete("Old")))
    p = poplib.POP3_SSL("localhost", s.ports["pop3s"], context=s.tls(), timeout=60)
    p.user(s.user)
    p.pass_(s.password)
    p.dele(1)
    durable("POP3 QUIT", p.quit)
    before = {d for _, _, d in s.fetch_all()}
    assert before
    p = poplib.POP3_SSL("localhost", s.ports["pop3s"], context=s.tls(), timeout=60)
    p.user(s.user)
    p.pass_(s.password)
    p.dele(1)
    with open(FAIL, "w", encoding="ascii"):
        pass
    refused("STORE", lambda: c.store("1", "+FLAGS", r"(\Answered)"))
    refused("BDAT", lambda: bdat(5))
    refused("APPEND", lambda: append(c, 6))
    refused("POP3 QUIT", p.quit)
    os.unlink(FAIL)
    refused("APPEND, though the disk answers again", lambda: append(c, 7))
    s.kill()
    s.start()
    after = {d for _, _, d in s.fetch_all()}
    assert before <= after, "acknowledged mail is missing after the restart"
    durable("DATA after the restart", lambda: s.deliver(message(8)))
    s.stop()


main()
