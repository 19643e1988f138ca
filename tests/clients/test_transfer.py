#!/usr/bin/env python3
"""facteur export and import: Maildir and mbox there and back, with the server and without, interrupted, hostile, full.

test_transfer.py --large [N]: the round trip of N messages of 10 KB (100,000), its rates, and the peak memory of the
command and of the server, as JSON."""
import hashlib
import imaplib
import json
import mailbox
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import time

from harness import ok, wait_for
from system import DATAERR, NOINPUT, NOUSER, OK, TEMPFAIL, USAGE, System, run_tests

ANN, BOB = "ann@a.example", "bob@a.example"
FOLDERS = ("", ".Sent", ".Work.2026", ".&AOk-t&AOk-.v1%2e2", ".INBOX.Sub")


class Mail(System):
    """A store with two accounts, and room for files beside it."""

    def __enter__(self):
        self.good("domain", "add", "a.example")
        for who in (ANN, BOB):
            self.good("user", "add", who, "--password", "secret")
        return self

    def path(self, name):
        return os.path.join(self.top, name)

    def boxes(self, who):
        return {b["mailbox"]: b for b in self.good("mailbox", "list", who)}

    def hears(self, *args, says, code=OK):
        rc, out, err = self.run(*args)
        assert rc == code and says in out + err, (args, rc, out, err)
        return out + err


POOL = "".join(random.Random(7).choices("abcdefghij klmnop", k=200000))


def text(i, r, size=900):
    lines = [f"From: Friend <f{i}@example.com>", f"Subject: message {i}", f"Message-ID: <{i}.{r.getrandbits(40)}@x>", "",
             "From the start", ">From quoted", ">>From twice", ".", "", "é à ü — ligne"]
    at = r.randrange(len(POOL) - size - 200)
    end = at + size
    while at < end:
        k = r.randrange(0, 76)
        lines.append(POOL[at:at + k].rstrip())
        at += k + 1
    out = "\n".join(lines) + "\n"
    return (out.rstrip("\n") if i % 17 == 3 else out + "\n" * (i % 3)).encode()


def make_maildir(top, n, seed=1, size=900, folders=FOLDERS, uidlist=True):
    """A Maildir++ as Dovecot writes it: flags, keywords, dates, UIDs with gaps, some unseen mail in new/."""
    r = random.Random(seed)
    for k, folder in enumerate(folders):
        d = os.path.join(top, folder)
        for sub in ("cur", "new", "tmp"):
            os.makedirs(os.path.join(d, sub), exist_ok=True)
        with open(os.path.join(d, "dovecot-keywords"), "w") as f:
            f.write("0 $Forwarded\n1 work\n2 NonJunk\n")
        lines = [f"3 V{1600000000 + k} N{3 * n + 10} G3085f01b7f11094c501100008c4a11c1"]
        for i in range(n):
            base = f"{1500000000 + i}.M{i}P7.host"
            fresh = i % 29 == 0
            flags = "".join(sorted(r.sample("DFRST", r.randrange(4)))) + "".join(sorted(r.sample("abc", r.randrange(3))))
            p = os.path.join(d, "new" if fresh else "cur", base + ("" if fresh else ":2," + flags))
            with open(p, "wb") as f:
                f.write(text(i, r, size))
            os.utime(p, (1, 1400000000 + 61 * i + k))
            lines.append(f"{3 * i + 2} :{base}")
        if uidlist:
            with open(os.path.join(d, "dovecot-uidlist"), "w") as f:
                f.write("\n".join(lines) + "\n")
    with open(os.path.join(top, "subscriptions"), "w") as f:
        f.write("Sent\nWork.2026\n")


def maildir_files(d):
    for sub in ("cur", "new"):
        with os.scandir(os.path.join(d, sub)) as it:
            for x in it:
                yield x


def maildir(d):
    """[(date, octets' hash, flags with keywords by name)] of one folder, sorted."""
    words = {}
    if os.path.exists(os.path.join(d, "dovecot-keywords")):
        for line in open(os.path.join(d, "dovecot-keywords"), encoding="utf-8"):
            number, word = line.split()
            words[chr(97 + int(number))] = word
    out = []
    for x in maildir_files(d):
        info = x.name.split(":2,")[1] if ":2," in x.name else ""
        with open(x.path, "rb") as f:
            octets = hashlib.sha256(f.read()).digest()
        out.append((int(x.stat().st_mtime), octets, tuple(sorted(words.get(c, c) for c in info))))
    return sorted(out)


