/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest of one disk did and was told, and with that what it may see: every sector holds one
 * value (eight bytes, repeated), which says which write put it there.
 *
 * A value counts until a later write to the sector is certain: one that began after the other had
 * ended, and that was acknowledged (for a read, and after a kill), or acknowledged and flushed
 * (after a power loss).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HISTORY_SECTOR 512
#define HISTORY_OPS 512

struct guest_op {
    uint32_t first, count; /* sectors */
    uint32_t begin, end;   /* on the history's clock; end 0: under way */
    uint64_t id;           /* 0: zeros */
    bool acked, flushed;
    bool hint;             /* may have no effect (trim) */
};

struct maybe {
    uint64_t *values;
    unsigned count;
};

struct history {
    uint32_t sectors, clock;
    uint64_t last_id;
    uint64_t *now;       /* per sector: at the beginning of this life */
    struct maybe *maybe; /* per sector: what may be durable in its place */
    bool now_durable;    /* ... nothing but `now` */
    struct guest_op ops[HISTORY_OPS]; /* of this life */
    unsigned count;
};

enum certain { CERTAIN_ACKED, CERTAIN_FLUSHED };

/* bytes: what the disk holds, durably. */
void history_init(struct history *history, const uint8_t *bytes, uint64_t size);
void history_done(struct history *history);

/* A write begins; NULL: too many.  fill: the bytes to write, op->count sectors of them. */
struct guest_op *history_begin(struct history *history, uint32_t first, uint32_t count, bool zero,
                               uint8_t *fill);
void history_end(struct history *history, struct guest_op *op, bool acked, bool durable);

uint32_t history_now(struct history *history);
/* A flush that began at `since` was acknowledged. */
void history_flushed(struct history *history, uint32_t since);

/* The first sector of a read that began at `since` and saw what it may not see; -1: none. */
int64_t history_check_read(const struct history *history, uint32_t first, uint32_t count,
                           const uint8_t *bytes, uint32_t since);

/* The disk has been recovered and holds `bytes`: the first sector that may not be; -1: all is well.
 * The next life begins with that. */
int64_t history_recovered(struct history *history, const uint8_t *bytes, bool power_lost);

/* The value of a sector; different eight bytes in one: UINT64_MAX. */
uint64_t history_value(const uint8_t *sector);

/* "write 7", "source", ... for messages. */
void history_describe(uint64_t value, char *text, size_t size);
