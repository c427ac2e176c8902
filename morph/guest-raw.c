/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of volumes and of files that are too large to be read as a whole. */
#include <string.h>

#include "morph/guest-inside.h"

int guest_read_device(struct guest *guest, const char *device, uint64_t offset, void *ret_data,
                      size_t length, struct error **err)
{
    size_t found = 0;
    _cleanup_free_ char *data =
        guestfs_pread_device(guest->g, device, (int)length, (int64_t)offset, &found);

    if (!data)
        return guest_error(guest, err, device);
    if (found != length)
        return error_set(err, EIO, "the volume %s ends before byte %llu", device,
                         (unsigned long long)(offset + length));
    memcpy(ret_data, data, length);
    return 0;
}

int guest_read_start(struct guest *guest, const char *path, void *ret_data, size_t length,
                     struct error **err)
{
    size_t found = 0;
    _cleanup_free_ char *data = guestfs_pread(guest->g, path, (int)length, 0, &found);

    if (!data)
        return guest_error(guest, err, path);
    if (found != length)
        return -ENODATA;
    memcpy(ret_data, data, length);
    return 0;
}