def uidlist(d):
    """{uid: date of the file}, and the UIDVALIDITY."""
    with open(os.path.join(d, "dovecot-uidlist"), encoding="utf-8") as f:
        head = f.readline().split()
        base = {line.split(" :")[1].rstrip("\n"): int(line.split()[0]) for line in f}
    return head[1], {base[x.name.split(":")[0]]: int(x.stat().st_mtime) for x in maildir_files(d)}


def there_and_back(s):
    src, out, back = s.path("src"), s.path("out"), s.path("back")
    make_maildir(src, 150)
    r = s.good("import", ANN, "--from", src, "--keep-uids")
    assert r["ok"] and r["imported"] == 150 * len(FOLDERS) and r["refused"] == [], r
    assert [b["mailbox"] for b in r["mailboxes"]] == ["INBOX", "INBOX/Sub", "Sent", "Work/2026", "été/v1.2"], r
    boxes = s.boxes(ANN)
    assert boxes["Sent"]["uidvalidity"] == 1600000001 and boxes["Sent"]["uidnext"] == 460
    assert boxes["Work/2026"]["subscribed"] and not boxes["été/v1.2"]["subscribed"]
    r = s.good("export", ANN, "--to", out)
    assert r["ok"] and r["written"] == 150 * len(FOLDERS), r
    for f in FOLDERS:
        assert maildir(os.path.join(src, f)) == maildir(os.path.join(out, f)), f
        assert uidlist(os.path.join(src, f)) == uidlist(os.path.join(out, f)), f
    again = s.good("export", ANN, "--to", out)
    assert again["ok"] and again["written"] == 0 and all(b["written"] == 0 for b in again["mailboxes"]), again
    again = s.good("import", ANN, "--from", src)
    assert again["ok"] and again["imported"] == 0 and again["present"] == 750, again
    assert s.good("import", BOB, "--from", out)["imported"] == 750
    assert s.good("export", BOB, "--to", back, "--mailbox", "Work/2026")["ok"]
    assert os.listdir(back) and maildir(os.path.join(back, ".Work.2026")) == maildir(os.path.join(src, ".Work.2026"))
    assert not os.path.exists(os.path.join(back, ".Sent"))


def test_maildir_without_server():
    """Maildir to store to Maildir: octets, flags, keywords, dates, UIDs; again: nothing twice (no server)"""
    with Mail() as s:
        there_and_back(s)


def test_maildir_with_server():
    """the same through a running server"""
    with Mail() as s:
        s.start()
        there_and_back(s)
        assert s.stop() == 0


def test_mbox():
    """mboxrd: what is exported comes back octet for octet; python's mailbox reads it; many accounts in one go"""
    with Mail() as s:
        src, boxes, out = s.path("src"), s.path("boxes"), s.path("out")
        make_maildir(src, 120)
        s.good("import", ANN, "--from", src)
        r = s.good("export", "a.example", "--format", "mbox", "--to", boxes)
        assert r["ok"] and r["written"] == 600, r
        m = mailbox.mbox(os.path.join(boxes, ANN, "Work", "2026.mbox"))
        assert len(m) == 120
        subjects = {m[k]["Subject"] for k in m.keys()}
        assert subjects == {f"message {i}" for i in range(120)}
        flags = sum("R" in m[k].get_flags() for k in m.keys())
        assert flags == sum("S" in f for _, _, f in maildir(os.path.join(src, ".Work.2026")))
        again = s.good("export", "a.example", "--format", "mbox", "--to", boxes)
        assert again["ok"] and all(b["written"] == 0 for b in again["mailboxes"])
        assert s.good("import", BOB, "--from", os.path.join(boxes, ANN))["imported"] == 600
        assert s.good("import", BOB, "--from", os.path.join(boxes, ANN))["present"] == 600
        s.good("export", BOB, "--to", out)
        for f in FOLDERS:
            assert maildir(os.path.join(src, f)) == maildir(os.path.join(out, f)), f
        one = s.good("import", BOB, "--from", os.path.join(boxes, ANN, "INBOX.mbox"), "--mailbox", "Old mail")
        assert one["mailboxes"][0]["mailbox"] == "Old mail" and one["imported"] == 120


