/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format: a header of 4096 bytes ("regf") whose word at 508 is the XOR of those before it, then
 * blocks ("hbin") of cells.  A cell is a size, negative while in use, and its content: here a key
 * ("nk"), the security descriptor it points to ("sk"), and the free rest.
 */
#include "minihive.h"

#include <stdlib.h>
#include <string.h>

#define NONE 0xffffffffu
#define KEY_CELL 0x60u
#define DESCRIPTOR_CELL 0x70u

static void put16(unsigned char *p, uint32_t v)
{
    p[0] = v & 0xff;
    p[1] = v >> 8 & 0xff;
}

static void put32(unsigned char *p, uint32_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}

static void make_header(unsigned char *h)
{
    uint32_t sum = 0;

    memcpy(h, "regf", 4);
    put32(h + 4, 1); /* sequence numbers, the same when all is written */
    put32(h + 8, 1);
    put32(h + 20, 1); /* version 1.3 */
    put32(h + 24, 3);
    put32(h + 32, 1);
    put32(h + 36, 0x20); /* the root key, counted from the first block */
    put32(h + 40, 4096);
    put32(h + 44, 1);
    for (size_t i = 0; i < 508; i += 4)
        sum ^= h[i] | (uint32_t)h[i + 1] << 8 | (uint32_t)h[i + 2] << 16 | (uint32_t)h[i + 3] << 24;
    put32(h + 508, sum);
}

static void make_key(unsigned char *cell, uint32_t descriptor)
{
    unsigned char *nk = cell + 4;

    put32(cell, -KEY_CELL);
    memcpy(nk, "nk", 2);
    put16(nk + 2, 0x2c); /* a root, not to be deleted, name in ASCII */
    put32(nk + 16, NONE);
    put32(nk + 28, NONE);
    put32(nk + 32, NONE);
    put32(nk + 40, NONE);
    put32(nk + 44, descriptor);
    put32(nk + 48, NONE);
    put16(nk + 72, 4);
    memcpy(nk + 76, "ROOT", 4);
}

/* Owner, group: administrators; everybody may do everything. */
static void make_descriptor(unsigned char *cell, uint32_t at)
{
    static const unsigned char content[] = {
        1, 0, 4,  0x80, 20, 0, 0, 0, 36, 0, 0,  0, 0,    0, 0,  0, 52, 0, 0, 0, /* offsets */
        1, 2, 0,  0,    0,  0, 0, 5, 32, 0, 0,  0, 32,   2, 0,  0,              /* S-1-5-32-544 */
        1, 2, 0,  0,    0,  0, 0, 5, 32, 0, 0,  0, 32,   2, 0,  0,              /* the same */
        2, 0, 28, 0,    1,  0, 0, 0, 0,  2, 20, 0, 0x3f, 0, 15, 0,              /* a list of one */
        1, 1, 0,  0,    0,  0, 0, 1, 0,  0, 0,  0};
    unsigned char *sk = cell + 4;

    put32(cell, -DESCRIPTOR_CELL);
    memcpy(sk, "sk", 2);
    put32(sk + 4, at);
    put32(sk + 8, at);
    put32(sk + 12, 1);
    put32(sk + 16, sizeof(content));
    memcpy(sk + 20, content, sizeof(content));
}

void minihive_make(unsigned char ret_bytes[static MINIHIVE_SIZE])
{
    unsigned char *block = ret_bytes + 4096;

    memset(ret_bytes, 0, MINIHIVE_SIZE);
    make_header(ret_bytes);
    memcpy(block, "hbin", 4);
    put32(block + 8, 4096);
    make_key(block + 0x20, 0x20 + KEY_CELL);
    make_descriptor(block + 0x20 + KEY_CELL, 0x20 + KEY_CELL);
    put32(block + 0x20 + KEY_CELL + DESCRIPTOR_CELL, 4096 - 0x20 - KEY_CELL - DESCRIPTOR_CELL);
}

struct hive *minihive_open(const char *name)
{
    unsigned char bytes[MINIHIVE_SIZE];
    struct hive *hive = NULL;

    minihive_make(bytes);
    if (hive_open(name, bytes, sizeof(bytes), &hive, NULL) < 0)
        abort();
    return hive;
}
