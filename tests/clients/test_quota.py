#!/usr/bin/env python3
"""Quota and undelete, seen from outside: swaks at a full mailbox, APPEND and COPY beyond the limit, the letter at 95 % in
French, and what was deleted coming back."""
import email
import email.policy
import imaplib
import poplib
import smtplib

from harness import digest, main, message, need, ok, run, wait_for, without_trace


def refused(c, *args):
    """The text of a NO."""
    kind, data = getattr(c, args[0])(*args[1:])
    assert kind == "NO", (args, kind, data)
    return data[0].decode()


def swaks(server, *more):
    return run(need("swaks"), "--server", f"127.0.0.1:{server.ports['smtp']}", "--from", "friend@example.com", "--to",
               server.user2, "--header", "Subject: from swaks", *more, check=False)


def test_rcpt(server):
    """swaks: a full mailbox is 552 5.2.2 at RCPT, before DATA; emptied, it takes mail again"""
    code, text = swaks(server)
    assert code == 0, text
    there = server.cli("quota", "show", server.user2)["messages"]
    shown = server.cli("quota", "set", server.user2, "--messages", str(there))
    assert shown["messages"] == there and shown["messages-percent"] == 100, shown
    code, text = swaks(server)
    assert code != 0 and "552 5.2.2 Mailbox full" in text and "354" not in text, text
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:  # others get theirs
        bad = s.sendmail("friend@example.com", [server.user2, server.user], message(1))
        assert list(bad) == [server.user2] and bad[server.user2][0] == 552, bad
    server.cli("quota", "set", server.user2, "--messages", "default", "--bytes", "100K")
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:  # RFC 1870
        s.ehlo("client.example.com")
        s.mail("friend@example.com", ["size=200000"])
        assert s.rcpt(server.user2)[0] == 552
    server.cli("quota", "set", server.user2, "--bytes", "none")
    code, text = swaks(server)
    assert code == 0, text


def test_imap(server):
    """imaplib: APPEND and COPY beyond the limit are NO [OVERQUOTA], and nothing is there afterwards"""
    c = server.imap(server.user2, server.password2)
    ok(c.select("INBOX"))
    used = server.cli("quota", "show", server.user2)["bytes"]
    server.cli("quota", "set", server.user2, "--bytes", str(used + 1000))
    assert "[OVERQUOTA]" in refused(c, "append", "Sent", None, None, message(2, 3000))
    assert "[OVERQUOTA]" in refused(c, "copy", "1:*", "Sent")
    assert ok(c.status("Sent", "(MESSAGES)"))[0].endswith(b"(MESSAGES 0)")
    assert server.cli("quota", "show", server.user2)["bytes"] == used
    server.cli("quota", "set", server.user2, "--bytes", "none")
    ok(c.append("Sent", None, None, message(2, 3000)))
    c.logout()


def test_letter(server):
    """the letter at 95 % arrives in INBOX in French, well-formed, once"""
    server.cli("user", "language", server.user2, "fr")
    used = server.cli("quota", "show", server.user2)["bytes"]
    server.cli("quota", "set", server.user2, "--bytes", str(used + 10000))
    for n in (10, 11):
        server.deliver(message(n, 4500), to=server.user2)
    letters = [email.message_from_bytes(m, policy=email.policy.default)
               for _, _, m in server.fetch_all(server.user2, server.password2) if b"Auto-Submitted" in m]
    assert len(letters) == 1, letters
    m = letters[0]
    assert m["subject"] == "Votre boîte aux lettres est presque pleine (95 %)", m["subject"]
    assert m["auto-submitted"] == "auto-generated" and m["to"] == server.user2 and not m.defects, m.items()
    assert m.get_content_type() == "text/plain" and m["date"].datetime and m["message-id"]
    text = m.get_content()
    assert server.user2 in text and "sont utilisés" in text and "corbeille" in text, text
    server.cli("quota", "set", server.user2, "--bytes", "none")


def test_undelete_message(server):
    """an expunged message comes back: new UID, flags, keywords, date and every octet"""
    c = server.imap()
    ok(c.create("Kept"))
    date = '"11-Jul-2024 10:20:30 +0200"'
    ok(c.append("Kept", r"(\Seen \Flagged $Work)", date, message(20)))
    ok(c.append("Kept", None, None, message(21)))
    ok(c.select("Kept"))
    before = ok(c.uid("FETCH", "1", "(FLAGS INTERNALDATE BODY.PEEK[])"))[0]
    ok(c.store("1:2", "+FLAGS", r"\Deleted"))
    ok(c.expunge())
    listed = server.cli("mailbox", "undelete", server.user, "Kept", "--list")
    assert len(listed) == 2 and listed[0]["what"] == "message", listed
    one = next(x for x in listed if x["subject"] == "message 20")
    back = server.cli("mailbox", "undelete", server.user, "--message-id", one["message-id"])
    assert back["messages"] == 1, back
    ok(c.noop())
    after = ok(c.uid("FETCH", "1:*", "(FLAGS INTERNALDATE BODY.PEEK[])"))
    after = [x for x in after if isinstance(x, tuple)]
    assert len(after) == 1 and b"UID 3 " in after[0][0], after
    for word in (rb"\Seen", rb"\Flagged", b"$Work", b"11-Jul-2024 08:20:30 +0000"):
        assert (word in after[0][0]) and (word in before[0]), (word, after[0][0], before[0])
    assert digest(after[0][1]) == digest(before[1])
    assert server.cli("mailbox", "undelete", server.user, "Kept", "--since", "1h")["messages"] == 1
    assert server.cli("mailbox", "undelete", server.user, "--since", "2031-01-01")["messages"] == 0
    c.logout()


