/* serve.c — wiring: kv → store → auth → workers → listeners → control socket, and the
 * signals. */
#include "server/serve.h"
#include "auth/auth.h"
#include "backup/backup.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/limits.h"
#include "cli/cli_backup.h"
#include "imap/imap.h"
#include "kv/kv.h"
#include "pop3/pop3.h"
#include "server/control.h"
#include "smtp/smtp.h"
#include "store/store.h"
#include "work/session.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sysexits.h>

#define LISTENERS_MAX 64
#define SWEEP_EVERY_S 30
#define SWEEP_STEP    500
#define STORE_BUSY_MS \
	5000 /* how long a command that has the store open may keep us waiting */
#define STORE_BUSY_STEP_MS 50

struct server {
	const struct config *cfg;
	struct arena arena;
	struct clock clock;
	int lock_fd; /* the data directory is ours */
	struct kv *kv;
	struct store *store;
	struct auth *auth;
	struct tls_store *tls;
	struct worker_ctx *workers;
	struct smtp_config smtp_config;
	struct smtp_ctx smtp;
	struct imap_ctx imap;
	struct pop3_ctx pop3;
	struct listener *listeners[LISTENERS_MAX];
	size_t n_listeners;
	struct control *control;
	struct job sweep;
	_Atomic bool sweep_is_queued, stopping;
};

static void log_failed(const char *event, const struct err *e)
{
	struct log_line l;
	log_begin(&l, LOG_LEVEL_ERROR, event);
	log_err(&l, e);
	log_end(&l);
}

static enum status try_kv(struct server *s, const struct kv_options *opt, struct err *e)
{
	if (s->lock_fd < 0) {
		enum status st = cli_data_lock(s->cfg->data, &s->lock_fd, e);
		if (st != ST_OK)
			return st;
	}
	return kv_open(opt, &s->kv, e);
}

/* What the last run or an older program left, and what became of it. */
static void log_opened(const struct server *s)
{
	struct kv_stat k;
	struct log_line l;

	kv_stat(s->kv, &k);
	if (k.format_was != 0 && k.format_was < KV_FORMAT) {
		log_begin(&l, LOG_LEVEL_INFO, "store.upgraded");
		log_int(&l, "from", k.format_was);
		log_int(&l, "to", KV_FORMAT);
		log_end(&l);
	}
	if (k.replayed == 0)
		return;
	log_begin(&l, LOG_LEVEL_INFO, "store.recovered");
	log_int(&l, "batches", (int64_t)k.replayed);
	log_end(&l);
}

/* A command at work on the stopped system has the store open for a moment: it is waited for. */
static enum status open_kv(struct server *s, const struct kv_options *opt, struct err *e)
{
	const struct timespec step = { .tv_nsec = STORE_BUSY_STEP_MS * 1000000L };
	enum status st = try_kv(s, opt, e);
	for (int ms = 0; st != ST_OK && e->code == ERR_BUSY && ms < STORE_BUSY_MS;
	     ms += STORE_BUSY_STEP_MS) {
		nanosleep(&step, NULL);
		st = try_kv(s, opt, e);
	}
	if (st == ST_OK)
		log_opened(s);
	return st;
}

/* What root wrote here, the owner could not open the next time. */
static enum status check_owner(const char *dir, struct err *e)
{
	struct stat st;
	if (geteuid() != 0 || stat(dir, &st) != 0 || st.st_uid == 0)
		return ST_OK;
	return err_set(e, ERR_CANNOT,
		       "%s belongs to uid %u: start the server as that user", dir,
		       st.st_uid);
}

/* A new, empty store must not take the place of one that was being put back. */
static enum status check_restore(struct server *s, struct err *e)
{
	struct io_stat st;
	if (io_stat_path(arena_fmt(&s->arena, "%s/" BACKUP_RESTORING, s->cfg->data).p,
			 &st, NULL) != ST_OK)
		return ST_OK;
	return err_set(e, ERR_CANNOT,
		       "a restore into %s was not finished: run facteur restore again",
		       s->cfg->data);
}

