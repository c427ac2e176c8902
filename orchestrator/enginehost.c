/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/enginehost.h"

#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "orchestrator/programs.h"

#define START_TIMEOUT_NS (90 * NS_PER_S) /* more than the engine waits for writes of a dead one */
#define ERRNO_LAST 133 /* EHWPOISON */
#define STOP_TIMEOUT_NS (30 * NS_PER_S)

/* ---- slipway-store ---- */

/* Runs slipway-store; its failure is one line of JSON, which becomes our error. */
static int store_tool(char *const argv[], char **ret_output, struct error **err)
{
    _cleanup_error_ struct error *e = NULL;
    const char *brace;
    json_t *j = NULL;
    int r = proc_run(argv, 60 * NS_PER_S, ret_output, &e);

    if (r == 0)
        return 0;
    brace = strchr(error_text(e), '{');
    if (brace)
        j = json_loads(brace, 0, NULL);
    if (json_object_get(j, "message"))
        r = error_set(err, (int)json_integer_value(json_object_get(j, "code")), "%s",
                      json_string_value(json_object_get(j, "message")));
    else
        r = error_move(err, &e);
    json_decref(j);
    return r;
}

int engine_host_check_path(const char *store, struct error **err)
{
    struct sockaddr_un address;
    size_t length = strlen(store) + strlen("/" CONTROL_SOCKET_NAME);

    if (length < sizeof(address.sun_path))
        return 0;
    return error_set(err, ENAMETOOLONG,
                     "the store %s needs a shorter path: its control socket would have %zu "
                     "characters, a unix socket may have %zu", store, length,
                     sizeof(address.sun_path) - 1);
}

int engine_host_create(const char *store, const char *vm_name,
                       const struct engine_disk_spec *disks, size_t disk_count,
                       struct error **err)
{
    char **argv;
    size_t n = 0;
    int r = engine_host_check_path(store, err);

    if (r < 0)
        return r;
    argv = mem_new(7 + disk_count, sizeof(*argv));
    argv[n++] = program_path("slipway-store");
    argv[n++] = str_dup("create");
    argv[n++] = str_dup(store);
    argv[n++] = str_dup(vm_name);
    if (disks[0].preseed)
        argv[n++] = str_dup("--preseed");
    if (disks[0].keep)
        argv[n++] = str_format("--keep=%u", disks[0].keep);
    for (size_t i = 0; i < disk_count; i++)
        argv[n++] = str_format("%s=%s:%" PRIu64, disks[i].name, disks[i].target, disks[i].size);
    r = store_tool(argv, NULL, err);
    engine_host_argv_free(argv);
    return r;
}

int engine_host_rest_status(const char *store, json_t **ret_status, struct error **err)
{
    _cleanup_free_ char *tool = program_path("slipway-store");
    char *argv[] = {tool, (char[]){"status"}, (char *)(uintptr_t)store, NULL};
    _cleanup_free_ char *output = NULL;
    int r = store_tool(argv, &output, err);

    if (r < 0)
        return r;
    *ret_status = json_loads(output, 0, NULL);
    return *ret_status ? 0 : error_set(err, EPROTO, "slipway-store answered no JSON for %s", store);
}

/* One line of standard error: progress, or why it failed. */
static void tool_line(const char *line, control_event_fn *event, void *context,
                      struct error **failure)
{
    json_t *j = json_loads(line, 0, NULL);

    if (json_object_get(j, "event") && event)
        event(j, context);
    else if (json_object_get(j, "message"))
        error_set(failure, (int)json_integer_value(json_object_get(j, "code")), "%s",
                  json_string_value(json_object_get(j, "message")));
    json_decref(j);
}

static int tool_start(const char *const *words, int out_fd, int error_fd, pid_t *ret_pid,
                      struct error **err)
{
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    size_t count = 0;
    char **argv;
    int r;

    while (words[count])
        count++;
    argv = mem_new(count + 2, sizeof(*argv));
    argv[0] = program_path("slipway-store");
    for (size_t i = 0; i < count; i++)
        argv[i + 1] = str_dup(words[i]);
    options.stdout_fd = out_fd;
    options.stderr_fd = error_fd;
    options.die_with_parent = true;
    r = proc_spawn(argv, &options, ret_pid, err);
    engine_host_argv_free(argv);
    return r;
}

