/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio in the initramfs of every installed kernel.
 *
 * Rebuilding an initramfs with the guest's programs takes minutes under emulation.  Instead a
 * second archive is appended that holds only what is missing (drivers.h), and the configuration of
 * the guest's program gets the same names, so that its own next rebuild keeps them.  Only where
 * that cannot be done, and --rebuild allows it, the guest's program is run, in the appliance.
 */
#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/change.h"
#include "morph/drivers.h"
#include "morph/initramfs.h"
#include "morph/lasting.h"
#include "morph/link.h"
#include "morph/rebuild.h"
#include "morph/unified.h"
#include "morph/waits.h"

#define CHANGE "initramfs"
#define RUNS_MAX 64

/* What is collected over all kernels. */
struct survey {
    struct facts *facts;
    struct plan *plan;
    bool kinds[INITRAMFS_NASH + 1]; /* that were seen */
    /* The guest's programs run last, as the configuration has to be written before. */
    struct {
        const struct kernel *kernel;
        const char *path;
    } runs[RUNS_MAX];
    size_t run_count;
};

/* One initramfs being looked at. */
struct work {
    struct survey *survey;
    const struct kernel *kernel;
    const struct drivers *drivers;
    const char *path;
    char *data;
    size_t length;
    struct initramfs *initramfs; /* NULL: not to be read */
    bool is_booted;              /* the usual one of the newest kernel */
    struct cpio_writer archive;
    struct buffer added; /* names, for people */
};

static void work_done(struct work *k)
{
    free(k->data);
    initramfs_free(k->initramfs);
    buffer_done(&k->archive.out);
    buffer_done(&k->added);
}

/* udev in the initramfs renames network cards too: it must know the same names. */
static void add_links(struct work *k)
{
    struct initramfs *i = k->initramfs;
    const struct facts *facts = k->survey->facts;

    for (size_t p = 0; i->link_directory && p < facts->pin_count; p++) {
        const struct pin *pin = &facts->pins[p];
        _cleanup_free_ char *file = link_file_name(pin);
        _cleanup_free_ char *name = str_format("%s/%s", i->link_directory, file);
        _cleanup_free_ char *text = link_text(pin);
        const char *there = initramfs_text(i, name);

        if (there && strcmp(there, text) == 0)
            continue;
        initramfs_add_file(i, &k->archive, name, text, strlen(text));
        buffer_printf(&k->added, "%s%s", k->added.length ? ", " : "", file);
    }
}

/* The resume device that was built in; a name of the source would make each boot wait for it. */
static void add_resume(struct work *k)
{
    const char *text = initramfs_text(k->initramfs, "conf/conf.d/resume"), *why;
    _cleanup_free_ char *device = NULL, *changed = NULL;
    const struct volume *swap;

    if (!text || !str_starts(text, "RESUME=/dev/"))
        return;
    text += strlen("RESUME=");
    device = str_format("%.*s", (int)strcspn(text, " \t\r\n"), text);
    swap = volume_of_source_name(&k->survey->facts->volumes, device, "swap", &why);
    if (!swap)
        return;
    changed = str_format("RESUME=UUID=%s\n", swap->uuid);
    initramfs_add_file(k->initramfs, &k->archive, "conf/conf.d/resume", changed, strlen(changed));
    buffer_printf(&k->added, "%sresume device", k->added.length ? ", " : "");
}

/* The guest's program is to make this one: under emulation that takes minutes, so only where the
 * guest could not boot otherwise, or where it is asked for. */
