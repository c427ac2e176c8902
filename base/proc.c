/* SPDX-License-Identifier: Apache-2.0 */
#include "proc.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "clock.h"
#include "fdio.h"
#include "str.h"

static void child_redirect(int from, int to)
{
    if (from == to)
        fcntl(to, F_SETFD, 0);
    else if (from >= 0)
        dup2(from, to);
}

static void child_setup(const struct proc_options *o, pid_t parent)
{
    sigset_t none;
    int null_fd = -1;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    if (o->stdin_fd < 0)
        null_fd = open("/dev/null", O_RDONLY);
    child_redirect(o->stdin_fd >= 0 ? o->stdin_fd : null_fd, STDIN_FILENO);
    child_redirect(o->stdout_fd, STDOUT_FILENO);
    child_redirect(o->stderr_fd, STDERR_FILENO);
    if (o->new_session)
        setsid();
    if (o->die_with_parent) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(127);
    }
    for (char *const *e = o->env; e && *e; e++)
        putenv(*e);
}

/* Never returns: reports errno of a failed step through the close-on-exec pipe. */
static void __attribute__((noreturn)) child_exec(char *const argv[], const struct proc_options *o,
                                                 pid_t parent, int report_fd)
{
    int code;

    child_setup(o, parent);
    if (!o->directory || chdir(o->directory) == 0)
        execvp(argv[0], argv);
    code = errno;
    if (write(report_fd, &code, sizeof(code)) < 0)
        _exit(126);
    _exit(127);
}

int proc_spawn(char *const argv[], const struct proc_options *options, pid_t *ret_pid,
               struct error **err)
{
    struct proc_options o = options ? *options : PROC_OPTIONS_DEFAULT;
    int report[2], code = 0;
    pid_t parent = getpid(), pid;
    ssize_t n;

