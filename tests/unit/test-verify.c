/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include "engine/repair.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static json_t *result;
static struct verify verify;

static int enter(void **state)
{
    f = fixture_new();
    atomic_store(&verify.cancel, false);
    return 0;
}

static int leave(void **state)
{
    json_decref(result);
    result = NULL;
    fixture_free(f);
    return 0;
}

static int check_sample(int point, double percent, uint64_t seed, struct error **err)
{
    char uris[2][32];
    struct sync_source sources[2] = {{"sda", uris[0], NULL}, {"sdb", uris[1], NULL}};
    struct verify_request q = {.sources = sources, .source_count = 2, .sample_percent = percent,
                               .seed = seed};

    for (int d = 0; d < 2; d++)
        snprintf(uris[d], sizeof(uris[d]), "mem:%d/%d", point, d);
    json_decref(result);
    result = NULL;
    return verify_run(&verify, f->engine, &q, NULL, NULL, &result, err);
}

static uint64_t number(const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(result, name));
}

static uint64_t all_bytes(void)
{
    return mem_sizes[0] + mem_sizes[1];
}

/* A layer over the base, and a point in time of the source that has changed since. */
static int make_layer(void)
{
    int point = fixture_sync(f, -1, NULL);

    for (int i = 0; i < 6; i++)
        memsource_write(f->source, 90 + (uint64_t)i);
    point = fixture_sync(f, point, NULL);
    assert_true(point > 0);
    return point;
}

static void the_same_point_is_equal(void **state)
{
    int point = make_layer();

    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
    assert_int_equal(number("checked_bytes"), all_bytes());
    fixture_fold(f);
    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
}

/* What differs is told block by block, no more and no less. */
static void another_point_differs_where_it_does(void **state)
{
    int point = make_layer();
    const uint8_t *before = fixture_bytes(f, point, 0), *after;
    uint64_t differing = 0;
    const json_t *disk;

    f->source->live[0][3 * BLOCK_SIZE + 7] ^= 1;
    f->source->live[0][mem_sizes[0] - 1] ^= 1;
    point = (int)memsource_point(f->source);
    after = fixture_bytes(f, point, 0);
    for (uint64_t at = 0; at < mem_sizes[0]; at += BLOCK_SIZE) {
        uint64_t left = mem_sizes[0] - at, length = left < BLOCK_SIZE ? left : BLOCK_SIZE;

        differing += memcmp(before + at, after + at, length) != 0 ? length : 0;
    }
    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_false(json_is_true(json_object_get(result, "equal")));
    assert_int_equal(number("differing_bytes"), differing);
    disk = json_array_get(json_object_get(result, "disks"), 0);
    assert_int_equal(json_integer_value(json_object_get(disk, "differing_extents")), 2);
    disk = json_array_get(json_object_get(disk, "extents"), 0);
    assert_int_equal(json_integer_value(json_object_get(disk, "offset")), 3 * BLOCK_SIZE);
    assert_int_equal(json_integer_value(json_object_get(disk, "length")), BLOCK_SIZE);
}

static void a_sample_is_a_part_and_never_nothing(void **state)
{
    int point = make_layer();
    uint64_t sum = 0;

    for (uint64_t seed = 1; seed <= 200; seed++) {
        assert_int_equal(check_sample(point, 30, seed * 7919, NULL), 0);
        assert_true(json_is_true(json_object_get(result, "equal")));
        assert_in_range(number("checked_bytes"), 1, all_bytes());
        sum += number("checked_bytes");
    }
    assert_in_range(sum / 200, all_bytes() / 5, all_bytes() / 2);
    assert_int_equal(check_sample(point, 0.0001, 5, NULL), 0);
    assert_true(number("checked_bytes") > 0);
}

static void a_failing_source_is_named(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    int point = make_layer();

    f->source->fail_read_at = 2;
    assert_true(check_sample(point, 100, 1, &e) < 0);
    assert_non_null(strstr(error_text(e), "source of disk sda"));
    assert_null(f->engine->views->next); /* the view is given back */
}

static void without_a_generation_it_is_refused(void **state)
{
    memsource_point(f->source);
    assert_int_equal(check_sample(0, 100, 1, NULL), -EPERM);
}

static void a_cancel_ends_it(void **state)
{
    int point = make_layer();

    atomic_store(&verify.cancel, true);
    assert_int_equal(check_sample(point, 100, 1, NULL), -ECANCELED);
}

static void another_size_is_refused(void **state)
{
    int point = make_layer();

    f->source->shrunk = true;
    assert_int_equal(check_sample(point, 100, 1, NULL), -EINVAL);
}

static struct disk *sda(void)
{
    return &f->engine->disks[0];
}

/* The engine's view of sda, byte by byte. */
static void assert_sda(const uint8_t *want)
{
    uint8_t have[6 * BLOCK_SIZE];
    struct view *v;

    assert_int_equal(view_get(f->engine, NO_GENERATION, &v), 0);
    assert_int_equal(view_pread(v, sda(), have, (uint32_t)mem_sizes[0], 0), 0);
    assert_memory_equal(have, want, mem_sizes[0]);
    view_put(v);
}

