#!/usr/bin/env python3
"""A store of every released format is opened, told in the log when it is of an older one, and holds what it held."""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys

from harness import ROOT
from system import OK, System, run_tests

TODAY = "2"  # KV_FORMAT
FORMATS = os.path.join(ROOT, "tests", "formats")


def load_make():
    """tests/formats/make, for its listing(): what was packed and what is found are looked at by the same eyes."""
    loader = importlib.machinery.SourceFileLoader("formats_make", os.path.join(FORMATS, "make"))
    spec = importlib.util.spec_from_loader("formats_make", loader)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    loader.exec_module(module)
    return module


make = load_make()


def unpack(system, number):
    subprocess.run(["tar", "-C", system.top, "-xzf", os.path.join(FORMATS, number, "data.tar.gz")], check=True)


def numbers():
    found = sorted(n for n in os.listdir(FORMATS) if os.path.exists(os.path.join(FORMATS, n, "data.tar.gz")))
    assert found, "no packed store"
    return found


def test_every_format():
    """Every packed format opens; mailboxes, UIDs, flags, dates and bodies are as they were, twice."""
    for number in numbers():
        with System() as s:
            unpack(s, number)
            with open(os.path.join(FORMATS, number, "listing.json"), encoding="utf-8") as f:
                expected = json.load(f)
            passwords = {a: v["password"] for a, v in expected.items()}
            for again in range(2):  # the second time it is of today's format
                s.start()
                told = "event=store.upgraded" in s.log() or '"store.upgraded"' in s.log()
                assert told == (number != TODAY), s.log()
                assert make.listing(s, passwords) == expected, number
                assert s.stop() == 0
                assert s.log().count("store.upgraded") == (number != TODAY), (again, s.log())
            print("   format", number, "holds", sum(len(m["messages"]) for a in expected.values() for m in a["mailboxes"].values()))


def facts(top):
    """Every file below top but the engine's own log of events and its lock: size, time, octets."""
    out = {}
    for folder, _, names in os.walk(top):
        for name in names:
            if not name.startswith("LOG") and name != "LOCK" and not name.endswith(".lock"):
                path = os.path.join(folder, name)
                with open(path, "rb") as f:
                    out[path] = (os.stat(path).st_mtime_ns, f.read())
    return out


def refused(s, says):
    """serve and an offline command say the same one sentence and leave the store as it is."""
    store = os.path.join(s.data, "store")
    before = facts(store)
    for command in (("serve", "--listen", "127.0.0.1", "--base", "19000"), ("user", "list")):
        rc, out, err = s.run(*command)
        assert rc != OK and says in err and err.count("\n") <= 1, (command, rc, out, err)
        assert facts(store) == before, command


def test_refusals():
    """A newer, a foreign and a truncated store are refused with one sentence and left untouched."""
    with System() as s:
        unpack(s, TODAY)
        fmt = os.path.join(s.data, "store", "FORMAT")
        with open(fmt, "rb") as f:
            good = f.read()
        for text, says in ((b"facteur store 3\n", "newer Facteur"), (b"hello\n", "not a store of Facteur"), (b"", "not a store of Facteur"),
                           (good[:40], "is cut short")):
            with open(fmt, "wb") as f:
                f.write(text)
            refused(s, says)
        with open(fmt, "wb") as f:
            f.write(good)
        current = os.path.join(s.data, "store", "meta", "CURRENT")
        os.rename(current, current + ".away")
        refused(s, "is not complete: meta/CURRENT is missing")
        os.rename(current + ".away", current)
        s.start()
        assert s.stop() == 0


if __name__ == "__main__":
    run_tests(globals())
