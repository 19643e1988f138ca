/* mbox.c — mboxrd, octet for octet. */
#include "transfer/mbox.h"
#include "base/clock.h"
#include "store/store.h"

static const char from_word[] = "From ";
#define FROM_LEN (sizeof(from_word) - 1)
static const slice marker = S("X-Mbox-Export: facteur 1");

/* --- writing ------------------------------------------------------------------------ */

static bool is_sender(slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 32 || s.p[i] >= 127)
			return false;
	return s.n > 0 && s.n <= 320;
}

void mbox_head_write(struct buf *out, const struct transfer_message *m, slice sender)
{
	struct civil c = civil_from_unix(m->date, 0);
	if (!is_sender(sender))
		sender = SL("MAILER-DAEMON");
	buf_addf(out, "From %.*s %s %s %2d %02d:%02d:%02d %04d\n", FMT(sender),
		 civil_days[c.weekday], civil_months[c.month - 1], c.day, c.hour,
		 c.minute, c.second, c.year);
	buf_add(out, marker);
	buf_addf(out, "\nStatus: %sO\n", m->flags & FLAG_SEEN ? "R" : "");
	if (m->flags & (FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT))
		buf_addf(out, "X-Status: %s%s%s%s\n", m->flags & FLAG_ANSWERED ? "A" : "",
			 m->flags & FLAG_FLAGGED ? "F" : "",
			 m->flags & FLAG_DELETED ? "D" : "",
			 m->flags & FLAG_DRAFT ? "T" : "");
	if (m->keywords.n > 0)
		buf_addf(out, "X-Keywords: %.*s\n", FMT(m->keywords));
	buf_addf(out, "X-UID: %u\n", m->uid);
}

/* The '>' of a line go out at once; one more is put in where "From " follows, which comes
 * to the same. */
static void write_line_part(struct mbox_writer *w, struct buf *out, slice s)
{
	size_t at = 0;
	while (at < s.n && !w->is_inside) {
		char c = s.p[at];
		if (c == '>' && w->matched == 0) {
			buf_addc(out, c);
			at++;
		} else if (c == from_word[w->matched]) {
			at++;
			if (++w->matched < FROM_LEN)
				continue;
			buf_adds(out, ">From ");
			w->is_inside = true;
		} else {
			buf_add(out, slice_make(from_word, w->matched));
			w->is_inside = true;
		}
	}
	buf_add(out, slice_from(s, at));
}

static void write_newline(struct mbox_writer *w, struct buf *out)
{
	if (!w->is_inside)
		buf_add(out, slice_make(from_word, w->matched));
	buf_addc(out, '\n');
	w->is_inside = false;
	w->matched = 0;
}

void mbox_write(struct mbox_writer *w, struct buf *out, slice octets)
{
	while (octets.n > 0) {
		if (w->cr) {
			w->cr = false;
			if (octets.p[0] == '\n') {
				write_newline(w, out);
				octets = slice_from(octets, 1);
				continue;
			}
			write_line_part(w, out, SL("\r"));
		}
		size_t cr = slice_chr(octets, '\r', 0);
		size_t lf = slice_chr(slice_sub(octets, 0, cr), '\n', 0);
		size_t to = lf < cr ? lf : cr;
		write_line_part(w, out, slice_sub(octets, 0, to));
		if (to < octets.n && octets.p[to] == '\n')
			write_newline(w, out);
		else
			w->cr = to < octets.n;
		octets = slice_from(octets, to + 1);
	}
}

void mbox_end_write(struct mbox_writer *w, struct buf *out)
{
	if (w->cr)
		write_line_part(w, out, SL("\r"));
	if (!w->is_inside)
		buf_add(out, slice_make(from_word, w->matched));
	buf_addc(out, '\n');
	*w = (struct mbox_writer){ 0 };
}

/* --- From lines --------------------------------------------------------------------- */

static int name_in(const char (*names)[4], int n, slice word)
{
	for (int i = 0; i < n; i++)
		if (slice_ieq(word, slice_str(names[i])))
			return i;
	return -1;
}

