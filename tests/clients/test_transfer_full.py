#!/usr/bin/env python3
"""facteur export into a file system that fills up (a small tmpfs, which needs root)."""
import os
import shutil

from harness import Skip, run
from system import TEMPFAIL, run_tests
from test_transfer import ANN, Mail, make_maildir, maildir


def test_full_target():
    """a full disk stops the export; what is there is whole, and with room the same command goes on"""
    if os.geteuid() != 0:
        raise Skip("a small file system needs root")
    with Mail() as s:
        src, small = s.path("src"), s.path("small")
        make_maildir(src, 2500, folders=("",), size=1500)
        s.good("import", ANN, "--from", src)
        os.mkdir(small)
        if run("mount", "-t", "tmpfs", "-o", "size=6m", "none", small, check=False)[0] != 0:
            raise Skip("a small file system cannot be mounted here")
        try:
            for kind, size in (("maildir", "6m"), ("mbox", "3m")):
                to = os.path.join(small, kind)
                run("mount", "-o", "remount,size=" + size, small)
                s.hears("export", ANN, "--format", kind, "--to", to, says="No space left", code=TEMPFAIL)
                run("mount", "-o", "remount,size=64m", small)
                r = s.good("export", ANN, "--format", kind, "--to", to)
                assert r["ok"] and r["mailboxes"][0]["messages"] == 2500, r
                if kind == "maildir":
                    assert maildir(to) == maildir(src)
                shutil.rmtree(to)
        finally:
            run("umount", small)


if __name__ == "__main__":
    run_tests({"test_full_target": test_full_target})
