/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pagefile.h"

#include <errno.h>

#include "base/iszero.h"
#include "engine/crc32c.h"
#include "engine/plant.h"

#define PAGE_MAGIC 0x47505753u /* "SWPG" */

int pagefile_init(struct pagefile *pf, struct io *io, int fd, uint16_t kind, uint64_t epoch,
                  uint32_t first, uint32_t count)
{
    *pf = (struct pagefile){
        .io = io, .fd = fd, .kind = kind, .epoch = epoch, .first = first, .count = count};
    pf->seq = calloc(count ? count : 1, sizeof(*pf->seq));
    pf->single = calloc(count ? count : 1, sizeof(*pf->single));
    if (pf->seq && pf->single)
        return 0;
    pagefile_done(pf);
    return -ENOMEM;
}

void pagefile_done(struct pagefile *pf)
{
    free(pf->seq);
    free(pf->single);
    pf->seq = NULL;
    pf->single = NULL;
}

static uint64_t slot_offset(const struct pagefile *pf, uint32_t index, uint32_t seq)
{
    return (((uint64_t)pf->first + index) * 2 + (seq & 1)) * META_PAGE;
}

static uint32_t slot_crc(uint8_t slot[META_PAGE])
{
    uint32_t stored = get_u32(slot + 4), crc;

    put_u32(slot + 4, 0);
    crc = crc32c(0, slot, META_PAGE);
    put_u32(slot + 4, stored);
    return crc;
}

/* The slot's sequence number when it is whole and belongs here, else 0. */
static uint32_t slot_check(const struct pagefile *pf, uint32_t index, uint8_t slot[META_PAGE],
                           unsigned position)
{
    uint64_t seq = get_u64(slot + 8);

    if (get_u32(slot) != PAGE_MAGIC || get_u32(slot + 4) != slot_crc(slot))
        return 0;
    if (get_u32(slot + 16) != index || get_u16(slot + 20) != pf->kind ||
        get_u64(slot + 24) != pf->epoch)
        return 0;
    if (seq == 0 || seq > UINT32_MAX || (seq & 1) != position)
        return 0;
    return (uint32_t)seq;
}

static void set_single(struct pagefile *pf, uint32_t index, bool single)
{
    pf->single[index] = single;
    pf->any_single |= single;
}

/* Nobody wrote the page: a look at the pages of a large disk one by one takes seconds. */
static bool is_hole(struct pagefile *pf, uint32_t index)
{
    uint64_t from = slot_offset(pf, index, 0), end = from + 2 * META_PAGE, size, data, data_end;
    int r;

    if (from >= pf->hole_at && from < pf->data_end)
        return end <= pf->hole_end;
    if (pf->io->ops->size(pf->io, pf->fd, &size) < 0 || end > size)
        return false; /* reading it will say what is wrong */
    r = pf->io->ops->seek(pf->io, pf->fd, from, size, &data, &data_end);
    if (r < 0 && r != -ENXIO)
        return false;
    pf->hole_at = from;
    pf->hole_end = r < 0 ? size : data;
    pf->data_end = r < 0 ? size : data_end;
    return end <= pf->hole_end;
}

static void forget_hole(struct pagefile *pf)
{
    pf->hole_at = pf->hole_end = pf->data_end = 0;
}

