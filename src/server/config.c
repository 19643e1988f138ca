/* config.c — libconfuse options, defaults, and errors that name the nearest key. */
#include "server/config.h"
#include "base/alloc.h"
#include "base/limits.h"
#include "base/slice.h"
#include "cli/cli.h"
#include <confuse.h>

static const struct {
	const char *name;
	uint16_t port;
} services[SERVICE_COUNT] = {
	[SERVICE_SMTP] = { "smtp", 25 },	 [SERVICE_SUBMISSION] = { "submission", 587 },
	[SERVICE_SUBMISSIONS] = { "submissions", 465 }, [SERVICE_IMAP] = { "imap", 143 },
	[SERVICE_IMAPS] = { "imaps", 993 },	 [SERVICE_POP3] = { "pop3", 110 },
	[SERVICE_POP3S] = { "pop3s", 995 },
};

static cfg_opt_t listen_opts[] = {
	CFG_STR_LIST("address", "{}", CFGF_NONE),
	CFG_INT("port", 0, CFGF_NONE),
	CFG_END(),
};
static cfg_opt_t certificate_opts[] = {
	CFG_STR("key", NULL, CFGF_NODEFAULT),
	CFG_END(),
};
static cfg_opt_t opts[] = {
	CFG_STR("hostname", NULL, CFGF_NODEFAULT),
	CFG_STR("data", NULL, CFGF_NODEFAULT),
	CFG_INT("max-message", LIMIT_MESSAGE, CFGF_NONE),
	CFG_STR("bare-newline", "repair", CFGF_NONE),
	CFG_INT("workers", 4, CFGF_NONE),
	CFG_STR("log-level", "info", CFGF_NONE),
	CFG_SEC("listen", listen_opts, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES),
	CFG_SEC("certificate", certificate_opts, CFGF_MULTI | CFGF_TITLE),
	CFG_END(),
};

const char *config_service_name(enum config_service s)
{
	return services[s].name;
}

static char *copy(const char *s)
{
	size_t n = strlen(s) + 1;
	return memcpy(mem_new(n), s, n);
}

