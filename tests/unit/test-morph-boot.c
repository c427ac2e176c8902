/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot configuration of real distributions: test-morph-boot FOLDER.  Each folder below it is a
 * guest:
 *   before/       its files
 *   after/        those files that must be different afterwards, or new; all others must be as
 *                 they were, byte for byte
 *   volumes       one a line: DEVICE DISK PARTITION TYPE UUID PARTUUID ("-": none)
 *   links         one a line: PATH TARGET (optional)
 *   wanted        the kernel that has to boot (optional)
 *   gone          paths that are removed, one a line (optional)
 * A second plan must be empty.  UPDATE_GOLDEN=1 writes the folders after/ anew: read them before
 * they are committed.
 */
#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "base/align.h"
#include "base/fdio.h"
#include "base/str.h"
#include "morph-tree.h"
#include "morph/change.h"
#include "morph/inspect.h"

static const char *folder;
static bool update;
static struct fake_tree *loading; /* of nftw(), which has no context */
static size_t loading_prefix;

static int load_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    _cleanup_free_ char *data = NULL;
    size_t length = 0;

    if (type != FTW_F)
        return 0;
    assert_int_equal(fdio_read_file(path, 1 << 20, &data, &length), 0);
    fake_put(loading, path + loading_prefix, data, length);
    return 0;
}

static void load_tree(struct fake_tree *tree, const char *guest, const char *which)
{
    _cleanup_free_ char *path = str_format("%s/%s/%s", folder, guest, which);

    loading = tree;
    loading_prefix = strlen(path);
    nftw(path, load_file, 16, FTW_PHYS);
}

static FILE *open_list(const char *guest, const char *name)
{
    _cleanup_free_ char *path = str_format("%s/%s/%s", folder, guest, name);

    return fopen(path, "r");
}

static void load_volumes(struct facts *facts, const char *guest)
{
    _cleanup_fclose_ FILE *file = open_list(guest, "volumes");
    char device[64], type[32], uuid[64], partuuid[64];
    int disk, partition;

    assert_non_null(file);
    while (fscanf(file, "%63s %d %d %31s %63s %63s", device, &disk, &partition, type, uuid,
                  partuuid) == 6) {
        struct volume *v = volume_add(&facts->volumes, device, disk, partition);

        str_replace(&v->type, strcmp(type, "-") ? type : "");
        str_replace(&v->uuid, strcmp(uuid, "-") ? uuid : "");
        str_replace(&v->partuuid, strcmp(partuuid, "-") ? partuuid : "");
        facts->volumes.disks = MAX(facts->volumes.disks, disk + 1);
    }
}

static void load_links(struct fake_tree *tree, const char *guest)
{
    _cleanup_fclose_ FILE *file = open_list(guest, "links");
    char path[256], target[256];

    while (file && fscanf(file, "%255s %255s", path, target) == 2)
        fake_link(tree, path, target);
}

static char *first_line(const char *guest, const char *name)
{
    _cleanup_fclose_ FILE *file = open_list(guest, name);
    char line[256];

    return file && fscanf(file, "%255s", line) == 1 ? str_dup(line) : NULL;
}

/* Plans with the changes that edit boot configuration, applies, and counts the edits. */
static size_t morph(struct fake_tree *tree, struct facts *facts)
{
    static const struct change_ops *const changes[] = {
        &change_linux_fstab, &change_linux_bootconfig, &change_linux_bootdefault,
        &change_linux_uefi,  &change_linux_serial,
    };
    _cleanup_error_ struct error *err = NULL;
    struct plan plan = {0};
    size_t count;

    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        if (changes[i]->applies(facts) && changes[i]->apply(facts, &plan, &err) < 0)
            fail_msg("%s", error_text(err));
    for (size_t i = 0; i < plan.note_count; i++)
        if (plan.notes[i].warning)
            print_message("    warning: %s\n", plan.notes[i].text);
    fake_apply(tree, &plan);
    count = plan.edit_count;
    plan_done(&plan);
    return count;
}

static void write_after(const char *guest, const struct fake_file *file)
{
    _cleanup_free_ char *path = str_format("%s/%s/after%s", folder, guest, file->path);

    for (char *slash = path; (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    _cleanup_fclose_ FILE *out = fopen(path, "w");

    assert_non_null(out);
    assert_int_equal(fwrite(file->data, 1, file->length, out), file->length);
}

static bool same(const struct fake_file *a, const struct fake_file *b)
{
    return a && b && a->length == b->length && memcmp(a->data, b->data, a->length) == 0;
}

/* Every file is as after/ or before/ has it, and none of after/ is missing. */
static void compare(const char *guest, struct fake_tree *now, struct fake_tree *before,
                    struct fake_tree *after)
{
    for (size_t i = 0; i < ARRAY_SIZE(now->files); i++) {
        const struct fake_file *f = &now->files[i];
        struct fake_file *wanted = f->path ? fake_find(after, f->path) : NULL;

        if (f->path && !wanted)
            wanted = fake_find(before, f->path);
        if (!f->path || f->is_link || same(f, wanted))
            continue;
        if (update)
            write_after(guest, f);
        else
            fail_msg("%s: %s is\n%s\nand should be\n%s", guest, f->path, f->data,
                     wanted ? wanted->data : "(no such file)");
    }
    for (size_t i = 0; i < ARRAY_SIZE(after->files); i++)
        if (after->files[i].path && !fake_find(now, after->files[i].path))
            fail_msg("%s: %s was not made", guest, after->files[i].path);
}

static void check_gone(const char *guest, struct fake_tree *now)
{
    _cleanup_fclose_ FILE *file = open_list(guest, "gone");
    char path[256];

    while (file && fscanf(file, "%255s", path) == 1)
        if (fake_find(now, path))
            fail_msg("%s: %s is still there", guest, path);
}

static void test_guest(const char *guest)
{
    struct fake_tree *trees = mem_new(3, sizeof(*trees)), *now = &trees[0];
    struct request request = {0};
    struct facts facts = {.tree = fake_tree(now), .request = &request};

    print_message("  %s\n", guest);
    load_tree(now, guest, "before");
    load_tree(&trees[1], guest, "before");
    if (!update)
        load_tree(&trees[2], guest, "after");
    load_links(now, guest);
    load_volumes(&facts, guest);
    assert_int_equal(inspect_os(&facts.tree, &facts.os, NULL), 0);
    facts.family = inspect_family(&facts.os);
    if (facts.family == FAMILY_OTHER) /* older than os-release */
        facts.family = FAMILY_REDHAT;
    inspect_kernels(&facts.tree, &facts.kernels, &facts.kernel_count, NULL);
    facts.wanted_kernel = first_line(guest, "wanted");
    assert_true(morph(now, &facts) > 0);
    compare(guest, now, &trees[1], &trees[2]);
    check_gone(guest, now);
    assert_int_equal(morph(now, &facts), 0);
    facts_done(&facts);
    for (size_t i = 0; i < 3; i++)
        fake_done(&trees[i]);
    free(trees);
}

static void test_guests(void **state)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), guests = 0;

    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            test_guest(entries[i]->d_name);
            guests++;
        }
        free(entries[i]);
    }
    free(entries);
    assert_true(guests > 10);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_guests),
    };

    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    update = getenv("UPDATE_GOLDEN") != NULL;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
