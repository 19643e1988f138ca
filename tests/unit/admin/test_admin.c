/* Every verb over a store in memory: results, refusals, and what the request may look like. */
#include "admin/admin.h"
#include "auth/auth.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "kv/kv.h"
#include "store/store.h"
#include "work/session.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
/* after the system's headers */
#include <cmocka.h>

struct world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct admin_ctx ctx;
	json_t *reply; /* of the last request */
};

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	struct kv_options ko = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct auth_options ao = { .clock = &w->clock,
				   .argon2_kib = 64,
				   .argon2_passes = 1 };
	struct err e = { 0 };
	clock_init_virtual(&w->clock, 1790000000LL * 1000000);
	assert_int_equal(kv_open(&ko, &w->kv, &e), ST_OK);
	assert_int_equal(store_open(w->kv, &w->clock, &w->store, &e), ST_OK);
	w->auth = auth_new(w->store, &ao);
	w->ctx = (struct admin_ctx){ .store = w->store, .auth = w->auth };
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	json_decref(w->reply);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	mem_free(w);
	return 0;
}

/* --- asking ---------------------------------------------------------------------------- */

/* request: JSON with ' for ". The whole reply, borrowed until the next request. */
static const json_t *ask_raw(struct world *w, const char *request)
{
	AUTO_BUF b;
	buf_init(&b, 1u << 20);
	buf_adds(&b, request);
	for (size_t i = 0; i < b.n; i++)
		if (b.p[i] == '\'')
			b.p[i] = '"';
	json_t *r = json_loadb(b.p, b.n, JSON_DECODE_ANY, NULL);
	json_decref(w->reply);
	w->reply = admin_run(&w->ctx, r);
	json_decref(r);
	assert_true(json_is_object(w->reply));
	return w->reply;
}

/* words: "user add ann@a.example"; options: JSON with ' for ", or NULL. */
static const json_t *ask(struct world *w, const char *words, const char *options)
{
	AUTO_BUF b;
	slice rest = slice_str(words), noun = slice_cut(&rest, ' '), verb = SL("");
	bool one_word = slice_eq(noun, SL("who")) || slice_eq(noun, SL("kick"));
	buf_init(&b, 1u << 20);
	if (!one_word)
		verb = slice_cut(&rest, ' ');
	buf_addf(&b, "{'noun': '%.*s', 'verb': '%.*s', 'args': [", FMT(noun), FMT(verb));
	for (const char *comma = ""; rest.n > 0; comma = ", ") {
		slice arg = slice_cut(&rest, ' ');
		buf_addf(&b, "%s'%.*s'", comma, FMT(arg));
	}
	buf_addf(&b, "], 'options': %s}", options ? options : "{}");
	buf_addc(&b, '\0');
	return ask_raw(w, b.p);
}

static const json_t *good(struct world *w, const char *words, const char *options)
{
	const json_t *r = ask(w, words, options);
	if (!json_is_true(json_object_get(r, "ok")))
		fail_msg("%s: %s", words, json_string_value(json_object_get(r, "error")));
	assert_non_null(json_object_get(r, "result"));
	return json_object_get(r, "result");
}

static void check_bad(const json_t *r, const char *what, const char *code)
{
	assert_true(json_is_false(json_object_get(r, "ok")));
	const char *text = json_string_value(json_object_get(r, "error"));
	if (strcmp(json_string_value(json_object_get(r, "code")), code) != 0)
		fail_msg("%s: expected %s, got %s (%s)", what, code,
			 json_string_value(json_object_get(r, "code")), text);
	assert_true(text != NULL && text[0] != '\0');
}

static void bad(struct world *w, const char *words, const char *options, const char *code)
{
	check_bad(ask(w, words, options), words, code);
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	assert_non_null(s);
	return s;
}

/* The row of a list whose key has this value. */
static const json_t *row_of(const json_t *list, const char *key, const char *value)
{
	size_t i;
	const json_t *row;
	assert_true(json_is_array(list));
	json_array_foreach(list, i,
			   row) if (strcmp(text_of(row, key), value) == 0) return row;
	return NULL;
}

