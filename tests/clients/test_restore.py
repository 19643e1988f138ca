#!/usr/bin/env python3
"""After a whole restore, clients that saw mail newer than the backup agree with the server (P3): mbsync, and one that keeps a
cache by UIDVALIDITY, UID and MODSEQ, with QRESYNC where the server has it (RFC 4549, RFC 7162)."""
import email
import hashlib
import os
import re
import shutil
import subprocess

from backup_world import ANN, PASSWORD, append, backup, boxes, deliver, fetch, good, imap, mail, restore, world
from harness import need
from system import run_tests


def prepare(s):
    """What the backup holds."""
    for n in range(25):
        deliver(s, mail(f"old-{n}"))
    for n in range(4):
        append(s, "Work", mail(f"work-{n}"), "\\Seen")
    append(s, "Gone/Deep", mail("deep"))


def go_on(s):
    """What happens behind it, and is lost: mail, flags, mailboxes made and deleted."""
    for n in range(5):
        deliver(s, mail(f"lost-{n}"))
    append(s, "Work", mail("work-lost"), "\\Flagged")
    append(s, "Later", mail("later"))
    c = imap(s)
    good(c.select("INBOX"))
    good(c.store("1:3", "+FLAGS", "(\\Answered)"))
    good(c.store("5", "+FLAGS", "(\\Deleted)"))
    good(c.expunge())
    good(c.delete("Gone/Deep"))
    c.logout()


def live_on(s):
    """The restored system's own life: the same UIDs are used again, for other mail."""
    for n in range(5):
        deliver(s, mail(f"new-{n}"))
    append(s, "Later", mail("another later"), "\\Draft")
    c = imap(s)
    good(c.select("Work"))
    good(c.store("2", "+FLAGS", "(\\Flagged)"))
    c.logout()


class Cache:
    """A disconnected client: per mailbox UIDVALIDITY, HIGHESTMODSEQ, and each UID's flags and content."""

    def __init__(self):
        self.box = {}

    def sync(self, s):
        c = imap(s)
        names = boxes(s)
        qresync = "QRESYNC" in c.capabilities
        if qresync:
            good(c.enable("QRESYNC"))
        for gone in set(self.box) - set(names):
            del self.box[gone]
        for name in names:
            if self.selectable(c, name):
                self.sync_box(c, name, qresync)
        c.logout()
        return qresync

    @staticmethod
    def selectable(c, name):
        return not any(b"\\Noselect" in x for x in good(c.list('""', f'"{name}"')) if x)

    @staticmethod
    def code(c, name):
        """A number of a response code of SELECT."""
        v = c.untagged_responses.get(name)
        return int(v[-1]) if v and v[-1] else None

    def sync_box(self, c, name, qresync):
        old = self.box.get(name)
        c.untagged_responses = {}
        if qresync and old and old["modseq"]:
            tag = c._new_tag()
            c.send(tag + f' SELECT "{name}" (QRESYNC ({old["uidvalidity"]} {old["modseq"]}))\r\n'.encode())
            c.tagged_commands[tag] = None
            good(c._command_complete("SELECT", tag))
            c.state = "SELECTED"
        else:
            good(c.select(f'"{name}"', readonly=True))
        told = dict(c.untagged_responses)
        uidvalidity, modseq = self.code(c, "UIDVALIDITY"), self.code(c, "HIGHESTMODSEQ")
        if not old or old["uidvalidity"] != uidvalidity:
            old = {"mail": {}}  # RFC 3501 2.3.1.1: all that was known of it is void
        known = old["mail"]
        if qresync and known:
            for line in told.get("VANISHED", []):
                for part in line.decode().split()[-1].split(","):
                    a, _, b = part.partition(":")
                    for uid in range(int(a), int(b or a) + 1):
                        known.pop(uid, None)
            self.take_flags(known, told.get("FETCH", []))
        else:
            there = self.flags(c, "1:*")
            for uid in set(known) - set(there):
                del known[uid]
            for uid in set(known) & set(there):
                known[uid] = (there[uid], known[uid][1])
        first = max(known, default=0) + 1
        for uid, flags in self.flags(c, f"{first}:*").items():
            if uid >= first:
                body = good(c.uid("FETCH", str(uid), "(BODY.PEEK[])"))[0][1]
                known[uid] = (flags, hashlib.sha256(body).hexdigest())
        self.box[name] = {"uidvalidity": uidvalidity, "modseq": modseq, "mail": known}

    @staticmethod
    def take_flags(known, lines):
        for line in lines:
            text = (line[0] if isinstance(line, tuple) else line).decode()
            uid = int(re.search(r"UID (\d+)", text).group(1))
            flags = frozenset(re.search(r"FLAGS \(([^)]*)\)", text).group(1).split()) - {"\\Recent"}
            if uid in known:
                known[uid] = (flags, known[uid][1])

    @staticmethod
    def flags(c, uids):
        out = {}
        for line in good(c.uid("FETCH", uids, "(UID FLAGS)")):
            if line:
                text = line.decode()
                flags = frozenset(re.search(r"FLAGS \(([^)]*)\)", text).group(1).split()) - {"\\Recent"}
                out[int(re.search(r"UID (\d+)", text).group(1))] = flags
        return out

    def state(self):
        return {name: dict(b["mail"]) for name, b in self.box.items()}


