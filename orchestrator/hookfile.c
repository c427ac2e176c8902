/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/hookfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"

#define LINE_BYTES 500
#define LINES_MAX 500
#define LOOK_NS (200 * NS_PER_MS)
#define GRACE_NS (2 * NS_PER_S)

/* ---- finding ---- */

static int owner_check(const char *path, const struct stat *st, struct error **err)
{
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return error_set(err, EPERM, "the hook %s belongs to user %u: it must be root's (chown "
                         "root)", path, (unsigned)st->st_uid);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return error_set(err, EPERM, "others may write to the hook %s (mode %04o): chmod go-w",
                         path, (unsigned)st->st_mode & 07777);
    return 0;
}

/* 1: it is a folder that may be trusted; 0: there is none. */
static int folder_check(const char *path, struct error **err)
{
    struct stat st;
    int r;

    if (stat(path, &st) < 0)
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "cannot look at %s", path);
    r = S_ISDIR(st.st_mode) ? owner_check(path, &st, err)
                            : error_set(err, ENOTDIR, "%s is no folder", path);
    return r < 0 ? r : 1;
}

static bool name_counts(const char *name)
{
    return name[0] != '.' && name[strlen(name) - 1] != '~';
}

/* Takes path. */
static int file_take(char *path, struct hookfile_list *list, struct error **err)
{
    _cleanup_free_ char *own = path;
    struct stat st;
    char **more;
    int r;

    if (stat(path, &st) < 0)
        return error_set_errno(err, errno, "cannot look at the hook %s", path);
    if (!S_ISREG(st.st_mode) || !(st.st_mode & S_IXUSR))
        return 0;
    r = owner_check(path, &st, err);
    if (r < 0)
        return r;
    more = realloc(list->paths, (list->count + 1) * sizeof(*more));
    if (!more)
        return error_set_errno(err, ENOMEM, "cannot remember the hook %s", path);
    list->paths = more;
    list->paths[list->count++] = steal_ptr(own);
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int folder_read(const char *path, struct hookfile_list *list, struct error **err)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    int r = 0;

    if (!dir)
        return error_set_errno(err, errno, "cannot read the folder of hooks %s", path);
    while (r == 0 && (entry = readdir(dir)))
        if (name_counts(entry->d_name))
            r = file_take(str_format("%s/%s", path, entry->d_name), list, err);
    closedir(dir);
    if (list->count)
        qsort(list->paths, list->count, sizeof(*list->paths), compare);
    return r;
}

int hookfile_find(const char *folder, const char *event, struct hookfile_list *ret_list,
                  struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s.d", folder, event);
    struct hookfile_list list = {0};
    int r = folder_check(folder, err);

    if (r == 1)
        r = folder_check(path, err);
    if (r == 1)
        r = folder_read(path, &list, err);
    if (r < 0)
        hookfile_list_done(&list);
    else
        *ret_list = list;
    return r < 0 ? r : 0;
}

void hookfile_list_done(struct hookfile_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
    *list = (struct hookfile_list){0};
}

/* ---- running ---- */

/* What a hook writes, cut into lines. */
struct output {
    const struct hookfile_run *run;
    int fd;
    char line[LINE_BYTES + 1], last[LINE_BYTES + 1];
    size_t length;
    unsigned lines;
};

static void line_end(struct output *o)
{
    if (o->length == 0)
        return;
    o->line[o->length] = '\0';
    strcpy(o->last, o->line);
    o->length = 0;
    if (o->lines < LINES_MAX)
        o->run->line(o->run->context, o->line);
    else if (o->lines == LINES_MAX)
        o->run->line(o->run->context, "(it writes more, which is left out)");
    o->lines++;
}

/* Control characters have no place in a log. */
static void take_byte(struct output *o, char c)
{
    if (c == '\n' || o->length == LINE_BYTES)
        line_end(o);
    if (c != '\n' && c != '\r')
        o->line[o->length++] = (unsigned char)c < ' ' || c == 0x7f ? ' ' : c;
}

/* Reads what is there. */
static void output_pump(struct output *o)
{
    char data[4096];
    ssize_t n;

    while ((n = read(o->fd, data, sizeof(data))) > 0)
        for (ssize_t i = 0; i < n; i++)
            take_byte(o, data[i]);
}

/* An unnamed file: the hook may read it or not, nobody waits. */
static int input_make(const char *text)
{
    int fd = memfd_create("hook-input", MFD_CLOEXEC);

    if (fd >= 0 && (fdio_write_all(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static void group_end(pid_t pid)
{
    int status;

    kill(-pid, SIGTERM);
    if (proc_wait(pid, GRACE_NS, &status) != -ETIMEDOUT) {
        kill(-pid, SIGKILL); /* what it has started */
        return;
    }
    kill(-pid, SIGKILL);
    proc_wait(pid, UINT64_MAX, &status);
}

/* Waits for the end, looking now and then whether it is still wanted. */
static int watch(struct output *o, pid_t pid, int *ret_status)
{
    const struct hookfile_run *run = o->run;
    uint64_t until = clock_now_ns() + run->timeout_ns;

    for (;;) {
        int r = proc_wait(pid, LOOK_NS, ret_status);

        output_pump(o);
        if (r != -ETIMEDOUT)
            return r;
        if (clock_now_ns() < until && !run->interrupted(run->context))
            continue;
        group_end(pid);
        output_pump(o);
        return clock_now_ns() < until ? -ECANCELED : -ETIMEDOUT;
    }
}

static int outcome(const struct output *o, int r, int status, struct error **err)
{
    const struct hookfile_run *run = o->run;
    const char *colon = o->last[0] ? ": " : "";

    if (r == -ETIMEDOUT)
        return error_set(err, ETIMEDOUT, "the hook %s did not end within %llu s and was ended%s%s",
                         run->path, (unsigned long long)(run->timeout_ns / NS_PER_S), colon,
                         o->last);
    if (r == -ECANCELED)
        return error_set(err, ECANCELED, "the hook %s was interrupted", run->path);
    if (r < 0)
        return error_set_errno(err, -r, "cannot wait for the hook %s", run->path);
    if (status == 0)
        return 0;
    return error_set(err, EIO, status > 128 ? "the hook %s was ended by signal %d%s%s"
                                            : "the hook %s ended with %d%s%s",
                     run->path, status > 128 ? status - 128 : status, colon, o->last);
}

int hookfile_execute(const struct hookfile_run *run, struct error **err)
{
    char *argv[] = {(char *)run->path, NULL};
    _cleanup_close_ int input = input_make(run->input);
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    struct output o = {.run = run};
    int fds[2], status = 0, r;
    pid_t pid;

    if (input < 0 || pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "cannot start the hook %s", run->path);
    fdio_set_nonblock(fds[0], true);
    o.fd = fds[0];
    options.stdin_fd = input;
    options.stdout_fd = options.stderr_fd = fds[1];
    options.new_session = true;
    options.die_with_parent = true; /* it is run again: not twice at once */
    options.directory = "/";
    options.env = run->env;
    r = proc_spawn(argv, &options, &pid, err);
    close(fds[1]);
    if (r == 0) {
        r = watch(&o, pid, &status);
        line_end(&o);
        r = outcome(&o, r, status, err);
    }
    close(fds[0]);
    return r;
}
