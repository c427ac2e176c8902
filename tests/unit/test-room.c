/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "engine/draft.h"
#include "engine/flip.h"
#include "engine/room.h"
#include "tests/model/fixture.h"

#define POINTS 24

static struct fixture *f;
static struct engine *e;
static int points[POINTS]; /* of each generation */
static unsigned count;

static int next_generation(struct error **err)
{
    int point;

    memsource_write(f->source, 500 + count);
    point = fixture_sync(f, count ? points[count - 1] : -1, err);
    if (point >= 0)
        points[count++] = point;
    return point;
}

static int enter(void **state)
{
    f = fixture_new();
    e = f->engine;
    e->revoke_grace_ns = 0;
    count = 0;
    return next_generation(NULL) < 0;
}

static int leave(void **state)
{
    fixture_free(f);
    return 0;
}

static int sync_times(unsigned n)
{
    int r = 0;

    for (; r >= 0 && n > 0; n--) {
        r = next_generation(NULL);
        fixture_fold(f);
    }
    return r;
}

static void set(uint16_t keep, enum when_full when, uint64_t budget)
{
    struct room_policy p = {keep, when, budget};

    assert_int_equal(room_set(e, &p, NULL), 0);
    fixture_fold(f);
}

static void assert_view(struct view *v, uint64_t gen)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(view_pread(v, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, fixture_bytes(f, points[gen], d), mem_sizes[d]);
    }
}

static bool readable(uint64_t gen)
{
    struct view *v = NULL;

    if (view_get(e, gen, &v) < 0)
        return false;
    assert_view(v, gen);
    view_put(v);
    return true;
}

static void assert_readable_from(uint64_t oldest)
{
    for (uint64_t g = 0; g < count; g++)
        assert_int_equal(readable(g), g >= oldest);
}

static void nothing_is_kept_unless_told(void **state)
{
    assert_true(sync_times(3) >= 0);
    assert_readable_from(3);
    assert_int_equal(e->disks[0].layer_count, 0);
}

static void the_last_generations_stay_readable(void **state)
{
    set(2, WHEN_FULL_REVOKE, 0);
    assert_true(sync_times(5) >= 0);
    assert_readable_from(3);
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_int_equal(room_policy(e).keep, 2);
    fixture_fold(f);
    assert_readable_from(3);
    set(1, WHEN_FULL_REVOKE, 0);
    assert_readable_from(4);
    set(KEEP_MAX, WHEN_FULL_REVOKE, 0);
    assert_true(sync_times(KEEP_MAX + 3) >= 0);
    assert_readable_from(count - 1 - KEEP_MAX);
}

static void a_policy_that_makes_no_sense_is_refused(void **state)
{
    struct room_policy p = {.keep = KEEP_MAX + 1};

    assert_int_equal(room_set(e, &p, NULL), -EINVAL);
    assert_int_equal(room_policy(e).keep, 0);
}

static void syncs_land_while_a_reader_and_two_drafts_stay_exact(void **state)
{
    struct view *pin = NULL;
    struct draft *drafts[2];
    uint8_t byte = 0;
    uint64_t gen;

    assert_true(sync_times(2) >= 0);
    assert_int_equal(view_get(e, 2, &pin), 0);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "two" : "one";

        assert_true(sync_times(1) >= 0);
        assert_int_equal(draft_create(e, name, NO_GENERATION, &gen, NULL), 0);
        drafts[i] = draft_find_locked(e, name, 3);
        assert_int_equal(draft_pwrite(drafts[i], &e->disks[0], "X", 1, 70000), 0);
    }
    for (int i = 0; i < LAYERS_MAX; i++) {
        if (i == 5) { /* the reader goes, and what it held back is folded */
            assert_view(pin, 2);
            view_put(pin);
            fixture_fold(f);
            assert_int_equal(view_get(e, 3, &pin), 0);
        }
        if (i == 6) {
            assert_int_equal(draft_drop(e, "one", NULL), 0);
            view_put(pin);
            fixture_fold(f);
            assert_int_equal(view_get(e, 4, &pin), 0);
        }
        assert_true(sync_times(1) >= 0);
        assert_int_equal(draft_pread(drafts[1], &e->disks[0], &byte, 1, 70000), 0);
        assert_int_equal(byte, 'X');
        assert_int_equal(draft_pread(drafts[1], &e->disks[0], &byte, 1, 70001), 0);
        assert_int_equal(byte, fixture_bytes(f, points[4], 0)[70001]);
        assert_view(pin, i < 5 ? 2 : i == 5 ? 3 : 4);
        assert_true(readable(count - 1));
    }
    view_put(pin);
}

/* 8 layers that a reader of generation 0 keeps from being folded. */
static struct view *fill(void)
{
    struct view *pin = NULL;

