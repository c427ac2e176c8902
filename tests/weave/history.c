/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/weave/history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define WRITTEN (UINT64_C(0x57) << 56)
#define TORN UINT64_MAX

/* A write's value names the sector, too, so that bytes in the wrong place are found. */
static uint64_t op_value(const struct guest_op *op, uint32_t sector)
{
    return op->id ? WRITTEN | op->id << 24 | sector : 0;
}

uint64_t history_value(const uint8_t *sector)
{
    uint64_t words[HISTORY_SECTOR / 8];

    memcpy(words, sector, sizeof(words));
    for (unsigned i = 1; i < HISTORY_SECTOR / 8; i++)
        if (words[i] != words[0])
            return TORN;
    return words[0];
}

void history_describe(uint64_t value, char *text, size_t size)
{
    if (value == TORN)
        snprintf(text, size, "a mixture");
    else if (value == 0)
        snprintf(text, size, "zeros");
    else if (value >> 56 == WRITTEN >> 56)
        snprintf(text, size, "write %" PRIu64 " of sector %" PRIu64,
                 (value & ~WRITTEN) >> 24, value & 0xffffff);
    else
        snprintf(text, size, "the source's %016" PRIx64, value);
}

void history_init(struct history *h, const uint8_t *bytes, uint64_t size)
{
    memset(h, 0, sizeof(*h));
    h->sectors = (uint32_t)(size / HISTORY_SECTOR);
    h->now = mem_new(h->sectors, sizeof(*h->now));
    h->maybe = mem_new(h->sectors, sizeof(*h->maybe));
    h->now_durable = true;
    for (uint32_t s = 0; s < h->sectors; s++)
        h->now[s] = history_value(bytes + (size_t)s * HISTORY_SECTOR);
}

static void forget_maybe(struct history *h)
{
    for (uint32_t s = 0; s < h->sectors; s++) {
        free(h->maybe[s].values);
        h->maybe[s] = (struct maybe){0};
    }
}

void history_done(struct history *h)
{
    if (h->maybe)
        forget_maybe(h);
    free(h->now);
    free(h->maybe);
    memset(h, 0, sizeof(*h));
}

/* ---- what happens ---- */

uint32_t history_now(struct history *h)
{
    return ++h->clock;
}

struct guest_op *history_begin(struct history *h, uint32_t first, uint32_t count, bool zero,
                               uint8_t *fill)
{
    struct guest_op *op = &h->ops[h->count];

    if (h->count == HISTORY_OPS)
        return NULL;
    h->count++;
    *op = (struct guest_op){.first = first, .count = count, .begin = ++h->clock};
    if (!zero)
        op->id = ++h->last_id;
    for (uint32_t i = 0; fill && i < count; i++) {
        uint64_t words[HISTORY_SECTOR / 8];

        for (unsigned k = 0; k < HISTORY_SECTOR / 8; k++)
            words[k] = op_value(op, first + i);
        memcpy(fill + (size_t)i * HISTORY_SECTOR, words, sizeof(words));
    }
    return op;
}

void history_end(struct history *h, struct guest_op *op, bool acked, bool durable)
{
    op->end = ++h->clock;
    op->acked = acked;
    op->flushed = acked && durable;
}

void history_flushed(struct history *h, uint32_t since)
{
    for (unsigned i = 0; i < h->count; i++)
        if (h->ops[i].acked && h->ops[i].end < since)
            h->ops[i].flushed = true;
    h->now_durable = true;
}

/* ---- what may be seen ---- */

static bool covers(const struct guest_op *op, uint32_t sector)
{
    return sector - op->first < op->count;
}

/* When the last write to the sector began that is certain; 0: none is.  until: acknowledged by then. */
static uint32_t certain_since(const struct history *h, uint32_t sector, enum certain how,
                              uint32_t until)
{
    uint32_t begin = 0;

    for (unsigned i = 0; i < h->count; i++) {
        const struct guest_op *op = &h->ops[i];
        bool counts = how == CERTAIN_FLUSHED ? op->flushed : op->acked && op->end < until;

        if (counts && !op->hint && covers(op, sector) && op->begin > begin)
            begin = op->begin;
    }
    return begin;
}

static bool op_counts(const struct guest_op *op, uint32_t sector, uint32_t since)
{
    return covers(op, sector) && !(op->end && op->end < since);
}

static bool allowed(const struct history *h, uint32_t sector, uint64_t value, enum certain how,
                    uint32_t until)
{
    uint32_t since = certain_since(h, sector, how, until);

    if (since == 0 && value == h->now[sector])
        return true;
    if (since == 0 && how == CERTAIN_FLUSHED && !h->now_durable)
        for (unsigned i = 0; i < h->maybe[sector].count; i++)
            if (h->maybe[sector].values[i] == value)
                return true;
    for (unsigned i = 0; i < h->count; i++)
        if (op_counts(&h->ops[i], sector, since) && op_value(&h->ops[i], sector) == value)
            return true;
    return false;
}

int64_t history_check_read(const struct history *h, uint32_t first, uint32_t count,
                           const uint8_t *bytes, uint32_t since)
{
    for (uint32_t i = 0; i < count; i++)
        if (!allowed(h, first + i, history_value(bytes + (size_t)i * HISTORY_SECTOR),
                     CERTAIN_ACKED, since))
            return first + i;
    return -1;
}

static void maybe_add(struct maybe *m, uint64_t value)
{
    for (unsigned i = 0; i < m->count; i++)
        if (m->values[i] == value)
            return;
    m->values = realloc(m->values, (m->count + 1) * sizeof(*m->values));
    if (!m->values)
        abort();
    m->values[m->count++] = value;
}

/* What of a sector may be on the disk, should the power go now. */
static struct maybe durable_values(const struct history *h, uint32_t sector)
{
    uint32_t since = certain_since(h, sector, CERTAIN_FLUSHED, 0);
    struct maybe m = {0};

    if (since == 0)
        maybe_add(&m, h->now[sector]);
    for (unsigned i = 0; since == 0 && !h->now_durable && i < h->maybe[sector].count; i++)
        maybe_add(&m, h->maybe[sector].values[i]);
    for (unsigned i = 0; i < h->count; i++)
        if (op_counts(&h->ops[i], sector, since))
            maybe_add(&m, op_value(&h->ops[i], sector));
    return m;
}

int64_t history_recovered(struct history *h, const uint8_t *bytes, bool power_lost)
{
    for (uint32_t s = 0; s < h->sectors; s++) {
        uint64_t value = history_value(bytes + (size_t)s * HISTORY_SECTOR);
        struct maybe m = {0};

        if (!allowed(h, s, value, power_lost ? CERTAIN_FLUSHED : CERTAIN_ACKED, UINT32_MAX))
            return s;
        if (!power_lost)
            m = durable_values(h, s);
        free(h->maybe[s].values);
        h->maybe[s] = m;
        h->now[s] = value;
    }
    h->now_durable = power_lost;
    h->count = 0;
    return -1;
}
