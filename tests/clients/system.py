"""system.py — the program itself without ./try: a data directory, the command, and a server on it when it is wanted."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback

from harness import FACTEUR, Skip, free_base, wait_for

PROGRAM = os.environ.get("FACTEUR_PROGRAM", FACTEUR)  # make cov measures one of its own
OK, USAGE, DATAERR, NOINPUT, NOUSER, UNAVAILABLE = 0, 64, 65, 66, 67, 69
CANTCREAT, IOERR, TEMPFAIL, NOPERM, CONFIG = 73, 74, 75, 77, 78  # sysexits.h


class System:
    """A data directory, and a server on it when it is wanted."""

    def __init__(self, program=PROGRAM):
        self.top = tempfile.mkdtemp(prefix="facteur-cli-")
        self.data = os.path.join(self.top, "data")
        self.logfile = os.path.join(self.top, "log")
        self.program = program
        self.process = None

    def run(self, *args, stdin=None, data=None, prefix=(), env=None, timeout=120):
        """(exit code, stdout, stderr)"""
        p = subprocess.run([*prefix, self.program, "--data", data or self.data, *args],
                           input=stdin.encode() if isinstance(stdin, str) else stdin or b"", stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, env=dict(os.environ, **(env or {})))
        return p.returncode, p.stdout.decode(), p.stderr.decode()

    def good(self, *args, **more):
        """The JSON result of a command that must succeed."""
        rc, out, err = self.run("--json", *args, **more)
        assert rc == OK, (args, rc, out, err)
        assert err == "", err
        return json.loads(out)

    def bad(self, code, *args, says="", **more):
        """The command fails with this exit code, one line on stderr, and JSON that says the same."""
        rc, out, err = self.run("--json", *args, **more)
        assert rc == code, (args, rc, out, err)
        assert err.startswith("facteur: ") and err.count("\n") == 1 and says in err, err
        answer = json.loads(out)
        assert answer["ok"] is False and answer["code"] and answer["error"] in err, answer
        return answer["code"]

    def serve(self, *args):
        self.base = free_base()
        with open(self.logfile, "ab") as log:
            self.process = subprocess.Popen([self.program, "serve", "--data", self.data, "--listen", "127.0.0.1", "--base",
                                             str(self.base), "--hostname", "localhost", *args], stderr=log)

    def start(self):
        self.serve()
        wait_for("the server answers", lambda: self.process.poll() is not None or self.run("who")[0] == OK)
        assert self.process.poll() is None, self.log()
        return self

    def stop(self, sig=signal.SIGTERM):
        if self.process is None:
            return 0
        self.process.send_signal(sig)
        rc = self.process.wait(30)
        self.process = None
        return rc

    def log(self):
        with open(self.logfile, encoding="utf-8") as f:
            return f.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.top, ignore_errors=True)


def run_tests(names):
    """Runs what is called test_… in names (globals() of a test file); prints a line each, and the sum."""
    passed = failed = 0
    for name, test in list(names.items()):
        if not name.startswith("test_") or (len(sys.argv) > 1 and name not in sys.argv[1:]):
            continue
        try:
            test()
            passed += 1
            print("ok", test.__doc__, flush=True)
        except Skip as why:
            print(why)
            sys.exit(77)
        except Exception:
            failed += 1
            print("FAILED", test.__doc__)
            traceback.print_exc()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
