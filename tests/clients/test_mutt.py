#!/usr/bin/env python3
"""mutt, driven by its own commands without a terminal: opens, searches, moves, deletes, saves and sends."""
import os
import pty
import select
import tempfile
import time

from harness import main, message, need, wait_for


def mutt(server, *commands, timeout=60):
    """Runs mutt on INBOX in a pseudo-terminal; commands are muttrc lines executed at start (push '…' types keys)."""
    need("mutt")
    home = tempfile.mkdtemp(prefix="mutt-")
    rc = os.path.join(home, "muttrc")
    settings = [
        f'set ssl_ca_certificates_file="{server.ca}"', f'set imap_user="{server.user}"',
        f'set imap_pass="{server.password}"', f'set folder="imaps://localhost:{server.ports["imaps"]}/"',
        'set spoolfile="+INBOX"', "set confirmappend=no confirmcreate=no delete=yes move=no quit=yes sleep_time=0",
        "set mail_check=0 beep=no wait_key=no header_cache="" ssl_verify_host=yes timeout=1",
        f'set smtp_url="smtps://{server.user.replace("@", "%40")}:{server.password}@localhost:{server.ports["submissions"]}/"',
        f'set from="{server.user}" realname="Alice" use_from=yes copy=yes record="+Sent" edit_headers=no editor="true"',
        "set abort_unmodified=no",
    ]
    with open(rc, "w", encoding="utf-8") as f:
        f.write("\n".join(settings + list(commands)) + "\n")
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe("mutt", ["mutt", "-n", "-F", rc], dict(os.environ, HOME=home, TERM="xterm", COLUMNS="120", LINES="40"))
    screen = b""
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([fd], [], [], 0.5)
            if ready:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    break
                screen += data
        else:
            raise AssertionError("mutt did not end; its screen: " + screen[-2000:].decode(errors="replace"))
    finally:
        os.close(fd)
        try:
            os.kill(pid, 15)
        except ProcessLookupError:
            pass
        os.waitpid(pid, 0)
    return screen.decode(errors="replace")


def subjects(server, mailbox):
    return sorted(d.split(b"Subject: ")[1].split(b"\r\n")[0].decode() for _, _, d in server.fetch_all(mailbox=mailbox))


def test_open_and_read(server):
    """mutt opens INBOX and shows a message; it becomes \\Seen"""
    for n in range(3):
        server.deliver(message(n))
    mutt(server, "push '<search>message 1<enter><display-message><exit><sync-mailbox><quit>'")
    flags = {d.split(b"Subject: ")[1].split(b"\r\n")[0]: f for _, f, d in server.fetch_all()}
    assert r"\Seen" in flags[b"message 1"], flags
    assert r"\Seen" not in flags[b"message 2"], flags


def test_move_and_delete(server):
    """mutt saves a message to Archive and deletes another"""
    mutt(server, "push '<search>message 0<enter><save-message><kill-line>=Archive<enter><search>message 2<enter>"
                 "<delete-message><sync-mailbox><quit>'")
    wait_for("message 0 in Archive", lambda: subjects(server, "Archive") == ["message 0"], 5)
    assert subjects(server, "INBOX") == ["Welcome to Facteur", "message 1"], subjects(server, "INBOX")


def test_send(server):
    """mutt sends over 465 and files its copy in Sent by APPEND"""
    mutt(server, f"push '<mail>{server.user2}<enter>from mutt<enter>y<quit>'")
    assert "from mutt" in subjects(server, "Sent"), subjects(server, "Sent")
    there = [d for _, _, d in server.fetch_all(server.user2, server.password2) if b"Subject: from mutt" in d]
    assert len(there) == 1


main(test_open_and_read, test_move_and_delete, test_send)
