/* config.c — libconfuse options, their checks, defaults; errors name the nearest key. */
#include "server/config.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "base/slice.h"
#include "cli/cli.h"
#include "store/store.h"
#include <arpa/inet.h>
#include <confuse.h>
#include <locale.h> /* lint: allow locale: to undo what libconfuse does to it */

#define MAX_MESSAGE_LOW	 65536L
#define MAX_MESSAGE_HIGH (1L << 30)
#define WORKERS_HIGH	 256
#define FILE_MAX	 (1u << 20)
/* libconfuse takes a file that ends inside a section or a comment. So this key is put
 * behind the last line: if it is not seen at the top level, something has swallowed
 * it. */
#define END_KEY "end-of-file"

static const struct {
	const char *name;
	uint16_t port;
} services[SERVICE_COUNT] = {
	[SERVICE_SMTP] = { "smtp", 25 },
	[SERVICE_SUBMISSION] = { "submission", 587 },
	[SERVICE_SUBMISSIONS] = { "submissions", 465 },
	[SERVICE_IMAP] = { "imap", 143 },
	[SERVICE_IMAPS] = { "imaps", 993 },
	[SERVICE_POP3] = { "pop3", 110 },
	[SERVICE_POP3S] = { "pop3s", 995 },
};
static const char *const levels[] = { "debug", "info", "warn", "error", "none" };

const char *config_service_name(enum config_service s)
{
	return services[s].name;
}

static char *copy(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(mem_new(n), s, n);
}

/* --- faults: each with its file and line --- */

/* NULL when none is near: a guess that shares nothing with the word misleads. */
static const char *nearest_key(const cfg_t *cfg, const char *word)
{
	const char *best = NULL;
	size_t best_d = SIZE_MAX;
	for (const cfg_opt_t *o = cfg->opts; o != NULL && o->name != NULL; o++) {
		if (strcmp(o->name, END_KEY) == 0)
			continue;
		size_t d = slice_distance(slice_str(word), slice_str(o->name));
		if (d < best_d) {
			best_d = d;
			best = o->name;
		}
	}
	return best_d <= strlen(word) / 2 ? best : NULL;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char unknown[] = "no such option '";
	char text[512];
	vsnprintf(text, sizeof(text), fmt, ap);
	char *word = strstr(text, unknown);
	fprintf(stderr, "facteur: %s:%d: ", cfg->filename ? cfg->filename : "config",
		cfg->line);
	if (word == NULL) {
		fprintf(stderr, "%s\n", text);
		return;
	}
	word += sizeof(unknown) - 1;
	word[strcspn(word, "'")] = '\0';
	const char *near = nearest_key(cfg, word);
	if (strcmp(word, END_KEY) == 0)
		fputs("the file ends inside a section: a } is missing\n", stderr);
	else if (near != NULL)
		fprintf(stderr, "no such option '%s'; did you mean '%s'?\n", word, near);
	else
		fprintf(stderr, "no such option '%s'; facteur.conf(5) has them all\n",
			word);
}

/* --- checks of values: libconfuse calls them at the line of the value --- */

static int check_range(cfg_t *cfg, cfg_opt_t *opt, long low, long high)
{
	long v = cfg_opt_getnint(opt, 0);
	if (v >= low && v <= high)
		return 0;
	cfg_error(cfg, "%s = %ld: expected %ld to %ld", opt->name, v, low, high);
	return -1;
}

static int check_max_message(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, MAX_MESSAGE_LOW, MAX_MESSAGE_HIGH);
}

static int check_workers(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, WORKERS_HIGH);
}

static int check_port(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 1, 65535);
}

static int check_bare_newline(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *v = cfg_opt_getnstr(opt, 0);
	if (strcmp(v, "repair") == 0 || strcmp(v, "reject") == 0)
		return 0;
	cfg_error(cfg, "bare-newline = \"%s\": expected repair or reject", v);
	return -1;
}

static int check_size(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *v = cfg_opt_getnstr(opt, 0);
	uint64_t n;
	if (slice_size(slice_str(v), &n))
		return 0;
	cfg_error(cfg, "%s = \"%s\": expected a size like 50M or 2G", opt->name, v);
	return -1;
}

static int check_count(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 0, INT32_MAX);
}

static int check_days(cfg_t *cfg, cfg_opt_t *opt)
{
	return check_range(cfg, opt, 0, LIMIT_RETENTION_DAYS);
}

static int check_over_quota(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *v = cfg_opt_getnstr(opt, 0);
	if (strcmp(v, "refuse") == 0 || strcmp(v, "retry") == 0)
		return 0;
	cfg_error(cfg, "over-quota = \"%s\": expected refuse or retry", v);
	return -1;
}

