/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/source/libvirt-host.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/clock.h"
#include "base/proc.h"
#include "base/str.h"

#define ARGV_MAX 64
#define COMMAND_TIMEOUT (60 * NS_PER_S)
#define TUNNEL_TIMEOUT (30 * NS_PER_S)

/* The value of name=… in the URI's query, or NULL. */
static char *query_value(const char *uri, const char *name)
{
    const char *p = strchr(uri, '?');
    size_t n = strlen(name);

    for (; p; p = strchr(p, '&')) {
        p++;
        if (strncmp(p, name, n) == 0 && p[n] == '=')
            return str_unescape(p + n + 1, strcspn(p + n + 1, "&;#"));
    }
    return NULL;
}

/* authority: "user@name:port" or "user@[address]:port". */
static int parse_authority(struct host *host, const char *text, size_t length)
{
    _cleanup_free_ char *authority = str_unescape(text, length);
    char *at = strrchr(authority, '@'), *name = at ? at + 1 : authority, *colon;
    char *bracket = *name == '[' ? strchr(name, ']') : NULL;

    colon = strchr(bracket ? bracket : name, ':');
    if (colon) {
        *colon = '\0';
        host->port = str_dup(colon + 1);
    }
    if (bracket) {
        *bracket = '\0';
        name++;
    }
    /* A leading dash would be taken for an option by ssh. */
    if (!*name || *authority == '-' || *name == '-')
        return -EINVAL;
    if (at)
        *at = '\0';
    host->destination = at ? str_format("%s@%s", authority, name) : str_dup(name);
    return 0;
}

int host_init(struct host *host, const char *uri, struct error **err)
{
    const char *sep = strstr(uri, "://"), *authority = sep ? sep + 3 : NULL;
    size_t length = authority ? strcspn(authority, "/?#") : 0;
    size_t scheme = sep ? (size_t)(sep - uri) : 0;
    _cleanup_free_ char *no_verify = NULL;

    memset(host, 0, sizeof(*host));
    if (!sep || authority[length] != '/')
        return error_set(err, EINVAL,
                         "\"%s\" is not a libvirt URI with a path; "
                         "write for example qemu:///system",
                         uri);
    if (length == 0 &&
        ((scheme == 4 && str_starts(uri, "qemu")) || (scheme == 9 && str_starts(uri, "qemu+unix"))))
        return 0;
    if (scheme != 8 || !str_starts(uri, "qemu+ssh"))
        return error_set(err, EINVAL,
                         "disks cannot be read over the transport of \"%s\"; "
                         "use qemu+ssh://USER@HOST/system",
                         uri);
    if (parse_authority(host, authority, length) < 0)
        return error_set(err, EINVAL,
                         "\"%s\" does not name a host; "
                         "write qemu+ssh://USER@HOST/system",
                         uri);
    host->command = query_value(uri, "command");
    host->keyfile = query_value(uri, "keyfile");
    no_verify = query_value(uri, "no_verify");
    host->no_verify = no_verify && strcmp(no_verify, "0") != 0;
    return 0;
}

void host_done(struct host *host)
{
    free(host->destination);
    free(host->command);
    free(host->port);
    free(host->keyfile);
    memset(host, 0, sizeof(*host));
}

/* Puts ssh and its options into argv and returns how many; the destination is not among them. */
static size_t ssh_argv(const struct host *host, const char *argv[])
{
    size_t n = 0;

    argv[n++] = host->command ? host->command : "ssh";
    argv[n++] = "-T";
    argv[n++] = "-oBatchMode=yes";
    argv[n++] = "-oConnectTimeout=20";
    argv[n++] = "-oServerAliveInterval=15";
    if (host->no_verify) {
        argv[n++] = "-oStrictHostKeyChecking=no";
        argv[n++] = "-oUserKnownHostsFile=/dev/null";
        argv[n++] = "-oLogLevel=ERROR";
    }
    if (host->port) {
        argv[n++] = "-p";
        argv[n++] = host->port;
    }
    if (host->keyfile) {
        argv[n++] = "-i";
        argv[n++] = host->keyfile;
    }
    return n;
}

/* 'it'\''s': one word for the shell at the other end. */
static void quote(FILE *out, const char *word)
{
    fputc('\'', out);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\\''", out);
        else
            fputc(*word, out);
    fputc('\'', out);
}

static char *shell_command(const char *script, const char *const args[])
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        abort();
    fputs("sh -c ", out);
    quote(out, script);
    fputs(" sh", out);
    for (size_t i = 0; args[i]; i++) {
        fputc(' ', out);
        quote(out, args[i]);
    }
    fclose(out);
    return text;
}

static int remote_script(const struct host *host, const char *script, const char *const args[],
                         uint64_t timeout_ns, char **ret_output, struct error **err)
{
    _cleanup_free_ char *command = shell_command(script, args);
    const char *argv[ARGV_MAX];
    size_t n = ssh_argv(host, argv);
    int r;

    argv[n++] = "--";
    argv[n++] = host->destination;
    argv[n++] = command;
    argv[n] = NULL;
    r = proc_run((char *const *)argv, timeout_ns, ret_output, err);
    if (r < 0)
        error_prefix(err, "on source host %s", host->destination);
    return r;
}