/* A full disk is no reason not to start: mail can be read and deleted then. */
static enum status set_policy(struct server *s, struct err *e)
{
	const struct config *c = s->cfg;
	struct store_policy p = {
		.quota_bytes = c->quota_bytes,
		.quota_messages = c->quota_messages,
		.quota_grace = c->quota_grace,
		.keep_days = c->keep_deleted,
		.expire_trash_days = c->expire_trash,
		.expire_junk_days = c->expire_junk,
	};
	memcpy(p.language, c->language, sizeof(p.language));
	enum status st = store_policy_set(s->store, &p, e);
	if (st == ST_OK || e->code != ERR_DISK_FULL)
		return st;
	log_failed("server.policy", e);
	return ST_OK;
}

static enum status open_store(struct server *s, struct err *e)
{
	struct kv_options opt = {
		.engine = KV_ROCKSDB,
		.mode = KV_COMMIT_THREAD,
		.dir = arena_fmt(&s->arena, "%s/store", s->cfg->data).p,
		.reserve_bytes = s->cfg->disk_reserve,
	};
	enum status st = io_mkdir(s->cfg->data, 0700, e);
	if (st == ST_OK)
		st = check_owner(s->cfg->data, e);
	if (st == ST_OK)
		st = check_restore(s, e);
	if (st == ST_OK)
		st = open_kv(s, &opt, e);
	if (st == ST_OK)
		st = backup_snapshot_clear(s->cfg->data, e);
	if (st == ST_OK)
		st = store_open(s->kv, &s->clock, &s->store, e);
	return st == ST_OK ? set_policy(s, e) : st;
}

/* The configured certificates, or those of a private CA that is made at the first
 * start. */
static enum status open_tls(struct server *s, struct err *e)
{
	const struct config *c = s->cfg;
	struct tls_pair *pairs =
		arena_array(&s->arena, c->n_certificate + 1, sizeof(*pairs));
	size_t n = c->n_certificate;
	for (size_t i = 0; i < n; i++)
		pairs[i] = (struct tls_pair){ c->certificate[i].cert_file,
					      c->certificate[i].key_file };
	if (n == 0) {
		const char *dir = arena_fmt(&s->arena, "%s/tls", c->data).p;
		const char *names[] = { c->hostname, "localhost", "127.0.0.1", "::1" };
		enum status st = io_mkdir(dir, 0700, e);
		if (st == ST_OK)
			st = tls_make_private_ca(dir, names, 4, clock_now_s(&s->clock),
						 e);
		if (st != ST_OK)
			return st;
		pairs[n++] =
			(struct tls_pair){ arena_fmt(&s->arena, "%s/cert.pem", dir).p,
					   arena_fmt(&s->arena, "%s/key.pem", dir).p };
	}
	return tls_store_new(pairs, n, &s->tls, e);
}

/* One path a line, from the root; the last part of it may be a link that is renewed. */
static void note_file(struct buf *out, const char *path)
{
	char here[4096];
	if (path == NULL || strchr(path, '\n') != NULL)
		return;
	if (path[0] == '/')
		buf_addf(out, "%s\n", path);
	else if (getcwd(here, sizeof(here)) != NULL)
		buf_addf(out, "%s/%s\n", here, path);
}

/* What is needed outside the data directory: a backup takes it along (cli/cli_backup.c). */
static void note_used_files(struct server *s)
{
	struct err e = { 0 };
	AUTO_BUF b;
	buf_init(&b, 1u << 20);
	note_file(&b, s->cfg->file);
	for (size_t i = 0; i < s->cfg->n_certificate; i++) {
		note_file(&b, s->cfg->certificate[i].cert_file);
		note_file(&b, s->cfg->certificate[i].key_file);
	}
	if (io_write_file(arena_fmt(&s->arena, "%s/" CLI_USED_FILES, s->cfg->data).p,
			  buf_slice(&b), 0600, &e) != ST_OK)
		log_failed("server.used_files", &e);
}

static void open_workers(struct server *s)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct worker_options w = {
		.loops = cpus > 1 && cpus < 128 ? (unsigned)cpus / 2 : 1,
		.db_threads = s->cfg->workers,
		.crypto_threads = cpus > 2 && cpus < 64 ? (unsigned)cpus : 2,
		.clock = &s->clock,
	};
	struct auth_options a = { .clock = &s->clock };
	s->auth = auth_new(s->store, &a);
	s->workers = worker_new(&w);
}