def test_mboxes_of_others():
    """mboxes as python, Thunderbird and old programs leave them"""
    with Mail() as s:
        top = s.path("tb")
        os.makedirs(os.path.join(top, "Inbox.sbd"))
        m = mailbox.mbox(os.path.join(top, "Inbox"))
        for i in range(5):
            one = mailbox.mboxMessage(f"Subject: {i}\n\nFrom me\nbody\n")
            one.set_from("x@y", time.gmtime(1500000000 + i))
            one.set_flags("RF" if i % 2 else "")
            m.add(one)
        m.close()
        with open(os.path.join(top, "Inbox.sbd", "Old"), "wb") as f:
            f.write(b"From - Mon Jan  1 00:00:00 2001\r\nSubject: crlf\r\n\r\nbody\r\n\r\n")
        with open(os.path.join(top, "Inbox.msf"), "wb") as f:
            f.write(b"index")
        with open(os.path.join(top, "nothing"), "wb") as f:
            f.write(b"\x00\x01 not an mbox\n")
        rc, out, _ = s.run("--json", "import", ANN, "--from", top)
        r = json.loads(out)
        assert rc == DATAERR and r["imported"] == 6 and [x["name"] for x in r["refused"]] == ["nothing"], (rc, r)
        assert "nothing" not in s.boxes(ANN), "what is no mbox must not make a mailbox"
        s.start()
        c = imaplib.IMAP4("localhost", s.base + 143)
        ok(c.starttls(ssl_context=untrusting()))
        ok(c.login(ANN, "secret"))
        ok(c.select("INBOX"))
        data = ok(c.fetch("2", "(FLAGS INTERNALDATE BODY.PEEK[])"))[0]
        assert b"\\Seen" in data[0] and b"\\Flagged" in data[0] and b"14-Jul-2017 02:40:01 +0000" in data[0], data
        assert data[1] == b"Subject: 1\r\n\r\nFrom me\r\nbody\r\n", data
        ok(c.select("INBOX/Old" if "INBOX/Old" in s.boxes(ANN) else "Inbox/Old"))
        assert ok(c.fetch("1", "BODY.PEEK[]"))[0][1] == b"Subject: crlf\r\n\r\nbody\r\n"
        c.logout()


def untrusting():
    import ssl
    c = ssl.create_default_context()
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


def test_python_reads_our_maildir():
    """python's mailbox module reads what export wrote; what it adds comes in with the next import"""
    with Mail() as s:
        src, out = s.path("src"), s.path("out")
        make_maildir(src, 40, folders=("", ".Sent"))
        s.good("import", ANN, "--from", src)
        s.good("export", ANN, "--to", out)
        m = mailbox.Maildir(out, create=False)
        assert len(m) == 40 and "Sent" in m.list_folders()
        assert {x["Subject"] for x in m} == {f"message {i}" for i in range(40)}
        seen = sum("S" in x.get_flags() for x in m)
        assert seen == sum("S" in f for _, _, f in maildir(src))
        m.add("Subject: by python\n\nnew\n")
        r = s.good("import", ANN, "--from", out)
        assert r["imported"] == 1 and r["present"] == 80, r
        assert s.good("export", ANN, "--to", out)["ok"]


