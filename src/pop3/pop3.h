#pragma once
/* pop3.h — the POP3 service: what the wiring must know.
 *
 * RFC 1939 (POP3), 2449 (CAPA, response codes, PIPELINING), 2595 (STLS), 5034 (AUTH),
 * 3206 (AUTH and SYS codes). Which rule is where and tested by what: docs/rfc/pop3.md.
 * The index of commands is pop3_cmds.c.
 *
 * Passwords are taken under TLS only, on port 110 after STLS, on 995 from the start;
 * loopback is no exception. The maildrop is the INBOX as it was at login; what others
 * expunge meanwhile stays readable; deletions happen at QUIT.
 *
 * One pop3_ctx a listener (they may share it), given to worker_listen; it and what it
 * points to outlive every session. */
#include "base/slice.h"

struct auth;
struct service;
struct store;

struct pop3_ctx {
	struct store *store;
	struct auth *auth;
	slice hostname;   /* in the greeting */
	bool no_starttls; /* there is no certificate: STLS is neither announced nor taken */
};

extern const struct service pop3_service;
