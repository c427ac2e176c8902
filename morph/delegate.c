/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/delegate.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/align.h"
#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"

#define PROGRAM "virt-v2v-in-place"
#define TOOLS "/usr/share/virt-tools"
#define OUTPUT_MAX ((size_t)64 << 20)
#define WORDS_MAX 400
#define FUSE_WAIT_MS 20000

static bool in_path(const char *program)
{
    const char *path = getenv("PATH");

    while (path && *path) {
        size_t n = strcspn(path, ":");
        _cleanup_free_ char *file = str_format("%.*s/%s", (int)n, path, program);

        if (access(file, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    return false;
}

bool delegate_is_ready(const char **ret_why)
{
    static const char *const services[] = {"rhsrvany.exe", "pvvxsvc.exe"};
    const char *tools = getenv("VIRT_TOOLS_DATA_DIR");

    *ret_why = NULL;
    if (!in_path(PROGRAM))
        *ret_why = PROGRAM " is not installed";
    for (size_t i = 0; !*ret_why && i < ARRAY_SIZE(services); i++) {
        _cleanup_free_ char *file = str_format("%s/%s", tools ? tools : TOOLS, services[i]);

        if (access(file, R_OK) == 0)
            return true;
    }
    if (!*ret_why)
        *ret_why = PROGRAM " lacks rhsrvany.exe (in " TOOLS ", or where VIRT_TOOLS_DATA_DIR says)";
    return false;
}

static void add_escaped(struct buffer *out, const char *text)
{
    for (; *text; text++) {
        if (strchr("<>&'\"", *text))
            buffer_printf(out, "&#%d;", *text);
        else
            buffer_add(out, text, 1);
    }
}

void delegate_write_xml(struct buffer *out, char *const *files, size_t count)
{
    buffer_add_text(out, "<domain type='kvm'>\n  <name>slipway</name>\n"
                         "  <memory unit='MiB'>1024</memory>\n  <vcpu>1</vcpu>\n"
                         "  <os><type>hvm</type></os>\n  <devices>\n");
    for (size_t i = 0; i < count; i++) {
        char letters[3] = {(char)(i < 26 ? 'a' + i : 'a' + i / 26 - 1),
                           (char)(i < 26 ? '\0' : 'a' + i % 26), '\0'};

        buffer_add_text(out, "    <disk type='file' device='disk'><driver name='qemu' type='raw'/>"
                             "<source file='");
        add_escaped(out, files[i]);
        buffer_printf(out, "'/><target dev='sd%s' bus='scsi'/></disk>\n", letters);
    }
    buffer_add_text(out, "  </devices>\n</domain>\n");
}

static void add_percent(struct buffer *out, const char *text, const char *safe)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr(safe, *text))
            buffer_add(out, text, 1);
        else
            buffer_printf(out, "%%%02X", (unsigned char)*text);
    }
}

char *delegate_uri(const struct disk_spec *disk)
{
    struct buffer uri = {0};

    if (disk->socket)
        buffer_add_text(&uri, "nbd+unix:///");
    else
        buffer_printf(&uri, strchr(disk->host, ':') ? "nbd://[%s]:%u/" : "nbd://%s:%u/", disk->host,
                      disk->port);
    add_percent(&uri, disk->export_name, "-._~/");
    if (disk->socket) {
        buffer_add_text(&uri, "?socket=");
        add_percent(&uri, disk->socket, "-._~/");
    }
    return buffer_steal(&uri);
}

char *delegate_last_words(const char *output)
{
    const char *last = output, *last_error = NULL;
    char *words;

    for (const char *line = output; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t n = strcspn(line, "\n");
        const char *error = strstr(line, "error:");

        if (strspn(line, " \t\r") >= n)
            continue;
        last = line;
        if (error && error < line + n)
            last_error = line;
    }
    last = last_error ? last_error : last;
    words = str_format("%.*s", (int)MIN(strcspn(last, "\n"), (size_t)WORDS_MAX), last);
    for (char *p = words; *p; p++)
        if (iscntrl((unsigned char)*p))
            *p = ' ';
    return words;
}

/* ── running it ─────────────────────────────────────────────────────────────────────────────── */

struct run {
    const struct delegate *d;
    char *directory; /* private; removed at the end */
    char **files;    /* of the disks */
    pid_t *servers;  /* of nbdfuse; 0 for a local file */
};

/* nbdfuse shows the disk as the file `disk` in a directory of its own. */
static int serve(struct run *run, size_t i, struct error **err)
{
    _cleanup_free_ char *directory = str_format("%s/%zu", run->directory, i);
    _cleanup_free_ char *uri = delegate_uri(&run->d->disks[i]);
    char *argv[] = {(char *)"nbdfuse", NULL, uri, NULL};
    struct proc_options options = PROC_OPTIONS_DEFAULT;
    uint64_t deadline = clock_now_ns() + FUSE_WAIT_MS * NS_PER_MS;
    struct stat st;
    int status, r;

    run->files[i] = str_format("%s/disk", directory);
    argv[1] = run->files[i];
    if (mkdir(directory, 0700) < 0)
        return error_set_errno(err, errno, "cannot make '%s'", directory);
    options.die_with_parent = true;
    r = proc_spawn(argv, &options, &run->servers[i], err);
    while (r == 0 && stat(run->files[i], &st) < 0) {
        if (proc_wait(run->servers[i], 50 * NS_PER_MS, &status) == 0) {
            run->servers[i] = 0;
            r = error_set(err, EIO, "nbdfuse could not show disk %zu (%s) as a file", i + 1, uri);
        } else if (clock_now_ns() > deadline) {
            r = error_set(err, ETIMEDOUT, "nbdfuse does not show disk %zu (%s) as a file", i + 1,
                          uri);
        }
    }
    return r;
}

