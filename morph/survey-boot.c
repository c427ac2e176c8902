/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/survey-boot.h"

#include <inttypes.h>

#include "base/str.h"

/* How libguestfs calls the disks: /dev/sda to /dev/sdz, /dev/sdaa … */
static char *disk_name(int disk)
{
    return disk < 26 ? str_format("/dev/sd%c", 'a' + disk)
                     : str_format("/dev/sd%c%c", 'a' + disk / 26 - 1, 'a' + disk % 26);
}

static int read_disk(struct guest *guest, int disk, enum boot_code *ret_code, struct error **err)
{
    _cleanup_free_ char *device = disk_name(disk);
    unsigned char sector[BOOTSECTOR_SIZE];
    uint64_t next;
    int r = guest_read_device(guest, device, 0, sector, sizeof(sector), err);

    if (r < 0)
        return r;
    *ret_code = bootsector_read(sector, &next);
    /* A sector that cannot be read is no proof that nothing is there. */
    if (next > 0 && next < UINT64_MAX / BOOTSECTOR_SIZE / 2 &&
        guest_read_device(guest, device, next * BOOTSECTOR_SIZE, sector, sizeof(sector), NULL) ==
            0 &&
        bootsector_is_empty(sector, sizeof(sector)))
        *ret_code = BOOT_CODE_BROKEN;
    return 0;
}

int survey_boot_code(struct guest *guest, struct facts *facts, struct error **err)
{
    int r = 0;

    for (int disk = 0; r == 0 && disk < facts->volumes.disks; disk++) {
        enum boot_code code = BOOT_CODE_UNREAD;

        r = read_disk(guest, disk, &code, err);
        if (code > facts->boot_code)
            facts->boot_code = code;
    }
    return r;
}
