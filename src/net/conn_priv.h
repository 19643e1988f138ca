#pragma once
/* conn_priv.h — the inside of a connection, shared by conn.c, conn_sim.c and listener.c. Internal to net/. */
#include "net/conn.h"
#include "net/tls_io.h"

enum conn_state {
	CONN_OPEN,
	CONN_TLS_START, /* handshaking */
	CONN_CLOSING,   /* writes what is queued, reads nothing */
	CONN_LINGER,    /* our FIN is out; reads and drops until the peer's comes. The owner has gone */
	CONN_DEAD
};

struct conn_sim {
	struct buf in, out;
	size_t in_off, out_off, window;
	bool eof;
};

struct conn {
	const struct conn_ops *ops;
	void *owner;
	struct loop *loop;
	struct watch watch;
	struct task task;        /* what must not be done inside the owner's call */
	struct timer timer;      /* of closing */
	struct out out;
	char *in;                /* NULL when no bytes wait */
	uint32_t in_off, in_n, in_cap;
	uint32_t in_max;
	struct ssl_st *ssl;
	struct tls_ctx *tls_ctx; /* until the handshake is complete */
	char *tls_text;
	struct conn_sim *sim;
	const char *why;
	conn_id id;
	uint32_t lingered;
	enum conn_state state : 8;
	uint8_t in_class;        /* size of the next input buffer */
	uint8_t small_reads;     /* in a row */
	bool want : 1, eof : 1, is_tls : 1, task_posted : 1, read_again : 1;
	bool blocked : 1;        /* the socket took less than we had */
	bool read_wants_write : 1, handshake_wants_write : 1;
	bool step_out : 1;       /* a crypto worker owns ssl and fd */
	bool told_closed : 1, tell_secured : 1;
	bool held : 1;           /* somebody reads the input */
	struct conn_peer peer;
};

enum { CONN_GATHER = 64 << 10 }; /* small segments are joined to TLS records of full size */

/* conn_table.c */
void conn_table_add(struct conn *c);
void conn_table_drop(struct conn *c);
char *conn_gather(struct loop *l);     /* CONN_GATHER bytes, the loop's */
bool conn_in_reserve(struct conn *c);  /* room behind the bytes that wait; false at in_max */
void conn_in_free(struct conn *c);

struct conn *conn_make(struct loop *l, const struct conn_peer *peer);
struct conn *conn_new_fd(struct loop *l, int fd, const struct conn_peer *peer);
void conn_started(struct conn *c, const struct conn_ops *ops);
void conn_schedule(struct conn *c);
void conn_kill(struct conn *c, const char *why);
void conn_destroy(struct conn *c);
bool conn_sim_has_input(const struct conn *c);
/* The two ends of the pipe: bytes moved, 0 when blocked, -1 at the end. */
struct sockaddr_storage;
void conn_peer_from(struct conn_peer *p, const struct sockaddr_storage *remote, const struct sockaddr_storage *local);
int64_t conn_sim_read(struct conn *c, void *dst, size_t n);
struct iovec;
int64_t conn_sim_write(struct conn *c, const struct iovec *iov, int n);
