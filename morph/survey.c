/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libguestfs has an inspection of its own; it is not used because it reads far more than is needed
 * here, and under emulation that costs a downtime of ten seconds and more.
 */
#include "morph/survey.h"

#include <string.h>

#include "base/align.h"
#include "base/str.h"
#include "morph/account.h"
#include "morph/change.h"
#include "morph/inspect.h"
#include "morph/mounts.h"
#include "morph/roots.h"
#include "morph/survey-boot.h"
#include "morph/survey-windows.h"
#include "morph/unlock.h"

struct search {
    struct guest *guest;
    const struct volume_list *volumes;
    struct root_list roots;
    bool *unmountable;       /* of each volume */
    struct error *complaint; /* why the first filesystem that could not be mounted was not */
};

static bool may_have_root(const char *type)
{
    static const char *const types[] = {"ext2",       "ext3",     "ext4", "xfs",
                                        "btrfs",      "reiserfs", "jfs",  "f2fs",
                                        "zfs_member", "bcachefs", "ntfs"};

    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

static int look_at_btrfs(struct search *s, const struct volume *volume, const struct tree *tree,
                         struct error **err)
{
    struct subvolume *subvolumes;
    unsigned long long default_id;
    size_t count;
    int r = guest_subvolumes(s->guest, &subvolumes, &count, &default_id, err);

    if (r < 0)
        return r;
    r = root_list_look_btrfs(&s->roots, tree, volume, subvolumes, count, default_id, err);
    for (size_t i = 0; i < count; i++)
        free(subvolumes[i].path);
    free(subvolumes);
    return r;
}

/* Mounted read-only, a filesystem still replays its log, which writes to the disk. */
static const char *option_without_replay(const char *type)
{
    static const char *const options[][2] = {{"ext3", "noload"},
                                             {"ext4", "noload"},
                                             {"xfs", "norecovery"},
                                             {"btrfs", ",rescue=nologreplay"}};

    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (strcmp(type, options[i][0]) == 0)
            return options[i][1];
    return "";
}

/* Looks at one candidate, mounted for the moment. */
static int look(struct search *s, size_t place, bool replay, struct error **err)
{
    const struct volume *volume = &s->volumes->items[place];
    bool btrfs = strcmp(volume->type, "btrfs") == 0;
    _cleanup_free_ char *options = str_format("%s%s", btrfs ? "subvolid=5" : "",
                                              replay ? "" : option_without_replay(volume->type));
    struct tree tree = guest_tree(s->guest);
    struct error *failed = NULL;
    int r;

    if (guest_mount(s->guest, volume, "/", options, &failed) < 0) {
        s->unmountable[place] = true;
        if (!s->complaint)
            s->complaint = failed;
        else
            error_free(failed);
        return 0;
    }
    r = btrfs ? look_at_btrfs(s, volume, &tree, err)
              : root_list_look(&s->roots, &tree, volume, 0, NULL, err);
    return r < 0 ? r : guest_unmount_all(s->guest, err);
}

/* One btrfs filesystem may be on several volumes. */
static bool was_looked_at(const struct volume_list *list, size_t place)
{
    const struct volume *v = &list->items[place];

    for (size_t i = 0; strcmp(v->type, "btrfs") == 0 && i < place; i++)
        if (strcmp(list->items[i].type, "btrfs") == 0 && strcmp(list->items[i].uuid, v->uuid) == 0)
            return true;
    return false;
}

static int look_at_all(struct search *s, const struct volume *only, bool replay,
                       struct error **err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < s->volumes->count; i++) {
        const struct volume *v = &s->volumes->items[i];

        if (may_have_root(v->type) && !s->unmountable[i] &&
            (only ? v == only : !was_looked_at(s->volumes, i)))
            r = look(s, i, replay, err);
    }
    return r;
}

/* Leaves only roots in the subvolume that --root names. */
static void keep_subvolume(struct root_list *roots, const char *path)
{
    size_t kept = 0;

    for (size_t i = 0; i < roots->count; i++) {
        struct root root = roots->items[i];

        if (strcmp(root.path, path) == 0) {
            roots->items[kept++] = root;
            continue;
        }
        free(root.path);
        free(root.pretty);
    }
    roots->count = kept;
}

