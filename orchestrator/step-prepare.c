/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "orchestrator/check.h"
#include "orchestrator/enginehost.h"
#include "orchestrator/fields.h"
#include "orchestrator/params.h"
#include "orchestrator/steps.h"

int step_create(struct run *run, struct error **err)
{
    return 0;
}

static json_t *job_disks(const struct job *job)
{
    return json_object_get(job->description, "disks");
}

int targets_check(struct daemon *d, const struct job *job, struct error **err)
{
    _cleanup_free_ char *store = job_store(d, job);
    json_t *disk;
    size_t i;

    if (access(store, F_OK) == 0)
        return error_set(err, EEXIST, "the store %s is there already: remove it, or choose another "
                         "name", store);
    json_array_foreach(job_disks(job), i, disk) {
        _cleanup_free_ char *path = job_target(job, field_string(disk, "name", ""));

        if (access(path, F_OK) == 0)
            return error_set(err, EEXIST, "the target %s is there already: move it away, or choose "
                             "another name or pool", path);
    }
    return 0;
}

static int node_ready(struct daemon *d, const struct job *job, struct error **err)
{
    _cleanup_free_ char *root = str_format("%s/node", d->options->state_dir);
    _cleanup_json_ json_t *placement = NULL;
    struct node *node;
    int r = placement_make(d, job, &placement, err);

    if (r == 0)
        r = node_open(d->options->node_uri, root, &node, err);
    if (r < 0)
        return r;
    r = node_check(node, job->description, placement, err);
    node_close(node);
    return r;
}

int preflight(struct daemon *d, struct job *job, struct error **err)
{
    int r = check_disks(job->description, err);

    if (r == 0)
        r = targets_check(d, job, err);
    if (r == 0 && field_bool(job->params, "morph", true))
        r = morph_check_options(d, job, err);
    return r == 0 ? node_ready(d, job, err) : r;
}

static const char *pool_of(const struct run *run, const json_t *disk)
{
    const char *pool = field_string(run->job->params, "pool", "/");

    return field_string(json_object_get(run->job->params, "storage"),
                        field_string(disk, "name", ""), pool);
}

/* A mirror takes at most the size of its disks; too little space is said, not refused, because
 * targets are sparse. */
static void pool_check(struct run *run, const char *pool)
{
    char need_text[32], have_text[32];
    uint64_t need = 0, have;
    struct statvfs fs;
    json_t *disk;
    size_t i;

    json_array_foreach(job_disks(run->job), i, disk)
        if (strcmp(pool_of(run, disk), pool) == 0)
            need += (uint64_t)field_integer(disk, "size_bytes", 0);
    if (statvfs(pool, &fs) < 0)
        return;
    have = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (have < need)
        run_note(run, "pool %s has %s free; the disks of VM %s there may grow to %s", pool,
                 str_from_bytes(have, have_text, sizeof(have_text)), run->job->vm,
                 str_from_bytes(need, need_text, sizeof(need_text)));
}

static void space_check(struct run *run)
{
    json_t *disks = job_disks(run->job);

    for (size_t i = 0; i < json_array_size(disks); i++) {
        const char *pool = pool_of(run, json_array_get(disks, i));
        bool seen = false;

        for (size_t k = 0; k < i; k++)
            seen = seen || strcmp(pool_of(run, json_array_get(disks, k)), pool) == 0;
        if (!seen)
            pool_check(run, pool);
    }
}

static int make_folders(struct run *run, struct error **err)
{
    _cleanup_free_ char *stores = str_format("%s/stores", run->daemon->options->state_dir);
    json_t *disk;
    size_t i;
    int r;

    json_array_foreach(job_disks(run->job), i, disk) {
        _cleanup_free_ char *folder = job_target_folder(run->job, field_string(disk, "name", ""));

        r = fdio_make_dirs(folder, 0711);
        if (r < 0)
            return error_set_errno(err, -r, "cannot make the folder %s for the targets", folder);
    }
    r = fdio_make_dirs(stores, 0700);
    return r < 0 ? error_set_errno(err, -r, "cannot make the folder %s", stores) : 0;
}

static int make_store(struct run *run, struct error **err)
{
    _cleanup_free_ char *store = job_store(run->daemon, run->job);
    size_t n = json_array_size(job_disks(run->job)), i;
    struct engine_disk_spec *specs = mem_new(n, sizeof(*specs));
    _cleanup_error_ struct error *failure = NULL;
    json_t *disk;
    int r;

    json_array_foreach(job_disks(run->job), i, disk) {
        specs[i].name = field_string(disk, "name", "");
        specs[i].target = job_target(run->job, specs[i].name);
        specs[i].size = (uint64_t)field_integer(disk, "size_bytes", 0);
    }
    r = engine_host_create(store, run->job->name, specs, n, &failure);
    for (i = 0; i < n; i++)
        free((char *)specs[i].target);
    free(specs);
    /* EEXIST: made before we were interrupted; the fact "made" says that it is ours. */
    return r == 0 || r == -EEXIST ? 0 : error_move(err, &failure);
}

/* Defines the VM and takes that back: what libvirt thinks of it is known before anything is copied,
 * and its slow first look at QEMU is not part of the downtime. */
static int node_rehearse(struct run *run, struct error **err)
{
    int r = job_set_fact(run->daemon, run->job, "rehearsed", json_true(), err);

    if (r == 0)
        r = step_define(run, err);
    if (r == 0)
        r = node_undefine(run->node, run->job->name, err);
    return r == 0 ? job_set_fact(run->daemon, run->job, "rehearsed", NULL, err) : r;
}

int step_prepare(struct run *run, struct error **err)
{
    int r = 0;

    if (!job_fact(run->job, "made")) {
        r = preflight(run->daemon, run->job, err);
        if (r == 0)
            r = job_set_fact(run->daemon, run->job, "made", json_true(), err);
    }
    if (r == 0)
        r = make_folders(run, err);
    if (r == 0)
        r = make_store(run, err);
    if (r < 0)
        return r;
    space_check(run);
    r = node_rehearse(run, err);
    if (r == 0 && job_fact(run->job, "afresh"))
        r = job_set_fact(run->daemon, run->job, "afresh", NULL, err);
    return r == 0 ? run_attach_engine(run, err) : r;
}