def test_hostile_maildir():
    """links, devices, directories, empty files and odd names: told by name, never followed, the rest comes in"""
    with Mail() as s:
        src, secret = s.path("src"), s.path("secret")
        make_maildir(src, 10, folders=("", ".Sent"))
        with open(secret, "w") as f:
            f.write("Subject: secret\n\nnot yours\n")
        os.symlink(secret, os.path.join(src, "cur", "1.link:2,S"))
        os.symlink("/etc", os.path.join(src, ".Etc"))
        os.makedirs(os.path.join(src, ".Linked"))
        os.symlink(os.path.join(src, "cur"), os.path.join(src, ".Linked", "cur"))
        os.mkfifo(os.path.join(src, "cur", "2.fifo:2,"))
        os.mkdir(os.path.join(src, "cur", "3.directory"))
        open(os.path.join(src, "cur", "4.empty:2,"), "w").close()
        with open(os.path.join(src, "cur", b"5.\x1b[31m\xff\n:2,S".decode("utf-8", "surrogateescape")), "wb") as f:
            f.write(b"Subject: odd name\n\n" + b"\x00" * 100 + b"x" * 2000000 + b"\n")
        with open(os.path.join(src, "cur", "6.no-header:2,"), "wb") as f:
            f.write(b"\n\n\n")
        os.makedirs(os.path.join(src, "..", "src", ".a..b", "cur"))
        with open(os.path.join(src, ".Sent", "dovecot-uidlist"), "wb") as f:
            f.write(b"3 V1 N\xff\n" + b"\x00" * 5000)
        with open(os.path.join(src, ".Sent", "dovecot-keywords"), "wb") as f:
            f.write(b"0 bad(word\n1 \n99 x\n2 good\n")
        rc, out, err = s.run("--json", "import", ANN, "--from", src)
        r = json.loads(out)
        assert rc == DATAERR and err == "", (rc, err)
        assert sorted(x["name"] for x in r["refused"]) == [".a..b", "1.link:2,S", "2.fifo:2,", "3.directory", "4.empty:2,"], r
        assert r["imported"] == 22, r
        assert "Etc" not in s.boxes(ANN) and s.boxes(ANN).get("Linked", {"messages": 0})["messages"] == 0
        rc, out, _ = s.run("import", BOB, "--from", src)
        assert rc == DATAERR and "\x1b" not in out and "1.link" in out and "not a regular file" in out, out
        s.hears("import", ANN, "--from", secret + ".not", says="No such file", code=NOINPUT)
        s.hears("import", ANN, "--from", secret, "--mailbox", "x", says="not an mbox", code=DATAERR)
        s.hears("import", ANN, "--from", secret, "--format", "maildir", says="no Maildir", code=NOINPUT)


def test_usage():
    """wrong words are told with the nearest name; who does not exist is told; a dry run changes nothing"""
    with Mail() as s:
        src = s.path("src")
        make_maildir(src, 10)
        s.hears("export", ANN, says="--to", code=USAGE)
        s.hears("import", ANN, says="--from", code=USAGE)
        s.hears("export", ANN, "--too", "x", says="did you mean --to?", code=USAGE)
        s.hears("import", ANN, "--keep-uid", "--from", src, says="did you mean --keep-uids?", code=USAGE)
        s.hears("export", ANN, "--to", "x", "--format", "zip", says="maildir or mbox", code=USAGE)
        s.hears("export", "nobody@a.example", "--to", s.path("x"), says="nobody@a.example", code=NOUSER)
        s.hears("export", "nowhere.example", "--to", s.path("x"), says="nowhere.example", code=NOUSER)
        s.hears("export", ANN, "--to", s.path("x"), "--mailbox", "Nope", says="mailbox", code=NOUSER)
        s.hears("import", "nobody@a.example", "--from", src, says="nobody", code=NOUSER)
        s.hears("export", "--help", says="--format maildir|mbox")
        r = s.good("import", ANN, "--from", src, "--dry-run")
        assert r["dry_run"] and r["imported"] == 0 and sum(b["found"] for b in r["mailboxes"]) == 50, r
        assert all(b["messages"] == 0 for b in s.boxes(ANN).values())
        s.good("import", ANN, "--from", src)
        rc, out, _ = s.run("--json", "import", ANN, "--from", src, "--keep-uids")
        assert rc == DATAERR and "has held messages" in out, out


