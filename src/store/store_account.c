/* store_account.c — accounts: made with their mailboxes, changed, removed, listed.
 * Blocking, under lock 0. */
#include "store/store_int.h"

static enum status finish(struct store_txn *t, enum status st, struct err *e)
{
	if (st != ST_OK) {
		store_abort(t);
		return st;
	}
	return store_commit_wait(t, e);
}

static enum status begin_directory(struct store *s, struct store_txn **out, struct err *e)
{
	static const uint32_t lock[] = { 0 };

	return txn_begin_wait(s, lock, 1, out, e);
}

/* A free address in a domain of ours. */
static enum status address_free(struct store_txn *t, slice text, struct address *out,
				struct err *e)
{
	slice row;
	struct row_login login;

	if (!address_fold(t->a, text, out) || out->domain.n == 0)
		return err_set(e, ERR_SYNTAX, "'%.*s' is not an address", FMT(text));
	enum status st = txn_get(t, key_domain(t->a, out->domain), &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_DOMAIN, "there is no domain %.*s here",
			       FMT(out->domain));
	if (st != ST_OK)
		return st;
	st = directory_login(t->s, t, t->a, out, &login, e);
	if (st == ST_OK)
		return err_set(e, ERR_EXISTS, "%.*s is already there",
			       FMT(address_join(t->a, out)));
	return st == ST_NOT_FOUND ? ST_OK : st;
}

static void login_put(struct store_txn *t, const struct address *addr,
		      const struct row_login *login)
{
	AUTO_BUF b = { 0 };
	struct skey k = key_account_address(login->account);

	buf_init(&b, LIMIT_VALUE);
	row_login_write(&b, login);
	txn_put_buf(t, key_login(t->a, addr->domain, addr->local), &b);
	if (!login->is_alias)
		txn_put(t, skey_slice(&k), address_join(t->a, addr));
	t->directory_changed = true;
}

/* --- making ------------------------------------------------------------------------- */
static const struct {
	slice name;
	enum store_role role;
} first_mailboxes[] = {
	/* RFC 6154 2 */
	{ S("INBOX"), ROLE_INBOX }, { S("Drafts"), ROLE_DRAFTS },
	{ S("Sent"), ROLE_SENT },   { S("Junk"), ROLE_JUNK },
	{ S("Trash"), ROLE_TRASH }, { S("Archive"), ROLE_ARCHIVE },
};

static void mailboxes_make(struct store_txn *t, uint32_t account)
{
	struct txn_account *ta = txn_account_new(t, account);

	for (size_t i = 0; i < sizeof(first_mailboxes) / sizeof(first_mailboxes[0]);
	     i++) {
		txn_mbox_new(t, ta, 0, first_mailboxes[i].name, first_mailboxes[i].role,
			     true);
		txn_put_empty(t,
			      key_subscription(t->a, account, first_mailboxes[i].name));
	}
}

static enum status account_add(struct store_txn *t, slice address, slice verifier,
			       uint32_t *out_id, struct err *e)
{
	struct address addr;
	struct row_directory *d;
	enum status st = address_free(t, address, &addr, e);

	if (st != ST_OK)
		return st;
	if (verifier.n > LIMIT_VALUE / 2)
		return err_set(e, ERR_LIMIT, "the password hash is too long");
	st = txn_directory(t, &d, e);
	if (st != ST_OK)
		return st;
	if (d->next_account > LIMIT_ACCOUNTS)
		return err_set(e, ERR_LIMIT, "no more accounts fit");
	struct row_login login = {
		.account = d->next_account++,
		.created = clock_now_s(t->s->clock),
		.verifier = verifier,
	};

	if (!d->admin)
		d->admin = login.account;
	t->directory_dirty = true;
	login_put(t, &addr, &login);
	mailboxes_make(t, login.account);
	*out_id = login.account;
	return ST_OK;
}

enum status store_account_add(struct store *s, slice address, slice verifier,
			      uint32_t *out_id, struct err *e)
{
	struct store_txn *t;
	uint32_t id = 0;
	enum status st = begin_directory(s, &t, e);

	if (st != ST_OK)
		return st;
	st = finish(t, account_add(t, address, verifier, &id, e), e);
	if (st == ST_OK)
		*out_id = id;
	return st;
}

enum status store_account_add_many(struct store *s, struct store_new_account *list,
				   size_t n, struct err *e)
{
	struct store_txn *t;
	uint32_t id;
	enum status st = begin_directory(s, &t, e);

	if (st != ST_OK)
		return st;
	for (size_t i = 0; i < n; i++) {
		struct err why = { 0 };

		st = account_add(t, list[i].address, list[i].verifier, &id, &why);
		list[i].result = st == ST_OK ? ERR_NONE : why.code;
		if (st == ST_IO) { /* not this line's fault */
			if (e)
				*e = why;
			store_abort(t);
			return st;
		}
	}
	return store_commit_wait(t, e);
}