static int find_root(struct search *s, const struct request *request, const struct root **ret_root,
                     struct error **err)
{
    _cleanup_free_ char *subvolume = NULL;
    const struct volume *only = NULL;
    int r = request->root ? root_wanted(s->volumes, request->root, &only, &subvolume, err) : 0;

    s->unmountable = mem_new(s->volumes->count + 1, sizeof(bool));
    if (r == 0)
        r = look_at_all(s, only, false, err);
    /* What makes a root of it may be in the log only. */
    if (r == 0 && s->roots.count == 0)
        r = look_at_all(s, only, true, err);
    free(s->unmountable);
    if (r == 0 && subvolume)
        keep_subvolume(&s->roots, subvolume);
    if (r == 0)
        r = root_choose(&s->roots, s->volumes, request->root,
                        s->complaint ? error_text(s->complaint) : NULL, request->keys.count,
                        ret_root, err);
    return r;
}

static int mount_one(struct guest *guest, const struct volume *volume, const char *directory,
                     const char *options, struct error **err)
{
    int r = guest_check_filesystem(guest, volume, err);

    return r < 0 ? r : guest_mount(guest, volume, directory, options, err);
}

/* --ssh-key needs the filesystems that the users' homes are on. */
static int add_homes(struct facts *facts, struct mount_list *mounts, struct error **err)
{
    const struct hostfiles *keys = &facts->request->ssh_keys;
    _cleanup_free_ char *passwd = NULL;
    int r = keys->count > 0 ? tree_text(&facts->tree, "/etc/passwd", &passwd, err) : 0;

    for (size_t i = 0; r >= 0 && passwd && i < keys->count; i++) {
        struct account account;

        if (!account_find(passwd, keys->items[i].name, &account))
            continue;
        r = mounts_add_above(&facts->tree, &facts->volumes, account.home, mounts, err);
        free(account.home);
    }
    return r < 0 ? r : 0;
}

static int mount_all(struct guest *guest, const struct root *root, struct facts *facts,
                     struct error **err)
{
    _cleanup_free_ char *options =
        root->subvolume ? str_format("subvolid=%llu", root->subvolume) : str_dup("");
    struct mount_list mounts;
    int r = mount_one(guest, root->volume, "/", options, err);

    if (r < 0)
        return r;
    facts->tree = guest_tree(guest);
    r = mounts_name_opened(&facts->tree, &facts->volumes, err);
    if (r == 0)
        r = mounts_of_fstab(&facts->tree, &facts->volumes, &mounts, err);
    if (r < 0)
        return r;
    r = add_homes(facts, &mounts, err);
    for (size_t i = 0; r == 0 && i < mounts.count; i++) {
        r = mount_one(guest, mounts.items[i].volume, mounts.items[i].directory,
                      mounts.items[i].options, err);
        facts_mounted(facts, mounts.items[i].directory);
    }
    mount_list_done(&mounts);
    return r;
}

static int check_system(struct facts *facts, struct error **err)
{
    int r = inspect_os(&facts->tree, &facts->os, err);

    if (r < 0)
        return r;
    facts->family = inspect_family(&facts->os);
    if (!facts_is_linux(facts))
        return error_set(err, ENOTSUP,
                         "the guest runs %s, which this version does not know; the families it "
                         "changes are in slipway-morph(8)",
                         facts->os.pretty);
    return inspect_kernels(&facts->tree, &facts->kernels, &facts->kernel_count, err);
}

int survey_guest(struct guest *guest, struct facts *facts, struct error **err)
{
    struct search search = {.guest = guest, .volumes = &facts->volumes};
    const struct root *root = NULL;
    int r = guest_volumes(guest, &facts->volumes, err);

    if (r == 0)
        r = unlock_volumes(guest, facts->request, &facts->volumes, err);
    if (r == 0 && volume_find_type(&facts->volumes, "swsuspend"))
        r = error_set(err, EUCLEAN,
                      "the guest is hibernated (its swap holds a memory image); start it in the "
                      "source and shut it down");
    if (r == 0)
        r = find_root(&search, facts->request, &root, err);
    if (r == 0 && strcmp(root->volume->type, "ntfs") == 0) {
        r = survey_windows(guest, root->volume, facts, err);
    } else if (r == 0) {
        r = mount_all(guest, root, facts, err);
        if (r == 0)
            r = check_system(facts, err);
        if (r == 0)
            r = survey_boot_code(guest, facts, err);
    }
    root_list_done(&search.roots);
    error_free(search.complaint);
    return r;
}