static int check_language(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *v = cfg_opt_getnstr(opt, 0);
	if (store_language_is_known(slice_str(v)))
		return 0;
	cfg_error(cfg, "language = \"%s\": expected en or fr", v);
	return -1;
}

static bool find_level(const char *s, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(s, levels[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static int check_log_level(cfg_t *cfg, cfg_opt_t *opt)
{
	enum log_level level;
	if (find_level(cfg_opt_getnstr(opt, 0), &level))
		return 0;
	cfg_error(cfg, "log-level = \"%s\": expected debug, info, warn, error or none",
		  cfg_opt_getnstr(opt, 0));
	return -1;
}

/* It is written into greetings and Received fields: letters, digits, dots and hyphens. */
static bool is_hostname(const char *s)
{
	size_t n = strlen(s);
	if (n == 0 || n > LIMIT_SMTP_DOMAIN || s[0] == '.' || s[0] == '-' ||
	    s[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++) {
		bool fine = is_alpha(s[i]) || is_digit(s[i]) || s[i] == '-' ||
			    s[i] == '.';
		if (!fine || (s[i] == '.' && i > 0 && s[i - 1] == '.'))
			return false;
	}
	return s[n - 1] != '.';
}

static int check_hostname(cfg_t *cfg, cfg_opt_t *opt)
{
	if (is_hostname(cfg_opt_getnstr(opt, 0)))
		return 0;
	cfg_error(cfg, "hostname = \"%s\": expected a name like mail.example.org",
		  cfg_opt_getnstr(opt, 0));
	return -1;
}

static int check_data(cfg_t *cfg, cfg_opt_t *opt)
{
	if (cfg_opt_getnstr(opt, 0)[0] == '/')
		return 0;
	cfg_error(
		cfg,
		"data = \"%s\": expected a path from the root, like " FACTEUR_DEFAULT_DATA,
		cfg_opt_getnstr(opt, 0));
	return -1;
}

static bool is_address(const char *s)
{
	struct in6_addr a;
	return inet_pton(AF_INET, s, &a) == 1 || inet_pton(AF_INET6, s, &a) == 1;
}

static int check_address(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *v = cfg_opt_getnstr(opt, cfg_opt_size(opt) - 1);
	if (is_address(v))
		return 0;
	cfg_error(cfg, "address = \"%s\": expected an IPv4 or IPv6 address", v);
	return -1;
}

static bool find_service(const char *title, enum config_service *out)
{
	for (size_t s = 0; s < SERVICE_COUNT; s++) {
		if (strcmp(services[s].name, title) == 0) {
			*out = (enum config_service)s;
			return true;
		}
	}
	return false;
}

static int check_listen(cfg_t *cfg, cfg_opt_t *opt)
{
	const char *title = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1));
	enum config_service s;
	if (find_service(title, &s))
		return 0;
	cfg_error(
		cfg,
		"listen \"%s\": expected smtp, submission, submissions, imap, imaps, pop3 or pop3s",
		title);
	return -1;
}

static int check_certificate(cfg_t *cfg, cfg_opt_t *opt)
{
	cfg_t *sec = cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1);
	const char *key = cfg_getstr(sec, "key");
	if (key != NULL && key[0] != '\0' && cfg_title(sec)[0] != '\0')
		return 0;
	cfg_error(cfg, "certificate \"%s\": expected a file, and inside key = \"FILE\"",
		  cfg_title(sec));
	return -1;
}

static cfg_t *make_parser(void)
{
	cfg_opt_t listen[] = {
		CFG_STR_LIST("address", NULL, CFGF_NONE),
		CFG_INT("port", 0, CFGF_NONE),
		CFG_END(),
	};
	cfg_opt_t certificate[] = {
		CFG_STR("key", NULL, CFGF_NODEFAULT),
		CFG_END(),
	};
	cfg_opt_t opts[] = {
		CFG_STR("hostname", NULL, CFGF_NODEFAULT),
		CFG_STR("data", NULL, CFGF_NODEFAULT),
		CFG_INT("max-message", LIMIT_MESSAGE, CFGF_NONE),
		CFG_STR("bare-newline", "repair", CFGF_NONE),
		CFG_INT("workers", 4, CFGF_NONE),
		CFG_STR("log-level", "info", CFGF_NONE),
		CFG_STR("disk-reserve", "64M", CFGF_NONE),
		CFG_STR("quota", "0", CFGF_NONE),
		CFG_INT("quota-messages", 0, CFGF_NONE),
		CFG_STR("quota-grace", "10M", CFGF_NONE),
		CFG_STR("over-quota", "refuse", CFGF_NONE),
		CFG_INT("keep-deleted", 7, CFGF_NONE),
		CFG_INT("expire-trash", 0, CFGF_NONE),
		CFG_INT("expire-junk", 0, CFGF_NONE),
		CFG_STR("language", "en", CFGF_NONE),
		CFG_BOOL(END_KEY, cfg_false, CFGF_NONE),
		CFG_SEC("listen", listen, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_SEC("certificate", certificate,
			CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
		CFG_END(),
	};
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	/* cfg_init takes the user's locale; we live in C's, and on_error reads the
	 * texts. */
	setlocale(LC_ALL, "C"); /* lint: allow locale */
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "hostname", check_hostname);
	cfg_set_validate_func(cfg, "data", check_data);
	cfg_set_validate_func(cfg, "max-message", check_max_message);
	cfg_set_validate_func(cfg, "bare-newline", check_bare_newline);
	cfg_set_validate_func(cfg, "workers", check_workers);
	cfg_set_validate_func(cfg, "log-level", check_log_level);
	cfg_set_validate_func(cfg, "disk-reserve", check_size);
	cfg_set_validate_func(cfg, "quota", check_size);
	cfg_set_validate_func(cfg, "quota-messages", check_count);
	cfg_set_validate_func(cfg, "quota-grace", check_size);
	cfg_set_validate_func(cfg, "over-quota", check_over_quota);
	cfg_set_validate_func(cfg, "keep-deleted", check_days);
	cfg_set_validate_func(cfg, "expire-trash", check_days);
	cfg_set_validate_func(cfg, "expire-junk", check_days);
	cfg_set_validate_func(cfg, "language", check_language);
	cfg_set_validate_func(cfg, "listen", check_listen);
	cfg_set_validate_func(cfg, "listen|address", check_address);
	cfg_set_validate_func(cfg, "listen|port", check_port);
	cfg_set_validate_func(cfg, "certificate", check_certificate);
	return cfg;
}

/* --- from libconfuse to struct config --- */

static void add_listen(struct config *c, enum config_service s, const char *address,
		       long port, bool optional)
{
	c->listen = mem_grow(c->listen, c->n_listen + 1, sizeof(*c->listen));
	c->listen[c->n_listen++] =
		(struct config_listen){ s, copy(address), (uint16_t)port, optional };
}

/* Every IPv4 address, and every IPv6 address where the machine has IPv6. */
static void add_listen_any(struct config *c, enum config_service s, long port)
{
	add_listen(c, s, "0.0.0.0", port, false);
	add_listen(c, s, "::", port, true);
}

static void take_storage(cfg_t *cfg, struct config *out)
{
	slice_size(slice_str(cfg_getstr(cfg, "disk-reserve")), &out->disk_reserve);
	slice_size(slice_str(cfg_getstr(cfg, "quota")), &out->quota_bytes);
	slice_size(slice_str(cfg_getstr(cfg, "quota-grace")), &out->quota_grace);
	out->quota_messages = (uint64_t)cfg_getint(cfg, "quota-messages");
	out->over_quota_retry = strcmp(cfg_getstr(cfg, "over-quota"), "retry") == 0;
	out->keep_deleted = (unsigned)cfg_getint(cfg, "keep-deleted");
	out->expire_trash = (unsigned)cfg_getint(cfg, "expire-trash");
	out->expire_junk = (unsigned)cfg_getint(cfg, "expire-junk");
	memcpy(out->language, cfg_getstr(cfg, "language"), 2); /* it has two */
}

static void take_scalars(cfg_t *cfg, struct config *out)
{
	out->reject_bare_newline = strcmp(cfg_getstr(cfg, "bare-newline"), "reject") == 0;
	out->max_message = (uint64_t)cfg_getint(cfg, "max-message");
	out->workers = (unsigned)cfg_getint(cfg, "workers");
	if (cfg_getstr(cfg, "hostname") != NULL)
		out->hostname = copy(cfg_getstr(cfg, "hostname"));
	if (cfg_getstr(cfg, "data") != NULL)
		out->data = copy(cfg_getstr(cfg, "data"));
	take_storage(cfg, out);
	out->log_level = LOG_LEVEL_INFO;
	find_level(cfg_getstr(cfg, "log-level"), &out->log_level);
}

static void take_listen(cfg_t *cfg, struct config *out)
{
	for (unsigned i = 0; i < cfg_size(cfg, "listen"); i++) {
		cfg_t *sec = cfg_getnsec(cfg, "listen", i);
		enum config_service s = SERVICE_SMTP;
		find_service(cfg_title(sec), &s);
		long port = cfg_getint(sec, "port");
		if (port == 0)
			port = services[s].port;
		unsigned n = cfg_size(sec, "address");
		for (unsigned k = 0; k < n; k++)
			add_listen(out, s, cfg_getnstr(sec, "address", k), port, false);
		if (n == 0)
			add_listen_any(out, s, port);
	}
}

static void take_certificates(cfg_t *cfg, struct config *out)
{
	for (unsigned i = 0; i < cfg_size(cfg, "certificate"); i++) {
		cfg_t *sec = cfg_getnsec(cfg, "certificate", i);
		out->certificate = mem_grow(out->certificate, out->n_certificate + 1,
					    sizeof(*out->certificate));
		out->certificate[out->n_certificate++] =
			(struct config_certificate){ copy(cfg_title(sec)),
						     copy(cfg_getstr(sec, "key")) };
	}
}

static void default_hostname(struct config *c)
{
	char name[256] = { 0 };
	if (gethostname(name, sizeof(name) - 1) != 0 || !is_hostname(name))
		snprintf(name, sizeof(name), "localhost");
	c->hostname = copy(name);
}

static void default_listen(const struct config_flags *f, struct config *c)
{
	for (size_t s = 0; s < SERVICE_COUNT; s++) {
		long port = services[s].port + f->base;
		if (f->listen != NULL)
			add_listen(c, (enum config_service)s, f->listen, port, false);
		else
			add_listen_any(c, (enum config_service)s, port);
	}
}

static bool parse(cfg_t *cfg, const char *file)
{
	struct err e = { 0 };
	AUTO_BUF b;
	buf_init(&b, FILE_MAX + 64);
	if (io_read_file(file, FILE_MAX, &b, &e) != ST_OK) {
		fprintf(stderr, "facteur: cannot read the configuration: %s\n", e.text);
		return false;
	}
	if (memchr(buf_slice(&b).p, '\0', b.n) != NULL) {
		fprintf(stderr, "facteur: %s: not a text file\n", file);
		return false;
	}
	buf_adds(&b, "\n" END_KEY " = true\n");
	FILE *f = fmemopen(b.p, b.n, "r");
	if (f == NULL)
		return false;
	free(cfg->filename);
	cfg->filename = strdup(file); /* cfg_free frees it */
	bool ok = cfg_parse_fp(cfg, f) == CFG_SUCCESS;
	fclose(f);
	if (ok && !cfg_getbool(cfg, END_KEY)) {
		cfg_error(cfg, "the file ends inside a comment or a string");
		ok = false;
	}
	return ok;
}

static bool read_file(const struct config_flags *flags, struct config *out)
{
	cfg_t *cfg = make_parser();
	bool ok = flags->file == NULL || parse(cfg, flags->file);
	if (ok) {
		take_scalars(cfg, out);
		if (flags->listen == NULL && !flags->has_base)
			take_listen(cfg, out);
		take_certificates(cfg, out);
	}
	cfg_free(cfg);
	return ok;
}

static void replace(char **to, const char *value)
{
	if (value != NULL) {
		mem_free(*to);
		*to = copy(value);
	}
}

static bool check_flags(const struct config_flags *f)
{
	if (f->hostname != NULL && !is_hostname(f->hostname)) {
		fprintf(stderr,
			"facteur: --hostname %s: expected a name like mail.example.org\n",
			f->hostname);
		return false;
	}
	if (f->listen != NULL && !is_address(f->listen)) {
		fprintf(stderr,
			"facteur: --listen %s: expected an IPv4 or IPv6 address\n",
			f->listen);
		return false;
	}
	if (f->data != NULL && f->data[0] == '\0') {
		fputs("facteur: --data needs a directory\n", stderr);
		return false;
	}
	return true;
}

bool config_load(const struct config_flags *flags, struct config *out)
{
	struct config c = { 0 };
	if (!check_flags(flags) || !read_file(flags, &c)) {
		config_free(&c);
		return false;
	}
	replace(&c.data,
		flags->data != NULL || c.data != NULL ? flags->data : cli_default_data());
	replace(&c.hostname, flags->hostname);
	replace(&c.file, flags->file);
	if (c.hostname == NULL)
		default_hostname(&c);
	if (c.n_listen == 0)
		default_listen(flags, &c);
	*out = c;
	return true;
}

void config_free(struct config *c)
{
	mem_free(c->file);
	mem_free(c->hostname);
	mem_free(c->data);
	for (size_t i = 0; i < c->n_listen; i++)
		mem_free(c->listen[i].address);
	mem_free(c->listen);
	for (size_t i = 0; i < c->n_certificate; i++) {
		mem_free(c->certificate[i].cert_file);
		mem_free(c->certificate[i].key_file);
	}
	mem_free(c->certificate);
	*c = (struct config){ 0 };
}
