/* SPDX-License-Identifier: Apache-2.0 */
/*
 * morph-tree ROOT VOLUMES.json [OPTION…]: slipway-morph's changes on a folder of this machine that
 * holds the files of a guest, for tests of what no appliance is needed for.
 *
 * VOLUMES.json: {"disks": N, "volumes": [{"device": "/dev/sda1", "disk": 0, "partition": 1,
 * "type": "ext4", "uuid": "…", "label": "…", "partuuid": "…"}]}; what is missing is empty, disk -1.
 * The options are those of slipway-morph without --disk.  Everything is looked up inside ROOT
 * (openat2, RESOLVE_IN_ROOT), as in a guest: absolute links stay inside.  Edits are made unless
 * --dry-run is among the options; programs of the guest are never run, only reported.
 * Standard output and exit codes are those of slipway-morph.
 */
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph/inspect.h"
#include "morph/options.h"
#include "morph/plan.h"
#include "morph/report.h"

struct folder {
    int fd;
};

static int folder_open(const struct folder *f, const char *path, int flags, mode_t mode)
{
    struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC,
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    int fd = (int)syscall(SYS_openat2, f->fd, path, &how, sizeof(how));

    return fd < 0 ? -errno : fd;
}

/* The directory that holds path, and where its name begins. */
static int open_parent(const struct folder *f, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *parent = str_format("%.*s/", (int)(slash - path), path);

    *ret_name = slash + 1;
    return folder_open(f, parent, O_PATH | O_DIRECTORY, 0);
}

static int op_read(void *self, const char *path, size_t max, char **ret_data, size_t *ret_length,
                   struct error **err)
{
    _cleanup_close_ int fd = folder_open(self, path, O_RDONLY | O_NONBLOCK, 0);
    struct stat st;
    ssize_t n;

    if (fd == -ENOENT || fd == -ENOTDIR || (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)))
        return -ENOENT;
    if (fd < 0)
        return error_set_errno(err, -fd, "%s", path);
    if ((uint64_t)st.st_size > max)
        return error_set(err, EFBIG, "the guest's file %s is larger than %zu bytes", path, max);
    *ret_data = mem_new((size_t)st.st_size + 1, 1);
    n = fdio_read_all(fd, *ret_data, (size_t)st.st_size);
    *ret_length = n < 0 ? 0 : (size_t)n;
    return n < 0 ? (int)n : 0;
}