static void wire_services(struct server *s)
{
	const struct config *c = s->cfg;
	slice hostname = slice_str(c->hostname);
	s->smtp_config = (struct smtp_config){
		.hostname = hostname,
		.max_message = c->max_message,
		.bare_newline = c->reject_bare_newline ? SMTP_NEWLINE_REJECT
						       : SMTP_NEWLINE_REPAIR,
		.over_quota_retry = c->over_quota_retry,
		.has_tls = true,
	};
	s->smtp = (struct smtp_ctx){
		.config = &s->smtp_config,
		.store = s->store,
		.auth = s->auth,
		.background = worker_pool_background(s->workers),
	};
	s->imap = (struct imap_ctx){
		.store = s->store,
		.auth = s->auth,
		.hostname = hostname,
		.max_message = c->max_message,
	};
	s->pop3 = (struct pop3_ctx){ .store = s->store,
				     .auth = s->auth,
				     .hostname = hostname };
}

static enum status open_listener(struct server *s, const struct config_listen *l,
				 struct err *e)
{
	static const struct service *const service[SERVICE_COUNT] = {
		[SERVICE_SMTP] = &smtp_service_mx,
		[SERVICE_SUBMISSION] = &smtp_service_submission,
		[SERVICE_SUBMISSIONS] = &smtp_service_submission,
		[SERVICE_IMAP] = &imap_service,
		[SERVICE_IMAPS] = &imap_service,
		[SERVICE_POP3] = &pop3_service,
		[SERVICE_POP3S] = &pop3_service,
	};
	bool implicit = l->service == SERVICE_SUBMISSIONS ||
			l->service == SERVICE_IMAPS || l->service == SERVICE_POP3S;
	void *ctx = l->service <= SERVICE_SUBMISSIONS ? (void *)&s->smtp
		    : l->service <= SERVICE_IMAPS     ? (void *)&s->imap
						      : (void *)&s->pop3;
	if (s->n_listeners == LISTENERS_MAX)
		return err_set(e, ERR_LIMIT, "more than %d listeners", LISTENERS_MAX);
	enum status st = worker_listen(s->workers, service[l->service], ctx, l->address,
				       l->port, s->tls, implicit,
				       &s->listeners[s->n_listeners], e);
	if (st == ST_OK)
		s->n_listeners++;
	return st;
}

static enum status open_listeners(struct server *s, struct err *e)
{
	for (size_t i = 0; i < s->cfg->n_listen; i++) {
		const struct config_listen *l = &s->cfg->listen[i];
		enum status st = open_listener(s, l, e);
		if (st != ST_OK && !l->optional)
			return st;
		struct log_line line;
		log_begin(&line, st == ST_OK ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
			  "server.listen");
		log_cstr(&line, "service", config_service_name(l->service));
		log_cstr(&line, "address", l->address);
		log_int(&line, "port", l->port);
		if (st != ST_OK)
			log_err(&line, e);
		log_end(&line);
	}
	return ST_OK;
}

static enum status open_control(struct server *s, struct err *e)
{
	struct admin_ctx ctx = { .store = s->store,
				 .auth = s->auth,
				 .workers = s->workers,
				 .data = s->cfg->data };
	return control_open(arena_fmt(&s->arena, "%s/control.sock", s->cfg->data).p, &ctx,
			    &s->control, e);
}

/* What was left behind by expunges, removed mailboxes and hand-offs, in the background:
 * one bounded step a job, so that new hand-offs come in between. */
static void sweep_run(struct job *j)
{
	struct server *s = (struct server *)((char *)j - offsetof(struct server, sweep));
	struct err e = { 0 };
	size_t filed = 0, swept = 0;
	enum status st = store_handoff_run(s->store, SWEEP_STEP, &filed, &e);
	if (st != ST_OK)
		log_failed("server.handoff", &e);
	enum status swept_st = store_sweep(s->store, SWEEP_STEP, &swept, &e);
	if (swept_st != ST_OK)
		log_failed("server.sweep", &e);
	size_t kept = 0;
	enum status kept_st = store_retention_run(s->store, SWEEP_STEP, &kept, &e);
	if (kept_st != ST_OK)
		log_failed("server.retention", &e);
	if (store_quota_refresh(s->store, false, &e) != ST_OK)
		log_failed("server.quota", &e);
	bool more = (kept_st == ST_OK && kept >= SWEEP_STEP) ||
		    (st == ST_OK && filed >= SWEEP_STEP) ||
		    (swept_st == ST_OK && swept >= SWEEP_STEP);
	if (more && !s->stopping) {
		pool_submit(worker_pool_background(s->workers), &s->sweep);
		return;
	}
	s->sweep_is_queued = false;
}

