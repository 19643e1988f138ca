#!/usr/bin/env python3
"""facteur, the command: every verb with the server running and without, exit codes, JSON, import, configuration."""
import contextlib
import imaplib
import json
import os
import pty
import select
import signal
import socket
import ssl
import subprocess
import time

from harness import free_base, need, run, wait_for
from system import (CANTCREAT, CONFIG, DATAERR, IOERR, NOINPUT, NOUSER, OK, TEMPFAIL, UNAVAILABLE, USAGE, System, run_tests)


def every_verb(s, domain):
    """Runs each verb on names of this domain; shapes of results and codes of refusals are checked on the way."""
    ann, bob = f"ann@{domain}", f"bob@{domain}"
    assert s.good("domain", "add", domain) == {"domain": domain}
    assert s.bad(CANTCREAT, "domain", "add", domain) == "exists"
    assert {"domain": domain} in s.good("domain", "list")
    assert s.good("user", "add", ann, "--password", "first secret") == {"address": ann}
    made = s.good("user", "add", bob, "--generate")
    assert set(made) == {"address", "password"} and len(made["password"]) == 23, made
    assert s.bad(CANTCREAT, "user", "add", ann, "--generate") == "exists"
    assert s.bad(NOUSER, "user", "add", "ann@nowhere.example", "--generate") == "no-domain"
    assert s.bad(USAGE, "user", "add", "no-address", "--generate") == "syntax"
    assert s.good("user", "passwd", ann, stdin="from a pipe\n") == {"address": ann}
    assert s.bad(NOUSER, "user", "passwd", f"nobody@{domain}", "--generate") == "no-account"
    users = {u["address"]: u for u in s.good("user", "list")}
    assert set(users[ann]) == {"address", "messages", "bytes", "admin", "disabled"}, users
    assert users[ann]["messages"] == 0 and users[ann]["disabled"] is False
    s.good("user", "disable", ann)
    assert {u["address"]: u["disabled"] for u in s.good("user", "list")}[ann] is True
    s.good("user", "enable", ann)
    assert {u["address"]: u["disabled"] for u in s.good("user", "list")}[ann] is False
    assert s.bad(NOUSER, "user", "disable", f"nobody@{domain}") == "no-account"
    assert s.good("user", "rename", ann, f"anna@{domain}") == {"address": f"anna@{domain}"}
    assert s.bad(CANTCREAT, "user", "rename", f"anna@{domain}", bob) == "exists"
    ann = f"anna@{domain}"
    alias = {"address": f"info@{domain}", "target": ann}
    assert s.good("alias", "add", alias["address"], ann) == alias
    assert alias in s.good("alias", "list")
    assert s.bad(CANTCREAT, "alias", "add", alias["address"], ann) == "exists"
    assert s.bad(NOUSER, "alias", "add", f"x@{domain}", f"nobody@{domain}") == "no-account"
    boxes = s.good("mailbox", "list", ann)
    assert [b["mailbox"] for b in boxes][0] == "INBOX" and len(boxes) == 6, boxes
    assert set(boxes[0]) == {"mailbox", "messages", "unseen", "bytes", "role", "subscribed", "uidvalidity", "uidnext",
                             "highestmodseq", "expire"}, boxes[0]
    assert s.bad(NOUSER, "mailbox", "list", f"nobody@{domain}") == "no-account"
    assert s.good("queue", "list") == []
    assert s.bad(DATAERR, "domain", "remove", domain) == "cannot"
    s.good("alias", "remove", alias["address"])
    assert s.bad(NOUSER, "alias", "remove", alias["address"]) == "no-account"
    s.good("user", "remove", bob)
    assert s.bad(NOUSER, "user", "remove", bob) == "no-account"
    s.good("user", "remove", ann)
    s.good("domain", "remove", domain)
    assert s.bad(NOUSER, "domain", "remove", domain) == "no-domain"