    if (pipe2(report, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "cannot start %s", argv[0]);
    pid = fork();
    if (pid == 0)
        child_exec(argv, &o, parent, report[1]);
    code = pid < 0 ? errno : 0;
    close(report[1]);
    n = pid < 0 ? 0 : fdio_read_all(report[0], &code, sizeof(code));
    close(report[0]);
    if (n > 0)
        waitpid(pid, NULL, 0);
    if (pid < 0 || n > 0)
        return error_set_errno(err, code, "cannot start %s", argv[0]);
    *ret_pid = pid;
    return 0;
}

static int status_to_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int proc_wait(pid_t pid, uint64_t timeout_ns, int *ret_status)
{
    uint64_t start = clock_now_ns();
    _cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    int status;

    for (;;) {
        pid_t r = waitpid(pid, &status, timeout_ns == UINT64_MAX ? 0 : WNOHANG);
        uint64_t gone = clock_now_ns() - start;

        if (r == pid) {
            *ret_status = status_to_code(status);
            return 0;
        }
        if (r < 0 && errno != EINTR)
            return -errno;
        if (timeout_ns != UINT64_MAX && gone >= timeout_ns)
            return -ETIMEDOUT;
        if (r == 0 && pidfd >= 0) {
            struct pollfd p = {.fd = pidfd, .events = POLLIN};
            uint64_t left_ms = (timeout_ns - gone) / NS_PER_MS + 1;

            poll(&p, 1, left_ms > 60000 ? 60000 : (int)left_ms);
        } else if (r == 0) {
            clock_sleep_ns(10 * NS_PER_MS);
        }
    }
}

void proc_stop(pid_t pid, uint64_t grace_ns)
{
    int status;

    kill(pid, SIGTERM);
    if (proc_wait(pid, grace_ns, &status) != -ETIMEDOUT)
        return;
    kill(pid, SIGKILL);
    proc_wait(pid, UINT64_MAX, &status);
}

struct capture {
    int fd;
    char *text;
    size_t length;
    size_t max; /* what comes after it replaces the beginning when keep_tail */
    bool keep_tail;
};

static void capture_add(struct capture *c, const char *data, size_t n)
{
    if (c->keep_tail && c->length + n > c->max) {
        size_t drop = c->length + n - c->max;

        if (drop > c->length)
            drop = c->length;
        memmove(c->text, c->text + drop, c->length - drop);
        c->length -= drop;
    }
    if (n > c->max - c->length)
        n = c->max - c->length;
    c->text = realloc(c->text, c->length + n + 1);
    if (!c->text)
        abort();
    memcpy(c->text + c->length, data, n);
    c->length += n;
    c->text[c->length] = '\0';
}

/* Reads what is there.  Returns false at end of file. */
static bool capture_pump(struct capture *c)
{
    char data[4096];
    ssize_t n = read(c->fd, data, sizeof(data));

    if (n > 0)
        capture_add(c, data, (size_t)n);
    return n > 0 || (n < 0 && (errno == EINTR || errno == EAGAIN));
}

static int capture_both(struct capture *out, struct capture *errs, uint64_t timeout_ns)
{
    uint64_t start = clock_now_ns();
    bool out_open = true, err_open = true;

    while (out_open || err_open) {
        uint64_t gone = clock_now_ns() - start;
        struct pollfd p[2] = {{.fd = out_open ? out->fd : -1, .events = POLLIN},
                              {.fd = err_open ? errs->fd : -1, .events = POLLIN}};

        if (timeout_ns != UINT64_MAX && gone >= timeout_ns)
            return -ETIMEDOUT;
        if (poll(p, 2, 200) < 0 && errno != EINTR)
            return -errno;
        if (p[0].revents)
            out_open = capture_pump(out);
        if (p[1].revents)
            err_open = capture_pump(errs);
    }
    return 0;
}

static int run_result(const char *program, int r, int status, struct capture *errs,
                      struct error **err)
{
    if (r == -ETIMEDOUT)
        return error_set(err, ETIMEDOUT, "%s did not finish in time and was stopped", program);
    if (r < 0)
        return error_set_errno(err, -r, "cannot follow %s", program);
    if (status == 0)
        return 0;
    while (errs->length && errs->text[errs->length - 1] == '\n')
        errs->text[--errs->length] = '\0';
    return error_set(err, EIO, "%s failed with exit code %d%s%s", program, status,
                     errs->length ? ": " : "", errs->length ? errs->text : "");
}

int proc_run(char *const argv[], uint64_t timeout_ns, char **ret_output, struct error **err)
{
    struct proc_options o = PROC_OPTIONS_DEFAULT;
    struct capture out = {.max = 64 << 20}, errs = {.max = 2000, .keep_tail = true};
    int po[2], pe[2], status = 0, r;
    pid_t pid;

    if (pipe2(po, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "cannot start %s", argv[0]);
    if (pipe2(pe, O_CLOEXEC) < 0) {
        r = errno;
        close(po[0]);
        close(po[1]);
        return error_set_errno(err, r, "cannot start %s", argv[0]);
    }
    o.stdout_fd = po[1];
    o.stderr_fd = pe[1];
    r = proc_spawn(argv, &o, &pid, err);
    close(po[1]);
    close(pe[1]);
    if (r == 0) {
        out.fd = po[0];
        errs.fd = pe[0];
        r = capture_both(&out, &errs, timeout_ns);
        if (r < 0)
            proc_stop(pid, 2 * NS_PER_S);
        else
            proc_wait(pid, UINT64_MAX, &status);
        r = run_result(argv[0], r, status, &errs, err);
    }
    close(po[0]);
    close(pe[0]);
    free(errs.text);
    if (r == 0 && ret_output)
        *ret_output = out.text ? out.text : str_dup("");
    else
        free(out.text);
    return r;
}

static int read_stat(pid_t pid, char *state, uint64_t *start)
{
    char path[64];
    _cleanup_free_ char *text = NULL;
    unsigned long long v;
    char *p;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (fdio_read_file(path, 4096, &text, NULL) < 0)
        return -ESRCH;
    p = strrchr(text, ')');
    if (!p || sscanf(p + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                            "%*d %*d %llu", state, &v) != 2)
        return -ESRCH;
    *start = v;
    return 0;
}

bool proc_alive(pid_t pid)
{
    uint64_t start;
    char state;

    return read_stat(pid, &state, &start) == 0 && state != 'Z' && state != 'X';
}

uint64_t proc_start_time(pid_t pid)
{
    uint64_t start;
    char state;

    return read_stat(pid, &state, &start) == 0 ? start : 0;
}