def server_state(s):
    c = imap(s)
    names = [n for n in boxes(s) if Cache.selectable(c, n)]
    c.logout()
    return {n: {uid: (x[0], x[2]) for uid, x in fetch(s, n).items()} for n in names}


def test_cache():
    """a client with a cache by UIDVALIDITY and UID ends with exactly the server's state, twice restored"""
    with world() as s:
        b = os.path.join(s.top, "backups")
        client = Cache()
        prepare(s)
        client.sync(s)
        assert client.state() == server_state(s)
        backup(s, b)
        go_on(s)
        qresync = client.sync(s)
        assert client.state() == server_state(s)
        print("the client synchronises", "with QRESYNC" if qresync else "by UIDs: the server has no QRESYNC", flush=True)
        assert s.stop() == 0
        for turn in range(2):
            before = {n: x["uidvalidity"] for n, x in client.box.items()}
            with restore(s, b, None) as r:
                r.start()
                if turn == 1:
                    live_on(r)  # before the client comes
                client.sync(r)
                assert client.state() == server_state(r)
                after = {n: x["uidvalidity"] for n, x in client.box.items()}
                assert all(after[n] > before[n] for n in before if n in after), (before, after)
                if turn == 0:
                    live_on(r)  # behind its back, and more than it has seen before
                    client.sync(r)
                    assert client.state() == server_state(r)
                assert r.stop() == 0


class Mirror:
    """mbsync into a Maildir, one way: what the server says."""

    def __init__(self, s, name="mirror"):
        need("mbsync")
        self.dir = os.path.join(s.top, name)
        os.makedirs(os.path.join(self.dir, "mail"))

    def sync(self, s):
        """(exit code, what it said)"""
        conf = os.path.join(self.dir, "mbsyncrc")
        with open(conf, "w", encoding="ascii") as f:
            f.write(f"""IMAPAccount a
Host localhost
Port {s.base + 993}
User {ANN}
Pass "{PASSWORD}"
SSLType IMAPS
CertificateFile {os.path.join(s.data, "tls", "ca.pem")}

IMAPStore far
Account a

MaildirStore near
Path {self.dir}/mail/
Inbox {self.dir}/mail/INBOX
SubFolders Verbatim

Channel c
Far :far:
Near :near:
Patterns *
Create Near
Remove Near
Expunge Near
Sync Pull
SyncState *
""")
        p = subprocess.run(["mbsync", "-c", conf, "-a"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                           check=False)
        return p.returncode, p.stdout.decode()

    def subjects(self, box):
        out = []
        for sub in ("cur", "new"):
            d = os.path.join(self.dir, "mail", box, sub)
            for name in os.listdir(d) if os.path.isdir(d) else []:
                with open(os.path.join(d, name), "rb") as f:
                    out.append(email.message_from_binary_file(f)["Subject"])
        return sorted(out)

    def agrees(self, s, but=()):
        for box in boxes(s):
            there = sorted(x[3] for x in fetch(s, box).values() if x[3] not in but) if box != "Gone" else []
            assert self.subjects(box) == there, (box, self.subjects(box), there)


def test_mbsync():
    """mbsync, whose Maildir saw mail newer than the backup, mirrors the restored server"""
    with world() as s:
        b = os.path.join(s.top, "backups")
        mirror = Mirror(s)
        prepare(s)
        rc, out = mirror.sync(s)
        assert rc == 0, out
        backup(s, b)
        go_on(s)
        rc, out = mirror.sync(s)
        assert rc == 0, out
        mirror.agrees(s)
        assert s.stop() == 0
        with restore(s, b, None) as r:
            r.start()
            # The UIDVALIDITY is another one: mbsync compares Message-IDs under the UIDs it knows, finds them all right, and
            # goes on. Mail that is not there any more goes from the mirror. One thing it does not look for: mail that it
            # saw expunged, and that the restore has brought back under its old UID; a mirror made anew has that too.
            rc, out = mirror.sync(r)
            assert rc == 0 and "Recovered from change of UIDVALIDITY" in out and "Error" not in out, (rc, out)
            mirror.agrees(r, but=["old-4"])
            live_on(r)
            # "Later" was lost and is made again: another mailbox of the same name. mbsync says so and touches nothing, the
            # owner of the mirror decides.
            rc, out = mirror.sync(r)
            assert rc == 1 and re.findall(r"Error: .* box (\S+): UIDVALIDITY genuinely changed", out) == ["Later"], (rc, out)
            assert mirror.subjects("Later") == ["later"]
            shutil.rmtree(os.path.join(mirror.dir, "mail", "Later"))
            anew = Mirror(r, "anew")
            for m, but in ((mirror, ["old-4"]), (anew, [])):
                rc, out = m.sync(r)
                assert rc == 0, (rc, out)
                m.agrees(r, but)
            assert r.stop() == 0


run_tests(globals())