static int propose_run(struct work *k, struct error **err)
{
    struct survey *s = k->survey;
    const struct facts *facts = s->facts;
    _cleanup_buffer_ struct buffer words = {0};

    if (facts->request->rebuild == REBUILD_NEVER)
        return error_set(err, ENOTSUP,
                         "the drivers cannot be added to %s, and --rebuild never forbids to run "
                         "the guest's own program",
                         k->path);
    if (facts->request->rebuild == REBUILD_AUTO && !k->is_booted)
        return error_set(
            err, ENOTSUP,
            "the drivers cannot be added to %s, and the guest's own program is not run "
            "for what does not boot by default",
            k->path);
    if (rebuild_command(&facts->tree, k->kernel->version, k->kernel->image, k->path, &words) < 0 ||
        s->run_count == RUNS_MAX)
        return error_set(err, ENOTSUP,
                         "the drivers cannot be added to %s, and the guest has no program that "
                         "this one knows to make it anew",
                         k->path);
    s->runs[s->run_count].kernel = k->kernel;
    s->runs[s->run_count++].path = k->path;
    return 0;
}

static void propose_append(struct work *k)
{
    size_t length;
    char *data;

    cpio_finish(&k->archive);
    if (initramfs_appendix(k->initramfs, k->length, &k->archive, &data, &length) < 0)
        abort(); /* memory, or more than lz4 can take */
    plan_append(k->survey->plan, CHANGE, k->path, k->data, k->length, data, length,
                str_format("an archive of %zu KiB is appended: %s",
                           (k->archive.out.length + 1023) / 1024, k->added.data),
                str_dup("the kernel reaches its root disk on virtio only with these in its "
                        "initramfs"));
}

/* What the initramfs lacks. */
static int extend(struct work *k, struct error **err)
{
    bool missing = drivers_missing(k->drivers, k->initramfs);
    bool is_tools = k->initramfs->kind == INITRAMFS_TOOLS;
    _cleanup_error_ struct error *failed = NULL;
    int r = 0;

    if (missing && k->survey->facts->request->rebuild == REBUILD_ALWAYS)
        return propose_run(k, err);
    if (missing)
        r = drivers_add(k->drivers, k->initramfs, &k->archive, &k->added, &failed);
    if (r == -ENOTSUP)
        return propose_run(k, err);
    if (r < 0)
        return error_move(err, &failed);
    /* Elsewhere these are taken in when something is added anyway: the guest's program would not
     * make them so, and udev in the root filesystem gives the names, too. */
    if (is_tools || missing)
        add_links(k);
    if (is_tools)
        add_resume(k);
    waits_add(k->initramfs, &k->archive, &k->added);
    lasting_copies(k->survey->facts, k->survey->plan, k->initramfs, &k->archive, &k->added);
    if (k->added.length > 0)
        propose_append(k);
    return 0;
}

static bool reaches_disk(const struct work *k)
{
    bool all = true;

    for (size_t n = 0; k->initramfs && n < DRIVERS_NEEDED; n++)
        all &= initramfs_has_module(k->initramfs, drivers_wanted[n]) ||
               drivers_has(k->drivers, drivers_wanted[n]);
    return k->initramfs ? all : drivers_reach_disk(k->drivers);
}

static int no_driver(const struct kernel *kernel, struct error **err)
{
    return error_set(err, ENODEV,
                     "kernel %s of the guest has no virtio disk driver; install a kernel with "
                     "virtio in the source",
                     kernel->version);
}

static int change_file(struct work *k, struct error **err)
{
    struct survey *s = k->survey;
    _cleanup_error_ struct error *unreadable = NULL;
    int r = tree_read(&s->facts->tree, k->path, INITRAMFS_MAX, &k->data, &k->length, err);

    if (r < 0)
        return r == -ENOENT ? error_set(err, ENOENT, "%s cannot be read", k->path) : r;
    if (initramfs_read(k->data, k->length, k->kernel->version, &k->initramfs, &unreadable) == 0)
        s->kinds[k->initramfs->kind] = true;
    if (!reaches_disk(k))
        return no_driver(k->kernel, err);
    if (k->initramfs)
        return extend(k, err);
    /* What the guest's program makes would not be readable either. */
    r = error_code(unreadable) == EOPNOTSUPP ? -EOPNOTSUPP : propose_run(k, NULL);
    return r < 0 ? error_move(err, &unreadable) : 0;
}