int engine_host_tool(const char *const *words, control_event_fn *event, void *context,
                     json_t **ret_result, struct error **err)
{
    _cleanup_error_ struct error *failure = NULL;
    _cleanup_close_ int out_fd = memfd_create("slipway-store", MFD_CLOEXEC);
    _cleanup_fclose_ FILE *lines = NULL;
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    int fds[2], status = -1, r;
    pid_t pid;

    if (out_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
        return error_set_errno(err, errno, "cannot run slipway-store");
    r = tool_start(words, out_fd, fds[1], &pid, err);
    close(fds[1]);
    lines = fdopen(fds[0], "r");
    while (r == 0 && lines && getline(&line, &size, lines) > 0)
        tool_line(line, event, context, &failure);
    if (r < 0 || proc_wait(pid, UINT64_MAX, &status) < 0)
        return r < 0 ? r : error_set(err, ECHILD, "slipway-store cannot be waited for");
    if (status != 0 && failure)
        return error_move(err, &failure);
    if (status != 0)
        return error_set(err, EIO, "slipway-store %s ended with %d", words[0], status);
    lseek(out_fd, 0, SEEK_SET);
    *ret_result = json_loadfd(out_fd, 0, NULL);
    return *ret_result ? 0 : error_set(err, EPROTO, "slipway-store %s answered no JSON", words[0]);
}

/* ---- children ---- */

/* Engines outlive whoever started them, but one that ends while we live is ours to bury. */
static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static pid_t *children; /* guarded by children_lock */
static size_t child_count;

static void child_add(pid_t pid)
{
    LOCK_FOR_SCOPE(&children_lock);
    children = realloc(children, (child_count + 1) * sizeof(*children));
    if (!children)
        abort();
    children[child_count++] = pid;
}

static void children_reap(void)
{
    LOCK_FOR_SCOPE(&children_lock);
    for (size_t i = 0; i < child_count;) {
        if (waitpid(children[i], NULL, WNOHANG) == 0)
            i++;
        else
            children[i] = children[--child_count];
    }
}

/* ---- nbdkit ---- */

char **engine_host_argv(const char *store, const char *socket, struct error **err)
{
    char **argv, *plugin = program_path("nbdkit-slipway-plugin.so");
    size_t n = 0;

    if (access(plugin, R_OK) < 0) {
        error_set_errno(err, errno, "cannot read the engine's plugin %s (set SLIPWAY_LIBEXEC to "
                                    "its folder)", plugin);
        free(plugin);
        return NULL;
    }
    argv = mem_new(16, sizeof(*argv));
    argv[n++] = str_dup("nbdkit");
    argv[n++] = str_dup("--foreground");
    argv[n++] = str_dup("--threads=64"); /* requests that wait must not keep others from a thread */
    argv[n++] = str_dup("--unix");
    argv[n++] = socket ? str_dup(socket) : str_format("%s/%s", store, NBD_SOCKET_NAME);
    argv[n++] = str_format("--pidfile=%s/engine.pid", store);
    argv[n++] = plugin;
    argv[n++] = str_format("store=%s", store);
    return argv;
}

void engine_host_argv_free(char **argv)
{
    for (char **a = argv; a && *a; a++)
        free(*a);
    free(argv);
}

char *engine_host_uri(const char *store, const char *export_name)
{
    return str_format("nbd+unix:///%s?socket=%s/%s", export_name, store, NBD_SOCKET_NAME);
}

int engine_host_remove_stale_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path) || fd < 0)
        return 0;
    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 && errno == ECONNREFUSED)
        unlink(path);
    return 0;
}

/* Takes the plugin's " [EBUSY]" off the end of a line; the errno, or EIO without one. */
static int take_code(char *line)
{
    char *bracket = strrchr(line, '[');
    size_t length = bracket ? strlen(bracket + 1) : 0;

    if (length < 2 || bracket == line || bracket[length] != ']')
        return EIO;
    for (int code = 1; code <= ERRNO_LAST; code++) {
        const char *name = strerrorname_np(code);

        if (name && strlen(name) == length - 1 && strncmp(name, bracket + 1, length - 1) == 0) {
            bracket[-1] = '\0';
            return code;
        }
    }
    return EIO;
}

/* The last thing nbdkit said is why it would not start. */
static int start_failure(const char *store, const char *log_path, off_t log_start,
                         struct error **err)
{
    _cleanup_free_ char *text = NULL;
    size_t length = 0;
    char *line, *last = NULL, *save = NULL;
    int code = EIO;

    if (fdio_read_file(log_path, 16 << 20, &text, &length) == 0 && (size_t)log_start < length)
        for (line = strtok_r(text + log_start, "\n", &save); line;
             line = strtok_r(NULL, "\n", &save))
            if (strstr(line, "error: "))
                last = strstr(line, "error: ") + 7;
    if (last && str_starts(last, "slipway: "))
        last += 9;
    if (last)
        code = take_code(last);
    return error_set(err, code, "the engine of %s did not start: %s", store,
                     last ? last : "see engine.log in that folder");
}