static void sweep_submit(struct server *s)
{
	if (s->sweep_is_queued)
		return;
	s->sweep_is_queued = true;
	s->sweep.run = sweep_run;
	pool_submit(worker_pool_background(s->workers), &s->sweep);
}

static void reload(struct server *s)
{
	struct err e = { 0 };
	struct log_line l;
	enum status st = tls_store_reload(s->tls, &e);
	log_begin(&l, st == ST_OK ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR, "server.reload");
	if (st != ST_OK)
		log_err(&l, &e);
	log_end(&l);
}

static void wait_for_signals(struct server *s, const sigset_t *set)
{
	struct timespec wait = { .tv_sec = SWEEP_EVERY_S };
	for (;;) {
		int sig = sigtimedwait(set, NULL, &wait);
		if (sig == SIGTERM || sig == SIGINT)
			return;
		if (sig == SIGHUP)
			reload(s);
		sweep_submit(s);
	}
}

static void raise_descriptor_limit(void)
{
	struct rlimit r;
	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

static void log_event(const struct server *s, const char *event)
{
	struct log_line l;
	log_begin(&l, LOG_LEVEL_INFO, event);
	log_cstr(&l, "version", FACTEUR_VERSION);
	log_cstr(&l, "data", s->cfg->data);
	log_cstr(&l, "hostname", s->cfg->hostname);
	log_end(&l);
}

/* The committer may still be on its way out of a callback that posted to a loop: a commit of our own comes
 * behind all of them, so the loops can go after it. */
static void wait_for_committer(struct server *s)
{
	const uint32_t directory = 0;
	struct store_txn *t;
	struct err e = { 0 };

	if (store_begin(s->store, &directory, 1, NULL, &t, &e) != ST_OK ||
	    store_commit_wait(t, &e) != ST_OK)
		log_failed("server.stop", &e);
}

static void close_all(struct server *s)
{
	control_close(s->control);
	for (size_t i = 0; i < s->n_listeners; i++)
		listener_close(s->listeners[i]);
	if (s->workers != NULL) {
		worker_stop(s->workers, LIMIT_SHUTDOWN_TIME);
		wait_for_committer(s);
		worker_free(s->workers);
	}
	auth_free(s->auth);
	if (s->tls != NULL)
		tls_store_free(s->tls);
	if (s->store != NULL)
		store_close(s->store);
	if (s->kv != NULL)
		kv_close(s->kv);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	arena_release(&s->arena);
}

/* What trying again would change, and what not: the unit file restarts by it. */
static int exit_code(const struct err *e)
{
	switch ((int)e->code) {
	case ERR_BUSY:
	case ERR_DISK_FULL:
		return EX_TEMPFAIL;
	case ERR_CANNOT:
	case ERR_CORRUPT:
		return EX_DATAERR;
	default:
		return EX_UNAVAILABLE;
	}
}

int serve_run(const struct config *cfg)
{
	struct server s = { .cfg = cfg, .lock_fd = -1 };
	struct err e = { 0 };
	sigset_t set;
	arena_init(&s.arena);
	clock_init_real(&s.clock);
	log_set_level(cfg->log_level);
	umask(0077); /* mail is nobody else's business */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* before any thread: all inherit it */
	raise_descriptor_limit();
	log_start_writer();
	enum status st = open_store(&s, &e);
	if (st == ST_OK)
		st = open_tls(&s, &e);
	if (st == ST_OK) {
		open_workers(&s);
		wire_services(&s);
		st = open_listeners(&s, &e);
	}
	if (st == ST_OK) {
		worker_start(s.workers);
		st = open_control(&s, &e);
	}
	if (st == ST_OK) {
		note_used_files(&s);
		log_event(&s, "server.ready");
		sweep_submit(&s);
		wait_for_signals(&s, &set);
		s.stopping = true;
		log_event(&s, "server.stopping");
	} else {
		log_failed("server.start", &e);
	}
	close_all(&s);
	log_stop_writer();
	return st == ST_OK ? EX_OK : exit_code(&e);
}
