#!/usr/bin/env python3
"""A store of every released format is opened, told in the log when it is of an older one, and holds what it held."""
import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys

from harness import ROOT
from system import System, run_tests

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
            for _ in range(2):  # the second time it is of today's format
                s.start()
                assert make.listing(s, passwords) == expected, number
                assert s.stop() == 0
            print("   format", number, "holds", sum(len(m["messages"]) for a in expected.values() for m in a["mailboxes"].values()))


if __name__ == "__main__":
    run_tests(globals())
