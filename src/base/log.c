#include "base/log.h"
#include "base/clock.h"
#include "base/utf8.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

/* The only state of the process in base/: how much is logged, where, and by whom. */
static _Atomic int log_level = LOG_LEVEL_INFO;
static _Atomic int log_fd = STDERR_FILENO;

/* Kept free for the mark of a cut value, its closing quote and the line's end. */
#define TAIL 5u
#define MARK "\xe2\x80\xa6" /* … */

void log_set_level(enum log_level level)
{
	atomic_store(&log_level, (int)level);
}

void log_set_fd(int fd)
{
	atomic_store(&log_fd, fd);
}

bool log_on(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed) &&
	       level != LOG_LEVEL_NONE;
}

/* All of s or nothing. */
static bool put(struct log_line *l, const char *p, size_t n)
{
	if (l->cut || n > sizeof(l->text) - TAIL - l->n)
		return false;
	memcpy(l->text + l->n, p, n);
	l->n += n;
	return true;
}

static void mark_cut(struct log_line *l, bool quoted)
{
	if (l->cut)
		return;
	l->cut = true;
	memcpy(l->text + l->n, MARK, 3);
	l->n += 3;
	if (quoted)
		l->text[l->n++] = '"';
}

static void put_key(struct log_line *l, const char *key)
{
	size_t n = strlen(key);

	/* Room for a value too, so that a cut line never ends in a bare key. */
	if (n + 8 > sizeof(l->text) - TAIL - l->n) {
		mark_cut(l, false);
		return;
	}
	if (l->n > 0)
		put(l, " ", 1);
	put(l, key, n);
	put(l, "=", 1);
}

/* Length of the character at s[at] when it may stand in a log as it is; 0 when it must be escaped. */
static size_t plain_at(slice s, size_t at)
{
	size_t start = at;
	int32_t cp = utf8_next(s, &at);

	/* C1 controls drive terminals as C0 ones do. */
	if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029)
		return 0;
	return at - start;
}

/* Most values are words of ASCII. */
static bool is_word(slice s)
{
	bool ok = s.n > 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		ok &= c > ' ' && c < 0x7f && c != '=' && c != '"' && c != '\\';
	}
	return ok;
}

static bool needs_quotes(slice s)
{
	for (size_t at = 0; at < s.n;) {
		size_t n = plain_at(s, at);

		if (n == 0 || memchr(" =\"\\", s.p[at], 4))
			return true;
		at += n;
	}
	return s.n == 0;
}

static void put_value(struct log_line *l, slice s)
{
	if (l->cut || (is_word(s) && put(l, s.p, s.n)))
		return;
	bool quoted = needs_quotes(s);

	if (quoted)
		put(l, "\"", 1);
	for (size_t at = 0; at < s.n;) {
		size_t n = plain_at(s, at);
		bool ok;

		if (n == 0) {
			char hex[5];

			snprintf(hex, sizeof(hex), "\\x%02x",
				 (unsigned)(unsigned char)s.p[at]);
			ok = put(l, hex, 4);
			n = 1;
		} else if (s.p[at] == '"' || s.p[at] == '\\') {
			char pair[2] = { '\\', s.p[at] };

			ok = put(l, pair, 2);
		} else {
			ok = put(l, s.p + at, n);
		}
		if (!ok) {
			mark_cut(l, quoted);
			return;
		}
		at += n;
	}
	if (quoted && !put(l, "\"", 1))
		mark_cut(l, true);
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };

	return (unsigned)level < 4 ? names[level] : "error";
}

static void put_digits(char *p, int n, int v)
{
	while (n-- > 0) {
		p[n] = (char)('0' + v % 10);
		v /= 10;
	}
}

static void put_time(struct log_line *l, int64_t us)
{
	struct civil c = civil_from_unix(us / 1000000, 0);
	char stamp[] = "time=0000-00-00T00:00:00.000Z";

	put_digits(stamp + 5, 4, c.year);
	put_digits(stamp + 10, 2, c.month);
	put_digits(stamp + 13, 2, c.day);
	put_digits(stamp + 16, 2, c.hour);
	put_digits(stamp + 19, 2, c.minute);
	put_digits(stamp + 22, 2, c.second);
	put_digits(stamp + 25, 3, (int)(us / 1000 % 1000));
	put(l, stamp, sizeof(stamp) - 1);
}

void log_begin(struct log_line *l, enum log_level level, const char *event)
{
	struct clock real;

	l->level = level;
	l->on = log_on(level);
	l->cut = false;
	l->n = 0;
	if (!l->on)
		return;
	clock_init_real(&real);
	put_time(l, clock_now_us(&real));
	log_cstr(l, "level", level_name(level));
	log_cstr(l, "event", event);
}

void log_str(struct log_line *l, const char *key, slice value)
{
	if (!l->on || l->cut || value.n == 0)
		return;
	put_key(l, key);
	put_value(l, value);
}

void log_cstr(struct log_line *l, const char *key, const char *value)
{
	log_str(l, key, slice_str(value));
}

