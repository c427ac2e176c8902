/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can the guest boot at all?  Changes nothing: it finds which firmware can start the guest, refuses
 * one that surely cannot be started, and warns where that is doubtful.  A guest of Xen or one whose
 * kernel the hypervisor loaded from outside may have no boot loader at all.
 */
#include <string.h>
#include <strings.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/bootfile.h"
#include "morph/change.h"
#include "morph/esp.h"

#define CHANGE "bootcheck"

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);

    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

/* Is there an EFI program that is not Windows'? */
static int find_efi_loader(const struct tree *tree, struct error **err)
{
    _cleanup_(esp_done) struct esp esp = {0};
    int found = 0, r = esp_find(tree, &esp, err);

    for (char **name = esp.names; r > 0 && !found && *name; name++) {
        _cleanup_free_ char *path = str_format("%s/%s", esp.efi, *name);
        _cleanup_names_ char **files = NULL;

        if (strcasecmp(*name, "Microsoft") == 0 || tree_kind(tree, path) != TREE_DIR)
            continue;
        if (tree_list(tree, path, &files, err) < 0)
            return -EIO;
        for (char **file = files; *file; file++)
            found |= has_suffix(*file, ".efi");
    }
    return r < 0 ? r : found;
}

/* Does the text of a boot loader's file lead to anything? */
static bool leads_on(const struct bootfile *file, const char *text)
{
    static const char *const words[] = {"menuentry",  "linux",  "blscfg",
                                        "configfile", "source", "chainloader"};

    if (file->form != BOOTLINE_GRUB)
        return text[strspn(text, " \t\r\n")] != '\0';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* Loaders whose configuration is elsewhere. */
static bool has_other_loader(const struct facts *facts)
{
    static const char *const files[] = {"/etc/lilo.conf", "/etc/elilo.conf",
                                        "/boot/refind_linux.conf", "/boot/limine.conf",
                                        "/boot/limine.cfg"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++)
        if (tree_exists(&facts->tree, files[i]))
            return true;
    for (size_t i = 0; i < facts->kernel_count; i++)
        if (facts->kernels[i].unified)
            return true;
    return false;
}

struct configuration {
    bool found;
    char *empty; /* path of a file that says nothing, when none was found; owned */
};

static int find_configuration(const struct facts *facts, struct configuration *ret,
                              struct error **err)
{
    struct bootfile_list files = {0};
    int r = bootfile_list(&facts->tree, &files, err);

    for (size_t i = 0; r >= 0 && !ret->found && i < files.count; i++) {
        _cleanup_free_ char *text = NULL;

        if (!files.items[i].live || files.items[i].form == BOOTLINE_ENV)
            continue;
        r = tree_text(&facts->tree, files.items[i].path, &text, err);
        if (r > 0 && leads_on(&files.items[i], text))
            ret->found = true;
        else if (r > 0)
            str_replace(&ret->empty, files.items[i].path);
    }
    bootfile_list_done(&files);
    return r < 0 ? r : 0;
}

static int check_configuration(const struct facts *facts, struct plan *plan, struct error **err)
{
    static const char *const folders[] = {"/boot/grub", "/boot/grub2"};
    struct configuration c = {0};
    _cleanup_free_ char *empty = NULL;
    int r = find_configuration(facts, &c, err);

    empty = c.empty;
    if (r < 0 || c.found)
        return r;
    if (tree_exists(&facts->tree, "/etc/lilo.conf"))
        plan_warn(plan, CHANGE,
                  "LILO has the numbers of the source's disk in its map, and only lilo itself in "
                  "the running guest can change them: install GRUB in the source first");
    if (has_other_loader(facts))
        return 0;
    if (empty)
        return error_set(err, ENODATA,
                         "the guest's boot loader is damaged: %s has no entry; make it anew in the "
                         "source (grub-mkconfig) and sync again",
                         empty);
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        if (tree_kind(&facts->tree, folders[i]) == TREE_DIR)
            return error_set(err, ENOENT,
                             "the guest's boot loader is damaged: %s has no configuration; make it "
                             "anew in the source (grub-mkconfig) and sync again",
                             folders[i]);
    plan_warn(plan, CHANGE,
              "no boot loader's configuration was found in the guest: if nothing but its old "
              "hypervisor started it, it will not boot");
    return 0;
}

/* GRUB for BIOS loads its modules from there; a cloud image for UEFI may have only its code. */
static bool has_bios_modules(const struct tree *tree)
{
    static const char *const places[] = {"/boot/grub/i386-pc", "/boot/grub2/i386-pc",
                                         "/boot/grub/stage2"};

    for (size_t i = 0; i < ARRAY_SIZE(places); i++)
        if (tree_exists(tree, places[i]))
            return true;
    return false;
}

static int refuse(const struct facts *facts, struct error **err)
{
    if (facts->boot_code == BOOT_CODE_BROKEN)
        return error_set(err, ENODATA,
                         "the guest's boot loader is damaged: the first sector starts a GRUB that "
                         "is not there any more; install it again in the source (grub-install) and "
                         "sync again");
    return error_set(err, ENOENT,
                     "no disk of the guest has a boot loader for BIOS or UEFI; its old hypervisor "
                     "may have started the kernel itself (Xen PV): install a boot loader in the "
                     "source, or give all disks of the VM");
}

/* An EFI system partition that fstab does not mount (systemd finds it by its type) was not looked
 * at: then it is no proof that no loader was seen. */
static bool may_be_uefi(const struct facts *facts)
{
    for (size_t i = 0; i < facts->volumes.count; i++)
        if (strcmp(facts->volumes.items[i].type, "vfat") == 0)
            return true;
    return false;
}

static int apply(struct facts *facts, struct plan *plan, struct error **err)
{
    bool bios = facts->boot_code >= BOOT_CODE_OTHER;
    int uefi;

    if (facts->boot_code == BOOT_CODE_UNREAD)
        return 0;
    uefi = find_efi_loader(&facts->tree, err);
    if (uefi < 0)
        return uefi;
    if (!bios && !uefi && facts->boot_code == BOOT_CODE_NONE && may_be_uefi(facts)) {
        plan_warn(plan, CHANGE,
                  "no boot loader was seen; if one is on a partition that fstab does not mount, it "
                  "must be where firmware looks by itself: EFI/BOOT/BOOTX64.EFI");
        facts->firmware = FIRMWARE_UEFI;
        return 0;
    }
    if (!bios && !uefi)
        return refuse(facts, err);
    if (uefi && !has_bios_modules(&facts->tree))
        bios = false;
    facts->firmware = bios ? FIRMWARE_BIOS : FIRMWARE_UNKNOWN;
    return check_configuration(facts, plan, err);
}

static const char *describe(void)
{
    return "the guest has a boot loader that a firmware of the destination can start";
}

const struct change_ops change_linux_bootcheck = {
    .name = CHANGE,
    .applies = facts_is_linux,
    .apply = apply,
    .describe = describe,
};
