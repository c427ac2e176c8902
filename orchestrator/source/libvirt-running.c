/* SPDX-License-Identifier: Apache-2.0 */
/* A point in time of a running VM: a pull backup job over all disks, started together with a
 * checkpoint. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "orchestrator/source/libvirt-xml.h"

#define JOB_END_TIMEOUT (60 * NS_PER_S)
#define SETTLE_NS                                                                                  \
    (2 * NS_PER_S) /* libvirt shows nothing of a job in its first tenths of a second */

/* What is decided about one disk before the job starts. */
struct disk_plan {
    const char *name;
    bool tracks; /* gets a bitmap in the new checkpoint */
    char *why;   /* why the job cannot tell what changed since the older one; NULL: it can */
};

struct plan {
    struct disk_plan *disks;
    size_t count;
    char *since;      /* checkpoint, or NULL */
    char *checkpoint; /* the new one, or NULL when no disk can be tracked */
    char *directory;
    char *socket;
};

static void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free(plan->disks[i].why);
    free(plan->disks);
    free(plan->since);
    free(plan->checkpoint);
    free(plan->directory);
    free(plan->socket);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* {disk: dirty bytes or null} of the older checkpoint; NULL when it is not there. */
static int since_bitmaps(virDomainPtr domain, const char *since, json_t **ret_bitmaps,
                         struct error **err)
{
    _cleanup_checkpoint_ virDomainCheckpointPtr checkpoint = NULL;
    _cleanup_free_ char *xml = NULL;

    *ret_bitmaps = NULL;
    if (!since || checkpoint_lookup(domain, since, &checkpoint) < 0)
        return 0;
    xml = virDomainCheckpointGetXMLDesc(checkpoint, VIR_DOMAIN_CHECKPOINT_XML_SIZE);
    if (!xml)
        return virt_error(err, "cannot read checkpoint %s of VM \"%s\"", since,
                          virDomainGetName(domain));
    return xml_checkpoint_disks(xml, ret_bitmaps, err);
}

static char *why_full(const json_t *disk, bool tracks, const char *since, const json_t *bitmaps)
{
    const char *name = text_of(disk, "name");
    const json_t *size = json_object_get(bitmaps, name);

    if (!tracks)
        return str_format("disk %s is %s: changes can be tracked on qcow2 images (version 3) only, "
                          "so the whole disk is compared",
                          name,
                          strcmp(text_of(disk, "format"), "qcow2") == 0 ? "qcow2 version 2"
                                                                        : text_of(disk, "format"));
    if (!since)
        return str_format("the last point in time was taken while the VM was off and has no "
                          "checkpoint, so the whole of disk %s is compared",
                          name);
    if (!bitmaps)
        return str_format("the last checkpoint %s is not on the source any more, so the whole of "
                          "disk %s is compared",
                          since, name);
    if (!size)
        return str_format("disk %s was not part of checkpoint %s, so the whole disk is compared",
                          name, since);
    if (json_is_null(size))
        return str_format("the change bitmap %s of disk %s is missing or inconsistent (QEMU was "
                          "killed or the image was replaced), so the whole disk is compared",
                          since, name);
    return NULL;
}

static int plan_disks(struct source *source, virDomainPtr domain, const json_t *description,
                      struct plan *plan, struct error **err)
{
    const json_t *disks = json_object_get(description, "disks"), *disk;
    _cleanup_json_ json_t *bitmaps = NULL;
    int r = since_bitmaps(domain, plan->since, &bitmaps, err);
    size_t i;

    plan->disks = mem_new(json_array_size(disks), sizeof(*plan->disks));
    json_array_foreach(disks, i, disk)
    {
        struct image image;

        if (r < 0)
            return r;
        r = image_look(source, disk, &image, err);
        plan->disks[i].name = text_of(disk, "name");
        plan->disks[i].tracks = image.tracks;
        plan->disks[i].why = why_full(disk, image.tracks, plan->since, bitmaps);
        plan->count = i + 1;
        image_done(&image);
    }
    return r;
}

static bool plan_tracks(const struct plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        if (plan->disks[i].tracks)
            return true;
    return false;
}

static FILE *xml_open(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);

    if (!out)
        abort();
    return out;
}

static char *backup_xml(const struct plan *plan)
{
    char *text = NULL;
    size_t size;
    FILE *out = xml_open(&text, &size);

    fprintf(out, "<domainbackup mode='pull'><server transport='unix' socket='%s'/><disks>",
            plan->socket);
    for (size_t i = 0; i < plan->count; i++) {
        const struct disk_plan *d = &plan->disks[i];

        fprintf(out, "<disk name='%s' backup='yes' type='file' exportname='%s'", d->name, d->name);
        if (d->why)
            fputs(" backupmode='full'", out);
        else
            fprintf(out, " backupmode='incremental' incremental='%s' exportbitmap='%s'",
                    plan->since, EXPORT_BITMAP);
        fprintf(out, "><scratch file='%s/%s.scratch'/></disk>", plan->directory, d->name);
    }
    fputs("</disks></domainbackup>", out);
    fclose(out);
    return text;
}

