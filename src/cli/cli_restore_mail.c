/* cli_restore_mail.c — messages of one account, out of a backup that is opened for reading and into the system that is
 * there. What a mailbox holds already is not put there again (transfer/import.h). */
#include "base/cleanup.h"
#include "base/limits.h"
#include "cli/cli_restore.h"
#include "kv/kv.h"
#include "mime/mime_digest.h"
#include "store/store.h"
#include "transfer/import.h"
#include <sysexits.h>

#define ROWS  1000
#define PIECE (256u << 10)

struct mail {
	const struct cli_call *call;
	struct arena a;
	struct clock clock;
	struct kv *kv; /* of the backup */
	struct store *s;
	struct store_account from;
	slice *keyword;
	size_t n_keywords;
	slice mailbox, message_id, into; /* empty: all, any, its own name */
	uint32_t uid;			 /* 0: any */

	struct cli_stream *stream;
	struct import_client client;
	struct cli_progress shown;
	uint64_t done, all;
	uint64_t found; /* that were asked for, and are in the backup */
	struct import_report sum;
	json_t *refused;
	const char *box; /* at work on */
	char *piece;
};

/* --- the backup ----------------------------------------------------------------------- */
static enum status open_backup(struct mail *m, const char *dir, const char *account,
			       struct err *e)
{
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_INLINE,
		.dir = dir,
		.read_only = true,
		.read_only_probe = true,
	};
	clock_init_real(&m->clock);
	enum status st = kv_open(&opt, &m->kv, e);
	if (st == ST_OK)
		st = store_open(m->kv, &m->clock, &m->s, e);
	if (st == ST_OK)
		st = store_account_get(m->s, slice_str(account), &m->a, &m->from, e);
	if (st != ST_OK && e->code == ERR_NO_ACCOUNT)
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %s in %s", account,
			       dir);
	if (st == ST_OK)
		st = store_keywords(m->s, m->from.id, &m->a, &m->keyword, &m->n_keywords,
				    e);
	return st;
}

struct rows {
	struct store_row at[ROWS];
	size_t n;
};

static bool take_row(void *ctx, const struct store_row *row)
{
	struct rows *r = ctx;
	r->at[r->n++] = *row;
	return r->n < ROWS;
}

/* --- one message ---------------------------------------------------------------------- */
static void on_refused(void *ctx, uint64_t tag, const char *why)
{
	struct mail *m = ctx;
	json_array_append_new(m->refused, json_pack("{s:o, s:I, s:o}", "mailbox",
						    admin_text(slice_str(m->box)), "uid",
						    (json_int_t)tag, "reason",
						    admin_text(slice_str(why))));
}

static const struct import_events events = { .refused = on_refused };

static slice keywords_of(struct mail *m, struct arena *a, uint64_t bits)
{
	AUTO_BUF b;
	buf_init(&b, LIMIT_KEYWORDS * (LIMIT_KEYWORD + 1u));
	for (size_t i = 0; i < m->n_keywords && i < 64; i++) {
		if (!(bits >> i & 1))
			continue;
		buf_adds(&b, b.n > 0 ? " " : "");
		buf_add(&b, m->keyword[i]);
	}
	return arena_dup(a, buf_slice(&b));
}

/* Bodies that cannot be read are told, and the rest goes on. */
static enum status send_body(struct mail *m, const struct store_email *x, struct err *e)
{
	struct err why = { 0 };
	uint64_t size = x->prefix.n + x->blob_size;
	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;
		if (store_email_read(m->s, x, at, m->piece, n, &why) != ST_OK)
			return import_abort(&m->client, why.text, e);
		enum status st = import_data(&m->client, slice_make(m->piece, n), e);
		if (st != ST_OK)
			return st;
		at += n;
	}
	return import_end(&m->client, e);
}

static bool is_wanted(const struct mail *m, const struct store_email *x)
{
	return m->message_id.n == 0 ||
	       slice_eq(mime_digest_message_id(x->digest), m->message_id);
}