static bool password_is(struct world *w, const char *address, const char *password)
{
	struct store_account acct;
	struct err e;
	AUTO_ARENA a;
	arena_init(&a);
	assert_int_equal(store_account_get(w->store, slice_str(address), &a, &acct, &e),
			 ST_OK);
	return auth_verifier_matches(acct.verifier, slice_str(password));
}

/* --- the table and the form of requests --------------------------------------------------- */

static void every_verb_is_found_and_has_help(void **state)
{
	(void)state;
	size_t n = 0;
	for (; admin_verbs[n] != NULL; n++) {
		const struct admin_verb *v = admin_verbs[n];
		unsigned words = 0;
		assert_ptr_equal(admin_find(slice_str(v->noun), slice_str(v->verb)), v);
		assert_true(v->help[0] != '\0' && (v->run != NULL) != (v->serve != NULL));
		for (slice rest = slice_str(v->args); rest.n > 0;)
			words += !slice_starts(slice_cut(&rest, ' '), SL("["));
		assert_int_equal(words, v->n_args);
	}
	assert_true(n >= 18);
	assert_null(admin_find(SL("user"), SL("")));
	assert_null(admin_find(SL(""), SL("")));
	assert_null(admin_find(SL("who"), SL("add")));
}

static void a_request_of_another_form_is_refused(void **state)
{
	static const char *const requests[] = {
		"null",
		"[]",
		"{}",
		"3",
		"{'noun': 'user'}",
		"{'noun': 'user', 'verb': 'fly', 'args': []}",
		"{'noun': 7, 'verb': [], 'args': {}}",
		"{'noun': 'user', 'verb': 'list'}",
		"{'noun': 'user', 'verb': 'list', 'args': 'x'}",
		"{'noun': 'user', 'verb': 'list', 'args': ['x']}",
		"{'noun': 'domain', 'verb': 'add', 'args': []}",
		"{'noun': 'domain', 'verb': 'add', 'args': [7]}",
		"{'noun': 'domain', 'verb': 'add', 'args': ['a.example', 'b.example']}",
		"{'noun': 'domain', 'verb': 'add', 'args': ['a\\r\\nb.example']}",
		"{'noun': 'domain', 'verb': 'add', 'args': ['a.example\\u007f']}",
		"{'noun': 'domain', 'verb': 'add', 'args': ['a.example'], 'options': {'color': 1}}",
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		check_bad(ask_raw(w, requests[i]), requests[i], "syntax");
	assert_int_equal(json_array_size(good(w, "domain list", NULL)), 0);
}

static void text_that_is_not_utf8_is_repaired(void **state)
{
	(void)state;
	json_t *s = admin_text(SL("a\xff\xc3\xa9\xc3"));
	assert_string_equal(json_string_value(s), "a\xEF\xBF\xBD\xC3\xA9\xEF\xBF\xBD");
	json_decref(s);
	s = admin_text(SL(""));
	assert_string_equal(json_string_value(s), "");
	json_decref(s);
}

/* --- domains ------------------------------------------------------------------------------- */

static void domains_come_and_go(void **state)
{
	struct world *w = *state;
	const json_t *made = good(w, "domain add a.example", NULL);
	assert_string_equal(text_of(made, "domain"), "a.example");
	bad(w, "domain add A.Example", NULL, "exists");
	bad(w, "domain add not_a_domain..", NULL, "syntax");
	good(w, "domain add b.example", NULL);
	const json_t *list = good(w, "domain list", NULL);
	assert_int_equal(json_array_size(list), 2);
	assert_non_null(row_of(list, "domain", "a.example"));
	good(w, "user add ann@a.example", NULL);
	check_bad(ask(w, "domain remove a.example", NULL), "domain in use", "cannot");
	good(w, "domain remove b.example", NULL);
	bad(w, "domain remove b.example", NULL, "no-domain");
	assert_int_equal(json_array_size(good(w, "domain list", NULL)), 1);
}

/* --- accounts -------------------------------------------------------------------------------- */

static void an_account_gets_the_password_given(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	const json_t *r = good(w, "user add Ann@A.example", "{'password': 'one two'}");
	assert_string_equal(text_of(r, "address"), "ann@a.example");
	assert_null(json_object_get(r, "password"));
	assert_true(password_is(w, "ann@a.example", "one two"));
	bad(w, "user add ann@a.example", "{'password': 'x'}", "exists");
	bad(w, "user add bob@a.example", "{'password': ''}", "syntax");
	bad(w, "user add bob@a.example", "{'password': 7}", "syntax");
	bad(w, "user add bob@b.example", "{'password': 'x'}", "no-domain");
	bad(w, "user add bob", "{'password': 'x'}", "syntax");
	assert_int_equal(json_array_size(good(w, "user list", NULL)), 1);
}

static void an_account_gets_a_password_when_none_is_given(void **state)
{
	struct world *w = *state;
	char first[64];
	good(w, "domain add a.example", NULL);
	snprintf(first, sizeof(first), "%s",
		 text_of(good(w, "user add ann@a.example", NULL), "password"));
	assert_int_equal(strlen(first), 23); /* four groups of five */
	assert_true(password_is(w, "ann@a.example", first));
	const json_t *r = good(w, "user passwd ann@a.example", NULL);
	assert_string_not_equal(text_of(r, "password"), first);
	assert_false(password_is(w, "ann@a.example", first));
}

static void passwd_replaces_the_password(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", "{'password': 'old'}");
	good(w, "user passwd ann@a.example", "{'password': 'new'}");
	assert_false(password_is(w, "ann@a.example", "old"));
	assert_true(password_is(w, "ann@a.example", "new"));
	bad(w, "user passwd bob@a.example", "{'password': 'new'}", "no-account");
	bad(w, "user passwd ann@a.example", "{'password': ''}", "syntax");
	assert_true(password_is(w, "ann@a.example", "new"));
}

static void rename_keeps_the_password(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "domain add b.example", NULL);
	good(w, "user add ann@a.example", "{'password': 'old'}");
	good(w, "user add bob@a.example", "{'password': 'bob'}");
	assert_string_equal(
		text_of(good(w, "user rename ann@a.example anna@b.example", NULL),
			"address"),
		"anna@b.example");
	assert_true(password_is(w, "anna@b.example", "old"));
	bad(w, "mailbox list ann@a.example", NULL, "no-account");
	bad(w, "user rename anna@b.example bob@a.example", NULL, "exists");
	bad(w, "user rename anna@b.example x@c.example", NULL, "no-domain");
	bad(w, "user rename nobody@a.example x@a.example", NULL, "no-account");
}