/* --- changing ----------------------------------------------------------------------- */
static enum status account_login(struct store_txn *t, slice address, struct address *addr,
				 struct row_login *out, struct err *e)
{
	enum status st = ST_NOT_FOUND;

	if (address_fold(t->a, address, addr) && addr->domain.n)
		st = directory_login(t->s, t, t->a, addr, out, e);
	if (st == ST_NOT_FOUND || (st == ST_OK && out->is_alias))
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %.*s",
			       FMT(address));
	return st;
}

static enum status account_rename(struct store_txn *t, slice address, slice new_address,
				  struct err *e)
{
	struct address from, to;
	struct row_login login;
	enum status st = account_login(t, address, &from, &login, e);

	if (st != ST_OK)
		return st;
	st = address_free(t, new_address, &to, e);
	if (st != ST_OK)
		return st;
	txn_del(t, key_login(t->a, from.domain, from.local));
	login_put(t, &to, &login);
	return ST_OK;
}

enum status store_account_rename(struct store *s, slice address, slice new_address,
				 struct err *e)
{
	struct store_txn *t;
	enum status st = begin_directory(s, &t, e);

	return st == ST_OK ? finish(t, account_rename(t, address, new_address, e), e)
			   : st;
}

static enum status account_change(struct store *s, slice address, const slice *verifier,
				  const bool *disabled, struct err *e)
{
	struct store_txn *t;
	struct address addr;
	struct row_login login;
	enum status st = begin_directory(s, &t, e);

	if (st != ST_OK)
		return st;
	st = account_login(t, address, &addr, &login, e);
	if (st == ST_OK) {
		if (verifier)
			login.verifier = *verifier;
		if (disabled)
			login.disabled = *disabled;
		login_put(t, &addr, &login);
	}
	return finish(t, st, e);
}

enum status store_account_set_verifier(struct store *s, slice address, slice verifier,
				       struct err *e)
{
	return account_change(s, address, &verifier, NULL, e);
}

enum status store_account_set_disabled(struct store *s, slice address, bool disabled,
				       struct err *e)
{
	return account_change(s, address, NULL, &disabled, e);
}

static enum status set_language(struct store_txn *t, uint32_t account, slice language,
				struct err *e)
{
	struct txn_account *ta;
	enum status st = txn_account(t, account, &ta, e);

	if (st != ST_OK)
		return st;
	char *to = ta->hot->row.language;

	memset(to, 0, sizeof(ta->hot->row.language));
	if (language.n)
		memcpy(to, language.p, language.n);
	ta->hot->dirty = true;
	return ST_OK;
}

enum status store_account_set_language(struct store *s, slice address, slice language,
				       struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct store_account acct;
	struct store_txn *t;

	if (language.n && !store_language_is_known(language))
		return err_set(e, ERR_SYNTAX, "no language '%.*s' here: en or fr",
			       FMT(language));
	arena_init(&a);
	enum status st = store_account_get(s, address, &a, &acct, e);

	if (st == ST_OK)
		st = txn_begin_wait(s, &acct.id, 1, &t, e);
	return st == ST_OK ? finish(t, set_language(t, acct.id, language, e), e) : st;
}

/* --- removing ----------------------------------------------------------------------- */
struct remove_scan {
	struct store_txn *t;
	uint32_t account,
		lowest; /* lowest: of the other accounts, 0 when there is none */
	struct buf *aliases;
};

#define KEPT_ALIASES (60u << 10) /* octets of aliases that come back with an account */

static void keep_alias(struct remove_scan *r, slice key)
{
	slice rest = slice_from(key, 2);
	struct address addr = { .domain = slice_cut(&rest, 0) };

	addr.local = rest;
	slice text = address_join(r->t->a, &addr);

	if (r->aliases->n + text.n < KEPT_ALIASES) {
		buf_add(r->aliases, text);
		buf_addc(r->aliases, '\n');
	}
}

static bool remove_aliases(void *ctx, slice key, slice value)
{
	struct remove_scan *r = ctx;
	struct row_login login;

	if (!row_login_read(value, &login))
		return true;
	if (login.is_alias && login.account == r->account) {
		keep_alias(r, key);
		txn_del(r->t, arena_dup(r->t->a, key));
	}
	if (!login.is_alias && login.account != r->account &&
	    (!r->lowest || login.account < r->lowest))
		r->lowest = login.account;
	return true;
}

