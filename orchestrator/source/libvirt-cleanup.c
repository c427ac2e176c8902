/* SPDX-License-Identifier: Apache-2.0 */
/* Removes one thing that the journal says we made on a source.  Every one may be gone already. */
#include "orchestrator/source/libvirt-source.h"

#include <string.h>

#include "base/str.h"

static int stop_job(struct source *source, virDomainPtr domain, const char *directory,
                    struct error **err)
{
    int r = running_settle(source, domain, directory, err);

    return r < 0 ? r : running_stop(source, domain, directory, err);
}

/*
 * Things may be cleaned up in any order.  The job that makes the checkpoint may still be beginning,
 * so it is ended first; and a qemu-nbd of ours that still has an image open would keep its bitmaps
 * from being removed.
 */
static int clean_checkpoint(struct source *source, virDomainPtr domain, const char *vm,
                            const char *token, struct error **err)
{
    _cleanup_free_ char *mark = str_format(HOST_DIRECTORY_PREFIX "%s-", vm);
    _cleanup_free_ char *directory = snapshot_directory(vm, token);
    int r;

    if (!domain)
        return 0;
    r = stop_job(source, domain, directory, err);
    if (r == 0 && virt_power(domain) == SOURCE_OFF)
        r = host_end_processes(&source->host, "qemu-nbd", mark, err);
    return r < 0 ? r : checkpoint_delete_token(source, domain, token, err);
}

static int clean_job(struct source *source, virDomainPtr domain, const char *directory,
                     struct error **err)
{
    if (domain)
        return stop_job(source, domain, directory, err);
    return host_remove_directory(&source->host, directory, err);
}

int virt_cleanup(struct source *source, const json_t *thing, struct error **err)
{
    const char *kind, *vm, *directory = NULL, *token = NULL;
    _cleanup_domain_ virDomainPtr domain = NULL;
    _cleanup_error_ struct error *missing = NULL;
    int r;

    if (json_unpack((json_t *)thing, "{ss ss s?s s?s}", "kind", &kind, "vm", &vm, "directory",
                    &directory, "token", &token) < 0)
        return error_set(err, EINVAL, "an entry of the journal of things on source %s is damaged",
                         source->uri);
    r = virt_domain(source, vm, &domain, &missing);
    if (r < 0 && r != -ENOENT)
        return error_move(err, &missing);
    if (strcmp(kind, "checkpoint") == 0 && token)
        return clean_checkpoint(source, domain, vm, token, err);
    if (strcmp(kind, "backup-job") == 0 && directory)
        return clean_job(source, domain, directory, err);
    if (strcmp(kind, "nbd-server") == 0 && directory)
        return offline_stop(source, directory, err);
    if (strcmp(kind, "hold") == 0)
        return virt_release(domain, err);
    if (strcmp(kind, "tunnel") == 0 && directory)
        return tunnel_stop(directory, err);
    return error_set(err, EINVAL,
                     "the journal of things on source %s has an entry of unknown "
                     "kind \"%s\"",
                     source->uri, kind);
}
