/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slipway-store: what can be done to a store without its engine.
 *     slipway-store create STORE NAME [--preseed] [--keep=N] DISK=TARGET:SIZE...   (SIZE in bytes, 0: that of the target)
 *     slipway-store status STORE                            (JSON on standard output)
 *     slipway-store fsck STORE [--data]                     (JSON on standard output, progress as
 *                                                            lines of JSON on standard error)
 *     slipway-store manifest-key FILE                       (FILE and FILE.pub)
 *     slipway-store verify-manifest FILE PUBLIC-KEY DISK=PATH...   (PUBLIC-KEY "": any; JSON as fsck)
 * The slipway command is its user interface.  On failure one line of JSON,
 * {"code": ERRNO, "message": "..."}, goes to standard error.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "engine/attest.h"
#include "engine/fsck.h"
#include "engine/manifest.h"
#include "engine/status.h"
#include "engine/store.h"

static int parse_disk(const char *text, struct store_disk *d, struct error **err)
{
    const char *equals = strchr(text, '='), *colon = strrchr(text, ':');
    _cleanup_free_ char *name = NULL;
    int r;

    if (!equals || !colon || colon < equals || str_to_bytes(colon + 1, &d->size) < 0)
        return error_set(err, EINVAL, "'%s' is not of the form DISK=TARGET:SIZE", text);
    name = strndup(text, (size_t)(equals - text));
    r = store_check_disk_name(name ? name : "", err);
    if (r < 0)
        return r;
    snprintf(d->name, sizeof(d->name), "%s", name);
    d->target = strndup(equals + 1, (size_t)(colon - equals - 1));
    if (!d->target || d->target[0] != '/')
        return error_set(err, EINVAL, "target of disk %s must be an absolute path", d->name);
    return 0;
}

static int create(int argc, char **argv, struct error **err)
{
    struct store_vm vm = {0};
    bool preseed = argc > 2 && strcmp(argv[2], "--preseed") == 0;
    int r = 0, first = preseed ? 3 : 2;
    uint64_t keep = 0;

    if (argc > first && str_starts(argv[first], "--keep=") &&
        (str_to_bytes(argv[first++] + strlen("--keep="), &keep) < 0 || keep > KEEP_MAX))
        return error_set(err, EINVAL, "--keep takes 0 to %d generations", KEEP_MAX);
    vm.keep = (uint16_t)keep;
    if (argc <= first || argc - first > DISKS_MAX)
        return error_set(err, EINVAL, "usage: slipway-store create STORE NAME [--preseed] "
                                      "[--keep=N] "
                                      "DISK=TARGET:SIZE... (1 to %d disks)", DISKS_MAX);
    vm.name = str_dup(argv[1]);
    for (int i = 0; r == 0 && first + i < argc; i++) {
        r = parse_disk(argv[first + i], &vm.disks[i], err);
        vm.disks[i].preseed = preseed;
        vm.disk_count++;
        for (int k = 0; r == 0 && k < i; k++)
            if (strcmp(vm.disks[k].name, vm.disks[i].name) == 0)
                r = error_set(err, EINVAL, "disk '%s' is named twice", vm.disks[k].name);
    }
    if (r == 0)
        r = store_create(io_posix(), argv[0], &vm, err);
    store_vm_done(&vm);
    return r;
}

/* A damaged file must not hide the rest: null, and the next start says what is wrong with it. */
static void add_limits(json_t *j, const struct store_vm *vm, const char *store)
{
    struct limitfile_names names = {.count = vm->disk_count};
    struct limit_table table;
    bool known;

    for (unsigned i = 0; i < vm->disk_count; i++)
        names.names[i] = vm->disks[i].name;
    known = limitfile_read(io_posix(), store, &names, &table, NULL) == 0;
    json_object_set_new(j, "limits", known ? status_limits(&table, &names) : json_null());
}

static int status(int argc, char **argv, struct error **err)
{
    _cleanup_free_ char *path = NULL;
    struct io *io = io_posix();
    struct superfile sf;
    struct store_vm vm = {0};
    json_t *j, *disks = json_array();
    int fd, r;

    if (argc != 1)
        return error_set(err, EINVAL, "usage: slipway-store status STORE");
    r = store_vm_read(io, argv[0], &vm, err);
    if (r < 0)
        return r;
    path = str_format("%s/super", argv[0]);
    fd = superfile_open(io, path, IO_RDONLY, err);
    r = fd < 0 ? fd : superfile_load(&sf, io, fd, path, err);
    if (fd >= 0)
        io->ops->close(io, fd);
    if (r < 0)
        return r;
    j = status_root(&sf.current, argv[0], vm.name);
    add_limits(j, &vm, argv[0]);
    for (unsigned i = 0; i < vm.disk_count && i < sf.current.disk_count; i++)
        json_array_append_new(disks, status_disk(&sf.current.disks[i], vm.disks[i].name,
                                                 vm.disks[i].target));
    json_object_set_new(j, "disks", disks);
    json_object_set_new(j, "running", json_false());
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
    store_vm_done(&vm);
    return 0;
}