static slice next_word(slice *rest)
{
	slice word = SL("");
	while (rest->n > 0 && word.n == 0)
		word = slice_cut(rest, ' ');
	return word;
}

static bool number(slice s, uint64_t max, int *out)
{
	uint64_t v;
	if (s.n == 0 || !slice_u64(s, max, &v))
		return false;
	*out = (int)v;
	return true;
}

static bool time_read(slice s, struct civil *c)
{
	slice hour = slice_cut(&s, ':'), minute = slice_cut(&s, ':');
	return number(hour, 23, &c->hour) && number(minute, 59, &c->minute) &&
	       (s.n == 0 || number(s, 60, &c->second));
}

static bool zone_read(slice s, struct civil *c)
{
	int v;
	if (s.n != 5 || (s.p[0] != '+' && s.p[0] != '-') ||
	    !number(slice_from(s, 1), 2400, &v))
		return false;
	c->zone = (v / 100 * 60 + v % 100) * (s.p[0] == '-' ? -1 : 1);
	return true;
}

/* "Sun Nov 22 23:18:05 2026", a zone in front of or behind the year. */
static bool date_read(slice rest, struct civil *c)
{
	*c = (struct civil){ 0 };
	if (name_in(civil_days, 7, next_word(&rest)) < 0)
		return false;
	c->month = name_in(civil_months, 12, next_word(&rest)) + 1;
	if (c->month == 0 || !number(next_word(&rest), 31, &c->day) || c->day == 0 ||
	    !time_read(next_word(&rest), c))
		return false;
	slice word = next_word(&rest);
	if (!number(word, 9999, &c->year)) {
		zone_read(word, c); /* a name, of which there are too many */
		if (!number(next_word(&rest), 9999, &c->year))
			return false;
	}
	zone_read(next_word(&rest), c);
	return c->year >= 1;
}

bool mbox_from_read(slice line, int64_t *out_date)
{
	struct civil c;
	if (!slice_starts(line, slice_make(from_word, FROM_LEN)))
		return false;
	line = slice_trim(line);
	/* The sender may hold blanks: the date begins where one can be read. */
	for (slice rest = slice_from(line, FROM_LEN); rest.n > 0;) {
		if (date_read(rest, &c)) {
			*out_date = civil_to_unix(&c);
			return true;
		}
		slice_cut(&rest, ' ');
	}
	return false;
}

/* --- headers ------------------------------------------------------------------------ */

static bool field(slice line, slice name, slice *out_value)
{
	if (!slice_istarts(line, name))
		return false;
	*out_value = slice_trim(slice_from(line, name.n));
	return true;
}

static void letters_read(slice value, const char *letters, const uint32_t *flags,
			 uint32_t *out)
{
	for (size_t i = 0; i < value.n; i++) {
		const char *at = value.p[i] ? strchr(letters, value.p[i]) : NULL;
		if (at != NULL)
			*out |= flags[at - letters];
	}
}

static void keywords_read(slice value, struct buf *words)
{
	while (value.n > 0) {
		slice word = slice_trim(slice_cut(&value, ' '));
		if (word.n > 0 && word.p[word.n - 1] == ',')
			word.n--;
		if (!transfer_is_keyword(word))
			continue;
		if (words->n > 0)
			buf_addc(words, ' ');
		buf_add(words, word);
	}
}

/* True when the line belongs to the mbox. */
static bool meta_read(slice line, struct transfer_message *m, struct buf *words)
{
	static const uint32_t seen[] = { FLAG_SEEN };
	static const uint32_t x[] = { FLAG_ANSWERED, FLAG_FLAGGED, FLAG_DELETED,
				      FLAG_DRAFT };
	slice value;
	uint32_t uid;
	if (field(line, SL("Status:"), &value)) {
		letters_read(value, "R", seen, &m->flags);
		return true;
	}
	if (field(line, SL("X-Status:"), &value)) {
		letters_read(value, "AFDT", x, &m->flags);
		return true;
	}
	if (field(line, SL("X-Keywords:"), &value)) {
		keywords_read(value, words);
		return true;
	}
	if (field(line, SL("X-UID:"), &value)) {
		if (slice_u32(value, &uid))
			m->uid = uid;
		return true;
	}
	return false;
}

