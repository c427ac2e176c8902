/* SPDX-License-Identifier: Apache-2.0 */
/* slipwayfs: see fs.h. */
#include "fusefs/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "fusefs/disk.h"
#include "fusefs/version.h"

#define GROUP "slipway"
#define REQUEST_MAX (1 << 20)
#define THREADS_MAX 16
#define BACKGROUND 256 /* requests that the kernel has under way on its own */
#define END_NS (5 * NS_PER_S)

/* ---- what others ask ---- */

char *fs_store(const struct fs *fs, const char *vm)
{
    return str_format("%s/%s", fs->options->stores, vm);
}

char *fs_store_file(const struct fs *fs, const char *vm, const char *name)
{
    return str_format("%s/%s/%s", fs->options->stores, vm, name);
}

char *fs_export(const struct node *n)
{
    if (n->draft)
        return str_format("%s/%s", n->draft, n->disk);
    return n->writable ? str_dup(n->disk) : str_format("%s@%" PRIu64, n->disk, n->generation);
}

char *fs_label(const struct node *n)
{
    _cleanup_free_ char *name = fs_export(n);

    return str_format("%s: %s", n->vm, name);
}

/* Both would answer requests without this program: neither is in the libfuse this was built with. */
const char *fs_passthrough(void)
{
    return FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
               ? "not used: this version of slipwayfs does not know it"
               : "no: needs libfuse 3.17";
}

const char *fs_over_uring(void)
{
    return FUSE_VERSION >= FUSE_MAKE_VERSION(3, 18)
               ? "not used: this version of slipwayfs does not know it"
               : "no: needs libfuse 3.18";
}

char *fs_about(const struct fs *fs)
{
    json_t *j = json_pack("{s:s, s:s, s:s?, s:i, s:f, s:s, s:s}", "version", SLIPWAY_VERSION,
                          "libfuse", fuse_pkgversion(), "stores", fs->options->stores,
                          "open_disks", (int)disks_open(), "wait_s",
                          (double)fs->options->wait_ns / (double)NS_PER_S, "passthrough",
                          fs_passthrough(), "io_uring", fs_over_uring());
    char *text = j ? json_dumps(j, JSON_INDENT(2)) : NULL; /* a path may be no UTF-8 */

    json_decref(j);
    return text ? text : str_dup("{}\n");
}

void fs_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->max_write = conn->max_read = REQUEST_MAX;
    conn->max_background = BACKGROUND;
    conn->congestion_threshold = BACKGROUND * 3 / 4;
    /* Nothing that is cached is ever wrong: no attribute is asked for to find out. */
    conn->want &= ~(unsigned)FUSE_CAP_AUTO_INVAL_DATA;
    conn->want |= conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA;
    /* One copy less is not worth the pipe. */
    conn->want &= ~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
}

static const struct fuse_lowlevel_ops operations = {
    .init = fs_init,
    .lookup = fs_lookup,
    .forget = fs_forget,
    .forget_multi = fs_forget_multi,
    .getattr = fs_getattr,
    .setattr = fs_setattr,
    .opendir = fs_opendir,
    .readdir = fs_readdir,
    .releasedir = fs_releasedir,
    .statfs = fs_statfs,
    .open = fs_open,
    .release = fs_release,
    .read = fs_read,
    .write = fs_write,
    .fsync = fs_fsync,
    .fallocate = fs_fallocate,
    .lseek = fs_lseek,
    .unlink = fs_refuse_name,
    .rmdir = fs_refuse_name,
    .mkdir = fs_refuse_mkdir,
    .mknod = fs_refuse_mknod,
    .create = fs_refuse_create,
    .symlink = fs_refuse_symlink,
    .link = fs_refuse_link,
    .rename = fs_refuse_rename,
    .setxattr = fs_refuse_setxattr,
    .removexattr = fs_refuse_name,
    .getxattr = fs_getxattr,
    .listxattr = fs_listxattr,
};

/* ---- before the mount ---- */

static bool is_empty(const char *path)
{
    DIR *dir = opendir(path);
    unsigned names = 0;

    while (dir && names < 3 && readdir(dir))
        names++;
    if (dir)
        closedir(dir);
    return names < 3; /* "." and ".." */
}

static int check_mountpoint(const struct fs_options *o, struct error **err)
{
    struct stat st;

    if (stat(o->mountpoint, &st) < 0 && errno == ENOTCONN)
        return error_set(err, EBUSY, "%s is what is left of a mount whose program is gone; free it "
                                     "with 'umount %s' first", o->mountpoint, o->mountpoint);
    if (stat(o->mountpoint, &st) < 0)
        return error_set_errno(err, errno, "cannot mount on %s", o->mountpoint);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ENOTDIR, "%s is no folder; name an empty one", o->mountpoint);
    if (!o->nonempty && !is_empty(o->mountpoint))
        return error_set(err, ENOTEMPTY, "%s is not empty, and what is in it would be hidden; name "
                                         "an empty folder, or mount with -o nonempty",
                         o->mountpoint);
    return 0;
}