/* The rows that are deleted now, as they are. */
static enum status account_keep(struct store_txn *t, const struct address *addr,
				const struct row_login *login,
				const struct txn_account *ta, slice aliases)
{
	AUTO_BUF b = { 0 }, l = { 0 }, acct = { 0 };
	struct skey k = key_kept_account(ta->id);
	struct row_kept_account kept = { .time = saved_now(t->s),
					 .address = address_join(t->a, addr),
					 .aliases = aliases };

	buf_init(&b, LIMIT_VALUE);
	buf_init(&l, LIMIT_VALUE);
	buf_init(&acct, LIMIT_VALUE);
	row_login_write(&l, login);
	row_account_write(&acct, &ta->hot->row);
	kept.login = buf_slice(&l);
	kept.account = buf_slice(&acct);
	row_kept_account_write(&b, &kept);
	txn_put_buf(t, skey_slice(&k), &b);
	kept_note(t, KEPT_ACCOUNT, ta->id, 0, kept.time);
	return ST_OK;
}

static enum status account_unlink(struct store_txn *t, slice address, uint32_t account,
				  bool keep, struct err *e)
{
	AUTO_BUF aliases = { 0 };
	struct address addr;
	struct row_login login;
	struct row_directory *d;
	struct txn_account *ta;
	struct skey from = key_login_prefix(), to = from;
	struct skey id = key_account_address(account), row = key_account(account),
		    gone = key_gone_account(account);
	buf_init(&aliases, LIMIT_VALUE);
	struct remove_scan scan = { t, account, 0, &aliases };
	enum status st = account_login(t, address, &addr, &login, e);

	if (st != ST_OK)
		return st;
	if (login.account != account)
		return err_set(e, ERR_BUSY, "the account changes just now");
	st = txn_account(t, account, &ta, e);
	if (st != ST_OK)
		return st;
	st = txn_directory(t, &d, e);
	if (st != ST_OK)
		return st;
	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };

	st = kv_scan(t->s->kv, t->kt, &r, remove_aliases, &scan, e);
	if (st != ST_OK)
		return st;
	if (d->admin == account) {
		d->admin = scan.lowest;
		t->directory_dirty = true;
	}
	txn_del(t, key_login(t->a, addr.domain, addr.local));
	txn_del(t, skey_slice(&id));
	txn_del(t, skey_slice(&row)); /* from here on nobody can work on it */
	if (keep)
		st = account_keep(t, &addr, &login, ta, buf_slice(&aliases));
	else
		txn_put_empty(t, skey_slice(&gone));
	ta->is_gone = true;
	t->directory_changed = true;
	return st;
}

static enum status account_remove(struct store *s, slice address, bool keep,
				  struct err *e)
{
	AUTO_ARENA a = { 0 };
	struct store_account acct;
	struct store_txn *t;

	arena_init(&a);
	enum status st = store_account_get(s, address, &a, &acct, e);

	if (st != ST_OK)
		return st;
	const uint32_t ids[] = { 0, acct.id };

	st = txn_begin_wait(s, ids, 2, &t, e);
	return st == ST_OK ? finish(t, account_unlink(t, address, acct.id, keep, e), e)
			   : st;
}

enum status store_account_remove(struct store *s, slice address, struct err *e)
{
	return account_remove(s, address, policy_keep_days(s) > 0, e);
}

enum status store_account_purge(struct store *s, slice address, struct err *e)
{
	return account_remove(s, address, false, e);
}

/* --- coming back -------------------------------------------------------------------- */
struct restore_scan {
	struct store_txn *t;
	struct arena *a;
	uint64_t bytes, messages; /* held */
	struct restored_mbox {
		uint32_t id;
		struct row_mbox row;
	} * at;
	size_t n, cap;
	int64_t hour; /* of the last kept message */
};

static bool restore_kept(void *ctx, slice key, slice value)
{
	struct restore_scan *r = ctx;
	struct row_gone g;
	struct row_kept_mbox m;

	int64_t time;
	uint32_t mbox, uid;

	if (key.p[5] == 'x' && row_gone_read(value, 0, &g) &&
	    key_kept_read(key, &time, &mbox, &uid)) {
		r->bytes += g.msg.row.size;
		r->messages++;
		if (time / 3600 != r->hour) /* found meanwhile, without an account */
			kept_note(r->t, KEPT_MESSAGES, key_account_of(key), 0, time);
		r->hour = time / 3600;
	} else if (key.p[5] == 'd' && row_kept_mbox_read(value, &m)) {
		struct rd id = rd_init(slice_from(key, 6));

		r->bytes += m.mbox.bytes;
		r->messages += m.mbox.messages;
		kept_note(r->t, KEPT_MAILBOX, key_account_of(key), rd_u32(&id), m.time);
	}
	return true;
}

