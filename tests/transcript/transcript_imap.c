/* transcript_imap.c — the dialogues of tests/transcript/imap. */
#include "transcript.h"
#include "imap/imap.h"
#include "work/session.h"

static void *make_ctx(struct world *w, bool implicit_tls)
{
	struct imap_ctx *c = ARENA_NEW(&w->mem, struct imap_ctx);

	*c = (struct imap_ctx){ .store = w->store,
				.auth = w->auth,
				.hostname = SL("mail.example.org") };
	(void)implicit_tls;
	return c;
}

const struct transcript_service transcript_services[] = {
	{ "imap", &imap_service, make_ctx },
	{ 0 },
};
