#!/usr/bin/env python3
"""What must be refused is refused with the right code, and the log says why."""
import imaplib
import poplib
import smtplib

from harness import main, message, wait_for


def logged(server, *words):
    wait_for(f"a log line with {words}", lambda: any(all(w in line for w in words)
                                                     for line in server.log().splitlines()))


def submission(server):
    s = smtplib.SMTP("localhost", server.ports["submission"], timeout=60)
    s.ehlo("client.example.com")
    return s


def test_wrong_password(server):
    """a wrong password: 535 5.7.8, NO [AUTHENTICATIONFAILED], -ERR [AUTH]"""
    with smtplib.SMTP_SSL("localhost", server.ports["submissions"], context=server.tls(), timeout=60) as s:
        try:
            s.login(server.user, "wrong-one")
            raise AssertionError("logged in")
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code == 535 and b"5.7.8" in e.smtp_error, e
    c = imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=server.tls(), timeout=60)
    try:
        c.login(server.user, "wrong-two")
        raise AssertionError("logged in")
    except imaplib.IMAP4.error as e:
        assert "AUTHENTICATIONFAILED" in str(e), e
    c.logout()
    p = poplib.POP3_SSL("localhost", server.ports["pop3s"], context=server.tls(), timeout=60)
    p.user(server.user)
    try:
        p.pass_("wrong-three")
        raise AssertionError("logged in")
    except poplib.error_proto as e:
        assert "[AUTH]" in str(e), e
    p.quit()
    for proto in ("smtp.auth.refused", "imap.login.refused", "pop3.login.refused"):
        logged(server, f"event={proto}", "wrong password", server.user)


def test_unknown_user(server):
    """an unknown user gets the same answer as a wrong password; the log knows the difference"""
    with smtplib.SMTP_SSL("localhost", server.ports["submissions"], context=server.tls(), timeout=60) as s:
        try:
            s.login("nobody@try.example", "wrong-one")
            raise AssertionError("logged in")
        except smtplib.SMTPAuthenticationError as e:
            assert e.smtp_code == 535 and b"5.7.8" in e.smtp_error, e
    logged(server, "event=smtp.auth.refused", "unknown user", "nobody@try.example")


def test_unknown_recipient(server):
    """an unknown recipient: 550 5.1.1"""
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        s.mail("friend@example.com")
        code, text = s.rcpt("nobody@try.example")
        assert code == 550 and text.startswith(b"5.1.1"), (code, text)
    logged(server, "event=smtp.rcpt.refused", "nobody@try.example", "reason=")


def test_relay(server):
    """a foreign recipient without login: 550 5.7.1, on 25 and on 587"""
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        s.mail("friend@example.com")
        code, text = s.rcpt("someone@elsewhere.example")
        assert code == 550 and text.startswith(b"5.7.1"), (code, text)
    logged(server, "event=smtp.rcpt.refused", "someone@elsewhere.example", "reason=")
    with submission(server) as s:
        s.starttls(context=server.tls())
        s.ehlo("client.example.com")
        code, text = s.mail(server.user)
        assert code == 530 and text.startswith(b"5.7.0"), (code, text)
    assert server.cli("queue", "list") == []


def test_auth_before_tls(server):
    """AUTH before TLS on 587 is refused and not offered"""
    with submission(server) as s:
        assert not s.has_extn("auth"), s.esmtp_features
        code, text = s.docmd("AUTH", "PLAIN AGFAYgBj")
        assert code in (530, 538) and text.startswith(b"5.7."), (code, text)
    logged(server, "event=smtp.auth.refused", "TLS")


def test_auth_on_25(server):
    """port 25 offers no AUTH"""
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        s.starttls(context=server.tls())
        s.ehlo("client.example.com")
        assert not s.has_extn("auth")


def test_login_before_tls(server):
    """IMAP says LOGINDISABLED and POP3 refuses USER before TLS"""
    c = imaplib.IMAP4("localhost", server.ports["imap"], timeout=60)
    assert "LOGINDISABLED" in c.capabilities, c.capabilities
    try:
        c.login(server.user, server.password)
        raise AssertionError("logged in")
    except imaplib.IMAP4.error:
        pass
    c.starttls(server.tls())
    c.login(server.user, server.password)
    c.logout()
    p = poplib.POP3("localhost", server.ports["pop3"], timeout=60)
    try:
        p.user(server.user)
        raise AssertionError("USER taken in the clear")
    except poplib.error_proto as e:
        assert "TLS" in str(e), e
    p.stls(server.tls())
    p.user(server.user)
    p.pass_(server.password)
    p.quit()


def test_foreign_sender(server):
    """a submission as somebody else: 5.7.1"""
    with submission(server) as s:
        s.starttls(context=server.tls())
        s.login(server.user, server.password)
        code, text = s.mail(server.user2)
        if code == 250:
            code, text = s.rcpt(server.user)
        assert code in (550, 553) and text.startswith(b"5.7.1"), (code, text)


def test_disabled(server):
    """a disabled account: no login, no mail; enabled again it has both"""
    server.cli("user", "disable", server.user2)
    try:
        server.imap(server.user2, server.password2)
        raise AssertionError("logged in")
    except imaplib.IMAP4.error:
        pass
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        s.mail("friend@example.com")
        code, text = s.rcpt(server.user2)
        assert code == 550 and text.startswith(b"5.2.1"), (code, text)
    server.cli("user", "enable", server.user2)
    server.imap(server.user2, server.password2).logout()


def test_postmaster(server):
    """<Postmaster>, postmaster@ and abuse@ are taken for the admin"""
    before = len(server.fetch_all())
    with smtplib.SMTP("localhost", server.ports["smtp"], timeout=60) as s:
        s.ehlo("client.example.com")
        for to in ("Postmaster", "postmaster@try.example", "Abuse@try.example"):
            s.mail("")
            code, text = s.docmd("RCPT", f"TO:<{to}>")
            assert code == 250, (to, code, text)
            code, text = s.data(message(900))
            assert code == 250, text
    assert len(server.fetch_all()) == before + 3


main(test_wrong_password, test_unknown_user, test_unknown_recipient, test_relay, test_auth_before_tls, test_auth_on_25,
     test_login_before_tls, test_foreign_sender, test_disabled, test_postmaster)
