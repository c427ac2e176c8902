/* SPDX-License-Identifier: Apache-2.0 */
/* Points in time: what is common to running VMs and VMs that are off. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>
#include <sys/random.h>

#include "base/str.h"

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

char *snapshot_token(void)
{
    uint32_t value = 0;

    while (getrandom(&value, sizeof(value), 0) != sizeof(value))
        ;
    return str_format("%08x", value);
}

char *snapshot_directory(const char *uuid, const char *token)
{
    return str_format(HOST_DIRECTORY_PREFIX "%s-%s", uuid, token);
}

void snapshot_add_disk(json_t *private, const char *name, const char *uri, const char *bitmap,
                       const char *why)
{
    json_t *disks = json_object_get(private, "disks"), *disk = json_object();

    if (!disks) {
        disks = json_array();
        json_object_set_new(private, "disks", disks);
    }
    json_object_set_new(disk, "name", json_string(name));
    json_object_set_new(disk, "uri", json_string(uri));
    if (bitmap)
        json_object_set_new(disk, "bitmap", json_string(bitmap));
    else if (why)
        json_object_set_new(disk, "why_full", json_string(why));
    json_array_append_new(disks, disk);
}

int snapshot_note(struct source *source, json_t *private, json_t *thing, struct error **err)
{
    json_t *keys = json_object_get(private, "keys");
    int64_t key;
    int r = virt_note(source, thing, &key, err);

    if (r < 0)
        return r;
    if (!keys) {
        keys = json_array();
        json_object_set_new(private, "keys", keys);
    }
    json_array_append_new(keys, json_integer(key));
    return 0;
}

int snapshot_forget(struct source *source, const json_t *private, struct error **err)
{
    const json_t *key;
    size_t i;
    int r = 0;

    json_array_foreach(json_object_get(private, "keys"), i, key) if (r == 0) r =
        virt_forget(source, json_integer_value(key), err);
    return r;
}

struct source_snapshot *snapshot_from_private(json_t *private)
{
    struct source_snapshot *snapshot = mem_new(1, sizeof(*snapshot));
    const json_t *disks = json_object_get(private, "disks"), *disk;
    size_t i;

    snapshot->id = str_dup(text_of(private, "id"));
    snapshot->disk_count = json_array_size(disks);
    snapshot->disks = mem_new(snapshot->disk_count, sizeof(*snapshot->disks));
    json_array_foreach(disks, i, disk)
    {
        snapshot->disks[i].name = str_dup(text_of(disk, "name"));
        snapshot->disks[i].uri = str_dup(text_of(disk, "uri"));
        snapshot->disks[i].bitmap = str_dup(text_of(disk, "bitmap"));
        snapshot->disks[i].why_full = str_dup(text_of(disk, "why_full"));
    }
    snapshot->private = json_incref(private);
    return snapshot;
}

/* Stops whatever serves this point in time and removes its directories. */
static int stop_serving(struct source *source, virDomainPtr domain, const json_t *private,
                        struct error **err)
{
    const char *directory = text_of(private, "directory");
    const char *tunnel = text_of(private, "tunnel_directory"), *mode = text_of(private, "mode");
    int r = tunnel ? tunnel_stop(tunnel, err) : 0;

    if (r < 0 || !directory || !mode)
        return r;
    if (strcmp(mode, "off") == 0)
        return offline_stop(source, directory, err);
    if (!domain)
        return host_remove_directory(&source->host, directory, err);
    return running_stop(source, domain, directory, err);
}

static int drop_older(struct source *source, virDomainPtr domain, const json_t *private,
                      struct error **err)
{
    return checkpoint_drop_since(source, domain, text_of(private, "since"),
                                 text_of(private, "checkpoint"), err);
}

static int drop_this(struct source *source, virDomainPtr domain, const json_t *private,
                     struct error **err)
{
    const char *checkpoint = text_of(private, "checkpoint");
    int r;

    if (!checkpoint)
        return 0;
    r = checkpoint_delete(source, domain, checkpoint, err);
    return r < 0 ? r : virt_forget(source, checkpoint_key(checkpoint), err);
}

/* Ends a point in time of which nothing but its private is known.  domain: NULL when it was
 * removed from the source meanwhile, with its checkpoints. */
static int end_private(struct source *source, virDomainPtr domain, const json_t *private,
                       bool committed, struct error **err)
{
    const char *mode = text_of(private, "mode");
    bool running = domain && mode && strcmp(mode, "running") == 0;
    int r = stop_serving(source, domain, private, err);

    /* A VM that is off keeps its checkpoint: a restarted source goes on recording into it. */
    if (r == 0 && running && committed)
        r = drop_older(source, domain, private, err);
    else if (r == 0 && running)
        r = drop_this(source, domain, private, err);
    return r < 0 ? r : snapshot_forget(source, private, err);
}

/* A VM that was started while its images were read did not hold still.  Once the servers are ended
 * nobody asks any more, so that an end that is repeated can succeed. */
