/* The control socket: one JSON line in, one JSON reply out; junk is answered, silence is not waited for. */
#include "server/control.h"
#include "auth/auth.h"
#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "kv/kv.h"
#include "store/store.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
/* after the system's headers */
#include <cmocka.h>

struct world {
	struct clock clock;
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct admin_ctx ctx;
	struct control *control;
	char dir[64], path[100];
};

static int setup(void **state)
{
	struct world *w = mem_new(sizeof(*w));
	struct kv_options ko = { .engine = KV_MEMORY, .mode = KV_COMMIT_INLINE };
	struct auth_options ao = { .clock = &w->clock,
				   .argon2_kib = 64,
				   .argon2_passes = 1 };
	struct err e = { 0 };
	log_set_level(LOG_LEVEL_NONE);
	clock_init_virtual(&w->clock, 1790000000LL * 1000000);
	assert_int_equal(kv_open(&ko, &w->kv, &e), ST_OK);
	assert_int_equal(store_open(w->kv, &w->clock, &w->store, &e), ST_OK);
	w->auth = auth_new(w->store, &ao);
	w->ctx = (struct admin_ctx){ .store = w->store, .auth = w->auth };
	snprintf(w->dir, sizeof(w->dir), "/tmp/control-test-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/control.sock", w->dir);
	assert_int_equal(control_open(w->path, &w->ctx, &w->control, &e), ST_OK);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	control_close(w->control);
	assert_int_equal(access(w->path, F_OK), -1);
	assert_int_equal(rmdir(w->dir), 0);
	auth_free(w->auth);
	store_close(w->store);
	kv_close(w->kv);
	mem_free(w);
	return 0;
}

static int dial(const struct world *w)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", w->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	return fd;
}

/* Sends text in pieces of `step` octets and gives the reply. */
static json_t *ask(const struct world *w, const char *text, size_t step)
{
	AUTO_FD fd = dial(w);
	AUTO_BUF b;
	for (size_t at = 0, n = strlen(text); at < n; at += step) {
		size_t k = step < n - at ? step : n - at;
		assert_int_equal(send(fd, text + at, k, MSG_NOSIGNAL), k);
	}
	buf_init(&b, 1u << 20);
	for (;;) {
		assert_true(buf_reserve(&b, 4096));
		ssize_t k = read(fd, b.p + b.n, 4096);
		assert_true(k >= 0);
		if (k == 0)
			break;
		b.n += (size_t)k;
	}
	json_t *reply = json_loadb(buf_slice(&b).p, b.n, 0, NULL);
	assert_non_null(reply);
	return reply;
}

static void a_request_is_answered_whatever_its_pieces(void **state)
{
	static const char add[] =
		"{\"noun\":\"domain\",\"verb\":\"add\",\"args\":[\"a.example\"],\"options\":{}}\n";
	static const size_t steps[] = { 1000, 7, 1 };
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		json_t *r = ask(w, add, steps[i]);
		assert_int_equal(json_is_true(json_object_get(r, "ok")), i == 0);
		if (i > 0)
			assert_string_equal(json_string_value(json_object_get(r, "code")),
					    "exists");
		json_decref(r);
	}
}

static void junk_is_answered(void **state)
{
	static const char *const junk[] = { "\n",	    "x\n",	  "[1,2]\n",
					    "{\"noun\":\n", "\"\xff\"\n", "null\n" };
	struct world *w = *state;
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
		json_t *r = ask(w, junk[i], 1000);
		assert_string_equal(json_string_value(json_object_get(r, "code")),
				    "syntax");
		json_decref(r);
	}
}

static void who_hangs_up_disturbs_nobody(void **state)
{
	struct world *w = *state;
	for (int i = 0; i < 50; i++) {
		AUTO_FD fd = dial(w);
		assert_int_equal(send(fd, "{\"noun\"", (size_t)(i % 8), MSG_NOSIGNAL),
				 i % 8);
	}
	json_t *r = ask(w, "{\"noun\":\"domain\",\"verb\":\"list\",\"args\":[]}\n", 1000);
	assert_true(json_is_true(json_object_get(r, "ok")));
	json_decref(r);
}

static void who_says_nothing_keeps_nobody_waiting(void **state)
{
	struct world *w = *state;
	int silent[LIMIT_CONTROL_THREADS - 1];
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		silent[i] = dial(w);
	json_t *r = ask(w, "{\"noun\":\"domain\",\"verb\":\"list\",\"args\":[]}\n", 1000);
	assert_true(json_is_true(json_object_get(r, "ok")));
	json_decref(r);
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		close(silent[i]);
}

static void the_socket_is_the_owners_alone(void **state)
{
	struct world *w = *state;
	struct stat st;
	assert_int_equal(stat(w->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_left_over_is_replaced(void **state)
{
	struct world *w = *state;
	struct control *second;
	struct err e;
	assert_int_equal(control_open(w->path, &w->ctx, &second, &e), ST_OK);
	json_t *r = ask(w, "{\"noun\":\"domain\",\"verb\":\"list\",\"args\":[]}\n", 1000);
	assert_true(json_is_true(json_object_get(r, "ok")));
	json_decref(r);
	control_close(second);
}

static void a_path_that_cannot_be_is_told(void **state)
{
	struct world *w = *state;
	struct control *c;
	struct err e = { 0 };
	char path[200];
	snprintf(path, sizeof(path), "%s/%0120d", w->dir, 0);
	assert_int_equal(control_open(path, &w->ctx, &c, &e), ST_LIMIT);
	assert_non_null(strstr(e.text, "too long"));
	assert_int_equal(control_open("/nonexistent/control.sock", &w->ctx, &c, &e),
			 ST_IO);
	assert_non_null(strstr(e.text, "/nonexistent/control.sock"));
	control_close(NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_answered_whatever_its_pieces),
		TEST(junk_is_answered),
		TEST(who_hangs_up_disturbs_nobody),
		TEST(who_says_nothing_keeps_nobody_waiting),
		TEST(the_socket_is_the_owners_alone),
		TEST(a_left_over_is_replaced),
		TEST(a_path_that_cannot_be_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
