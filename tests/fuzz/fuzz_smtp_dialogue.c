/* fuzz_smtp_dialogue.c — a whole server dialogue: whatever a client says, and wherever
 * its octets are cut, the answers are the same, are well-formed lines, and no octet of
 * a message becomes a command of its own.
 *
 * First octet: bit 0 submission, bit 1 TLS, bit 2 bare_newline = reject. Second: how
 * the second run is cut. The rest is sent. */
#include "../unit/smtp/smtp_world.h"
#include "base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* Reply-line = 3DIGIT ( "-" / SP ) text CRLF; nothing but CRLF ends a line. */
static void check_lines(slice got)
{
	while (got.n > 0) {
		size_t end = slice_find(got, SL("\r\n"), 0);
		slice line = slice_sub(got, 0, end);
		must(end < got.n && line.n >= 4 && line.n < 512);
		must(is_digit(line.p[0]) && is_digit(line.p[1]) && is_digit(line.p[2]));
		must(line.p[3] == ' ' || line.p[3] == '-');
		must(slice_chr(line, '\n', 0) == line.n &&
		     slice_chr(line, '\r', 0) == line.n);
		got = slice_from(got, end + 2);
	}
}

/* The number of messages filed in all, so that both runs can be compared beyond their
 * answers. */
static int64_t filed(struct smtp_world *w)
{
	struct store_queue_entry *q;
	size_t n = 0;
	struct err e;
	world_must(store_queue_list(w->store, 1000, &w->mem, &q, &n, &e), &e);
	return world_inbox(w, SL("ann@example.org")) +
	       1000 * world_inbox(w, SL("bob@example.org")) + 1000000 * (int64_t)n;
}

static int64_t talk(unsigned how, slice said, unsigned cut, struct buf *out)
{
	struct smtp_world w;
	unsigned step = 0;
	world_init(&w, NULL);
	w.config.has_tls = false; /* STARTTLS depends on cuts by its nature */
	w.config.max_message = 100000;
	w.config.bare_newline = how & 4 ? SMTP_NEWLINE_REJECT : SMTP_NEWLINE_REPAIR;
	struct conn *c = world_connect(
		&w, how & 1 ? &smtp_service_submission : &smtp_service_mx, how & 2);
	for (size_t at = 0, len; at < said.n && !conn_sim_is_closed(c); at += len) {
		step = step * 1103515245u + cut + 12345u;
		len = cut ? 1 + (step >> 16) % (cut < 128 ? 16 : 2000) : said.n;
		conn_sim_send(c, slice_sub(said, at, len));
		world_settle(&w);
	}
	buf_add(out, conn_sim_received(c));
	if (!conn_sim_is_closed(c))
		conn_sim_eof(c);
	world_settle(&w);
	must(conn_sim_is_closed(c));
	int64_t sum = filed(&w);
	conn_sim_free(c);
	world_done(&w);
	return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf whole, pieces;
	if (n < 2)
		return 0;
	log_set_level(LOG_LEVEL_NONE);
	buf_init(&whole, 64u << 20);
	buf_init(&pieces, 64u << 20);
	slice said = slice_make(data + 2, n - 2);
	int64_t a = talk(data[0], said, 0, &whole);
	int64_t b = talk(data[0], said, data[1] | 1u, &pieces);
	check_lines(buf_slice(&whole));
	/* Cut off within a BDAT, the answers to what was pipelined before it may still
	 * be due (smtp_frame.c). */
	must(a == b && slice_starts(buf_slice(&pieces), buf_slice(&whole)));
	buf_done(&whole);
	buf_done(&pieces);
	return 0;
}
