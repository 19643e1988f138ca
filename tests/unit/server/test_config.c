/* The configuration file: every key, every fault with file and line, defaults, and what wins. */
#include "server/config.h"
#include "base/alloc.h"
#include "base/buf.h"
#include "base/io.h"
#include "base/limits.h"
#include "cli/cli.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
/* after the system's headers */
#include <cmocka.h>

struct world {
	char dir[64], file[128], said_file[128];
	char said[2048]; /* what the last load printed on stderr */
};

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	snprintf(w->dir, sizeof(w->dir), "/tmp/config-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->file, sizeof(w->file), "%s/facteur.conf", w->dir);
	snprintf(w->said_file, sizeof(w->said_file), "%s/said", w->dir);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	unlink(w->file);
	unlink(w->said_file);
	rmdir(w->dir);
	mem_free(w);
	return 0;
}

/* config_load with its stderr in w->said. */
static bool load_flags(struct world *w, const struct config_flags *f, struct config *out)
{
	struct buf b;
	struct err e;
	fflush(stderr);
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	int fd = open(w->said_file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(saved >= 0 && fd >= 0);
	assert_int_equal(dup3(fd, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
	bool ok = config_load(f, out);
	fflush(stderr);
	assert_int_equal(dup3(saved, STDERR_FILENO, O_CLOEXEC), STDERR_FILENO);
	close(saved);
	close(fd);
	buf_init(&b, sizeof(w->said) - 1);
	assert_int_equal(io_read_file(w->said_file, sizeof(w->said) - 1, &b, &e), ST_OK);
	snprintf(w->said, sizeof(w->said), "%.*s", (int)b.n, b.p ? b.p : "");
	buf_done(&b);
	return ok;
}

static bool load(struct world *w, const char *text, struct config *out)
{
	struct err e;
	struct config_flags f = { .file = w->file };
	assert_int_equal(io_write_file(w->file, slice_str(text), 0600, &e), ST_OK);
	return load_flags(w, &f, out);
}

static void everything_has_a_default(void **state)
{
	static const struct {
		const char *name;
		uint16_t port;
	} services[SERVICE_COUNT] = {
		{ "smtp", 25 },	  { "submission", 587 }, { "submissions", 465 },
		{ "imap", 143 },  { "imaps", 993 },	 { "pop3", 110 },
		{ "pop3s", 995 },
	};
	struct world *w = *state;
	struct config c;
	struct config_flags f = { 0 };
	unsetenv("FACTEUR_DATA");
	assert_true(load_flags(w, &f, &c));
	assert_string_equal(w->said, "");
	assert_string_equal(c.data, FACTEUR_DEFAULT_DATA);
	assert_true(c.hostname[0] != '\0');
	assert_int_equal(c.max_message, LIMIT_MESSAGE);
	assert_false(c.reject_bare_newline);
	assert_int_equal(c.workers, 4);
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.disk_reserve, 64u << 20);
	assert_true(c.quota_bytes == 0 && c.quota_messages == 0);
	assert_int_equal(c.quota_grace, 10u << 20);
	assert_false(c.over_quota_retry);
	assert_int_equal(c.keep_deleted, 7);
	assert_true(c.expire_trash == 0 && c.expire_junk == 0);
	assert_string_equal(c.language, "en");
	assert_int_equal(c.n_certificate, 0);
	assert_int_equal(c.n_listen, 2 * SERVICE_COUNT);
	for (size_t i = 0; i < c.n_listen; i++) {
		assert_int_equal(c.listen[i].service, i / 2);
		assert_string_equal(config_service_name(c.listen[i].service),
				    services[i / 2].name);
		assert_int_equal(c.listen[i].port, services[i / 2].port);
		assert_string_equal(c.listen[i].address, i % 2 ? "::" : "0.0.0.0");
		assert_int_equal(c.listen[i].optional, i % 2);
	}
	config_free(&c);
}

static void every_key_is_taken(void **state)
{
	struct world *w = *state;
	struct config c;
	assert_true(load(w,
			 "# a comment\n"
			 "hostname = mail.example.org\n"
			 "data = \"/srv/mail\"\n"
			 "max-message = 1048576\n"
			 "bare-newline = reject\n"
			 "workers = 9\n"
			 "log-level = warn\n"
			 "disk-reserve = 1G\n"
			 "quota = 2g\n"
			 "quota-messages = 50000\n"
			 "quota-grace = \"500KB\"\n"
			 "over-quota = retry\n"
			 "keep-deleted = 30\n"
			 "expire-trash = 31\n"
			 "expire-junk = 32\n"
			 "language = fr\n"
			 "listen smtp { address = {\"192.0.2.1\", \"2001:db8::1\"} }\n"
			 "listen imaps { port = 1993 }\n"
			 "certificate \"/etc/a.pem\" { key = \"/etc/a.key\" }\n"
			 "certificate \"/etc/b.pem\" { key = \"/etc/b.key\" }\n",
			 &c));
	assert_string_equal(w->said, "");
	assert_string_equal(c.hostname, "mail.example.org");
	assert_string_equal(c.data, "/srv/mail");
	assert_int_equal(c.max_message, 1048576);
	assert_true(c.reject_bare_newline);
	assert_int_equal(c.workers, 9);
	assert_int_equal(c.log_level, LOG_LEVEL_WARN);
	assert_int_equal(c.disk_reserve, 1u << 30);
	assert_int_equal(c.quota_bytes, 2ull << 30);
	assert_int_equal(c.quota_messages, 50000);
	assert_int_equal(c.quota_grace, 500u << 10);
	assert_true(c.over_quota_retry);
	assert_int_equal(c.keep_deleted, 30);
	assert_int_equal(c.expire_trash, 31);
	assert_int_equal(c.expire_junk, 32);
	assert_string_equal(c.language, "fr");
	assert_int_equal(c.n_listen, 4);
	assert_int_equal(c.listen[0].service, SERVICE_SMTP);
	assert_string_equal(c.listen[0].address, "192.0.2.1");
	assert_int_equal(c.listen[0].port, 25);
	assert_false(c.listen[0].optional);
	assert_string_equal(c.listen[1].address, "2001:db8::1");
	assert_int_equal(c.listen[2].service, SERVICE_IMAPS);
	assert_string_equal(c.listen[2].address, "0.0.0.0");
	assert_int_equal(c.listen[2].port, 1993);
	assert_true(c.listen[3].optional);
	assert_int_equal(c.n_certificate, 2);
	assert_string_equal(c.certificate[1].cert_file, "/etc/b.pem");
	assert_string_equal(c.certificate[1].key_file, "/etc/b.key");
	config_free(&c);
}

static void every_log_level_has_its_name(void **state)
{
	static const char *const names[] = { "debug", "info", "warn", "error", "none" };
	struct world *w = *state;
	for (size_t i = 0; i < 5; i++) {
		struct config c;
		char text[64];
		snprintf(text, sizeof(text), "log-level = %s\n", names[i]);
		assert_true(load(w, text, &c));
		assert_int_equal(c.log_level, i);
		config_free(&c);
	}
}

/* Each is refused, with the line, and with these words. */
static void faults_are_told_with_their_line(void **state)
{
	static const struct {
		const char *text, *where, *words;
	} faults[] = {
		{ "hostnam = x\n", ":1: ", "did you mean 'hostname'?" },
		{ "\n\nworker = 3\n", ":3: ", "did you mean 'workers'?" },
		{ "bare_newline = repair\n", ":1: ", "did you mean 'bare-newline'?" },
		{ "listen smtp {\n adress = {\"::\"}\n}\n",
		  ":2: ", "did you mean 'address'?" },
		{ "certificate \"a\" { kee = b }\n", ":1: ", "did you mean 'key'?" },
		{ "domain = example.org\n",
		  ":1: ", "no such option 'domain'; facteur.conf(5) has them all" },
		{ "\nworkers = 0\n", ":2: ", "workers = 0: expected 1 to 256" },
		{ "workers = 257\n", ":1: ", "expected 1 to 256" },
		{ "workers = many\n", ":1: ", "workers" },
		{ "workers = 3x\n", ":1: ", "workers" },
		{ "workers = 99999999999999999999\n", ":1: ", "workers" },
		{ "max-message = 100\n", ":1: ", "expected 65536 to 1073741824" },
		{ "max-message = -1\n", ":1: ", "expected 65536" },
		{ "bare-newline = keep\n", ":1: ", "expected repair or reject" },
		{ "\n\n\nlog-level = loud\n",
		  ":4: ", "expected debug, info, warn, error or none" },
		{ "hostname = \"a b\"\n", ":1: ", "expected a name like" },
		{ "hostname = \"\"\n", ":1: ", "expected a name like" },
		{ "hostname = \"mail..org\"\n", ":1: ", "expected a name like" },
		{ "data = mail\n", ":1: ", "expected a path from the root" },
		{ "data = \"\"\n", ":1: ", "expected a path from the root" },
		{ "listen smpt { }\n",
		  ":1: ", "listen \"smpt\": expected smtp, submission" },
		{ "listen smtp { port = 0 }\n", ":1: ", "port = 0: expected 1 to 65535" },
		{ "listen smtp {\n port = 65536\n}\n", ":2: ", "expected 1 to 65535" },
		{ "listen smtp { address = {\"everywhere\"} }\n",
		  ":1: ", "expected an IPv4 or IPv6" },
		{ "listen smtp { address = {\"::\", \"x\"} }\n",
		  ":1: ", "address = \"x\"" },
		{ "listen smtp { }\nlisten smtp { }\n", ":2: ", "smtp" },
		{ "listen { }\n", ":1: ", "listen" },
		{ "certificate \"/a\" { }\n", ":1: ", "expected a file, and inside key" },
		{ "certificate \"\" { key = \"/k\" }\n",
		  ":1: ", "expected a file, and inside key" },
		{ "quota = much\n", ":1: ", "expected a size like 50M or 2G" },
		{ "quota-grace = 1.5G\n", ":1: ", "expected a size" },
		{ "disk-reserve = -1\n", ":1: ", "expected a size" },
		{ "quota = 99999999999T\n", ":1: ", "expected a size" },
		{ "quota-messages = -1\n", ":1: ", "expected 0 to 2147483647" },
		{ "over-quota = drop\n", ":1: ", "expected refuse or retry" },
		{ "keep-deleted = 3651\n", ":1: ", "expected 0 to 3650" },
		{ "expire-trash = -1\n", ":1: ", "expected 0 to 3650" },
		{ "\nlanguage = de\n", ":2: ", "expected en or fr" },
		{ "workers 3\n", ":1: ", "workers" },
		{ "workers =\n", ":", "" },
		{ "listen smtp {\n", ":", "a } is missing" },
		{ "listen smtp { port = 26\n# }\n", ":", "a } is missing" },
		{ "workers = 3\n/* a comment\n", ":", "" },
		{ "listen smtp { /* }\n", ":", "" },
		{ "hostname = \"mail.example.org\n", ":", "" },
		{ "}\n", ":1: ", "" },
		{ "= 3\n", ":1: ", "" },
		{ "\x01\n", ":1: ", "" },
	};
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct config c;
		if (load(w, faults[i].text, &c))
			fail_msg("taken: %s", faults[i].text);
		char where[160];
		snprintf(where, sizeof(where), "facteur: %s%s", w->file, faults[i].where);
		if (strstr(w->said, where) != w->said ||
		    strstr(w->said, faults[i].words) == NULL)
			fail_msg("for %s\nit says: %s", faults[i].text, w->said);
	}
}

static void a_file_that_is_not_there_is_named(void **state)
{
	struct world *w = *state;
	struct config c;
	struct config_flags f = { .file = "/nonexistent/facteur.conf" };
	assert_false(load_flags(w, &f, &c));
	assert_non_null(strstr(w->said, "/nonexistent/facteur.conf"));
	assert_non_null(strstr(w->said, "No such file"));
}

static void the_users_language_changes_nothing(void **state)
{
	struct world *w = *state;
	struct config c;
	setenv("LC_ALL", "de_DE.UTF-8", 1);
	setenv("LANGUAGE", "de", 1);
	assert_false(load(w, "hostnam = x\n", &c));
	unsetenv("LC_ALL");
	unsetenv("LANGUAGE");
	assert_non_null(
		strstr(w->said, "no such option 'hostnam'; did you mean 'hostname'?"));
}

static void the_command_line_wins(void **state)
{
	struct world *w = *state;
	struct config c;
	struct err e;
	struct config_flags f = {
		.file = w->file,
		.data = "d",
		.hostname = "h.example",
		.listen = "127.0.0.1",
		.base = 20000,
		.has_base = true,
	};
	assert_int_equal(
		io_write_file(
			w->file,
			SL("hostname = x.example\ndata = /x\nlisten smtp { port = 1 }\n"),
			0600, &e),
		ST_OK);
	assert_true(load_flags(w, &f, &c));
	assert_string_equal(c.data, "d");
	assert_string_equal(c.hostname, "h.example");
	assert_int_equal(c.n_listen, SERVICE_COUNT);
	assert_int_equal(c.listen[0].port, 20025);
	assert_int_equal(c.listen[6].port, 20995);
	assert_string_equal(c.listen[3].address, "127.0.0.1");
	assert_false(c.listen[3].optional);
	config_free(&c);
}

static void flags_are_checked(void **state)
{
	struct world *w = *state;
	struct config c;
	struct config_flags host = { .hostname = "a\r\nb" },
			    listen = { .listen = "localhost" }, data = { .data = "" };
	assert_false(load_flags(w, &host, &c));
	assert_non_null(strstr(w->said, "--hostname"));
	assert_false(load_flags(w, &listen, &c));
	assert_non_null(strstr(w->said, "--listen localhost"));
	assert_false(load_flags(w, &data, &c));
	assert_non_null(strstr(w->said, "--data"));
}

static void the_environment_names_the_data(void **state)
{
	struct world *w = *state;
	struct config c;
	struct config_flags f = { 0 };
	setenv("FACTEUR_DATA", "/env/data", 1);
	assert_true(load_flags(w, &f, &c));
	assert_string_equal(c.data, "/env/data");
	config_free(&c);
	assert_true(load(w, "data = /file/data\n", &c));
	assert_string_equal(c.data, "/file/data");
	config_free(&c);
	unsetenv("FACTEUR_DATA");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everything_has_a_default, setup,
						teardown),
		cmocka_unit_test_setup_teardown(every_key_is_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(every_log_level_has_its_name, setup,
						teardown),
		cmocka_unit_test_setup_teardown(faults_are_told_with_their_line, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_named, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_users_language_changes_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_command_line_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_are_checked, setup, teardown),
		cmocka_unit_test_setup_teardown(the_environment_names_the_data, setup,
						teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
