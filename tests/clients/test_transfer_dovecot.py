#!/usr/bin/env python3
"""Dovecot and facteur on the same Maildir: Dovecot takes over what export wrote, import reads what Dovecot wrote.

Dovecot need not be installed: FACTEUR_DOVECOT names a directory with its packages unpacked
(dpkg -x dovecot-core_….deb DIR; dpkg -x dovecot-imapd_….deb DIR), laid over /usr in a mount namespace of its own."""
import os
import re
import shutil
import subprocess

from harness import Skip
from system import run_tests
from test_transfer import ANN, BOB, Mail, make_maildir, maildir

CONF = """mail_location = maildir:%s
base_dir = %s
state_dir = %s
log_path = /dev/stderr
mail_uid = nobody
mail_gid = nogroup
first_valid_uid = 0
first_valid_gid = 0
default_internal_user = nobody
default_login_user = nobody
default_internal_group = nogroup
namespace inbox {
 inbox = yes
 separator = /
}
"""


class Dovecot:
    """Its imap process on a Maildir, logged in, spoken to on a pipe."""

    def __init__(self, top, home):
        run = os.path.join(top, "dovecot")
        os.makedirs(run, exist_ok=True)
        os.chmod(top, 0o755)
        conf = os.path.join(run, "dovecot.conf")
        with open(conf, "w", encoding="utf-8") as f:
            f.write(CONF % (home, run, run))
        subprocess.run(["chown", "-R", "nobody", home, run], check=True)
        imap = ["/usr/lib/dovecot/imap", "-c", conf]
        if not os.path.exists(imap[0]):
            root = os.environ.get("FACTEUR_DOVECOT")
            if root is None or not os.path.exists(root + imap[0]):
                raise Skip("dovecot is neither installed nor unpacked (FACTEUR_DOVECOT)")
            over = f"mount -t overlay overlay -o lowerdir={root}/usr:/usr /usr && exec \"$@\""
            imap = ["unshare", "-m", "sh", "-c", over, "sh", *imap]
        if os.geteuid() != 0:
            raise Skip("dovecot as another user needs root")
        env = dict(os.environ, USER="nobody", HOME=run)
        self.p = subprocess.Popen(imap, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
        self.tag = 0
        first = self.p.stdout.readline()
        if not first.startswith(b"* PREAUTH"):
            raise Skip("dovecot does not start here: " + repr(first))

    def ask(self, command, literal=None):
        self.tag += 1
        tag = f"t{self.tag} ".encode()
        line = tag + command.encode() + (f" {{{len(literal)}+}}".encode() if literal is not None else b"") + b"\r\n"
        self.p.stdin.write(line + (literal + b"\r\n" if literal is not None else b""))
        self.p.stdin.flush()
        out = []
        while True:
            got = self.p.stdout.readline()
            assert got, (command, out)
            if got.startswith(tag):
                assert got.startswith(tag + b"OK"), (command, got)
                return b"".join(out).decode()
            out.append(got)

    def close(self):
        self.ask("LOGOUT")
        self.p.stdin.close()
        self.p.wait(30)


def listing(text):
    """{uid: (flags, date, size)}"""
    rows = re.findall(r"\(UID (\d+) FLAGS \(([^)]*)\) INTERNALDATE \"([^\"]+)\" RFC822.SIZE (\d+)\)", text)
    return {int(u): (tuple(sorted(x for x in f.split() if x != "\\Recent")), d, int(n)) for u, f, d, n in rows}


FETCH = "UID FETCH 1:* (FLAGS INTERNALDATE RFC822.SIZE)"


def test_dovecot_takes_over():
    """what export wrote is Dovecot's: UIDs, UIDVALIDITY, flags, keywords, dates, sizes, subscriptions"""
    with Mail() as s:
        src, out = s.path("src"), s.path("out")
        make_maildir(src, 90)
        s.good("import", ANN, "--from", src, "--keep-uids")
        s.good("export", ANN, "--to", out)
        before = Dovecot(s.top, src)
        after = Dovecot(s.top, out)
        for box in ("INBOX", "Sent", "Work/2026", "&AOk-t&AOk-/v1%2e2"):
            a, b = before.ask(f'SELECT "{box}"'), after.ask(f'SELECT "{box}"')
            for what in ("UIDVALIDITY", "UIDNEXT"):
                assert re.search(what + r" (\d+)", a)[1] == re.search(what + r" (\d+)", b)[1], (box, a, b)
            x, y = listing(before.ask(FETCH)), listing(after.ask(FETCH))
            assert len(x) == 90 and x == y, (box, sorted(set(x.items()) ^ set(y.items()))[:6])
        assert "Work/2026" in after.ask('LSUB "" *')
        before.close()
        after.close()


def test_what_dovecot_wrote():
    """what Dovecot wrote comes in, and goes out as it was"""
    with Mail() as s:
        home, out = s.path("home"), s.path("out")
        os.makedirs(home)
        d = Dovecot(s.top, home)
        d.ask("CREATE Projets/&AOk-t&AOk-")
        d.ask("SUBSCRIBE Projets/&AOk-t&AOk-")
        for box in ("INBOX", "Projets/&AOk-t&AOk-"):
            for i in range(40):
                flags = ("", "\\Seen", "\\Flagged $Forwarded", "\\Answered work", "\\Draft \\Deleted")[i % 5]
                d.ask(f'APPEND "{box}" ({flags}) "0{i % 9 + 1}-Feb-2019 10:00:{i:02d} +0100"',
                      f"Subject: {box} {i}\r\n\r\nFrom {i}\r\n.\r\n".encode())
            d.ask(f'SELECT "{box}"')
            d.ask("STORE 3:5 +FLAGS (later)")
            d.ask("STORE 10:12 +FLAGS (\\Deleted)")
            d.ask("EXPUNGE")
        wanted = listing(d.ask(FETCH))
        d.close()
        assert len(wanted) == 30, len(wanted)
        r = s.good("import", BOB, "--from", home, "--keep-uids")
        assert r["imported"] == 60 and r["refused"] == [], r
        assert s.boxes(BOB)["Projets/été"]["subscribed"]
        s.good("export", BOB, "--to", out)
        assert maildir(out) == maildir(home)
        again = Dovecot(s.top, out)
        again.ask('SELECT "Projets/&AOk-t&AOk-"')
        assert listing(again.ask(FETCH)) == wanted
        again.close()
        shutil.rmtree(out)


if __name__ == "__main__":
    run_tests({k: v for k, v in globals().items() if k in ("test_dovecot_takes_over", "test_what_dovecot_wrote")})
