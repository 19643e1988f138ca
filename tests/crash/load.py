"""load.py — clients that change mail and keep the ledger: SMTP senders, IMAP and POP3 sessions, one changer an account.

World.verify() reads a whole store and compares it; World.run() loads it until it is told that the end is near. Between
`dying` being set and the crash, connections may end and changes may be refused: those stay under way."""
import json
import random
import re
import threading
import time

from ledger import DELETED, Account, Mailbox, Seen, Wrong, digest, settle, text_of
from wire import Gone, Imap, Pop3, Smtp, insecure

from box import SECRET
from harness import without_trace

FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "\\Draft", "red", "blue")
ROW = re.compile(rb"^\* \d+ FETCH \(.*\r\n$", re.S)
KEEP = 30  # messages a mailbox is held to


def numbers_of(pattern, line):
    m = re.search(pattern, line)
    return int(m.group(1)) if m else None


def uids_of(text):
    out = []
    for part in text.split(b","):
        a, _, b = part.partition(b":")
        a, b = int(a), int(b or a)
        out += range(min(a, b), max(a, b) + 1)
    return out


def items(c):
    return f"UID FLAGS {'MODSEQ ' * c.modseq}BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]"


def uid_set(uids):
    return ",".join(map(str, uids))


def row_of(line, literals):
    """(uid, token, flags, modseq) of a FETCH response."""
    uid, modseq = numbers_of(rb"UID (\d+)", line), numbers_of(rb"MODSEQ \((\d+)\)", line) or 0
    flags = re.search(rb"FLAGS \(([^)]*)\)", line)
    flags = frozenset(f.decode() for f in flags.group(1).split() if f != b"\\Recent") if flags else frozenset()
    token = re.search(rb"(?i)message-id: <([^@>]*)@kit>", literals[0]).group(1).decode() if literals else None
    return uid, token, flags, modseq


class Op:
    """A command under way: its bytes, and what it does to a ledger (answer None: it was never answered)."""

    def __init__(self, command, apply):
        self.command, self.apply = command, apply

    def __str__(self):
        text = self.command if isinstance(self.command, str) else self.command[:80].decode(errors="replace")
        return text.split("\r\n")[0][:70]


