#pragma once
/* smtp.h — the SMTP server: port 25 (mail for our domains, never a relay) and
 * submission (587, 465).
 *
 * RFC 5321 (SMTP), 6409 (submission), 3207 (STARTTLS), 4954 (AUTH), 1870 (SIZE), 2034
 * (enhanced codes), 2920 (PIPELINING), 3030 (CHUNKING), 6152 (8BITMIME), 6531
 * (SMTPUTF8); which rule is tested where: docs/rfc/smtp.md.
 *
 * The two services are driven by work/session.h; their svc_ctx is a struct smtp_ctx.
 * It and its config live as long as the listeners, are never written after the first
 * listener was opened, and may be shared by all of them. */
#include "base/slice.h"
#include "work/session.h"

struct auth;
struct store;

enum smtp_newline { /* a message with a bare CR or LF (HAZARDS 1) is read to its true end, and then */
	SMTP_NEWLINE_REPAIR, /* each is stored as CRLF */
	SMTP_NEWLINE_REJECT  /* 550 5.5.2 */
};

struct smtp_config {
	slice hostname;        /* our own name: greeting, EHLO, Received */
	uint64_t max_message;  /* octets; 0: LIMIT_MESSAGE */
	enum smtp_newline bare_newline;
	bool over_quota_retry; /* a full mailbox: 452 4.2.2, the sender tries again; else 552 5.2.2 */
	bool has_tls;          /* the listeners have certificates: STARTTLS is offered */
};

struct smtp_ctx {
	const struct smtp_config *config;
	struct store *store;
	struct auth *auth;     /* submission only */
	struct pool *background; /* hand-offs are filed there after their commit (worker_pool_background) */
};

extern const struct service smtp_service_mx;
extern const struct service smtp_service_submission; /* 465 is the same with implicit TLS */