/* Levenshtein distance of two short words. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], nb = strlen(b);
	if (strlen(a) >= 64 || nb >= 63)
		return 64;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < nb; j++) {
			size_t best = diagonal + (a[i] != b[j]);
			diagonal = row[j + 1];
			best = best < diagonal + 1 ? best : diagonal + 1;
			row[j + 1] = best < row[j] + 1 ? best : row[j] + 1;
		}
	}
	return row[nb];
}

static const char *nearest_key(const cfg_t *cfg, const char *word)
{
	const char *best = NULL;
	size_t best_d = 64;
	for (const cfg_opt_t *o = cfg->opts; o != NULL && o->name != NULL; o++) {
		size_t d = distance(word, o->name);
		if (d < best_d) {
			best_d = d;
			best = o->name;
		}
	}
	return best;
}

static void on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char unknown[] = "no such option '";
	char text[512];
	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(stderr, "facteur: %s:%d: %s", cfg->filename ? cfg->filename : "config", cfg->line, text);
	char *word = strstr(text, unknown);
	if (word != NULL) {
		word += sizeof(unknown) - 1;
		word[strcspn(word, "'")] = '\0';
		const char *near = nearest_key(cfg, word);
		if (near != NULL)
			fprintf(stderr, "; did you mean '%s'?", near);
	}
	fputc('\n', stderr);
}

static bool wrong(const char *what, const char *value, const char *expected)
{
	fprintf(stderr, "facteur: %s = \"%s\": expected %s\n", what, value, expected);
	return false;
}

static bool take_log_level(const char *s, enum log_level *out)
{
	static const char *const names[] = { "debug", "info", "warn", "error", "none" };
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(s, names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return wrong("log-level", s, "debug, info, warn, error or none");
}

static bool take_scalars(cfg_t *cfg, struct config *out)
{
	const char *bare = cfg_getstr(cfg, "bare-newline");
	long max = cfg_getint(cfg, "max-message"), workers = cfg_getint(cfg, "workers");
	if (strcmp(bare, "repair") != 0 && strcmp(bare, "reject") != 0)
		return wrong("bare-newline", bare, "repair or reject");
	if (max < 65536 || max > (1L << 30))
		return wrong("max-message", "…", "65536 to 1073741824 octets");
	if (workers < 1 || workers > 256)
		return wrong("workers", "…", "1 to 256");
	out->reject_bare_newline = strcmp(bare, "reject") == 0;
	out->max_message = (uint64_t)max;
	out->workers = (unsigned)workers;
	if (cfg_getstr(cfg, "hostname") != NULL)
		out->hostname = copy(cfg_getstr(cfg, "hostname"));
	if (cfg_getstr(cfg, "data") != NULL)
		out->data = copy(cfg_getstr(cfg, "data"));
	return take_log_level(cfg_getstr(cfg, "log-level"), &out->log_level);
}

static void add_listen(struct config *c, enum config_service s, const char *address, long port, bool optional)
{
	c->listen = mem_grow(c->listen, c->n_listen + 1, sizeof(*c->listen));
	c->listen[c->n_listen++] = (struct config_listen){ s, copy(address), (uint16_t)port, optional };
}

static bool take_listen(cfg_t *cfg, struct config *out)
{
	for (unsigned i = 0; i < cfg_size(cfg, "listen"); i++) {
		cfg_t *sec = cfg_getnsec(cfg, "listen", i);
		const char *title = cfg_title(sec);
		size_t s = 0;
		while (s < SERVICE_COUNT && strcmp(services[s].name, title) != 0)
			s++;
		if (s == SERVICE_COUNT)
			return wrong("listen", title, "smtp, submission, submissions, imap, imaps, pop3 or pop3s");
		long port = cfg_getint(sec, "port");
		if (port < 0 || port > 65535)
			return wrong("port", title, "1 to 65535");
		if (port == 0)
			port = services[s].port;
		unsigned n = cfg_size(sec, "address");
		for (unsigned k = 0; k < n; k++)
			add_listen(out, (enum config_service)s, cfg_getnstr(sec, "address", k), port, false);
		if (n == 0) {
			add_listen(out, (enum config_service)s, "0.0.0.0", port, false);
			add_listen(out, (enum config_service)s, "::", port, true);
		}
	}
	return true;
}

static bool take_certificates(cfg_t *cfg, struct config *out)
{
	for (unsigned i = 0; i < cfg_size(cfg, "certificate"); i++) {
		cfg_t *sec = cfg_getnsec(cfg, "certificate", i);
		if (cfg_getstr(sec, "key") == NULL)
			return wrong("certificate", cfg_title(sec), "a key = \"FILE\" inside");
		out->certificate = mem_grow(out->certificate, out->n_certificate + 1, sizeof(*out->certificate));
		out->certificate[out->n_certificate++] =
			(struct config_certificate){ copy(cfg_title(sec)), copy(cfg_getstr(sec, "key")) };
	}
	return true;
}

static void default_hostname(struct config *c)
{
	char name[256] = "localhost";
	if (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0')
		snprintf(name, sizeof(name), "localhost");
	c->hostname = copy(name);
}

static void default_listen(const struct config_flags *f, struct config *c)
{
	for (size_t s = 0; s < SERVICE_COUNT; s++) {
		long port = services[s].port + f->base;
		if (f->listen != NULL) {
			add_listen(c, (enum config_service)s, f->listen, port, false);
		} else {
			add_listen(c, (enum config_service)s, "0.0.0.0", port, false);
			add_listen(c, (enum config_service)s, "::", port, true);
		}
	}
}

bool config_load(const struct config_flags *flags, struct config *out)
{
	struct config c = { 0 };
	cfg_t *cfg = cfg_init(opts, CFGF_NONE);
	cfg_set_error_function(cfg, on_error);
	int rc = flags->file != NULL ? cfg_parse(cfg, flags->file) : CFG_SUCCESS;
	if (rc == CFG_FILE_ERROR)
		fprintf(stderr, "facteur: cannot read the configuration file %s\n", flags->file);
	bool ok = rc == CFG_SUCCESS && take_scalars(cfg, &c) && take_listen(cfg, &c) && take_certificates(cfg, &c);
	cfg_free(cfg);
	if (!ok) {
		config_free(&c);
		return false;
	}
	if (flags->data != NULL || c.data == NULL) {
		mem_free(c.data);
		c.data = copy(flags->data != NULL ? flags->data : cli_default_data());
	}
	if (flags->hostname != NULL) {
		mem_free(c.hostname);
		c.hostname = copy(flags->hostname);
	}
	if (c.hostname == NULL)
		default_hostname(&c);
	if (c.n_listen == 0)
		default_listen(flags, &c);
	*out = c;
	return true;
}

void config_free(struct config *c)
{
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
