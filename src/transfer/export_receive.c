/* export_receive.c — the writing side of an export: frames to a sink. */
#include "base/cleanup.h"
#include "transfer/export.h"

#define RANGES_A_FRAME 20000

struct receiver {
	struct frame_conn *conn;
	const struct export_sink *sink;
	void *ctx;
	struct arena box; /* names and keywords of the mailbox */
	bool in_message;
};

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

static enum status send_have(struct receiver *r, const struct export_ranges *have,
			     struct err *e)
{
	size_t at = 0;
	enum status st = ST_OK;
	do {
		json_t *list = json_array();
		for (size_t k = 0; k < RANGES_A_FRAME && at < have->n; k++, at++)
			json_array_append_new(
				list, json_pack("[I, I]", (json_int_t)have->at[at].first,
						(json_int_t)have->at[at].last));
		st = frame_send_json(
			r->conn, FRAME_ITEM,
			json_pack("{s:o, s:b}", "have", list, "more", at < have->n), e);
	} while (st == ST_OK && at < have->n);
	return st;
}

static void take_keywords(struct receiver *r, const json_t *list, struct export_box *box)
{
	size_t i;
	const json_t *v;
	slice *word = arena_array(&r->box, json_array_size(list) + 1, sizeof(*word));
	json_array_foreach(list, i, v) word[i] = arena_dup(
		&r->box, slice_make(json_string_value(v), json_string_length(v)));
	box->keywords = word;
	box->n_keywords = json_array_size(list);
}

static enum status on_box(struct receiver *r, const json_t *v, struct err *e)
{
	struct export_ranges have = { 0 };
	struct err why = { 0 };
	arena_reset(&r->box);
	struct export_box box = {
		.name = arena_dup(&r->box, text_of(v, "box")),
		.role = arena_dup(&r->box, text_of(v, "role")),
		.exists = json_is_true(json_object_get(v, "exists")),
		.subscribed = json_is_true(json_object_get(v, "subscribed")),
		.uidvalidity = (uint32_t)number_of(v, "uidvalidity"),
		.uidnext = (uint32_t)number_of(v, "uidnext"),
		.messages = number_of(v, "messages"),
		.bytes = number_of(v, "bytes"),
	};
	take_keywords(r, json_object_get(v, "keywords"), &box);
	enum status st = r->sink->box_begin(r->ctx, &box, &have, &why);
	if (st == ST_INVALID) {
		r->sink->failed(r->ctx, SL(""), box.name, 0, slice_str(why.text));
		st = frame_send_json(r->conn, FRAME_ITEM, json_pack("{s:b}", "skip", 1),
				     e);
	} else if (st == ST_OK) {
		st = send_have(r, &have, e);
	} else {
		*e = why;
	}
	export_ranges_done(&have);
	return st;
}

static enum status on_item(struct receiver *r, const json_t *v, struct err *e)
{
	if (json_object_get(v, "total_messages") != NULL) {
		r->sink->total(r->ctx, number_of(v, "total_messages"),
			       number_of(v, "total_bytes"));
		return ST_OK;
	}
	if (json_object_get(v, "box") != NULL)
		return on_box(r, v, e);
	if (json_object_get(v, "account") != NULL)
		return r->sink->account(r->ctx, text_of(v, "account"), e);
	struct export_box_end end = {
		.sent = number_of(v, "sent"),
		.sent_bytes = number_of(v, "sent_bytes"),
		.had = number_of(v, "had"),
		.failed = number_of(v, "failed"),
	};
	return r->sink->box_end(r->ctx, &end, e);
}

static enum status on_json(struct receiver *r, const struct frame_got *f, bool *out_over,
			   struct err *e)
{
	json_t *v = frame_json(f, e);
	enum status st = ST_OK;
	if (v == NULL)
		return err_status(e->code);
	if (f->type == FRAME_RESULT)
		*out_over = true;
	else if (f->type == FRAME_NOTE)
		r->sink->failed(r->ctx, text_of(v, "account"), text_of(v, "box"),
				(uint32_t)number_of(v, "uid"), text_of(v, "why"));
	else
		st = on_item(r, v, e);
	json_decref(v);
	return st;
}

static enum status on_message(struct receiver *r, slice data, struct err *e)
{
	struct transfer_message m;
	if (r->in_message || !transfer_message_read(data, &m))
		return err_set(e, ERR_CORRUPT, "the store's side sends no message");
	r->in_message = true;
	return r->sink->message(r->ctx, &m, e);
}

enum status export_receive(struct frame_conn *conn, const struct export_sink *sink,
			   void *ctx, struct err *e)
{
	struct receiver r = { .conn = conn, .sink = sink, .ctx = ctx };
	bool over = false;
	enum status st = ST_OK;
	arena_init(&r.box);
	while (st == ST_OK && !over) {
		struct frame_got f;
		st = frame_receive(conn, &f, e);
		if (st != ST_OK)
			break;
		if (f.type == FRAME_MESSAGE)
			st = on_message(&r, f.data, e);
		else if (f.type == FRAME_DATA && r.in_message)
			st = sink->data(ctx, f.data, e);
		else if (f.type == FRAME_END && r.in_message) {
			r.in_message = false;
			st = sink->end(ctx, f.data.n == 0, e);
		} else
			st = on_json(&r, &f, &over, e);
	}
	arena_release(&r.box);
	return st;
}
