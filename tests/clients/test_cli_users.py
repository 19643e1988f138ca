#!/usr/bin/env python3
"""facteur and the other users of the machine: who may ask, and whose the files are."""
import os
import pwd
import shutil

from harness import Skip
from system import DATAERR, NOPERM, System, run_tests


def need_root():
    if os.getuid() != 0:
        raise Skip("only root can become another user")
    if shutil.which("setpriv") is None:
        raise Skip("setpriv is not installed")


def test_another_user():
    """another user of the machine is refused, by the directory and by the socket"""
    need_root()
    with System() as s:
        program = os.path.join(s.top, "facteur")
        shutil.copy(s.program, program)
        os.chmod(program, 0o755)
        os.chmod(s.top, 0o755)
        s.program = program
        s.good("domain", "add", "a.example")
        nobody = pwd.getpwnam("nobody")
        prefix = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
        assert s.bad(NOPERM, "domain", "list", prefix=prefix, says="another user") == "denied"
        s.start()
        assert s.bad(NOPERM, "user", "list", prefix=prefix, says="another user") == "denied"
        os.chmod(s.data, 0o711)
        os.chmod(os.path.join(s.data, "control.sock"), 0o666)
        assert s.bad(NOPERM, "user", "list", prefix=prefix, says="only root and") == "denied"
        assert f"event=control.refused uid={nobody.pw_uid}" in s.log(), s.log()
        assert s.good("user", "list") == []


def test_root_becomes_the_owner():
    """root on another user's directory leaves no files of root behind; the server refuses to start there as root"""
    need_root()
    with System() as s:
        nobody = pwd.getpwnam("nobody")
        os.chmod(s.top, 0o755)
        os.mkdir(s.data, 0o700)
        os.chown(s.data, nobody.pw_uid, nobody.pw_gid)
        s.good("domain", "add", "a.example")
        s.good("user", "add", "ann@a.example", "--generate")
        for folder, folders, files in os.walk(s.data):
            for name in folders + files:
                st = os.lstat(os.path.join(folder, name))
                assert (st.st_uid, st.st_gid) == (nobody.pw_uid, nobody.pw_gid), (folder, name, st)
                assert st.st_mode & 0o077 == 0, (folder, name, oct(st.st_mode))
        s.serve()
        assert s.process.wait(30) == DATAERR and "start the server as that user" in s.log(), s.log()


run_tests(globals())