class World:
    """n_imap + n_pop accounts on a box, and everything that is known about them."""

    def __init__(self, box, seed, n_imap=4, senders=3):
        self.box, self.rng = box, random.Random(seed)
        self.accounts = {u: Account(u) for u in box.users}
        self.imap_users, self.pop_users = box.users[:n_imap], box.users[n_imap:]
        self.senders = senders
        self.context = insecure()
        self.mu = threading.Lock()
        self.in_flight = {}  # token → recipients
        self.tokens = 0
        self.dying, self.late = threading.Event(), False
        self.errors = []
        self.acked = {}  # kind of change → how many
        self.refused = []
        self.may_refuse = None  # a regex of the refusals that are right just now
        self.seed = seed
        self.resolved = [0, 0]  # under way at a crash: carried out, not

    # --- bookkeeping -------------------------------------------------------------------------------------
    def token(self):
        with self.mu:
            self.tokens += 1
            return f"s{self.seed}t{self.tokens}"

    def count(self, kind, n=1):
        with self.mu:
            self.acked[kind] = self.acked.get(kind, 0) + n

    def total(self):
        return sum(self.acked.values())

    def crash_began(self, answers_count):
        """From now on connections may end and changes be refused. answers_count: a yes is still a promise."""
        self.late = not answers_count
        self.crashed = time.monotonic()
        self.dying.set()

    def too_late(self):
        """Asked after each yes: it came when the disk had begun to go away, and its change is left under way."""
        return self.late and self.dying.is_set()

    def refusal(self, text):
        """A change was refused: right now, or the test has failed. True when it is to be left under way."""
        if self.dying.is_set():
            return True
        if self.may_refuse and re.search(self.may_refuse, text):
            with self.mu:
                self.refused.append(text)
            return False
        raise Wrong(f"refused: {text}")

    def imap(self, user):
        return Imap(self.box.base + 993, user, SECRET, self.context)

    # --- verify ------------------------------------------------------------------------------------------
    def read_box(self, c, account, name):
        _, untagged = c.ok(f'EXAMINE "{name}"')
        head = b"".join(line for line, _ in untagged)
        rows = {}
        if numbers_of(rb"\* (\d+) EXISTS", head):
            _, untagged = c.ok(f"UID FETCH 1:* ({items(c)})")
            for line, literals in untagged:
                if ROW.match(line) and literals:
                    uid, token, flags, modseq = row_of(line, literals)
                    rows[uid] = (token, flags, modseq)
        unread = [u for u, (t, _, _) in rows.items() if t not in account.verified or self.rng.random() < 0.03]
        if unread:
            _, untagged = c.ok(f"UID FETCH {uid_set(unread)} (BODY.PEEK[])")
            got = 0
            for line, literals in untagged:
                if not literals:
                    continue
                uid = numbers_of(rb"UID (\d+)", line)
                if digest(without_trace(literals[0])) != digest(text_of(rows[uid][0])):
                    raise Wrong(f"{account.name} {name}: UID {uid} ({rows[uid][0]}) has another text")
                account.verified.add(rows[uid][0])
                got += 1
            if got != len(unread):
                raise Wrong(f"{account.name} {name}: {got} of {len(unread)} texts can be read")
        return Seen(numbers_of(rb"UIDVALIDITY (\d+)", head), numbers_of(rb"UIDNEXT (\d+)", head),
                    numbers_of(rb"HIGHESTMODSEQ (\d+)", head), rows)

    def read_account(self, c, account):
        _, untagged = c.ok('LIST "" "*"')
        names = [m.group(1).decode() for line, _ in untagged if (m := re.search(rb'"/" "?([^"\r\n]*)"?\r\n', line))]
        out = {n: self.read_box(c, account, n) for n in names}
        if not c.modseq and self.rng.random() < 0.34:  # then the administrator's list tells HIGHESTMODSEQ
            for m in json.loads(self.box.cli("mailbox", "list", account.name).stdout):
                out[m["mailbox"]].modseq = m["highestmodseq"]
        return out

    def verify(self):
        """Everything against the ledger, each account in a thread; then deliveries under way: to all or to none."""
        seen, errors = {}, []

        def one(user):
            try:
                c = self.imap(user)
                account = self.accounts[user]
                seen[user] = self.read_account(c, account)
                c.close()
            except (Gone, TimeoutError) as e:
                errors.append(Wrong(f"{user}: cannot be read after the restart: {e!r}"))
            except Exception as e:
                errors.append(e)
        self.threads([lambda u=u: one(u) for u in self.accounts])
        if errors:
            raise errors[0]
        for token, recipients in self.in_flight.items():
            there = [self.holds(self.accounts[r], seen[r], token) for r in recipients]
            if any(there) and not all(there):
                raise Wrong(f"{token} was filed for some of its recipients only: {dict(zip(recipients, there))}")
            self.resolved[0 if there[0] else 1] += 1
        for user, account in self.accounts.items():
            maybe = {t for t, to in self.in_flight.items() if user in to and t not in account.known}
            n = len(account.pending)
            k = settle(account, seen[user], maybe)
            self.resolved[0] += k
            self.resolved[1] += n - k
        self.in_flight = {}

    def holds(self, account, boxes, token):
        return token in account.known or any(t == token for s in boxes.values() for t, _, _ in s.rows.values())

    # --- load --------------------------------------------------------------------------------------------
    def threads(self, jobs):
        threads = [threading.Thread(target=j, daemon=True) for j in jobs]
        for t in threads:
            t.start()
        return [t.join() for t in threads]

    def start(self):
        """The load begins; end() waits for it after a crash, finish() stops it in good order."""
        self.dying.clear()
        self.late = False
        self.stopping = threading.Event()
        jobs = [lambda i=i: self.guard(self.sender, i) for i in range(self.senders)]
        jobs += [lambda u=u: self.guard(self.changer, u) for u in self.imap_users]
        jobs += [lambda u=u: self.guard(self.popper, u) for u in self.pop_users]
        self.running = [threading.Thread(target=j, daemon=True) for j in jobs]
        for t in self.running:
            t.start()

    def end(self, seconds=90):
        deadline = time.monotonic() + seconds
        for t in self.running:
            t.join(max(0.1, deadline - time.monotonic()))
            if t.is_alive():
                raise Wrong("a client still waits for its answer")
        if self.errors:
            raise self.errors[0]

    def finish(self):
        self.stopping.set()
        self.end()

    def guard(self, job, arg):
        try:
            job(arg, random.Random(self.rng.random()))
        except Gone as e:
            if not self.dying.is_set():
                self.errors.append(Wrong(f"{job.__name__} {arg}: the connection ended: {e}"))
        except Exception as e:
            if isinstance(e, Wrong) or not self.dying.is_set():  # a read may be refused while the disk goes away
                self.errors.append(e)

    def going(self):
        return not self.stopping.is_set() and not self.dying.is_set()

    # --- SMTP --------------------------------------------------------------------------------------------
    def sender(self, _, rng):
        users = list(self.accounts)
        c = Smtp(self.box.base + 25)
        while self.going():
            token = self.token()
            to = rng.sample(users, rng.choice((1, 1, 2, 3)))
            with self.mu:
                self.in_flight[token] = to
            code, text = c.deliver(to, text_of(token))
            if code != 250:
                if self.refusal(f"{code} {text.decode()}"):
                    return
                with self.mu:
                    del self.in_flight[token]
                time.sleep(0.02)
                continue
            if self.too_late():
                return
            for user in to:
                self.accounts[user].delivered(token)
            with self.mu:
                del self.in_flight[token]
            self.count("DATA")
        c.close()

    # --- POP3 --------------------------------------------------------------------------------------------
    def popper(self, user, rng):
        account = self.accounts[user]
        while self.going():
            c = Pop3(self.box.base + 995, user, SECRET, self.context)
            if not c.login():
                c.close()
                time.sleep(0.01)
                continue
            n = len(c.many(["UIDL"])[0][1].splitlines())
            tokens = []
            for _, text in c.many([f"TOP {i + 1} 0" for i in range(n)]) if n else []:
                tokens.append(re.search(rb"(?i)message-id: <([^@>]*)@kit>", text).group(1).decode())
            if self.too_late():
                return
            for t in tokens:
                if t not in account.known or t in account.floating:
                    account.saw(t)
            gone = [(i, t) for i, t in enumerate(tokens) if rng.random() < 0.5]
            for i, _ in gone:
                assert c.do(f"DELE {i + 1}").startswith(b"+OK")
            op = Op(f"POP3 QUIT with {len(gone)} DELE", lambda a, _, g=[t for _, t in gone]: pop_deleted(a, g))
            account.pending = [op]
            line = c.do("QUIT")
            if self.too_late():
                return
            if line.startswith(b"+OK"):
                with account.mu:
                    op.apply(account, line)
                self.count("QUIT")
            elif self.refusal(line.decode()):
                return
            account.pending = []
            c.close()

    # --- IMAP --------------------------------------------------------------------------------------------
    def changer(self, user, rng):
        session = Changer(self, self.accounts[user], rng)
        while self.going():
            session.turn()
        session.c.close()