static char *checkpoint_xml(const struct plan *plan)
{
    char *text = NULL;
    size_t size;
    FILE *out;

    if (!plan->checkpoint)
        return NULL;
    out = xml_open(&text, &size);
    fprintf(out,
            "<domaincheckpoint><name>%s</name><description>Slipway: remembers what changed since "
            "the last synchronisation</description><disks>",
            plan->checkpoint);
    for (size_t i = 0; i < plan->count; i++)
        fprintf(out, "<disk name='%s' checkpoint='%s'/>", plan->disks[i].name,
                plan->disks[i].tracks ? "bitmap" : "no");
    fputs("</disks></domaincheckpoint>", out);
    fclose(out);
    return text;
}

/* Whoever began a job ends it: resumed ones do not come here, left-over ones are in the journal of
 * the one who left them. */
static int check_way_is_free(virDomainPtr domain, struct error **err)
{
    _cleanup_free_ char *directory = running_job_directory(domain);
    const char *name = virDomainGetName(domain);

    if (!directory)
        return 0;
    if (*directory)
        return error_set(err, EBUSY,
                         "VM \"%s\" is being read by another migration (in %s); wait until that "
                         "has synchronised or cancel it; if there is none, virsh domjobabort %s",
                         name, directory, name);
    return error_set(err, EBUSY,
                     "VM \"%s\" has a backup job of another program; wait until it has ended "
                     "(virsh domjobinfo %s)",
                     name, name);
}

/*
 * The directory that libvirt keeps for one running QEMU, the only place where a confined QEMU may
 * make a socket.  libvirt removes it with the domain.  NULL when it is not where it should be.
 */
static char *confined_directory(struct source *source, virDomainPtr domain)
{
    static const char script[] = "for d in /var/lib/libvirt/qemu/domain-\"$1\"-*; do\n"
                                 "  case ${d#*/domain-\"$1\"-} in\n"
                                 "  \"$2\"*) [ -d \"$d\" ] && printf %s \"$d\" && exit 0;;\n"
                                 "  esac\n"
                                 "done";
    _cleanup_free_ char *id = str_format("%u", virDomainGetID(domain));
    /* libvirt shortens long names. */
    _cleanup_free_ char *name = str_format("%.20s", virDomainGetName(domain));
    const char *args[] = {id, name, NULL};
    char *directory = NULL;

    if (host_script(&source->host, script, args, IMAGE_TIMEOUT, &directory, NULL) == 0 &&
        *directory)
        return directory;
    free(directory);
    return NULL;
}

static char *choose_socket(struct source *source, virDomainPtr domain, const char *directory,
                           const char *token)
{
    _cleanup_free_ char *place = source->qemu_confined ? confined_directory(source, domain) : NULL;

    return place ? str_format("%s/slipway-%s.sock", place, token)
                 : str_format("%s/nbd.sock", directory);
}

/* Journals what will be there, and names it. */
static int announce(struct source *source, virDomainPtr domain, struct plan *plan, json_t *private,
                    struct error **err)
{
    const char *uuid = text_of(private, "vm");
    _cleanup_free_ char *token = snapshot_token(), *id = NULL;
    int64_t key = 0;
    int r = 0;

    if (plan_tracks(plan))
        r = virt_note(source,
                      json_pack("{ss ss ss}", "kind", "checkpoint", "vm", uuid, "token", token),
                      &key, err);
    if (r < 0)
        return r;
    id = str_format(CHECKPOINT_PREFIX "%lld-%s", (long long)key, token);
    json_object_set_new(private, "mode", json_string("running"));
    json_object_set_new(private, "id", json_string(id));
    if (plan_tracks(plan)) {
        plan->checkpoint = str_dup(id);
        json_object_set_new(private, "checkpoint", json_string(id));
    }
    plan->directory = snapshot_directory(uuid, token);
    plan->socket = choose_socket(source, domain, plan->directory, token);
    r = snapshot_note(
        source, private,
        json_pack("{ss ss ss}", "kind", "backup-job", "vm", uuid, "directory", plan->directory),
        err);
    if (r < 0)
        return r;
    json_object_set_new(private, "directory", json_string(plan->directory));
    json_object_set_new(private, "socket", json_string(plan->socket));
    return 0;
}

static int start_job(virDomainPtr domain, const struct plan *plan, struct error **err)
{
    _cleanup_free_ char *backup = backup_xml(plan), *checkpoint = checkpoint_xml(plan);

    if (virDomainBackupBegin(domain, backup, checkpoint, 0) == 0)
        return 0;
    return virt_error(err, "cannot freeze a point in time of VM \"%s\"", virDomainGetName(domain));
}

static void add_disks(struct source *source, const struct plan *plan, json_t *private)
{
    _cleanup_free_ char *path = tunnel_path(source, private, plan->socket);
    bool delta = json_object_get(private, "since") != NULL;

    for (size_t i = 0; i < plan->count; i++) {
        const struct disk_plan *d = &plan->disks[i];
        _cleanup_free_ char *uri = str_format("nbd+unix:///%s?socket=%s", d->name, path);

        snapshot_add_disk(private, d->name, uri, d->why ? NULL : "qemu:dirty-bitmap:" EXPORT_BITMAP,
                          delta ? d->why : NULL);
    }
}

