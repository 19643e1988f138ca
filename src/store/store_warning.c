/* store_warning.c — the letter to somebody whose mailbox fills up, in their language.
 *
 * Filed in the transaction that brought the account to 80 or 95 % of a limit: whatever
 * becomes of that, there is never one without the other. Once for each crossing upward; the
 * row of the account remembers it until it has fallen below. The letter itself asks for no
 * quota and causes no other. RFC 5322, 2047, 2045; RFC 3834 5 (Auto-Submitted). */
#include "mime/mime_decode.h"
#include "mime/mime_write.h"
#include "store/store_int.h"

#define LETTER_MAX (16u << 10)

struct facts {
	slice address, domain;
	unsigned level;
	uint64_t bytes, messages, quota_bytes, quota_messages;
};

/* --- words -------------------------------------------------------------------------- */
struct words {
	char language[3];
	char decimal;	      /* sign */
	const char *units[4]; /* of octets */
	const char *sender;
	const char *subject[2]; /* 80 %, 95 % */
	const char *greeting;
	const char *bytes; /* used, limit */
	const char *messages;
	const char *advice[2];
	const char *room;
	const char *closing;
};

static const struct words all_words[] = {
	{
		.language = "en",
		.decimal = '.',
		.units = { "KB", "MB", "GB", "TB" },
		.sender = "Your mail server",
		.subject = { "Your mailbox is getting full (80 %)",
			     "Your mailbox is almost full (95 %)" },
		.greeting = "Hello,\n\nthis is about your mailbox ",
		.bytes = "{1} of {2} are used.",
		.messages = "{1} of {2} messages are used.",
		.advice = { "Nothing is lost, and mail still arrives. This is a good moment "
			    "to make some room.",
			    "Soon there will be no room for new mail: it will not be "
			    "accepted then, and its senders will be told so." },
		.room = "To make room, delete what you no longer need, and then empty the "
			"Trash and Junk folders: what is in them counts, too. Messages with "
			"large attachments help most; in many mail programs you can sort a "
			"folder by size.",
		.closing = "If you need more room, please ask your administrator: "
			   "postmaster@",
	},
	{
		.language = "fr",
		.decimal = ',',
		.units = { "Ko", "Mo", "Go", "To" },
		.sender = "Votre serveur de messagerie",
		.subject = { "Votre boîte aux lettres se remplit (80 %)",
			     "Votre boîte aux lettres est presque pleine (95 %)" },
		.greeting = "Bonjour,\n\nce message concerne votre boîte aux lettres ",
		.bytes = "{1} sur {2} sont utilisés.",
		.messages = "{1} messages sur {2} sont utilisés.",
		.advice = { "Rien n'est perdu, et le courrier continue d'arriver. C'est le "
			    "bon moment pour faire un peu de place.",
			    "Bientôt, il n'y aura plus de place pour le nouveau courrier : il "
			    "ne sera alors plus accepté, et ses expéditeurs en seront "
			    "avertis." },
		.room = "Pour faire de la place, supprimez ce dont vous n'avez plus besoin, "
			"puis videz la corbeille et les indésirables : leur contenu compte "
			"aussi. Les messages avec de grosses pièces jointes libèrent le plus "
			"de place ; beaucoup de logiciels de messagerie savent trier un "
			"dossier par taille.",
		.closing = "S'il vous faut davantage d'espace, adressez-vous à votre "
			   "administrateur : postmaster@",
	},
};

static const struct words *words_for(struct store *s, const struct row_account *r)
{
	struct store_policy p;
	slice want = slice_str(r->language);

	store_policy_get(s, &p);
	if (want.n == 0)
		want = slice_str(p.language);
	for (size_t i = 0; i < sizeof(all_words) / sizeof(all_words[0]); i++)
		if (slice_eq(want, slice_str(all_words[i].language)))
			return &all_words[i];
	return &all_words[0];
}

/* "1.6 GB": one decimal, rounded down, so that it never says more than there is. */
static slice size_text(struct arena *a, const struct words *w, uint64_t n)
{
	unsigned unit = 0;
	uint64_t tenths = n / 1024 * 10 + n % 1024 * 10 / 1024;

	while (tenths >= 10240 && unit < 3) {
		tenths /= 1024;
		unit++;
	}
	return arena_fmt(a, "%llu%c%llu %s", (unsigned long long)(tenths / 10),
			 w->decimal, (unsigned long long)(tenths % 10), w->units[unit]);
}

