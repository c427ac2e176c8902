/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/log.h"
#include "base/str.h"
#include "engine/ctlserver.h"
#include "engine/draft.h"
#include "engine/export.h"
#include "engine/flip.h"
#include "engine/hydrate.h"
#include "engine/keeper.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static uint8_t *want[MEM_DISKS]; /* what the owner's disks should read as */

static int enter(void **state)
{
    log_open("test-flip", LOG_LEVEL_NONE);
    f = fixture_new();
    for (unsigned d = 0; d < MEM_DISKS; d++)
        want[d] = mem_new(1, mem_sizes[d]);
    return 0;
}

static int leave(void **state)
{
    fixture_free(f);
    for (unsigned d = 0; d < MEM_DISKS; d++)
        free(want[d]);
    return 0;
}

/* A new final point in time; its number. */
static int final_point(void)
{
    int point = (int)memsource_point(f->source);

    for (unsigned d = 0; d < MEM_DISKS; d++)
        memcpy(want[d], fixture_bytes(f, point, d), mem_sizes[d]);
    return point;
}

/* since < 0: without bitmaps; snapshots are named as fixture_sync() does. */
static int flip_instant(int point, int since, struct error **err)
{
    static const char *const disks[MEM_DISKS] = {"sda", "sdb"};
    char uris[MEM_DISKS][32], bitmap[32], snapshot[32];
    struct sync_source sources[MEM_DISKS];
    struct flip_request q = {.instant = true, .sources = sources, .source_count = MEM_DISKS,
                             .snapshot = snapshot};

    snprintf(snapshot, sizeof(snapshot), "p%d", point);
    snprintf(bitmap, sizeof(bitmap), "since:%d", since);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        snprintf(uris[d], sizeof(uris[d]), "mem:%d/%u", point, d);
        sources[d] = (struct sync_source){disks[d], uris[d], since < 0 ? NULL : bitmap};
    }
    return engine_flip(f->engine, &q, NULL, NULL, err);
}

static struct owner *owner(unsigned disk)
{
    return f->engine->disks[disk].owner;
}

static void assert_reads(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(owner_pread(owner(d), have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, want[d], mem_sizes[d]);
    }
}

static void put(unsigned d, int fill, uint64_t offset, uint32_t length)
{
    _cleanup_free_ uint8_t *bytes = mem_new(1, length);

    memset(bytes, fill, length);
    assert_int_equal(owner_pwrite(owner(d), bytes, length, offset, 0), 0);
    memcpy(want[d] + offset, bytes, length);
}

static void write_source(unsigned seed)
{
    memsource_write(f->source, seed);
    memsource_write(f->source, seed + 1);
}

static void hydrate_all(void)
{
    for (unsigned d = 0; d < MEM_DISKS; d++)
        assert_int_equal(hydrator_need(owner(d)->hydrator, 0, f->engine->disks[d].blocks - 1), 0);
}

static void power_loss(enum sim_loss loss)
{
    sim_die(f->sim);
    engine_close(steal_ptr(f->engine));
    sim_power_loss(f->sim, loss);
    assert_int_equal(fixture_restart(f, NULL), 0);
}

/* ---- tests ---- */

static void out_of_an_empty_mirror(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    assert_int_equal(f->engine->mode, MODE_OWNER_HYD);
    assert_reads();
    keeper_round(f->engine, true);
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_reads();
}

static void out_of_a_mirror_that_is_behind(void **state)
{
    int first = fixture_sync(f, -1, NULL);

    write_source(10);
    assert_int_equal(flip_instant(final_point(), first, NULL), 0);
    assert_int_equal(f->engine->mode, MODE_OWNER_HYD);
    assert_reads();
}

/* One I/O error anywhere: the flip fails, or its guest gets what it asks for. */
static void a_flip_that_succeeds_knows_its_source(void **state)
{
    for (unsigned at = 1, hit = 1; hit; at++) {
        int r;

        leave(state);
        enter(state);
        sim_set_fault(f->sim, SIM_EIO, at);
        r = flip_instant(final_point(), -1, NULL);
        hit = sim_fault_hit(f->sim);
        sim_set_fault(f->sim, SIM_NO_FAULT, 0);
        if (r < 0 || f->engine->failed)
            continue;
        keeper_round(f->engine, false);
        put(0, 7, BLOCK_SIZE + 5, 100);
        assert_reads();
    }
}

static void layers_that_are_not_folded_stay_sources(void **state)
{
    int point = fixture_sync(f, -1, NULL);

    for (unsigned i = 0; i < LAYERS_MAX; i++) {
        write_source(100 + 2 * i);
        point = fixture_sync(f, point, NULL);
    }
    assert_int_equal(f->engine->disks[0].layer_count, LAYERS_MAX);
    write_source(20);
    assert_int_equal(flip_instant(final_point(), point, NULL), 0);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_reads();
    keeper_round(f->engine, true);
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_int_equal(f->engine->disks[0].layer_count, 0);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_reads();
}

