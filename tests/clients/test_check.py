#!/usr/bin/env python3
"""facteur check: a byte of a body flipped on the disk, told by name, mended, clean; with the server running and without."""
import glob
import json
import os

from backup_world import ANN, BOB, Load, deliver, everything, good, imap, mail, world
from harness import wait_for
from system import DATAERR, NOUSER, OK, USAGE, run_tests

COUNT = 12


def filled():
    s = world()
    for n in range(COUNT):
        deliver(s, mail(f"ann-{n}"), ANN)
        deliver(s, mail(f"bob-{n}"), BOB)
    return s


def flip(system, text, times=1):
    """Flips a bit behind text wherever the bodies on the disk have it; the server must be down."""
    done = 0
    for path in glob.glob(os.path.join(system.data, "store", "bodies", "*")):
        with open(path, "r+b") as f:
            data = f.read()
            at = data.find(text)
            while at >= 0:
                f.seek(at + len(text) + 40)
                f.write(bytes([data[at + len(text) + 40] ^ 4]))
                done += 1
                at = data.find(text, at + 1)
    assert done == times, (text, done)


def notes(out):
    """What was found, and the summary."""
    lines = [json.loads(x) for x in out.splitlines()]
    assert "exit" in lines[-1], lines[-1]
    return lines[:-1], lines[-1]


def damaged_uid(system):
    """The UID in ann's INBOX of the message that will be damaged, and all of them."""
    c = imap(system)
    good(c.select("INBOX", readonly=True))
    uid = good(c.uid("SEARCH", "SUBJECT", "ann-5"))[0].split()[0]
    every = good(c.uid("SEARCH", "ALL"))[0].split()
    c.logout()
    return int(uid), [int(x) for x in every]


def served_but_one(system, uid, every):
    """Ann reads everything but the damaged message, and is told about that one."""
    c = imap(system)
    good(c.select("INBOX", readonly=True))
    typ, _ = c.uid("FETCH", str(uid), "(BODY.PEEK[])")
    assert typ == "NO", typ
    typ, got = c.uid("FETCH", "1:*", "(UID BODY.PEEK[])")
    assert typ == "NO", typ
    # imaplib drops the data of a command that ends in NO: asked for one by one, the others are there
    for other in every:
        if other != uid:
            assert b"Subject: ann-" in good(c.uid("FETCH", str(other), "(BODY.PEEK[])"))[0][1]
    assert len(good(c.uid("FETCH", "1:*", "(UID FLAGS RFC822.SIZE)"))) == len(every)
    c.logout()


def mended(system, uid, every):
    """A note with another UID stands for the message; the others are what they were."""
    c = imap(system)
    good(c.select("INBOX", readonly=True))
    now = [int(x) for x in good(c.uid("SEARCH", "ALL"))[0].split()]
    assert uid not in now and set(every) - {uid} < set(now) and len(now) == len(every), (uid, every, now)
    note = good(c.uid("FETCH", str(max(now)), "(BODY.PEEK[])"))[0][1]
    assert b"[lost / perdu] ann-5" in note and "endommagé".encode() in note, note
    c.logout()


def test_running_server():
    """a flipped byte of a body: account, mailbox, UID and subject are named, the rest is served, a repair leaves a note"""
    with filled() as s:
        uid, every = damaged_uid(s)
        bobs = everything(s, BOB)
        assert s.run("check")[0] == OK
        assert s.stop() == 0
        flip(s, b"Message-ID: <ann-5@example.com>")
        s.start()
        rc, out, err = s.run("--json", "check")
        found, sum_ = notes(out)
        assert rc == DATAERR and sum_["state"] == "damaged" and sum_["left"] == 1, (rc, out, err)
        assert [(x["account"], x["mailbox"], x["uid"], x["subject"], x["code"]) for x in found] == \
            [(ANN, "INBOX", uid, "ann-5", "body")], found
        served_but_one(s, uid, every)
        assert everything(s, BOB) == bobs
        rc, out, _ = s.run("check", "--quick")  # rows alone: nothing is wrong with them
        assert rc == OK, out
        rc, out, _ = s.run("check", BOB)
        assert rc == OK, out
        rc, out, _ = s.run("check", ANN)
        assert rc == DATAERR and f"UID {uid}" in out and "ann-5" in out and "--repair" in out, out
        rc, out, err = s.run("--json", "check", "--repair")
        found, sum_ = notes(out)
        assert rc == OK and sum_["state"] == "repaired" and sum_["lost"] == 1 and sum_["left"] == 0, (out, err)
        with open(sum_["aside"], encoding="utf-8") as f:
            aside = f.read()
        assert os.path.dirname(sum_["aside"]) == os.path.join(s.data, "aside") and "damaged" in aside, aside
        mended(s, uid, every)
        rc, out, _ = s.run("--json", "check")
        assert rc == OK and notes(out)[1]["state"] == "clean", out
        assert everything(s, BOB) == bobs
        deliver(s, mail("after"), ANN)
        assert s.stop() == 0
        assert s.run("check")[0] == OK