static slice line_of(slice s, size_t at)
{
	size_t end = slice_chr(s, '\n', at);
	return slice_sub(s, at, end < s.n ? end + 1 - at : s.n - at);
}

void mbox_header_read(slice header, struct transfer_message *m, struct buf *kept,
		      struct buf *words, bool *out_is_ours)
{
	size_t at = 0;
	bool taken = false;
	*out_is_ours = slice_eq(slice_trim(line_of(header, 0)), marker);
	if (*out_is_ours) {
		for (at = line_of(header, 0).n; at < header.n;) {
			slice line = line_of(header, at);
			if (!meta_read(line, m, words))
				break;
			at += line.n;
			if (slice_istarts(line, SL("X-UID:"))) /* its last */
				break;
		}
		buf_add(kept, slice_from(header, at));
		at = header.n;
	}
	while (at < header.n) {
		slice line = line_of(header, at);
		bool folded = line.p[0] == ' ' || line.p[0] == '\t';
		if (!folded)
			taken = meta_read(line, m, words);
		if (!taken)
			buf_add(kept, line);
		at += line.n;
	}
	m->keywords = buf_slice(words);
}

/* --- reading ------------------------------------------------------------------------ */

enum { AT_LINE, IN_FROM, IN_LINE };

void mbox_reader_init(struct mbox_reader *r, const struct mbox_events *events, void *ctx)
{
	*r = (struct mbox_reader){ .events = events, .ctx = ctx, .state = AT_LINE };
}

static enum status give(struct mbox_reader *r, slice s, struct err *e)
{
	enum status st = ST_OK;
	if (!r->in_message) /* in front of the first From line: no message's */
		return ST_OK;
	if (r->n_held > 0) {
		size_t n = r->n_held;
		r->n_held = 0;
		st = r->events->octets(r->ctx, slice_make(r->held, n), e);
	}
	return st == ST_OK && s.n > 0 ? r->events->octets(r->ctx, s, e) : st;
}

static enum status give_arrows(struct mbox_reader *r, size_t n, struct err *e)
{
	static const char many[] = ">>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>>";
	enum status st = ST_OK;
	while (n > 0 && st == ST_OK) {
		size_t k = n < sizeof(many) - 1 ? n : sizeof(many) - 1;
		st = give(r, slice_make(many, k), e);
		n -= k;
	}
	return st;
}

/* What the start of the line has swallowed turns out to be text. */
static enum status give_start(struct mbox_reader *r, struct err *e)
{
	enum status st = give_arrows(r, r->arrows, e);
	if (st == ST_OK && r->matched > 0)
		st = give(r, slice_make(from_word, r->matched), e);
	if (r->arrows + r->matched > 0)
		r->line_has_text = true;
	r->arrows = r->matched = 0;
	r->state = IN_LINE;
	return st;
}

static enum status end_line(struct mbox_reader *r, struct err *e)
{
	enum status st = give(r, SL(""), e); /* the one before was not the last */
	r->n_held = 0;
	if (r->cr)
		r->held[r->n_held++] = '\r';
	r->held[r->n_held++] = '\n';
	r->was_blank = !r->line_has_text;
	r->cr = r->line_has_text = false;
	r->state = AT_LINE;
	return st;
}

static enum status end_message(struct mbox_reader *r, struct err *e)
{
	size_t n = r->n_held;
	if (!r->in_message)
		return ST_OK;
	r->in_message = false;
	r->n_held = 0;
	return r->events->end(r->ctx, slice_make(r->held, n), r->was_blank, e);
}

