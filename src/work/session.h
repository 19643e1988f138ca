#pragma once
/* session.h — the one driver between a connection and a protocol.
 *
 *	input → frame() on the loop → run() here or on a worker → output, in order
 *
 * A protocol embeds `struct session` first in its own session structure and gives one `struct service` table. The session
 * belongs to the loop while no job is out and to the worker otherwise: one job per connection, no locks in protocol
 * code; the driver asserts the owner in debug builds. While a job is out nothing is read (backpressure), and the bytes
 * that frame() consumed stay where they are until run() has finished with STEP_DONE, STEP_COMMIT or STEP_CLOSE.
 *
 * Answers leave in the order of their commands. STEP_COMMIT holds its answer, and all behind it, until the ticket's
 * commit is durable; meanwhile the next pipelined command runs when frame() says it may (see FRAME_…|FRAME_PIPE). */
#include "base/arena.h"
#include "base/done.h"
#include "net/conn.h"
#include "work/pool.h"

struct session;

enum frame { /* what frame() and event() want */
	FRAME_MORE = 0,   /* need more bytes */
	FRAME_HERE,       /* run() now, on the loop: nothing in it blocks, reads a disk or hashes */
	FRAME_DB,         /* run() on the db pool */
	FRAME_CRYPTO,     /* run() on the crypto pool (passwords) */
	FRAME_PIPE = 16   /* or'ed: may run before the session's earlier commits are durable (writes only) */
};
enum step { /* what run() says */
	STEP_DONE,        /* the answer is complete */
	STEP_MORE,        /* LIMIT_OUT_STEP reached: run() again when the socket has drained */
	STEP_COMMIT,      /* the answer is complete; send it when the ticket's commit is durable */
	STEP_COMMIT_MORE, /* the same for a part of the answer; run() again at once */
	STEP_WAIT,        /* parked (session_park); run() again when woken. What is in o goes out now */
	STEP_DB,          /* nothing written yet: run() again on the db pool (with FRAME_HERE: it would have to read) */
	STEP_TLS,         /* write the answer, then handshake; input that came in the clear closes the connection */
	STEP_CLOSE        /* write the answer, then close */
};
enum event {
	EVENT_TIMEOUT,    /* session_timeout passed without a complete unit of input; the driver closes when there is
	                     nothing to run (FRAME_MORE), otherwise run() decides */
	EVENT_WAKE,       /* session_ref_wake was called (mailbox changed) */
	EVENT_SHUTDOWN,   /* say BYE/421 now; the driver closes after run(), or at once with FRAME_MORE */
	EVENT_SECURED     /* TLS is up: forget what was known before (RFC 3207 4.2, 3501 6.2.1, 2595) */
};

struct service { /* one const table per protocol */
	const char *name;      /* "smtp", "submission", "imap", "pop3": in logs and as session-id context */
	slice alpn;            /* empty: none */
	size_t input_max;      /* input held at most: the longest line, or LIMIT_READ_CHUNK for bodies */
	/* New session on the loop, zeroed (mem_new); may write the greeting into o. ctx is the listener's. Never NULL. With
	 * implicit TLS it is called when the handshake is complete (and there is no EVENT_SECURED). The fields of struct
	 * session are filled in afterwards: what needs drv, peer, id or is_tls belongs into greet, below. */
	struct session *(*open)(void *ctx, struct out *o);
	/* Called with all unconsumed input when no job is out. Sets *used to the bytes that belong to the unit found (or that
	 * can be dropped, with FRAME_MORE). Never rescans: keeps its own position in the session. */
	enum frame (*frame)(struct session *s, slice in, size_t *used);
	enum step (*run)(struct session *s, struct out *o);
	/* On the loop, only while no job is out (events wait for it; wakes are merged). FRAME_MORE: nothing to run. */
	enum frame (*event)(struct session *s, enum event ev, struct out *o);
	void (*close)(struct session *s); /* frees it; no job is out, nothing held */
	/* Optional: called right after open, when drv, peer, id and is_tls are set. Writes (the rest of) the greeting. */
	void (*greet)(struct session *s, struct out *o);
	/* Optional: sent in the clear to a connection over a limit, which is then closed: "421 …\r\n". */
	slice busy;
};

