/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source platform of files:
 *   FOLDER/VM/vm.json         description
 *   FOLDER/VM/power           "running" or "off"
 *   FOLDER/VM/DISK.img        content now
 *   FOLDER/VM/snap-N/DISK.img content of point in time N, while it is being served
 *   FOLDER/VM/checkpoint-N    changes are tracked since N
 *   FOLDER/VM/hang            the guest ignores shutdown
 *   FOLDER/room               "FREE SIZE" of the storage in bytes
 *   FOLDER/VM/held            it stands still
 *   FOLDER/VM/guarded         it cannot be started by accident
 *   FOLDER/VM/writing-N       its disks are open for writing
 *   FOLDER/facts.json         what the platform tells of itself
 * Folders with a vm.json are VMs; the list tells less of them than a description.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "orchestrator/fields.h"
#include "orchestrator/source/source.h"
#include "tests/fake/fake.h"

#define IMAGE_MAX ((size_t)64 << 20)

struct source {
    char *folder;
    struct source_journal journal;
};

static bool fake_accepts(const char *uri)
{
    return fake_folder(uri) != NULL;
}

static int fake_open(const char *uri, const char *password, const struct source_journal *journal,
                     struct source **ret_source, struct error **err)
{
    const char *folder = fake_folder(uri);
    _cleanup_free_ char *path = str_format("%s/password", folder), *wanted = NULL;
    struct source *s;

    if (access(folder, R_OK) < 0)
        return error_set(err, ECONNREFUSED, "%s cannot be reached; is it there?", uri);
    if (fdio_read_file(path, 100, &wanted, NULL) == 0 &&
        (!password || strcmp(wanted, password) != 0))
        return error_set(err, EACCES, "%s refuses the password", uri);
    if (fake_failure(folder, "open", err) < 0)
        return -EIO;
    s = mem_new(1, sizeof(*s));
    s->folder = str_dup(folder);
    if (journal)
        s->journal = *journal;
    *ret_source = s;
    return 0;
}

static void fake_close(struct source *s)
{
    free(s->folder);
    free(s);
}

static int vm_folder(struct source *s, const char *vm, char **ret_path, struct error **err)
{
    char *path = str_format("%s/%s", s->folder, vm);

    if (access(path, F_OK) < 0) {
        free(path);
        return error_set(err, ENOENT, "the source has no VM '%s'; 'slipway vm list' shows them",
                         vm);
    }
    *ret_path = path;
    return 0;
}

static int fake_describe(struct source *s, const char *vm, json_t **ret_description,
                         struct error **err)
{
    _cleanup_free_ char *folder = NULL, *path = NULL;
    int r = vm_folder(s, vm, &folder, err);

    if (r < 0)
        return r;
    path = str_format("%s/vm.json", folder);
    *ret_description = json_load_file(path, 0, NULL);
    return *ret_description ? 0 : error_set(err, EIO, "%s is not a description", path);
}

/* As a platform does it: what a list shows is not all there is. */
static json_t *summary(const json_t *vm)
{
    static const char *const keys[] = {"id", "name", "state", "memory_bytes", "vcpus", "disks"};
    json_t *entry = json_object();

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        json_object_set(entry, keys[i], json_object_get(vm, keys[i]));
    return entry;
}

static int fake_list(struct source *s, json_t **ret_vms, struct error **err)
{
    int r = fake_failure(s->folder, "list", err);
    struct dirent **entries;
    json_t *vms;
    int count;

    if (r < 0)
        return r;
    vms = json_array();
    count = scandir(s->folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        _cleanup_json_ json_t *vm = NULL;

        if (entries[i]->d_name[0] != '.' && fake_describe(s, entries[i]->d_name, &vm, NULL) == 0)
            json_array_append_new(vms, summary(vm));
        free(entries[i]);
    }
    free(entries);
    *ret_vms = vms;
    return 0;
}

static int fake_facts(struct source *s, json_t **ret_facts, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/facts.json", s->folder);

    *ret_facts = json_load_file(path, 0, NULL);
    if (!*ret_facts)
        *ret_facts = json_pack("{s:s, s:s}", "libvirt", "9.0.0", "qemu", "7.2.0");
    return 0;
}

static int copy_file(const char *from, const char *to)
{
    _cleanup_free_ char *data = NULL;
    size_t length;
    int r = fdio_read_file(from, IMAGE_MAX, &data, &length);

    return r < 0 ? r : fdio_replace_file(to, data, length, 0600);
}

