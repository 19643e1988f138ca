#!/usr/bin/env python3
"""Python's imaplib and poplib open, search, move, append and read; several clients see each other's changes."""
import imaplib
import poplib

from harness import digest, main, message, ok, wait_for, without_trace


def test_append_byte_identical(server):
    """what APPEND stores comes back byte for byte, flags and date with it"""
    c = server.imap()
    for n, size in ((1, 500), (2, 70000), (3, 3_000_000)):
        sent = message(n, size)
        when = '"02-Nov-2026 10:11:12 +0100"'
        ok(c.append("Archive", r"(\Seen $Important)", when, sent))
    ok(c.select("Archive"))
    for n, size in ((1, 500), (2, 70000), (3, 3_000_000)):
        data = ok(c.fetch(str(n), "(FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[])"))
        head = data[0][0].decode()
        assert digest(data[0][1]) == digest(message(n, size)), n
        assert r"\Seen" in head and "$Important" in head, head
        assert "02-Nov-2026" in head and f"RFC822.SIZE {len(message(n, size))}" in head, head
    # a part of a large body
    want = message(3, 3_000_000)[1_500_000:1_500_777]
    data = ok(c.fetch("3", "(BODY.PEEK[]<1500000.777>)"))
    assert data[0][1] == want
    c.logout()


def test_search(server):
    """SEARCH by flag, header, text, size, date and sequence"""
    for n in range(10, 20):
        server.deliver(message(n))
    c = server.imap()
    ok(c.select("INBOX"))

    def search(*keys):
        return [int(x) for x in ok(c.search(None, *keys))[0].split()]

    everything = search("ALL")
    assert len(everything) == 11
    assert len(search("SUBJECT", '"message 13"')) == 1
    assert len(search("FROM", "friend@example.com")) == 10
    assert len(search("TEXT", '"one dot"')) == 10
    assert len(search("BODY", '"two dots"')) == 10
    assert search("LARGER", "100000") == []
    assert len(search("NOT", "SUBJECT", '"message"')) == 1
    assert len(search("OR", "SUBJECT", '"message 11"', "SUBJECT", '"message 12"')) == 2
    assert len(search("SENTON", "2-Nov-2026")) == 10
    ok(c.store("1:3", "+FLAGS", r"(\Flagged)"))
    assert search("FLAGGED") == [1, 2, 3]
    assert len(search("UNFLAGGED", "2:*")) == 8
    c.literal = "ligne".encode()
    typ, data = c.search("UTF-8", "TEXT")
    assert typ == "OK" and len(data[0].split()) == 10, data
    c.logout()


def test_move_copy(server):
    """COPY and MOVE keep the message; the source is as the RFCs want it"""
    c = server.imap()
    ok(c.select("INBOX"))
    n = len(ok(c.search(None, "ALL"))[0].split())
    ok(c.create("Keep"))
    ok(c.copy("1:2", "Keep"))
    uid = ok(c.uid("SEARCH", "ALL"))[0].split()[0].decode()
    ok(c.uid("MOVE", uid, "Keep"))
    assert len(ok(c.search(None, "ALL"))[0].split()) == n - 1
    ok(c.select("Keep"))
    assert len(ok(c.search(None, "ALL"))[0].split()) == 3
    assert c.copy("1", "Nowhere")[0] == "NO"
    ok(c.store("1:2", "+FLAGS", r"(\Deleted)"))
    ok(c.expunge())
    assert len(ok(c.search(None, "ALL"))[0].split()) == 1
    ok(c.close())
    ok(c.rename("Keep", "Kept/Deep"))
    names = b"\n".join(ok(c.list()))
    assert b"Kept/Deep" in names and b"Keep\n" not in names + b"\n", names
    ok(c.delete("Kept/Deep"))
    ok(c.delete("Kept"))
    c.logout()