def test_undelete_mailbox(server):
    """a deleted mailbox comes back with its messages and another UIDVALIDITY"""
    c = server.imap()
    ok(c.create("Project"))
    for n in (30, 31, 32):
        ok(c.append("Project", None, None, message(n)))
    was = ok(c.status("Project", "(UIDVALIDITY)"))
    used = server.cli("quota", "show", server.user)
    ok(c.delete("Project"))
    now = server.cli("quota", "show", server.user)
    assert now["messages"] == used["messages"] - 3 and now["kept-messages"] >= 3, (used, now)
    listed = server.cli("mailbox", "undelete", server.user, "Project", "--list")
    assert [(x["what"], x["messages"]) for x in listed] == [("mailbox", 3)], listed
    back = server.cli("mailbox", "undelete", server.user, "Project")
    assert back["mailboxes"] == 1 and back["messages"] == 3, back
    got = server.fetch_all(mailbox="Project")
    assert [m for _, _, m in got] == [message(n) for n in (30, 31, 32)]
    assert ok(c.status("Project", "(UIDVALIDITY)")) != was
    assert server.cli("quota", "show", server.user)["bytes"] == used["bytes"]
    c.logout()


def test_pop3(server):
    """what POP3 deleted comes back"""
    server.deliver(message(40), to=server.user2)
    p = poplib.POP3_SSL("localhost", server.ports["pop3s"], context=server.tls(), timeout=60)
    p.user(server.user2)
    p.pass_(server.password2)
    n = p.stat()[0]
    p.dele(n)
    p.quit()
    assert server.cli("mailbox", "undelete", server.user2, "INBOX")["messages"] == 1
    last = server.fetch_all(server.user2, server.password2)[-1][2]
    assert without_trace(last) == message(40), last[:500]


def test_account(server):
    """a removed account comes back with its password and its mail"""
    domain = server.user.split("@")[1]
    address = f"short@{domain}"
    server.cli("user", "add", address, "--password", "short-lived")
    server.deliver(message(50, to=address), to=address)
    server.cli("user", "remove", address)
    try:
        server.imap(address, "short-lived")
        raise AssertionError("logged in")
    except imaplib.IMAP4.error:
        pass
    assert [x["address"] for x in server.cli("user", "removed")] == [address]
    assert server.cli("user", "undelete", address)["messages"] == 1
    assert without_trace(server.fetch_all(address, "short-lived")[0][2]) == message(50, to=address)
    server.cli("user", "remove", address, "--now")
    assert server.cli("user", "removed") == []


def test_expiry(server):
    """mailbox expire: shown in the list, and refused with a sentence when it makes no sense"""
    server.cli("mailbox", "expire", server.user, "Trash", "30")
    shown = {m["mailbox"]: m["expire"] for m in server.cli("mailbox", "list", server.user)}
    assert shown["Trash"] == 30 and shown["INBOX"] == "default", shown
    for wrong in (("Trash", "soon"), ("Nowhere", "3"), ("Trash", "99999")):
        rc, text = server.cli("mailbox", "expire", server.user, *wrong, check=False)
        assert rc and text, (wrong, rc, text)


def test_domain(server):
    """a domain's limit is that of all its accounts"""
    domain = server.user.split("@")[1]
    used = server.cli("quota", "show", domain)
    assert used["messages"] > 3 and used["messages-limit"] is None, used
    server.cli("quota", "set", domain, "--messages", "1")
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        s.mail("friend@example.com")
        for to in (server.user, server.user2):
            assert s.rcpt(to)[0] == 552, to
    server.cli("quota", "set", domain, "--messages", "none")
    server.deliver(message(60))
    assert any(x["address"] == server.user for x in server.cli("quota", "list"))
    rc, text = server.cli("quota", "set", domain, "--bytes", "much", check=False)
    assert rc and "50M" in text, text


def test_refusals_are_logged(server):
    """each refusal is in the log with its reason"""
    wait_for("smtp.rcpt.refused with Mailbox full", lambda: any(
        "event=smtp.rcpt.refused" in x and "Mailbox full" in x for x in server.log().splitlines()))


main(test_rcpt, test_imap, test_letter, test_undelete_message, test_undelete_mailbox, test_pop3, test_account, test_expiry,
     test_domain, test_refusals_are_logged)
