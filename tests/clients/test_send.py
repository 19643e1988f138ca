#!/usr/bin/env python3
"""swaks, msmtp and curl send over 25, 587 (STARTTLS) and 465; what arrives is byte-identical."""
import os
import tempfile

from harness import digest, main, message, need, run, without_trace


def arrived(server, n, user=None, password=None):
    """The stored message n without our trace lines."""
    for _, _, data in server.fetch_all(user, password):
        if f"Subject: message {n}\r\n".encode() in data:
            return data
    raise AssertionError(f"message {n} has not arrived")


def same(server, n, sent):
    got = without_trace(arrived(server, n))
    assert digest(got) == digest(sent), (got, sent)


def put(data):
    f = tempfile.NamedTemporaryFile(suffix=".eml", delete=False)
    f.write(data)
    f.close()
    return f.name


def swaks(server, n, *args):
    need("swaks")
    sent = message(n)
    # swaks takes the body as it is; it wants lines of LF and sends CRLF
    path = put(sent.replace(b"\r\n", b"\n").rstrip(b"\n"))
    run("swaks", "--helo", "client.example.com", "--from", "friend@example.com", "--to", server.user, "--data", "@" + path,
        "--tls-ca-path", server.ca, "--tls-verify", *args)
    os.unlink(path)
    got = without_trace(arrived(server, n))
    assert got.rstrip(b"\r\n") == sent.rstrip(b"\r\n"), (got, sent)


def test_swaks_25(server):
    """swaks delivers on port 25"""
    swaks(server, 1, "--server", "localhost", "--port", str(server.ports["smtp"]))


def test_swaks_25_starttls(server):
    """swaks delivers on port 25 with STARTTLS"""
    swaks(server, 2, "--server", "localhost", "--port", str(server.ports["smtp"]), "--tls")


def test_swaks_587(server):
    """swaks submits on 587 with STARTTLS and AUTH PLAIN"""
    swaks(server, 3, "--server", "localhost", "--port", str(server.ports["submission"]), "--tls", "--auth", "PLAIN",
          "--auth-user", server.user2, "--auth-password", server.password2, "--from", server.user2)


def test_swaks_465(server):
    """swaks submits on 465 with AUTH LOGIN"""
    swaks(server, 4, "--server", "localhost", "--port", str(server.ports["submissions"]), "--tls-on-connect", "--auth",
          "LOGIN", "--auth-user", server.user2, "--auth-password", server.password2, "--from", server.user2)


def msmtp(server, n, port, starttls):
    need("msmtp")
    sent = message(n)
    run("msmtp", "--host=localhost", f"--port={port}", "--auth=plain", f"--user={server.user2}",
        f"--passwordeval=echo {server.password2}", "--tls=on", f"--tls-starttls={starttls}",
        f"--tls-trust-file={server.ca}", f"--from={server.user2}", "--file=/dev/null", server.user,
        stdin=sent.replace(b"\r\n", b"\n"))
    same(server, n, sent)


def test_msmtp_587(server):
    """msmtp submits on 587"""
    msmtp(server, 5, server.ports["submission"], "on")


def test_msmtp_465(server):
    """msmtp submits on 465"""
    msmtp(server, 6, server.ports["submissions"], "off")


def test_msmtp_25(server):
    """msmtp delivers on 25 without login"""
    need("msmtp")
    sent = message(7)
    run("msmtp", "--host=localhost", f"--port={server.ports['smtp']}", "--auth=off", "--tls=off",
        "--from=friend@example.com", "--file=/dev/null", server.user, stdin=sent.replace(b"\r\n", b"\n"))
    same(server, 7, sent)


def curl(server, n, url, *args, sender="friend@example.com"):
    need("curl")
    sent = message(n)
    path = put(sent)
    run("curl", "-sS", "--max-time", "30", "--cacert", server.ca, "--mail-from", sender, "--mail-rcpt", server.user,
        "--upload-file", path, *args, url)
    os.unlink(path)
    same(server, n, sent)


def test_curl_25(server):
    """curl delivers on 25"""
    curl(server, 8, f"smtp://localhost:{server.ports['smtp']}/client.example.com")


def test_curl_587(server):
    """curl submits on 587"""
    curl(server, 9, f"smtp://localhost:{server.ports['submission']}/client.example.com", "--ssl-reqd", "--user",
         f"{server.user2}:{server.password2}", sender=server.user2)


def test_curl_465(server):
    """curl submits on 465"""
    curl(server, 10, f"smtps://localhost:{server.ports['submissions']}/client.example.com", "--user",
         f"{server.user2}:{server.password2}", sender=server.user2)


def test_curl_reads(server):
    """curl lists and reads over imaps and pop3s"""
    imap, pop = server.ports["imaps"], server.ports["pop3s"]
    auth = ("--cacert", server.ca, "--user", f"{server.user}:{server.password}", "-sS", "--max-time", "30")
    _, text = run("curl", *auth, f"imaps://localhost:{imap}/")
    assert "INBOX" in text and "Sent" in text, text
    _, text = run("curl", *auth, f"imaps://localhost:{imap}/INBOX;MAILINDEX=1")
    assert "Welcome to Facteur" in text, text
    _, text = run("curl", *auth, f"pop3s://localhost:{pop}/1")
    assert "Welcome to Facteur" in text, text


def test_trace_lines(server):
    """Return-Path, Delivered-To and Received stand in front of a delivered message"""
    data = arrived(server, 1)
    head = data.split(b"\r\n\r\n")[0].decode()
    assert head.startswith("Return-Path: <friend@example.com>\r\n"), head
    assert f"Delivered-To: {server.user}" in head, head
    assert "Received: from client.example.com" in head, head


def test_foreign_submission_waits(server):
    """a submission to another domain is queued and shown as waiting"""
    need("curl")
    path = put(message(11))
    run("curl", "-sS", "--max-time", "30", "--cacert", server.ca, "--mail-from", server.user2, "--mail-rcpt",
        "someone@elsewhere.example", "--user", f"{server.user2}:{server.password2}", "--upload-file", path,
        f"smtps://localhost:{server.ports['submissions']}/client.example.com")
    os.unlink(path)
    queue = server.cli("queue", "list")
    assert [q for q in queue if q["to"] == ["someone@elsewhere.example"] and q["state"] == "waiting"], queue


main(test_swaks_25, test_swaks_25_starttls, test_swaks_587, test_swaks_465, test_msmtp_587, test_msmtp_465, test_msmtp_25,
     test_curl_25, test_curl_587, test_curl_465, test_curl_reads, test_trace_lines, test_foreign_submission_waits)