/* All that was written is on its way before the file goes away. */
static int stop_serving(struct run *run, size_t i, struct error **err)
{
    _cleanup_close_ int fd = -1;
    int r = 0;

    if (run->servers[i] <= 0)
        return 0;
    fd = open(run->files[i], O_RDWR | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        r = error_set_errno(err, errno, "cannot flush disk %zu", i + 1);
    if (fd >= 0)
        close(steal_fd(&fd));
    proc_stop(run->servers[i], 30 * NS_PER_S);
    run->servers[i] = 0;
    return r;
}

static int set_up(struct run *run, struct error **err)
{
    size_t count = run->d->disk_count;
    int r = fdio_make_dirs(run->d->cache_dir, 0755);

    run->files = mem_new(count, sizeof(char *));
    run->servers = mem_new(count, sizeof(pid_t));
    run->directory = str_format("%s/v2v.XXXXXX", run->d->cache_dir);
    if (r == 0 && !mkdtemp(run->directory)) {
        r = -errno;
        *run->directory = '\0';
    }
    if (r < 0)
        return error_set_errno(err, -r, "cannot make a directory in '%s'", run->d->cache_dir);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const char *file = run->d->disks[i].file;

        if (!file) {
            r = serve(run, i, err);
            continue;
        }
        run->files[i] = realpath(file, NULL);
        if (!run->files[i])
            r = error_set_errno(err, errno, "%s", file);
    }
    return r;
}

static int tear_down(struct run *run, struct error **err)
{
    int r = 0;

    for (size_t i = 0; run->servers && i < run->d->disk_count; i++) {
        int one = stop_serving(run, i, r == 0 ? err : NULL);

        r = r < 0 ? r : one;
        free(run->files[i]);
    }
    if (*run->directory && fdio_remove_tree(run->directory) < 0 && r == 0)
        r = error_set(err, EBUSY, "cannot remove '%s'", run->directory);
    free(run->files);
    free(run->servers);
    free(run->directory);
    return r;
}

static int start(const struct run *run, const char *xml, int output, pid_t *ret_pid,
                 struct error **err)
{
    const struct delegate *d = run->d;
    char *argv[] = {
        (char *)PROGRAM, (char *)"-i", (char *)"libvirtxml", (char *)"--root", (char *)d->root,
        (char *)xml,     NULL};
    _cleanup_free_ char *drivers = str_format("VIRTIO_WIN=%s", d->virtio_win);
    _cleanup_free_ char *cache = str_format("LIBGUESTFS_CACHEDIR=%s", d->cache_dir);
    _cleanup_free_ char *accel =
        str_format("LIBGUESTFS_BACKEND_SETTINGS=%s", d->kvm ? "force_kvm" : "force_tcg");
    char *env[] = {drivers, cache, accel, (char *)"LIBGUESTFS_BACKEND=direct", NULL};
    struct proc_options options = PROC_OPTIONS_DEFAULT; /* with nothing to read on its input */

    options.stdout_fd = output;
    options.stderr_fd = output;
    options.die_with_parent = true;
    options.env = env;
    return proc_spawn(argv, &options, ret_pid, err);
}

static int convert(const struct run *run, struct error **err)
{
    _cleanup_free_ char *xml = str_format("%s/domain.xml", run->directory);
    _cleanup_free_ char *log = str_format("%s/log", run->directory);
    _cleanup_free_ char *output = NULL, *words = NULL;
    _cleanup_buffer_ struct buffer text = {0};
    _cleanup_close_ int fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    int status = 0, r = fd < 0 ? -errno : 0;
    pid_t pid;

    delegate_write_xml(&text, run->files, run->d->disk_count);
    if (r == 0)
        r = fdio_replace_file(xml, text.data, text.length, 0600);
    if (r < 0)
        return error_set_errno(err, -r, "cannot write '%s'", xml);
    r = start(run, xml, fd, &pid, err);
    if (r < 0)
        return r;
    proc_wait(pid, UINT64_MAX, &status);
    if (status == 0)
        return 0;
    if (fdio_read_file(log, OUTPUT_MAX, &output, NULL) == 0)
        words = delegate_last_words(output);
    return error_set(err, EIO, PROGRAM " failed (exit code %d): %s", status,
                     words && *words ? words : "it said nothing");
}

int delegate_run(const struct delegate *d, struct error **err)
{
    struct run run = {.d = d};
    int r = set_up(&run, err), ended;

    if (r == 0)
        r = convert(&run, err);
    ended = tear_down(&run, r == 0 ? err : NULL);
    return r < 0 ? r : ended;
}
