/* SPDX-License-Identifier: Apache-2.0 */
/* Every page of a large disk's maps has a checksum, and a flip or a restart looks at all of them: the
 * processor's own instruction where there is one, else eight bytes at a time by tables (M. Kounavis,
 * F. Berry, "A Systematic Approach to Building High Performance Software-based CRC Generators"). */
#include "engine/crc32c.h"

#include <pthread.h>
#include <stdbool.h>

#include "engine/format.h"

static uint32_t tables[8][256];
static bool have_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int bit = 0; bit < 8; bit++)
            c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        tables[0][i] = c;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++)
            tables[k][i] = tables[0][tables[k - 1][i] & 0xff] ^ tables[k - 1][i] >> 8;
#if defined(__x86_64__)
    have_instruction = __builtin_cpu_supports("sse4.2");
#endif
}

static uint32_t by_tables(uint32_t crc, const uint8_t *p, size_t length)
{
    for (; length >= 8; length -= 8, p += 8) {
        uint64_t w = get_u64(p) ^ crc;

        crc = 0;
        for (int k = 0; k < 8; k++)
            crc ^= tables[7 - k][w >> 8 * k & 0xff];
    }
    while (length--)
        crc = tables[0][(crc ^ *p++) & 0xff] ^ crc >> 8;
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2")))
static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t length)
{
    for (; length >= 8; length -= 8, p += 8)
        crc = (uint32_t)__builtin_ia32_crc32di(crc, get_u64(p));
    while (length--)
        crc = __builtin_ia32_crc32qi(crc, *p++);
    return crc;
}
#else
static uint32_t by_instruction(uint32_t crc, const uint8_t *p, size_t length)
{
    return by_tables(crc, p, length);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    pthread_once(&once, prepare);
    return ~(have_instruction ? by_instruction : by_tables)(~crc, data, length);
}

uint32_t crc32c_by_tables(uint32_t crc, const void *data, size_t length)
{
    pthread_once(&once, prepare);
    return ~by_tables(~crc, data, length);
}
