"""harness.py — what every client test shares: a mail system of its own, messages, and waiting with a deadline.

A test file is one program: `tests/clients/test_NAME.py`. It calls main(test_functions…); exit 0 passed, 77 skipped with a
reason, anything else failed. Each program starts ./try on a free base port in a temporary directory and stops it.
Standard library only."""
import hashlib
import imaplib
import json
import os
import random
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
MODE = os.environ.get("FACTEUR_MODE", "release")
FACTEUR = os.path.join(ROOT, "build", MODE, "facteur")
CRLF = b"\r\n"


class Skip(Exception):
    pass


def need(program):
    """The path of a program, or the test is skipped, visibly."""
    path = shutil.which(program)
    if path is None:
        raise Skip(f"{program} is not installed")
    return path


def free_base():
    """A base port so that base + 25 … base + 995 are free now."""
    for _ in range(50):
        base = random.randrange(11000, 29000, 1000) + random.randrange(0, 4)
        try:
            for p in (25, 110, 143, 465, 587, 993, 995):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", base + p))
            return base
        except OSError:
            continue
    raise RuntimeError("no free ports")


class Server:
    """./try in a directory of its own. Use as a context manager."""

    def __init__(self, env=None, directory=None, base=None):
        self.dir = directory or tempfile.mkdtemp(prefix="facteur-test-")
        self.keep = directory is not None
        self.base = base or free_base()
        self.env = env

    def start(self):
        env = dict(os.environ, **(self.env or {}))
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "try"), "--dir", self.dir, "--base", str(self.base), "--json", "--" + MODE],
            stdout=subprocess.PIPE, env=env, start_new_session=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("./try did not start: " + self.log()[-2000:])
        self.info = json.loads(line)
        self.ports = self.info["ports"]
        self.pid = self.info["pid"]
        self.ca = self.info["ca"]
        self.user, self.password = (self.info["accounts"][0][k] for k in ("address", "password"))
        self.user2, self.password2 = (self.info["accounts"][1][k] for k in ("address", "password"))
        return self

    def stop(self):
        """SIGTERM, as Ctrl-C does; returns the server's exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise RuntimeError("the server did not stop within 30 s of SIGTERM")
        return self.process.returncode

    def kill(self):
        """kill -9 of the server itself; ./try then ends too."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, tb):
        try:
            code = self.stop()
            log = self.log()
            found = [x for x in log.splitlines() if "Sanitizer" in x or "runtime error:" in x]
            if kind is None and (code != 0 or found):
                raise AssertionError(f"the server ended with {code}: {found[:5]}\n{log[-3000:]}")
        finally:
            if kind is not None:
                sys.stderr.write("--- end of the server's log\n" + self.log()[-3000:])
            if not self.keep:
                shutil.rmtree(self.dir, ignore_errors=True)

    def log(self):
        try:
            with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def cli(self, *args, check=True, stdin=None):
        """facteur --json …: the result, parsed."""
        p = subprocess.run([FACTEUR, "--data", os.path.join(self.dir, "data"), "--json", *args], input=stdin,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        if check and p.returncode != 0:
            raise AssertionError(f"facteur {args}: {p.stderr.decode()}")
        return json.loads(p.stdout) if p.returncode == 0 else (p.returncode, p.stderr.decode())

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def imap(self, user=None, password=None):
        c = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.tls(), timeout=60)
        c.login(user or self.user, password or self.password)
        return c

    def deliver(self, message, to=None, sender="friend@example.com"):
        with smtplib.SMTP("localhost", self.ports["smtp"], timeout=60) as s:
            s.sendmail(sender, to or self.user, message)

    def fetch_all(self, user=None, password=None, mailbox="INBOX"):
        """[(uid, flags, whole message)] as IMAP gives them."""
        c = self.imap(user, password)
        try:
            ok(c.select(f'"{mailbox}"', readonly=True))
            data = ok(c.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])"))
        finally:
            c.logout()
        out = []
        for item in data:
            if not isinstance(item, tuple):
                continue
            head = item[0].decode()
            uid = int(head.split("UID ")[1].split()[0].rstrip(")"))
            flags = head.split("FLAGS (")[1].split(")")[0].split()
            out.append((uid, flags, item[1]))
        return out


def ok(result):
    """The data of an imaplib result that must be OK."""
    assert result[0] == "OK", result
    return result[1]


def message(n, size=2000, to="alice@try.example", sender="friend@example.com"):
    """A message of about size octets, different for every n, CRLF lines, 8-bit and dots at line starts included."""
    r = random.Random(n)
    head = (f"From: Friend <{sender}>\r\nTo: <{to}>\r\nSubject: message {n}\r\n"
            f"Date: Mon, 02 Nov 2026 10:{n % 60:02d}:00 +0100\r\nMessage-ID: <m{n}.{r.getrandbits(64):x}@example.com>\r\n"
            "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
    lines = ["..two dots", ".", ".one dot", "From the start", "é à ü — ligne"]
    total = sum(len(x) + 2 for x in lines)
    while total < size:
        lines.append("".join(r.choices("abcdefghijklmnopqrstuvwxyz .,", k=r.randrange(0, 76))).rstrip())
        total += len(lines[-1]) + 2
    return head.encode() + "\r\n".join(lines).encode() + CRLF


def without_trace(data):
    """A delivered message without the lines that delivery put in front: Return-Path, Delivered-To, Received of ours."""
    lines = data.split(CRLF)
    i = 0
    while i < len(lines):
        name = lines[i].split(b":")[0].lower()
        if name not in (b"return-path", b"delivered-to", b"received"):
            break
        i += 1
        while i < len(lines) and lines[i][:1] in (b" ", b"\t"):
            i += 1
    return CRLF.join(lines[i:])


def digest(data):
    return hashlib.sha256(data).hexdigest()


def run(*args, stdin=None, timeout=120, check=True, env=None, cwd=None):
    p = subprocess.run(args, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
                       env=dict(os.environ, **(env or {})), cwd=cwd)
    if check and p.returncode != 0:
        raise AssertionError(f"{' '.join(args)}: exit {p.returncode}\n{p.stdout.decode(errors='replace')}")
    return p.returncode, p.stdout.decode(errors="replace")


def wait_for(what, condition, seconds=20):
    """Polls until condition() is true; fails with `what` at the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


def main(*tests):
    """Runs each test(server) on one server; prints a line each and the sum."""
    passed = failed = 0
    try:
        with Server() as server:
            for t in tests:
                try:
                    t(server)
                    passed += 1
                    print("ok", t.__doc__ or t.__name__)
                except Skip:
                    raise
                except Exception:
                    failed += 1
                    print("FAILED", t.__doc__ or t.__name__)
                    traceback.print_exc()
            if failed:
                sys.stderr.write("--- end of the server's log\n" + server.log()[-3000:])
    except Skip as s:
        print(s)
        sys.exit(77)
    except AssertionError as e:  # how it stopped
        failed += 1
        print("FAILED", e)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
