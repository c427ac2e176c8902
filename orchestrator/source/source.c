/* SPDX-License-Identifier: Apache-2.0 */
#include "orchestrator/source/source.h"

#include "base/align.h"

static const struct source_ops *const providers[] = {&source_libvirt_ops};

const struct source_ops *source_ops_for(const char *uri, struct error **err)
{
    for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
        if (providers[i]->accepts(uri))
            return providers[i];
    error_set(err, EINVAL,
              "no provider speaks \"%s\"; supported are qemu:///system, qemu:///session, "
              "qemu+unix:///system?socket=PATH, qemu:///embed?root=DIR and "
              "qemu+ssh://USER@HOST/system",
              uri);
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