/* The line that began with "From " is whole (or too long to be one). */
static enum status take_from(struct mbox_reader *r, bool has_end, struct err *e)
{
	int64_t date;
	slice line = slice_make(r->line, r->n_line);
	r->n_line = 0;
	if (has_end && mbox_from_read(line, &date)) {
		enum status st = end_message(r, e);
		r->in_message = true;
		r->n_held = 0;
		r->was_blank = false;
		r->state = AT_LINE;
		return st == ST_OK ? r->events->from(r->ctx, date, r->line_offset, e)
				   : st;
	}
	r->line_has_text = true;
	r->state = IN_LINE;
	bool cr = slice_ends(line, SL("\r"));
	enum status st = give(r, slice_sub(line, 0, line.n - cr), e);
	r->cr = cr;
	return st == ST_OK && has_end ? end_line(r, e) : st;
}

static enum status at_line(struct mbox_reader *r, char c, bool *out_used, struct err *e)
{
	*out_used = true;
	if (r->arrows + r->matched == 0)
		r->line_offset = r->offset;
	if (c == '>' && r->matched == 0) {
		r->arrows++;
		return ST_OK;
	}
	if (c != from_word[r->matched]) {
		*out_used = false;
		return give_start(r, e);
	}
	if (++r->matched < FROM_LEN)
		return ST_OK;
	r->matched = 0;
	if (r->arrows == 0) {
		memcpy(r->line, from_word, FROM_LEN);
		r->n_line = FROM_LEN;
		r->state = IN_FROM;
		return ST_OK;
	}
	enum status st = give_arrows(r, r->arrows - 1, e);
	r->arrows = 0;
	r->line_has_text = true;
	r->state = IN_LINE;
	return st == ST_OK ? give(r, SL("From "), e) : st;
}

static enum status in_from(struct mbox_reader *r, char c, struct err *e)
{
	if (c == '\n')
		return take_from(r, true, e);
	r->line[r->n_line++] = c;
	return r->n_line == sizeof(r->line) ? take_from(r, false, e) : ST_OK;
}

/* As much of a line as is there; how much is taken. */
static enum status in_line(struct mbox_reader *r, slice s, size_t *out_n, struct err *e)
{
	enum status st = ST_OK;
	if (r->cr && s.p[0] != '\n') {
		r->cr = false;
		r->line_has_text = true;
		st = give(r, SL("\r"), e);
	}
	size_t lf = slice_chr(s, '\n', 0);
	bool has_end = lf < s.n;
	size_t text = lf;
	if (text > 0 && s.p[text - 1] == '\r') {
		text--;
		r->cr = true;
	}
	if (text > 0) {
		r->line_has_text = true;
		if (st == ST_OK)
			st = give(r, slice_sub(s, 0, text), e);
	}
	*out_n = lf + has_end;
	return st == ST_OK && has_end ? end_line(r, e) : st;
}

enum status mbox_feed(struct mbox_reader *r, slice s, struct err *e)
{
	enum status st = ST_OK;
	for (size_t at = 0; at < s.n && st == ST_OK;) {
		size_t n = 1;
		bool used = true;
		if (r->state == AT_LINE)
			st = at_line(r, s.p[at], &used, e);
		else if (r->state == IN_FROM)
			st = in_from(r, s.p[at], e);
		else
			st = in_line(r, slice_from(s, at), &n, e);
		at += used ? n : 0;
		r->offset += used ? n : 0;
	}
	return st;
}

enum status mbox_feed_end(struct mbox_reader *r, struct err *e)
{
	enum status st = ST_OK;
	bool any = r->in_message;
	if (r->state == IN_FROM)
		st = take_from(r, true, e);
	else if (r->state == AT_LINE && r->arrows + r->matched > 0)
		st = give_start(r, e);
	any = any || r->in_message;
	if (st == ST_OK && r->cr)
		st = give(r, SL("\r"), e);
	if (st == ST_OK && r->state == IN_LINE) {
		st = give(r, SL(""), e);
		r->was_blank = false;
	}
	if (st == ST_OK)
		st = end_message(r, e);
	return st == ST_OK && !any
		       ? err_set(e, ERR_CANNOT, "no message is in it: not an mbox")
		       : st;
}
