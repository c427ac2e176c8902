/* SPDX-License-Identifier: Apache-2.0 */
/* How much room a point in time that is being served has left to grow: QEMU keeps there what the VM
 * overwrites meanwhile. */
#include "orchestrator/source/libvirt-source.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define ROOM_TIMEOUT (20 * NS_PER_S)

int virt_room(struct source *source, const json_t *private, uint64_t *ret_free, uint64_t *ret_size,
              struct error **err)
{
    const char *directory = json_string_value(json_object_get(private, "directory"));
    const char *mode = json_string_value(json_object_get(private, "mode"));
    const char *args[] = {directory, NULL};
    _cleanup_free_ char *text = NULL;
    uint64_t used, available;
    int r;

    if (!directory || !mode || strcmp(mode, "running") != 0)
        return error_set(err, EOPNOTSUPP, "nothing grows on this source");
    /* POSIX: one line for each file system in units of 1024 bytes, behind one of titles. */
    r = host_script(&source->host, "df -Pk -- \"$1\" | tail -n 1", args, ROOM_TIMEOUT, &text, err);
    if (r < 0)
        return r;
    if (sscanf(text, "%*s %*u %" SCNu64 " %" SCNu64, &used, &available) != 2)
        return error_set(err, EPROTO, "df on the source does not tell the room in %s: '%s'",
                         directory, text);
    *ret_free = available << 10;
    *ret_size = (used + available) << 10;
    return 0;
}