static enum status send_message(struct mail *m, const struct store_row *row,
				struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct store_email x;
	struct err why = { 0 };
	if (row->email == 0)
		err_set(&why, ERR_CORRUPT, "the row of the message is damaged");
	if (why.code != ERR_NONE ||
	    store_email_get(m->s, m->from.id, row->email, &a, &x, &why) != ST_OK) {
		m->sum.refused++;
		on_refused(m, row->uid, why.text);
		return ST_OK;
	}
	if (!is_wanted(m, &x))
		return ST_OK;
	struct transfer_message head = {
		.tag = row->uid,
		.flags = row->flags.sys,
		.date = row->internal_date,
		.size = x.prefix.n + x.blob_size,
		.keywords = keywords_of(m, &a, row->flags.kw),
	};
	m->found++;
	enum status st = import_begin(&m->client, &head, e);
	return st == ST_OK ? send_body(m, &x, e) : st;
}

/* --- a mailbox ------------------------------------------------------------------------ */
static enum status send_rows(struct mail *m, const struct store_mailbox *box,
			     struct err *e)
{
	AUTO_MEM struct rows *r = mem_new(sizeof(*r));
	uint32_t from = m->uid ? m->uid : 1, to = m->uid ? m->uid : UINT32_MAX;
	enum status st = ST_OK;
	do {
		r->n = 0;
		st = store_rows_all(m->s, m->from.id, box->id, from, to, take_row, r, e);
		for (size_t i = 0; i < r->n && st == ST_OK; i++) {
			st = send_message(m, &r->at[i], e);
			cli_progress_set(&m->shown, ++m->done, m->all, 0);
		}
		if (r->n > 0)
			from = r->at[r->n - 1].uid + 1;
	} while (st == ST_OK && r->n == ROWS && from != 0);
	return st;
}

static void add_report(struct import_report *sum, const struct import_report *r)
{
	sum->added += r->added;
	sum->added_bytes += r->added_bytes;
	sum->present += r->present;
	sum->refused += r->refused;
	sum->verified += r->verified;
	sum->verified_bytes += r->verified_bytes;
}

static enum status send_mailbox(struct mail *m, const struct store_mailbox *box,
				struct err *e)
{
	struct import_report r = { 0 };
	struct import_box b = {
		.name = m->into.n > 0 ? m->into : box->name,
		.role = m->into.n > 0 ? SL("") : slice_str(store_role_name(box->role)),
		.subscribed = box->subscribed,
	};
	m->box = arena_cstr(&m->a, box->name);
	enum status st = import_box_begin(&m->client, &b, e);
	if (st == ST_OK)
		st = send_rows(m, box, e);
	if (st == ST_OK)
		st = import_box_end(&m->client, &r, e);
	add_report(&m->sum, &r);
	return st;
}

static enum status send_all(struct mail *m, struct err *e)
{
	struct store_mailbox *box;
	size_t n, sent = 0;
	enum status st = store_mailbox_list(m->s, m->from.id, &m->a, &box, &n, e);
	for (size_t i = 0; i < n && st == ST_OK; i++) {
		bool inbox = slice_ieq(m->mailbox, SL("INBOX"));
		bool fits = m->mailbox.n == 0 || slice_eq(box[i].name, m->mailbox) ||
			    (inbox && slice_eq(box[i].name, SL("INBOX")));
		box[i].exists &= fits;
		m->all += box[i].exists ? box[i].messages : 0;
	}
	for (size_t i = 0; i < n && st == ST_OK; i++) {
		if (!box[i].exists)
			continue;
		st = send_mailbox(m, &box[i], e);
		sent++;
	}
	if (st == ST_OK && sent == 0)
		return err_set(e, ERR_NO_MAILBOX,
			       "the account has no mailbox %.*s in the backup",
			       FMT(m->mailbox));
	return st;
}

/* --- the conversation ----------------------------------------------------------------- */
/* The account is made again, with its password, when it is not there; another's is not. */
static enum status open_stream(struct mail *m, const char *to, struct err *e)
{
	bool same = to == NULL;
	json_t *verifier = json_stringn(m->from.verifier.p, m->from.verifier.n);
	json_t *options =
		json_pack("{s:o}", "account",
			  same ? admin_text(m->from.address) : admin_text(slice_str(to)));
	if (same && verifier != NULL)
		json_object_set(options, "verifier", verifier);
	json_decref(verifier);
	json_t *request = json_pack("{s:s, s:s, s:[s], s:o}", "noun", "restore", "verb",
				    "", "args", "-", "options", options);
	m->stream = cli_stream_open(m->call->cli, request, e);
	json_decref(request);
	if (m->stream == NULL)
		return err_status(e->code);
	import_client_init(&m->client, cli_stream_conn(m->stream), &events, m);
	return ST_OK;
}

