#pragma once
/* imap.h — the IMAP service: what the wiring must know.
 *
 * IMAP4rev1 (RFC 3501) with LITERAL-/LITERAL+ (7888), SASL-IR (4959), ID (2971), ENABLE
 * (5161), IDLE (2177), NAMESPACE (2342), CHILDREN (3348), SPECIAL-USE (6154), UNSELECT
 * (3691), UIDPLUS (4315) and MOVE (6851). Which rule is where and tested by what:
 * docs/rfc/imap.md. The index of commands is imap_cmds.c.
 *
 * One imap_ctx a listener, given to worker_listen; it and what it points to outlive every
 * session. */
#include "base/slice.h"
#include <stdint.h>

struct auth;
struct service;
struct store;

struct imap_ctx {
	struct store *store;
	struct auth *auth;
	slice hostname;        /* in the greeting */
	uint64_t max_message;  /* of APPEND; 0: LIMIT_MESSAGE */
	bool no_starttls;      /* there is no certificate: STARTTLS is not announced and refused */
	bool allow_plaintext;  /* logins without TLS: only for tests */
};

extern const struct service imap_service;
