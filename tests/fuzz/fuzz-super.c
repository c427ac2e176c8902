/* SPDX-License-Identifier: Apache-2.0 */
/* The superblock: two slots as they are, and one whose checksum is made right first. */
#include <string.h>

#include "base/align.h"
#include "engine/crc32c.h"
#include "engine/super.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model/sim.h"

static void check(const struct super *s)
{
    FUZZ_ASSERT(s->disk_count >= 1 && s->disk_count <= DISKS_MAX);
    FUZZ_ASSERT(memchr(s->snapshot, '\0', sizeof(s->snapshot)));
    FUZZ_ASSERT(store_mode_name(s->mode));
    FUZZ_ASSERT(s->keep <= KEEP_MAX && s->when_full < _WHEN_FULL_MAX);
    for (unsigned i = 0; i < s->disk_count; i++) {
        const struct super_disk *d = &s->disks[i];

        FUZZ_ASSERT(d->size > 0 && d->size % SECTOR == 0 && d->size <= DISK_SIZE_MAX);
        FUZZ_ASSERT(d->layer_count <= LAYERS_MAX + (s->mode == MODE_OWNER_HYD));
        for (unsigned k = 0; k < d->layer_count; k++)
            FUZZ_ASSERT(d->layers[k] <= s->cur_gen && d->layers[k] != 0);
    }
}

static void decode_signed(const uint8_t *data, size_t size)
{
    uint8_t slot[META_PAGE] = {0}, again[META_PAGE];
    struct super s;
    uint32_t version;

    memcpy(slot, data, MIN(size, sizeof(slot)));
    put_u32(slot, 0x50555753);
    put_u32(slot + 16, STORE_FORMAT);
    put_u32(slot + 4, 0);
    put_u32(slot + 4, crc32c(0, slot, META_PAGE));
    if (super_decode(slot, &s, &version) < 0)
        return;
    check(&s);
    super_encode(&s, again);
    FUZZ_ASSERT(super_decode(again, &s, &version) == 0);
}

static void load_file(const uint8_t *data, size_t size)
{
    struct sim *sim = sim_new();
    struct io *io = sim_io(sim);
    struct error *err = NULL;
    struct superfile sf;
    int fd;

    sim_put(sim, "/super", data, size);
    fd = io->ops->open(io, "/super", 0);
    if (superfile_load(&sf, io, fd, "/super", &err) == 0)
        check(&sf.current);
    else
        FUZZ_ASSERT(err);
    error_free(err);
    sim_free(sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode_signed(data, size);
    load_file(data, size);
    return 0;
}
