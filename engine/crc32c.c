/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata only (4 KiB at a time), so a byte table is fast enough. */
#include "engine/crc32c.h"

#include <pthread.h>

static uint32_t table[256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        table[i] = c;
    }
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    const uint8_t *p = data;

    pthread_once(&table_once, table_fill);
    crc = ~crc;
    while (length--)
        crc = table[(crc ^ *p++) & 0xff] ^ crc >> 8;
    return ~crc;
}
