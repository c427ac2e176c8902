/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/bootsector.h"

#include <string.h>

#define CODE 440
#define LEGACY_VERSION 0x3e
#define NEXT_SECTOR 0x5c

bool bootsector_is_empty(const unsigned char *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

enum boot_code bootsector_read(const unsigned char sector[BOOTSECTOR_SIZE], uint64_t *ret_next)
{
    *ret_next = 0;
    if (bootsector_is_empty(sector, CODE))
        return BOOT_CODE_NONE;
    if (!memmem(sector, CODE, "GRUB ", 5))
        return BOOT_CODE_OTHER;
    if (sector[LEGACY_VERSION] != 3 || sector[LEGACY_VERSION + 1] != 2)
        for (int i = 7; i >= 0; i--)
            *ret_next = *ret_next << 8 | sector[NEXT_SECTOR + i];
    return BOOT_CODE_GRUB;
}
