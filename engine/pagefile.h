/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of page pairs: every logical page has two 4 KiB slots, written in turn, each with a
 * checksum and a sequence number.  A torn write leaves the other slot, so a reader sees the old or
 * the new page, never a mixture.  Durability is the caller's: write pages, then fdatasync.
 *
 * Slot layout: magic u32, crc32c u32 (of the slot with this field zero), seq u64, index u32,
 * kind u16, zero u16, epoch u64, payload 4064 bytes.
 *
 * One thread at a time per pagefile.
 */
#pragma once

#include "engine/format.h"
#include "engine/io.h"

#define PAGE_HEADER 32
#define PAGE_PAYLOAD (META_PAGE - PAGE_HEADER)

struct pagefile {
    struct io *io;
    int fd;
    uint16_t kind;
    uint64_t epoch;
    uint32_t first;  /* slot pair of index 0, counted in pairs from the file's beginning */
    uint32_t count;
    uint32_t *seq;   /* per page: number of the valid slot, 0: none; parity picks the slot */
    uint8_t *single; /* per page: only the valid slot says what it says */
    bool any_single;
    uint64_t hole_at, hole_end, data_end; /* bytes: what the file system told last; data_end: of the
                                             data behind the hole */
};

/* fd stays the caller's.  -ENOMEM. */
int pagefile_init(struct pagefile *pf, struct io *io, int fd, uint16_t kind, uint64_t epoch,
                  uint32_t first, uint32_t count);
void pagefile_done(struct pagefile *pf);

/* 1: payload filled; 0: never written; -EBADMSG: both slots are damaged; other -errno: I/O. */
int pagefile_read(struct pagefile *pf, uint32_t index, uint8_t payload[PAGE_PAYLOAD]);

/* What the two slots of a page are; for a look from outside, reading needs only one good one. */
enum slot_health { SLOT_EMPTY, SLOT_GOOD, SLOT_DAMAGED };
int pagefile_inspect(const struct pagefile *pf, uint32_t index, enum slot_health ret_slots[2]);

/*
 * For a file that is durable and comes to rest: what each page says goes into both its slots,
 * durably.  Until then a slot that is damaged later looks like one that was torn, and an older
 * page, or none, would be taken for the newest.
 */
int pagefile_settle(struct pagefile *pf);

/* Writes the slot that is not valid now.  Not durable before fdatasync of the file. */
int pagefile_write(struct pagefile *pf, uint32_t index, const uint8_t payload[PAGE_PAYLOAD]);

/* Writes both slots of a page that was never written, for a file that nobody takes up before it is
 * durable as a whole: what pagefile_settle() would make of it, in one piece. */
int pagefile_write_settled(struct pagefile *pf, uint32_t index,
                           const uint8_t payload[PAGE_PAYLOAD]);

/* Bytes a file with this many pairs takes. */
static inline uint64_t pagefile_bytes(uint32_t pairs)
{
    return (uint64_t)pairs * 2 * META_PAGE;
}
