/* transcript_smtp.c — the dialogues of tests/transcript/smtp: port 25, submission, and
 * POP3 to look at what arrived. */
#include "transcript.h"
#include "pop3/pop3.h"
#include "smtp/smtp.h"
#include "work/session.h"

static void *make_ctx(struct world *w, bool implicit_tls)
{
	struct smtp_config *config = ARENA_NEW(&w->mem, struct smtp_config);
	struct smtp_ctx *c = ARENA_NEW(&w->mem, struct smtp_ctx);

	(void)implicit_tls;
	*config = (struct smtp_config){ .hostname = SL("mail.example.org"),
					.has_tls = true };
	*c = (struct smtp_ctx){ .config = config,
				.store = w->store,
				.auth = w->auth,
				.background = worker_pool_background(w->workers) };
	return c;
}

/* facteur.conf: over-quota = retry */
static void *make_retry_ctx(struct world *w, bool implicit_tls)
{
	struct smtp_ctx *c = make_ctx(w, implicit_tls);
	struct smtp_config *config = ARENA_NEW(&w->mem, struct smtp_config);

	*config = *c->config;
	config->over_quota_retry = true;
	c->config = config;
	return c;
}

static void *make_pop3_ctx(struct world *w, bool implicit_tls)
{
	struct pop3_ctx *c = ARENA_NEW(&w->mem, struct pop3_ctx);

	(void)implicit_tls;
	*c = (struct pop3_ctx){ .store = w->store,
				.auth = w->auth,
				.hostname = SL("mail.example.org") };
	return c;
}

const struct transcript_service transcript_services[] = {
	{ "smtp", &smtp_service_mx, make_ctx },
	{ "submission", &smtp_service_submission, make_ctx },
	{ "smtp-retry", &smtp_service_mx, make_retry_ctx },
	{ "pop3", &pop3_service, make_pop3_ctx },
	{ 0 },
};
