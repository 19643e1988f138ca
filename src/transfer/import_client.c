/* import_client.c — the side that has the messages. */
#include "transfer/import.h"

#define PIECE (256u << 10)

void import_client_init(struct import_client *c, struct frame_conn *conn,
			const struct import_events *events, void *ctx)
{
	*c = (struct import_client){ .conn = conn, .events = events, .ctx = ctx };
	buf_init(&c->head, LIMIT_FRAME);
}

void import_client_done(struct import_client *c)
{
	buf_done(&c->head);
}

static slice text_of(const json_t *v, const char *key)
{
	const json_t *s = json_object_get(v, key);
	return slice_make(json_is_string(s) ? json_string_value(s) : "",
			  json_string_length(s));
}

static uint64_t number_of(const json_t *v, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(v, key));
}

static void take_note(const struct import_client *c, const json_t *v)
{
	if (c->events == NULL)
		return;
	if (json_object_get(v, "tag") != NULL && c->events->refused != NULL)
		c->events->refused(c->ctx, number_of(v, "tag"), text_of(v, "why").p);
	if (json_object_get(v, "durable") != NULL && c->events->durable != NULL)
		c->events->durable(c->ctx, number_of(v, "durable"));
}

/* The next frame that is no note; its JSON, a new reference, or NULL with *e filled. */
static json_t *answer(struct import_client *c, enum frame_type wanted, struct err *e)
{
	struct frame_got f;
	while (frame_receive(c->conn, &f, e) == ST_OK) {
		json_t *v = frame_json(&f, e);
		if (v == NULL || f.type == wanted)
			return v;
		take_note(c, v);
		json_decref(v);
		if (f.type != FRAME_NOTE) {
			err_set(e, ERR_CORRUPT, "the store's side says something else");
			return NULL;
		}
	}
	frame_last_word(c->conn, e); /* why it hung up, if it said so */
	return NULL;
}

/* What the store's side has said meanwhile, without waiting. */
static enum status listen(struct import_client *c, struct err *e)
{
	struct frame_got f;
	while (frame_is_ready(c->conn)) {
		enum status st = frame_receive(c->conn, &f, e);
		if (st != ST_OK)
			return st;
		json_t *v = frame_json(&f, e);
		if (v == NULL)
			return err_status(e->code);
		take_note(c, v);
		json_decref(v);
	}
	return ST_OK;
}

/* A send that failed because the peer gave up: its reason is the one to tell. */
static enum status sent(struct import_client *c, enum status st, struct err *e)
{
	if (st == ST_OK)
		return ST_OK;
	frame_last_word(c->conn, e);
	return st;
}

enum status import_box_begin(struct import_client *c, const struct import_box *box,
			     struct err *e)
{
	json_t *v = json_pack("{s:o, s:o, s:b, s:I, s:I}", "box", frame_text(box->name),
			      "role", frame_text(box->role), "subscribed",
			      box->subscribed, "uidvalidity",
			      (json_int_t)box->uidvalidity, "uidnext",
			      (json_int_t)box->uidnext);
	enum status st = sent(c, frame_send_json(c->conn, FRAME_ITEM, v, e), e);
	if (st != ST_OK)
		return st;
	json_t *reply = answer(c, FRAME_ITEM, e);
	if (reply == NULL)
		return err_status(e->code);
	slice why = text_of(reply, "why");
	if (why.n > 0) {
		err_set(e, ERR_CANNOT, "%.*s", FMT(why));
		st = ST_INVALID;
	}
	json_decref(reply);
	return st;
}

enum status import_begin(struct import_client *c, const struct transfer_message *head,
			 struct err *e)
{
	buf_reset(&c->head);
	transfer_message_write(&c->head, head);
	if (c->head.full)
		return err_set(e, ERR_LIMIT, "the head of a message is too long");
	return sent(c, frame_send(c->conn, FRAME_MESSAGE, buf_slice(&c->head), e), e);
}

enum status import_data(struct import_client *c, slice octets, struct err *e)
{
	enum status st = ST_OK;
	for (size_t at = 0; at < octets.n && st == ST_OK; at += PIECE)
		st = frame_send(c->conn, FRAME_DATA, slice_sub(octets, at, PIECE), e);
	return sent(c, st, e);
}

enum status import_end(struct import_client *c, struct err *e)
{
	enum status st = sent(c, frame_send(c->conn, FRAME_END, SL(""), e), e);
	return st == ST_OK ? listen(c, e) : st;
}

enum status import_abort(struct import_client *c, const char *why, struct err *e)
{
	slice text = slice_str(why[0] != '\0' ? why : "it could not be read");
	return sent(c, frame_send(c->conn, FRAME_END, text, e), e);
}

enum status import_box_end(struct import_client *c, struct import_report *out,
			   struct err *e)
{
	enum status st = sent(
		c, frame_send_json(c->conn, FRAME_ITEM, json_pack("{s:b}", "end", 1), e),
		e);
	json_t *v = st == ST_OK ? answer(c, FRAME_ITEM, e) : NULL;
	if (v == NULL)
		return st == ST_OK ? err_status(e->code) : st;
	*out = (struct import_report){
		.added = number_of(v, "added"),
		.added_bytes = number_of(v, "added_bytes"),
		.present = number_of(v, "present"),
		.refused = number_of(v, "refused"),
		.verified = number_of(v, "verified"),
		.verified_bytes = number_of(v, "verified_bytes"),
	};
	json_decref(v);
	return ST_OK;
}

enum status import_finish(struct import_client *c, struct err *e)
{
	enum status st = sent(c,
			      frame_send_json(c->conn, FRAME_ITEM,
					      json_pack("{s:b}", "finish", 1), e),
			      e);
	json_t *v = st == ST_OK ? answer(c, FRAME_RESULT, e) : NULL;
	if (v == NULL)
		return st == ST_OK ? err_status(e->code) : st;
	json_decref(v);
	return ST_OK;
}
