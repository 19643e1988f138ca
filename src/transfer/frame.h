#pragma once
/* frame.h — how the command and a stream verb talk: frames over a Unix stream socket.
 *
 *	frame = length (4 octets, big-endian, of what follows the type) type (1) octets
 *
 * JSON or octets, as the type says; both sides speak whenever they like. Sending gathers
 * frames and never deadlocks: while the peer takes nothing, what it says is read and kept
 * (up to LIMIT_FRAME_HELD). Blocking, one thread a conversation; *stop (may be NULL) ends
 * every wait within a quarter of a second with ERR_BUSY. The last frame of a verb is
 * FRAME_RESULT or FRAME_ERROR. */
#include "base/buf.h"
#include "base/limits.h"
#include "base/status.h"
#include <jansson.h>
#include <stdatomic.h>

enum frame_type {
	FRAME_DATA = 'D',     /* octets */
	FRAME_ITEM = 'I',     /* JSON: the verb's own */
	FRAME_PROGRESS = 'P', /* JSON {"done": n, "all": n, "unit": "messages"}; all 0: unknown */
	FRAME_NOTE = 'N',     /* JSON: a line for the reader, {"text": "…"} or a row */
	FRAME_MESSAGE = 'M',  /* head of a message, transfer/message.h; its octets follow */
	FRAME_END = 'Z',      /* of a message; not empty: why it is to be forgotten */
	FRAME_RESULT = 'R',   /* JSON: it went well; the last */
	FRAME_ERROR = 'E'     /* JSON {"code": "busy", "error": "…"}: it did not; the last */
};

struct frame_got {
	enum frame_type type;
	slice data; /* borrowed until the next call on the conversation */
};

struct frame_conn {
	int fd;
	const _Atomic bool *stop;
	struct buf in, out;
	size_t in_at;   /* parsed so far */
	bool out_broken, in_ended;
	bool peer_failed; /* the error that was received was the peer's own */
};

void frame_conn_init(struct frame_conn *c, int fd, const _Atomic bool *stop);
/* Sends what is gathered, as far as it goes; fd stays open. After half a frame the
 * socket is shut down for writing, so that nothing can be taken for its rest. */
void frame_conn_done(struct frame_conn *c);

/* data ≤ LIMIT_FRAME. Gathers; frame_flush, frame_receive and frame_conn_done send. ERR_BUSY:
 * the peer has hung up, or *stop. */
enum status frame_send(struct frame_conn *c, enum frame_type type, slice data,
		       struct err *e) MUST_USE;
/* Takes the reference of v, NULL included (then out of range: ERR_CANNOT). */
enum status frame_send_json(struct frame_conn *c, enum frame_type type, json_t *v,
			    struct err *e) MUST_USE;
enum status frame_flush(struct frame_conn *c, struct err *e) MUST_USE;

/* Flushes, then waits for a frame. ST_NOT_FOUND + ERR_BUSY: the peer has hung up between
 * two frames. An error frame is received as the error it carries (peer_failed). */
enum status frame_receive(struct frame_conn *c, struct frame_got *out,
			  struct err *e) MUST_USE;
/* A whole frame, or the end, is there to be received without waiting. */
bool frame_is_ready(struct frame_conn *c);
/* The JSON of a frame (new reference); NULL with *e filled when it is none. */
json_t *frame_json(const struct frame_got *f, struct err *e);
/* After a failed send: the error the peer gave before it hung up replaces *e, if there is
 * one. */
void frame_last_word(struct frame_conn *c, struct err *e);

/* Straight to the socket, behind a conversation that is done; waits two seconds at most. */
void frame_send_error(int fd, const struct err *e);
/* A JSON string of octets that may not be UTF-8: malformed ones become U+FFFD. */
json_t *frame_text(slice s);