int host_script(const struct host *host, const char *script, const char *const args[],
                uint64_t timeout_ns, char **ret_output, struct error **err)
{
    const char *argv[ARGV_MAX] = {"sh", "-c", script, "sh"};
    size_t n = 4;

    if (!host_is_local(host))
        return remote_script(host, script, args, timeout_ns, ret_output, err);
    for (size_t i = 0; args[i]; i++) {
        if (n + 1 >= ARGV_MAX)
            return error_set(err, E2BIG, "too many arguments for a command on the source host");
        argv[n++] = args[i];
    }
    argv[n] = NULL;
    return proc_run((char *const *)argv, timeout_ns, ret_output, err);
}

int host_make_directory(const struct host *host, const char *path, const char *owner,
                        struct error **err)
{
    /* mkdir without -p fails when somebody else was there first: nobody can prepare a trap. */
    static const char script[] = "mkdir -m 0700 -- \"$1\" || exit 1\n"
                                 "[ -z \"$2\" ] || [ \"$(id -u)\" != 0 ] || chown -- \"$2\" \"$1\"";
    const char *args[] = {path, owner ? owner : "", NULL};

    return host_script(host, script, args, COMMAND_TIMEOUT, NULL, err);
}

bool host_own_directory(const char *path)
{
    return str_starts(path, HOST_DIRECTORY_PREFIX) &&
           !strchr(path + strlen(HOST_DIRECTORY_PREFIX), '/');
}

int host_remove_directory(const struct host *host, const char *path, struct error **err)
{
    const char *args[] = {path, NULL};

    if (!host_own_directory(path))
        return error_set(err, EINVAL, "%s is not a directory of Slipway and is not removed", path);
    return host_script(host, "rm -rf -- \"$1\"", args, COMMAND_TIMEOUT, NULL, err);
}

int host_end_processes(const struct host *host, const char *program, const char *mark,
                       struct error **err)
{
    static const char script[] =
        "find_them() {\n"
        "  for p in /proc/[0-9]*; do\n"
        "    e=$(readlink $p/exe 2>/dev/null) || continue\n"
        "    e=${e% (deleted)}\n"
        "    [ \"${e##*/}\" = \"$1\" ] || continue\n"
        "    tr '\\0' ' ' <$p/cmdline 2>/dev/null | grep -qF -- \"$2\" && echo ${p#/proc/}\n"
        "  done\n"
        "}\n"
        "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do\n"
        "  them=$(find_them \"$1\" \"$2\")\n"
        "  [ -n \"$them\" ] || exit 0\n"
        "  if [ $i -lt 15 ]; then kill $them 2>/dev/null; else kill -9 $them 2>/dev/null; fi\n"
        "  sleep 0.1\n"
        "done\n"
        "echo \"$1\" does not end >&2; exit 1";
    const char *args[] = {program, mark, NULL};

    return host_script(host, script, args, COMMAND_TIMEOUT, NULL, err);
}

static int tunnel_wait(const struct host *host, const char *socket, pid_t pid, struct error **err)
{
    uint64_t end = clock_now_ns() + TUNNEL_TIMEOUT;
    int status;

    while (!socket_answers(socket)) {
        if (proc_wait(pid, 0, &status) == 0)
            return error_set(err, ECONNREFUSED,
                             "ssh to source host %s ended with exit code %d instead of forwarding "
                             "the disks; check that it allows AllowStreamLocalForwarding",
                             host->destination, status);
        if (clock_now_ns() > end) {
            proc_stop(pid, NS_PER_S);
            return error_set(err, ETIMEDOUT,
                             "ssh to source host %s did not start forwarding the disks in time",
                             host->destination);
        }
        clock_sleep_ns(50 * NS_PER_MS);
    }
    return 0;
}

int host_tunnel_open(const struct host *host, const char *local_socket, const char *remote_socket,
                     pid_t *ret_pid, struct error **err)
{
    _cleanup_free_ char *forward = str_format("%s:%s", local_socket, remote_socket);
    _cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    const char *argv[ARGV_MAX];
    size_t n = ssh_argv(host, argv);
    int r;

    argv[n++] = "-N";
    argv[n++] = "-oExitOnForwardFailure=yes";
    argv[n++] = "-oStreamLocalBindUnlink=yes";
    argv[n++] = "-L";
    argv[n++] = forward;
    argv[n++] = "--";
    argv[n++] = host->destination;
    argv[n] = NULL;
    /* It outlives us (the engine goes on reading while we restart), so it must not hold on to
     * whoever reads our output. */
    options.new_session = true;
    options.stdout_fd = options.stderr_fd = null_fd;
    r = proc_spawn((char *const *)argv, &options, ret_pid, err);
    return r < 0 ? r : tunnel_wait(host, local_socket, *ret_pid, err);
}

bool socket_answers(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -1;

    if (strlen(path) >= sizeof(address.sun_path))
        return false;
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}
