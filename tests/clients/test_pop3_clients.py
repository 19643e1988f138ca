#!/usr/bin/env python3
"""getmail6 and fetchmail download over 995 with keep and with delete; messages stay byte-identical."""
import os
import shutil
import tempfile

from harness import digest, main, message, need, run, without_trace


def as_user(*paths):
    """getmail refuses to deliver as root: root hands the paths to nobody and becomes nobody for the command."""
    if os.geteuid() != 0:
        return []
    for path in paths:
        for top, dirs, files in os.walk(path):
            for name in [top] + [os.path.join(top, x) for x in dirs + files]:
                os.chown(name, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def maildir_contents(path):
    out = []
    for sub in ("cur", "new"):
        for name in os.listdir(os.path.join(path, sub)):
            with open(os.path.join(path, sub, name), "rb") as f:
                out.append(f.read())
    return out


def make_maildir():
    d = tempfile.mkdtemp(prefix="maildir-")
    for sub in ("cur", "new", "tmp"):
        os.mkdir(os.path.join(d, sub))
    return d


def getmail(server, maildir, delete):
    need("getmail")
    conf = tempfile.mkdtemp(prefix="getmail-")
    with open(os.path.join(conf, "rc"), "w", encoding="ascii") as f:
        f.write(f"""[retriever]
type = SimplePOP3SSLRetriever
server = localhost
port = {server.ports['pop3s']}
username = {server.user}
password = {server.password}
ca_certs = {conf}/ca.pem

[destination]
type = Maildir
path = {maildir}/

[options]
delete = {str(delete).lower()}
read_all = false
delivered_to = false
received = false
""")
    shutil.copy(server.ca, conf + "/ca.pem")
    prefix = as_user(conf, maildir)
    return lambda: run(*prefix, "getmail", f"--getmaildir={conf}", "--rcfile=rc", env={"HOME": conf}, cwd=conf)


def check_all(maildir, numbers):
    """Every message n is there once, as it was sent."""
    got = [digest(without_trace(m.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))) for m in maildir_contents(maildir)]
    for n in numbers:
        assert got.count(digest(message(n))) == 1, (n, len(got))


def test_getmail_keep(server):
    """getmail keeps mail on the server and takes each message once"""
    for n in range(10):
        server.deliver(message(n))
    d = make_maildir()
    go = getmail(server, d, delete=False)
    go()
    check_all(d, range(10))
    assert len(maildir_contents(d)) == 11
    server.deliver(message(10))
    go()
    check_all(d, range(11))
    assert len(maildir_contents(d)) == 12
    assert len(server.fetch_all()) == 12


def fetchmail(server, maildir, *options):
    need("fetchmail")
    home = tempfile.mkdtemp(prefix="fetchmail-")
    deliver = os.path.join(home, "deliver")
    with open(deliver, "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\nexec cat >"$(mktemp {maildir}/new/XXXXXXXXXX)"\n')
    os.chmod(deliver, 0o700)
    rc = os.path.join(home, "rc")
    with open(rc, "w", encoding="ascii") as f:
        f.write(f'poll localhost protocol POP3 port {server.ports["pop3s"]} uidl\n'
                f'user "{server.user}" password "{server.password}" ssl sslcertfile "{server.ca}" sslcertck\n'
                f'{" ".join(options)}\n')
    os.chmod(rc, 0o600)

    def go():
        code, text = run("fetchmail", "-f", rc, "-i", os.path.join(home, "ids"), "--pidfile", os.path.join(home, "pid"),
                         "--invisible", "-m", deliver, check=False, env={"HOME": home, "FETCHMAILHOME": home})
        assert code in (0, 1), text  # 1: no new mail
    return go


def test_fetchmail_keep(server):
    """fetchmail keeps mail on the server and takes each message once"""
    d = make_maildir()
    go = fetchmail(server, d, "keep")
    go()
    assert len(maildir_contents(d)) == 12
    go()
    assert len(maildir_contents(d)) == 12
    # fetchmail hands mail on with LF and may end it with one more line end
    got = [without_trace(m.replace(b"\n", b"\r\n")).rstrip() for m in maildir_contents(d)]
    for n in range(11):
        assert message(n).rstrip() in got, n


def test_fetchmail_delete(server):
    """fetchmail with nokeep empties the maildrop"""
    d = make_maildir()
    fetchmail(server, d, "nokeep")()
    assert len(maildir_contents(d)) == 12
    assert server.fetch_all() == []


def test_getmail_delete(server):
    """getmail with delete empties the maildrop"""
    for n in range(20, 30):
        server.deliver(message(n))
    d = make_maildir()
    getmail(server, d, delete=True)()
    check_all(d, range(20, 30))
    assert server.fetch_all() == []


main(test_getmail_keep, test_fetchmail_keep, test_fetchmail_delete, test_getmail_delete)