def test_verbs_without_server():
    """every verb without a server"""
    with System() as s:
        every_verb(s, "one.example")
        assert s.bad(TEMPFAIL, "who", says="no server is running") == "busy"
        assert s.bad(TEMPFAIL, "kick", "ann@one.example", says="no server is running") == "busy"


def test_verbs_with_server():
    """every verb with the server running; what was done without it is there"""
    with System() as s:
        s.good("domain", "add", "kept.example")
        s.start()
        every_verb(s, "two.example")
        assert {"domain": "kept.example"} in s.good("domain", "list")
        assert s.good("who") == []
        s.good("user", "add", "ann@kept.example", "--password", "secret")
        context = ssl.create_default_context(cafile=os.path.join(s.data, "tls", "ca.pem"))
        c = imaplib.IMAP4_SSL("localhost", s.base + 993, ssl_context=context, timeout=30)
        c.login("ann@kept.example", "secret")
        who = s.good("who")
        assert len(who) == 1 and who[0]["user"] == "ann@kept.example" and who[0]["tls"] is True, who
        assert set(who[0]) == {"session", "service", "user", "address", "tls", "seconds"}, who
        assert s.good("kick", who[0]["session"]) == {"closed": 1}
        wait_for("the session is gone", lambda: s.good("who") == [])
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            c.noop()
            raise AssertionError("the kicked session goes on")
        c = imaplib.IMAP4_SSL("localhost", s.base + 993, ssl_context=context, timeout=30)
        c.login("ann@kept.example", "secret")
        s.good("user", "passwd", "ann@kept.example", "--password", "changed")
        wait_for("passwd ends the sessions of the account", lambda: s.good("who") == [])
        assert s.bad(NOUSER, "kick", "ann@kept.example") == "no-account"
        assert s.stop() == OK
        assert not os.path.exists(os.path.join(s.data, "control.sock"))
        assert s.good("user", "list")[0]["address"] == "ann@kept.example"
        for word in ("first secret", "from a pipe", "changed"):
            assert word not in s.log(), "a password in the log"


