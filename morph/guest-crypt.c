/* SPDX-License-Identifier: Apache-2.0 */
/* Opening encrypted volumes in the appliance. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "morph/guest-inside.h"

/* cryptsetup(8) says so, through libguestfs, which has no code for it. */
static bool is_wrong_key(const struct guest *guest)
{
    const char *text = guestfs_last_error(guest->g);

    return text && (strstr(text, "No key available") || strstr(text, "Operation not permitted"));
}

static int failed(struct guest *guest, const char *device, struct error **err)
{
    _cleanup_free_ char *context = NULL;

    if (is_wrong_key(guest))
        return -EKEYREJECTED;
    context = str_format("the encrypted volume %s cannot be opened", device);
    return guest_error(guest, err, context);
}

/*
 * libguestfs takes keys as text, which ends at the first NUL byte; such a key goes as a file into
 * the appliance's memory.  The volume is named by its UUID: what libguestfs calls /dev/sdt may be
 * another disk's name inside the appliance.
 */
static int unlock_with_file(struct guest *guest, const struct volume *volume, const char *name,
                            const void *key, size_t length, struct error **err)
{
    _cleanup_close_ int fd = memfd_create("slipway-key", MFD_CLOEXEC);
    _cleanup_free_ char *command =
        str_format("cryptsetup open --key-file /run/slipway-key $(blkid -U %s) %s; r=$?; "
                   "rm -f /run/slipway-key; exit $r",
                   volume->uuid, name);
    _cleanup_free_ char *output = NULL;
    char *words[] = {command, NULL};
    char local[32];
    int r = fd < 0 ? -errno : fdio_write_all(fd, key, length);

    if (r < 0)
        return error_set_errno(err, -r, "cannot hand the key of %s on", volume->device);
    snprintf(local, sizeof(local), "/proc/self/fd/%d", fd);
    if (guestfs_debug_upload(guest->g, local, "/run/slipway-key", 0600) < 0)
        return guest_error(guest, err, "cannot hand a key to the appliance");
    output = guestfs_debug(guest->g, "sh", words);
    return output ? 0 : failed(guest, volume->device, err);
}

/* Only what a shell takes as a word: it comes from the disks. */
static bool is_plain(const char *uuid)
{
    return *uuid && strspn(uuid, "0123456789abcdefABCDEF-") == strlen(uuid);
}

int guest_unlock(struct guest *guest, const struct volume *volume, const char *name,
                 const void *key, size_t length, struct error **err)
{
    if (!is_plain(volume->uuid))
        return error_set(err, EINVAL, "the encrypted volume %s has no UUID", volume->device);
    if (memchr(key, '\0', length))
        return unlock_with_file(guest, volume, name, key, length, err);
    if (guestfs_cryptsetup_open(guest->g, volume->device, key, name, -1) < 0)
        return failed(guest, volume->device, err);
    return 0;
}
