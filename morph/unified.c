/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PE file: "MZ", at 0x3c the offset of "PE\0\0", 20 bytes of header (2: number of sections, 16:
 * size of the optional header, which follows), then 40 bytes for each section (0: name, 8: size in
 * memory, 16: size in the file, 20: offset in the file).
 */
#include "morph/unified.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/align.h"

#define HEADER 24
#define SECTION 40
#define SECTIONS_MAX 96

static uint32_t number(const unsigned char *p, int bytes)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)p[i] << (8 * i);
    return v;
}

int unified_initramfs(const void *image, size_t length, const void **ret_data, size_t *ret_length)
{
    const unsigned char *p = image;
    uint64_t at, sections;

    if (length < 0x40 || memcmp(p, "MZ", 2) != 0)
        return -EBADMSG;
    at = number(p + 0x3c, 4);
    if (!range_inside(at, HEADER, length) || memcmp(p + at, "PE\0\0", 4) != 0)
        return -EBADMSG;
    sections = number(p + at + 6, 2);
    at += HEADER + number(p + at + 20, 2);
    for (uint64_t n = 0; n < MIN(sections, (uint64_t)SECTIONS_MAX); n++, at += SECTION) {
        uint64_t offset, size;

        if (!range_inside(at, SECTION, length))
            return -EBADMSG;
        if (memcmp(p + at, ".initrd\0", 8) != 0)
            continue;
        size = MIN(number(p + at + 8, 4), number(p + at + 16, 4));
        offset = number(p + at + 20, 4);
        if (!range_inside(offset, size, length))
            return -EBADMSG;
        *ret_data = p + offset;
        *ret_length = (size_t)size;
        return 0;
    }
    return -ENOENT;
}