static int note(struct source *s, const char *kind, const char *path, json_t *keys,
                struct error **err)
{
    _cleanup_json_ json_t *thing = json_pack("{s:s, s:s}", "kind", kind, "path", path);
    int64_t key;
    int r = s->journal.add(s->journal.context, thing, &key, err);

    if (r == 0)
        json_object_set_new(keys, kind, json_integer(key));
    return r;
}

static int forget(struct source *s, const json_t *keys, const char *kind, struct error **err)
{
    return s->journal.remove(s->journal.context, field_integer(keys, kind, 0), err);
}

/* A new point in time: two things on the source, each announced first. */
static int freeze(struct source *s, const char *folder, int64_t number, json_t *private,
                  struct error **err)
{
    _cleanup_free_ char *snap = str_format("%s/snap-%lld", folder, (long long)number);
    _cleanup_free_ char *checkpoint = str_format("%s/checkpoint-%lld", folder, (long long)number);
    _cleanup_free_ char *image = str_format("%s/vda.img", folder);
    _cleanup_free_ char *copy = str_format("%s/vda.img", snap);
    json_t *keys = json_object_get(private, "keys");
    int r = note(s, "snap", snap, keys, err);

    if (r == 0)
        r = fdio_make_dirs(snap, 0700) < 0 || copy_file(image, copy) < 0
                ? error_set(err, EIO, "cannot freeze %s", folder) : 0;
    fake_point("freeze", "half");
    if (r == 0)
        r = note(s, "checkpoint", checkpoint, keys, err);
    if (r == 0)
        fdio_replace_file(checkpoint, "", 0, 0600);
    json_object_set_new(private, "snap", json_string(snap));
    json_object_set_new(private, "checkpoint", json_string(checkpoint));
    return r;
}

static struct source_snapshot *snapshot_make(const char *folder, const char *since,
                                             const json_t *private)
{
    struct source_snapshot *snapshot = mem_new(1, sizeof(*snapshot));
    _cleanup_free_ char *tracked = str_format("%s/checkpoint-%s", folder,
                                              since ? since + strlen("point-") : "none");

    snapshot->id = str_dup(field_string(private, "id", ""));
    snapshot->disk_count = 1;
    snapshot->disks = mem_new(1, sizeof(*snapshot->disks));
    snapshot->disks[0].name = str_dup("vda");
    snapshot->disks[0].uri = str_format("file://%s/vda.img", field_string(private, "snap", ""));
    if (since && access(tracked, F_OK) == 0)
        snapshot->disks[0].bitmap = str_dup("changes");
    else if (since)
        snapshot->disks[0].why_full = str_dup("the source has lost track of the changes");
    snapshot->private = json_incref((json_t *)private);
    return snapshot;
}

static int64_t next_number(const char *folder)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    _cleanup_free_ char *path = str_format("%s/counter", folder), *text = NULL, *next = NULL;
    int64_t number;

    LOCK_FOR_SCOPE(&lock);
    number = fdio_read_file(path, 20, &text, NULL) == 0 ? strtoll(text, NULL, 10) + 1 : 1;

    next = str_format("%lld", (long long)number);
    fdio_replace_file(path, next, strlen(next), 0600);
    return number;
}

static int fake_snapshot_begin(struct source *s, const char *vm, const char *since,
                               const json_t *resume, struct source_snapshot **ret_snapshot,
                               struct error **err)
{
    _cleanup_free_ char *folder = NULL;
    _cleanup_json_ json_t *private = NULL;
    int64_t number;
    int r = vm_folder(s, vm, &folder, err);

    fake_point("snapshot_begin", "before");
    if (r == 0)
        r = fake_failure(s->folder, "snapshot_begin", err);
    if (r < 0)
        return r;
    if (resume && access(field_string(resume, "snap", ""), F_OK) == 0) {
        *ret_snapshot = snapshot_make(folder, since, resume);
        return 0;
    }
    number = next_number(folder);
    private = json_pack("{s:o, s:{}}", "id", json_sprintf("point-%lld", (long long)number), "keys");
    json_object_set_new(private, "since", since ? json_string(since) : json_null());
    r = freeze(s, folder, number, private, err);
    if (r < 0)
        return r;
    *ret_snapshot = snapshot_make(folder, since, private);
    fake_point("snapshot_begin", "after");
    return 0;
}