static int print_result(const struct mail *m, const char *name)
{
	size_t i;
	const json_t *v;
	json_t *r = json_pack("{s:s, s:I, s:I, s:I, s:I}", "backup", name, "restored",
			      (json_int_t)m->sum.added, "present",
			      (json_int_t)m->sum.present, "refused",
			      (json_int_t)m->sum.refused, "verified",
			      (json_int_t)m->sum.verified);
	if (m->call->cli->json)
		json_object_set(r, "reasons", m->refused);
	cli_print(m->call->cli, r, NULL);
	json_decref(r);
	json_array_foreach(m->refused, i, v)
	{
		if (m->call->cli->json)
			break;
		cli_put_clean(stdout, slice_str(json_string_value(
					      json_object_get(v, "mailbox"))));
		printf(" %lld: ",
		       (long long)json_integer_value(json_object_get(v, "uid")));
		cli_put_clean(stdout,
			      slice_str(json_string_value(json_object_get(v, "reason"))));
		putchar('\n');
	}
	return m->sum.refused > 0 || m->sum.verified != m->sum.added ? EX_DATAERR : EX_OK;
}

static enum status run(struct mail *m, const char *account, const char *dir,
		       struct err *e)
{
	enum status st = open_backup(m, dir, account, e);
	if (st == ST_OK)
		st = open_stream(m, cli_option(m->call, "as"), e);
	if (st != ST_OK)
		return st;
	cli_progress_init(&m->shown, m->call->cli, "messages");
	st = send_all(m, e);
	if (st == ST_OK)
		st = import_finish(&m->client, e);
	cli_progress_clear(&m->shown);
	if (st == ST_OK && m->found == 0 && (m->uid != 0 || m->message_id.n > 0))
		return err_set(e, ERR_NO_MESSAGE,
			       "there is no such message in the backup");
	return st;
}

static bool read_options(struct mail *m)
{
	const char *uid = cli_option(m->call, "uid");
	slice id = slice_trim(slice_str(cli_option(m->call, "message-id")));
	m->mailbox = slice_str(cli_option(m->call, "mailbox"));
	m->into = slice_str(cli_option(m->call, "into"));
	if (id.n > 1 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = slice_sub(id, 1, id.n - 2);
	m->message_id = id;
	if (uid == NULL)
		return true;
	if (!slice_u32(slice_str(uid), &m->uid) || m->uid == 0 || m->mailbox.n == 0) {
		fputs("facteur: --uid takes the number of one message, and --mailbox says in "
		      "which mailbox\n",
		      stderr);
		return false;
	}
	return true;
}

int cli_restore_mail(const struct cli_call *call, const char *account)
{
	struct mail m = { .call = call, .refused = json_array(), .box = "" };
	struct backup_manifest manifest;
	struct backup_entry x;
	const char *dir;
	struct err e = { 0 };
	AUTO_FD lock = -1;
	int rc = EX_USAGE;
	arena_init(&m.a);
	backup_manifest_init(&manifest);
	m.piece = mem_new(PIECE);
	if (read_options(&m)) {
		enum status st =
			cli_restore_find(call, &lock, &m.a, &x, &dir, &manifest, &e);
		if (st == ST_OK)
			st = run(&m, account, dir, &e);
		rc = st == ST_OK ? print_result(&m, x.name) : cli_fail(call->cli, &e);
	}
	if (m.stream != NULL)
		import_client_done(&m.client);
	cli_stream_close(m.stream);
	if (m.s != NULL)
		store_close(m.s);
	if (m.kv != NULL)
		kv_close(m.kv);
	json_decref(m.refused);
	mem_free(m.piece);
	backup_manifest_done(&manifest);
	arena_release(&m.a);
	return rc;
}
