#pragma once
/* conn.h — one connection: socket or sim pipe, TLS, input, output chain. Knows no protocol.
 *
 * A conn belongs to its loop for life; workers know it as conn_id {slot, gen} only. The owner (work/session.c) gets
 * callbacks on the loop thread. Output is written as the socket drains; input is read only while it is wanted.
 * An idle connection owns no buffers (input freed when empty, SSL_MODE_RELEASE_BUFFERS). */
#include "base/slice.h"
#include "net/loop.h"
#include "net/out.h"
#include "net/tls.h"

typedef struct conn_id {
	uint32_t slot, gen;
} conn_id;

struct conn;
struct conn_peer {
	char addr[64];       /* "192.0.2.1" or "2001:db8::1" */
	uint16_t port;
	bool is_loopback;
	unsigned char net[16]; /* the /32 or /64 it is counted under, v4-mapped */
	char local_addr[64];
	uint16_t local_port;
};
struct conn_ops {
	/* Bytes are waiting (conn_input). Called again only when more have come or conn_again was called. */
	void (*readable)(struct conn *c);
	/* Some of what was queued has been written: look at conn_unwritten. Never called from inside conn_write. */
	void (*drained)(struct conn *c);
	void (*handshake)(struct conn *c);        /* TLS wants CPU: call conn_handshake_step on a crypto worker, then
	                                             conn_handshake_done on the loop */
	void (*secured)(struct conn *c);          /* the handshake is complete */
	/* Exactly once, from the loop, never from inside another call: peer went away, error, or conn_close and
	 * conn_abort have done their work. The owner forgets c (a handshake step that is out still ends with
	 * conn_handshake_done). why is a constant word for the log. */
	void (*closed)(struct conn *c, const char *why);
};
/* All on the loop thread unless said otherwise. */
void *conn_owner(const struct conn *c);
void conn_set_owner(struct conn *c, void *owner);
struct loop *conn_loop(const struct conn *c);
conn_id conn_get_id(const struct conn *c);
struct conn *conn_by_id(struct loop *l, conn_id id);    /* NULL when it has gone */
const struct conn_peer *conn_get_peer(const struct conn *c);
slice conn_input(struct conn *c);                       /* valid until conn_consume or conn_want_input */
void conn_consume(struct conn *c, size_t n);
void conn_want_input(struct conn *c, bool want, size_t max); /* reads on while less than max bytes wait */
/* While held, the bytes of conn_input stay where they are even when the connection dies (a worker reads them). */
void conn_hold(struct conn *c);
void conn_unhold(struct conn *c);
bool conn_input_eof(const struct conn *c);
void conn_write(struct conn *c, struct out *o);         /* takes all of o, starts writing */
uint64_t conn_unwritten(const struct conn *c);          /* bytes queued, blobs included */
struct out *conn_out(struct conn *c);                   /* the queue itself, for out_fill when a BLOB is at its head */
void conn_flush(struct conn *c);                        /* after out_fill */
void conn_start_tls(struct conn *c, struct tls_store *s, slice service, slice alpn);
int conn_handshake_step(struct conn *c);                /* any one thread; the conn touches nothing meanwhile */
void conn_handshake_done(struct conn *c, int result);
bool conn_is_tls(const struct conn *c);
slice conn_tls_text(const struct conn *c);              /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty without */
void conn_close(struct conn *c);                        /* after all output has been written, unless 10 s pass without
							   progress; reads no more */
void conn_abort(struct conn *c);                        /* now */

/* --- listeners --------------------------------------------------------------------------------------------- */
struct listener;
/* Binds and listens; each loop given accepts for itself (SO_REUSEPORT is not used: one socket, round robin by the
 * kernel's wake-ups). accept_fn runs on the accepting loop and returns the ops, or NULL to close at once. */
typedef const struct conn_ops *(*conn_accept_fn)(void *ctx, struct conn *c);
enum status listener_open(struct loop **loops, size_t n, const char *addr, uint16_t port, conn_accept_fn fn, void *ctx,
			  struct listener **out, struct err *e) MUST_USE;
uint16_t listener_port(const struct listener *l);
void listener_close(struct listener *l); /* stops accepting at once; any thread; its loops let go of it by and by */

/* --- sim: a connection without a socket ------------------------------------------------------------------------ */
struct conn *conn_new_sim(struct loop *l, const struct conn_peer *peer, const struct conn_ops *(*accept)(void *, struct conn *),
			  void *ctx);
void conn_sim_send(struct conn *c, slice bytes);  /* client → server */
slice conn_sim_received(struct conn *c);          /* server → client so far, not yet taken */
void conn_sim_take(struct conn *c, size_t n);
void conn_sim_eof(struct conn *c);
bool conn_sim_is_closed(const struct conn *c);
void conn_sim_window(struct conn *c, size_t n);   /* a slow reader: takes n bytes more, then waits; SIZE_MAX: all */
void conn_sim_free(struct conn *c);               /* once it is closed; otherwise it lives until loop_free */
/* In sim, conn_start_tls completes at once: bytes stay readable, conn_is_tls becomes true. What the client had sent
 * before it is treated as on a socket: plaintext behind STARTTLS closes the connection. */