static int drop(struct source *s, const json_t *private, const char *kind, struct error **err)
{
    if (fdio_remove_tree(field_string(private, kind, "")) < 0)
        return error_set(err, EIO, "cannot remove the %s", kind);
    fake_point("drop", kind);
    return forget(s, json_object_get(private, "keys"), kind, err);
}

/* Committed: this checkpoint stays, tracked until the end; the older one goes with cleanup(). */
static int fake_snapshot_end(struct source *s, const char *vm, struct source_snapshot *snapshot,
                             bool committed, struct error **err)
{
    _cleanup_json_ json_t *private = json_incref(snapshot->private);
    int r = fake_failure(s->folder, "snapshot_end", err);

    source_snapshot_free(snapshot);
    if (r < 0)
        return r;
    fake_point("snapshot_end", committed ? "committed" : "dropped");
    r = drop(s, private, "snap", err);
    if (r == 0 && !committed)
        r = drop(s, private, "checkpoint", err);
    return r;
}

static int read_power(const char *folder, enum source_power *ret_power)
{
    _cleanup_free_ char *path = str_format("%s/power", folder), *text = NULL;
    int r = fdio_read_file(path, 20, &text, NULL);

    if (r == 0)
        *ret_power = str_starts(text, "off") ? SOURCE_OFF : SOURCE_RUNNING;
    return r;
}

static int fake_power(struct source *s, const char *vm, enum source_power *ret_power,
                      struct error **err)
{
    _cleanup_free_ char *folder = NULL;
    int r = vm_folder(s, vm, &folder, err);

    if (r == 0)
        r = fake_failure(s->folder, "power", err);
    if (r < 0)
        return r;
    return read_power(folder, ret_power) < 0 ? error_set(err, EIO, "no power state") : 0;
}

static int set_power(struct source *s, const char *vm, const char *power, struct error **err)
{
    _cleanup_free_ char *folder = NULL, *path = NULL;
    int r = vm_folder(s, vm, &folder, err);

    if (r < 0)
        return r;
    path = str_format("%s/power", folder);
    return fdio_replace_file(path, power, strlen(power), 0600);
}

static bool guest_hangs(struct source *s, const char *vm)
{
    _cleanup_free_ char *path = str_format("%s/%s/hang", s->folder, vm);

    return access(path, F_OK) == 0;
}

static int fake_shutdown(struct source *s, const char *vm, uint64_t timeout_ns,
                         enum source_stop_policy policy, bool (*cancelled)(void *), void *context,
                         struct error **err)
{
    uint64_t start = clock_now_ns();
    int r;

    fake_point("shutdown", "before");
    while (guest_hangs(s, vm)) {
        if (cancelled(context))
            return error_set(err, ECANCELED, "interrupted");
        if (clock_now_ns() - start > timeout_ns && policy == SOURCE_STOP_FAIL)
            return error_set(err, ETIMEDOUT, "VM %s did not shut down in time", vm);
        if (clock_now_ns() - start > timeout_ns && policy == SOURCE_STOP_FORCE)
            break;
        clock_sleep_ns(20 * NS_PER_MS);
    }
    r = fake_failure(s->folder, "shutdown", err);
    if (r == 0)
        r = set_power(s, vm, "off", err);
    fake_point("shutdown", "after");
    return r;
}

static int fake_start(struct source *s, const char *vm, struct error **err)
{
    int r = fake_failure(s->folder, "start", err);

    fake_point("source-start", "before");
    return r < 0 ? r : set_power(s, vm, "running", err);
}

static int fake_cleanup(struct source *s, const json_t *thing, struct error **err)
{
    int r = fake_failure(s->folder, "cleanup", err);

    fake_point("cleanup", field_string(thing, "kind", "?"));
    if (r == 0 && fdio_remove_tree(field_string(thing, "path", "")) < 0)
        r = error_set(err, EIO, "cannot clean up");
    return r;
}

static int fake_hold(struct source *s, const char *vm, struct error **err)
{
    _cleanup_free_ char *folder = NULL, *mark = NULL;
    _cleanup_json_ json_t *keys = json_object();
    int r = vm_folder(s, vm, &folder, err);

    if (r == 0)
        r = fake_failure(s->folder, "hold", err);
    if (r < 0)
        return r;
    mark = str_format("%s/held", folder);
    r = note(s, "hold", mark, keys, err);
    fake_point("hold", "announced");
    return r < 0 ? r : fdio_replace_file(mark, "", 0, 0600);
}