static int not_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int op_list(void *self, const char *path, char ***ret_names, struct error **err)
{
    _cleanup_close_ int fd = folder_open(self, path, O_RDONLY | O_DIRECTORY, 0);
    struct dirent **entries = NULL;
    char **names;
    int count = fd < 0 ? 0 : scandirat(fd, ".", &entries, not_dots, by_name);

    if (fd < 0 && fd != -ENOENT && fd != -ENOTDIR)
        return error_set_errno(err, -fd, "%s", path);
    names = mem_new((size_t)(count < 0 ? 0 : count) + 1, sizeof(char *));
    for (int i = 0; i < count; i++) {
        names[i] = str_dup(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    *ret_names = names;
    return 0;
}

static int op_readlink(void *self, const char *path, char **ret_target)
{
    char target[4096];
    const char *name;
    _cleanup_close_ int parent = open_parent(self, path, &name);
    ssize_t n = parent < 0 ? -1 : readlinkat(parent, name, target, sizeof(target) - 1);

    if (n < 0)
        return parent < 0 ? parent : -errno;
    target[n] = '\0';
    *ret_target = str_dup(target);
    return 0;
}

static enum tree_kind op_kind(void *self, const char *path)
{
    const char *name;
    _cleanup_close_ int parent = open_parent(self, path, &name);
    struct stat st;

    if (parent < 0 || fstatat(parent, *name ? name : ".", &st, AT_SYMLINK_NOFOLLOW) < 0)
        return TREE_NONE;
    if (S_ISREG(st.st_mode))
        return TREE_FILE;
    if (S_ISDIR(st.st_mode))
        return TREE_DIR;
    return S_ISLNK(st.st_mode) ? TREE_LINK : TREE_OTHER;
}

static const struct tree_ops folder_ops = {
    .read = op_read,
    .list = op_list,
    .readlink = op_readlink,
    .kind = op_kind,
};

static int make_directories(const struct folder *f, const char *path)
{
    for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        _cleanup_free_ char *directory = str_format("%.*s", (int)(slash - path), path);
        const char *name;
        _cleanup_close_ int parent = open_parent(f, directory, &name);

        if (parent < 0)
            return parent;
        if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
            return -errno;
    }
    return 0;
}

static int write_file(const struct folder *f, const struct edit *e)
{
    bool is_new = op_kind((void *)f, e->path) == TREE_NONE;
    int flags = O_WRONLY | (e->kind == EDIT_WRITE ? O_CREAT | O_TRUNC : O_APPEND);
    _cleanup_close_ int fd = folder_open(f, e->path, flags, 0644);
    int r = fd < 0 ? fd : fdio_write_all(fd, e->data, e->length);

    if (r == 0 && is_new && fchown(fd, e->uid, e->gid) < 0)
        r = -errno;
    if (r == 0 && is_new && e->mode && fchmod(fd, (mode_t)e->mode) < 0)
        r = -errno;
    return r;
}

static int make_directory(int parent, const char *name, const struct edit *e)
{
    if (mkdirat(parent, name, 0755) < 0)
        return errno == EEXIST ? 0 : -errno;
    if (fchownat(parent, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    return e->mode && fchmodat(parent, name, (mode_t)e->mode, 0) < 0 ? -errno : 0;
}

static int apply_edit(const struct folder *f, const struct edit *e)
{
    int r = make_directories(f, e->path);
    const char *name;
    _cleanup_close_ int parent = r < 0 ? r : open_parent(f, e->path, &name);

    if (parent < 0)
        return parent;
    switch (e->kind) {
    case EDIT_WRITE:
    case EDIT_APPEND:
        return write_file(f, e);
    case EDIT_LINK:
        if (op_kind((void *)f, e->path) == TREE_LINK)
            unlinkat(parent, name, 0);
        return symlinkat(e->data, parent, name) < 0 ? -errno : 0;
    case EDIT_REMOVE:
    case EDIT_DELETE:
        return unlinkat(parent, name, 0) < 0 ? -errno : 0;
    case EDIT_DIRECTORY:
        return make_directory(parent, name, e);
    default:
        return 0; /* a program of the guest */
    }
}

static int apply_all(const struct folder *f, const struct plan *plan, struct error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->edit_count; i++) {
        r = apply_edit(f, &plan->edits[i]);
        if (r < 0)
            error_set_errno(err, -r, "%s %s", edit_kind_name(plan->edits[i].kind),
                            plan->edits[i].path);
    }
    return r;
}

static void set_text(char **field, json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    str_replace(field, value ? value : "");
}

static int read_volumes(const char *path, struct volume_list *list, struct error **err)
{
    json_error_t json_error;
    json_t *all = json_load_file(path, 0, &json_error), *one;
    size_t index;

    if (!all)
        return error_set(err, EINVAL, "%s: %s", path, json_error.text);
    list->disks = (int)json_integer_value(json_object_get(all, "disks"));
    json_array_foreach(json_object_get(all, "volumes"), index, one)
    {
        json_t *disk = json_object_get(one, "disk");
        struct volume *v = volume_add(list, json_string_value(json_object_get(one, "device")),
                                      disk ? (int)json_integer_value(disk) : -1,
                                      (int)json_integer_value(json_object_get(one, "partition")));

        set_text(&v->type, one, "type");
        set_text(&v->uuid, one, "uuid");
        set_text(&v->label, one, "label");
        set_text(&v->partuuid, one, "partuuid");
    }
    json_decref(all);
    return 0;
}

static int look(struct facts *facts, struct error **err)
{
    int r;

    if (!inspect_is_root(&facts->tree))
        return error_set(err, ENOENT, "the folder is not the root filesystem of a Linux guest");
    r = inspect_os(&facts->tree, &facts->os, err);
    if (r < 0)
        return r;
    facts->family = inspect_family(&facts->os);
    if (!facts_is_linux(facts))
        return error_set(err, ENOTSUP, "unknown system '%s'", facts->os.pretty);
    return inspect_kernels(&facts->tree, &facts->kernels, &facts->kernel_count, err);
}

static int run(int argc, char **argv, struct options *options, struct error **err)
{
    struct folder folder = {.fd = open(argv[1], O_PATH | O_DIRECTORY | O_CLOEXEC)};
    struct facts facts = {.tree = {.ops = &folder_ops, .self = &folder}};
    char **words = mem_new((size_t)argc + 2, sizeof(char *));
    struct plan plan = {0};
    struct hints hints = {0};
    struct report report;
    int r = folder.fd < 0 ? error_set_errno(err, errno, "%s", argv[1]) : 0;

    words[0] = argv[0];
    words[1] = (char *)"--disk=/dev/null";
    for (int i = 3; i < argc; i++)
        words[i - 1] = argv[i];
    if (r == 0)
        r = options_parse(argc - 1, words, options, err);
    report_begin(&report, true, options->dry_run);
    facts.request = &options->request;
    if (r == 0)
        r = read_volumes(argv[2], &facts.volumes, err);
    if (r == 0)
        r = look(&facts, err);
    if (r == 0)
        r = plan_make(&facts, &plan, err);
    if (r == 0)
        hints_make(&facts, &plan, &hints);
    if (r == 0 && !options->dry_run)
        r = apply_all(&folder, &plan, err);
    if (r == 0)
        r = report_result(&report, &facts, &plan, &hints);
    hints_done(&hints);
    plan_done(&plan);
    facts_done(&facts);
    free(words);
    cleanup_closep(&folder.fd);
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *err = NULL;
    struct options options = {0};
    int r;

    if (argc < 3) {
        fprintf(stderr, "usage: morph-tree ROOT VOLUMES.json [OPTION…]\n");
        return EXIT_CODE_USAGE;
    }
    r = run(argc, argv, &options, &err);
    options_done(&options);
    if (r < 0)
        fprintf(stderr, "morph-tree: %s\n", error_text(err));
    return r < 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}