def idle_lines(c, action, seconds, until):
    """Sends IDLE, does action, gathers untagged lines until one holds `until`, ends with DONE."""
    tag = c._new_tag()
    c.send(tag + b" IDLE\r\n")
    assert c.readline().startswith(b"+")
    action()
    c.sock.settimeout(seconds)
    lines = []
    while True:
        line = c.readline()
        lines.append(line)
        if until in line:
            break
    c.send(b"DONE\r\n")
    while not c.readline().startswith(tag):
        pass
    return lines


def test_two_clients(server):
    """two clients on one mailbox see each other's flags, expunges and new mail; IDLE is told at once"""
    a, b = server.imap(), server.imap()
    ok(a.select("INBOX"))
    ok(b.select("INBOX"))
    n = len(ok(b.search(None, "ALL"))[0].split())
    ok(a.store("2", "+FLAGS", r"(\Answered)"))
    ok(b.noop())
    data = b.response("FETCH")[1]
    assert any(x and rb"\Answered" in x for x in data), data
    ok(a.store("1", "+FLAGS", r"(\Deleted)"))
    ok(a.expunge())
    ok(b.noop())
    assert b.response("EXPUNGE")[1] == [b"1"]
    assert len(ok(b.search(None, "ALL"))[0].split()) == n - 1
    lines = idle_lines(b, lambda: server.deliver(message(77)), 20, b"EXISTS")
    assert f"* {n} EXISTS".encode() in b"".join(lines), lines
    a.logout()
    b.logout()


def test_starttls(server):
    """STARTTLS on 143 gives the same mailbox"""
    c = imaplib.IMAP4("localhost", server.ports["imap"], timeout=60)
    c.starttls(server.tls())
    c.login(server.user, server.password)
    ok(c.select("INBOX"))
    c.logout()


def test_unicode_mailbox(server):
    """a mailbox name in modified UTF-7 keeps its letters"""
    c = server.imap()
    ok(c.create('"Entw&APw-rfe"'))
    assert b"Entw&APw-rfe" in b"\n".join(ok(c.list()))
    names = [m["mailbox"] for m in server.cli("mailbox", "list", server.user)]
    assert "Entwürfe" in names, names
    ok(c.delete('"Entw&APw-rfe"'))
    c.logout()


def test_pop3(server):
    """POP3 lists, reads, tops and deletes at QUIT only"""
    def login():
        p = poplib.POP3_SSL("localhost", server.ports["pop3s"], context=server.tls(), timeout=60)
        p.user(server.user)
        p.pass_(server.password)
        return p
    p = login()
    count, size = p.stat()
    listed = [x.split() for x in p.list()[1]]
    assert len(listed) == count and sum(int(s) for _, s in listed) == size
    uids = {x.split()[1] for x in p.uidl()[1]}
    assert len(uids) == count
    last = b"\r\n".join(p.retr(count)[1]) + b"\r\n"
    assert digest(without_trace(last)) == digest(message(77))
    assert len(last) == int(listed[-1][1])
    top = p.top(count, 1)[1]
    assert top[-1].startswith(b"..two dots") or top[-1].startswith(b".two"), top[-1]
    p.dele(1)
    p.rset()
    assert p.stat() == (count, size)
    p.dele(1)
    p.close()  # no QUIT: nothing is deleted
    p = login()
    assert p.stat()[0] == count
    p.dele(1)
    p.quit()
    p = login()
    assert p.stat()[0] == count - 1
    assert {x.split()[1] for x in p.uidl()[1]} < uids
    p.quit()


def test_who_and_kick(server):
    """who shows the session, kick ends it"""
    c = server.imap()
    who = [w for w in server.cli("who") if w["user"] == server.user and w["service"] == "imap"]
    assert who and who[0]["tls"] is True, who
    assert server.cli("kick", server.user)["closed"] >= 1
    wait_for("the session to be gone", lambda: not [w for w in server.cli("who") if w["user"] == server.user])
    try:
        c.noop()
        raise AssertionError("still there")
    except (imaplib.IMAP4.abort, OSError):
        pass


main(test_append_byte_identical, test_search, test_move_copy, test_two_clients, test_starttls, test_unicode_mailbox, test_pop3,
     test_who_and_kick)
