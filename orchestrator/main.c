/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/daemon.h"
#include "orchestrator/guard.h"
#include "orchestrator/governor.h"
#include "orchestrator/group.h"
#include "orchestrator/httpd.h"
#include "orchestrator/logkind.h"
#include "orchestrator/pause.h"
#include "orchestrator/metrics.h"
#include "orchestrator/rehearsal.h"
#include "orchestrator/secrets.h"
#include "orchestrator/scheduler.h"
#include "orchestrator/sentry.h"

#define STOP_TIMEOUT_NS (15 * NS_PER_S)
#define LOCK_TRIES 20
#define LOCK_PAUSE_NS (50 * NS_PER_MS)
#define REAP_INTERVAL_MS 5000

static int make_folders(const struct options *o, struct error **err)
{
    _cleanup_free_ char *secrets = str_format("%s/secrets", o->state_dir);
    _cleanup_free_ char *socket_folder = str_dup(o->socket_path);
    char *slash = strrchr(socket_folder, '/');
    int r = fdio_make_dirs(o->state_dir, 0711);

    if (r < 0)
        return error_set_errno(err, -r, "cannot make the state folder %s", o->state_dir);
    r = fdio_make_dirs(secrets, 0700);
    if (r < 0)
        return error_set_errno(err, -r, "cannot make %s", secrets);
    if (slash && slash != socket_folder) {
        *slash = '\0';
        r = fdio_make_dirs(socket_folder, 0755);
    }
    return r < 0 ? error_set_errno(err, -r, "cannot make the folder of %s", o->socket_path) : 0;
}

/* A child that a killed slipwayd was just starting has its lock until it is the other program. */
static bool lock_patiently(int fd)
{
    for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (errno != EWOULDBLOCK || i == LOCK_TRIES)
            return false;
        clock_sleep_ns(LOCK_PAUSE_NS);
    }
    return true;
}

/* One slipwayd per state folder; the lock ends with the process. */
static int lock_state(const struct options *o, int *ret_fd, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/lock", o->state_dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return error_set_errno(err, errno, "cannot open %s", path);
    if (!lock_patiently(fd)) {
        if (errno == EWOULDBLOCK)
            return error_set(err, EBUSY, "another slipwayd works on %s: end it, or use another "
                             "--state folder", o->state_dir);
        return error_set_errno(err, errno, "cannot lock %s", path);
    }
    *ret_fd = steal_fd(&fd);
    return 0;
}