/* A unified image is not changed: what it holds must do. */
static int check_unified(const struct survey *s, const struct kernel *kernel,
                         const struct drivers *drivers, struct error **err)
{
    _cleanup_free_ char *image = NULL;
    _cleanup_initramfs_ struct initramfs *i = NULL;
    const void *data;
    size_t length, part;
    int r = tree_read(&s->facts->tree, kernel->unified, INITRAMFS_MAX, &image, &length, err);

    if (r < 0)
        return r;
    if (unified_initramfs(image, length, &data, &part) < 0)
        return error_set(err, EBADMSG, "%s is no kernel image with an initramfs", kernel->unified);
    r = initramfs_read(data, part, kernel->version, &i, err);
    if (r == 0 && drivers_missing(drivers, i) && !initramfs_has_module(i, "virtio_blk"))
        r = error_set(err, ENOTSUP,
                      "%s is a unified kernel image without virtio drivers, and such an image "
                      "cannot be added to; make it anew in the source with the modules virtio_pci "
                      "and virtio_blk",
                      kernel->unified);
    return r;
}

static int change_first(struct survey *s, const struct kernel *kernel,
                        const struct drivers *drivers, struct error **err)
{
    if (!kernel->initramfs[0] && kernel->unified)
        return check_unified(s, kernel, drivers, err);
    if (!drivers_reach_disk(drivers) && !kernel->initramfs[0])
        return no_driver(kernel, err);
    if (!kernel->initramfs[0] && !drivers_built_in(drivers))
        return error_set(err, ENOENT,
                         "kernel %s of the guest has no initramfs where this program looks for "
                         "it, and its virtio drivers are modules",
                         kernel->version);
    if (kernel->initramfs[0] && kernel->unified)
        return check_unified(s, kernel, drivers, err);
    return 0;
}

static int change_kernel(struct survey *s, const struct kernel *kernel, struct error **err)
{
    _cleanup_drivers_ struct drivers drivers = {0};
    int r = drivers_read(&s->facts->tree, kernel->version, &drivers, err);

    if (r == 0)
        r = change_first(s, kernel, &drivers, err);
    for (size_t n = 0; r == 0 && kernel->initramfs[n]; n++) {
        struct work k = {.survey = s,
                         .kernel = kernel,
                         .drivers = &drivers,
                         .path = kernel->initramfs[n],
                         .is_booted =
                             n == 0 && kernel == &s->facts->kernels[s->facts->kernel_count - 1]};
        _cleanup_error_ struct error *failed = NULL;

        r = change_file(&k, &failed);
        work_done(&k);
        if (r < 0 && n == 0)
            return error_move(err, &failed);
        if (r < 0)
            plan_warn(s->plan, CHANGE, "%s stays as it is: %s", kernel->initramfs[n],
                      error_text(failed));
        r = 0;
    }
    if (r == 0) {
        s->facts->virtio_disk = true;
        s->facts->virtio_net = drivers_has(&drivers, "virtio_net");
    }
    return r;
}

static int configure(struct survey *s, const struct kernel *kernel, struct error **err)
{
    _cleanup_drivers_ struct drivers drivers = {0};
    const char *names[DRIVERS_WANTED];
    size_t count = 0;
    int r = drivers_read(&s->facts->tree, kernel->version, &drivers, err);

    if (s->run_count > 0)
        s->kinds[rebuild_kind(&s->facts->tree)] = true;
    for (size_t n = 0; r == 0 && n < DRIVERS_WANTED; n++)
        if (drivers_has_module(&drivers, drivers_wanted[n]))
            names[count++] = drivers_wanted[n];
    for (size_t n = 0; r == 0 && count > 0 && n < ARRAY_SIZE(s->kinds); n++)
        if (s->kinds[n])
            r = rebuild_configure(&s->facts->tree, (enum initramfs_kind)n, names, count, s->plan,
                                  err);
    return r;
}