static void disable_and_enable_are_seen_in_the_list(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", NULL);
	good(w, "user add bob@a.example", NULL);
	good(w, "user disable bob@a.example", NULL);
	const json_t *list = good(w, "user list", NULL);
	assert_int_equal(json_array_size(list), 2);
	assert_true(json_is_true(
		json_object_get(row_of(list, "address", "ann@a.example"), "admin")));
	assert_true(json_is_false(
		json_object_get(row_of(list, "address", "ann@a.example"), "disabled")));
	assert_true(json_is_false(
		json_object_get(row_of(list, "address", "bob@a.example"), "admin")));
	assert_true(json_is_true(
		json_object_get(row_of(list, "address", "bob@a.example"), "disabled")));
	assert_int_equal(json_integer_value(json_object_get(
				 row_of(list, "address", "bob@a.example"), "messages")),
			 0);
	good(w, "user enable bob@a.example", NULL);
	list = good(w, "user list", NULL);
	assert_true(json_is_false(
		json_object_get(row_of(list, "address", "bob@a.example"), "disabled")));
	bad(w, "user disable nobody@a.example", NULL, "no-account");
	bad(w, "user enable nobody@a.example", NULL, "no-account");
}

static void remove_makes_room_for_the_name(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", "{'password': 'one'}");
	good(w, "user remove ann@a.example", NULL);
	bad(w, "user remove ann@a.example", NULL, "no-account");
	assert_int_equal(json_array_size(good(w, "user list", NULL)), 0);
	good(w, "user add ann@a.example", "{'password': 'two'}");
	assert_true(password_is(w, "ann@a.example", "two"));
	assert_false(password_is(w, "ann@a.example", "one"));
}

