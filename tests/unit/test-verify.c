/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include "engine/verify.h"
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