static int check_stood_still(struct source *source, virDomainPtr domain, const json_t *private,
                             struct error **err)
{
    const char *mode = text_of(private, "mode");
    _cleanup_json_ json_t *vm = NULL;
    int r;

    if (!domain || !mode || strcmp(mode, "off") != 0 || !offline_serves(source, private))
        return 0;
    r = virt_describe_domain(domain, &vm, err);
    if (r < 0 || (virt_power(domain) == SOURCE_OFF && offline_resumes(source, vm, private)))
        return r;
    return error_set(err, EBUSY,
                     "VM \"%s\" was started or its disks were written while they were read; "
                     "synchronise again before relying on this generation",
                     virDomainGetName(domain));
}

static bool resumes(struct source *source, virDomainPtr domain, const json_t *description,
                    const json_t *resume)
{
    const char *mode = text_of(resume, "mode");

    if (!mode)
        return false;
    if (strcmp(mode, "off") == 0)
        return virt_power(domain) == SOURCE_OFF && offline_resumes(source, description, resume);
    return virt_power(domain) != SOURCE_OFF && running_resumes(source, domain, resume);
}

/*
 * An earlier point in time that is not served any more.  When it is the one whose changes are
 * asked for, it was committed, and only its end was never told; else it is undone.
 */
static int settle(struct source *source, virDomainPtr domain, const json_t *resume,
                  const char *since, struct error **err)
{
    const char *id = text_of(resume, "id");

    return end_private(source, domain, resume, id && since && strcmp(id, since) == 0, err);
}

static int begin_new(struct source *source, virDomainPtr domain, const json_t *description,
                     const char *since, struct source_snapshot **ret_snapshot, struct error **err)
{
    _cleanup_json_ json_t *private = json_object();
    int r;

    json_object_set(private, "vm", json_object_get(description, "uuid"));
    if (since)
        json_object_set_new(private, "since", json_string(since));
    if (virt_power(domain) == SOURCE_OFF)
        r = offline_begin(source, description, since, private, err);
    else
        r = running_begin(source, domain, description, since, private, err);
    if (r < 0)
        end_private(source, domain, private, false, NULL);
    else
        *ret_snapshot = snapshot_from_private(private);
    return r;
}

int virt_snapshot_begin(struct source *source, const char *vm, const char *since,
                        const json_t *resume, struct source_snapshot **ret_snapshot,
                        struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    _cleanup_json_ json_t *description = NULL;
    int r = virt_domain(source, vm, &domain, err);

    if (r == 0)
        r = virt_describe_domain(domain, &description, err);
    if (r < 0)
        return r;
    if (json_array_size(json_object_get(description, "disks")) == 0)
        return error_set(err, EINVAL, "VM \"%s\" has no disks that could be copied", vm);
    if (resume && !(since && text_of(resume, "id") && strcmp(text_of(resume, "id"), since) == 0) &&
        resumes(source, domain, description, resume)) {
        *ret_snapshot = snapshot_from_private((json_t *)resume);
        return 0;
    }
    if (resume)
        r = settle(source, domain, resume, since, err);
    return r < 0 ? r : begin_new(source, domain, description, since, ret_snapshot, err);
}

int virt_write_begin(struct source *source, const char *vm, struct source_snapshot **ret_snapshot,
                     struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    _cleanup_json_ json_t *description = NULL, *private = json_object();
    int r = virt_domain(source, vm, &domain, err);

    if (r == 0)
        r = virt_describe_domain(domain, &description, err);
    if (r < 0)
        return r;
    if (virt_power(domain) != SOURCE_OFF)
        return error_set(err, EPERM, "VM \"%s\" is not off, so its disks cannot be written", vm);
    json_object_set(private, "vm", json_object_get(description, "uuid"));
    r = offline_write(source, description, private, err);
    if (r < 0)
        end_private(source, domain, private, false, NULL);
    else
        *ret_snapshot = snapshot_from_private(private);
    return r;
}

static int end_snapshot(struct source *source, const char *vm, const json_t *private,
                        bool committed, struct error **err)
{
    _cleanup_domain_ virDomainPtr domain = NULL;
    _cleanup_error_ struct error *moved = NULL, *missing = NULL;
    int r = virt_domain(source, vm, &domain, &missing), moved_r = 0;

    if (r < 0 && r != -ENOENT)
        return error_move(err, &missing);
    if (committed)
        moved_r = check_stood_still(source, domain, private, &moved);
    r = end_private(source, domain, private, committed, err);
    return r == 0 && moved_r < 0 ? error_move(err, &moved) : r;
}

int virt_snapshot_end(struct source *source, const char *vm, struct source_snapshot *snapshot,
                      bool committed, struct error **err)
{
    _cleanup_json_ json_t *private = json_incref(snapshot->private);

    source_snapshot_free(snapshot);
    return end_snapshot(source, vm, private, committed, err);
}