def pop_deleted(account, tokens):
    box = account.boxes["INBOX"]
    gone = set(tokens)
    box.msgs = {u: m for u, m in box.msgs.items() if m[0] not in gone}
    for t in gone:
        box.new.pop(t, None)


class Changer:
    """An IMAP session that changes its account in every way, a few commands in one send."""

    def __init__(self, world, account, rng):
        self.world, self.a, self.rng = world, account, rng
        self.c = world.imap(account.name)
        self.box = None
        self.made = 0
        self.select("INBOX")

    def select(self, name):
        _, untagged = self.c.ok(f'SELECT "{name}"')
        if self.world.too_late():
            return
        self.box = name
        b = self.a.boxes[name]
        head = b"".join(line for line, _ in untagged)
        seen = numbers_of(rb"UIDVALIDITY (\d+)", head)
        if b.uidvalidity is None:
            if seen <= b.above:
                raise Wrong(f"{self.a.name} {name}: UIDVALIDITY {seen} after {b.above}")
            b.uidvalidity = seen
            self.a.uidvalidity = max(self.a.uidvalidity, seen)
        elif seen != b.uidvalidity:
            raise Wrong(f"{self.a.name} {name}: UIDVALIDITY {seen}, was {b.uidvalidity}")
        b.uidnext = max(b.uidnext, numbers_of(rb"UIDNEXT (\d+)", head) or 0)
        b.modseq = max(b.modseq, numbers_of(rb"HIGHESTMODSEQ (\d+)", head) or 0)
        self.look()

    def look(self):
        """New messages become known."""
        b = self.a.boxes[self.box]
        _, untagged = self.c.ok(f"UID FETCH {b.looked + 1}:* ({items(self.c)})")
        if self.world.too_late():
            return
        self.note(untagged)
        highest = b.looked
        for line, literals in untagged:
            if not ROW.match(line) or not literals:
                continue
            uid, token, _, modseq = row_of(line, literals)
            highest = max(highest, uid)
            if uid in b.msgs:
                continue
            if self.box != "INBOX" and token not in b.new:
                raise Wrong(f"{self.a.name} {self.box}: {token} came from nowhere")
            if token in self.a.known and token not in b.new:
                raise Wrong(f"{self.a.name} {self.box}: {token} is there again as UID {uid}")
            deleted = b.new.pop(token, False)
            self.a.saw(token, self.box, uid)
            b.msgs[uid][1] = deleted
            b.row_modseq[uid] = modseq
        b.looked = highest
        b.used = {u for u in b.used if u > highest}

    def note(self, untagged):
        b = self.a.boxes[self.box]
        for line, _ in untagged:
            modseq = numbers_of(rb"MODSEQ \(?(\d+)", line)
            if modseq:
                b.modseq = max(b.modseq, modseq)
                uid = numbers_of(rb"UID (\d+)", line)
                if uid and ROW.match(line):
                    b.row_modseq[uid] = max(modseq, b.row_modseq.get(uid, 0))

    def some(self, most):
        b = self.a.boxes[self.box]
        uids = sorted(b.msgs)
        return sorted(self.rng.sample(uids, min(len(uids), self.rng.randrange(1, most + 1)))) if uids else []

    def turn(self):
        if self.rng.random() < 0.25:
            self.select(self.rng.choice(list(self.a.boxes)))
            if self.world.too_late():
                return
        b = self.a.boxes[self.box]
        if len(b.msgs) > KEEP:
            self.issue([self.store(sorted(b.msgs)[:KEEP // 2], "+FLAGS", [DELETED]), self.expunge(None)])
            return
        ops = []
        for _ in range(self.rng.choice((1, 1, 2, 4))):
            ops.append(self.append() if self.rng.random() < 0.5 or not b.msgs else self.flag())
        roll = self.rng.random()
        last = None
        if roll < 0.2:
            last = self.transfer("COPY")
        elif roll < 0.4:
            last = self.transfer("MOVE")
        elif roll < 0.55:
            last = self.expunge(None)
        elif roll < 0.65 and b.msgs:
            last = self.expunge(self.some(8))
        elif roll < 0.75:
            last = self.folder()
        self.issue(ops + ([last] if last else []))
        if self.rng.random() < 0.5 and self.box == "INBOX":
            self.look()

    def issue(self, ops):
        """Sends all, reads all; each answer moves its command from under way into the ledger."""
        self.a.pending = list(ops)
        sent = [self.c.begin(op.command) for op in ops]
        self.c.send(b"".join(data for _, data in sent))
        renamed = False
        for op, (tag, _) in zip(ops, sent):
            line, untagged = self.c.finish(tag)
            if self.world.too_late():
                return
            self.note(untagged)
            if not line.startswith(b"OK"):
                if not line.startswith(b"NO"):
                    raise Wrong(f"{op}: {line!r}")
                if self.world.refusal(line.decode()):
                    return
                self.a.pending.pop(0)
                continue
            modseq = numbers_of(rb"HIGHESTMODSEQ (\d+)", line)
            b = self.a.boxes[self.box]
            b.modseq = max(b.modseq, modseq or 0)
            with self.a.mu:
                op.apply(self.a, (line, untagged))
            self.a.pending.pop(0)
            self.a.history.append((time.monotonic(), f"{op} -> {line.decode()}"))
            self.world.count(str(op).split()[1 if str(op).startswith("UID") else 0])
            renamed |= str(op).startswith("RENAME")

    def append(self):
        token = self.world.token()
        name = self.rng.choice([self.box, self.rng.choice(list(self.a.boxes))])
        flags = frozenset(self.rng.sample(FLAGS, self.rng.randrange(0, 3)))
        data = text_of(token)
        command = f'APPEND "{name}" ({" ".join(sorted(flags))}) {{{len(data)}+}}\r\n'.encode() + data

        def apply(a, answer):
            a.known.add(token)
            a.flags[token] = flags
            uid = numbers_of(rb"APPENDUID \d+ (\d+)", answer[0]) if answer else None
            place(a.boxes[name], token, False, uid)
        return Op(command, apply)

    def flag(self):
        uids, how = self.some(6), self.rng.choice(("+FLAGS", "-FLAGS", "FLAGS"))
        return self.store(uids, how, self.rng.sample(FLAGS + (DELETED,), self.rng.randrange(1, 4)))

    def store(self, uids, how, flags):
        name, new = self.box, frozenset(flags) - {DELETED}

        def apply(a, _):
            for uid in uids:
                m = a.boxes[name].msgs.get(uid)
                if m is None:
                    continue
                old = a.flags.get(m[0], frozenset())
                a.flags[m[0]] = old | new if how == "+FLAGS" else old - new if how == "-FLAGS" else new
                if DELETED in flags:
                    m[1] = how != "-FLAGS"
                elif how == "FLAGS":
                    m[1] = False
        return Op(f"UID STORE {uid_set(uids)} {how} ({' '.join(flags)})", apply)

    def expunge(self, uids):
        name = self.box

        def apply(a, _):
            b = a.boxes[name]
            b.msgs = {u: m for u, m in b.msgs.items() if not m[1] or (uids is not None and u not in uids)}
            if uids is None:
                b.new = {t: d for t, d in b.new.items() if not d}
        return Op("EXPUNGE" if uids is None else f"UID EXPUNGE {uid_set(uids)}", apply)

    def transfer(self, verb):
        """To a mailbox that holds none of them: an email has one row in a mailbox."""
        name = self.box
        uids = self.some(5)
        mine = {self.a.boxes[name].msgs[u][0] for u in uids}
        choices = [n for n, b in self.a.boxes.items() if n != name and not mine & b.tokens() and len(b.msgs) < 2 * KEEP]
        if not uids or not choices:
            return None
        dest = self.rng.choice(choices)

        def apply(a, answer):
            made = {}
            if answer:
                for line in [answer[0], *(x for x, _ in answer[1])]:
                    m = re.search(rb"COPYUID (\d+) (\S+) ([\d:,]+)", line)
                    if m:
                        made.update(zip(uids_of(m.group(2)), uids_of(m.group(3))))
            src, dst = a.boxes[name], a.boxes[dest]
            for uid in uids:
                if uid not in src.msgs:
                    continue
                token, deleted = src.msgs[uid]
                if answer and uid not in made:
                    raise Wrong(f"{a.name}: COPYUID does not name {uid}: {answer[0]!r}")
                place(dst, token, deleted, made.get(uid))
                if verb == "MOVE":
                    del src.msgs[uid]
        return Op(f'UID {verb} {uid_set(uids)} "{dest}"', apply)

    def folder(self):
        """CREATE, RENAME or DELETE of a mailbox of our own."""
        own = [n for n in self.a.boxes if n.startswith("own") and n != self.box]
        roll = self.rng.random()
        if len(own) < 2 or (roll < 0.3 and len(own) < 4):
            name = f"own{self.rng.randrange(6)}"
            return self.create(name) if name not in self.a.boxes else None
        name = self.rng.choice(own)
        if roll < 0.6:
            def apply(a, _):
                del a.boxes[name]
            return Op(f'DELETE "{name}"', apply)
        to = f"own{self.rng.randrange(6)}"
        if to in self.a.boxes:
            return None

        def rename(a, _):
            a.boxes[to] = a.boxes.pop(name)
        return Op(f'RENAME "{name}" "{to}"', rename)

    def create(self, name):
        def apply(a, _):
            a.boxes[name] = Mailbox()
            a.boxes[name].above = a.uidvalidity
        return Op(f'CREATE "{name}"', apply)


def place(box, token, deleted, uid):
    if uid is None:
        box.new[token] = deleted
        return
    if box.given(uid):
        raise Wrong(f"UID {uid} was given before")
    box.msgs[uid] = [token, deleted]
    box.used.add(uid)