static void plan_runs(struct survey *s)
{
    for (size_t n = 0; n < s->run_count; n++) {
        const struct kernel *kernel = s->runs[n].kernel;
        struct buffer words = {0};
        size_t length;

        rebuild_command(&s->facts->tree, kernel->version, kernel->image, s->runs[n].path, &words);
        length = words.length;
        plan_edit(s->plan, EDIT_RUN, CHANGE, s->runs[n].path, buffer_steal(&words), length,
                  str_format("the guest's own %s makes it anew, with the virtio drivers",
                             initramfs_kind_name(rebuild_kind(&s->facts->tree))),
                  str_dup("the kernel reaches its root disk on virtio only with them in its "
                          "initramfs, and they cannot be appended to it"));
    }
}

/* Drivers of the disk controllers that every machine type can have besides virtio. */
static bool reaches_old_disk(const struct survey *s, const struct kernel *kernel)
{
    _cleanup_drivers_ struct drivers drivers = {0};
    _cleanup_initramfs_ struct initramfs *i = NULL;
    _cleanup_free_ char *data = NULL;
    size_t length;

    if (drivers_read(&s->facts->tree, kernel->version, &drivers, NULL) < 0)
        return false;
    if (kernel->initramfs[0] &&
        tree_read(&s->facts->tree, kernel->initramfs[0], INITRAMFS_MAX, &data, &length, NULL) == 0)
        initramfs_read(data, length, kernel->version, &i, NULL);
    return module_is_builtin(drivers.builtin, "ahci") ||
           module_is_builtin(drivers.builtin, "ata_piix") ||
           (i && (initramfs_has_module(i, "ahci") || initramfs_has_module(i, "ata_piix")));
}

/* The newest kernel, the last of the list, is what boots by default; where it cannot be helped, the
 * newest of the others that can be is wanted instead. */
static int choose(struct survey *s, size_t chosen, struct error **newest_failed, struct error **err)
{
    struct facts *facts = s->facts;
    const struct kernel *newest = &facts->kernels[facts->kernel_count - 1];

    free(facts->wanted_kernel);
    facts->wanted_kernel = NULL;
    if (chosen + 1 == facts->kernel_count)
        return 0;
    if (chosen < facts->kernel_count) {
        facts->wanted_kernel = str_dup(facts->kernels[chosen].version);
        plan_warn(s->plan, CHANGE, "kernel %s is to be booted instead of %s: %s",
                  facts->wanted_kernel, newest->version, error_text(*newest_failed));
        return 0;
    }
    if (error_code(*newest_failed) != ENODEV || !reaches_old_disk(s, newest))
        return error_move(err, newest_failed);
    plan_warn(s->plan, CHANGE, "%s; its disks must be on SATA or IDE, for which it has drivers",
              error_text(*newest_failed));
    return 0;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    struct survey s = {.facts = facts, .plan = plan};
    _cleanup_error_ struct error *newest_failed = NULL;
    size_t chosen = facts->kernel_count;
    int r;

    facts->virtio_disk = facts->virtio_net = false;
    for (size_t i = 0; i < facts->kernel_count; i++) {
        const struct kernel *kernel = &facts->kernels[i];
        _cleanup_error_ struct error *failed = NULL;

        if (change_kernel(&s, kernel, &failed) == 0)
            chosen = i;
        else if (i + 1 == facts->kernel_count)
            newest_failed = steal_ptr(failed);
        else
            plan_warn(plan, CHANGE, "kernel %s stays as it is: %s", kernel->version,
                      error_text(failed));
    }
    r = choose(&s, chosen, &newest_failed, err);
    if (r == 0 && chosen < facts->kernel_count)
        r = configure(&s, &facts->kernels[chosen], err);
    if (r == 0)
        plan_runs(&s);
    return r;
}

static const char *describe(void)
{
    return "every kernel's initramfs holds the virtio drivers";
}

const struct change_ops change_linux_initramfs = {
    .name = CHANGE,
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