static int check(const struct fs_options *o, struct error **err)
{
    struct stat st;

    if (stat(o->stores, &st) < 0)
        return error_set_errno(err, errno, "cannot read the folder of stores %s", o->stores);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ENOTDIR, "%s is no folder of stores", o->stores);
    if (access("/dev/fuse", F_OK) < 0)
        return error_set(err, ENODEV, "there is no /dev/fuse; load the kernel's module fuse, or "
                                      "give the container the device");
    if (access("/dev/fuse", R_OK | W_OK) < 0)
        return error_set_errno(err, errno, "cannot open /dev/fuse");
    return check_mountpoint(o, err);
}

/* Relative paths would be others after daemonizing. */
static void make_absolute(char **path)
{
    char *whole = realpath(*path, NULL);

    if (!whole)
        return;
    free(*path);
    *path = whole;
}

/* ---- the session ---- */

static char said[200];   /* what libfuse said last */
static bool is_serving;

/* Until it runs, what libfuse says becomes part of our own sentence. */
static void hear(enum fuse_log_level level, const char *form, va_list arguments)
{
    char line[sizeof(said)];
    const char *text = line;

    vsnprintf(line, sizeof(line), form, arguments);
    line[strcspn(line, "\n")] = '\0';
    if (str_starts(line, "fuse: "))
        text += strlen("fuse: ");
    if (is_serving)
        log_write(level <= FUSE_LOG_ERR ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", text);
    else
        snprintf(said, sizeof(said), "%s", text);
}

static int arguments(const struct fs_options *o, struct fuse_args *args)
{
    _cleanup_free_ char *options = str_format(
        "-odefault_permissions,fsname=slipway,subtype=slipwayfs,max_read=%d%s%s%s", REQUEST_MAX,
        o->allow_other ? ",allow_other" : "", *o->mount_options ? "," : "", o->mount_options);

    if (fuse_opt_add_arg(args, "slipwayfs") < 0 || fuse_opt_add_arg(args, options) < 0)
        return -ENOMEM;
    return o->debug ? fuse_opt_add_arg(args, "-d") : 0;
}

static int serve(struct fuse_session *session)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    int r;

    if (!config)
        return -ENOMEM;
    fuse_loop_cfg_set_clone_fd(config, 1);
    fuse_loop_cfg_set_max_threads(config, THREADS_MAX);
    r = fuse_session_loop_mt(session, config);
    fuse_loop_cfg_destroy(config);
    return r < 0 ? r : 0; /* a signal is the way to end it */
}

static int mount_and_serve(struct fs *fs, struct error **err)
{
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    const struct fs_options *o = fs->options;
    int r = arguments(o, &args);

    fuse_set_log_func(hear);
    if (r == 0) {
        fs->session = fuse_session_new(&args, &operations, sizeof(operations), fs);
        r = fs->session ? 0 : error_set(err, EINVAL, "libfuse does not take the options '%s' (%s)",
                                        o->mount_options, said);
    }
    fuse_opt_free_args(&args);
    if (r < 0)
        return r;
    if (fuse_session_mount(fs->session, o->mountpoint) < 0) {
        r = error_set(err, EPERM, "cannot mount on %s (%s); root may, or a user with fusermount3",
                      o->mountpoint, said);
    } else {
        if (fuse_daemonize(o->foreground) == 0 && fuse_set_signal_handlers(fs->session) == 0) {
            log_info("%s: the disks of the VMs in %s", o->mountpoint, o->stores);
            is_serving = true;
            r = serve(fs->session);
            is_serving = false;
            fuse_remove_signal_handlers(fs->session);
        }
        fuse_session_unmount(fs->session);
    }
    nodes_end(fs->nodes, disk_end);
    disks_wait(END_NS);
    fuse_session_destroy(fs->session);
    return r < 0 ? error_set_errno(err, -r, "the file system on %s ended", o->mountpoint) : 0;
}

static int run(struct fs_options *o, struct error **err)
{
    const struct group *group = getgrnam(GROUP);
    struct fs fs = {.options = o, .group = group ? group->gr_gid : 0,
                    .mounted_s = (uint64_t)clock_wall_s()};
    int r = check(o, err);

    if (r < 0)
        return r;
    make_absolute(&o->stores);
    make_absolute(&o->mountpoint);
    fs.nodes = nodes_new();
    r = mount_and_serve(&fs, err);
    nodes_free(fs.nodes);
    return r;
}

static void print_version(void)
{
    printf("slipwayfs %s\nlibfuse %s (built with %d.%d)\npassthrough: %s\nFUSE over io_uring: %s\n",
           SLIPWAY_VERSION, fuse_pkgversion(), FUSE_MAJOR_VERSION, FUSE_MINOR_VERSION,
           fs_passthrough(), fs_over_uring());
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct fs_options o = {0};
    int r;

    signal(SIGPIPE, SIG_IGN);
    log_open("slipwayfs", LOG_LEVEL_INFO);
    r = fs_options_parse(argc, argv, &o, &err);
    if (r == 0 && o.help)
        fs_options_usage();
    else if (r == 0 && o.version)
        print_version();
    else if (r == 0)
        r = run(&o, &err);
    if (r < 0)
        fprintf(stderr, "slipwayfs: %s\n", error_text(err));
    fs_options_done(&o);
    return r < 0 ? error_exit_code(-r) : EXIT_CODE_OK;
}