static void print_progress(const struct progress_report *p, void *context)
{
    static uint64_t last_ns;
    uint64_t now = clock_now_ns();

    if (now - last_ns < 250 * NS_PER_MS)
        return;
    last_ns = now;
    fprintf(stderr, "{\"event\":\"progress\",\"phase\":\"%s\",\"done_bytes\":%" PRIu64
                    ",\"total_bytes\":%" PRIu64 "}\n", p->phase, p->done_bytes, p->total_bytes);
}

static void print_result(json_t *j)
{
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

static int fsck(int argc, char **argv, struct error **err)
{
    struct fsck_options options = {.progress = print_progress};
    json_t *report;
    int r;

    options.data = argc == 2 && strcmp(argv[1], "--data") == 0;
    if (argc < 1 || argc > 2 || (argc == 2 && !options.data))
        return error_set(err, EINVAL, "usage: slipway-store fsck STORE [--data]");
    r = fsck_run(io_posix(), argv[0], &options, &report, err);
    if (r == 0)
        print_result(report);
    return r;
}

/* ---- manifests ---- */

#define MANIFEST_MAX (1 << 20)

static int manifest_key(int argc, char **argv, struct error **err)
{
    int r;

    if (argc != 1)
        return error_set(err, EINVAL, "usage: slipway-store manifest-key FILE");
    r = attest_key_create(argv[0], err);
    if (r == 0)
        print_result(json_pack("{s:s, s:o}", "key", argv[0], "public_key",
                               json_sprintf("%s.pub", argv[0])));
    return r;
}

/* DISK=PATH: 1 when the bytes are those of the manifest. */
static int verify_disk(const json_t *manifest, const char *word, json_t *results,
                       struct error **err)
{
    const char *equals = strchr(word, '=');
    _cleanup_free_ char *name = equals ? strndup(word, (size_t)(equals - word)) : NULL;
    int r;

    if (!name)
        return error_set(err, EINVAL, "'%s' is not of the form DISK=PATH", word);
    r = manifest_check_disk(manifest, name, io_posix(), equals + 1, print_progress, NULL, err);
    if (r >= 0)
        json_array_append_new(results, json_pack("{s:s, s:s, s:b}", "disk", name, "path",
                                                 equals + 1, "equal", r));
    return r;
}

static int verify_manifest(int argc, char **argv, struct error **err)
{
    _cleanup_free_ char *text = NULL;
    json_t *manifest = NULL, *results = json_array();
    size_t length = 0;
    bool equal = true;
    int r;

    if (argc < 2)
        return error_set(err, EINVAL, "usage: slipway-store verify-manifest FILE PUBLIC-KEY "
                                      "DISK=PATH...");
    r = fdio_read_file(argv[0], MANIFEST_MAX, &text, &length);
    if (r < 0)
        r = error_set_errno(err, -r, "cannot read the manifest %s", argv[0]);
    else
        r = manifest_parse(text, length, argv[0], argv[1][0] ? argv[1] : NULL, &manifest, err);
    for (int i = 2; r >= 0 && i < argc; i++) {
        r = verify_disk(manifest, argv[i], results, err);
        equal &= r != 0;
    }
    if (r >= 0)
        print_result(json_pack("{s:b, s:b, s:b, s:O, s:O}", "signed",
                               json_object_get(manifest, "signature") != NULL, "trusted",
                               argv[1][0] != '\0', "equal", equal, "manifest", manifest, "disks",
                               results));
    json_decref(manifest);
    json_decref(results);
    return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
    _cleanup_error_ struct error *e = NULL;
    const char *verb = argc > 1 ? argv[1] : "";
    json_t *j;
    int r;

    if (strcmp(verb, "create") == 0)
        r = create(argc - 2, argv + 2, &e);
    else if (strcmp(verb, "status") == 0)
        r = status(argc - 2, argv + 2, &e);
    else if (strcmp(verb, "fsck") == 0)
        r = fsck(argc - 2, argv + 2, &e);
    else if (strcmp(verb, "manifest-key") == 0)
        r = manifest_key(argc - 2, argv + 2, &e);
    else if (strcmp(verb, "verify-manifest") == 0)
        r = verify_manifest(argc - 2, argv + 2, &e);
    else
        r = error_set(&e, EINVAL, "usage: slipway-store create|status|fsck|manifest-key|"
                                  "verify-manifest ...");
    if (r == 0)
        return EXIT_CODE_OK;
    j = json_pack("{s:i, s:s}", "code", error_code(e), "message", error_text(e));
    json_dumpf(j, stderr, JSON_COMPACT);
    fputc('\n', stderr);
    json_decref(j);
    return error_exit_code(error_code(e));
}