static void aliases_lead_to_accounts(void **state)
{
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", NULL);
	const json_t *r = good(w, "alias add info@a.example ann@a.example", NULL);
	assert_string_equal(text_of(r, "address"), "info@a.example");
	assert_string_equal(text_of(r, "target"), "ann@a.example");
	bad(w, "alias add info@a.example ann@a.example", NULL, "exists");
	bad(w, "alias add ann@a.example ann@a.example", NULL, "exists");
	bad(w, "alias add x@a.example nobody@a.example", NULL, "no-account");
	bad(w, "alias add x@b.example ann@a.example", NULL, "no-domain");
	const json_t *row =
		row_of(good(w, "alias list", NULL), "address", "info@a.example");
	assert_string_equal(text_of(row, "target"), "ann@a.example");
	good(w, "alias remove info@a.example", NULL);
	assert_int_equal(json_array_size(good(w, "alias list", NULL)), 0);
	check_bad(ask(w, "alias remove info@a.example", NULL), "alias remove",
		  "no-account");
}

static void a_new_account_has_its_six_mailboxes(void **state)
{
	static const char *const want[][2] = {
		{ "INBOX", "inbox" }, { "Drafts", "drafts" }, { "Sent", "sent" },
		{ "Junk", "junk" },   { "Trash", "trash" },   { "Archive", "archive" },
	};
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", NULL);
	const json_t *list = good(w, "mailbox list ann@a.example", NULL);
	assert_int_equal(json_array_size(list), 6);
	for (size_t i = 0; i < 6; i++) {
		const json_t *row = row_of(list, "mailbox", want[i][0]);
		assert_non_null(row);
		assert_string_equal(text_of(row, "role"), want[i][1]);
		assert_int_equal(json_integer_value(json_object_get(row, "messages")), 0);
		assert_int_equal(json_integer_value(json_object_get(row, "uidnext")), 1);
		assert_true(json_integer_value(json_object_get(row, "uidvalidity")) > 0);
	}
	bad(w, "mailbox list nobody@a.example", NULL, "no-account");
}

/* --- import ------------------------------------------------------------------------------------ */

static void import_takes_good_lines_and_names_bad_ones(void **state)
{
	static const char lines[] =
		"{'lines': ["
		"[1, 'ann@a.example:{PLAIN}secret'],"
		"[3, 'bob@a.example:{PLAIN}secret:1000:1000::/home/bob::'],"
		"[4, 'cat@a.example'],"
		"[5, 'dan@b.example:{PLAIN}x'],"
		"[6, 'eve@a.example:{ROT13}x'],"
		"[7, 'ann@a.example:{PLAIN}again'],"
		"[8, 'fay@a.example:{PLAIN}co:lon'],"
		"[9, 'nobody:{PLAIN}x'],"
		"[10, 'gus@a.example:{PLAIN}x::::::'],"
		"[11, ':{PLAIN}x'],"
		"[12, 'hal@a.example:{SHA512-CRYPT}$1$not'],"
		"[13, 'ida@a.example:$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc."
		"eoxqOmSuNp2xS0ktL3nh/']"
		"]}";
	static const json_int_t refused_lines[] = { 4, 5, 6, 7, 8, 9, 11, 12 };
	struct world *w = *state;
	good(w, "domain add a.example", NULL);
	const json_t *r = good(w, "user import", lines),
		     *refused = json_object_get(r, "refused");
	assert_int_equal(json_integer_value(json_object_get(r, "made")), 4);
	assert_int_equal(json_array_size(refused), 8);
	for (size_t i = 0; i < 8; i++) {
		const json_t *v = json_array_get(refused, i);
		assert_int_equal(json_integer_value(json_object_get(v, "line")),
				 refused_lines[i]);
		assert_true(text_of(v, "reason")[0] != '\0');
	}
	assert_string_equal(text_of(json_array_get(refused, 1), "address"),
			    "dan@b.example");
	assert_non_null(strstr(text_of(json_array_get(refused, 1), "reason"), "domain"));
	assert_non_null(strstr(text_of(json_array_get(refused, 2), "reason"), "ROT13"));
	assert_true(password_is(w, "ann@a.example", "secret"));
	assert_true(password_is(w, "bob@a.example", "secret"));
	assert_true(password_is(w, "gus@a.example", "x"));
	/* The example of crypt(3)'s own tests: kept as it is. */
	AUTO_ARENA a;
	struct store_account acct;
	struct err e;
	arena_init(&a);
	assert_int_equal(store_account_get(w->store, SL("ida@a.example"), &a, &acct, &e),
			 ST_OK);
	assert_true(slice_starts(acct.verifier, SL("{CRYPT}$6$saltsalt$qFmFH")));
	assert_int_equal(json_array_size(good(w, "user list", NULL)), 4);
}

