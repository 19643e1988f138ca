/* transcript_pop3.c — the dialogues of tests/transcript/pop3. */
#include "transcript.h"
#include "pop3/pop3.h"
#include "work/session.h"

static void *make_ctx(struct world *w, bool implicit_tls)
{
	struct pop3_ctx *c = ARENA_NEW(&w->mem, struct pop3_ctx);

	(void)implicit_tls;
	*c = (struct pop3_ctx){ .store = w->store,
				.auth = w->auth,
				.hostname = SL("mail.example.org") };
	return c;
}

const struct transcript_service transcript_services[] = {
	{ "pop3", &pop3_service, make_ctx },
	{ 0 },
};