struct session {
	const struct service *svc; /* set by the driver */
	struct driver *drv;
	const struct conn_peer *peer;
	char id[24];               /* "3f2a-19": in every log line */
	bool is_tls;
	uint32_t key;              /* pool key: account id after login */
	int64_t delay_ms;          /* set by run(): the answer waits so long (failed logins); no worker is held */
	struct out fail;           /* with STEP_COMMIT: the answer when the commit fails */
	struct arena arena;        /* command arena: reset by the driver after STEP_DONE/COMMIT/CLOSE, empty when idle */
	int64_t timeout_ms;        /* session_timeout sets it */
};

int64_t session_now_us(const struct session *s);  /* the date: it may jump */
int64_t session_mono_us(const struct session *s); /* for how long: it does not */
slice session_tls_text(const struct session *s);
void session_timeout(struct session *s, int64_t ms);  /* of inactivity; 0: none */
/* One per STEP_COMMIT: give it to store_commit, then return STEP_COMMIT; if store_commit is never called the ticket may be
 * left alone and any other step returned. When the commit fails `s->fail` is sent instead of the answer (empty: the
 * connection closes); the answers of later parts of the same command are dropped then, as it has been answered. */
struct done *session_ticket(struct session *s);
/* For store_begin; then return STEP_WAIT. A parked command always runs on when it is woken, even when the connection has
 * gone (its output is dropped): granted locks are never left behind. So do the parts after STEP_COMMIT_MORE. */
struct parked *session_park(struct session *s);

/* A thread-safe handle for publications: valid as an argument even after the session is gone. */
struct session_ref {
	conn_id id;
	struct loop *loop;
	struct worker_ctx *ctx;
};
struct session_ref session_get_ref(const struct session *s);
void session_ref_wake(const struct session_ref *r);
void session_set_user(struct session *s, slice user, uint32_t account); /* for who, kick and per-user limits */
bool session_over_user_limit(const struct session *s);  /* after session_set_user: this one is too many */

/* --- wiring (server/, tests) ------------------------------------------------------------------------------------ */
struct worker_ctx; /* loops, pools, registry of sessions, limits */
struct worker_options {
	unsigned loops, db_threads, crypto_threads; /* loops 0: sim, one sim loop, everything in one thread */
	struct clock *clock;
	bool limit_loopback;                        /* connection limits hold for loopback too */
};
struct worker_ctx *worker_new(const struct worker_options *opt);
void worker_free(struct worker_ctx *w);
struct loop **worker_loops(struct worker_ctx *w, size_t *n);
void worker_start(struct worker_ctx *w);          /* starts loop threads; returns */
/* Says EVENT_SHUTDOWN to every session, waits until all are gone (at most ms), stops the loops. */
void worker_stop(struct worker_ctx *w, int64_t ms);
bool worker_step(struct worker_ctx *w);           /* sim: until nothing is left to do; true if anything ran */
enum status worker_listen(struct worker_ctx *w, const struct service *svc, void *svc_ctx, const char *addr, uint16_t port,
			  struct tls_store *tls, bool implicit_tls, struct listener **out, struct err *e) MUST_USE;
struct conn *worker_connect_sim(struct worker_ctx *w, const struct service *svc, void *svc_ctx, bool implicit_tls,
				const struct conn_peer *peer);
struct worker_session_info {
	char id[24], user[330], addr[64], service[16];
	uint32_t account;
	bool is_tls;
	int64_t since_us;
};
/* A copy of who is connected, in the arena. */
size_t worker_who(struct worker_ctx *w, struct arena *a, struct worker_session_info **out);
size_t worker_kick(struct worker_ctx *w, slice user_or_session_id, uint32_t account); /* closes; how many */
/* One thread, for jobs that wait for account locks with a thread in hand (hand-offs, the sweep): never in the db pool, where
 * a session that has just been granted the lock needs a worker to go on. */
struct pool *worker_pool_background(struct worker_ctx *w);