static void import_of_strange_lines_is_harmless(void **state)
{
	struct world *w = *state;
	const json_t *r =
		good(w, "user import", "{'lines': [[1], 7, 'x', ['a', 'b'], [2, {}]]}");
	assert_int_equal(json_integer_value(json_object_get(r, "made")), 0);
	assert_int_equal(json_array_size(json_object_get(r, "refused")), 5);
	r = good(w, "user import", "{'lines': 'x'}");
	assert_int_equal(json_array_size(json_object_get(r, "refused")), 0);
}

/* --- sessions and queue --------------------------------------------------------------------------- */

static void who_and_kick_say_that_no_server_runs(void **state)
{
	struct world *w = *state;
	bad(w, "who", NULL, "busy");
	bad(w, "kick ann@a.example", NULL, "busy");
	assert_true(admin_find(SL("who"), SL(""))->needs_server);
	assert_true(admin_find(SL("kick"), SL(""))->needs_server);
	assert_false(admin_find(SL("user"), SL("list"))->needs_server);
}

static void an_empty_queue_is_an_empty_list(void **state)
{
	struct world *w = *state;
	assert_int_equal(json_array_size(good(w, "queue list", NULL)), 0);
}

static void what_waits_for_other_servers_is_listed(void **state)
{
	static const char text[] =
		"From: ann@a.example\r\nTo: x@b.example\r\n\r\nhello\r\n";
	struct world *w = *state;
	struct err e = { 0 };
	struct store_txn *t;
	const uint32_t directory = 0;
	slice to[] = { S("x@b.example"), S("y\xff@b.example") };
	struct store_queue_entry entry = {
		.queued = 1790000000,
		.due = 1790000000,
		.account = 1,
		.sender = SL("ann@a.example"),
		.rcpt = to,
		.n_rcpt = 2,
		.state = SL("waiting"),
	};
	uint64_t id;
	struct intake *in = intake_new(w->store, 0, 1u << 20);
	assert_int_equal(intake_write(in, slice_str(text), &e), ST_OK);
	assert_int_equal(intake_end(in, &e), ST_OK);
	assert_int_equal(store_begin(w->store, &directory, 1, NULL, &t, &e), ST_OK);
	assert_int_equal(store_queue_add(t, in, &entry, &id, &e), ST_OK);
	assert_int_equal(store_commit_wait(t, &e), ST_OK);
	intake_free(in);
	const json_t *list = good(w, "queue list", NULL), *row = json_array_get(list, 0);
	assert_int_equal(json_array_size(list), 1);
	assert_int_equal(strlen(text_of(row, "id")), 16);
	assert_string_equal(text_of(row, "queued"), "2026-09-21T14:13:20Z");
	assert_string_equal(text_of(row, "state"), "waiting");
	assert_string_equal(text_of(row, "from"), "ann@a.example");
	assert_true(json_integer_value(json_object_get(row, "size")) >=
		    (json_int_t)sizeof(text) - 1);
	const json_t *rcpt = json_object_get(row, "to");
	assert_string_equal(json_string_value(json_array_get(rcpt, 0)), "x@b.example");
	assert_string_equal(json_string_value(json_array_get(rcpt, 1)),
			    "y\xEF\xBF\xBD@b.example");
}