static void daemon_init(struct daemon *d, const struct options *o)
{
    pthread_condattr_t attr;

    *d = (struct daemon){.options = o};
    pthread_mutex_init(&d->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
}

static int open_secrets(const struct options *o, struct secrets **ret_secrets, struct error **err)
{
    _cleanup_free_ char *folder = str_format("%s/secrets", o->state_dir);

    return secrets_open(folder, getenv("CREDENTIALS_DIRECTORY"), ret_secrets, err);
}

/* --rotate-key, in the place of everything else. */
static int rotate_key(const struct options *o, struct error **err)
{
    struct secrets *secrets = NULL;
    size_t count = 0;
    int r = open_secrets(o, &secrets, err);

    if (r == 0)
        r = secrets_rotate(secrets, &count, err);
    if (r == 0)
        printf("%zu secrets are encrypted with a new key\n", count);
    secrets_close(secrets);
    return r;
}

static int daemon_start(struct daemon *d, struct httpd **ret_httpd, struct error **err)
{
    int r = journal_open(d->options->state_dir, &d->journal, err);

    if (r == 0)
        r = open_secrets(d->options, &d->secrets, err);
    if (r < 0)
        return r;
    sources_take_plain(d);
    d->events = events_new(d->journal);
    d->metrics = metrics_new();
    r = governor_open(d, err);
    if (r == 0)
        r = jobs_load(d, err);
    if (r == 0)
        forecast_refresh_all(d);
    if (r == 0)
        r = node_events_start(err);
    if (r == 0)
        r = groups_load(d, err);
    if (r == 0)
        r = rehearsals_resume(d, err);
    if (r == 0)
        r = pause_watch_start(d, err);
    if (r == 0)
        r = runner_resume(d, err); /* before anybody can ask or add */
    if (r == 0)
        r = scheduler_start(d, err);
    if (r == 0)
        r = sentry_start(d, err);
    return r == 0 ? httpd_start(d, ret_httpd, err) : r;
}

static int end_fd = -1; /* eventfd, written by the signal handler */

static void on_end_signal(int number)
{
    int code = errno;

    if (eventfd_write(end_fd, 1) < 0)
        _exit(EXIT_CODE_FAILED);
    errno = code;
}

/* A handler, not a blocked signal: a blocked one would be inherited by every QEMU that libvirt's
 * embedded driver starts, which could then not be ended. */
static int catch_signals(struct error **err)
{
    struct sigaction action = {.sa_handler = on_end_signal, .sa_flags = SA_RESTART};

    signal(SIGPIPE, SIG_IGN);
    end_fd = eventfd(0, EFD_CLOEXEC);
    if (end_fd < 0 || sigaction(SIGTERM, &action, NULL) < 0 ||
        sigaction(SIGINT, &action, NULL) < 0)
        return error_set_errno(err, errno, "cannot prepare for signals");
    return 0;
}

/* Engines that this process started and that have ended are still its children.  Others (of
 * libvirt, of steps) are waited for by whoever started them. */
static void reap_engines(void)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        _cleanup_free_ char *path = str_format("/proc/%d/comm", (int)info.si_pid), *comm = NULL;

        if (fdio_read_file(path, 100, &comm, NULL) < 0 || !str_starts(comm, "nbdkit"))
            return;
        waitpid(info.si_pid, NULL, WNOHANG);
        info.si_pid = 0;
    }
}

/* Returns after SIGTERM or SIGINT. */
static void wait_for_end(void)
{
    struct pollfd p = {.fd = end_fd, .events = POLLIN};

    while (poll(&p, 1, REAP_INTERVAL_MS) <= 0)
        reap_engines();
    log_about(LOG_LEVEL_INFO, LOG_KIND_ENDING, NULL, NULL,
              "ending; jobs go on when slipwayd starts again, engines stay");
}

static void daemon_stop(struct daemon *d, struct httpd *httpd)
{
    /* A thread inside a call that cannot be interrupted is left behind: the journal knows its
     * state, exactly as after kill -9. */
    bool idle = runner_stop(d, STOP_TIMEOUT_NS);

    if (d->events)
        events_close(d->events);
    httpd_stop(httpd);
    if (!idle)
        _exit(EXIT_CODE_OK);
    scheduler_free(d);
    governor_close(d);
    groups_free(d);
    jobs_free(d);
    d->events = events_free(d->events);
    d->metrics = metrics_free(d->metrics);
    d->journal = journal_close(d->journal);
    d->secrets = secrets_close(d->secrets);
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    _cleanup_close_ int lock_fd = -1;
    struct httpd *httpd = NULL;
    struct options options;
    struct daemon d;
    int r = options_parse(&options, argc, argv);

    if (r >= 0)
        return r;
    guard_process();
    log_open("slipwayd", options.log_level);
    daemon_init(&d, &options);
    r = catch_signals(&err);
    if (r == 0)
        r = make_folders(&options, &err);
    if (r == 0)
        r = lock_state(&options, &lock_fd, &err);
    if (r == 0)
        r = options.rotate_key ? rotate_key(&options, &err) : daemon_start(&d, &httpd, &err);
    if (r == 0 && !options.rotate_key) {
        log_about(LOG_LEVEL_INFO, LOG_KIND_READY, NULL, NULL, "ready on %s", options.socket_path);
        wait_for_end();
    } else if (r < 0) {
        log_about(LOG_LEVEL_ERROR, LOG_KIND_NO_START, NULL, NULL, "%s", error_text(err));
    }
    daemon_stop(&d, httpd);
    options_free(&options);
    return r == 0 ? EXIT_CODE_OK : error_exit_code(error_code(err));
}
