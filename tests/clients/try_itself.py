#!/usr/bin/env python3
"""./try: the table for people, Ctrl-C, and a second start on the same directory."""
import os
import signal
import subprocess
import sys
import tempfile

from harness import MODE, ROOT, Server, free_base

with tempfile.TemporaryDirectory(prefix="facteur-try-") as d:
    base = free_base()
    p = subprocess.Popen([os.path.join(ROOT, "try"), "--dir", d, "--base", str(base), "--" + MODE],
                         stdout=subprocess.PIPE, text=True, start_new_session=True)
    text = ""
    for line in p.stdout:
        text += line
        if "Ctrl-C" in line:
            break
    for word in (f"port {base + 993}", f"port {base + 995}", f"port {base + 465}", "alice@try.example", "ca.pem", "swaks",
                 "curl", "mutt"):
        assert word in text, (word, text)
    # a second one on the same directory says so, and does not print ports on which nothing listens
    again = subprocess.run([os.path.join(ROOT, "try"), "--dir", d, "--base", str(free_base()), "--" + MODE],
                           capture_output=True, text=True, timeout=300)
    assert again.returncode == 1 and again.stdout == "" and "is running on" in again.stderr, again
    usage = subprocess.run([os.path.join(ROOT, "try"), "--help"], capture_output=True, text=True, timeout=60)
    assert usage.returncode == 0 and "--base PORT" in usage.stdout, usage
    os.killpg(p.pid, signal.SIGINT)  # what a terminal does
    assert p.wait(30) == 0, p.returncode
    with Server(directory=d, base=base) as s:
        mail = s.fetch_all()
        assert len(mail) == 1 and b"Subject: Welcome to Facteur" in mail[0][2], mail
        assert len(s.fetch_all(s.user2, s.password2)) == 1
    assert s.process.returncode == 0
print("1 passed, 0 failed, 0 skipped")
sys.exit(0)