def killed(s, args, when):
    """Starts the command, waits for `when`, kills it."""
    p = subprocess.Popen([s.program, "--data", s.data, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not when() and p.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    p.send_signal(signal.SIGKILL)
    return p.wait() == -signal.SIGKILL


def interrupted(s):
    src, out = s.path("src"), s.path("out")
    make_maildir(src, 3000, folders=("", ".Sent"), size=300)
    online = s.process is not None
    cuts = 0
    for share in (0.2, 0.5, 0.8):
        def enough():
            if not online:
                return time.monotonic() > start + share * 0.8
            return sum(b["messages"] for b in s.boxes(ANN).values()) >= share * 6000
        start = time.monotonic()
        cuts += killed(s, ["import", ANN, "--from", src, "--keep-uids"], enough)
    rc, text_out, err = s.run("--json", "import", ANN, "--from", src, "--keep-uids")
    assert rc == OK, (rc, text_out[-2000:], err)
    assert s.boxes(ANN)["INBOX"]["messages"] == s.boxes(ANN)["Sent"]["messages"] == 3000
    for share in (0.1, 0.5, 0.9):
        def written():
            n = 0
            for d in ("", ".Sent"):
                for sub in ("cur", "tmp"):
                    p = os.path.join(out, d, sub)
                    n += len(os.listdir(p)) if os.path.isdir(p) else 0
            return n >= share * 6000
        cuts += killed(s, ["export", ANN, "--to", out], written)
    r = s.good("export", ANN, "--to", out)
    assert r["ok"], r
    for f in ("", ".Sent"):
        assert maildir(os.path.join(src, f)) == maildir(os.path.join(out, f)), f
        assert uidlist(os.path.join(src, f)) == uidlist(os.path.join(out, f)), f
        assert os.listdir(os.path.join(out, f, "tmp")) == []
    boxes = s.path("boxes")
    for share in (0.3, 0.7):
        def grown():
            p = os.path.join(boxes, "Sent.mbox")
            return os.path.exists(p) and os.path.getsize(p) >= share * 1000000
        cuts += killed(s, ["export", ANN, "--format", "mbox", "--to", boxes], grown)
    assert s.good("export", ANN, "--format", "mbox", "--to", boxes)["ok"]
    assert s.good("import", BOB, "--from", boxes)["imported"] == 6000
    assert cuts >= 4, f"only {cuts} of 8 commands were killed before they were done"


def test_killed_without_server():
    """kill -9 in the middle, and again: nothing twice, nothing missing (no server)"""
    with Mail() as s:
        interrupted(s)


def test_killed_with_server():
    """kill -9 of the command beside a server, which goes on"""
    with Mail() as s:
        s.start()
        interrupted(s)
        assert s.stop() == 0


def test_server_stops():
    """a server that stops ends the stream in good order; the next run goes on"""
    with Mail() as s:
        src = s.path("src")
        make_maildir(src, 4000, folders=("",), size=2000)
        s.start()
        p = subprocess.Popen([s.program, "--data", s.data, "import", ANN, "--from", src], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        wait_for("some is imported", lambda: p.poll() is not None or s.boxes(ANN)["INBOX"]["messages"] > 200)
        assert s.stop() == 0
        out, err = p.communicate(timeout=60)
        assert p.returncode == TEMPFAIL and b"run the same command again" in err, (p.returncode, out, err)
        r = s.good("import", ANN, "--from", src)
        assert r["ok"] and r["imported"] + r["present"] == 4000 and r["present"] > 200, r


def test_streams_do_not_block_who():
    """streams that say nothing leave room for who; a seventh is told so; what is no frame ends its stream alone"""
    with Mail() as s:
        s.start()
        held = []

        def stream():
            c = socket.socket(socket.AF_UNIX)
            c.settimeout(20)
            c.connect(os.path.join(s.data, "control.sock"))
            c.sendall(json.dumps({"noun": "import", "verb": "", "args": [ANN], "options": {}}).encode() + b"\n")
            held.append(c)
            return heard(c, b"\n")

        def heard(c, until):
            """What comes until this is in it, or the other side hangs up."""
            got = b""
            while until not in got and (more := c.recv(4096)):
                got += more
            return got

        for _ in range(6):
            assert b'"stream":true' in stream()
        assert b'"busy"' in stream()
        assert s.good("who") == []
        held[0].sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b'"corrupt"' in heard(held[0], b'"corrupt"')
        held[1].sendall(struct.pack(">IB", 5, ord("D")) + b"hello")
        assert b'"syntax"' in heard(held[1], b'"syntax"')
        held[2].close()
        wait_for("room again", lambda: b'"stream":true' in stream())
        assert s.good("who") == []
        assert s.stop() == 0
        for c in held:
            c.close()


def test_damaged_body():
    """a message that cannot be read is told by its UID; the rest comes out, and the exit code says so"""
    with Mail() as s:
        src, out = s.path("src"), s.path("out")
        make_maildir(src, 60, folders=("",), size=3000)
        s.good("import", ANN, "--from", src)
        hit = damage(s)
        for kind in ("maildir", "mbox"):
            rc, text_out, err = s.run("--json", "export", ANN, "--format", kind, "--to", out + kind)
            r = json.loads(text_out)
            assert rc == DATAERR and not r["ok"], (rc, r, err)
            assert 1 <= len(r["refused"]) <= 3 and all(x["uid"] > 0 for x in r["refused"]), (hit, r)
            assert r["mailboxes"][0]["messages"] == 60 - len(r["refused"]), r
        whole = maildir(src)
        assert all(x in whole for x in maildir(out + "maildir"))


def damage(s):
    """Flips octets in the middle of the log of bodies."""
    top = os.path.join(s.data, "store")
    found = [os.path.join(d, f) for d, _, names in os.walk(top) for f in names if f.endswith(".seg")]
    path = max(found, key=lambda p: os.stat(p).st_blocks)
    with open(path, "r+b") as f:
        data = f.read()
        at = data.rfind(b"Subject: message 30")
        assert at > 0, "the bodies are not where they were"
        f.seek(at)
        f.write(b"Subject: m\xffssage 30")
    return at


def test_delivered_mail():
    """mail that came by SMTP goes out with its trace lines, and is known again when it comes back"""
    with Mail() as s:
        s.start()
        import smtplib
        with smtplib.SMTP("localhost", s.base + 25) as c:
            for i in range(5):
                c.sendmail("x@y.example", [ANN], f"Subject: d{i}\r\n\r\nbody {i}\r\n")
        out = s.path("out")
        assert s.good("export", ANN, "--to", out)["ok"]
        assert s.good("export", ANN, "--format", "mbox", "--to", out + "b")["ok"]
        with open(os.path.join(out + "b", "INBOX.mbox"), "rb") as f:
            assert f.readline().startswith(b"From x@y.example ")
        for path in (out, out + "b"):
            r = s.good("import", ANN, "--from", path)
            assert r["imported"] == 0 and r["present"] == 5, r
        assert s.stop() == 0


# --- the long one: make transfer-large ---

def measured(program, *args):
    """Seconds and peak memory of a command, and its JSON."""
    start = time.monotonic()
    p = subprocess.Popen([program, *args], stdout=subprocess.PIPE)
    out = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    assert p.returncode == OK, (args, p.returncode, out[-2000:])
    return time.monotonic() - start, usage.ru_maxrss / 1024, json.loads(out)


def peak(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) / 1024 for line in f if line.startswith("VmHWM"))


def large(n):
    with Mail() as s:
        src, out = s.path("src"), s.path("out")
        make_maildir(src, n, folders=("",), size=10000)
        s.start()
        common = ["--data", s.data, "--json"]
        before = peak(s.process.pid)
        figures = {"messages": n, "server_mb_before": round(before)}
        for name, args, check in (
                ("import", ("import", ANN, "--from", src, "--keep-uids"), lambda r: r["imported"] == n),
                ("export", ("export", ANN, "--to", out), lambda r: r["written"] == n),
                ("import_again", ("import", ANN, "--from", src), lambda r: r["present"] == n),
                ("export_mbox", ("export", ANN, "--format", "mbox", "--to", out + "b"), lambda r: r["written"] == n),
                ("import_mbox", ("import", BOB, "--from", out + "b"), lambda r: r["imported"] == n)):
            seconds, mb, r = measured(s.program, *common, *args)
            assert r["ok"] and check(r), r
            figures[name] = {"per_second": round(n / seconds), "seconds": round(seconds, 1), "command_mb": round(mb),
                             "server_mb": round(peak(s.process.pid))}
        assert maildir(src) == maildir(out), "not the same octets, flags or dates"
        assert uidlist(src) == uidlist(out)
        print(json.dumps(figures))
        most = max(v[k] for v in figures.values() if isinstance(v, dict) for k in ("command_mb",))
        assert most < 64, f"the command took {most} MB"
        assert s.stop() == 0


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1] == "--large":
        large(int(sys.argv[2]) if len(sys.argv) > 2 else 100000)
    else:
        run_tests(globals())
