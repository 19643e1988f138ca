"""backup_world.py — what the tests of backup and restore share: a system under load with a ledger, and IMAP views of it."""
import hashlib
import imaplib
import os
import re
import smtplib
import ssl
import threading
import time

from system import System

PASSWORD, PASSPHRASE = "very secret 1", "correct horse battery"
ANN, BOB = "ann@try.example", "bob@try.example"


def world(start=True):
    s = System()
    s.good("domain", "add", "try.example")
    for user in (ANN, BOB):
        s.good("user", "add", user, stdin=PASSWORD)
    return s.start() if start else s


def imap(system, user=ANN):
    context = ssl.create_default_context(cafile=os.path.join(system.data, "tls", "ca.pem"))
    c = imaplib.IMAP4_SSL("localhost", system.base + 993, ssl_context=context, timeout=60)
    c.login(user, PASSWORD)
    return c


def good(answer):
    assert answer[0] == "OK", answer
    return answer[1]


def mail(tag, size=2000):
    """A message that no other equals and that does not shrink."""
    filler = os.urandom(size // 2 + 1).hex()
    lines = "\r\n".join(filler[i:i + 70] for i in range(0, len(filler), 70))
    return (f"From: Friend <friend@example.com>\r\nTo: <{ANN}>\r\nSubject: {tag}\r\nMessage-ID: <{tag}@example.com>\r\n"
            f"\r\n{lines}\r\n").encode()


def deliver(system, message, to=ANN):
    with smtplib.SMTP("localhost", system.base + 25, timeout=60) as s:
        s.sendmail("friend@example.com", to, message)


def append(system, box, message, flags="", date='"02-Nov-2026 10:00:00 +0100"', user=ANN):
    c = imap(system, user)
    if box != "INBOX":
        c.create(box)
    good(c.append(box, f"({flags})", date, message))
    c.logout()


def boxes(system, user=ANN):
    c = imap(system, user)
    names = [x.decode().split(' "/" ')[1].strip('"') for x in good(c.list())]
    c.logout()
    return names


def fetch(system, box="INBOX", user=ANN, what="(UID FLAGS INTERNALDATE BODY.PEEK[])"):
    """{uid: (flags, date, sha of the octets, subject)}"""
    c = imap(system, user)
    good(c.select(f'"{box}"', readonly=True))
    out = {}
    for item in good(c.uid("FETCH", "1:*", what)):
        if not isinstance(item, tuple):
            continue
        head = item[0].decode()
        flags = frozenset(re.search(r"FLAGS \(([^)]*)\)", head).group(1).split()) - {"\\Recent"}
        subject = re.search(rb"Subject: ([^\r]*)", item[1])
        out[int(re.search(r"UID (\d+)", head).group(1))] = (
            flags, re.search(r'INTERNALDATE "([^"]*)"', head).group(1), hashlib.sha256(item[1]).hexdigest(),
            subject.group(1).decode() if subject else "")
    c.logout()
    return out


def everything(system, user=ANN):
    return {b: sorted(fetch(system, b, user).values(), key=str) for b in boxes(system, user)}


def backup(system, directory, *args):
    return system.good("backup", directory, *args, stdin=PASSPHRASE + "\n", timeout=300)


def restore(system, directory, to, *args, passphrase=PASSPHRASE):
    """A System on the restored directory, not started."""
    new = System()
    new.good("restore", directory, "--to", to or new.data, *args, stdin=passphrase + "\n", timeout=300)
    if to:
        new.data = to
    return new


class Load(threading.Thread):
    """Delivers over SMTP, and over IMAP appends and flags. The ledger: what → (begun, acknowledged)."""

    def __init__(self, system, name):
        super().__init__()
        self.system, self.name_of, self.ledger, self.ended = system, name, {}, threading.Event()
        self.failed = None

    def note(self, what, act):
        begun = time.monotonic()
        act()
        self.ledger[what] = (begun, time.monotonic())

    def run(self):
        try:
            smtp = smtplib.SMTP("localhost", self.system.base + 25, timeout=60)
            c = imap(self.system)
            good(c.select("INBOX"))
            n = 0
            while not self.ended.is_set():
                tag = f"{self.name_of}-{n}"
                self.note(tag, lambda: smtp.sendmail("friend@example.com", ANN, mail(tag, 6000)))
                if n % 3 == 0:
                    tag = f"{self.name_of}-{n}-appended"
                    self.note(tag, lambda: good(c.append("INBOX", "(\\Flagged)", None, mail(tag, 500))))
                n += 1
            smtp.quit()
            c.logout()
        except Exception as e:  # the test looks at it
            self.failed = e

    def stop(self):
        self.ended.set()
        self.join(60)
        assert self.failed is None, self.failed
        return self.ledger