/* A service that only holds connections. */
static struct session *held_open(void *ctx, struct out *o)
{
	(void)ctx;
	(void)o;
	return mem_new(sizeof(struct session));
}
static void held_greet(struct session *s, struct out *o)
{
	(void)o;
	session_set_user(s, SL("ann@a.example"), 1);
}
static enum frame held_frame(struct session *s, slice in, size_t *used)
{
	(void)s;
	*used = in.n;
	return FRAME_MORE;
}
static enum step held_run(struct session *s, struct out *o)
{
	(void)s;
	(void)o;
	return STEP_CLOSE;
}
static enum frame held_event(struct session *s, enum event ev, struct out *o)
{
	(void)s;
	(void)ev;
	(void)o;
	return FRAME_MORE;
}
static void held_close(struct session *s)
{
	mem_free(s);
}
static const struct service held_service = {
	.name = "held",
	.input_max = 100,
	.open = held_open,
	.greet = held_greet,
	.frame = held_frame,
	.run = held_run,
	.event = held_event,
	.close = held_close,
};

static void sessions_are_listed_and_closed(void **state)
{
	static const struct conn_peer peer = { .addr = "192.0.2.7", .port = 4000 };
	struct world *w = *state;
	struct worker_options wo = { .clock = &w->clock };
	char id[32], words[64];
	good(w, "domain add a.example", NULL);
	good(w, "user add ann@a.example", NULL); /* account 1, whose sessions these are */
	w->ctx.workers = worker_new(&wo);
	worker_connect_sim(w->ctx.workers, &held_service, NULL, false, &peer);
	worker_connect_sim(w->ctx.workers, &held_service, NULL, false, &peer);
	while (worker_step(w->ctx.workers))
		;
	const json_t *list = good(w, "who", NULL), *row = json_array_get(list, 0);
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text_of(row, "service"), "held");
	assert_string_equal(text_of(row, "user"), "ann@a.example");
	assert_string_equal(text_of(row, "address"), "192.0.2.7");
	assert_true(json_is_false(json_object_get(row, "tls")));
	snprintf(id, sizeof(id), "%s", text_of(row, "session"));
	snprintf(words, sizeof(words), "kick %s", id);
	assert_int_equal(
		json_integer_value(json_object_get(good(w, words, NULL), "closed")), 1);
	while (worker_step(w->ctx.workers))
		;
	assert_int_equal(json_array_size(good(w, "who", NULL)), 1);
	bad(w, "kick bob@a.example", NULL, "no-account");
	assert_int_equal(json_integer_value(json_object_get(
				 good(w, "kick Ann@A.Example", NULL), "closed")),
			 1);
	while (worker_step(w->ctx.workers))
		;
	assert_int_equal(json_array_size(good(w, "who", NULL)), 0);
	worker_stop(w->ctx.workers, 1000);
	worker_free(w->ctx.workers);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_verb_is_found_and_has_help),
		TEST(a_request_of_another_form_is_refused),
		TEST(text_that_is_not_utf8_is_repaired),
		TEST(domains_come_and_go),
		TEST(an_account_gets_the_password_given),
		TEST(an_account_gets_a_password_when_none_is_given),
		TEST(passwd_replaces_the_password),
		TEST(rename_keeps_the_password),
		TEST(disable_and_enable_are_seen_in_the_list),
		TEST(remove_makes_room_for_the_name),
		TEST(aliases_lead_to_accounts),
		TEST(a_new_account_has_its_six_mailboxes),
		TEST(import_takes_good_lines_and_names_bad_ones),
		TEST(import_of_strange_lines_is_harmless),
		TEST(who_and_kick_say_that_no_server_runs),
		TEST(an_empty_queue_is_an_empty_list),
		TEST(what_waits_for_other_servers_is_listed),
		TEST(sessions_are_listed_and_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