int running_begin(struct source *source, virDomainPtr domain, const json_t *description,
                  const char *since, json_t *private, struct error **err)
{
    _cleanup_(plan_done) struct plan plan = {.since = checkpoint_of_id(since)};
    int r = check_way_is_free(domain, err);

    if (r == 0)
        r = plan_disks(source, domain, description, &plan, err);
    if (r == 0)
        r = announce(source, domain, &plan, private, err);
    if (r == 0)
        r = host_make_directory(&source->host, plan.directory, source->qemu_owner, err);
    if (r == 0)
        r = start_job(domain, &plan, err);
    if (r == 0)
        r = tunnel_open(source, private, (const char *[]){plan.socket}, 1, err);
    if (r == 0)
        add_disks(source, &plan, private);
    return r;
}

char *running_job_directory(virDomainPtr domain)
{
    _cleanup_free_ char *xml = virDomainBackupGetXMLDesc(domain, 0), *scratch = NULL;
    char *slash;

    if (!xml)
        return NULL;
    scratch = xml_backup_scratch(xml);
    slash = scratch ? strrchr(scratch, '/') : NULL;
    if (slash)
        *slash = '\0';
    if (!slash || !host_own_directory(scratch))
        return str_dup("");
    return steal_ptr(scratch);
}

bool running_resumes(struct source *source, virDomainPtr domain, const json_t *private)
{
    _cleanup_free_ char *directory = running_job_directory(domain), *path = NULL;
    _cleanup_checkpoint_ virDomainCheckpointPtr checkpoint = NULL;
    const char *name = text_of(private, "checkpoint"), *expected = text_of(private, "directory");

    if (!directory || !expected || strcmp(directory, expected) != 0)
        return false;
    if (name && checkpoint_lookup(domain, name, &checkpoint) < 0)
        return false;
    path = tunnel_path(source, private, text_of(private, "socket"));
    return socket_answers(path);
}

static int job_stays(virDomainPtr domain, struct error **refusal, struct error **err)
{
    if (*refusal)
        return error_move(err, refusal);
    return error_set(err, ETIMEDOUT,
                     "the backup job of VM \"%s\" does not end; look at it with virsh domjobinfo",
                     virDomainGetName(domain));
}

int running_stop(struct source *source, virDomainPtr domain, const char *directory,
                 struct error **err)
{
    uint64_t start = clock_now_ns(), ask_at = start;
    _cleanup_error_ struct error *refusal = NULL;

    for (;;) {
        _cleanup_free_ char *current = running_job_directory(domain);
        bool ours = current && strcmp(current, directory) == 0;
        uint64_t now = clock_now_ns();

        if (!ours)
            return host_remove_directory(&source->host, directory, err);
        if (now - start > JOB_END_TIMEOUT)
            return job_stays(domain, &refusal, err);
        /* A job that could not be ended now may be later. */
        if (ours && now >= ask_at) {
            refusal = error_free(refusal);
            if (virDomainAbortJob(domain) < 0)
                virt_error(&refusal, "cannot end the backup job of VM \"%s\"",
                           virDomainGetName(domain));
            ask_at = now + NS_PER_S;
        }
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

/* What can be seen of a job: nothing (""), the directory of a backup, or NULL in between: libvirt
 * fails to say how far a backup is while it is being set up. */
static char *job_seen(virDomainPtr domain)
{
    virTypedParameterPtr params = NULL;
    char *directory;
    int type, count = 0;

    if (virDomainGetJobStats(domain, &type, &params, &count, 0) < 0)
        return virt_power(domain) == SOURCE_OFF ? str_dup("") : NULL;
    virTypedParamsFree(params, count);
    directory = running_job_directory(domain);
    return directory ? directory : str_dup("");
}

static int directory_exists(struct source *source, const char *directory, bool *ret_exists,
                            struct error **err)
{
    const char *args[] = {directory, NULL};
    _cleanup_free_ char *text = NULL;
    int r =
        host_script(&source->host, "[ ! -d \"$1\" ] || echo yes", args, IMAGE_TIMEOUT, &text, err);

    *ret_exists = r == 0 && *text;
    return r;
}

int running_settle(struct source *source, virDomainPtr domain, const char *directory,
                   struct error **err)
{
    uint64_t start = clock_now_ns(), quiet_since = start;
    _cleanup_free_ char *last = NULL;
    bool exists;
    int r = directory_exists(source, directory, &exists, err);

    while (r == 0 && exists && clock_now_ns() - quiet_since < SETTLE_NS) {
        _cleanup_free_ char *seen = job_seen(domain);

        if (!seen || !last || strcmp(seen, last) != 0)
            quiet_since = clock_now_ns();
        free(last);
        last = steal_ptr(seen);
        if (clock_now_ns() - start > JOB_END_TIMEOUT)
            return error_set(err, EBUSY,
                             "a backup job of VM \"%s\" is being set up and does not "
                             "come to an end; try again later",
                             virDomainGetName(domain));
        clock_sleep_ns(50 * NS_PER_MS);
    }
    return r;
}
