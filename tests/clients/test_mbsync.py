#!/usr/bin/env python3
"""mbsync mirrors an account into a Maildir both ways; a second mirror converges after changes on both sides."""
import os
import shutil
import tempfile

from harness import digest, main, message, need, ok, run, without_trace


class Mirror:
    def __init__(self, server, name):
        need("mbsync")
        self.dir = tempfile.mkdtemp(prefix=f"mirror-{name}-")
        self.conf = os.path.join(self.dir, "mbsyncrc")
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(f"""IMAPAccount a
Host localhost
Port {server.ports['imaps']}
User {server.user}
Pass {server.password}
SSLType IMAPS
CertificateFile {server.ca}

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
Create Both
Remove Both
Expunge Both
SyncState *
""")
        os.mkdir(os.path.join(self.dir, "mail"))

    def sync(self):
        run("mbsync", "-c", self.conf, "-a")

    def files(self, box="INBOX"):
        out = []
        for sub in ("cur", "new"):
            d = os.path.join(self.dir, "mail", box, sub)
            out += [os.path.join(d, f) for f in os.listdir(d)]
        return sorted(out)

    def contents(self, box="INBOX"):
        """{(sha of the message without mbsync's own header, flags)}"""
        out = []
        for path in self.files(box):
            with open(path, "rb") as f:
                data = f.read()
            flags = path.split(":2,")[1] if ":2," in path else ""
            lines = [x for x in data.split(b"\n") if not x.startswith(b"X-TUID:")]
            out.append((digest(b"\n".join(lines)), "".join(sorted(flags))))
        return sorted(out)

    def boxes(self):
        return sorted(d for d in os.listdir(os.path.join(self.dir, "mail")) if not d.startswith("."))

    def find(self, text, box="INBOX"):
        for path in self.files(box):
            with open(path, "rb") as f:
                if text.encode() in f.read():
                    return path
        raise AssertionError(f"{text!r} is not in {box}")


mirrors = []


def test_download(server):
    """mbsync downloads an account; every file is the message"""
    for n in range(20):
        server.deliver(message(n))
    a = Mirror(server, "a")
    mirrors.append(a)
    a.sync()
    assert len(a.files()) == 21, a.files()
    assert {"Drafts", "Sent", "Junk", "Trash", "Archive"} <= set(a.boxes()), a.boxes()
    for n in range(20):
        with open(a.find(f"Subject: message {n}\n"), "rb") as f:
            lines = [x for x in f.read().split(b"\n") if not x.startswith(b"X-TUID:")]
        assert digest(without_trace(b"\r\n".join(lines))) == digest(message(n))


def flag(path, flags):
    """Sets Maildir flags of a file, moving it to cur."""
    base = os.path.basename(path).split(":2,")[0]
    target = os.path.join(os.path.dirname(os.path.dirname(path)), "cur", base + ":2," + flags)
    os.rename(path, target)


def test_two_mirrors(server):
    """two mirrors and IMAP converge after flags, deletions, moves and new mail on all sides"""
    a = mirrors[0]
    b = Mirror(server, "b")
    b.sync()
    assert a.contents() == b.contents()
    # near side of a: flags, a deletion, a new message, a move
    flag(a.find("Subject: message 0\n"), "FS")
    flag(a.find("Subject: message 1\n"), "RS")
    os.unlink(a.find("Subject: message 2\n"))
    shutil.move(a.find("Subject: message 3\n"), os.path.join(a.dir, "mail", "Archive", "new", "moved.1"))
    with open(os.path.join(a.dir, "mail", "Drafts", "new", "draft.1"), "wb") as f:
        f.write(message(100).replace(b"\r\n", b"\n"))
    # the server's side: flags, a deletion, a move, a new mailbox
    c = server.imap()
    ok(c.select("INBOX"))
    for n, flags in ((4, r"\Seen"), (5, r"\Flagged")):
        uid = ok(c.uid("SEARCH", "SUBJECT", f'"message {n}"'))[0].split()[0].decode()
        ok(c.uid("STORE", uid, "+FLAGS", f"({flags})"))
    uid = ok(c.uid("SEARCH", "SUBJECT", '"message 6"'))[0].split()[0].decode()
    ok(c.uid("STORE", uid, "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    ok(c.create("Projects/2026"))
    uid = ok(c.uid("SEARCH", "SUBJECT", '"message 7"'))[0].split()[0].decode()
    ok(c.uid("MOVE", uid, "Projects/2026"))
    c.logout()
    # near side of b
    flag(b.find("Subject: message 8\n"), "S")
    os.unlink(b.find("Subject: message 9\n"))
    for m in (a, b, a, b):
        m.sync()
    for box in a.boxes():
        if os.path.isdir(os.path.join(a.dir, "mail", box, "cur")):
            assert a.contents(box) == b.contents(box), box
    assert a.boxes() == b.boxes()
    left = {n for n in range(20)} - {2, 3, 6, 7, 9}
    assert len(a.files()) == len(left) + 1, len(a.files())
    assert a.find("Subject: message 3\n", "Archive") and a.find("Subject: message 7\n", "Projects/2026")
    assert a.find("Subject: message 100\n", "Drafts")
    flags = {int(d.split(b"Subject: message ")[1].split(b"\r")[0]): set(f) for _, f, d in server.fetch_all()
             if b"Subject: message " in d}
    assert r"\Flagged" in flags[0] and r"\Seen" in flags[0], flags[0]
    assert r"\Answered" in flags[1] and r"\Seen" in flags[4] and r"\Flagged" in flags[5] and r"\Seen" in flags[8]
    # nothing is left to do: a further round changes nothing
    before = a.contents()
    a.sync()
    b.sync()
    assert a.contents() == before == b.contents()


def clean(_server):
    """the mirrors are removed"""
    for m in mirrors:
        shutil.rmtree(m.dir)


main(test_download, test_two_mirrors, clean)