static bool restore_mbox(void *ctx, slice key, slice value)
{
	struct restore_scan *r = ctx;
	struct rd id = rd_init(slice_from(key, 6));

	if (r->n == r->cap) {
		struct restored_mbox *old = r->at;

		r->cap = r->cap ? r->cap * 2 : 16;
		r->at = arena_array(r->a, r->cap, sizeof(*r->at));
		if (r->n)
			memcpy(r->at, old, r->n * sizeof(*r->at));
	}
	r->at[r->n].id = rd_u32(&id);
	if (row_mbox_read(arena_dup(r->a, value), &r->at[r->n].row))
		r->n++; /* a damaged one stays as it is */
	return true;
}

static enum status scan_type(struct store_txn *t, uint32_t account, char type,
			     kv_row_fn fn, struct restore_scan *r, struct err *e)
{
	struct skey from = key_account_type(account, type), to = from;

	skey_next_prefix(&to);
	struct kv_range range = { .from = skey_slice(&from), .to = skey_slice(&to) };

	return kv_scan(t->s->kv, t->kt, &range, fn, r, e);
}

/* Another account may have had the address since: every mailbox is a new one for clients. */
static enum status mailboxes_restore(struct store_txn *t, uint32_t account,
				     struct restore_scan *r, struct err *e)
{
	AUTO_BUF b = { 0 };
	enum status st = scan_type(t, account, 'f', restore_mbox, r, e);

	buf_init(&b, LIMIT_VALUE);
	for (size_t i = 0; i < r->n && st == ST_OK; i++) {
		struct skey k = key_mbox(account, r->at[i].id);

		if (!r->at[i].row.exists)
			continue;
		r->at[i].row.uidvalidity = txn_uidvalidity(t);
		buf_reset(&b);
		row_mbox_write(&b, &r->at[i].row);
		txn_put_buf(t, skey_slice(&k), &b);
	}
	return st;
}

static void aliases_restore(struct store_txn *t, uint32_t account, slice aliases)
{
	while (aliases.n) {
		struct address addr;
		struct row_login alias = { .is_alias = true,
					   .account = account,
					   .created = clock_now_s(t->s->clock),
					   .verifier = SL("") };

		if (address_free(t, slice_cut(&aliases, '\n'), &addr, NULL) == ST_OK)
			login_put(t, &addr, &alias);
	}
}

enum status account_restore(struct store_txn *t, uint32_t account, struct err *e)
{
	slice row;
	AUTO_BUF b = { 0 };
	struct address addr;
	struct row_login login;
	struct row_account acct;
	struct row_kept_account kept;
	struct row_directory *d;
	struct restore_scan r = { .t = t, .a = t->a };
	struct skey k = key_kept_account(account), ka = key_account(account);
	enum status st = txn_get(t, skey_slice(&k), &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_ACCOUNT, "the account is not kept any more");
	if (st != ST_OK)
		return st;
	if (!row_kept_account_read(row, &kept) || !row_login_read(kept.login, &login) ||
	    !row_account_read(kept.account, &acct))
		return damaged(e, "kept account");
	st = address_free(t, kept.address, &addr, e);
	if (st == ST_OK)
		st = txn_directory(t, &d, e);
	if (st == ST_OK)
		st = scan_type(t, account, 'x', restore_kept, &r, e);
	if (st == ST_OK)
		st = scan_type(t, account, 'd', restore_kept, &r, e);
	if (st == ST_OK)
		st = mailboxes_restore(t, account, &r, e);
	if (st != ST_OK)
		return st;
	acct.held_bytes = r.bytes;
	acct.held_messages = r.messages;
	buf_init(&b, LIMIT_VALUE);
	row_account_write(&b, &acct);
	txn_put_buf(t, skey_slice(&ka), &b);
	login_put(t, &addr, &login);
	aliases_restore(t, account, kept.aliases);
	txn_del(t, skey_slice(&k));
	if (!d->admin) {
		d->admin = account;
		t->directory_dirty = true;
	}
	return ST_OK;
}

/* --- reading ------------------------------------------------------------------------ */
static enum status account_fill(struct store *s, struct arena *a,
				const struct row_login *login, uint32_t admin,
				struct store_account *out, struct err *e)
{
	slice row;
	struct row_account r;
	struct skey k = key_account(login->account);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_ACCOUNT, "the account is gone");
	if (st != ST_OK)
		return st;
	if (!row_account_read(row, &r)) /* its owner can read all the same */
		r = (struct row_account){ 0 };
	out->id = login->account;
	out->verifier = login->verifier;
	out->disabled = login->disabled;
	out->is_admin = login->account == admin;
	out->created = login->created;
	out->bytes = r.bytes;
	out->messages = r.messages;
	quota_fill(s, &r, out);
	return ST_OK;
}

