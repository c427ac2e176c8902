/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the families keep their kernels.  V is the directory below /lib/modules:
 *
 *   Debian, Ubuntu    /boot/vmlinuz-V        /boot/initrd.img-V
 *   Red Hat           /boot/vmlinuz-V        /boot/initramfs-V.img; up to 5 /boot/initrd-V.img
 *   SUSE              /boot/vmlinuz-V        /boot/initrd-V
 *   Arch              /boot/vmlinuz-NAME     /boot/initramfs-NAME.img, …-NAME-fallback.img, where
 *                     NAME is in /lib/modules/V/pkgbase
 *   Alpine            /boot/vmlinuz-FLAVOUR  /boot/initramfs-FLAVOUR, FLAVOUR the end of V
 *   boot loader specification (systemd-boot): TOKEN/V/linux…, TOKEN/V/init… on the boot partition,
 *                     which is mounted on /boot, /efi or /boot/efi
 *   unified images    EFI/Linux/…V….efi or …-NAME.efi on the boot partition
 *
 * What was made for a crash (…kdump…), for rescue (…0-rescue…) or holds microcode only is not one.
 */
#include "morph/inspect.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"

#define INITRAMFS_EACH 8
#define TOKENS_MAX 32

struct search {
    const struct tree *tree;
    const char *version;
    char *name;   /* Arch's name of the kernel, or Alpine's flavour; NULL */
    bool is_arch; /* the name stands for this one version */
    struct kernel kernel;
    size_t initramfs_count;
};

static const char *const boot_partitions[] = {"/boot", "/efi", "/boot/efi"};

static void add_initramfs(struct search *s, const char *path)
{
    for (size_t n = 0; n < s->initramfs_count; n++)
        if (strcmp(s->kernel.initramfs[n], path) == 0)
            return;
    if (s->initramfs_count < INITRAMFS_EACH)
        s->kernel.initramfs[s->initramfs_count++] = str_dup(path);
}

static bool is_some_initramfs(const char *name)
{
    return (str_starts(name, "init") && !strstr(name, "ucode") && !strstr(name, "kdump") &&
            !strstr(name, "rescue"));
}

static bool take_if_there(struct search *s, const char *pattern, const char *value, char **ret)
{
    size_t before = strcspn(pattern, "*");
    _cleanup_free_ char *path =
        str_format("%.*s%s%s", (int)before, pattern, value, pattern + before + 1);

    if (!tree_exists(s->tree, path))
        return false;
    *ret = steal_ptr(path);
    return true;
}

/* Patterns in which '*' stands for the value. */
static void look_for_files(struct search *s, const char *const *images, size_t image_count,
                           const char *const *initramfs, size_t initramfs_count, const char *value)
{
    for (size_t n = 0; !s->kernel.image && n < image_count; n++)
        take_if_there(s, images[n], value, &s->kernel.image);
    for (size_t n = 0; n < initramfs_count; n++) {
        _cleanup_free_ char *path = NULL;

        if (take_if_there(s, initramfs[n], value, &path))
            add_initramfs(s, path);
    }
}

static void look_by_version(struct search *s)
{
    static const char *const images[] = {"/boot/vmlinuz-*", "/boot/vmlinux-*", "/boot/Image-*",
                                         "/boot/image-*", "/boot/kernel-*"};
    static const char *const initramfs[] = {"/boot/initrd.img-*", "/boot/initramfs-*.img",
                                            "/boot/initrd-*", "/boot/initrd-*.img",
                                            "/boot/initramfs-*"};

    look_for_files(s, images, ARRAY_SIZE(images), initramfs, ARRAY_SIZE(initramfs), s->version);
}

static void look_by_name(struct search *s)
{
    static const char *const images[] = {"/boot/vmlinuz-*", "/efi/vmlinuz-*",
                                         "/boot/efi/vmlinuz-*"};
    static const char *const initramfs[] = {"/boot/initramfs-*.img",
                                            "/boot/initramfs-*-fallback.img",
                                            "/boot/initramfs-*",
                                            "/efi/initramfs-*.img",
                                            "/efi/initramfs-*-fallback.img",
                                            "/boot/efi/initramfs-*.img",
                                            "/boot/efi/initramfs-*-fallback.img"};

    look_for_files(s, images, ARRAY_SIZE(images), initramfs, ARRAY_SIZE(initramfs), s->name);
}

/* TOKEN/V of the boot loader specification; names may have the version, or a hash, at the end. */
static void look_in_token(struct search *s, const char *directory)
{
    _cleanup_names_ char **names = NULL;

    if (tree_list(s->tree, directory, &names, NULL) < 0)
        return;
    for (size_t n = 0; names[n]; n++) {
        _cleanup_free_ char *path = str_format("%s/%s", directory, names[n]);

        if (is_some_initramfs(names[n]))
            add_initramfs(s, path);
        else if (!s->kernel.image &&
                 (str_starts(names[n], "linux") || str_starts(names[n], "vmlinuz")))
            s->kernel.image = steal_ptr(path);
    }
}

