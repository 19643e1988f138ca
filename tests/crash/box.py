"""box.py — where the crash kit's server lives: its data directory (plain, on an ext4 in a file, on a tmpfs), its process.

Ext4 and Tmpfs need root and loop devices; their absence raises Skip, which the test prints."""
import ctypes
import fcntl
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "clients"))
from harness import FACTEUR, ROOT, Skip, need  # noqa: E402, F401

EXT4_IOC_SHUTDOWN = 0x8004587D
NOLOGFLUSH = 2
# MD5-CRYPT of "secret": a login must not cost a cycle its time (what verifiers cost is another test's business).
SECRET, VERIFIER = "secret", "$1$kit$IGM9NJkHtCoyJSF9BinwV0"


def kit_base():
    """Like free_base(), in a range of its own: the ports are free for a moment in each cycle, and nobody else shall take them."""
    for _ in range(200):
        base = random.randrange(1200, 9000)
        if is_free(base):
            return base
    raise RuntimeError("no free ports")


def is_free(base):
    try:
        for p in (25, 110, 143, 465, 587, 993, 995):
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                s.bind(("127.0.0.1", base + p))
        return True
    except OSError:
        return False


class Box:
    """A directory with data/ in it and a server on it."""

    def __init__(self, accounts, domain="kit.example", config=""):
        self.work = tempfile.mkdtemp(prefix="facteur-crash-", dir=os.environ.get("CRASH_DIR") or self.parent())
        self.place = os.path.join(self.work, "place")
        os.mkdir(self.place)
        self.process = None
        self.base = kit_base()
        self.config = config
        self.users = [f"{a}@{domain}" for a in accounts]
        self.domain = domain
        self.log_path = os.path.join(self.work, "log")
        self.mount()

    def parent(self):
        return None

    def mount(self):
        pass

    def unmount(self):
        pass

    def make(self):
        """The store and its accounts."""
        self.cli("domain", "add", self.domain)
        path = os.path.join(self.work, "passwd")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"{u}:{{MD5-CRYPT}}{VERIFIER}\n" for u in self.users)
        self.cli("user", "import", path)
        return self

    @property
    def data(self):
        return os.path.join(self.place, "data")

    def cli(self, *args, check=True):
        p = subprocess.run([FACTEUR, "--data", self.data, "--json", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=120, check=False)
        if check and p.returncode != 0:
            raise AssertionError(f"facteur {args}: {p.returncode} {p.stderr.decode()}")
        return p

    def start(self, env=None, seconds=60):
        """Runs the server until it answers; what it says on standard error goes to work/log."""
        if not is_free(self.base):
            self.base = kit_base()
        conf = []
        if self.config:
            path = os.path.join(self.work, "facteur.conf")
            with open(path, "w", encoding="ascii") as f:
                f.write(self.config)
            conf = ["--config", path]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen([FACTEUR, "serve", *conf, "--data", self.data, "--listen", "127.0.0.1", "--base",
                                             str(self.base), "--hostname", "localhost"], stderr=log, stdin=subprocess.DEVNULL,
                                            env=dict(os.environ, **(env or {})))
        deadline = time.monotonic() + seconds
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.base + 995), timeout=5).close()
                return self
            except OSError:
                pass
            if self.process.poll() is not None:
                raise AssertionError(f"the server did not start ({self.process.returncode}): {self.log()[-1500:]}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the server does not listen after {seconds} s: {self.log()[-1500:]}")
            time.sleep(0.003)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)

    def term(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def log(self):
        if not os.path.exists(self.log_path):
            return ""
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()

    def remove(self, keep=False):
        self.kill()
        if keep:
            print("kept:", self.work)
            return
        self.unmount()
        shutil.rmtree(self.work, ignore_errors=True)


def quiet(*args):
    return subprocess.run(args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)


def private_mounts():
    """A mount namespace of our own: nobody else keeps what we unmount, and nothing stays mounted when we end."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(0x20000) != 0:  # CLONE_NEWNS
        raise Skip("mounting takes root")
    if libc.mount(b"none", b"/", None, 0x44000, None) != 0:  # MS_REC | MS_PRIVATE
        raise Skip("no mount namespace of our own")


class Ext4(Box):
    """place is an ext4 in a file; cut() ends it as a power cut does: what no sync has brought to the disk is gone."""

    size = os.environ.get("CUT_IMAGE", "1G")

    def parent(self):
        """The image in memory, where there is enough: cycles are quicker, and what a cut loses is the same."""
        return "/dev/shm" if os.path.isdir("/dev/shm") and free("/dev/shm") > 4 << 30 else None

    def mount(self):
        for program in ("mkfs.ext4", "mount", "umount"):
            need(program)
        self.image = os.path.join(self.work, "image")
        if not os.path.exists(self.image):
            private_mounts()
            quiet("truncate", "-s", self.size, self.image)
            p = quiet("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
            if p.returncode:
                raise Skip(f"mkfs.ext4: {p.stdout.decode()}")
        p = quiet("mount", "-o", "loop", self.image, self.place)
        if p.returncode:
            raise Skip(f"no loop device: {p.stdout.decode().strip()}")

    def unmount(self):
        p = quiet("umount", self.place)
        return p.returncode == 0

    def cut(self, freeze):
        """freeze: the server is stopped (SIGSTOP) first, so that every answer it gave was given before the cut. Else it meets
        the errors of a disk that goes away; then answers given after the beginning do not count: an fdatasync that is under way
        when Linux shuts an ext4 down may return 0 without having written (the commit of the aborted journal ends, and
        jbd2_complete_transaction finds nothing left to wait for)."""
        if freeze:
            self.freeze()
        fd = os.open(self.place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
        finally:
            os.close(fd)

    def freeze(self):
        """No thread runs any more when it returns (SIGSTOP alone takes its time on a busy machine); one that is in a system
        call (D) does not come out of it."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = f"/proc/{self.process.pid}/task"
        deadline = time.monotonic() + 20
        while any(state(f"{tasks}/{t}/stat") not in "TtD" for t in os.listdir(tasks)):
            assert time.monotonic() < deadline, "the server cannot be stopped"
            time.sleep(0.0005)

    def again(self):
        """Power is back: the journal is replayed."""
        deadline = time.monotonic() + 10
        while not self.unmount():
            assert time.monotonic() < deadline, "umount: busy"
            time.sleep(0.01)
        self.mount()


def state(path):
    """T for a thread that is stopped."""
    with open(path, encoding="ascii", errors="replace") as f:
        return f.read().rpartition(")")[2].split()[0]


class Tmpfs(Box):
    """place is a tmpfs of its own."""

    size = "500m"

    def mount(self):
        private_mounts()
        p = quiet("mount", "-t", "tmpfs", "-o", f"size={self.size}", "none", self.place)
        if p.returncode:
            raise Skip(f"no tmpfs: {p.stdout.decode().strip()}")

    def unmount(self):
        quiet("umount", self.place)


def free(path):
    v = os.statvfs(path)
    return v.f_bavail * v.f_frsize

