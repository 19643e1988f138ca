#pragma once
/* driver.h — one connection's driver and what drivers share. Internal to work/.
 *
 * session.c moves one session through its states on the loop; answers.c keeps answers in order; job.c is what runs on workers; worker.c wires loops, pools
 * and listeners; registry.c knows who is connected, counts and refuses. A driver belongs to its loop; other threads reach it
 * through its embedded tasks only, and the registry's lock keeps it alive while they post one. */
#include "work/session.h"
#include <pthread.h>
#include <stdatomic.h>

enum driver_state {
	D_HANDSHAKE, /* TLS is being set up */
	D_IDLE,      /* between units of input */
	D_READY,     /* a unit is framed; it may have to wait for commits or for room in the output */
	D_JOB,       /* run() is on a worker */
	D_MORE,      /* STEP_MORE: waits for the socket to drain */
	D_WAIT,      /* STEP_WAIT: parked */
	D_DELAY,     /* the answer waits for delay_ms */
	D_TLS,       /* the answer to STARTTLS is on its way out */
	D_CLOSING,   /* held answers and blobs go out, then the connection closes */
	D_CLOSED     /* conn has been told to close */
};

/* An answer that waits for its commit, or stands behind one that does. */
struct held {
	struct done done;
	struct task task;
	struct driver *d;
	struct held *next;
	struct out ok, fail;
	struct err *why;    /* of a failed commit */
	uint32_t cmd;
	bool is_ticket;
	bool is_back, is_queued; /* the loop's */
	bool is_failed;
	_Atomic bool called;
};

/* Other threads' messages to a driver; merged until its loop reads them. */
enum { MAIL_WAKE = 1, MAIL_SHUTDOWN = 2, MAIL_KICK = 4, MAIL_ABORT = 8, MAIL_GO = 16 };

struct driver {
	struct worker_ctx *ctx;
	struct worker_loop *wl;
	struct loop *loop;
	struct conn *conn;          /* NULL once it has gone */
	struct conn *pinned;        /* conn while its input is held for a command, or its SSL for a handshake */
	struct session *s;          /* NULL before an implicit handshake is complete */
	const struct service *svc;
	void *svc_ctx;
	struct tls_store *tls;
	struct job job;             /* run(), or a handshake step */
	struct task back;
	struct job fill;
	struct task fill_back;
	struct task mail;
	_Atomic unsigned mail_bits;
	struct timer timer;         /* inactivity, handshake */
	struct timer soon;          /* delay_ms, or pipelined answers that wait for each other */
	struct parked parked;
	struct task wake;
	struct out out;             /* of the run() in progress */
	struct out tail;            /* released, not yet conn's: from the first BLOB on */
	struct out filling;         /* what the fill job works on */
	struct held *held_head, *held_tail, *ticket;
	uint64_t held_bytes, filling_bytes, ahead;
	int64_t active_ms, timeout_ms;
	size_t used;                /* input of the unit in progress */
	uint32_t cmd, failed_cmd;
	uint32_t key;               /* s->key as of the last time the loop had the session */
	unsigned n_held, tickets_out; /* answers in the line; commits that will call back */
	uint8_t events;             /* bits of enum event */
	uint8_t mode, step, state;
	bool is_filling : 1, woken : 1, again : 1, close_after : 1;
	bool is_gone : 1;           /* conn is NULL; what is out comes back first */
	bool shaking : 1;           /* a handshake step is out */
	bool hs_begun : 1, implicit_tls : 1;
	bool is_last;               /* no input behind the command that runs; the job reads it: no bit beside the loop's */
	bool hs_waiting;            /* under the gate's lock */
	enum status io_status;      /* of out_fill in the job */
	enum status fill_status;
	pthread_t runner;           /* who has the session now (debug) */
	int hs_result;
	/* registry: under its lock */
	struct driver *reg_prev, *reg_next;
	struct driver *hs_prev, *hs_next;
	char *user, *tls_text;
	uint32_t account;
	int64_t since_us;
	conn_id id;
	char sid[24];
	bool preauth, counted, is_tls;
	struct conn_peer peer;
};

struct worker_loop {
	struct worker_ctx *ctx;
	struct loop *loop;
	pthread_t thread;
	bool running;
	struct driver **by_slot; /* under the registry's lock */
	uint32_t slots;
	struct job *jobs, **jobs_end; /* job.c: of this turn, for the db pool */
	struct task submit;
};

struct net_table;
struct handshakes;
struct worker_ctx {
	struct worker_loop *wl;
	struct loop **loops;
	size_t n;
	bool sim;
	bool dead;               /* loops are joined, pools gone: nothing new starts */
	struct clock *clock;
	struct pool *db, *crypto, *background;
	struct net_table *nets;
	struct handshakes *hs;
	bool limit_loopback;
	unsigned boot;
	_Atomic unsigned serial;
	_Atomic bool stopping;
	pthread_mutex_t lock;    /* the registry */
	pthread_cond_t empty;
	struct driver *first;
	size_t live;
	struct user_count *users[1024];
	struct bound *bound;     /* what listeners point at */
};

/* What a listener, or a sim connection, serves. */
struct bound {
	struct worker_ctx *ctx;
	const struct service *svc;
	void *svc_ctx;
	struct tls_store *tls;
	bool implicit_tls;
	struct bound *next;
};

/* session.c */
const struct conn_ops *driver_accept(void *bound, struct conn *c);
void driver_drive(struct driver *d);
void driver_post(struct driver *d, unsigned bits); /* from other threads under the registry's lock */
void driver_abort(struct driver *d, const char *why); /* logs; what is out comes back first */
/* answers.c */
uint64_t driver_unwritten(const struct driver *d);    /* answered, and not yet taken by the socket */
void answers_emit(struct driver *d, struct out *o);   /* o waits for nothing of its own */
void answers_hold(struct driver *d);                  /* STEP_COMMIT: into the line with its ticket */
void answers_drop_ticket(struct driver *d);           /* run() made one and then had no use for it */
void answers_release(struct driver *d);               /* what waits for nothing any more */
void answers_push(struct driver *d, bool now);        /* to the connection; now: not even a moment's wait for more */
void answers_fill(struct driver *d);                  /* the next stored bytes, when there is room for them */
/* job.c: what workers run, and its way back */
void driver_job_init(struct driver *d);
void driver_run_job(struct driver *d);
void driver_fill_job(struct driver *d);
void driver_ran(struct driver *d);                 /* session.c: run() is back on the loop */
void driver_filled(struct driver *d);
struct held *driver_held_new(struct driver *d);
void driver_held_free(struct held *h);
void driver_ticket_back(struct held *h);           /* session.c, on the loop */
/* handshake.c: the gate in front of the crypto pool */
struct handshakes *handshakes_new(struct pool *crypto, unsigned at_once);
void handshakes_free(struct handshakes *h);
bool handshake_submit(struct driver *d);           /* false: too many wait */
bool handshake_forget(struct driver *d);           /* takes it out of the line; false: it runs, and comes back */
void driver_handshake_back(struct task *t);        /* session.c */
/* registry.c */
bool registry_add(struct driver *d); /* false: over a limit, or shutting down */
void registry_drop(struct driver *d);
/* limits of who may connect: netlimit.c */
struct net_table *net_table_new(void);
void net_table_free(struct net_table *t);
bool net_enter(struct net_table *t, const unsigned char net[16], int64_t now_ms); /* false: refuse */
void net_leave(struct net_table *t, const unsigned char net[16], bool preauth);
void net_login(struct net_table *t, const unsigned char net[16]);