int pagefile_read(struct pagefile *pf, uint32_t index, uint8_t payload[PAGE_PAYLOAD])
{
    uint8_t slots[2][META_PAGE];
    uint32_t best = 0, good = 0;
    int r;

    if (is_hole(pf, index)) {
        pf->seq[index] = 0;
        set_single(pf, index, false);
        return 0;
    }
    r = io_read(pf->io, pf->fd, slots, sizeof(slots), slot_offset(pf, index, 0));

    if (r < 0)
        return r;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t seq = slot_check(pf, index, slots[i], i);

        good += seq > 0;
        if (seq > best) {
            best = seq;
            memcpy(payload, slots[i] + PAGE_HEADER, PAGE_PAYLOAD);
        }
    }
    pf->seq[index] = best;
    set_single(pf, index,
               best && (good < 2 || memcmp(slots[0] + PAGE_HEADER, slots[1] + PAGE_HEADER,
                                           PAGE_PAYLOAD) != 0));
    if (best)
        return 1;
    /* The first write of a page may tear; then the other slot was never written.  Two slots that
     * hold something and are both wrong cannot come from a crash. */
    return is_zero(slots[0], META_PAGE) || is_zero(slots[1], META_PAGE) ? 0 : -EBADMSG;
}

int pagefile_inspect(const struct pagefile *pf, uint32_t index, enum slot_health ret_slots[2])
{
    uint8_t slots[2][META_PAGE];
    int r = io_read(pf->io, pf->fd, slots, sizeof(slots), slot_offset(pf, index, 0));

    for (unsigned i = 0; r == 0 && i < 2; i++)
        ret_slots[i] = slot_check(pf, index, slots[i], i) ? SLOT_GOOD
                       : is_zero(slots[i], META_PAGE)     ? SLOT_EMPTY
                                                          : SLOT_DAMAGED;
    return r;
}

static void fill_slot(const struct pagefile *pf, uint32_t index, uint32_t seq,
                      const uint8_t payload[PAGE_PAYLOAD], uint8_t slot[META_PAGE])
{
    memset(slot, 0, PAGE_HEADER);
    put_u32(slot, PAGE_MAGIC);
    put_u64(slot + 8, seq);
    put_u32(slot + 16, index);
    put_u16(slot + 20, pf->kind);
    put_u64(slot + 24, pf->epoch);
    memcpy(slot + PAGE_HEADER, payload, PAGE_PAYLOAD);
    put_u32(slot + 4, crc32c(0, slot, META_PAGE));
}

int pagefile_write(struct pagefile *pf, uint32_t index, const uint8_t payload[PAGE_PAYLOAD])
{
    uint8_t slot[META_PAGE];
    uint32_t seq = pf->seq[index] + 1;
    int r;

    if (plant(PLANT_PAGE_SAME_SLOT) && seq > 1)
        seq++;
    fill_slot(pf, index, seq, payload, slot);
    forget_hole(pf);
    r = io_write(pf->io, pf->fd, slot, META_PAGE, slot_offset(pf, index, seq), false);
    if (r < 0)
        return r;
    pf->seq[index] = seq;
    set_single(pf, index, true);
    return 0;
}

int pagefile_write_settled(struct pagefile *pf, uint32_t index,
                           const uint8_t payload[PAGE_PAYLOAD])
{
    uint8_t slots[2][META_PAGE];
    int r;

    fill_slot(pf, index, 2, payload, slots[0]);
    fill_slot(pf, index, 1, payload, slots[1]);
    forget_hole(pf);
    r = io_write(pf->io, pf->fd, slots, sizeof(slots), slot_offset(pf, index, 0), false);
    if (r < 0)
        return r;
    pf->seq[index] = 2;
    set_single(pf, index, false);
    return 0;
}

static int settle_page(struct pagefile *pf, uint32_t index)
{
    uint8_t payload[PAGE_PAYLOAD];
    int r = pagefile_read(pf, index, payload);

    if (r == 1 && pf->single[index])
        r = pagefile_write(pf, index, payload);
    if (r >= 0)
        pf->single[index] = false;
    return r < 0 ? r : 0;
}

int pagefile_settle(struct pagefile *pf)
{
    int r = 0;

    if (!pf->any_single)
        return 0;
    for (uint32_t i = 0; r == 0 && i < pf->count; i++)
        if (pf->single[i])
            r = settle_page(pf, i);
    if (r == 0)
        r = io_fdatasync(pf->io, pf->fd);
    if (r == 0)
        pf->any_single = false;
    return r;
}
