#!/usr/bin/env python3
"""200 sessions deliver while 50 IMAP clients fetch; then kill -9 in the middle: every message with its 250 is there, once.

The ledger is written by the sender, outside the server. KILLS: how often (default 3)."""
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from harness import MODE, ROOT, Server, ok  # noqa: E402

LOAD = os.path.join(ROOT, "build", MODE, "bench", "load_smtp")
KILLS = int(os.environ.get("KILLS", "3"))
SENDERS, READERS, MESSAGES = 200, 50, 6000


def read_ledger(path):
    out = {}
    if os.path.exists(path):
        with open(path, encoding="ascii") as f:
            for line in f:
                if line.endswith("\n"):
                    out[line.split()[0]] = line.split()[1]
    return out


def reader(server, stop, errors, counts):
    """Selects and fetches, again and again; a count never goes back and every announced message can be read."""
    try:
        while not stop.is_set():
            c = server.imap()
            seen = 0
            for _ in range(20):
                n = int(ok(c.select("INBOX", readonly=True))[0])
                if n < seen:
                    errors.append(f"EXISTS went from {seen} to {n}")
                seen = n
                low = max(1, n - 5)
                data = [x for x in ok(c.fetch(f"{low}:{n}", "(UID FLAGS RFC822.SIZE BODY.PEEK[])")) if isinstance(x, tuple)]
                for head, body in data:
                    size = int(head.split(b"RFC822.SIZE ")[1].split()[0])
                    if size != len(body):
                        errors.append(f"RFC822.SIZE {size}, body {len(body)}")
                counts.append(len(data))
                if stop.is_set():
                    break
            c.logout()
    except Exception as e:  # the kill ends connections: only errors before it count
        if not stop.is_set():
            errors.append(repr(e))


def verify(server, ledger):
    """Every acknowledged message exactly once; counts agree with what is there; bodies are whole."""
    found = {}
    total = 0
    for user, password in ((server.user, server.password), (server.user2, server.password2)):
        mail = server.fetch_all(user, password)
        total += len(mail)
        uids = [uid for uid, _, _ in mail]
        assert uids == sorted(set(uids)), "UIDs are not ascending"
        for _, _, data in mail:
            if b"Message-ID: <" in data and b"@load.example.com>" in data:
                mid = data.split(b"Message-ID: <")[1].split(b">")[0].decode()
                found[mid] = found.get(mid, 0) + 1
                assert data.endswith(b"\r\n") and len(data) > 9000, "a body is cut"
    lost = [m for m in ledger if m not in found]
    double = [m for m, n in found.items() if n > 1]
    assert not lost, f"{len(lost)} acknowledged messages are lost, e.g. {lost[0]}"
    assert not double, f"{len(double)} messages are there twice"
    assert total == sum(u["messages"] for u in server.cli("user", "list")), "counts differ"
    return len(found)


def load(server, ledger, to, seed, messages):
    return subprocess.Popen([LOAD, "--port", str(server.ports["smtp"]), "--to", to, "--connections", str(SENDERS),
                             "--messages", str(messages), "--ledger", ledger, "--seed", str(seed)],
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def with_readers(server, action):
    stop, errors, counts = threading.Event(), [], []
    threads = [threading.Thread(target=reader, args=(server, stop, errors, counts)) for _ in range(READERS)]
    for t in threads:
        t.start()
    try:
        action()
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert not errors, errors[:3]
    return sum(counts)


def main():
    with tempfile.TemporaryDirectory(prefix="facteur-kill-") as work:
        server = Server(directory=work)
        server.start()
        to, ledger = os.path.join(work, "to"), os.path.join(work, "ledger")
        with open(to, "w", encoding="ascii") as f:
            f.write(f"{server.user}\n{server.user2}\n")

        def whole():
            p = load(server, ledger, to, 1, MESSAGES)
            out = p.communicate(timeout=300)[0]
            assert b'"failed":0' in out and f'"accepted":{MESSAGES}'.encode() in out, out
        fetched = with_readers(server, whole)
        n = verify(server, read_ledger(ledger))
        assert n == MESSAGES, n
        print(f"ok {SENDERS} senders, {READERS} readers: {n} messages accepted and there once, {fetched} fetched meanwhile")
        for kill in range(KILLS):
            before = len(read_ledger(ledger))
            p = load(server, ledger, to, 100 + kill, 1_000_000)
            deadline = time.monotonic() + 60
            while len(read_ledger(ledger)) < before + 300 * (kill + 1) and time.monotonic() < deadline:
                time.sleep(0.02)
            server.kill()
            p.communicate(timeout=60)
            acknowledged = read_ledger(ledger)
            assert len(acknowledged) >= before + 300 * (kill + 1), "the load did not run"
            server.start()
            n = verify(server, acknowledged)
            print(f"ok kill -9 no. {kill + 1}: {len(acknowledged)} acknowledged, {n} there")
        assert server.stop() == 0


main()
