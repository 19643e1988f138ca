"""wire.py — the three protocols as the crash kit speaks them: small, pipelined, nothing hidden.

A connection that ends raises Gone: after a kill that is what must happen, before one it is a failure of the test.
Answers are given back whole; who judges them is load.py."""
import re
import socket
import ssl

TIMEOUT = 60
LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


class Gone(Exception):
    """The connection ended, or the answer was cut."""


def insecure():
    """A context that takes any certificate: who the server is, other tests ask."""
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    return c


class Wire:
    """Lines over a socket."""

    def __init__(self, port, context=None):
        try:
            self.sock = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context:
                self.sock = context.wrap_socket(self.sock)
            self.file = self.sock.makefile("rb")
        except TimeoutError:
            raise
        except OSError as e:
            raise Gone(str(e)) from e

    def close(self):
        try:
            self.file.close()
            self.sock.close()
        except OSError:
            pass

    def send(self, data):
        try:
            self.sock.sendall(data)
        except TimeoutError:
            raise
        except (OSError, ValueError) as e:
            raise Gone(str(e)) from e

    def line(self):
        try:
            line = self.file.readline()
        except TimeoutError:
            raise
        except (OSError, ValueError) as e:
            raise Gone(str(e)) from e
        if not line.endswith(b"\r\n"):
            raise Gone("cut")
        return line

    def read(self, n):
        try:
            data = self.file.read(n)
        except TimeoutError:
            raise
        except (OSError, ValueError) as e:
            raise Gone(str(e)) from e
        if len(data) != n:
            raise Gone("cut")
        return data


class Imap(Wire):
    """Responses are (line without literals, [literals]); a literal leaves its {n} in the line."""

    def __init__(self, port, user, password, context):
        super().__init__(port, context)
        self.count = 0
        self.line()
        line, _ = self.ok(f"LOGIN {user} {password}")
        self.modseq = b"CONDSTORE" in line  # RFC 7162: MODSEQ is a FETCH item, HIGHESTMODSEQ is told
        if self.modseq:
            self.ok("ENABLE CONDSTORE")

    def response(self):
        line, literals = self.line(), []
        while (m := LITERAL.search(line)) is not None:
            literals.append(self.read(int(m.group(1))))
            line += self.line()
        return line, literals

    def begin(self, command):
        """The bytes of a command and its tag; command: bytes or str, literals non-synchronizing."""
        self.count += 1
        tag = b"k%d" % self.count
        return tag, tag + b" " + (command.encode() if isinstance(command, str) else command) + b"\r\n"

    def finish(self, tag):
        """(tagged line, untagged responses before it)."""
        untagged = []
        while True:
            line, literals = self.response()
            if line.startswith(tag + b" "):
                return line[len(tag) + 1:].rstrip(), untagged
            if line.startswith(b"* BYE"):
                raise Gone(line.decode(errors="replace"))
            untagged.append((line, literals))

    def do(self, command):
        tag, data = self.begin(command)
        self.send(data)
        return self.finish(tag)

    def ok(self, command):
        line, untagged = self.do(command)
        assert line.startswith(b"OK"), f"{command!r}: {line!r}"
        return line, untagged


class Smtp(Wire):
    def __init__(self, port):
        super().__init__(port)
        self.reply()
        self.send(b"EHLO kit.example\r\n")
        assert self.reply()[0] == 250

    def reply(self):
        text = b""
        while True:
            line = self.line()
            text += line[4:]
            if line[3:4] != b"-":
                return int(line[:3]), text.rstrip()

    def deliver(self, recipients, data):
        """Pipelined behind MAIL. The last reply that matters, and its text."""
        self.send(b"MAIL FROM:<kit@kit.example>\r\n")
        replies = [self.reply()]
        if replies[0][0] != 250:
            return replies[0]
        self.send(b"".join(b"RCPT TO:<%s>\r\n" % r.encode() for r in recipients) + b"DATA\r\n")
        replies += [self.reply() for _ in range(len(recipients) + 1)]
        if replies[-1][0] != 354:
            self.send(b"RSET\r\n")
            self.reply()
            return next(r for r in replies if r[0] >= 400)
        bad = [r for r in replies if r[0] >= 400]
        assert not bad, f"DATA goes on though a recipient was refused: {bad}"
        self.send(re.sub(rb"(?m)^\.", b"..", data) + b".\r\n")
        return self.reply()


class Pop3(Wire):
    def __init__(self, port, user, password, context):
        super().__init__(port, context)
        self.line()
        self.user, self.password = user, password

    def login(self):
        """False when the maildrop is taken."""
        assert self.do(f"USER {self.user}").startswith(b"+OK")
        line = self.do(f"PASS {self.password}")
        assert line.startswith(b"+OK") or b"[IN-USE]" in line, line
        return line.startswith(b"+OK")

    def do(self, command):
        self.send(command.encode() + b"\r\n")
        return self.line()

    def many(self, commands):
        """Pipelined; each answer is a first line and the lines up to the dot."""
        self.send("".join(c + "\r\n" for c in commands).encode())
        return [self.multiline() for _ in commands]

    def multiline(self):
        first = self.line()
        assert first.startswith(b"+OK"), first
        lines = []
        while (line := self.line()) != b".\r\n":
            lines.append(line[1:] if line.startswith(b".") else line)
        return first, b"".join(lines)