static void look_for_unified(struct search *s, const char *partition)
{
    _cleanup_free_ char *directory = str_format("%s/EFI/Linux", partition);
    _cleanup_free_ char *end = str_format("-%s.efi", s->is_arch ? s->name : s->version);
    _cleanup_names_ char **names = NULL;

    if (tree_list(s->tree, directory, &names, NULL) < 0)
        return;
    for (size_t n = 0; names[n] && !s->kernel.unified; n++) {
        size_t length = strlen(names[n]);

        if (length > 4 && strcmp(names[n] + length - 4, ".efi") == 0 &&
            (strstr(names[n], s->version) ||
             (length > strlen(end) && strcmp(names[n] + length - strlen(end), end) == 0)))
            s->kernel.unified = str_format("%s/%s", directory, names[n]);
    }
}

static void look_on_partition(struct search *s, const char *partition)
{
    _cleanup_names_ char **tokens = NULL;

    if (tree_list(s->tree, partition, &tokens, NULL) < 0)
        return;
    for (size_t n = 0; tokens[n] && n < TOKENS_MAX; n++) {
        _cleanup_free_ char *directory = str_format("%s/%s/%s", partition, tokens[n], s->version);

        /* Listing what is a file would be an error. */
        if (strcmp(tokens[n], "EFI") != 0 && tree_kind(s->tree, directory) == TREE_DIR)
            look_in_token(s, directory);
        if (strcmp(tokens[n], "EFI") == 0)
            look_for_unified(s, partition);
    }
}

/* Arch's pkgbase; otherwise what is behind the last '-': "lts" of "6.6.4-0-lts". */
static void find_name(struct search *s)
{
    _cleanup_free_ char *path = str_format("/lib/modules/%s/pkgbase", s->version);
    _cleanup_free_ char *text = NULL;
    const char *dash = strrchr(s->version, '-');

    if (tree_text(s->tree, path, &text, NULL) == 1) {
        text[strcspn(text, " \t\r\n/")] = '\0';
        s->is_arch = *text;
        s->name = *text ? steal_ptr(text) : NULL;
    } else if (dash && dash[1]) {
        s->name = str_dup(dash + 1);
    }
}

static void kernel_done(struct kernel *k)
{
    tree_names_free(k->initramfs);
    free(k->version);
    free(k->image);
    free(k->unified);
}

/* True when there is an image of this version. */
static bool look_for_kernel(const struct tree *tree, const char *version, struct kernel *ret)
{
    struct search s = {.tree = tree, .version = version};

    find_name(&s);
    s.kernel.version = str_dup(version);
    s.kernel.initramfs = mem_new(INITRAMFS_EACH + 1, sizeof(char *));
    look_by_version(&s);
    if (s.name && !s.kernel.image)
        look_by_name(&s);
    for (size_t n = 0; n < ARRAY_SIZE(boot_partitions); n++)
        look_on_partition(&s, boot_partitions[n]);
    if (!s.kernel.image && s.kernel.unified)
        s.kernel.image = str_dup(s.kernel.unified);
    free(s.name);
    if (!s.kernel.image) {
        kernel_done(&s.kernel);
        return false;
    }
    *ret = s.kernel;
    return true;
}

void facts_forget_kernels(struct facts *facts)
{
    for (size_t i = 0; i < facts->kernel_count; i++)
        kernel_done(&facts->kernels[i]);
    free(facts->kernels);
    facts->kernels = NULL;
    facts->kernel_count = 0;
}

static int by_version(const void *a, const void *b)
{
    return strverscmp(((const struct kernel *)a)->version, ((const struct kernel *)b)->version);
}

int inspect_kernels(const struct tree *tree, struct kernel **ret_kernels, size_t *ret_count,
                    struct error **err)
{
    _cleanup_names_ char **names = NULL;
    struct kernel *kernels = NULL, kernel;
    size_t count = 0;
    int r = tree_list(tree, "/lib/modules", &names, err);

    if (r < 0)
        return r;
    for (size_t i = 0; names[i] && count < KERNELS_MAX; i++) {
        if (!look_for_kernel(tree, names[i], &kernel))
            continue;
        kernels = reallocarray(kernels, count + 1, sizeof(*kernels));
        if (!kernels)
            abort();
        kernels[count++] = kernel;
    }
    if (count == 0)
        return error_set(err, ENOENT,
                         "the guest has no kernel in /boot with modules in /lib/modules; is the "
                         "filesystem of /boot on one of the disks");
    qsort(kernels, count, sizeof(*kernels), by_version);
    *ret_kernels = kernels;
    *ret_count = count;
    return 0;
}
