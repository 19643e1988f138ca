#!/usr/bin/env python3
"""Prints what Python's email package finds in the corpus: one line a message, as test_python.c writes
them. `compare_python.py > tests/corpus/mime/python.facts` makes the file that the test compares with.

    NAME type/subtype[octets](children…) | subject | addresses of From and To

Messages that are read differently on purpose are left out, with the reason."""
import email
import email.utils
import glob
import os
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))

DIFFERENT = {
    "bad-types": "Python invents types for broken ones",
    "boundary-prefixes": "a line that is both a delimiter of the inner and a close of the outer: ours is the inner",
    "bare-cr": "Python ends lines at a bare CR",
    "mixed-line-ends": "Python counts text with one kind of line end",
    "no-colon": "Python ends the header at a line without colon; for us only a blank line does",
    "boundary-never-comes": "Python keeps multipart without parts; IMAP cannot say that",
    "no-boundary-parameter": "the same",
    "rfc822-base64": "the same bytes, but Python's header ends at the first line without colon",
    "delimiter-in-header": "the same",
    "same-boundary": "Python lets the outer one win; we the inner one, as RFC 2046 5.1.2 nests",
    "empty-parts": "Python drops a part without header and body",
    "dashes": "Python reads --- as a header line without colon",
    "deep": "beyond LIMIT_MIME_DEPTH",
    "deep-rfc822": "beyond LIMIT_MIME_DEPTH",
    "global": "Python does not look into message/global",
    "report": "Python splits message/delivery-status into blocks",
    "mbox-from": "Python takes the envelope line off",
    "addresses": "obsolete and broken lists have tests of their own",
    "folded": "a header name with blanks before the colon ends Python's header",
    "rfc2231": "parameters have tests of their own",
    "duplicates": "several From fields",
    "eight-bit-header": "Python replaces raw 8-bit",
    "long-boundary": "padding beyond what a line may have",
    "header-without-blank-line": "no header at all for Python when the last line is open",
    "one-octet": "no header",
}


def shape(part):
    kind = part.get_content_type()
    if part.is_multipart():
        return kind + "(" + " ".join(shape(p) for p in part.get_payload()) + ")"
    body = part.get_payload()
    return "%s[%d]" % (kind, len(body.encode("utf-8", "surrogateescape")))


def unfold(value):
    return str(value or "").replace("\r", "").replace("\n", "").strip()


for path in sorted(glob.glob("tests/corpus/mime/*.eml")):
    name = os.path.basename(path)[:-4]
    if name in DIFFERENT:
        continue
    with open(path, "rb") as f:
        m = email.message_from_bytes(f.read())
    people = email.utils.getaddresses([unfold(v) for v in m.get_all("From", []) + m.get_all("To", [])])
    sys.stdout.write("%s %s | %s | %s\n" % (name, shape(m), unfold(m["Subject"]),
                                            " ".join(a for _, a in people if "@" in a)))
