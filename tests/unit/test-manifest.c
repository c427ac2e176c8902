/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/str.h"
#include "engine/attest.h"
#include "engine/manifest.h"
#include "tests/model/fixture.h"

static struct fixture *f;
static struct verify stop;
static char folder[64];
static char *key, *public_key;

static int enter(void **state)
{
    f = fixture_new();
    atomic_store(&stop.cancel, false);
    snprintf(folder, sizeof(folder), "/tmp/slipway-manifest-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    key = str_format("%s/key", folder);
    public_key = str_format("%s/key.pub", folder);
    return attest_key_create(key, NULL);
}

static int leave(void **state)
{
    unlink(key);
    unlink(public_key);
    rmdir(folder);
    free(key);
    free(public_key);
    fixture_free(f);
    return 0;
}

static char *make_text(void)
{
    json_t *manifest = NULL;
    char *text;

    assert_true(fixture_sync(f, -1, NULL) >= 0);
    assert_int_equal(manifest_make(&stop, f->engine, key, NULL, NULL, &manifest, NULL), 0);
    text = json_dumps(manifest, JSON_COMPACT);
    json_decref(manifest);
    return text;
}

static int parse(const char *text, size_t length)
{
    json_t *manifest = NULL;
    int r = manifest_parse(text, length, "m", public_key, &manifest, NULL);

    json_decref(manifest);
    return r;
}

static void the_targets_hold_what_it_says(void **state)
{
    _cleanup_free_ char *text = make_text();
    struct io *io = sim_io(f->sim);
    json_t *manifest = NULL;
    uint64_t size;
    uint8_t *copy;

    assert_int_equal(manifest_parse(text, strlen(text), "m", public_key, &manifest, NULL), 0);
    assert_int_equal(manifest_check_disk(manifest, "sda", io, "/target/sda", NULL, NULL, NULL), 1);
    assert_int_equal(manifest_check_disk(manifest, "sdb", io, "/target/sdb", NULL, NULL, NULL), 1);
    assert_int_equal(manifest_check_disk(manifest, "sda", io, "/target/sdb", NULL, NULL, NULL), 0);
    assert_int_equal(manifest_check_disk(manifest, "sdc", io, "/target/sda", NULL, NULL, NULL),
                     -ENOENT);
    copy = malloc(mem_sizes[0]);
    memcpy(copy, sim_file(f->sim, "/target/sda", &size), mem_sizes[0]);
    copy[mem_sizes[0] - 1] ^= 1;
    sim_put(f->sim, "/target/other", copy, mem_sizes[0]);
    free(copy);
    assert_int_equal(manifest_check_disk(manifest, "sda", io, "/target/other", NULL, NULL, NULL),
                     0);
    json_decref(manifest);
}

static void any_changed_byte_is_refused(void **state)
{
    _cleanup_free_ char *text = make_text();
    size_t length = strlen(text);

    assert_int_equal(parse(text, length), 0);
    for (size_t i = 0; i < length; i++) {
        for (int bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ 1 << bit);
            assert_true(parse(text, length) < 0);
            text[i] = (char)(text[i] ^ 1 << bit);
        }
        assert_true(parse(text, i) < 0); /* cut short */
    }
}

/* Layers over the target belong to the view, and so to the manifest. */
static void it_is_of_the_latest_generation(void **state)
{
    _cleanup_free_ char *text = make_text();
    json_t *first = json_loads(text, 0, NULL), *second = NULL, *folded = NULL;

    for (int i = 0; i < 8; i++)
        memsource_write(f->source, 40 + (uint64_t)i);
    assert_true(fixture_sync(f, -1, NULL) > 0);
    assert_int_equal(manifest_make(&stop, f->engine, NULL, NULL, NULL, &second, NULL), 0);
    fixture_fold(f);
    assert_int_equal(manifest_make(&stop, f->engine, NULL, NULL, NULL, &folded, NULL), 0);
    assert_false(json_equal(json_object_get(first, "disks"), json_object_get(second, "disks")));
    assert_true(json_equal(json_object_get(second, "disks"), json_object_get(folded, "disks")));
    json_decref(first);
    json_decref(second);
    json_decref(folded);
}

static void it_is_refused_or_ended_in_sentences(void **state)
{
    json_t *manifest = NULL;

    assert_int_equal(manifest_make(&stop, f->engine, NULL, NULL, NULL, &manifest, NULL), -EPERM);
    assert_int_equal(manifest_make(&stop, f->engine, public_key, NULL, NULL, &manifest, NULL),
                     -EPERM); /* others can read it */
    assert_true(fixture_sync(f, -1, NULL) >= 0);
    atomic_store(&stop.cancel, true);
    assert_int_equal(manifest_make(&stop, f->engine, NULL, NULL, NULL, &manifest, NULL),
                     -ECANCELED);
    assert_null(manifest);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, enter, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_targets_hold_what_it_says),
        TEST(any_changed_byte_is_refused),
        TEST(it_is_of_the_latest_generation),
        TEST(it_is_refused_or_ended_in_sentences),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
