"""ledger.py — what was acknowledged, kept outside the server, and how a store is compared with it.

One Account per account: its mailboxes as the answers made them, and the commands that are under way. After a crash
the store must equal the ledger with some prefix of the commands under way carried out: all that was acknowledged, nothing
else, nothing twice. What a session was shown is in the ledger too: nobody sees what could still vanish. Numbers that were
once seen (UID, UIDVALIDITY, UIDNEXT, MODSEQ) may only grow.

A message is its token, which stands in its Message-ID and makes its text; flags are the email's (they are mirrored into
every mailbox that holds it), \\Deleted is the mailbox's."""
import collections
import copy
import hashlib
import random
import threading
import time

DELETED = "\\Deleted"


class Wrong(AssertionError):
    """The store does not hold what it promised."""


def text_of(token, to="kit@kit.example"):
    """The message of a token; the size follows from it: mostly small, some that go to a bulk segment."""
    r = random.Random(token)
    size = r.choice((300, 700, 1500, 1500, 3000, 9000, 30000)) if r.random() > 0.03 else r.randrange(70_000, 300_000)
    head = (f"From: Kit <kit@kit.example>\r\nTo: <{to}>\r\nSubject: {token}\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{token}@kit>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n.dot\r\n")
    block = hashlib.sha256(token.encode()).hexdigest() + r.randbytes(size // 4).hex() + "plain text " * (size // 44)
    return (head + "\r\n".join(block[i:i + 76] for i in range(0, len(block), 76)) + "\r\n").encode()


def digest(data):
    return hashlib.sha256(data).digest()


class Mailbox:
    def __init__(self, uidvalidity=None):
        self.uidvalidity = uidvalidity  # None: not seen yet
        self.above = 0  # a new one must be greater than this
        self.msgs = {}  # uid → [token, deleted]
        self.new = {}  # token → deleted: acknowledged or shown, its UID not yet known
        self.looked = 0  # every message up to this UID was seen
        self.used = set()  # UIDs above it that were given (APPENDUID, COPYUID)
        self.uidnext = 1
        self.modseq = 0  # the highest ever seen
        self.row_modseq = {}

    def given(self, uid):
        return uid <= self.looked or uid in self.used

    def top(self):
        return max(self.looked, max(self.used, default=0))

    def tokens(self):
        return {t for t, _ in self.msgs.values()} | set(self.new)


class Account:
    def __init__(self, name):
        self.name = name
        self.mu = threading.Lock()
        self.boxes = {n: Mailbox() for n in ("INBOX", "Drafts", "Sent", "Junk", "Trash", "Archive")}
        self.flags = {}  # token → frozenset
        self.floating = set()  # acknowledged deliveries nobody has looked at
        self.known = set()  # every token ever seen here
        self.pending = []  # operations sent and not answered
        self.uidvalidity = 0  # the highest ever seen in this account
        self.verified = set()  # tokens whose text was compared
        self.history = collections.deque(maxlen=12)  # (when, the last commands that were answered): for the reader of a failure

    def delivered(self, token):
        """A 250 has come."""
        with self.mu:
            self.history.append((time.monotonic(), f"DATA {token}"))
            if token not in self.known:
                self.floating.add(token)

    def saw(self, token, box="INBOX", uid=None, flags=frozenset()):
        """A session was shown a delivered message: it is there, acknowledged or not."""
        with self.mu:
            self.known.add(token)
            self.floating.discard(token)
            self.flags.setdefault(token, flags)
            if uid is None:
                self.boxes[box].new.setdefault(token, False)
            else:
                self.boxes[box].msgs[uid] = [token, False]
                self.boxes[box].used.add(uid)

    def after(self, k):
        """The ledger as it is when the first k commands under way have been carried out."""
        boxes = {n: copy.copy(b) for n, b in self.boxes.items()}
        for b in boxes.values():
            b.msgs = {u: list(m) for u, m in b.msgs.items()}
            b.new = dict(b.new)
            b.used = set(b.used)
        other = copy.copy(self)
        other.boxes, other.flags, other.floating = boxes, dict(self.flags), set(self.floating)
        for op in self.pending[:k]:
            op.apply(other, None)
        return other


class Seen:
    """A mailbox as the server shows it: rows uid → (token, flags, modseq)."""

    def __init__(self, uidvalidity, uidnext, modseq, rows):
        self.uidvalidity, self.uidnext, self.rows = uidvalidity, uidnext, rows
        self.modseq = modseq  # None: not asked


def compare_box(want, name, b, seen, maybe):
    """None, or what differs."""
    tokens = [t for t, _, _ in seen.rows.values()]
    if len(tokens) != len(set(tokens)):
        return f"{name}: a message is there twice"
    for uid, (token, deleted) in b.msgs.items():
        if uid not in seen.rows:
            return f"{name}: UID {uid} ({token}) is lost"
        if seen.rows[uid][0] != token:
            return f"{name}: UID {uid} was {token}, is {seen.rows[uid][0]}"
        if (DELETED in seen.rows[uid][1]) != deleted:
            return f"{name}: UID {uid} ({token}): \\Deleted should be {deleted}"
    extra = {t: (u, f) for u, (t, f, _) in seen.rows.items() if u not in b.msgs}
    must = set(b.new) | (want.floating if name == "INBOX" else set())
    if must - set(extra):
        return f"{name}: {sorted(must - set(extra))[:3]} lost, {len(must - set(extra))} in all"
    left = set(extra) - must - (maybe if name == "INBOX" else set())
    if left:
        return f"{name}: {sorted(left)[:3]} should not be there"
    for token, (uid, flags) in extra.items():
        if b.given(uid):
            return f"{name}: {token} has UID {uid}, which was given before"
        if token in b.new and (DELETED in flags) != b.new[token]:
            return f"{name}: {token}: \\Deleted should be {b.new[token]}"
    for uid, (token, flags, _) in seen.rows.items():
        wanted = want.flags.get(token, frozenset())
        if flags - {DELETED} != wanted:
            return f"{name}: UID {uid} ({token}): flags {sorted(flags)} instead of {sorted(wanted)}"
    return None


def compare(want, seen, maybe):
    if set(want.boxes) != set(seen):
        return f"mailboxes {sorted(seen)} instead of {sorted(want.boxes)}"
    for name, b in want.boxes.items():
        wrong = compare_box(want, name, b, seen[name], maybe)
        if wrong:
            return wrong
    return None


def numbers(account, want, seen):
    """UIDVALIDITY, UIDNEXT, HIGHESTMODSEQ and each row's MODSEQ never go back."""
    for name, b in want.boxes.items():
        s, where = seen[name], f"{account.name} {name}: "
        if b.uidvalidity is not None and s.uidvalidity != b.uidvalidity:
            raise Wrong(where + f"UIDVALIDITY {s.uidvalidity}, was {b.uidvalidity}")
        if b.uidvalidity is None and s.uidvalidity <= b.above:
            raise Wrong(where + f"UIDVALIDITY {s.uidvalidity} of a new mailbox, {b.above} was given before")
        if s.uidnext < b.uidnext or s.uidnext <= max(b.top(), max(s.rows, default=0)):
            raise Wrong(where + f"UIDNEXT {s.uidnext}, was {b.uidnext}, UIDs up to {b.top()}")
        if s.modseq is None:
            s.modseq = b.modseq
            continue
        if s.modseq < b.modseq:
            raise Wrong(where + f"HIGHESTMODSEQ {s.modseq}, was {b.modseq}")
        for uid, (_, _, modseq) in s.rows.items():
            if modseq > s.modseq or modseq < b.row_modseq.get(uid, 0):
                raise Wrong(where + f"UID {uid}: MODSEQ {modseq}, was {b.row_modseq.get(uid)}, HIGHESTMODSEQ {s.modseq}")


def settle(account, seen, maybe):
    """Compares and goes on from what is there. How many of the commands under way were carried out."""
    wrong = None
    for k in range(len(account.pending) + 1):
        want = account.after(k)
        why = compare(want, seen, maybe)
        if why is None:
            break
        wrong = why if k == 0 else f"{wrong}; after {k} of {len(account.pending)} under way: {why}"
    else:
        raise Wrong(f"{account.name}: {wrong} (under way: {[str(op) for op in account.pending]}; before, by seconds ago: " +
                    "; ".join(f"{time.monotonic() - t:.4f} {what}" for t, what in account.history) + ")")
    numbers(account, want, seen)
    account.boxes, account.pending, account.floating = want.boxes, [], set()
    account.flags = {}
    for name, s in seen.items():
        b = account.boxes[name]
        b.uidvalidity, b.uidnext, b.modseq = s.uidvalidity, s.uidnext, s.modseq
        b.msgs = {u: [t, DELETED in f] for u, (t, f, _) in s.rows.items()}
        b.row_modseq = {u: m for u, (_, _, m) in s.rows.items()}
        b.new, b.looked, b.used = {}, max([b.top(), *s.rows]), set()
        account.uidvalidity = max(account.uidvalidity, s.uidvalidity)
        for t, f, _ in s.rows.values():
            account.flags[t] = f - {DELETED}
            account.known.add(t)
    return k
