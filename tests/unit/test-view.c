/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/str.h"
#include "engine/fingerprint.h"
#include "engine/flip.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static struct engine *e;
static int point[3];

/* Generations 0, 1 and 2, nothing folded. */
static int enter(void **state)
{
    f = fixture_new();
    e = f->engine;
    point[0] = fixture_sync(f, -1, NULL);
    for (int g = 1; g < 3; g++) {
        memsource_write(f->source, 100 + (uint64_t)g);
        point[g] = fixture_sync(f, point[g - 1], NULL);
    }
    return point[2] < 0 ? -1 : 0;
}

static int leave(void **state)
{
    fixture_free(f);
    return 0;
}

static void assert_reads(struct view *v, int at)
{
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        _cleanup_free_ uint8_t *have = mem_new(1, mem_sizes[d]);

        assert_int_equal(view_pread(v, &e->disks[d], have, (uint32_t)mem_sizes[d], 0), 0);
        assert_memory_equal(have, fixture_bytes(f, at, d), mem_sizes[d]);
    }
}

static void each_generation_reads_as_its_point_in_time(void **state)
{
    for (uint64_t g = 0; g < 3; g++) {
        struct view *v = NULL;

        assert_int_equal(view_get(e, g, &v), 0);
        assert_reads(v, point[g]);
        view_put(v);
    }
}

static void odd_ranges_read_the_same_bytes(void **state)
{
    struct random r = {4};
    struct view *v = NULL;

    assert_int_equal(view_get(e, NO_GENERATION, &v), 0);
    for (int i = 0; i < 300; i++) {
        unsigned d = random_below(&r, MEM_DISKS);
        uint32_t offset = random_below(&r, (uint32_t)mem_sizes[d]);
        uint32_t length = 1 + random_below(&r, (uint32_t)mem_sizes[d] - offset);
        _cleanup_free_ uint8_t *have = mem_new(1, length);

        assert_int_equal(view_pread(v, &e->disks[d], have, length, offset), 0);
        assert_memory_equal(have, fixture_bytes(f, point[2], d) + offset, length);
    }
    view_put(v);
}

static void a_pin_keeps_its_bytes_while_others_are_folded(void **state)
{
    struct view *v = NULL;

    assert_int_equal(view_get(e, 1, &v), 0);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 1); /* layer 2 must wait for the pin */
    assert_reads(v, point[1]);
    view_put(v);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 0);
}

static void folded_generations_are_gone(void **state)
{
    struct view *v = NULL;

    fixture_fold(f);
    assert_int_equal(view_get(e, 1, &v), -ENOENT);
    assert_int_equal(view_get(e, 3, &v), -ENOENT);
    assert_int_equal(view_get(e, 2, &v), 0);
    assert_reads(v, point[2]);
    view_put(v);
}

/* Between the choice of a layer and the beginning of its fold a reader may come. */
static void a_fold_does_not_begin_under_a_reader_that_just_came(void **state)
{
    struct disk *d = fold_candidate(e);
    struct view *v = NULL;
    struct fold fold;

    assert_non_null(d);
    assert_int_equal(view_get(e, 0, &v), 0);
    assert_int_equal(fold_begin(&fold, e, d), -EAGAIN);
    fold_end(&fold);
    assert_reads(v, point[0]);
    view_put(v);
    fixture_fold(f);
    assert_int_equal(e->disks[0].layer_count, 0);
}

/* By the definition, from the bytes alone. */
static void expected_fingerprint(unsigned d, int at, uint8_t ret[DIGEST_SIZE])
{
    uint8_t digests[16 * DIGEST_SIZE], group[DIGEST_SIZE];
    uint64_t blocks = e->disks[d].blocks;

    for (uint64_t b = 0; b < blocks; b++)
        digest_block(fixture_bytes(f, at, d) + b * BLOCK_SIZE,
                     disk_block_length(&e->disks[d], b), digests + b * DIGEST_SIZE);
    digest_block(digests, blocks * DIGEST_SIZE, group);
    digest_block(group, DIGEST_SIZE, ret);
}

static void a_fingerprint_is_of_the_bytes_however_they_are_stored(void **state)
{
    atomic_bool never = false;

    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t g = round ? e->cur_gen : 0; g <= e->cur_gen; g++)
            for (unsigned d = 0; d < MEM_DISKS; d++) {
                uint8_t have[DIGEST_SIZE], want[DIGEST_SIZE];
                struct view *v = NULL;

                assert_int_equal(view_get(e, g, &v), 0);
                assert_int_equal(fingerprint_view(v, &e->disks[d], &never, have), 0);
                expected_fingerprint(d, point[g], want);
                assert_memory_equal(have, want, DIGEST_SIZE);
                view_put(v);
            }
        fixture_fold(f); /* and once more, out of the target alone */
    }
}

struct covered {
    const uint8_t *bytes;
    uint64_t next;
};

static int check_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    struct covered *c = context;

    assert_int_equal(offset, c->next);
    assert_true(length > 0);
    c->next += length;
    for (uint64_t i = 0; flags & EXTENT_ZERO && i < length; i++)
        assert_int_equal(c->bytes[offset + i], 0);
    return 0;
}

static void extents_cover_the_disk_and_their_zeros_are_zero(void **state)
{
    struct view *v = NULL;

    assert_int_equal(view_get(e, 2, &v), 0);
    for (unsigned d = 0; d < MEM_DISKS; d++) {
        struct covered c = {.bytes = fixture_bytes(f, point[2], d)};

        assert_int_equal(view_extents(v, &e->disks[d], mem_sizes[d], 0, check_extent, &c), 0);
        assert_int_equal(c.next, mem_sizes[d]);
    }
    view_put(v);
}

static int ignore_extent(uint64_t offset, uint64_t length, unsigned flags, void *context)
{
    return 0;
}

static void a_revoked_view_refuses(void **state)
{
    struct view *v = NULL;
    char byte;

    assert_int_equal(view_get(e, NO_GENERATION, &v), 0);
    assert_int_equal(engine_flip(e, &(struct flip_request){0}, NULL, NULL, NULL), 0);
    assert_int_equal(view_pread(v, &e->disks[0], &byte, 1, 0), -ESHUTDOWN);
    /* Holes of the target are another generation's by now. */
    assert_int_equal(view_extents(v, &e->disks[0], mem_sizes[0], 0, ignore_extent, NULL),
                     -ESHUTDOWN);
    view_put(v);
    assert_int_equal(view_get(e, NO_GENERATION, &v), -ESHUTDOWN);
}

static void try_to_pin(const struct progress_report *report, void *context)
{
    struct view *v = NULL;
    bool *tried = context;

    *tried = true;
    assert_int_equal(view_get(e, NO_GENERATION, &v), -ESHUTDOWN);
}

static void nobody_begins_to_read_during_a_flip(void **state)
{
    bool tried = false;

    assert_int_equal(engine_flip(e, &(struct flip_request){0}, try_to_pin, &tried, NULL), 0);
    assert_true(tried);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_generation_reads_as_its_point_in_time),
        TEST(odd_ranges_read_the_same_bytes),
        TEST(a_pin_keeps_its_bytes_while_others_are_folded),
        TEST(folded_generations_are_gone),
        TEST(a_fold_does_not_begin_under_a_reader_that_just_came),
        TEST(a_fingerprint_is_of_the_bytes_however_they_are_stored),
        TEST(extents_cover_the_disk_and_their_zeros_are_zero),
        TEST(a_revoked_view_refuses),
        TEST(nobody_begins_to_read_during_a_flip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
