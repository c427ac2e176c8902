/* SPDX-License-Identifier: Apache-2.0 */
#include "morph/survey-windows.h"

#include "base/str.h"
#include "morph/ntfs.h"
#include "morph/windows.h"
#include "morph/winpath.h"

/* A volume whose record cannot be read is left to the driver that mounts it. */
static int check_flags(struct guest *guest, const struct volume *volume, struct error **err)
{
    unsigned char sector[NTFS_SECTOR];
    _cleanup_free_ unsigned char *record = NULL;
    struct ntfs ntfs;
    uint16_t flags;
    int r = guest_read_device(guest, volume->device, 0, sector, sizeof(sector), err);

    if (r < 0 || ntfs_read_boot(sector, &ntfs) != NTFS_PLAIN)
        return r;
    record = mem_new(ntfs.record_size, 1);
    r = guest_read_device(guest, volume->device, ntfs.volume_record, record, ntfs.record_size, err);
    if (r < 0 || !ntfs_read_flags(record, ntfs.record_size, &flags) || !(flags & NTFS_FLAG_DIRTY))
        return r;
    return error_set(err, EUCLEAN,
                     "the guest's NTFS filesystem on %s (UUID %s) is marked for a check; let "
                     "Windows check it in the source (chkdsk /f), shut it down and sync again",
                     volume->device, volume->uuid);
}

static int check_sleep(struct guest *guest, const struct tree *tree, struct error **err)
{
    _cleanup_free_ char *path = winpath_find(tree, "/hiberfil.sys");
    char head[NTFS_HIBERFILE_HEAD];
    int r = path ? guest_read_start(guest, path, head, sizeof(head), err) : -ENODATA;

    if (r == -ENODATA)
        return 0;
    if (r < 0 || !ntfs_is_hibernated(head))
        return r;
    return error_set(
        err, EUCLEAN,
        "Windows is hibernated, or was shut down with fast startup, which is half a "
        "hibernation; start it in the source, shut it down with 'shutdown /s /t 0' and "
        "sync again ('powercfg /h off' switches fast startup off)");
}

/* Windows has no directory for its EFI system partition, and none can be made while all is mounted
 * for reading only: it is put on one that is there and that nothing here looks into. */
static void mount_esp(struct guest *guest, const struct volume *root, struct facts *facts)
{
    _cleanup_free_ char *directory = windows_path(facts, "Temp");
    const struct volume *esp = NULL;

    for (size_t i = 0; i < facts->volumes.count; i++) {
        const struct volume *v = &facts->volumes.items[i];

        if (v->esp && (!esp || (esp->disk != root->disk && v->disk == root->disk)))
            esp = v;
    }
    if (esp && tree_kind(&facts->tree, directory) == TREE_DIR &&
        guest_mount(guest, esp, directory, "", NULL) == 0)
        facts->windows->esp = steal_ptr(directory);
}

int survey_windows(struct guest *guest, const struct volume *volume, struct facts *facts,
                   struct error **err)
{
    _cleanup_free_ char *root = NULL;
    struct windows *w;
    int r = check_flags(guest, volume, err);

    /* With permissions, new files can be kept from users of the guest who are no administrators. */
    if (r == 0)
        r = guest_mount(guest, volume, "/", "permissions", err);
    if (r < 0)
        return r;
    facts->tree = guest_tree(guest);
    r = check_sleep(guest, &facts->tree, err);
    if (r < 0)
        return r;
    root = windows_find_root(&facts->tree);
    if (!root)
        return error_set(err, ENOENT, "%s is not the volume of a Windows guest", volume->device);
    r = windows_read(&facts->tree, root, &w, err);
    if (r < 0)
        return r;
    w->device = str_dup(volume->device);
    windows_tell(w, facts);
    mount_esp(guest, volume, facts);
    return 0;
}