static enum status admin_read(struct store *s, struct arena *a, uint32_t *out,
			      struct err *e)
{
	slice row;
	struct row_directory d;
	struct skey k = key_directory();
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &row, e);

	if (st != ST_OK && st != ST_NOT_FOUND)
		return st;
	*out = st == ST_OK && row_directory_read(row, &d)
		       ? d.admin
		       : 0; /* nobody is refused for that */
	return ST_OK;
}

static enum status account_read(struct store *s, const struct address *addr,
				struct arena *a, struct store_account *out, struct err *e)
{
	struct row_login login;
	struct store_account r = { .address = address_join(a, addr) };
	uint32_t admin;
	enum status st = directory_login(s, NULL, a, addr, &login, e);

	if (st == ST_NOT_FOUND || (st == ST_OK && login.is_alias))
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %.*s",
			       FMT(r.address));
	if (st == ST_OK)
		st = admin_read(s, a, &admin, e);
	if (st == ST_OK)
		st = account_fill(s, a, &login, admin, &r, e);
	if (st == ST_OK)
		*out = r;
	return st;
}

enum status store_account_get(struct store *s, slice address, struct arena *a,
			      struct store_account *out, struct err *e)
{
	struct address addr;

	if (!address_fold(a, address, &addr) || addr.domain.n == 0)
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %.*s",
			       FMT(address));
	return account_read(s, &addr, a, out, e);
}

enum status store_account_by_id(struct store *s, uint32_t id, struct arena *a,
				struct store_account *out, struct err *e)
{
	slice text;
	struct address addr;
	struct skey k = key_account_address(id);
	enum status st = kv_get(s->kv, NULL, skey_slice(&k), a, &text, e);

	if (st == ST_NOT_FOUND)
		return err_set(e, ERR_NO_ACCOUNT, "there is no account %u", id);
	if (st != ST_OK)
		return st;
	if (!address_fold(a, text, &addr))
		return damaged(e, "address");
	return account_read(s, &addr, a, out, e);
}

struct account_scan {
	struct arena *a;
	struct store_account *at;
	size_t n, cap;
};

static bool take_account(void *ctx, slice key, slice value)
{
	struct account_scan *l = ctx;
	struct row_login login;
	slice rest = slice_from(key, 2);
	struct address addr = { .domain = slice_cut(&rest, 0) };

	addr.local = rest;
	if (!row_login_read(value, &login) || login.is_alias)
		return true; /* a damaged one hides none of the others */
	if (l->n == l->cap) {
		struct store_account *old = l->at;

		l->cap = l->cap ? l->cap * 2 : 64;
		l->at = arena_array(l->a, l->cap, sizeof(*l->at));
		if (l->n)
			memcpy(l->at, old, l->n * sizeof(*l->at));
	}
	l->at[l->n++] = (struct store_account){
		.id = login.account,
		.address = address_join(l->a, &addr),
		.created = login.created,
		.verifier = arena_dup(l->a, login.verifier),
		.disabled = login.disabled,
	};
	return true;
}

enum status store_account_list(struct store *s, struct arena *a,
			       struct store_account **out, size_t *out_n, struct err *e)
{
	struct account_scan l = { .a = a };
	struct skey from = key_login_prefix(), to = from;
	uint32_t admin;
	size_t n = 0;

	skey_next_prefix(&to);
	struct kv_range r = { .from = skey_slice(&from), .to = skey_slice(&to) };
	enum status st = kv_scan(s->kv, NULL, &r, take_account, &l, e);

	if (st == ST_OK)
		st = admin_read(s, a, &admin, e);
	for (size_t i = 0; i < l.n && st == ST_OK; i++) {
		struct row_login login = {
			.account = l.at[i].id,
			.disabled = l.at[i].disabled,
			.created = l.at[i].created,
			.verifier = l.at[i].verifier,
		};

		st = account_fill(s, a, &login, admin, &l.at[i], NULL);
		if (st == ST_OK)
			l.at[n++] = l.at[i];
		else if (st == ST_NOT_FOUND || st == err_status(ERR_NO_ACCOUNT))
			st = ST_OK; /* removed meanwhile */
	}
	if (st != ST_OK)
		return st;
	*out = l.at;
	*out_n = n;
	return ST_OK;
}