static void a_write_of_whole_sub_blocks_fetches_nothing(void **state)
{
    uint64_t before;

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    before = f->source->read_bytes;
    put(0, 7, 8192, 4096);
    put(0, 8, 3 * BLOCK_SIZE + 12288, 3 * 4096);
    assert_int_equal(owner_zero(owner(1), 8192, 4096, 0), 0);
    memset(want[1] + 4096, 0, 8192);
    put(1, 9, mem_sizes[1] / 4096 * 4096, (uint32_t)(mem_sizes[1] % 4096)); /* the odd end */
    assert_int_equal(f->source->read_bytes, before);
    assert_reads();
}

static const struct io_ops *plain_ops;
static unsigned looked;

/* After the root and before the flip returns the folders are swept: a client may have come. */
static int look_and_list(struct io *io, const char *path,
                         int (*fn)(const char *name, void *context), void *context)
{
    if (f->engine->mode == MODE_OWNER_HYD) {
        looked++;
        assert_non_null(owner(0)->hydrator);
        assert_non_null(owner(1)->hydrator);
    }
    return plain_ops->list(io, path, fn, context);
}

static void a_client_that_comes_at_once_can_be_served(void **state)
{
    struct io *io = sim_io(f->sim);
    struct io_ops ops = *io->ops;

    plain_ops = io->ops;
    ops.list = look_and_list;
    io->ops = &ops;
    looked = 0;
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    io->ops = plain_ops;
    assert_true(looked > 0);
    assert_reads();
}

static void a_write_inside_a_sub_block_keeps_the_rest_of_it(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 1, 4096 + 17, 100);
    put(0, 2, BLOCK_SIZE - 700, 4096);
    put(1, 3, mem_sizes[1] - 1000, 600);
    assert_reads();
}

static void what_is_acknowledged_survives_a_kill(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 5, 4096, 4096);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_int_equal(f->engine->mode, MODE_OWNER_HYD);
    assert_true(owner_is_dirty(owner(0), 0, 0));
    assert_reads();
    put(1, 6, 0, 512);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_reads();
}

static void what_is_flushed_survives_a_power_loss(void **state)
{
    for (enum sim_loss loss = 0; loss < _SIM_LOSS_MAX; loss++) {
        if (loss) {
            leave(state);
            enter(state);
        }
        assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
        put(0, 5, 4096, 4096);
        hydrate_all();
        put(0, 6, 2 * BLOCK_SIZE, 8192); /* on what hydration brought */
        assert_int_equal(owner_flush(owner(0)), 0);
        power_loss(loss);
        assert_true(owner_is_dirty(owner(0), 0, 0));
        assert_true(owner_is_dirty(owner(0), 0, 2));
        assert_reads();
    }
}

static void live_files_that_are_gone_need_an_operator(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    char *path;

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    path = str_dup(owner(0)->live->path);
    sim_die(f->sim);
    engine_close(steal_ptr(f->engine));
    sim_kill(f->sim);
    assert_int_equal(sim_io(f->sim)->ops->map_unlink(sim_io(f->sim), path), 0);
    free(path);
    assert_int_equal(fixture_restart(f, &err), -EUCLEAN);
    assert_non_null(strstr(error_text(err), "--accept-loss"));
}

static void a_clean_end_needs_no_live_file(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 5, 4096, 4096);
    engine_close(steal_ptr(f->engine));
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_reads();
    assert_true(owner_is_dirty(owner(0), 0, 0));
}

static void a_failed_flush_is_remembered(void **state)
{
    _cleanup_error_ struct error *err = NULL;

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 5, 4096, 4096);
    sim_set_fault(f->sim, SIM_EIO, 1);
    assert_int_equal(owner_flush(owner(0)), -EIO);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(owner_flush(owner(0)), -EIO);
    assert_int_equal(owner_pwrite(owner(0), "x", 1, 0, 0), -EIO);
    assert_int_equal(fixture_restart(f, &err), -EUCLEAN);
}

/* Masks and planes share a file.  The kernel tells one of those who sync it that pages were lost; the
 * other must not take its own for durable after that. */
static void planes_are_not_durable_after_a_failed_flush(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 5, 4096, 4096);
    sim_set_fault(f->sim, SIM_EIO, 1);
    assert_int_equal(owner_flush(owner(0)), -EIO);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(owner_checkpoint_planes(owner(0)), -EIO);
}