static int wait_for_engine(const char *store, const char *control_path, pid_t pid,
                           struct control **ret_control, struct error **err)
{
    uint64_t start = clock_now_ns();
    int status;

    for (;;) {
        if (control_connect(control_path, ret_control, NULL) == 0)
            return 0;
        if (proc_wait(pid, 0, &status) != -ETIMEDOUT)
            return -ECHILD;
        if (clock_now_ns() - start > START_TIMEOUT_NS) {
            proc_stop(pid, NS_PER_S);
            return error_set(err, ETIMEDOUT, "the engine of %s did not come up in %d s; see "
                                             "engine.log in that folder", store,
                             (int)(START_TIMEOUT_NS / NS_PER_S));
        }
        clock_sleep_ns(10 * NS_PER_MS);
    }
}

static int start_engine(const char *store, const char *control_path,
                        struct control **ret_control, struct error **err)
{
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    _cleanup_free_ char *log_path = str_format("%s/engine.log", store);
    _cleanup_free_ char *nbd_path = str_format("%s/%s", store, NBD_SOCKET_NAME);
    _cleanup_close_ int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char **argv = engine_host_argv(store, NULL, err);
    off_t log_start;
    pid_t pid;
    int r;

    if (!argv)
        return -ENOENT;
    if (log_fd < 0) {
        r = error_set_errno(err, errno, "cannot write %s", log_path);
        engine_host_argv_free(argv);
        return r;
    }
    log_start = lseek(log_fd, 0, SEEK_END);
    engine_host_remove_stale_socket(nbd_path);
    options.stdout_fd = options.stderr_fd = log_fd;
    options.new_session = true;
    options.directory = "/";
    r = proc_spawn(argv, &options, &pid, err);
    engine_host_argv_free(argv);
    if (r < 0)
        return r;
    r = wait_for_engine(store, control_path, pid, ret_control, err);
    if (r == 0)
        child_add(pid);
    return r == -ECHILD ? start_failure(store, log_path, log_start, err) : r;
}

/* What is wrong with the store itself is told with its own exit code before nbdkit is tried. */
static int check_store(const char *store, struct error **err)
{
    json_t *status = NULL;
    int r = engine_host_rest_status(store, &status, err);

    if (r == 0 && strcmp(json_string_value(json_object_get(status, "mode")), "detached") == 0)
        r = error_set(err, EPERM, "%s is detached: its targets belong to whoever uses them now",
                      store);
    json_decref(status);
    return r;
}

int engine_host_attach(const char *store, struct control **ret_control, bool *ret_started,
                       struct error **err)
{
    _cleanup_free_ char *control_path = str_format("%s/%s", store, CONTROL_SOCKET_NAME);
    _cleanup_free_ char *lock_path = str_format("%s/start.lock", store);
    _cleanup_close_ int lock_fd = -1;
    int r;

    if (ret_started)
        *ret_started = false;
    children_reap();
    if (control_connect(control_path, ret_control, NULL) == 0)
        return 0;
    r = engine_host_check_path(store, err);
    if (r == 0)
        r = check_store(store, err);
    if (r < 0)
        return r;
    lock_fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_fd < 0 || flock(lock_fd, LOCK_EX) < 0)
        return error_set_errno(err, errno, "cannot lock %s", lock_path);
    if (control_connect(control_path, ret_control, NULL) == 0)
        return 0; /* somebody else started it meanwhile */
    r = start_engine(store, control_path, ret_control, err);
    if (r == 0 && ret_started)
        *ret_started = true;
    return r;
}

/* nbdkit ends after its connections; the superblock lock going free is the proof. */
static bool store_is_free(const char *super_path)
{
    _cleanup_close_ int fd = open(super_path, O_RDONLY | O_CLOEXEC);

    return fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0;
}

int engine_host_stop(const char *store, struct error **err)
{
    _cleanup_free_ char *control_path = str_format("%s/%s", store, CONTROL_SOCKET_NAME);
    _cleanup_free_ char *super_path = str_format("%s/super", store);
    _cleanup_control_ struct control *control = NULL;
    uint64_t start = clock_now_ns();
    int r;

    if (control_connect(control_path, &control, NULL) < 0)
        return 0;
    r = control_call(control, "stop", NULL, NULL, NULL, NULL, err);
    if (r < 0 && r != -ECONNRESET)
        return r;
    while (!store_is_free(super_path)) {
        if (clock_now_ns() - start > STOP_TIMEOUT_NS)
            return error_set(err, ETIMEDOUT, "the engine of %s was asked to end but still runs; "
                                             "close its clients", store);
        clock_sleep_ns(20 * NS_PER_MS);
    }
    clock_sleep_ns(20 * NS_PER_MS); /* between its last lock and its end */
    children_reap();
    return 0;
}
