/* transcript_parse.c — Markdown with dialogues → steps. */
#include "transcript.h"
#include "base/alloc.h"
#include "base/io.h"

struct parser {
	const char *file;
	struct arena *mem;
	struct dialogues *out;
	struct dialogue *d; /* NULL outside of a block */
	unsigned line;
	bool bad;
};

static void complain(struct parser *p, const char *what, slice text)
{
	fprintf(stderr, "%s:%u: %s: %.*s\n", p->file, p->line, what, FMT(text));
	p->bad = true;
}

static int hex_of(char c)
{
	if (is_digit(c))
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

slice transcript_unescape(struct arena *mem, slice s)
{
	char *dst = arena_alloc(mem, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] != '\\' || i + 1 == s.n) {
			dst[n++] = s.p[i];
			continue;
		}
		switch (s.p[++i]) {
		case 'r':
			dst[n++] = '\r';
			break;
		case 'n':
			dst[n++] = '\n';
			break;
		case 't':
			dst[n++] = '\t';
			break;
		case '0':
			dst[n++] = 0;
			break;
		case 'x':
			if (i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 &&
			    hex_of(s.p[i + 2]) >= 0) {
				dst[n++] = (char)(hex_of(s.p[i + 1]) << 4 |
						  hex_of(s.p[i + 2]));
				i += 2;
				break;
			}
			__attribute__((fallthrough));
		default:
			dst[n++] = s.p[i];
		}
	}
	return slice_make(dst, n);
}

static struct tstep *add_step(struct parser *p, enum step_kind kind, unsigned conn,
			      slice text)
{
	struct dialogue *d = p->d;

	if (d->n == d->cap) {
		d->cap = d->cap ? 2 * d->cap : 16;
		d->steps = mem_grow(d->steps, d->cap, sizeof(*d->steps));
	}
	d->steps[d->n] = (struct tstep){
		.kind = kind, .conn = conn, .line = p->line, .text = text
	};
	return &d->steps[d->n++];
}

/* The words behind a service name. False for one that is not known. */
static bool peer_option(slice word, struct peer_options *o)
{
	if (slice_eq(word, SL("tls")))
		o->tls = true;
	else if (slice_starts(word, SL("peer=")))
		o->addr = slice_from(word, 5);
	else
		return false;
	return true;
}

static bool is_service(slice name)
{
	static const slice names[] = { S("smtp"), S("submission"), S("imap"), S("pop3"),
				       S("self") };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (slice_eq(name, names[i]))
			return true;
	return false;
}

static void block_start(struct parser *p, slice info)
{
	struct dialogues *all = p->out;
	struct dialogue d = { .file = p->file, .line = p->line };
	bool goes_on = false;

	d.peer = (struct peer_options){ .service = slice_cut(&info, ' '),
					.addr = SL("192.0.2.10") };
	if (!is_service(d.peer.service))
		return;
	while (info.n > 0) {
		slice word = slice_cut(&info, ' ');

		if (slice_eq(word, SL("continue")))
			goes_on = true;
		else if (slice_eq(word, SL("fails")))
			d.fails = true;
		else if (slice_eq(word, SL("once")))
			d.once = true;
		else if (word.n > 0 && !peer_option(word, &d.peer))
			complain(p, "unknown option", word);
	}
	if (goes_on) {
		if (all->n == 0 || strcmp(all->list[all->n - 1].file, p->file) != 0)
			complain(p, "nothing to continue", d.peer.service);
		else
			p->d = &all->list[all->n - 1];
		return;
	}
	if (all->n == all->cap) {
		all->cap = all->cap ? 2 * all->cap : 64;
		all->list = mem_grow(all->list, all->cap, sizeof(*all->list));
	}
	all->list[all->n] = d;
	p->d = &all->list[all->n++];
}

/* "name", "name2": cuts the digit. */
static bool keyword(slice word, slice name, unsigned *conn)
{
	*conn = 1;
	if (!slice_starts(word, name))
		return false;
	word = slice_from(word, name.n);
	if (word.n == 1 && word.p[0] >= '1' && word.p[0] <= '9') {
		*conn = (unsigned)(word.p[0] - '0');
		return true;
	}
	return word.n == 0;
}

static slice behind_blank(slice s)
{
	return s.n > 0 && s.p[0] == ' ' ? slice_from(s, 1) : s;
}

/* "C:", "C2-raw:" … */
static bool wire_line(struct parser *p, slice line)
{
	size_t colon = slice_chr(line, ':', 0);
	slice head = slice_sub(line, 0, colon),
	      text = behind_blank(slice_from(line, colon + 1));
	unsigned conn;
	bool raw = slice_ends(head, SL("-raw"));

	if (colon == line.n)
		return false;
	if (raw)
		head.n -= 4;
	if (keyword(head, SL("C"), &conn)) {
		add_step(p, raw ? T_CLIENT_RAW : T_CLIENT, conn,
			 raw ? text : arena_join(p->mem, text, SL("\r\n")));
		return true;
	}
	if (keyword(head, SL("S"), &conn)) {
		if (!raw && slice_eq(text, SL("...")))
			add_step(p, T_SKIP, conn, text);
		else
			add_step(p, raw ? T_SERVER_RAW : T_SERVER, conn, text);
		return true;
	}
	if (keyword(head, SL("TLS"), &conn) && !raw && text.n == 0) {
		add_step(p, T_TLS, conn, text);
		return true;
	}
	return false;
}

