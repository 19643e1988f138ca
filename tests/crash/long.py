#!/usr/bin/env python3
"""make crash [KILLS=1000] [CUTS=1000] [ROUNDS=10] [JUMPS=12] [SEED=n]: the long form of the crash kit, with output as it comes.

Kills and cuts run beside each other, each on a store of its own; then the full disk, the clock and the syncs. Ctrl-C ends it: each
part then says how far it came. The last line is that of ./check."""
import os
import signal
import subprocess
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
DEFAULTS = {"KILLS": "1000", "CUTS": "1000", "ROUNDS": "10", "JUMPS": "12"}


def run(name, env, results):
    p = subprocess.Popen([sys.executable, "-u", os.path.join(HERE, f"test_{name}.py")], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, env=env)
    for line in p.stdout:
        sys.stdout.write(f"{name:6} {line.decode(errors='replace')}")
        sys.stdout.flush()
    results[name] = p.wait()


def main():
    env = dict(DEFAULTS, **os.environ)
    results = {}
    signal.signal(signal.SIGINT, lambda *_: None)  # the parts get it, too, and tell how far they came
    for together in (("kills", "cut"), ("full",), ("clock",), ("sync",)):
        threads = [threading.Thread(target=run, args=(n, env, results)) for n in together]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if any(code not in (0, 77) for code in results.values()):
            break
    for name, code in results.items():
        print(f"{name}: {'skipped, see above' if code == 77 else 'ok' if code == 0 else f'FAILED ({code})'}")
    skipped = sum(c == 77 for c in results.values())
    passed = sum(c == 0 for c in results.values())
    print(f"{passed} passed, {len(results) - passed - skipped} failed, {skipped} skipped")
    return 0 if passed + skipped == len(results) else 1


if __name__ == "__main__":
    sys.exit(main())