/* The record that failed may be lost, so the one before it must not be written over. */
static void no_record_of_the_activity_log_follows_a_failed_one(void **state)
{
    struct actlog *log;

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    log = owner(0)->log;
    sim_set_fault(f->sim, SIM_EIO, 2); /* the record is written, its fdatasync fails */
    assert_int_equal(actlog_activate(log, 0, 4096), -EIO);
    sim_set_fault(f->sim, SIM_NO_FAULT, 0);
    assert_int_equal(actlog_activate(log, 0, 4096), -EIO);
    assert_int_equal(actlog_clear(log), -EIO);
}

static void a_sealed_draft_is_dirty_after_the_flip(void **state)
{
    uint64_t gen;
    uint8_t byte = 0;

    for (unsigned d = 0, point = (unsigned)fixture_sync(f, -1, NULL); d < MEM_DISKS; d++)
        memcpy(want[d], fixture_bytes(f, (int)point, d), mem_sizes[d]);
    assert_int_equal(draft_create(f->engine, "morph", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(draft_pwrite(f->engine->drafts, &f->engine->disks[0], "boot", 4, BLOCK_SIZE),
                     0);
    memcpy(want[0] + BLOCK_SIZE, "boot", 4);
    assert_int_equal(draft_seal(f->engine, "morph", NULL, &gen, NULL), 0);
    fixture_fold(f);
    assert_int_equal(engine_flip(f->engine, &(struct flip_request){0}, NULL, NULL, NULL), 0);
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_true(owner_is_dirty(owner(0), 0, 1));
    assert_false(owner_is_dirty(owner(0), 0, 0));
    assert_reads();
    power_loss(SIM_LOSE_ALL);
    assert_true(owner_is_dirty(owner(0), 0, 1));
    assert_int_equal(owner_pread(owner(0), &byte, 1, BLOCK_SIZE), 0);
    assert_int_equal(byte, 'b');
}

/* What a draft over the owner reads: the owner, and what was written to the draft. */
static void assert_draft_reads(uint8_t *const bytes[MEM_DISKS])
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(draft_pread(f->engine->drafts, &f->engine->disks[d], have,
                                     (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, bytes[d], mem_sizes[d]);
    }
}

static void write_draft(unsigned d, const char *text, uint64_t offset)
{
    assert_int_equal(draft_pwrite(f->engine->drafts, &f->engine->disks[d], text,
                                  (uint32_t)strlen(text), offset), 0);
    memcpy(want[d] + offset, text, strlen(text));
}

/* An instant cutover's morph: dropped once, then sealed; with blocks missing, or with none. */
static void morph_over_the_owner(bool hydrated)
{
    struct export *client = NULL;
    uint64_t gen, before;

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    if (hydrated) {
        hydrate_all();
        keeper_round(f->engine, true);
    }
    before = f->engine->cur_gen;
    assert_int_equal(draft_create(f->engine, "morph", NO_GENERATION, &gen, NULL), 0);
    assert_int_equal(draft_pwrite(f->engine->drafts, &f->engine->disks[1], "no", 2, 9), 0);
    assert_int_equal(draft_drop(f->engine, "morph", NULL), 0);
    assert_reads();
    assert_int_equal(draft_create(f->engine, "morph", NO_GENERATION, &gen, NULL), 0);
    write_draft(0, "boots", BLOCK_SIZE - 2);
    write_draft(1, "too", 4096);
    assert_draft_reads(want);
    assert_int_equal(engine_export_open(f->engine, "sda", &client, NULL), 0);
    assert_int_equal(draft_seal(f->engine, "morph", NULL, &gen, NULL), -EBUSY);
    export_close(client);
    assert_draft_reads(want);
    assert_int_equal(draft_seal(f->engine, "morph", NULL, &gen, NULL), 0);
    assert_int_equal(gen, before + 1);
    assert_int_equal(f->engine->mode, MODE_OWNER_HYD);
    put(0, 7, 4096, 4096);
    assert_int_equal(owner_flush(owner(0)), 0);
    power_loss(SIM_LOSE_ALL);
    assert_int_equal(f->engine->cur_gen, before + 1);
    assert_reads();
    keeper_round(f->engine, true);
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_reads();
}

static void a_draft_over_a_hydrating_owner_is_sealed(void **state)
{
    morph_over_the_owner(false);
}

static void a_draft_over_a_complete_owner_is_sealed(void **state)
{
    morph_over_the_owner(true);
}

static int next_generation(struct super *s, void *context)
{
    s->cur_gen++;
    return 0;
}

/* As a draft over the owner does when it is sealed. */
static void layers_on_top_of_an_owner(void **state)
{
    struct layer *layers[DISKS_MAX] = {0};
    struct disk *d = &f->engine->disks[0];
    struct layer_params params = {.gen = 1, .disk_size = mem_sizes[0], .snapshot = ""};
    struct io *io = sim_io(f->sim);
    _cleanup_free_ char *stem = disk_layer_stem(d, 1);

    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    put(0, 4, 0, 4096);
    put(1, 4, 512, 512);
    assert_int_equal(layer_create(io, stem, &params, &layers[0]), 0);
    layers[0]->local = true;
    memset(want[0] + BLOCK_SIZE, 'd', BLOCK_SIZE);
    assert_int_equal(io_write(io, layers[0]->read_fd, want[0] + BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE,
                              false), 0);
    layer_set_state(layers[0], 1, BLOCK_DATA);
    layer_set_state(layers[0], 2, BLOCK_ZERO);
    memset(want[0] + 2 * BLOCK_SIZE, 0, BLOCK_SIZE);
    assert_int_equal(layer_seal(layers[0]), 0);
    assert_int_equal(io->ops->sync_dir(io, d->folder), 0);
    assert_int_equal(owner_add_layers(f->engine, layers, next_generation, NULL, NULL), 0);
    layer_unref(layers[0]);
    assert_int_equal(f->engine->mode, MODE_OWNER_HYD);
    put(0, 6, BLOCK_SIZE + 4096, 512);
    assert_int_equal(owner_flush(owner(0)), 0);
    power_loss(SIM_LOSE_ALL);
    assert_true(owner_is_dirty(owner(0), 0, 1) && owner_is_dirty(owner(0), 0, 2));
    assert_true(owner_is_dirty(owner(1), 0, 0));
    assert_reads();
    keeper_round(f->engine, true);
    assert_int_equal(f->engine->mode, MODE_OWNER);
    assert_reads();
}

static void a_bitmap_that_begins_elsewhere_is_refused(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    int first = fixture_sync(f, -1, NULL);
    struct flip_request q = {.instant = true, .snapshot = "p9", .since = "p7"};
    struct sync_source sources[] = {{"sda", "mem:0/0", "since:0"}, {"sdb", "mem:0/1", "since:0"}};

    q.sources = sources;
    q.source_count = 2;
    assert_int_equal(engine_flip(f->engine, &q, NULL, NULL, &err), -EINVAL);
    assert_int_equal(f->engine->mode, MODE_MIRROR);
    write_source(30);
    assert_true(fixture_sync(f, first, NULL) > first); /* everything goes on */
}

static void a_token_takes_effect_once(void **state)
{
    json_t *args = json_pack("{s:s}", "token", "t1"), *result = NULL;

    fixture_sync(f, -1, NULL);
    assert_int_equal(verb_run(f->engine, "flip", args, NULL, NULL, &result, NULL), 0);
    assert_true(json_is_false(json_object_get(result, "already")));
    json_decref(result);
    assert_int_equal(fixture_restart(f, NULL), 0);
    assert_int_equal(verb_run(f->engine, "flip", args, NULL, NULL, &result, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "already")));
    json_decref(result);
    json_decref(args);
}

static void trim_takes_whole_sub_blocks_only(void **state)
{
    assert_int_equal(flip_instant(final_point(), -1, NULL), 0);
    assert_int_equal(owner_trim(owner(0), 3 * 4096, 2048, 0), 0);
    memset(want[0] + 4096, 0, 2 * 4096);
    assert_reads();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)
    const struct CMUnitTest tests[] = {
        TEST(out_of_an_empty_mirror),
        TEST(out_of_a_mirror_that_is_behind),
        TEST(a_flip_that_succeeds_knows_its_source),
        TEST(layers_that_are_not_folded_stay_sources),
        TEST(a_write_of_whole_sub_blocks_fetches_nothing),
        TEST(a_client_that_comes_at_once_can_be_served),
        TEST(a_write_inside_a_sub_block_keeps_the_rest_of_it),
        TEST(what_is_acknowledged_survives_a_kill),
        TEST(what_is_flushed_survives_a_power_loss),
        TEST(live_files_that_are_gone_need_an_operator),
        TEST(a_clean_end_needs_no_live_file),
        TEST(a_failed_flush_is_remembered),
        TEST(planes_are_not_durable_after_a_failed_flush),
        TEST(no_record_of_the_activity_log_follows_a_failed_one),
        TEST(a_sealed_draft_is_dirty_after_the_flip),
        TEST(layers_on_top_of_an_owner),
        TEST(a_draft_over_a_hydrating_owner_is_sealed),
        TEST(a_draft_over_a_complete_owner_is_sealed),
        TEST(a_bitmap_that_begins_elsewhere_is_refused),
        TEST(a_token_takes_effect_once),
        TEST(trim_takes_whole_sub_blocks_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