static bool time_line(struct parser *p, slice text)
{
	static const struct {
		slice unit;
		int64_t us;
	} units[] = { { S("ms"), 1000 },
		      { S("s"), 1000000 },
		      { S("m"), 60000000 },
		      { S("h"), 3600000000 } };
	uint64_t v;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!slice_ends(text, units[i].unit) ||
		    !slice_u64(slice_sub(text, 0, text.n - units[i].unit.n), 1000000, &v))
			continue;
		add_step(p, T_TIME, 1, text)->number = (int64_t)v * units[i].us;
		return true;
	}
	return false;
}

static bool message_line(struct parser *p, slice line)
{
	struct tstep *t = p->d->n ? &p->d->steps[p->d->n - 1] : NULL;
	slice *to;

	if (!t || t->kind != T_DELIVER || line.n == 0 ||
	    (line.p[0] != '|' && line.p[0] != '^'))
		return false;
	to = line.p[0] == '|' ? &t->body : &t->prefix;
	*to = arena_join(
		p->mem, *to,
		arena_join(p->mem,
			   transcript_unescape(p->mem, behind_blank(slice_from(line, 1))),
			   SL("\r\n")));
	return true;
}

static bool open_line(struct parser *p, unsigned conn, slice rest)
{
	struct tstep *t = add_step(p, T_OPEN, conn, rest);

	t->peer = (struct peer_options){ .service = slice_cut(&rest, ' '),
					 .addr = SL("192.0.2.10") };
	if (!is_service(t->peer.service))
		return false;
	while (rest.n > 0)
		if (!peer_option(slice_cut(&rest, ' '), &t->peer))
			return false;
	return true;
}

static bool word_line(struct parser *p, slice line)
{
	static const struct {
		slice name;
		enum step_kind kind;
		bool has_text;
	} words[] = {
		{ S("EOF"), T_EOF, false },	   { S("closed"), T_CLOSED, false },
		{ S("quiet"), T_QUIET, false },	   { S("window"), T_WINDOW, true },
		{ S("deliver"), T_DELIVER, true }, { S("disable"), T_DISABLE, true },
		{ S("enable"), T_ENABLE, true },   { S("passwd"), T_PASSWD, true },
		{ S("quota"), T_QUOTA, true },	   { S("disk"), T_DISK, true },
		{ S("fail"), T_FAIL, true },	   { S("+time"), T_TIME, true },
		{ S("open"), T_OPEN, true },
	};
	slice rest = line, word = slice_cut(&rest, ' ');
	unsigned conn;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		uint64_t v;

		if (!keyword(word, words[i].name, &conn) ||
		    words[i].has_text != (rest.n > 0))
			continue;
		if (words[i].kind == T_TIME)
			return time_line(p, rest);
		if (words[i].kind == T_OPEN)
			return open_line(p, conn, rest);
		if (words[i].kind != T_WINDOW) {
			add_step(p, words[i].kind, conn, rest);
			return true;
		}
		if (!slice_eq(rest, SL("all")) && !slice_u64(rest, 1u << 30, &v))
			return false;
		add_step(p, T_WINDOW, conn, rest)->number =
			slice_eq(rest, SL("all")) ? -1 : (int64_t)v;
		return true;
	}
	return false;
}

static void block_line(struct parser *p, slice line)
{
	if (line.n == 0 || line.p[0] == '#')
		return;
	if (!wire_line(p, line) && !message_line(p, line) && !word_line(p, line))
		complain(p, "not understood", line);
}

bool transcript_parse(const char *file, struct arena *mem, struct dialogues *out)
{
	struct parser p = { .file = file, .mem = mem, .out = out };
	bool in_block = false;
	struct buf text;
	struct err e;
	slice rest;

	buf_init(&text, 4u << 20);
	if (io_read_file(file, 4u << 20, &text, &e) != ST_OK) {
		fprintf(stderr, "%s: %s\n", file, e.text);
		return false;
	}
	rest = arena_dup(mem, buf_slice(&text));
	buf_done(&text);
	while (rest.n > 0) {
		slice line = slice_cut(&rest, '\n');

		p.line++;
		if (slice_starts(line, SL("```"))) {
			if (!in_block)
				block_start(&p, slice_trim(slice_from(line, 3)));
			else
				p.d = NULL;
			in_block = !in_block;
		} else if (p.d) {
			block_line(&p, line);
		}
	}
	if (in_block)
		complain(&p, "a block has no end", SL(""));
	return !p.bad;
}
