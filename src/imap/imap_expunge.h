#pragma once
/* imap_expunge.h — expunging in chunks, shared by EXPUNGE, UID EXPUNGE and CLOSE.
 *
 * RFC 3501 6.4.3, RFC 4315 2.1. Only messages the client knows, only with \Deleted; each
 * chunk is durable before the next (at most LIMIT_STORE_CHUNK, one modseq each). The
 * announcement is the caller's end of command (imap_box_sync). */
#include "imap/imap_session.h"

/* among: sorted UIDs to choose from; NULL: all. STEP_DONE, STEP_WAIT (again), or
 * STEP_CLOSE: failed, see *e. Keeps its place in c->arg and c->phase. */
enum step imap_expunge(struct imap *im, struct imap_cmd *c, const struct store_uids *among, struct err *e);