def test_help_and_usage():
    """help, version, usage, and a word that is not known"""
    with System() as s:
        for words in (["--help"], ["-h"], ["help"]):
            rc, out, err = s.run(*words)
            assert rc == OK and "user import FILE" in out and "serve" in out and err == "", (rc, out, err)
        for words in (["version"], ["--version"]):
            rc, out, _ = s.run(*words)
            assert rc == OK and out.startswith("facteur ") and out[8].isdigit(), out
        assert s.run("serve", "--help")[0] == OK
        for words in ([], ["user"], ["user", "fly"], ["fly"], ["user", "add"], ["user", "import"], ["user", "list", "x"],
                      ["domain", "add", "a.example", "b.example"], ["who", "x"], ["user", "list", "--generate"],
                      ["domain", "list", "--password", "x"], ["--wrong"], ["user", "add", "a@b", "--password"],
                      ["user", "add", "a@b.example"], ["serve", "--wrong", "x"], ["serve", "--base", "70000"],
                      ["serve", "--base"], ["serve", "word"]):
            rc, out, err = s.run(*words)
            assert rc == USAGE and out == "" and err != "", (words, rc, out, err)
        assert "user add ADDRESS" in s.run("user", "fly")[2] and "user add ADDRESS" in s.run("user")[2]
        assert "did you mean check?" in s.run("chek")[2]
        rc, out, err = s.run("quota", "--help")
        assert rc == OK and "quota set" in out and "user add" not in out and err == "", (rc, out, err)
        rc, out, err = s.run("export", "--help")
        assert rc == OK and " --to DIR [--format maildir|mbox]" in out and "\n  --to DIR  " in out and err == "", (rc, out, err)
        assert not os.path.exists(s.data), "a wrong command made a directory"
        for data in ("--data", "--data="):
            p = subprocess.run([s.program, data], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert p.returncode == USAGE, (data, p)


def test_wrong_data():
    """a mistyped --data is refused and makes nothing"""
    with System() as s:
        for words in (["domain", "list"], ["user", "list"], ["user", "add", "a@a.example", "--generate"],
                      ["domain", "remove", "a.example"]):
            assert s.bad(DATAERR, *words, says="no mail store in") == "cannot"
        assert not os.path.exists(s.data)
        rc, _, err = s.run("domain", "add", "a.example", data=s.top + "/no/such/place")
        assert rc == IOERR and "/no/such" in err, (rc, err)
        s.good("domain", "add", "a.example")
        rc, out, _ = s.run("domain", "list", data="/nonexistent", env={"FACTEUR_DATA": s.data})
        assert rc == DATAERR, "--data wins over FACTEUR_DATA"
        p = subprocess.run([s.program, "domain", "list"], env=dict(os.environ, FACTEUR_DATA=s.data), stdout=subprocess.PIPE)
        assert p.returncode == OK and p.stdout == b"domain\na.example\n", p


def test_table():
    """tables line up, and control characters never reach a terminal"""
    with System() as s:
        s.good("domain", "add", "a.example")
        s.good("user", "add", "ann@a.example", "--generate")
        rc, out, err = s.run("user", "list")
        lines = out.splitlines()
        assert rc == OK and err == "" and len(lines) == 2, out
        assert lines[0].split() == ["address", "messages", "bytes", "admin", "disabled"]
        assert lines[1].split() == ["ann@a.example", "0", "0", "yes", "-"]
        rc, _, err = s.run("domain", "add", "a\x1b[31m.example")
        assert rc == USAGE and "\x1b" not in err, err
        with open("/dev/full", "wb") as full:
            p = subprocess.run([s.program, "--data", s.data, "user", "list"], stdout=full, stderr=subprocess.PIPE)
        assert p.returncode == IOERR and b"could not be written" in p.stderr, p


def import_file(s, domain, n):
    """n accounts, and bad lines among them; returns (file, bad line numbers)."""
    known = run(need("openssl"), "passwd", "-6", "-salt", "abcdefgh", "hashed")[1].strip()
    lines, bad = ["# a comment", ""], []
    for i in range(n):
        secret = "{PLAIN}plain%d" % i if i % 2 else "{SHA512-CRYPT}" + known
        lines.append(f"user{i}@{domain}:{secret}" + (":1000:1000::/home/x::" if i % 5 == 0 else ""))
        if i % 500 == 250:
            for line in (f"nopassword{i}@{domain}", f"user{i}@elsewhere.example:{{PLAIN}}x", f"user1@{domain}:{{PLAIN}}x",
                         f"odd{i}@{domain}:{{ROT13}}x", "x" * 5000, "\udcff@" + domain + ":{PLAIN}x",
                         f"nul{i}@{domain}:{{PLAIN}}a\0b"):
                lines.append(line)
                bad.append(len(lines))
    path = os.path.join(s.top, "import-" + domain)
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as f:
        f.write("\n".join(lines) + "\n")
    return path, bad


def check_import(s, domain):
    path, bad = import_file(s, domain, 2000)
    s.good("domain", "add", domain)
    started = time.monotonic()
    rc, out, err = s.run("--json", "user", "import", path)
    took = time.monotonic() - started
    result = json.loads(out)
    assert rc == DATAERR and result["made"] == 2000, (rc, out[:500], err)
    assert [r["line"] for r in result["refused"]] == bad, result["refused"]
    assert all(r["reason"] for r in result["refused"])
    assert took < 60, f"2,000 accounts took {took:.1f} s"
    assert sum(u["address"].endswith("@" + domain) for u in s.good("user", "list")) == 2000
    print(f"   2,000 accounts in {took:.1f} s")
    rc, out, err = s.run("user", "import", path)
    assert rc == DATAERR and out.startswith("0 accounts made, ") and f"\nline {bad[0]}: " in out, out[:300]


def test_import():
    """import of 2,000 accounts with bad lines, without and with the server; they can log in"""
    with System() as s:
        check_import(s, "offline.example")
        assert s.run("user", "import", s.top + "/absent")[0] == NOINPUT
        assert s.run("user", "import", s.top)[0] == NOINPUT
        s.start()
        check_import(s, "online.example")
        assert s.good("user", "import", "-", stdin="late@online.example:{PLAIN}x\n") == {"made": 1, "refused": []}
        context = ssl.create_default_context(cafile=os.path.join(s.data, "tls", "ca.pem"))
        for user, password in (("user1@offline.example", "plain1"), ("user2@online.example", "hashed"),
                               ("user5@online.example", "plain5")):
            c = imaplib.IMAP4_SSL("localhost", s.base + 993, ssl_context=context, timeout=30)
            c.login(user, password)
            c.logout()


def test_import_stopped():
    """an import that cannot be done says so and where it stopped"""
    with System() as s:
        path = os.path.join(s.top, "list")
        with open(path, "w", encoding="utf-8") as f:
            f.write("a@a.example:{PLAIN}x\n")
        rc, out, err = s.run("user", "import", path)
        assert rc == DATAERR and "no mail store" in err and "after 0 accounts" in err and out == "", (rc, out, err)


def test_password_prompt():
    """the password is asked twice on a terminal, without echo, and Ctrl-C gives the echo back"""
    with System() as s:
        s.good("domain", "add", "a.example")

        def talk(*answers):
            pid, fd = pty.fork()
            if pid == 0:
                os.execv(s.program, [s.program, "--data", s.data, "user", "add", "ann@a.example"])
            seen = b""
            for answer in answers:
                before = seen.count(b"ann@a.example: ")
                while seen.count(b"ann@a.example: ") == before:
                    assert select.select([fd], [], [], 20)[0], seen
                    seen += os.read(fd, 4096)
                os.write(fd, answer)
                seen += b"|"
            with contextlib.suppress(OSError):
                while chunk := os.read(fd, 4096):
                    seen += chunk
            os.close(fd)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen

        rc, seen = talk(b"secret1\n", b"secret2\n")
        assert rc == USAGE and b"not equal" in seen, (rc, seen)
        rc, seen = talk(b"\x03")
        assert rc == USAGE and b"no password" in seen, (rc, seen)
        assert s.good("user", "list") == []
        rc, seen = talk(b"secret\n", b"secret\n")
        assert rc == OK and b"secret" not in seen and b"address: ann@a.example" in seen, (rc, seen)


def test_two_at_once():
    """commands at the same time wait for each other"""
    with System() as s:
        s.good("domain", "add", "a.example")
        running = [subprocess.Popen([s.program, "--data", s.data, "user", "add", f"u{i}@a.example", "--generate"],
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for i in range(6)]
        for p in running:
            _, err = p.communicate(timeout=60)
            assert p.returncode == OK, err
        assert len(s.good("user", "list")) == 6


def test_foreign_store():
    """data of another version or of somebody else is refused and left alone"""
    for text, words in ((b"facteur store 3\n", "newer Facteur"), (b"facteur store 2\n", "cut short"),
                        (b"grocery list\n", "not a store of Facteur")):
        with System() as s:
            s.good("domain", "add", "a.example")
            path = os.path.join(s.data, "store", "FORMAT")
            with open(path, "wb") as f:
                f.write(text)
            s.bad(DATAERR, "user", "list", says=words)
            s.bad(DATAERR, "domain", "add", "b.example", says=words)
            s.serve()
            assert s.process.wait(30) == DATAERR, s.log()
            assert "event=server.start" in s.log() and words in s.log(), s.log()
            with open(path, "rb") as f:
                assert f.read() == text


def test_second_server():
    """a second server on the same data, or on the same port, is refused and the first goes on"""
    with System() as s, System() as other:
        s.good("domain", "add", "a.example")
        s.start()
        p = subprocess.run([s.program, "serve", "--data", s.data, "--listen", "127.0.0.1", "--base", str(free_base())],
                           stderr=subprocess.PIPE, timeout=60)
        assert p.returncode == TEMPFAIL and b"another facteur" in p.stderr, p
        p = subprocess.run([s.program, "serve", "--data", other.data, "--listen", "127.0.0.1", "--base", str(s.base)],
                           stderr=subprocess.PIPE, timeout=60)
        assert p.returncode == UNAVAILABLE and str(s.base + 25).encode() in p.stderr, p
        assert s.good("domain", "list") == [{"domain": "a.example"}]


def test_config():
    """a wrong configuration file: exit 78, file, line and the nearest name; a right one is obeyed"""
    with System() as s:
        conf = os.path.join(s.top, "facteur.conf")
        base = free_base()

        def serve(text):
            with open(conf, "w", encoding="utf-8") as f:
                f.write(text)
            return subprocess.run([s.program, "serve", "--config", conf], stderr=subprocess.PIPE, timeout=60)

        p = serve("data = /nonexistent\nworker = 2\n")
        assert p.returncode == CONFIG and f"{conf}:2: no such option 'worker'; did you mean 'workers'?" in p.stderr.decode()
        p = serve("workers = 0\n")
        assert p.returncode == CONFIG and f"{conf}:1: workers = 0: expected 1 to 256".encode() in p.stderr, p
        assert subprocess.run([s.program, "serve", "--config", conf + ".absent"], stderr=subprocess.PIPE).returncode == CONFIG
        s.good("domain", "add", "a.example")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(f'data = "{s.data}"\nhostname = conf.example\nlisten smtp {{ address = {{"127.0.0.1"}} port = {base + 25} }}\n')
        s.process = subprocess.Popen([s.program, "serve", "--config", conf], stderr=subprocess.DEVNULL)
        wait_for("the server answers", lambda: s.run("who")[0] == OK)
        with socket.create_connection(("127.0.0.1", base + 25), timeout=30) as c:
            assert c.makefile("rb").readline().startswith(b"220 conf.example ")
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", base + 993), timeout=5).close()
            raise AssertionError("it listens where it was not asked to")
        assert s.stop() == OK


def test_signals():
    """SIGHUP reads the certificates again; after kill -9 the command and the server go on; no descriptor leaks"""
    with System() as s:
        s.good("domain", "add", "a.example")
        s.start()
        s.process.send_signal(signal.SIGHUP)
        wait_for("the reload is logged", lambda: "event=server.reload" in s.log())
        fds = f"/proc/{s.process.pid}/fd"
        s.good("domain", "list")
        before = len(os.listdir(fds))
        for _ in range(20):
            s.good("domain", "list")
            s.bad(CANTCREAT, "domain", "add", "a.example")
        half = socket.socket(socket.AF_UNIX)
        half.connect(os.path.join(s.data, "control.sock"))
        half.sendall(b'{"noun"')
        half.close()
        for junk in (b"\n", b"junk\n", b"[]\n", b'{"noun": "user", "verb": "list"}\n', b'"\xff"\n'):
            with socket.socket(socket.AF_UNIX) as c:
                c.connect(os.path.join(s.data, "control.sock"))
                c.sendall(junk)
                assert json.loads(c.makefile("rb").read())["code"] == "syntax", junk
        # The engine opens and closes files of its own; a leak would be 46 of them.
        wait_for("the descriptors are closed", lambda: len(os.listdir(fds)) < before + 10)
        s.stop(signal.SIGKILL)
        assert os.path.exists(os.path.join(s.data, "control.sock"))
        assert s.good("domain", "list") == [{"domain": "a.example"}]
        s.start()
        assert s.good("who") == []
        assert s.stop(signal.SIGINT) == OK


run_tests(globals())