/* --- the letter --------------------------------------------------------------------- */
static void write_header(struct buf *b, struct arena *a, const struct words *w,
			 const struct facts *f, int64_t now)
{
	slice local = slice_sub(f->address, 0, slice_rchr(f->address, '@'));
	struct mime_addr from = { .name = slice_str(w->sender),
				  .local = SL("postmaster"),
				  .domain = f->domain };
	struct mime_addr to = { .local = local, .domain = f->domain };
	struct mime_date date = { .unix_s = now };
	uint64_t r[2];
	slice id;

	random_bytes(r, sizeof(r));
	id = arena_fmt(a, "%016llx%016llx@%.*s", (unsigned long long)r[0],
		       (unsigned long long)r[1], FMT(f->domain));
	mime_write_addresses(b, "From", &from, 1);
	mime_write_addresses(b, "To", &to, 1);
	mime_write_text(b, "Subject", slice_str(w->subject[f->level >= 95]));
	mime_write_date(b, "Date", &date);
	mime_write_msgids(b, "Message-ID", &id, 1);
	mime_write_raw(b, "Auto-Submitted", SL("auto-generated"));
	mime_write_raw(b, "Content-Language", slice_str(w->language));
	mime_write_raw(b, "MIME-Version", SL("1.0"));
	mime_write_raw(b, "Content-Type", SL("text/plain; charset=utf-8"));
	mime_write_raw(b, "Content-Transfer-Encoding", SL("quoted-printable"));
	buf_adds(b, "\r\n");
}

/* The line with its two values, indented. */
static void write_values(struct buf *t, const char *text, slice one, slice two)
{
	slice rest = slice_str(text);
	size_t at = slice_chr(rest, '{', 0);

	buf_adds(t, "    ");
	buf_add(t, slice_sub(rest, 0, at));
	buf_add(t, one);
	rest = slice_from(rest, at + 3);
	at = slice_chr(rest, '{', 0);
	buf_add(t, slice_sub(rest, 0, at));
	buf_add(t, two);
	buf_add(t, slice_from(rest, at + 3));
	buf_addc(t, '\n');
}

static void write_usage(struct buf *t, struct arena *a, const struct words *w,
			const struct facts *f)
{
	if (f->quota_bytes)
		write_values(t, w->bytes, size_text(a, w, f->bytes),
			     size_text(a, w, f->quota_bytes));
	if (f->quota_messages)
		write_values(t, w->messages,
			     arena_fmt(a, "%llu", (unsigned long long)f->messages),
			     arena_fmt(a, "%llu", (unsigned long long)f->quota_messages));
}

/* Paragraphs are one line each, quoted-printable folds them: readers wrap as they like. */
static void write_text(struct buf *b, struct arena *a, const struct words *w,
		       const struct facts *f)
{
	AUTO_BUF t = { 0 };

	buf_init(&t, LETTER_MAX);
	buf_adds(&t, w->greeting);
	buf_add(&t, f->address);
	buf_adds(&t, ".\n\n");
	write_usage(&t, a, w, f);
	buf_addc(&t, '\n');
	buf_adds(&t, w->advice[f->level >= 95]);
	buf_adds(&t, "\n\n");
	buf_adds(&t, w->room);
	buf_adds(&t, "\n\n");
	buf_adds(&t, w->closing);
	buf_add(&t, f->domain);
	buf_addc(&t, '\n');
	mime_qp_encode(b, buf_slice(&t));
}

/* --- filing ------------------------------------------------------------------------- */
static enum status letter_file(struct store_txn *t, struct txn_account *ta,
			       const struct buf *b)
{
	struct store_place place = { .account = ta->id,
				     .internal_date = clock_now_s(t->s->clock) };
	struct intake *in = intake_new(t->s, 0, LETTER_MAX);
	struct message_source src;
	enum status st = intake_write(in, buf_slice(b), NULL);

	if (st == ST_OK)
		st = intake_end(in, NULL);
	if (st == ST_OK)
		st = intake_attach(in, t, NULL);
	if (st == ST_OK) {
		intake_source(in, &src);
		st = add_unasked(t, &src, &place, NULL, NULL);
	}
	intake_free(in);
	return st;
}

static enum status warn(struct store_txn *t, struct txn_account *ta, unsigned level)
{
	AUTO_BUF b = { 0 };
	struct store_account quota = { 0 };
	const struct row_account *r = &ta->hot->row;
	const struct words *w = words_for(t->s, r);
	struct facts f = { .level = level, .bytes = r->bytes, .messages = r->messages };
	struct skey k = key_account_address(ta->id);
	enum status st = txn_get(t, skey_slice(&k), &f.address, NULL);

	if (st != ST_OK)
		return st;
	f.domain = slice_from(f.address, slice_rchr(f.address, '@') + 1);
	quota_fill(t->s, r, &quota);
	f.quota_bytes = quota.quota_bytes;
	f.quota_messages = quota.quota_messages;
	buf_init(&b, LETTER_MAX);
	write_header(&b, t->a, w, &f, clock_now_s(t->s->clock));
	write_text(&b, t->a, w, &f);
	return b.full ? ST_LIMIT : letter_file(t, ta, &b);
}

/* One that cannot be written is no reason to refuse what came: the next message tries
 * again. */
void quota_warn(struct store_txn *t, struct txn_account *ta)
{
	unsigned level = quota_level(t->s, &ta->hot->row);

	if (level > ta->hot->row.warned && warn(t, ta, level) == ST_OK) {
		ta->hot->row.warned = (uint8_t)level;
		ta->hot->dirty = true;
	}
}