void log_int(struct log_line *l, const char *key, int64_t value)
{
	uint64_t v = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	char text[20]; /* -9223372036854775808 */
	size_t at = sizeof(text);

	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	if (value < 0)
		text[--at] = '-';
	log_str(l, key, slice_make(text + at, sizeof(text) - at));
}

void log_err(struct log_line *l, const struct err *e)
{
	if (!e || e->code == ERR_NONE)
		return;
	log_cstr(l, "code", err_name(e->code));
	log_cstr(l, "reason", e->text);
}

/* A log that cannot be written must not stop the mail: one try, but for a signal. */
static void put_out(const char *p, size_t n)
{
	while (n > 0) {
		ssize_t r = write(atomic_load(&log_fd), p, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return;
		p += r;
		n -= (size_t)r;
	}
}

/* --- the writer: lines of some milliseconds leave together --------------------------- */

enum { GATHERED = 32 << 10, GATHER_NS = 20000000 };

/* write_mu before mu. Two buffers: one fills while the other is written. */
static struct writer {
	_Atomic bool on;
	pthread_mutex_t mu, write_mu;
	pthread_cond_t work, stop;
	pthread_t thread;
	bool ending;
	_Atomic size_t n;
	char *_Atomic fill;
	char buf[2][GATHERED];
} writer = { .mu = PTHREAD_MUTEX_INITIALIZER, .write_mu = PTHREAD_MUTEX_INITIALIZER };

static void flush(struct writer *w)
{
	char *p;
	size_t n;

	pthread_mutex_lock(&w->write_mu);
	pthread_mutex_lock(&w->mu);
	p = w->fill;
	n = w->n;
	w->fill = p == w->buf[0] ? w->buf[1] : w->buf[0];
	w->n = 0;
	pthread_mutex_unlock(&w->mu);
	put_out(p, n);
	pthread_mutex_unlock(&w->write_mu);
}

static void gather(struct writer *w, const struct log_line *l)
{
	bool is_first;

	pthread_mutex_lock(&w->mu);
	while (l->n > GATHERED - w->n) {
		pthread_mutex_unlock(&w->mu);
		flush(w);
		pthread_mutex_lock(&w->mu);
	}
	memcpy(w->fill + w->n, l->text, l->n);
	is_first = w->n == 0;
	w->n += l->n;
	pthread_mutex_unlock(&w->mu);
	if (l->level >= LOG_LEVEL_WARN)
		flush(w);
	else if (is_first)
		pthread_cond_signal(&w->work);
}

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	struct timespec until;

	pthread_setname_np(pthread_self(), "log");
	pthread_mutex_lock(&w->mu);
	while (!w->ending) {
		if (w->n == 0) {
			pthread_cond_wait(&w->work, &w->mu);
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += GATHER_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		while (!w->ending &&
		       pthread_cond_timedwait(&w->stop, &w->mu, &until) == 0)
			;
		pthread_mutex_unlock(&w->mu);
		flush(w);
		pthread_mutex_lock(&w->mu);
	}
	pthread_mutex_unlock(&w->mu);
	return NULL;
}

/* What was said before a crash is what one wants to read after it. No lock: its holder
 * may be this thread. */
static void on_crash(int sig)
{
	put_out(writer.fill, writer.n);
	raise(sig); /* SA_RESETHAND: the default, once we are back */
}

static void catch_crashes(void)
{
	static const int signals[] = { SIGABRT, SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	struct sigaction old, new = { .sa_handler = on_crash, .sa_flags = SA_RESETHAND };

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &old) == 0 &&
		    old.sa_handler == SIG_DFL) /* a sanitizer's stays */
			sigaction(signals[i], &new, NULL);
}

void log_start_writer(void)
{
	struct writer *w = &writer;
	pthread_condattr_t ca;
	sigset_t all, old;

	w->fill = w->buf[0];
	w->n = 0;
	w->ending = false;
	pthread_condattr_init(&ca);
	pthread_condattr_setclock(&ca, CLOCK_MONOTONIC);
	pthread_cond_init(&w->work, &ca);
	pthread_cond_init(&w->stop, &ca);
	pthread_condattr_destroy(&ca);
	sigfillset(&all); /* signals are the main thread's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	w->on = pthread_create(&w->thread, NULL, writer_main, w) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (w->on)
		catch_crashes();
}

void log_stop_writer(void)
{
	struct writer *w = &writer;

	if (!w->on)
		return;
	pthread_mutex_lock(&w->mu);
	w->ending = true;
	pthread_mutex_unlock(&w->mu);
	pthread_cond_signal(&w->work);
	pthread_cond_signal(&w->stop);
	pthread_join(w->thread, NULL);
	w->on = false;
	flush(w);
	pthread_cond_destroy(&w->work);
	pthread_cond_destroy(&w->stop);
}

void log_end(struct log_line *l)
{
	if (!l->on)
		return;
	l->on = false;
	l->text[l->n++] = '\n';
	if (writer.on)
		gather(&writer, l);
	else
		put_out(l->text, l->n);
}
