"""cycles.py — load, crash, restart, compare: again and again on one store, the shared loop of test_kills.py and test_cut.py.

What a run needs to be looked into after a failure is kept and named; SEED repeats its choices (not the machine's timing)."""
import os
import random
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "clients")]
from box import Skip  # noqa: E402
from ledger import Wrong  # noqa: E402
from load import World  # noqa: E402

ACCOUNTS = ["ann", "ben", "cleo", "dan", "pop1", "pop2"]
CONFIG = "keep-deleted = 0\n"  # what is deleted is garbage at once: the collector has work
COLLECT = 12
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)


def count(name, default):
    return int(os.environ.get(name, default))


def cycles(what, box, n, crash, longest, env=None):
    """n times: start, verify, load for a random while of up to `longest` seconds, crash(). Ends with a verify."""
    world = World(box, SEED)
    rng = random.Random(SEED)
    began, shown, done, broken = time.monotonic(), time.monotonic(), 0, False
    slowest = 0
    print(f"{what}: {n} cycles, SEED={SEED}", flush=True)
    try:
        while True:
            start = time.monotonic()
            box.start(env=env)
            ready = time.monotonic() - start
            slowest = max(slowest, ready)
            try:
                world.verify()
            except Wrong:
                print(f"the crash began {time.monotonic() - world.crashed:.4f} seconds ago")
                raise
            if done == n:
                break
            world.start()
            # Now and then long enough for the collector, which begins three seconds after the start.
            time.sleep(3 + 2 * rng.random() if done % COLLECT == COLLECT - 1 else rng.random() ** 2 * longest + 0.02)
            crash(world)
            world.end()
            done += 1
            if time.monotonic() - shown > 15:
                shown = time.monotonic()
                print(f"  {done} of {n}, {(shown - began) / done:.2f} s each, {world.total()} changes acknowledged", flush=True)
    except KeyboardInterrupt:
        broken = True
        print("interrupted:", end=" ")
    seconds = time.monotonic() - began
    kinds = ", ".join(f"{k} {v}" for k, v in sorted(world.acked.items()))
    print(f"{what}: {done} done, 0 lost, 0 doubled, no number went back; {world.total()} changes acknowledged ({kinds}); under way at "
          f"the crash: {world.resolved[0]} there, {world.resolved[1]} not; {seconds:.0f} s, {seconds / max(done, 1):.2f} s each, "
          f"slowest start {slowest:.2f} s", flush=True)
    if not broken and n >= 3:
        assert world.total() > n, "the load did next to nothing"
    if not broken:
        assert box.term() == 0, "the server did not end in good order"
    return world


def run(make, body):
    """body(box); the directory is kept when it fails."""
    try:
        box = make()
    except Skip as s:
        print(s)
        sys.exit(77)
    bad = True
    try:
        body(box)
        bad = False
    except Skip as s:
        bad = False
        print(s)
        sys.exit(77)
    except Exception:
        traceback.print_exc()
        print(f"FAILED with SEED={SEED}; the end of the server's log:\n" + box.log()[-2000:])
        sys.exit(1)
    finally:
        box.remove(keep=bad and "CRASH_KEEP" in os.environ)
