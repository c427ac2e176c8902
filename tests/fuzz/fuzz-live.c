/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live file of a killed engine: its header, and masks and planes that say anything.  A header
 * that is not the engine's is refused; whatever the bits, the owner can be read, completed and ended.
 * First byte: 0: the input is the file from its beginning; else what lies behind the header.
 */
#include <string.h>

#include "base/align.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/flip.h"
#include "engine/owner.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model/fixture.h"

static struct engine_options options = {
    .store = FIXTURE_STORE, .fence_ns = 1, .live_folder = "/run/vm"};

/* Out of an initial copy that has brought nothing: everything is missing. */
static void flip(struct fixture *f)
{
    struct sync_source disks[MEM_DISKS] = {{"sda", "mem:0/0", NULL}, {"sdb", "mem:0/1", NULL}};
    struct flip_request q = {
        .instant = true, .sources = disks, .source_count = MEM_DISKS, .snapshot = "p0"};

    memsource_point(f->source);
    FUZZ_ASSERT(engine_flip(f->engine, &q, NULL, NULL, NULL) == 0);
}

/* Writes the input into the first disk's file, as it is in memory. */
static bool damage(struct fixture *f, const uint8_t *data, size_t size)
{
    struct live *l = f->engine->disks[0].owner->live;
    size_t at = size > 0 && data[0] ? META_PAGE : 0, n = size > 0 ? MIN(size - 1, l->size - at) : 0;
    uint8_t *base = l->base;
    bool changed = at == 0 && n > 0 && memcmp(base, data + 1, MIN(n, (size_t)META_PAGE)) != 0;

    if (n > 0)
        memcpy(base + at, data + 1, n);
    return changed;
}

static void use(struct engine *e)
{
    for (unsigned i = 0; i < e->disk_count; i++) {
        struct owner *o = e->disks[i].owner;
        _cleanup_free_ uint8_t *bytes = mem_new(1, mem_sizes[i]);

        FUZZ_ASSERT(owner_pread(o, bytes, (uint32_t)mem_sizes[i], 0) == 0);
        FUZZ_ASSERT(owner_pwrite(o, bytes, 512, mem_sizes[i] - 512, 0) == 0);
        FUZZ_ASSERT(owner_is_complete(o) && owner_missing_bytes(o) == 0);
        FUZZ_ASSERT(owner_count_dirty(o) <= o->disk->blocks);
        for (unsigned plane = 0; plane < 2; plane++)
            for (uint64_t b = owner_find_dirty(o, plane, 0); b < o->disk->blocks;
                 b = owner_find_dirty(o, plane, b + 1))
                FUZZ_ASSERT(owner_is_dirty(o, plane, b));
        FUZZ_ASSERT(owner_prune(o) >= 0);
    }
    FUZZ_ASSERT(flip_complete(e) >= 0);
    FUZZ_ASSERT(e->mode == MODE_OWNER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fixture *f;
    struct error *err = NULL;
    bool foreign;

    log_open("fuzz-live", LOG_LEVEL_NONE);
    f = fixture_new();
    flip(f);
    foreign = damage(f, data, size);
    sim_die(f->sim);
    engine_close(f->engine);
    sim_kill(f->sim);
    f->engine = NULL;
    if (engine_open_with(&options, sim_io(f->sim), &memsource_readers, &f->engine, &err) == 0) {
        FUZZ_ASSERT(!foreign);
        use(f->engine);
    } else {
        FUZZ_ASSERT(foreign && err);
    }
    error_free(err);
    fixture_free(f);
    return 0;
}