def test_no_server():
    """the same without a server: the command opens the store itself"""
    with filled() as s:
        uid, every = damaged_uid(s)
        assert s.stop() == 0
        assert s.run("check")[0] == OK
        flip(s, b"Message-ID: <ann-5@example.com>")
        rc, out, _ = s.run("check")
        assert rc == DATAERR and f"{ANN}: INBOX, UID {uid}" in out, out
        rc, out, _ = s.run("check", "--repair")
        assert rc == OK and "repaired" in out, out
        assert s.run("check")[0] == OK
        s.start()
        mended(s, uid, every)


def test_under_load():
    """while mail comes in, flags change and messages move and go, nothing is taken for damage, and a repair mends nothing"""
    with world() as s:
        load = [Load(s, f"load{i}") for i in range(2)]
        for x in load:
            x.start()
        wait_for("some load", lambda: all(len(x.ledger) > 10 for x in load))
        c = imap(s)
        c.create("Other")
        for turn in range(6):
            wait_for("mail to move", lambda: int(good(c.select("INBOX"))[0]) >= 5)
            good(c.store("1:5", "+FLAGS", f"(\\Seen $Turn{turn})"))
            good(c.uid("MOVE", "1:2000", "Other") if turn % 2 else c.copy("1:3", "Other"))
            good(c.select("Other"))
            good(c.store("1:3", "+FLAGS", "(\\Deleted)"))
            good(c.expunge())
            rc, out, err = s.run("--json", "check", *(["--repair"] if turn > 2 else []))
            assert rc == OK and notes(out)[1]["state"] == "clean", (turn, out, err)
        c.logout()
        for x in load:
            x.stop()
        assert s.run("check")[0] == OK


def test_usage():
    """an account that is not there, an option that is not there"""
    with filled() as s:
        assert s.bad(NOUSER, "check", "nobody@try.example") == "no-account"
        rc, _, err = s.run("check", "--mend")
        assert rc == USAGE and "--mend" in err, err



def test_damaged_table():
    """a flipped byte of a table: without a server a repair writes the other rows anew, and writing goes on"""
    with filled() as s:
        assert s.stop() == 0
        meta = os.path.join(s.data, "store", "meta")
        path = max(glob.glob(os.path.join(meta, "*.sst")), key=os.path.getsize)
        with open(path, "r+b") as f:
            at = os.path.getsize(path) // 4
            f.seek(at)
            byte = f.read(1)
            f.seek(at)
            f.write(bytes([byte[0] ^ 4]))
        rc, out, err = s.run("check")
        assert rc == DATAERR and "checksum" in out, (rc, out, err)
        rc, out, err = s.run("--json", "check", "--repair")
        assert rc == OK and notes(out)[1]["left"] == 0 and "meta.damaged" in notes(out)[0][0]["text"], (rc, out, err)
        assert os.path.isdir(meta + ".damaged") and not os.path.exists(meta + ".new")
        for i in range(10):  # the engine merges its tables meanwhile
            s.good("user", "language", BOB, ("en", "fr")[i % 2])
        rc, out, err = s.run("--json", "check", "--repair")
        assert rc == OK and notes(out)[1]["state"] == "clean", (rc, out, err)


if __name__ == "__main__":
    run_tests(globals())