static int fake_guard_read(struct source *s, const char *vm, json_t **ret_before,
                           struct error **err)
{
    *ret_before = json_pack("{s:b}", "autostart", 1);
    return fake_failure(s->folder, "guard", err);
}

static int fake_guard_set(struct source *s, const char *vm, const json_t *before, bool on,
                          struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s/guarded", s->folder, vm);
    int r = fake_failure(s->folder, "guard", err);

    fake_point("guard", on ? "on" : "off");
    if (r < 0)
        return r;
    return on                                    ? fdio_replace_file(path, "", 0, 0600)
           : unlink(path) < 0 && errno != ENOENT ? -errno
                                                 : 0;
}

/* One thing on the source, announced first; the engine writes the image itself. */
static int fake_write_begin(struct source *s, const char *vm, struct source_snapshot **ret_snapshot,
                            struct error **err)
{
    _cleanup_free_ char *folder = NULL, *mark = NULL;
    _cleanup_json_ json_t *private = json_pack("{s:{}, s:s}", "keys", "id", "writing");
    struct source_snapshot *snapshot;
    int r = vm_folder(s, vm, &folder, err);

    if (r == 0)
        r = fake_failure(s->folder, "write_begin", err);
    if (r < 0)
        return r;
    mark = str_format("%s/writing-%lld", folder, (long long)next_number(folder));
    json_object_set_new(private, "snap", json_string(mark));
    json_object_set_new(private, "checkpoint", json_string(mark));
    r = note(s, "snap", mark, json_object_get(private, "keys"), err);
    if (r == 0)
        r = note(s, "checkpoint", mark, json_object_get(private, "keys"), err);
    fake_point("write_begin", "announced");
    if (r == 0 && fdio_replace_file(mark, "", 0, 0600) < 0)
        r = error_set(err, EIO, "cannot open the disks");
    if (r < 0)
        return r;
    snapshot = snapshot_make(folder, NULL, private);
    free(snapshot->disks[0].uri);
    snapshot->disks[0].uri = str_format("file://%s/vda.img", folder);
    *ret_snapshot = snapshot;
    return 0;
}

static int fake_retire(struct source *s, const json_t *description, bool remove, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/%s", s->folder,
                                           field_string(description, "name", "?"));
    _cleanup_free_ char *other = str_format("%s-migrated", path);
    int r = fake_failure(s->folder, "retire", err);

    fake_point("retire", "before");
    if (r < 0)
        return r;
    if (remove)
        return fdio_remove_tree(path);
    return rename(path, other) < 0 && errno != ENOENT ? error_set(err, EIO, "cannot rename") : 0;
}

static int fake_room(struct source *s, const json_t *private, uint64_t *ret_free,
                     uint64_t *ret_size, struct error **err)
{
    _cleanup_free_ char *path = str_format("%s/room", s->folder), *text = NULL;
    unsigned long long left, size;

    if (fdio_read_file(path, 100, &text, NULL) < 0 || sscanf(text, "%llu %llu", &left, &size) != 2)
        return error_set(err, EOPNOTSUPP, "nothing grows on this source");
    *ret_free = left;
    *ret_size = size;
    return 0;
}

static const struct source_ops fake_ops = {
    .name = "test",
    .accepts = fake_accepts,
    .open = fake_open,
    .close = fake_close,
    .list = fake_list,
    .describe = fake_describe,
    .facts = fake_facts,
    .snapshot_begin = fake_snapshot_begin,
    .snapshot_end = fake_snapshot_end,
    .power = fake_power,
    .shutdown = fake_shutdown,
    .start = fake_start,
    .cleanup = fake_cleanup,
    .guard_read = fake_guard_read,
    .guard_set = fake_guard_set,
    .hold = fake_hold,
    .write_begin = fake_write_begin,
    .retire = fake_retire,
    .room = fake_room,
};

const struct source_ops *source_ops_for(const char *uri, struct error **err)
{
    if (fake_accepts(uri))
        return &fake_ops;
    error_set(err, EINVAL, "no provider speaks '%s'; supported are: test://FOLDER", uri);
    return NULL;
}

void source_snapshot_free(struct source_snapshot *snapshot)
{
    if (!snapshot)
        return;
    for (size_t i = 0; i < snapshot->disk_count; i++) {
        free(snapshot->disks[i].name);
        free(snapshot->disks[i].uri);
        free(snapshot->disks[i].bitmap);
        free(snapshot->disks[i].why_full);
    }
    free(snapshot->disks);
    free(snapshot->id);
    json_decref(snapshot->private);
    free(snapshot);
}
