/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/ntfs.h"

#include <string.h>

#define RECORD_OF_VOLUME 3
#define VOLUME_INFORMATION 0x70
#define ATTRIBUTES_MAX 64

static uint32_t le16(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}

static uint32_t le32(const unsigned char *p)
{
    return le16(p) | le16(p + 2) << 16;
}

/* Bytes: a count of clusters, or the negative power of two of bytes. */
static uint64_t record_size(unsigned char code, uint64_t cluster)
{
    if (code < 0x80)
        return code * cluster;
    return code >= 0xf0 ? (uint64_t)1 << (256 - code) : 0;
}

enum ntfs_kind ntfs_read_boot(const unsigned char *sector, struct ntfs *ret_ntfs)
{
    uint64_t sector_size = le16(sector + 11), cluster, first, size;
    unsigned char code = sector[13];

    if (memcmp(sector + 3, "-FVE-FS-", 8) == 0)
        return NTFS_BITLOCKER;
    if (memcmp(sector + 3, "NTFS    ", 8) != 0)
        return NTFS_NOT;
    /* Counts above 128 are negative powers of two, for clusters of more than 64 KiB. */
    cluster = sector_size * (code <= 0x80 ? code : code >= 0xf0 ? (uint64_t)1 << (256 - code) : 0);
    first = le32(sector + 48) | (uint64_t)le32(sector + 52) << 32;
    size = record_size(sector[64], cluster);
    if (sector_size < 256 || sector_size > 4096 || cluster == 0 || size < 512 ||
        size > NTFS_RECORD_MAX || first == 0 || first > INT64_MAX / cluster - NTFS_RECORD_MAX)
        return NTFS_NOT;
    *ret_ntfs = (struct ntfs){.volume_record = first * cluster + RECORD_OF_VOLUME * size,
                              .record_size = (size_t)size};
    return NTFS_PLAIN;
}

/* The last two bytes of each sector are kept in an array, and a number stands in their place. */
static bool put_ends_back(unsigned char *record, size_t length)
{
    size_t array = le16(record + 4), count = le16(record + 6);

    if (count < 2 || (count - 1) * NTFS_SECTOR > length || array + 2 * count > length || array < 8)
        return false;
    for (size_t i = 1; i < count; i++) {
        unsigned char *end = record + i * NTFS_SECTOR - 2;

        if (memcmp(end, record + array, 2) != 0)
            return false;
        memcpy(end, record + array + 2 * i, 2);
    }
    return true;
}

bool ntfs_read_flags(unsigned char *record, size_t length, uint16_t *ret_flags)
{
    size_t at;

    if (length < NTFS_SECTOR || memcmp(record, "FILE", 4) != 0 || !put_ends_back(record, length))
        return false;
    at = le16(record + 20);
    for (unsigned i = 0; i < ATTRIBUTES_MAX && at + 24 <= length; i++) {
        uint32_t type = le32(record + at), size = le32(record + at + 4);

        if (size < 24 || size > length - at)
            return false;
        if (type == VOLUME_INFORMATION) {
            uint32_t value_size = le32(record + at + 16), value = le16(record + at + 20);

            if (record[at + 8] != 0 || value_size < 12 || value > size || value_size > size - value)
                return false;
            *ret_flags = (uint16_t)le16(record + at + value + 10);
            return true;
        }
        at += size;
    }
    return false;
}

bool ntfs_is_hibernated(const char head[static NTFS_HIBERFILE_HEAD])
{
    /* "wake" is written when it has woken up, zeros when it was shut down. */
    static const char *const asleep[] = {"hibr", "HIBR", "RSTR", "rstr"};

    for (size_t i = 0; i < sizeof(asleep) / sizeof(*asleep); i++)
        if (memcmp(head, asleep[i], NTFS_HIBERFILE_HEAD) == 0)
            return true;
    return false;
}