static int repair(int point, double percent, bool bytes, const char *only, struct error **err)
{
    char uris[2][32];
    struct sync_source sources[2] = {{"sda", uris[0], NULL}, {"sdb", uris[1], NULL}};
    struct verify_request q = {.sources = sources, .source_count = only ? 1 : 2, .bytes = bytes,
                               .sample_percent = percent, .seed = 5};

    for (int d = 0; d < 2; d++)
        snprintf(uris[d], sizeof(uris[d]), "mem:%d/%d", point, d);
    json_decref(result);
    result = NULL;
    return repair_run(&verify, f->engine, &q, NULL, NULL, &result, err);
}

static void make_rot(uint64_t block)
{
    uint8_t data[512];

    memset(data, 0x5a, sizeof(data));
    assert_int_equal(io_write(sda()->io, sda()->target.buffered_fd, data, sizeof(data),
                              block * BLOCK_SIZE + 512, false), 0);
}

/* A mirror of a busy source: no block is zero. */
static int make_full(void)
{
    memset(f->source->live[0], 0x11, mem_sizes[0]);
    memset(f->source->live[1], 0x22, mem_sizes[1]);
    return fixture_sync(f, -1, NULL);
}

/* Changed-block tracking missed a block: it is fetched, and the rest is left alone. */
static void what_differs_is_fetched_again(void **state)
{
    uint64_t counts[4];
    int point = make_full();

    f->source->points[point][0][2 * BLOCK_SIZE + 9] ^= 1;
    f->source->points[point][0][mem_sizes[0] - 1] ^= 1;
    assert_int_equal(repair(point, 100, false, NULL, NULL), 0);
    assert_int_equal(number("differing_bytes"), BLOCK_SIZE + 3 * 512);
    assert_int_equal(number("rotten_bytes"), 0);
    assert_int_equal(f->engine->cur_gen, 1);
    assert_string_equal(superfile_get(&f->engine->super).snapshot, "p0");
    layer_count(sda()->layers[0], counts);
    assert_int_equal(counts[BLOCK_DATA], 2);
    assert_sda(f->source->points[point][0]);
    assert_int_equal(repair(point, 100, true, NULL, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
    assert_true(json_is_null(json_object_get(result, "repaired")));
    assert_int_equal(f->engine->cur_gen, 1);
}

static void what_rotted_here_is_told_apart(void **state)
{
    int point = make_full();

    make_rot(1);
    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal"))); /* digests alone do not see it */
    f->source->points[point][0][3 * BLOCK_SIZE] ^= 1;
    assert_int_equal(repair(point, 100, true, "sda", NULL), 0); /* of one disk */
    assert_int_equal(number("differing_bytes"), 2 * BLOCK_SIZE);
    assert_int_equal(number("rotten_bytes"), BLOCK_SIZE);
    assert_sda(f->source->points[point][0]);
    fixture_fold(f);
    assert_sda(f->source->points[point][0]);
    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
}

/* A digest that is damaged, with bytes as they should be. */
static void a_bad_digest_is_rot_too(void **state)
{
    uint8_t bad[DIGEST_SIZE] = {7};
    int point = make_full();

    assert_int_equal(io_write(sda()->io, sda()->digest_fd, bad, sizeof(bad), 0, false), 0);
    assert_int_equal(repair(point, 100, false, NULL, NULL), 0);
    assert_int_equal(number("differing_bytes"), 0);
    assert_int_equal(number("rotten_bytes"), BLOCK_SIZE);
    assert_int_equal(check_sample(point, 100, 1, NULL), 0);
    assert_true(json_is_true(json_object_get(result, "equal")));
}

static void a_sample_that_finds_something_goes_on_to_all(void **state)
{
    int point = make_full();

    for (uint64_t b = 0; b < 4; b++)
        f->source->points[point][0][b * BLOCK_SIZE] ^= 1;
    assert_int_equal(repair(point, 60, false, NULL, NULL), 0);
    assert_non_null(json_object_get(result, "audit"));
    assert_int_equal(number("differing_bytes"), 4 * BLOCK_SIZE);
    assert_sda(f->source->points[point][0]);
}

/* The source fails in the middle: the mirror is as it was, and no half layer is left. */
static void a_repair_that_fails_leaves_nothing(void **state)
{
    _cleanup_error_ struct error *e = NULL;
    int point = make_full();
    uint8_t *before = f->source->points[point][0];
    uint8_t copy[6 * BLOCK_SIZE];

    memcpy(copy, before, mem_sizes[0]);
    for (uint64_t b = 0; b < 4; b++)
        before[b * BLOCK_SIZE] ^= 1;
    f->source->fail_read_at = 3;
    assert_true(repair(point, 100, false, NULL, &e) < 0);
    assert_null(sda()->loading);
    assert_null(f->engine->operation);
    assert_int_equal(f->engine->cur_gen, 0);
    assert_sda(copy);
    assert_true(fixture_sync(f, -1, NULL) >= 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_point_is_equal),
        TEST(another_point_differs_where_it_does),
        TEST(a_sample_is_a_part_and_never_nothing),
        TEST(a_failing_source_is_named),
        TEST(without_a_generation_it_is_refused),
        TEST(a_cancel_ends_it),
        TEST(another_size_is_refused),
        TEST(what_differs_is_fetched_again),
        TEST(what_rotted_here_is_told_apart),
        TEST(a_bad_digest_is_rot_too),
        TEST(a_sample_that_finds_something_goes_on_to_all),
        TEST(a_repair_that_fails_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