    assert_int_equal(view_get(e, 0, &pin), 0);
    assert_true(sync_times(LAYERS_MAX) >= 0);
    assert_int_equal(e->disks[0].layer_count, LAYERS_MAX);
    assert_view(pin, 0);
    return pin;
}

static void the_oldest_reader_has_to_go_when_there_is_no_room(void **state)
{
    struct view *pin = fill(), *newer = NULL;
    char byte;

    assert_int_equal(view_get(e, LAYERS_MAX, &newer), 0);
    assert_true(sync_times(1) >= 0);
    assert_int_equal(view_pread(pin, &e->disks[0], &byte, 1, 0), -ESHUTDOWN);
    assert_int_equal(e->revoked_count, 1);
    assert_view(newer, LAYERS_MAX);
    view_put(newer);
    view_put(pin);
    fixture_fold(f);
    assert_true(readable(count - 1));
}

static void a_sync_is_refused_when_readers_come_first(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    struct view *pin;

    set(0, WHEN_FULL_WAIT, 0);
    pin = fill();
    assert_int_equal(next_generation(&err), -EBUSY);
    assert_non_null(strstr(error_text(err), "generation 0"));
    assert_view(pin, 0);
    view_put(pin);
    assert_true(next_generation(NULL) >= 0);
}

static void a_draft_is_never_taken_away(void **state)
{
    _cleanup_error_ struct error *err = NULL;
    uint64_t gen;

    assert_int_equal(draft_create(e, "trial", NO_GENERATION, &gen, NULL), 0);
    assert_true(sync_times(LAYERS_MAX) >= 0);
    assert_int_equal(next_generation(&err), -EBUSY);
    assert_non_null(strstr(error_text(err), "'trial'"));
    assert_int_equal(draft_drop(e, "trial", NULL), 0);
    assert_true(next_generation(NULL) >= 0);
}

static void what_is_only_kept_gives_way_to_readers(void **state)
{
    struct view *pin = NULL;

    set(4, WHEN_FULL_WAIT, 0);
    assert_true(sync_times(5) >= 0);
    assert_readable_from(1);
    assert_int_equal(view_get(e, 5, &pin), 0);
    set(4, WHEN_FULL_WAIT, 1); /* any layer is over this budget */
    assert_readable_from(5);
    assert_view(pin, 5);
    view_put(pin);
}

static void the_budget_counts_layers(void **state)
{
    struct view *pin = NULL;

    assert_int_equal(view_get(e, 0, &pin), 0);
    assert_true(sync_times(1) >= 0);
    set(0, WHEN_FULL_WAIT, 1);
    assert_true(room_layer_bytes_locked(e) > 0);
    assert_int_equal(next_generation(NULL), -EBUSY);
    set(0, WHEN_FULL_WAIT, UINT64_C(1) << 40);
    assert_true(next_generation(NULL) >= 0);
    view_put(pin);
}

static void assert_owner(uint64_t gen)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        struct export *x = NULL;
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(engine_export_open(e, d ? "sdb" : "sda", &x, NULL), 0);
        assert_int_equal(export_pread(x, have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, fixture_bytes(f, points[gen], d), mem_sizes[d]);
        export_close(x);
    }
}

static void a_flip_may_go_back_to_a_generation_that_is_kept(void **state)
{
    uint64_t size;

    set(3, WHEN_FULL_REVOKE, 0);
    assert_true(sync_times(4) >= 0);
    assert_int_equal(engine_flip(e, &(struct flip_request){.older = true, .generation = 0}, NULL,
                                 NULL, NULL), -ENOENT);
    assert_true(readable(4));
    assert_int_equal(engine_flip(e, &(struct flip_request){.older = true, .generation = 2}, NULL,
                                 NULL, NULL), 0);
    assert_int_equal(e->cur_gen, 2);
    assert_owner(2);
    assert_null(sim_file(f->sim, FIXTURE_STORE "/sda/L4.data", &size));
    assert_int_equal(fixture_restart(f, NULL), 0);
    e = f->engine;
    assert_int_equal(e->cur_gen, 2);
    assert_owner(2);
}

static void a_flip_folds_what_is_only_kept(void **state)
{
    set(3, WHEN_FULL_REVOKE, 0);
    assert_true(sync_times(4) >= 0);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), 0);
    assert_int_equal(e->cur_gen, 4);
    assert_owner(4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_kept_unless_told),
        TEST(the_last_generations_stay_readable),
        TEST(a_policy_that_makes_no_sense_is_refused),
        TEST(syncs_land_while_a_reader_and_two_drafts_stay_exact),
        TEST(the_oldest_reader_has_to_go_when_there_is_no_room),
        TEST(a_sync_is_refused_when_readers_come_first),
        TEST(a_draft_is_never_taken_away),
        TEST(what_is_only_kept_gives_way_to_readers),
        TEST(the_budget_counts_layers),
        TEST(a_flip_may_go_back_to_a_generation_that_is_kept),
        TEST(a_flip_folds_what_is_only_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
